"""Whether hours and days say what the movements do, and whether there is as much video as usual."""

import datetime as dt
from functools import partial

import dagster as dg

from pc_pipeline.defs.judged import read, result
from pc_pipeline.defs.partitions import camera_and_date, dates, site
from pc_pipeline.defs.resources import Pipeline


def today() -> dt.date:
    """The local date of now."""
    return dt.datetime.now(site().zone_info).date()


@dg.asset_check(
    asset="hourly_statistics",
    description="There is as much video as on this weekday of the last four weeks, hour by hour. Today is judged up to"
    " its last hour with video.",
)
def coverage_is_usual(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
    """Fails, without blocking, where hours are missing that the camera usually records."""
    from pc_pipeline.counting.plausibility import coverage
    from pc_pipeline.store.checks import covered_hours

    camera, date = camera_and_date(context)
    zone = site().zone_info
    covered, weeks = read(pipeline, lambda connection: covered_hours(connection, camera, date, zone))
    return result(context, coverage(covered, weeks, judged_before=max(covered, default=0) if date == today() else None))


@dg.asset_check(
    asset="hourly_statistics",
    description="In and out of every hour are the number of the movements in it.",
)
def hours_equal_movements(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
    """Fails, without blocking, where an hour's totals are not those of its movements."""
    from pc_pipeline.counting.plausibility import agreement
    from pc_pipeline.store.checks import hour_totals

    camera, date = camera_and_date(context)
    totals = read(pipeline, lambda connection: hour_totals(connection, camera, date, site().zone_info))
    remedy = (
        "A recount may have come between: materialize `hourly_statistics` of this camera-day, and report a defect if"
        " the check fails again."
    )
    return result(context, agreement(["movements", "hours"], totals, remedy), dg.AssetCheckSeverity.ERROR)


@dg.asset_check(
    asset="daily_statistics",
    partitions_def=dates,
    description="In and out of the day are, for every camera, those of its hours and the number of its movements."
    " Unique people are not compared: somebody who is there in two hours is one of the day.",
)
def days_equal_hours_and_movements(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
    """Fails, without blocking, where a camera's day is not the sum of its hours or of its movements."""
    from pc_pipeline.counting.plausibility import agreement
    from pc_pipeline.store.checks import day_totals

    totals = []
    for key in context.partition_keys:
        of_day = partial(day_totals, date=dt.date.fromisoformat(key), zone=site().zone_info)
        totals += [(f"{camera} {key}", sums) for camera, sums in read(pipeline, of_day)]
    remedy = (
        "Where hours and movements differ too, materialize `hourly_statistics` of that camera-day; then"
        " `daily_statistics` of the day. Report a defect if the check fails again."
    )
    return result(context, agreement(["movements", "hours", "day"], totals, remedy), dg.AssetCheckSeverity.ERROR)
