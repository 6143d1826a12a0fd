"""The queue of runs, as `dagster.yaml` configures it: one run a camera-day, one waiting, one inference at a time."""

import datetime as dt
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from pc_pipeline.definitions import defs
from pc_pipeline.defs.partitions import camera_day_key
from pc_pipeline.defs.pools import INFERENCE
from pc_pipeline.embedded.instance import dagster_environment
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.local_run import report_dead_runs
from pc_pipeline.run_tags import SURPLUS
from pc_pipeline.settings import Settings
from pc_pipeline.store.postgres import alone, connect

MONDAY, TUESDAY, WEDNESDAY = (camera_day_key("door", dt.date(2026, 3, day)) for day in (2, 3, 4))
COUNTED = ["videos", "raw_detections"]
QUEUED, CANCELED = dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.CANCELED


_CODE = RepositoryPythonOrigin(
    sys.executable, ModuleCodePointer("pc_pipeline.definitions", "defs"), entry_point=["dagster"]
)
_REPOSITORY = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("pc_pipeline"), "__repository__")


class Queue:
    """A real instance of our `dagster.yaml`, whose runs nobody launches."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance

    def submit(self, key: str, assets: list[str] | None = None, job: str = "camera_day", **tags: str) -> dg.DagsterRun:
        """What a sensor (`camera_day`), the UI or the automation (some assets), or a backfill submits."""
        definition = defs.resolve_implicit_global_asset_job_def() if assets else defs.resolve_job_def(job)
        selection = {dg.AssetKey(name) for name in assets} if assets else None
        subset = definition.get_subset(asset_selection=selection) if selection else definition
        run = self.instance.create_run_for_job(
            subset,
            asset_selection=selection,
            tags={"dagster/partition": str(key), **tags},
            remote_job_origin=RemoteJobOrigin(_REPOSITORY, definition.name),
            job_code_origin=JobPythonOrigin(definition.name, _CODE),
        )
        return self.instance.run_coordinator.submit_run(SubmitRunContext(run, workspace=None))  # type: ignore[arg-type]

    def standing(self, *runs: dg.DagsterRun) -> list[dg.DagsterRunStatus]:
        return [found.status for run in runs if (found := self.instance.get_run_by_id(run.run_id))]

    def next(self) -> list[str]:
        """The runs the daemon would launch now."""
        daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
        found = daemon._get_runs_to_dequeue(self.instance, self.instance.get_concurrency_config(), None)
        return [run.run_id for run in found]


@pytest.fixture
def queue(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    for name, value in dagster_environment(Settings(), Endpoints(dsn, None)).items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as instance:
        # Otherwise each of a run's dozens of queries opens a connection.
        instance.optimize_for_webserver(statement_timeout=0, pool_recycle=60, max_overflow=20)
        instance.add_dynamic_partitions("cameras", ["door"])
        yield Queue(instance)


def test_of_two_requests_for_the_same_work_one_waits_and_the_other_says_which(queue):
    first, second = queue.submit(MONDAY), queue.submit(MONDAY)
    assert queue.standing(first, second) == [QUEUED, CANCELED]
    said = [event.message for event in queue.instance.all_logs(second.run_id) if event.dagster_event]
    assert any(f"run {first.run_id[:8]} waits for {MONDAY} already" in text for text in said)
    assert queue.instance.get_run_by_id(second.run_id).tags[SURPLUS] == first.run_id
    other_day, other_work = queue.submit(TUESDAY), queue.submit(MONDAY, job="roll_hours")
    assert queue.standing(other_day, other_work) == [QUEUED, QUEUED]


def test_a_part_of_what_waits_is_surplus_whichever_came_first(queue):
    part = queue.submit(MONDAY, COUNTED)
    whole = queue.submit(MONDAY)
    again = queue.submit(MONDAY, COUNTED)
    assert queue.standing(part, whole, again) == [CANCELED, QUEUED, CANCELED]


def test_what_runs_already_may_have_passed_the_new_file_by_so_one_more_waits(queue):
    going = queue.submit(MONDAY)
    queue.instance.handle_new_event(_started(going))
    later, surplus = queue.submit(MONDAY), queue.submit(MONDAY)
    assert queue.standing(later, surplus) == [QUEUED, CANCELED]
    assert queue.next() == [], "never two runs on one camera-day"


def test_a_backfill_keeps_its_runs_for_it_calls_a_canceled_one_failed(queue):
    sensor = queue.submit(MONDAY)
    backfill = queue.submit(MONDAY, **{"dagster/backfill": "one"})
    other = queue.submit(MONDAY, **{"dagster/backfill": "two"})
    assert queue.standing(sensor, backfill, other) == [CANCELED, QUEUED, QUEUED]


def test_today_and_what_somebody_starts_go_before_months_of_history(queue):
    today = camera_day_key("door", dt.datetime.now(dt.UTC).date())
    one, other = queue.submit(MONDAY, **{"dagster/backfill": "b", "dagster/from_ui": "true"}), queue.submit(TUESDAY)
    by_hand = queue.submit(WEDNESDAY, **{"dagster/from_ui": "true"})
    live = queue.submit(today)
    assert queue.next() == [by_hand.run_id, live.run_id], "two with inference at once"
    for run in (by_hand, live):
        queue.instance.report_run_canceled(queue.instance.get_run_by_id(run.run_id))
    assert queue.next() == [one.run_id, other.run_id]
    again = queue.submit(TUESDAY, **{"dagster/from_ui": "true"})
    assert queue.standing(again) == [CANCELED], "it waits already"
    assert queue.next() == [other.run_id, one.run_id], "and goes first now"


def test_a_code_server_that_is_away_for_a_minute_costs_no_run_its_place(queue, monkeypatch):
    def away(self, context):
        raise DagsterUserCodeUnreachableError("Could not reach user code server")

    runs = [queue.submit(key) for key in (MONDAY, TUESDAY)]
    monkeypatch.setattr(type(queue.instance.run_launcher), "launch_run", away)
    daemon, limits = QueuedRunCoordinatorDaemon(interval_seconds=1), queue.instance.get_concurrency_config()
    now = time.time()
    for seconds in range(0, 61, 11):
        for run in runs:
            assert not daemon._dequeue_run(queue.instance, None, run, limits, now + seconds)  # type: ignore[arg-type]
    assert queue.standing(*runs) == [QUEUED, QUEUED]
    assert queue.next() == [run.run_id for run in runs]


def test_two_count_while_another_rolls_up(queue):
    counting = [queue.submit(key) for key in (MONDAY, TUESDAY, WEDNESDAY)]
    rolling = queue.submit(camera_day_key("door", dt.date(2026, 2, 1)), job="roll_hours")
    assert queue.next() == [counting[0].run_id, counting[1].run_id, rolling.run_id]


def test_inference_is_in_a_pool_of_one_and_nothing_else_is():
    pools = {node.key.to_user_string(): node.pools for node in defs.resolve_asset_graph().asset_nodes}
    assert {name for name, held in pools.items() if held} == {"raw_detections", "track_genders"}


def test_what_a_killed_process_held_of_the_pool_is_given_back(queue):
    storage = queue.instance.event_log_storage
    ended = queue.instance.create_run_for_job(
        defs.resolve_job_def("camera_day"),
        tags={"dagster/partition": str(MONDAY), "dagster/pc_process": "999999999 1"},
        status=dg.DagsterRunStatus.STARTED,
    )
    storage.initialize_concurrency_limit_to_default(INFERENCE)
    assert storage.claim_concurrency_slot(INFERENCE, ended.run_id, "raw_detections").is_claimed
    mine = queue.submit(TUESDAY)
    assert not storage.claim_concurrency_slot(INFERENCE, mine.run_id, "raw_detections").is_claimed
    assert report_dead_runs(queue.instance) == 1
    assert storage.claim_concurrency_slot(INFERENCE, mine.run_id, "raw_detections").is_claimed


def test_the_process_beside_the_queue_waits_for_its_turn_at_a_camera_day_and_says_so(dsn):
    said: list[str] = []
    order: list[str] = []
    told = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        told.set()

    def second() -> None:
        with alone(dsn, "door|2026-03-02", say, poll_s=0.01):
            order.append("second")

    with alone(dsn, "door|2026-03-02", said.append):
        with alone(dsn, "door|2026-03-03", said.append):
            assert said == [], "another day is no hindrance"
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(30)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"] and said == ["waiting: another run is at door|2026-03-02"]


def test_who_waits_for_its_turn_waits_on_when_the_server_was_restarted_meanwhile(dsn):
    order: list[str] = []
    told = threading.Event()

    def second() -> None:
        with alone(dsn, MONDAY, lambda line: told.set(), poll_s=0.01):
            order.append("second")

    with alone(dsn, MONDAY, order.append), closing(connect(dsn)) as other, other.cursor() as cursor:
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(30)
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query LIKE '%try_advisory_lock%'"
            " AND pid <> pg_backend_pid() AND datname = current_database()"
            " AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted)"
        )
        assert cursor.fetchall() == [(True,)]
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]


def _started(run: dg.DagsterRun) -> dg.EventLogEntry:
    from dagster._core.events import DagsterEvent, DagsterEventType

    event = DagsterEvent(DagsterEventType.RUN_START.value, run.job_name)
    return dg.EventLogEntry(
        error_info=None, level=10, user_message="", run_id=run.run_id, timestamp=0.0, job_name=run.job_name,
        dagster_event=event,
    )  # fmt: skip
