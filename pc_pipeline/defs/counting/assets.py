"""From tracks to counts: `track_links`, `people_movements`, `zone_visits`, `session_statistics`. Arithmetic only."""

import dagster as dg

from pc_pipeline.defs import columns, plots, stage
from pc_pipeline.defs.partitions import camera_and_date, camera_days, site, this_day_and_the_day_before
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.errors import UserError
from pc_pipeline.stages.versions import (
    CODE_VERSIONS,
    PEOPLE_MOVEMENTS,
    SESSION_STATISTICS,
    TRACK_LINKS,
    ZONE_VISITS,
)


@dg.asset(
    partitions_def=camera_days,
    deps=[dg.AssetDep("tracks", partition_mapping=this_day_and_the_day_before)],
    group_name="counting",
    kinds={"python", "postgres"},
    owners=stage.OWNERS,
    metadata=columns.of_table("track_links"),
    code_version=CODE_VERSIONS[TRACK_LINKS],
)
def track_links(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Who goes on from one file into the next, so that nobody is counted twice where a file ends."""
    return stage.materialized(context, pipeline, TRACK_LINKS)


@dg.asset(
    partitions_def=camera_days,
    deps=["track_links"],
    group_name="counting",
    kinds={"python", "postgres"},
    owners=stage.OWNERS,
    metadata=columns.of_table("people_movements"),
    code_version=CODE_VERSIONS[PEOPLE_MOVEMENTS],
)
def people_movements(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Line crossings, in or out: one net crossing a visit and line. Made again when a line moves, from tracks alone."""
    from pc_pipeline.store import of_day
    from pc_pipeline.store.postgres import in_transaction

    report, shown = stage.run(context, pipeline, PEOPLE_MOVEMENTS)
    camera, date = camera_and_date(context)
    crossed, _ = in_transaction(pipeline.dsn(), lambda connection: of_day.crossings(connection, camera, date))
    if crossed:
        zone = site().zone_info
        came, went = (
            of_day.by_hour(((ts, 1) for ts, direction in crossed if direction == way), date, zone)
            for way in ("in", "out")
        )
        shown["rows by hour"] = plots.bars(
            "in and out by hour", list(came), ("in", list(came.values())), ("out", list(went.values()))
        )
    return dg.MaterializeResult(metadata=shown, data_version=dg.DataVersion(report.fingerprint))


@dg.asset(
    partitions_def=camera_days,
    deps=["track_links"],
    group_name="counting",
    kinds={"python", "postgres"},
    owners=stage.OWNERS,
    metadata=columns.of_table("zone_visits"),
    code_version=CODE_VERSIONS[ZONE_VISITS],
)
def zone_visits(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Stays in a zone: entered, exited, dwell. Made again when a zone changes, from tracks alone."""
    return stage.materialized(context, pipeline, ZONE_VISITS)


@dg.asset(
    partitions_def=camera_days,
    deps=["people_movements", "zone_visits", "run_gender_summary"],
    group_name="counting",
    kinds={"sql", "postgres"},
    owners=stage.OWNERS,
    metadata=columns.of_table("session_statistics"),
    code_version=CODE_VERSIONS[SESSION_STATISTICS],
)
def session_statistics(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """One row a session: in, out, unique people, by gender, peak and mean occupancy, coverage."""
    from pc_pipeline.stages.day_pictures import day_pictures

    report, shown = stage.run(context, pipeline, SESSION_STATISTICS)
    try:
        pictures = day_pictures(pipeline.machine(context), *camera_and_date(context))
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    if pictures:
        shown["where people were"] = plots.picture("heat map", pictures.heat_map)
        shown["where people went"] = plots.picture("flow", pictures.flow)
    return dg.MaterializeResult(metadata=shown, data_version=dg.DataVersion(report.fingerprint))
