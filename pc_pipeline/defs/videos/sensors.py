"""Two sensors: one sees files come, change and go; the other sees what the ledger calls outstanding."""

import datetime as dt
import json
from collections.abc import Iterable
from itertools import takewhile

import dagster as dg

from pc_pipeline.defs.jobs import camera_day
from pc_pipeline.defs.partitions import camera_day_key, cameras, site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.errors import UserError

MAX_REQUESTS = 100
_MAX_ATTEMPTS = 3
_PARTITION = "dagster/partition"
# On a run: the hash of what was asked for, and the sensor that did.
_ASKED, _ASKED_BY = "pc/asked", "pc/asked_by"
_QUEUED = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
_RUNNING = [*_QUEUED, dg.DagsterRunStatus.STARTED]


def _requests(
    instance: dg.DagsterInstance,
    sensor: str,
    days: Iterable[tuple[tuple[str, dt.date], str]],
    busy: list[dg.DagsterRunStatus],
) -> list[dg.RunRequest]:
    """A run for each camera-day that has none waiting; after a failed one, again, up to three times in all.

    What this sensor's last run of a camera-day was asked for is not asked for again, unless it failed. Only the last
    run tells: a line moved there and back, or a file removed and put back, asks for the same a second time.
    """
    waiting = {run.tags.get(_PARTITION) for run in instance.get_runs(dg.RunsFilter(statuses=busy))}
    requests: list[dg.RunRequest] = []
    for (camera, date), asked in days:
        if len(requests) == MAX_REQUESTS:
            break
        key = camera_day_key(camera, date)
        if key in waiting:
            continue
        mine = {_PARTITION: key, _ASKED_BY: sensor}
        last = instance.get_runs(dg.RunsFilter(tags=mine), limit=_MAX_ATTEMPTS)
        alike = list(takewhile(lambda run, asked=asked: run.tags.get(_ASKED) == asked, last))  # type: ignore[misc]
        if len(alike) == _MAX_ATTEMPTS or (alike and alike[0].status != dg.DagsterRunStatus.FAILURE):
            continue
        after = last[0].run_id if last else "first"
        tags = {_ASKED: asked, _ASKED_BY: sensor}
        requests.append(
            dg.RunRequest(run_key=f"{key}:{asked}:{after}", partition_key=key, tags=tags, job_name=camera_day.name)
        )
    return requests


@dg.sensor(
    job=camera_day,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Watches the folder cameras record into. A file that has stopped growing asks for its camera-day.",
)
def video_files(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult | dg.SkipReason:
    """Request the camera-days of files that are new, changed or gone; the cursor holds the files still growing."""
    from pc_pipeline.stages.arrivals import look

    pending = {path: tuple(facts) for path, facts in json.loads(context.cursor or "{}").items()}
    try:
        arrivals = look(pipeline.machine(context), site(), pending, dt.datetime.now(dt.UTC))
    except UserError as error:
        return dg.SkipReason(str(error))
    requests = _requests(context.instance, video_files.name, arrivals.days.items(), _QUEUED)
    known = set(context.instance.get_dynamic_partitions(cameras.name or ""))
    new = sorted({camera for camera, _ in arrivals.days} - known)
    for row in arrivals.quarantined:
        context.log.warning(f"quarantined {row.path}: {row.reason}")
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[cameras.build_add_request(new)] if new else [],
        cursor=json.dumps(arrivals.pending),
        skip_reason=None if requests else f"nothing new; {len(arrivals.pending)} files still growing",
    )


@dg.sensor(
    job=camera_day,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for every camera-day the ledger calls outstanding: a line, model or neighbouring file changed,"
    " or a run died.",
)
def outstanding_camera_days(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult | dg.SkipReason:
    """Request the camera-days whose fingerprints are not what they should be now."""
    from pc_pipeline.stages.runner import outstanding_days

    days: dict[tuple[str, dt.date], str] = {}
    problems = []
    try:
        machine = pipeline.machine(context)
        for camera in context.instance.get_dynamic_partitions(cameras.name or ""):
            try:
                days |= {(camera, date): why for date, why in outstanding_days(machine, camera).items()}
            except UserError as error:
                problems.append(f"{camera}: {error}")
    except UserError as error:
        return dg.SkipReason(str(error))
    requests = _requests(context.instance, outstanding_camera_days.name, sorted(days.items()), _RUNNING)
    return dg.SensorResult(
        run_requests=requests, skip_reason=None if requests else "; ".join(problems) or "nothing is outstanding"
    )
