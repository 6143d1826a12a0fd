"""The nightly job that makes months of partitions ahead."""

import datetime as dt

import dagster as dg

from pc_pipeline.defs import stage
from pc_pipeline.defs.partitions import site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.errors import UserError


class MonthsConfig(dg.Config):
    """How many months after this one."""

    ahead: int = 3


@dg.op(description="Make the partitions of the coming months that are missing, of every table that has months.")
def make_missing_months(context: dg.OpExecutionContext, config: MonthsConfig, pipeline: Pipeline) -> None:
    """Loads make what they need themselves; made ahead, none has to wait for it."""
    from pc_pipeline.housekeeping.months import make_months

    try:
        made = make_months(pipeline.dsn(), dt.datetime.now(dt.UTC), config.ahead)
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    names = [name for of_table in made.values() for name in of_table]
    context.log.info(f"made {', '.join(names) or 'nothing: all months are there'}")
    context.add_output_metadata(
        {
            "months made": len(names),
            "tables": stage.table(("table", "made"), [(table, ", ".join(found)) for table, found in made.items()]),
        }
    )


@dg.job(description="Make the partitions of the coming three months (or `ahead`) of detections, frames and metrics.")
def make_partitions() -> None:
    """The same as `pc db partitions`."""
    make_missing_months()


make_partitions_every_night = dg.ScheduleDefinition(
    name="make_partitions_every_night",
    job=make_partitions,
    cron_schedule="5 1 * * *",
    execution_timezone=site().timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night: the partitions of the coming three months, where they are missing.",
)
