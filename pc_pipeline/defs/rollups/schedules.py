"""The safety net under the automation: yesterday every night, today every hour."""

import datetime as dt
from typing import Any

import dagster as dg

from pc_pipeline.defs.jobs import roll_days, roll_hours
from pc_pipeline.defs.partitions import camera_day_key, cameras, site


def _camera_days(context: dg.ScheduleEvaluationContext, date: dt.date) -> list[str]:
    known = context.instance.get_dynamic_partitions(cameras.name or "")
    return [camera_day_key(camera, date) for camera in known]


def _day(context: dg.ScheduleEvaluationContext, date: dt.date) -> list[str]:
    return [date.isoformat()]


def _net(name: str, job: Any, cron: str, days_ago: list[int], why: str) -> dg.ScheduleDefinition:
    """A schedule that rolls some of the last days again, of every camera where the job's partition is a camera-day."""
    keys = _camera_days if job is roll_hours else _day

    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=site().timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=why,
    )
    def roll(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        tick = context.scheduled_execution_time
        today = tick.astimezone(site().zone_info).date()
        return [
            dg.RunRequest(run_key=f"{tick.isoformat()}:{key}", partition_key=key)
            for ago in days_ago
            for key in keys(context, today - dt.timedelta(days=ago))
        ]

    return roll


_NIGHT = "Every night: the last two days again, whatever the automation did."
_HOUR = "Every hour: today so far, since a camera that never rests would otherwise wait for midnight."
schedules = [
    _net("hours_every_night", roll_hours, "15 3 * * *", [2, 1], _NIGHT),
    _net("days_every_night", roll_days, "45 3 * * *", [2, 1], _NIGHT),
    _net("hours_every_hour", roll_hours, "5 * * * *", [0], _HOUR),
    _net("days_every_hour", roll_days, "10 * * * *", [0], _HOUR),
]
