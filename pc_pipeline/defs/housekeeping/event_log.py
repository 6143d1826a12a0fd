"""The job that purges Dagster's own event log."""

import datetime as dt

import dagster as dg
from pydantic import Field

from pc_pipeline.defs.partitions import site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.errors import UserError
from pc_pipeline.settings import Settings


class PurgeConfig(dg.Config):
    """How long runs keep all that they said."""

    keep_days: int | None = Field(
        default=None, description="Days; without it as long as `retention` in the site file says."
    )


@dg.op(description="Delete the events, runs and output of old runs; what is materialized stays known.")
def purge_old_events(context: dg.OpExecutionContext, config: PurgeConfig, pipeline: Pipeline) -> None:
    """What stays and why: `pc_pipeline.store.event_log`."""
    from pc_pipeline.housekeeping.event_log import purge

    try:
        purged = purge(
            pipeline.dsn(),
            Settings().home / "dagster",
            dt.datetime.now(dt.UTC),
            config.keep_days,
            log=context.log.info,
        )
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    context.add_output_metadata(
        {
            "runs older than": purged.before.isoformat(timespec="minutes"),
            "old runs": purged.old_runs,
            "events deleted": purged.events,
            "MB of events": round(purged.event_bytes / 1e6, 1),
            "runs deleted": purged.runs,
            "results of checks deleted": purged.check_results,
            "folders of output removed": purged.log_folders,
            "MB of output": round(purged.log_bytes / 1e6, 1),
        }
    )


@dg.job(
    description="Delete what old runs said (`event_log` of `retention` in the site file: 30 days). Partitions keep"
    " their last materialization, failed ones their failure, checks their last result; runs that wait or run stay."
)
def purge_event_log() -> None:
    """The same as `pc db purge-events`."""
    purge_old_events()


purge_every_night = dg.ScheduleDefinition(
    name="purge_event_log_every_night",
    job=purge_event_log,
    cron_schedule="15 2 * * *",
    execution_timezone=site().timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night: the events of runs whose time is over (`retention`, 30 days).",
)
