"""Camera-days run through Dagster in this process: what `pc process` and the demo do without a daemon.

The runs, their logs and materializations stand in the same Dagster instance that `pc up` shows.
"""

import datetime as dt
import io
import logging
import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pc_pipeline.embedded.process import disk_full, open_log
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.errors import NoSpace, ServiceError
from pc_pipeline.run_tags import PARTITION, PROCESS
from pc_pipeline.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

CameraDay = tuple[str, dt.date]

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
# Each round can make the neighbours of what it ran outstanding; chains end after a file or two.
_MAX_ROUNDS = 8
_NEIGHBOURS = dt.timedelta(days=2)
# How long Dagster keeps a connection to its storage, seconds.
_CONNECTION_S = 5


@dataclass
class Outcome:
    """What was run, and the sentences of what failed."""

    days: list[CameraDay] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@contextmanager
def dagster_instance(settings: Settings, endpoints: Endpoints) -> "Iterator[dg.DagsterInstance]":
    """The Dagster instance of `PC_HOME`; runs whose process has died are reported as failed first."""
    from pc_pipeline.embedded.instance import dagster_environment, make_tables

    os.environ.update(dagster_environment(settings, endpoints))
    import dagster as dg

    # Otherwise Dagster's tries to reach Postgres again go to stderr, each with all of SQLAlchemy's words.
    logging.getLogger().addHandler(logging.NullHandler())
    make_tables()
    with dg.DagsterInstance.get() as instance:
        # Otherwise each of the hundreds of queries of a run opens a connection. A young one is not yet lost.
        instance.optimize_for_webserver(statement_timeout=0, pool_recycle=_CONNECTION_S, max_overflow=20)
        report_dead_runs(instance)
        yield instance


def _this_process() -> str:
    """This process, told apart from a later one with its number by the time it started."""
    return f"{os.getpid()} {_started(os.getpid())}"


def _started(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def report_dead_runs(instance: "dg.DagsterInstance") -> int:
    """Report as failed the runs of `pc` commands whose process has died, and give back what they held of a pool.

    No code server watches over those processes: until somebody tells, their camera-day and the pool wait for them.
    Returns their number.
    """
    import dagster as dg

    unfinished = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.NOT_STARTED]
    dead = 0
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        pid, _, started = run.tags.get(PROCESS, "").partition(" ")
        if pid and _started(int(pid)) != started:
            instance.report_run_failed(run, "The process of this run was ended; what it had finished is kept.")
            if instance.event_log_storage.supports_global_concurrency_limits:
                instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            dead += 1
    return dead


def run_camera_days(
    instance: "dg.DagsterInstance",
    days: Iterable[CameraDay],
    *,
    show: Callable[[str, Any], None] | None = None,
    say: Callable[[str], None] = lambda line: None,
    resource: dict[str, Any] | None = None,
) -> Outcome:
    """Run camera-days, then whatever they made outstanding, then the hours and days they touch, then the cache.

    Args:
        instance: from `dagster_instance`.
        days: camera and local date.
        show: takes a video's path and how far its detection is, for a bar.
        say: takes a line on what is run.
        resource: settings of the `pipeline` resource that differ, such as `db_batch_size`.
    """
    from pc_pipeline.definitions import defs
    from pc_pipeline.defs.partitions import camera_day_key
    from pc_pipeline.defs.resources import Pipeline

    pipeline = Pipeline(**(resource or {})).showing(show) if show else Pipeline(**(resource or {}))
    outcome = Outcome()
    waiting = sorted(set(days), key=lambda day: (day[1], day[0]))
    instance.add_dynamic_partitions("cameras", sorted({camera for camera, _ in waiting}))
    if not waiting:
        say("nothing is outstanding: all there is has been counted")
    for _ in range(_MAX_ROUNDS):
        for camera, date in waiting:
            key = camera_day_key(camera, date)
            say(f"camera-day {camera} {date}{_in_the_way(instance, key)}")
            failure = execute(instance, defs.resolve_job_def("camera_day"), key, pipeline, say)
            outcome.days.append((camera, date))
            if failure:
                outcome.failures.append(f"{camera} {date}: {failure}")
        if outcome.failures:
            break
        to_decide, outstanding = _left(pipeline, {camera for camera, _ in outcome.days})
        waiting = sorted(
            to_decide | {day for day in outstanding if _beside(day, outcome.days)}, key=lambda day: (day[1], day[0])
        )
        if not waiting:
            if outstanding:
                say(f"{len(outstanding)} other camera-days are outstanding: `pc up` works them off")
            break
    touched = {(camera, date + dt.timedelta(days=n)) for camera, date in outcome.days for n in (0, 1)}
    touched |= _days_without_daily(pipeline, {camera for camera, _ in outcome.days})
    # Tomorrow is no partition yet.
    today = dt.datetime.now(pipeline.machine().zone).date()
    rolled = sorted((camera, date) for camera, date in touched if date <= today)
    say("hours, days and the dashboard's cache")
    for camera, date in rolled:
        execute(instance, defs.resolve_job_def("roll_hours"), camera_day_key(camera, date), pipeline, say, outcome)
    for date in sorted({date for _, date in rolled}):
        execute(instance, defs.resolve_job_def("roll_days"), date.isoformat(), pipeline, say, outcome)
    execute(instance, defs.resolve_job_def("refresh_dashboard_cache"), None, pipeline, say, outcome)
    execute(instance, defs.resolve_job_def("evaluate_alerts"), None, pipeline, say, outcome)
    return outcome


