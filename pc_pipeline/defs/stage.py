"""From a stage's report to what the Dagster UI shows of a materialization."""

import statistics
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import dagster as dg

from pc_pipeline.defs.partitions import camera_and_date
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.errors import UserError

if TYPE_CHECKING:
    from pc_pipeline.stages.runner import StageReport
    from pc_pipeline.store.load import LoadReport

OWNERS = ["team:people-counting"]


def run(context: dg.AssetExecutionContext, pipeline: Pipeline, stage: str) -> "tuple[StageReport, dict[str, Any]]":
    """Run a stage for the run's camera-day; gives its report and the metadata to show."""
    from pc_pipeline.stages.runner import run_stage

    camera, date = camera_and_date(context)
    started = time.monotonic()
    try:
        report = run_stage(stage, pipeline.machine(context), camera, date)
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    return report, metadata(report, time.monotonic() - started)


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
    if "frames" in report.details and seconds:
        shown["frames/s"] = round(report.details["frames"] / seconds, 1)
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
    return {
        "load rows": sum(load.rows for load in loads),
        "load batches": sum(load.batches for load in loads),
        "load failures": sum(load.failures for load in loads),
        "load retries": sum(load.retries for load in loads),
        "load latency p50 (ms)": round(statistics.median(load.latency_p50_ms for load in loads), 2),
        "load latency p95 (ms)": round(max(load.latency_p95_ms for load in loads), 2),
        "load rows/s": round(statistics.median(load.rows_per_s for load in loads)),
    }


def table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> dg.MetadataValue:
    """A table for the UI."""
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(str(value).replace("|", "\\|").replace("\n", " ") for value in row) for row in rows]
    return dg.MetadataValue.md("\n".join(f"| {line} |" for line in lines))
