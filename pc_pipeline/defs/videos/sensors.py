"""Two sensors: one sees files come, change and go; the other sees what the ledger calls outstanding."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

import dagster as dg

from pc_pipeline.defs.jobs import camera_day
from pc_pipeline.defs.launcher import report_lost_starts
from pc_pipeline.defs.partitions import camera_day_key, cameras, site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.embedded.process import disk_full
from pc_pipeline.errors import UserError
from pc_pipeline.ingest.names import one_line
from pc_pipeline.run_tags import ASKED, ASKED_BY, PARTITION, SURPLUS
from pc_pipeline.settings import Settings

if TYPE_CHECKING:
    from pc_pipeline.stages.arrivals import Memory, Pending
    from pc_pipeline.stages.runner import Examined

MAX_REQUESTS = 100
_MAX_ATTEMPTS = 3
# Dagster gives a tick a minute.
_LONGEST_S = 30.0
# Camera-days whose runs are looked up at once.
_TOGETHER = 500
_QUEUED = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
_RUNNING = [*_QUEUED, dg.DagsterRunStatus.STARTED]


class Last:
    """What this process's last ticks left, to make the next ones short. It may be lost."""

    look: "Memory | None" = None
    # Not in the cursor, where months of video that are copied in at once would be megabytes a tick.
    pending: "ClassVar[Pending]" = {}
    examined: "Mapping[str, Examined] | None" = None


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
    requests: list[dg.RunRequest] = []
    left = iter(days)
    while len(requests) < MAX_REQUESTS and (some := list(islice(left, _TOGETHER))):
        asked_of = {camera_day_key(camera, date): asked for (camera, date), asked in some}
        unfinished = dg.RunsFilter(statuses=busy, tags={PARTITION: list(asked_of)})
        for run in instance.get_runs(unfinished):
            asked_of.pop(run.tags[PARTITION], None)  # type: ignore[call-overload]
        last = _last_runs(instance, sensor, list(asked_of))
        for key, asked in asked_of.items():
            if _is_answered(instance, sensor, key, asked, last.get(key)):
                continue
            after = last[key].run_id if key in last else "first"
            tags = {ASKED: asked, ASKED_BY: sensor}
            requests.append(
                dg.RunRequest(run_key=f"{key}:{asked}:{after}", partition_key=key, tags=tags, job_name=camera_day.name)
            )
    return requests[:MAX_REQUESTS]


def _last_runs(instance: dg.DagsterInstance, sensor: str, keys: Sequence[str]) -> dict[str, dg.DagsterRun]:
    """The last run of each camera-day that this sensor asked for, from as few queries as can be."""
    if not keys:
        return {}
    enough = 2 * len(keys)
    of_all = dg.RunsFilter(tags={PARTITION: keys, ASKED_BY: sensor})
    last: dict[str, dg.DagsterRun] = {}
    found = instance.get_runs(of_all, limit=enough)
    for run in found:
        last.setdefault(run.tags[PARTITION], run)
    # What ran often of late may hide the others.
    hidden = [key for key in keys if key not in last] if len(found) == enough else []
    for key in hidden:
        for run in instance.get_runs(dg.RunsFilter(tags={PARTITION: key, ASKED_BY: sensor}), limit=1):
            last[key] = run
    return last


def _is_answered(instance: dg.DagsterInstance, sensor: str, key: str, asked: str, last: dg.DagsterRun | None) -> bool:
    """Whether the last run was asked for the same, and did not fail, or failed as often as is tried.

    One that made way for another run in the queue is no answer: the other may have failed.
    """
    if last is None or last.tags.get(ASKED) != asked or SURPLUS in last.tags:
        return False
    if last.status != dg.DagsterRunStatus.FAILURE:
        return True
    mine = instance.get_runs(dg.RunsFilter(tags={PARTITION: key, ASKED_BY: sensor}), limit=_MAX_ATTEMPTS)
    return len(mine) == _MAX_ATTEMPTS and all(run.tags.get(ASKED) == asked for run in mine)


@dg.sensor(
    job=camera_day,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Watches the folder cameras record into. A file that has stopped growing asks for its camera-day.",
)
def video_files(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult | dg.SkipReason:
    """Request the camera-days of files that are new, changed or gone."""
    from pc_pipeline.stages.arrivals import look

    if full := disk_full(Settings().home):
        return dg.SkipReason(full)
    try:
        arrivals = look(pipeline.machine(context), site(), Last.pending, dt.datetime.now(dt.UTC), Last.look)
    except UserError as error:
        return dg.SkipReason(str(error))
    Last.look, Last.pending = arrivals.memory, arrivals.pending
    requests = _requests(context.instance, video_files.name, arrivals.days.items(), _QUEUED)
    known = context.instance.get_dynamic_partitions(cameras.name or "") if arrivals.days else []
    new = sorted({camera for camera, _ in arrivals.days} - set(known))
    for row in arrivals.quarantined:
        context.log.warning(one_line(f"quarantined {row.path}: {row.reason}"))
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[cameras.build_add_request(new)] if new else [],
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
    """Request the camera-days whose fingerprints are not what they should be now; new cameras become partitions."""
    from pc_pipeline.local_run import report_dead_runs
    from pc_pipeline.stages.runner import outstanding

    report_dead_runs(context.instance)
    report_lost_starts(context.instance)
    # Nobody would ask again once three runs had found no room.
    if full := disk_full(Settings().home):
        return dg.SkipReason(full)
    known = context.instance.get_dynamic_partitions(cameras.name or "")
    try:
        found = outstanding(pipeline.machine(context), known, Last.examined, _LONGEST_S)
    except UserError as error:
        return dg.SkipReason(str(error))
    Last.examined = found.examined
    new = sorted(set(site().cameras) - set(known))
    if found.left:
        context.log.info(f"no time for {len(found.left)} cameras; they come first at the next tick")
    requests = _requests(context.instance, outstanding_camera_days.name, sorted(found.days.items()), _RUNNING)
    return dg.SensorResult(
        run_requests=requests,
        # Before their first file comes too: somebody may want to backfill what is copied in.
        dynamic_partitions_requests=[cameras.build_add_request(new)] if new else [],
        skip_reason=None if requests else "; ".join(found.problems) or "nothing is outstanding",
    )
