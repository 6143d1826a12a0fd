"""`hourly_statistics` and `daily_statistics`: SQL over tracks, movements and stays, never over detections."""

import datetime as dt
from functools import partial
from typing import Any

import dagster as dg

from pc_pipeline.defs import columns, plots, stage
from pc_pipeline.defs.partitions import (
    all_cameras_of_the_day,
    camera_and_date,
    camera_days,
    dates,
    site,
    this_day_and_the_day_before,
)
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.defs.rollups.follow import after_change, after_update, every_hour, every_night
from pc_pipeline.errors import UserError

_DWELL = ("mean", "p50", "p90", "p95", "longest")


@dg.asset(
    partitions_def=camera_days,
    deps=[dg.AssetDep("session_statistics", partition_mapping=this_day_and_the_day_before)],
    automation_condition=after_update,
    freshness_policy=every_night,
    group_name="rollups",
    kinds={"sql", "postgres"},
    owners=stage.OWNERS,
    metadata=columns.of_table("hourly_statistics"),
    code_version="2",
)
def hourly_statistics(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Counts by hour of one camera-day. An hour without video has no row: no video is not nobody came."""
    from pc_pipeline.store import figures, rollups
    from pc_pipeline.store.postgres import in_transaction

    camera, date = camera_and_date(context)
    zone = site().zone_info

    def roll(connection: Any) -> tuple[Any, list[dict[str, Any]], list[dict[str, Any]], str]:
        rolled = rollups.roll_hours(connection, [camera], date, zone)
        version = rollups.made_from(connection, camera, date, zone)
        return rolled, figures.hourly(connection, camera, date), figures.occupancy(connection, camera, date), version

    try:
        (rolled, hours, steps, version), _ = in_transaction(pipeline.dsn(), roll)
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    shown: dict[str, Any] = {
        "dagster/row_count": rolled.rows,
        "in": rolled.entered,
        "out": rolled.exited,
        "coverage (s)": round(rolled.coverage_s, 3),
        "added to the people inside": sum(hour["occupancy_correction"] for hour in hours),
        **_kept(context, [f"{camera} {date}"] if rolled.kept else []),
    }
    if hours:
        labels = [hour["hour_start"].astimezone(zone).strftime("%H:%M") for hour in hours]
        shown["in and out by hour"] = plots.in_and_out(labels, hours)
        shown["hours"] = stage.table(
            ("hour", "in", "out", "people", "peak inside", "added", "coverage (s)"),
            [
                (
                    label, h["entered"], h["exited"], h["unique_total"], h["peak_occupancy"], h["occupancy_correction"],
                    h["coverage_seconds"],
                )
                for label, h in zip(labels, hours, strict=True)
            ],
        )  # fmt: skip
        shown["people inside"] = plots.inside(hours, steps, zone)
        shown |= _zones(list(zip(labels, hours, strict=True)))
    return dg.MaterializeResult(metadata=shown, data_version=dg.DataVersion(version))


@dg.asset(
    partitions_def=dates,
    deps=[dg.AssetDep("hourly_statistics", partition_mapping=all_cameras_of_the_day)],
    automation_condition=after_change,
    freshness_policy=every_hour,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="rollups",
    kinds={"sql", "postgres"},
    owners=stage.OWNERS,
    metadata=columns.of_table("daily_statistics"),
    code_version="2",
)
def daily_statistics(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Counts by day, a row a camera. Unique people come from the tracks; they are never summed from the hours."""
    from pc_pipeline.store import figures, rollups
    from pc_pipeline.store.postgres import in_transaction

    zone = site().zone_info
    rows: list[dict[str, Any]] = []
    kept: list[str] = []

    def roll(connection: Any, date: dt.date) -> list[dict[str, Any]]:
        kept.extend(f"{camera} {date}" for camera in rollups.roll_day(connection, date, zone).kept)
        return figures.daily(connection, None, date)

    try:
        for key in context.partition_keys:
            rows += in_transaction(pipeline.dsn(), partial(roll, date=dt.date.fromisoformat(key)))[0]
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    shown: dict[str, Any] = {
        "dagster/row_count": len(rows),
        "in": sum(row["entered"] for row in rows),
        "out": sum(row["exited"] for row in rows),
        "coverage (s)": round(sum(row["coverage_seconds"] for row in rows), 3),
        "added to the people inside": sum(row["occupancy_correction"] for row in rows),
        "still inside at midnight": sum(row["occupancy_at_reset"] for row in rows),
        **_kept(context, sorted(set(kept))),
    }
    if rows:
        shown["in and out by camera"] = plots.in_and_out([f"{row['camera']} {row['date']}" for row in rows], rows)
        shown["days"] = stage.table(
            ("date", "camera", "in", "out", "people", "peak inside", "added", "inside at midnight", "coverage (s)"),
            [
                (
                    row["date"], row["camera"], row["entered"], row["exited"], row["unique_total"],
                    row["peak_occupancy"], row["occupancy_correction"], row["occupancy_at_reset"],
                    row["coverage_seconds"],
                )
                for row in rows
            ],
        )  # fmt: skip
        shown |= _zones([(f"{row['date']} {row['camera']}", row) for row in rows])
    return dg.MaterializeResult(metadata=shown)


def _kept(context: dg.AssetExecutionContext, kept: list[str]) -> dict[str, Any]:
    """What is said where rows stay as they were."""
    if not kept:
        return {}
    sentence = (
        f"{', '.join(kept)}: the counts stay as they are. Tracks or movements they were made from are past their"
        " retention, so they cannot be made again (docs/retention.md)."
    )
    context.log.warning(sentence)
    return {"kept as it was": sentence}


def _zones(rows: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """The table of stays and people inside, by zone; nothing where nobody was in any."""

    def seconds(milliseconds: int | None) -> float | str:
        return "" if milliseconds is None else milliseconds / 1000

    found = [
        (
            label, name, zone["visits"], zone["cut"], *(seconds(zone[f"dwell_{figure}_ms"]) for figure in _DWELL),
            zone["peak_occupancy"], round(zone["mean_occupancy"], 2),
        )
        for label, row in rows for name, zone in sorted(row["by_zone"].items())
    ]  # fmt: skip
    columns = ("when", "zone", "stays", "cut", *(f"{figure} (s)" for figure in _DWELL), "peak inside", "mean inside")
    return {"dwell by zone": stage.table(columns, found)} if found else {}
