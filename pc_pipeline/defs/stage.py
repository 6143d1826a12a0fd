"""From a stage's report to what the Dagster UI shows of a materialization."""

import datetime as dt
import re
import statistics
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from pc_pipeline.defs import plots
from pc_pipeline.defs.partitions import camera_and_date, site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.errors import UserError
from pc_pipeline.ingest.names import one_line

if TYPE_CHECKING:
    from pc_pipeline.stages.runner import StageReport
    from pc_pipeline.store.load import LoadReport

OWNERS = ["team:people-counting"]
# Dagster keeps every table it is given; of more rows or figures than this only the first are shown.
_MOST_ROWS, _MOST_DETAILS = 48, 4


def run(context: dg.AssetExecutionContext, pipeline: Pipeline, stage: str) -> "tuple[StageReport, dict[str, Any]]":
    """Run a stage for the run's camera-day; gives its report and the metadata to show."""
    from pc_pipeline.stages.runner import run_stage

    camera, date = camera_and_date(context)
    started = time.monotonic()
    try:
        report = run_stage(stage, pipeline.machine(context), camera, date)
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    shown = metadata(report, time.monotonic() - started)
    return report, shown | of_day(pipeline, stage, camera, date)


def of_day(pipeline: Pipeline, stage: str, camera: str, date: dt.date) -> dict[str, Any]:
    """The camera-day as this stage stands now: its rows by hour, and its videos one by one."""
    from pc_pipeline.store import of_day
    from pc_pipeline.store.postgres import in_transaction

    zone = site().zone_info
    videos, _ = in_transaction(pipeline.dsn(), lambda c: of_day.stage_of_videos(c, stage, camera, date))
    if not videos:
        return {}
    names = list(dict.fromkeys(name for video in videos for name in video.details))[:_MOST_DETAILS]
    rows = [
        (
            f"{video.started_at.astimezone(zone):%H:%M:%S}", video.status or "outstanding", video.rows,
            *(video.details.get(name, "") for name in names), video.reason or "",
        )
        for video in videos
    ]  # fmt: skip
    by_hour = of_day.by_hour(((video.started_at, video.rows) for video in videos), date, zone)
    return {
        "rows by hour": hours_plot("rows of videos that begin in the hour", by_hour),
        "videos": table(("begins", "status", "rows", *(name.replace("_", " ") for name in names), "why"), rows),
    }


def hours_plot(name: str, by_hour: Mapping[str, float]) -> dg.MetadataValue:
    """Bars, one an hour of a day."""
    return plots.bars(name, list(by_hour), (name, list(by_hour.values())))


def materialized(context: dg.AssetExecutionContext, pipeline: Pipeline, stage: str) -> dg.MaterializeResult:
    """Run a stage and report it; equal rows give an equal data version."""
    report, shown = run(context, pipeline, stage)
    return dg.MaterializeResult(metadata=shown, data_version=dg.DataVersion(report.fingerprint))


def metadata(report: "StageReport", seconds: float) -> dict[str, Any]:
    """What a person wants to know of a stage's run: what was done, what was not and why, and the load's figures."""
    shown: dict[str, Any] = {
        "videos computed": report.computed,
        "videos up to date": report.skipped,
        "videos quarantined": len(report.quarantined),
        "dagster/row_count": report.rows,
        "seconds": round(seconds, 3),
        **{name.replace("_", " "): value for name, value in report.details.items()},
    }
    if report.computed and seconds:
        shown["rows/s"] = round(report.rows / seconds, 1)
        if report.frames:
            shown["frames/s"] = round(report.frames / seconds, 1)
    frames = report.details.get("frames_sampled")
    for title, name in (("processing ms a frame", "processing_ms"), ("people a frame", "detections_in_a_track")):
        if frames and name in report.details:
            shown[title] = round(report.details[name] / frames, 2)
    if report.loads:
        shown |= load_metadata(report.loads)
    for title, pairs in (
        ("quarantined", report.quarantined),
        ("waiting", report.waiting),
        ("warnings", report.warnings),
    ):
        if pairs:
            shown[title] = table(("video", "why"), pairs)
    return shown


def load_metadata(loads: "list[LoadReport]") -> dict[str, Any]:
    """Rows, batches, failures, retries and latency of the bulk loads, together."""
    from pc_pipeline.store.load import latency_ms

    p50, p95 = latency_ms(loads)
    return {
        "load rows": sum(load.rows for load in loads),
        "load batches": sum(load.batches for load in loads),
        "load failures": sum(load.failures for load in loads),
        "load retries": sum(load.retries for load in loads),
        "load latency p50 (ms)": round(p50, 2),
        "load latency p95 (ms)": round(p95, 2),
        "load rows/s": round(statistics.median(load.rows_per_s for load in loads)),
    }


def _as_text(value: Any) -> str:
    """A value as Markdown that shows it and nothing else: a file's name may hold a link, a picture or a tag."""
    return re.sub(r"[\\`*\[\]<>&!|~]", r"\\\g<0>", one_line(str(value).replace("\n", " ")))


def table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> dg.MetadataValue:
    """A table for the UI, of at most 48 rows."""
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(_as_text(value) for value in row) for row in rows]
    left = len(lines) - 2 - _MOST_ROWS
    text = "\n".join(f"| {line} |" for line in lines[: 2 + _MOST_ROWS])
    return dg.MetadataValue.md(f"{text}\n\nand {left} more" if left > 0 else text)
