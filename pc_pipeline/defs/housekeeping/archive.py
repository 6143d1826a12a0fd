"""The nightly job that brings what is past its time to the archive."""

import datetime as dt
from typing import Any

import dagster as dg

from pc_pipeline.defs import stage
from pc_pipeline.defs.housekeeping.erasure import everywhere
from pc_pipeline.defs.partitions import site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.errors import UserError


@dg.op(
    description="Finish what erasures left; then export what is past its time to Parquet, compare it, and delete it in"
    " its table."
)
def archive_and_delete(context: dg.OpExecutionContext, pipeline: Pipeline) -> None:
    """What goes when: the site file's `retention:`; how: docs/retention.md.

    An erasure that cannot be finished keeps nothing from the archive, and fails the run: it was promised to somebody.
    """
    from pc_pipeline.housekeeping.archive import run
    from pc_pipeline.housekeeping.erasure import finish_all

    now, places = dt.datetime.now(dt.UTC), everywhere(pipeline)
    try:
        erasures = finish_all(places, now, context.log.info)
        report = run(places.place, now, context.log.info)
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    waiting = [gone for gone in report.gone if gone.state == "waits"]
    for gone in waiting:
        context.log.warning(f"{gone.table} {gone.month:%Y-%m} waits: {gone.why}")
    rows = [
        (
            gone.table,
            f"{gone.month:%Y-%m}",
            gone.camera or "",
            gone.rows,
            round(gone.bytes / 1e6, 1),
            gone.state,
            gone.why,
        )
        for gone in report.gone
    ]
    shown: dict[str, Any] = {
        "rows gone": sum(gone.rows for gone in report.gone),
        "MB written": round(sum(gone.bytes for gone in report.gone) / 1e6, 1),
        "waiting": len(waiting),
        "files of raw detections removed": report.raw_files,
        "files of the archive written anew": report.rewritten,
        "erasures finished": erasures.done,
        "erasures not finished": len(erasures.stuck),
        "months": stage.table(("table", "month", "camera", "rows", "MB", "state", "why"), rows),
    }
    if erasures.stuck:
        raise dg.Failure(" ".join(erasures.stuck), metadata=shown, allow_retries=False)
    context.add_output_metadata(shown)


@dg.job(
    description="Bring what is past its time (`retention` in the site file) to the archive, read it back, and delete it"
    " in its table; hours and days stay. What an earlier run left unfinished is finished."
)
def archive_old_rows() -> None:
    """The same as `pc archive run`."""
    archive_and_delete()


archive_every_night = dg.ScheduleDefinition(
    name="archive_every_night",
    job=archive_old_rows,
    cron_schedule="40 3 * * *",
    execution_timezone=site().timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night: months that are wholly past their time go to the archive.",
)
