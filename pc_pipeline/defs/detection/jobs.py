"""Keeping house among the Parquet files of raw detections."""

import dagster as dg

from pc_pipeline.defs.partitions import site
from pc_pipeline.defs.resources import Pipeline


@dg.op
def sweep_unnamed_files(context: dg.OpExecutionContext, pipeline: Pipeline) -> int:
    """Remove the files that no row of the ledger names, such as those of an earlier detector; returns how many."""
    from pc_pipeline.stages.detecting import sweep

    removed = sweep(pipeline.machine(context))
    context.log.info(f"removed {removed} files")
    return removed


@dg.job(description="Remove raw detections that nothing names any more: of replaced videos and of earlier detectors.")
def sweep_raw_detections() -> None:
    """A day is left to every file, for a file is written before the row that names it."""
    sweep_unnamed_files()


sweep_every_night = dg.ScheduleDefinition(
    name="sweep_every_night",
    job=sweep_raw_detections,
    cron_schedule="30 4 * * *",
    execution_timezone=site().timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night: the raw detections that nothing names any more.",
)
