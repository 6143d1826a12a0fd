"""The safety net under the automation: yesterday every night, today every hour, and whatever it missed."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import dagster as dg

from pc_pipeline.defs.jobs import roll_days, roll_hours
from pc_pipeline.defs.partitions import camera_day_key, cameras, site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.errors import UserError

# What is left comes at the next tick.
_MAX_MISSED = 100
Keys = Callable[[dg.ScheduleEvaluationContext, Pipeline, dt.date], list[str]]


def _every_camera(context: dg.ScheduleEvaluationContext, pipeline: Pipeline, date: dt.date) -> list[str]:
    known = context.instance.get_dynamic_partitions(cameras.name or "")
    return [camera_day_key(camera, date) for camera in known]


def _every_camera_and_those_missed(
    context: dg.ScheduleEvaluationContext, pipeline: Pipeline, date: dt.date
) -> list[str]:
    from pc_pipeline.store.postgres import in_transaction
    from pc_pipeline.store.rollups import hours_to_roll

    missed, _ = in_transaction(pipeline.dsn(), lambda connection: hours_to_roll(connection, site().zone_info))
    known = set(context.instance.get_dynamic_partitions(cameras.name or ""))
    older = [camera_day_key(camera, day) for camera, day in missed if day < date and camera in known]
    return [*_every_camera(context, pipeline, date), *older[:_MAX_MISSED]]


def _cameras_counted_since(context: dg.ScheduleEvaluationContext, pipeline: Pipeline, date: dt.date) -> list[str]:
    from pc_pipeline.store.postgres import in_transaction
    from pc_pipeline.store.rollups import cameras_to_roll

    known = set(context.instance.get_dynamic_partitions(cameras.name or ""))
    counted, _ = in_transaction(pipeline.dsn(), lambda connection: cameras_to_roll(connection, date))
    return [camera_day_key(camera, date) for camera in counted if camera in known]


def _day(context: dg.ScheduleEvaluationContext, pipeline: Pipeline, date: dt.date) -> list[str]:
    return [date.isoformat()]


def _day_and_those_missed(context: dg.ScheduleEvaluationContext, pipeline: Pipeline, date: dt.date) -> list[str]:
    from pc_pipeline.store.postgres import in_transaction
    from pc_pipeline.store.rollups import days_to_roll

    missed, _ = in_transaction(pipeline.dsn(), lambda connection: days_to_roll(connection, site().zone_info))
    # Of tomorrow there may be a piece already, and it is no partition yet.
    return [day.isoformat() for day in [date, *(day for day in reversed(missed) if day < date)][:_MAX_MISSED]]


def _net(name: str, job: Any, cron: str, days_ago: list[int], keys: Keys, why: str) -> dg.ScheduleDefinition:
    """A schedule that rolls the partitions that `keys` names of some of the last days again."""

    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=site().timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=why,
    )
    def roll(context: dg.ScheduleEvaluationContext, pipeline: Pipeline) -> list[dg.RunRequest] | dg.SkipReason:
        tick = context.scheduled_execution_time
        today = tick.astimezone(site().zone_info).date()
        try:
            return [
                dg.RunRequest(run_key=f"{tick.isoformat()}:{key}", partition_key=key)
                # Each once: what is missed is older than both of two days.
                for key in dict.fromkeys(
                    key for ago in days_ago for key in keys(context, pipeline, today - dt.timedelta(days=ago))
                )
            ]
        except UserError as error:
            return dg.SkipReason(str(error))

    return roll


_NIGHT = "Every night: the last two days again, whatever the automation did."
_HOUR = "Every hour: today so far, since a camera that never rests would otherwise wait for midnight."
_COUNTED = " Only cameras of which something was counted since."
_MISSED = " And every older day whose rows are not made from what is counted now, such as after a failed run."
schedules = [
    _net("hours_every_night", roll_hours, "15 3 * * *", [2, 1], _every_camera_and_those_missed, _NIGHT + _MISSED),
    _net("days_every_night", roll_days, "45 3 * * *", [2, 1], _day, _NIGHT),
    _net("hours_every_hour", roll_hours, "5 * * * *", [0], _cameras_counted_since, _HOUR + _COUNTED),
    _net("days_every_hour", roll_days, "10 * * * *", [0], _day_and_those_missed, _HOUR + _MISSED),
]
