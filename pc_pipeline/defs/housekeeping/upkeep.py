"""The job that keeps the database's statistics, tables and indexes in order."""

from typing import Any

import dagster as dg

from pc_pipeline.defs import stage
from pc_pipeline.defs.partitions import site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.errors import UserError


class UpkeepConfig(dg.Config):
    """How long it may take."""

    minutes: float = 20.0


@dg.op(description="ANALYZE, VACUUM and REINDEX of what the database's statistics ask for, the worst first.")
def maintain_database(context: dg.OpExecutionContext, config: UpkeepConfig, pipeline: Pipeline) -> None:
    """What is due and why: `pc_pipeline.housekeeping.upkeep`."""
    from pc_pipeline.housekeeping.upkeep import failures, maintain

    try:
        verdicts = maintain(pipeline.dsn(), config.minutes, log=context.log.info)
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    due = [verdict for verdict in verdicts if verdict.action != "none"]
    shown: dict[str, Any] = {
        "tables looked at": sum(verdict.index is None for verdict in verdicts),
        "done": sum(verdict.outcome == "done" for verdict in due),
        "left for the next night": sum(verdict.outcome != "done" for verdict in due),
        "seconds": round(sum(verdict.seconds for verdict in due), 1),
        "tables and indexes": stage.table(
            ("what", "needs", "why", "outcome", "seconds"),
            [(v.name, v.action, v.why, v.outcome, v.seconds) for v in verdicts],
        ),
    }
    if failed := failures(verdicts):
        raise dg.Failure("; ".join(failed), metadata=shown, allow_retries=False)
    context.add_output_metadata(shown)


@dg.job(
    description="Keep the database fast: ANALYZE, VACUUM and reindexing where its statistics ask for it, Dagster's"
    " tables among them. At most 20 minutes (`minutes`), the worst first; loads and queries go on."
)
def upkeep() -> None:
    """The same as `pc db maintain`."""
    maintain_database()


upkeep_every_night = dg.ScheduleDefinition(
    name="upkeep_every_night",
    job=upkeep,
    cron_schedule="10 5 * * *",
    execution_timezone=site().timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night, when the other jobs of the night are done: ANALYZE, VACUUM and reindexing.",
)
