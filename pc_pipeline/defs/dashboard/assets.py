"""`dashboard_cache`: ops that warm Redis, as an asset that follows the statistics and as a job of its own."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import dagster as dg

from pc_pipeline.defs import plots, stage
from pc_pipeline.defs.partitions import site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.defs.rollups.follow import after_update, every_hour
from pc_pipeline.errors import UserError

_AFTER = {"hourly": dg.In(dg.Nothing), "daily": dg.In(dg.Nothing)}


def _warm(context: dg.OpExecutionContext, pipeline: Pipeline, fill: Callable[[Any, Any], Any]) -> dict[str, int]:
    """Fill the cache from one connection. Redis down is a warning: the figures stand in Postgres."""
    from pc_pipeline.store.cache import Cache
    from pc_pipeline.store.postgres import in_transaction

    cache = Cache(pipeline.redis_url())
    try:
        warmed, _ = in_transaction(pipeline.dsn(), lambda connection: fill(connection, cache))
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    if warmed.missed:
        context.log.warning(f"Redis did not take {warmed.missed} keys; Postgres has the figures.")
    return {"written": warmed.written, "missed": warmed.missed}


@dg.op(ins=_AFTER)
def warm_summary(context: dg.OpExecutionContext, pipeline: Pipeline) -> dict[str, int]:
    """The dashboard's summary, over all cameras and of each."""
    from pc_pipeline.store import dashboard

    zone = site().zone_info
    today = dt.datetime.now(zone).date()
    return _warm(context, pipeline, lambda c, cache: dashboard.warm_summary(c, cache, zone, today))


@dg.op(ins=_AFTER)
def warm_recent_tracks(context: dg.OpExecutionContext, pipeline: Pipeline) -> dict[str, int]:
    """The tracks that began last."""
    from pc_pipeline.store import dashboard

    return _warm(context, pipeline, lambda c, cache: dashboard.warm_recent_tracks(c, cache, site().zone_info))


@dg.op(ins=_AFTER)
def warm_hourly(context: dg.OpExecutionContext, pipeline: Pipeline) -> dict[str, int]:
    """The hours of the most recent days."""
    from pc_pipeline.store import dashboard

    return _warm(context, pipeline, dashboard.warm_hourly)


@dg.op(ins=_AFTER)
def warm_daily(context: dg.OpExecutionContext, pipeline: Pipeline) -> dict[str, int]:
    """The most recent days."""
    from pc_pipeline.store import dashboard

    return _warm(context, pipeline, dashboard.warm_daily)


@dg.op
def count_keys(
    context: dg.OpExecutionContext,
    summary: dict[str, int],
    tracks: dict[str, int],
    hours: dict[str, int],
    days: dict[str, int],
) -> int:
    """How many keys Redis holds now, shown by the kind of figure."""
    parts = {"summary": summary, "recent tracks": tracks, "hours": hours, "days": days}
    written = sum(part["written"] for part in parts.values())
    context.add_output_metadata(
        {"keys written": written, "keys missed": sum(part["missed"] for part in parts.values())}
        | {
            "keys": stage.table(
                ("kind", "written", "missed"), [(n, p["written"], p["missed"]) for n, p in parts.items()]
            ),
            "keys by kind": plots.bars("keys", list(parts), ("keys", [part["written"] for part in parts.values()])),
        }
    )
    return written


@dg.graph_asset(
    name="dashboard_cache",
    # Nothing is loaded: the statistics stand in Postgres, and what matters is that they are newer.
    ins={
        "hourly": dg.AssetIn("hourly_statistics", dagster_type=dg.Nothing),
        "daily": dg.AssetIn("daily_statistics", dagster_type=dg.Nothing),
    },
    automation_condition=after_update,
    group_name="dashboard",
    kinds={"redis"},
    owners=stage.OWNERS,
    description="The dashboard's summary, recent tracks, hours and days in Redis, so that it answers at once.",
)
def dashboard_cache(hourly, daily):
    """Warm every kind of figure, and count the keys."""
    return count_keys(
        warm_summary(hourly=hourly, daily=daily),
        warm_recent_tracks(hourly=hourly, daily=daily),
        warm_hourly(hourly=hourly, daily=daily),
        warm_daily(hourly=hourly, daily=daily),
    )


dashboard_cache = dashboard_cache.map_asset_specs(lambda spec: dg.apply_freshness_policy(spec, every_hour))


@dg.job(description="Fill the dashboard's cache from Postgres now, such as after Redis was replaced.")
def warm_dashboard_cache() -> None:
    """The same ops, whenever someone asks."""
    count_keys(warm_summary(), warm_recent_tracks(), warm_hourly(), warm_daily())