def _in_the_way(instance: "dg.DagsterInstance", key: str) -> str:
    """What a run of this camera-day has to wait for, as the end of a line; empty where nothing is in its way."""
    import dagster as dg

    from pc_pipeline.defs.pools import INFERENCE

    going = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    others = instance.get_runs(dg.RunsFilter(statuses=going, tags={PARTITION: key}), limit=1)
    if others:
        return f": waiting for run {others[0].run_id[:8]}, which is at it"
    if instance.event_log_storage.supports_global_concurrency_limits:
        pool = instance.event_log_storage.get_concurrency_info(INFERENCE)
        if pool.slot_count and pool.active_slot_count >= pool.slot_count:
            return ": its inference waits for the one that is going on (docs/pipeline.md)"
    return ""


def _beside(day: CameraDay, run: list[CameraDay]) -> bool:
    """Whether a day is one of those run, or so near that a chain of tracks ties them."""
    return any(day[0] == camera and abs(day[1] - date) <= _NEIGHBOURS for camera, date in run)


def _left(pipeline: Any, cameras: set[str]) -> tuple[set[CameraDay], set[CameraDay]]:
    """The camera-days with files whose standing is to be decided, and those outstanding from what is registered."""
    from pc_pipeline.stages.runner import outstanding_days
    from pc_pipeline.store.postgres import in_transaction
    from pc_pipeline.store.registry import days_to_decide

    machine = pipeline.machine()
    to_decide: set[CameraDay] = set()
    outstanding: set[CameraDay] = set()
    for camera in cameras:
        dates, _ = in_transaction(machine.dsn, partial(days_to_decide, camera=camera))
        to_decide |= {(camera, date) for date in dates}
        outstanding |= {(camera, date) for date in outstanding_days(machine, camera, rollups=False)}
    return to_decide, outstanding


def _days_without_daily(pipeline: Any, cameras: set[str]) -> set[CameraDay]:
    from pc_pipeline.store.postgres import in_transaction
    from pc_pipeline.store.registry import days_without_daily

    def read(connection: Any) -> set[CameraDay]:
        return {(camera, date) for camera in cameras for date in days_without_daily(connection, camera)}

    return in_transaction(pipeline.machine().dsn, read)[0]


@contextmanager
def _aside(log: Path) -> Iterator[None]:
    """What is said on stderr, such as by Dagster of events that it cannot store, and the stack trace of what is raised
    go to a log, as far as there is room for it."""
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            yield
    except Exception:
        traceback.print_exc(file=said)
        raise
    finally:
        if said.getvalue():
            with suppress(OSError), open_log(log) as file:
                file.write(said.getvalue().encode(errors="replace"))


def execute(
    instance: "dg.DagsterInstance",
    job: Any,
    key: str | None,
    pipeline: Any,
    say: Callable[[str], None],
    outcome: Outcome | None = None,
) -> str | None:
    """Run a job's partition here and say which checks fail; the sentence of what failed, if anything did.

    Raises:
        ServiceError: it failed, and the disk of PC_HOME is full, where no later run comes further.
        NoSpace: so is Postgres's.
    """
    from pc_pipeline.store.postgres import NO_ROOM, in_a_sentence

    home = Settings().home
    with _aside(home / "logs" / "runs.log"):
        result = job.execute_in_process(
            instance=instance,
            partition_key=key,
            run_config=_QUIET,
            raise_on_error=False,
            tags={PROCESS: _this_process()},
            resources={"pipeline": pipeline},
        )
    for check in result.get_asset_check_evaluations():
        if not check.passed:
            say(f"check {check.check_name} failed for {check.description or f'{key}: see its metadata'}")
    if result.success:
        return None
    if full := disk_full(home):
        raise ServiceError(full)
    sentences = [
        failure.user_failure_data.description
        if failure.user_failure_data
        else in_a_sentence((failure.error.cause or failure.error).message.strip())
        for failure in (event.step_failure_data for event in result.all_events if event.is_step_failure)
        if failure.user_failure_data or failure.error
    ]
    if any(NO_ROOM in sentence for sentence in sentences):
        raise NoSpace(f"Postgres: {NO_ROOM}")
    sentence = "; ".join(sentences) or f"run {result.run_id} failed"
    if outcome is not None:
        outcome.failures.append(sentence)
    return sentence
