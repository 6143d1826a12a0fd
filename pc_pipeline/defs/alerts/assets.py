"""`alerts`: what is not as it should be, found after each rollup, told once and resolved by itself."""

import datetime as dt
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from pc_pipeline.defs import columns, stage
from pc_pipeline.defs.judged import read
from pc_pipeline.defs.partitions import site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.defs.rollups.follow import after_update, every_hour
from pc_pipeline.errors import UserError
from pc_pipeline.ingest.alerts import KINDS, Kind

if TYPE_CHECKING:
    from pc_pipeline.alerts.evaluate import Report


class AlertsRun(dg.Config):
    """What a run of `alerts` may be told in the UI."""

    dry_run: bool = False


def evaluated(
    instance: dg.DagsterInstance,
    dsn: str,
    *,
    kinds: "Collection[Kind]" = KINDS,
    retry: bool = True,
    dry_run: bool = False,
    log: Callable[[str], None] = lambda line: None,
) -> "Report":
    """One evaluation now, with what Dagster's storage says of checks and runs.

    Raises:
        UserError: no database.
    """
    from pc_pipeline.alerts.evaluate import evaluate
    from pc_pipeline.definitions import defs
    from pc_pipeline.defs.alerts.observed import observe

    checks = sorted(defs.resolve_asset_graph().asset_check_keys) if "check_failed" in kinds else []
    seen = partial(observe, instance, checks, site().zone_info)
    now = dt.datetime.now(dt.UTC)
    return evaluate(dsn, site(), now, seen, kinds=kinds, retry=retry, dry_run=dry_run, log=log)


@dg.asset(
    deps=["hourly_statistics", "daily_statistics"],
    automation_condition=after_update,
    freshness_policy=every_hour,
    metadata=columns.of_table("alert_logs"),
    group_name="alerts",
    kinds={"python", "postgres"},
    owners=stage.OWNERS,
    code_version="1",
)
def alerts(context: dg.AssetExecutionContext, config: AlertsRun, pipeline: Pipeline) -> dg.MaterializeResult:
    """What is not as it should be: opened once, told by webhook, e-mail or Slack, and resolved by itself."""
    try:
        report = evaluated(context.instance, pipeline.dsn(), dry_run=config.dry_run, log=context.log.info)
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    for sent in report.sent:
        if sent.error:
            context.log.warning(f"{sent.channel}: {sent.error} It is tried again at the next evaluation.")
    return dg.MaterializeResult(metadata=_shown(report, config.dry_run))


def _shown(report: "Report", dry_run: bool) -> dict[str, Any]:
    zone = site().zone_info
    shown: dict[str, Any] = {
        "dagster/row_count": len(report.open),
        "opened": len(report.opened),
        "resolved": len(report.resolved),
        "messages": len(report.sent),
        "messages not taken": sum(sent.error is not None for sent in report.sent),
    }
    if dry_run:
        shown["dry run"] = "nothing was written and nothing sent; this is what would be"
    if report.open:
        since = {row["alert_id"]: f"{row['since'].astimezone(zone):%Y-%m-%d %H:%M}" for row in report.open}
        lasting = [(row["title"], since[row["alert_id"]], row["says"]) for row in report.open]
        shown["open alerts"] = stage.table(("alert", "since", "what"), lasting)
    if report.sent:
        said = [(sent.channel, "; ".join(sent.titles), sent.error or "taken", sent.text) for sent in report.sent]
        shown["what was said"] = stage.table(("channel", "alerts", "answer", "text"), said)
    return shown


@dg.asset_check(asset="alerts", description="Every channel takes what it is given.")
def alerts_are_delivered(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
    """Fails, without blocking, while messages wait for a channel that did not take them."""
    from pc_pipeline.store.alerts import undelivered

    waiting = read(pipeline, undelivered)
    says = "; ".join(f"{count} messages wait for {channel}: {error}" for channel, count, error in waiting)
    return dg.AssetCheckResult(
        passed=not waiting,
        severity=dg.AssetCheckSeverity.WARN,
        description=says or "Nothing waits.",
        metadata={"channels that take nothing": len(waiting), "messages waiting": sum(row[1] for row in waiting)},
    )
