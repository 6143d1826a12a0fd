"""The nightly backup: the database copied, old backups and the WAL that none needs removed."""

import datetime as dt
from contextlib import closing
from typing import Any

import dagster as dg

from pc_pipeline import run_tags
from pc_pipeline.defs.partitions import site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.settings import Settings


@dg.op(description="Copies the database while everything runs, then removes the backups whose time is over.")
def back_up_database(context: dg.OpExecutionContext, pipeline: Pipeline) -> str:
    """The name of the backup; what is not as it should be stands in the run's warnings and metadata."""
    from pc_pipeline.housekeeping.backups import backup_folder, create

    settings = Settings()
    made = create(settings, pipeline.dsn(), site().backups, context.log.info)
    for warning in made.warnings:
        context.log.warning(warning)
    context.add_output_metadata(
        {
            "folder": dg.MetadataValue.path(str(backup_folder(settings, site().backups))),
            "kind": made.backup.kind,
            "bytes": made.backup.bytes,
            "database bytes": made.backup.database_bytes,
            "seconds": made.seconds,
            "removed backups": len(made.removed),
            "WAL files packed": made.wal_packed,
            "WAL files removed": made.wal_removed,
            "warnings": dg.MetadataValue.md("\n".join(f"- {warning}" for warning in made.warnings) or "none"),
            **{f"rows of {table}": rows for table, rows in made.backup.rows.items()},
        }
    )
    return made.backup.name


@dg.job(description="Back up the database and keep the backups of so many days (`backups` in the site file).")
def back_up() -> None:
    """Fails where the WAL is not archived: then nothing after the last backup could be restored."""
    back_up_database()


@dg.schedule(
    job=back_up,
    # Asked every hour: a machine that was off at night makes its backup when it is back.
    cron_schedule="10 * * * *",
    execution_timezone=site().timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night after two, and within the hour where that night's was missed or WAL is not archived.",
)
def back_up_every_night(pipeline: Pipeline) -> Any:
    """Asks for a backup where one is due; else says why not."""
    from pc_pipeline.housekeeping.backups import wanted_now
    from pc_pipeline.store.postgres import connect

    with closing(connect(pipeline.dsn())) as connection:
        why = wanted_now(Settings(), connection, site().backups, site().zone_info, dt.datetime.now(dt.UTC))
    return dg.RunRequest(tags={run_tags.WHY: why}) if why else dg.SkipReason("this night's backup is made")
