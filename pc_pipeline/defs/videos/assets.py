"""`videos`: the registry of what was recorded."""

import datetime as dt
from pathlib import PurePath
from typing import Any

import dagster as dg

from pc_pipeline.defs import columns, stage
from pc_pipeline.defs.partitions import camera_and_date, camera_days, site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.errors import UserError


@dg.asset(
    partitions_def=camera_days,
    group_name="ingest",
    kinds={"file", "postgres"},
    owners=stage.OWNERS,
    metadata=columns.of_table("videos"),
    code_version="1",
)
def videos(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """The videos of a camera-day, hashed and probed. What cannot be counted is quarantined with its reason."""
    from pc_pipeline.stages.fingerprints import digest
    from pc_pipeline.stages.registration import register

    camera, date = camera_and_date(context)
    try:
        found = register(pipeline.machine(context), list(site().name_patterns), camera, date)
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    shown: dict[str, Any] = {
        "dagster/row_count": len(found.registered),
        "files new": found.new,
        "files not counted": len(found.not_counted),
    }
    if found.removed_videos:
        shown["videos removed (counted under another start)"] = found.removed_videos
    if found.changed:
        shown["changed"] = stage.table(("file", "what"), found.changed)
    if found.warnings:
        shown["warnings"] = stage.table(("file", "warning"), found.warnings)
    if found.not_counted:
        shown["not counted"] = stage.table(("file", "status", "why"), found.not_counted)
    shown |= _files(pipeline, camera, date)
    return dg.MaterializeResult(metadata=shown, data_version=dg.DataVersion(digest(found.content)))


def _files(pipeline: Pipeline, camera: str, date: dt.date) -> dict[str, Any]:
    """The camera-day's files by hour, and one by one."""
    from pc_pipeline.store import of_day
    from pc_pipeline.store.postgres import in_transaction

    zone = site().zone_info
    files, _ = in_transaction(pipeline.dsn(), lambda connection: of_day.files(connection, camera, date))
    if not files:
        return {}
    by_hour = of_day.by_hour(((file.started_at, 1) for file in files if file.started_at), date, zone)
    rows = [
        (
            f"{file.started_at.astimezone(zone):%H:%M:%S}" if file.started_at else "", PurePath(file.path).name,
            round(file.size_bytes / 1e6, 1), file.status,
        )
        for file in files
    ]  # fmt: skip
    return {
        "files by hour": stage.hours_plot("files that begin in the hour", by_hour),
        "files": stage.table(("begins", "file", "MB", "status"), rows),
    }
