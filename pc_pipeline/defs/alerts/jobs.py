"""When alerts are evaluated: after each rollup (the asset's own condition), every hour, and when a run fails."""

import dagster as dg

from pc_pipeline.defs.alerts.assets import evaluated
from pc_pipeline.defs.partitions import site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.ingest.alerts import Kind

_RUNS: tuple[Kind, ...] = ("run_failed",)

evaluate_alerts = dg.define_asset_job(
    "evaluate_alerts",
    selection=dg.AssetSelection.assets("alerts"),
    description="Evaluate all alerts now, and send what waits. With `dry_run: true` nothing is written or sent.",
)

alerts_every_hour = dg.ScheduleDefinition(
    name="alerts_every_hour",
    job=evaluate_alerts,
    cron_schedule="20 * * * *",
    execution_timezone=site().timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour, since a camera that is dead brings no rollup for the alerts to follow; and what a channel"
    " did not take is sent again.",
)


@dg.run_failure_sensor(
    name="run_failures",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="When a run has failed: an alert for its job, which ends when each failed partition has been made.",
)
def run_failures(context: dg.RunFailureSensorContext, pipeline: Pipeline) -> None:
    """Open or bring up to date the alert of the failed run's job, and tell it."""
    # A tick has a minute, and a thousand runs may fail: a channel that takes nothing is not asked after each.
    report = evaluated(context.instance, pipeline.dsn(), kinds=_RUNS, retry=False)
    for sent in report.sent:
        if sent.error:
            context.log.warning(f"{sent.channel}: {sent.error}")
