"""What the sensors request: each camera-day once, again after a failure, at most a hundred at a time."""

import datetime as dt
import os
import time
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from pc_pipeline.defs.partitions import site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.defs.rollups.schedules import schedules
from pc_pipeline.defs.videos import sensors
from pc_pipeline.embedded.instance import dagster_environment
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.run_tags import SURPLUS
from pc_pipeline.settings import Settings
from pc_pipeline.stages.registration import register
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.store.registry import apply_site
from pc_pipeline_tests.stages.world import across, local

DAY = "2026-03-01"


@dataclass
class Site:
    """A watched folder, its database, and a real Dagster instance whose runs this test makes by hand."""

    instance: dg.DagsterInstance
    watch_dir: Path
    dsn: str

    def put(self, name: str, size: int = 1, age_s: float = 3600) -> None:
        path = self.watch_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
        os.utime(path, (time.time() - age_s,) * 2)

    def tick(self, sensor=sensors.video_files) -> dg.SensorResult:
        with dg.build_sensor_context(instance=self.instance, resources={"pipeline": Pipeline()}) as context:
            result = sensor(context)
        if isinstance(result, dg.SkipReason):
            return dg.SensorResult(skip_reason=result)
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
        return result

    def make_run(self, request: dg.RunRequest, status: dg.DagsterRunStatus, **more: str) -> None:
        """What the daemon makes of a request, and how that ended; `more` are tags that came to it."""
        tags = {**request.tags, "dagster/partition": str(request.partition_key), **more}
        self.instance.create_run_for_job(_nothing, tags=tags, status=status)


@dg.op
def _do_nothing() -> None:
    pass


@dg.job
def _nothing() -> None:
    _do_nothing()


@pytest.fixture
def camera_site(dsn, tmp_path, monkeypatch):
    watch_dir = tmp_path / "watch"
    watch_dir.mkdir()
    monkeypatch.setenv("PC_POSTGRES_DSN", dsn)
    monkeypatch.setenv("PC_REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("PC_WATCH_DIR", str(watch_dir))
    for name, value in dagster_environment(Settings(), Endpoints(dsn, None)).items():
        monkeypatch.setenv(name, value)
    in_transaction(dsn, lambda connection: apply_site(connection, site()))
    monkeypatch.setattr(sensors.Last, "pending", {})
    with dg.DagsterInstance.get() as instance:
        # Otherwise each of a run's dozens of queries opens a connection.
        instance.optimize_for_webserver(statement_timeout=0, pool_recycle=60, max_overflow=20)
        yield Site(instance, watch_dir, dsn)


def keys(result: dg.SensorResult) -> list[str]:
    return [str(request.partition_key) for request in result.run_requests or []]


def test_new_files_add_the_camera_and_request_each_camera_day_once(camera_site):
    for name in ("door_20260301_090000.mp4", "door_20260301_100000.mp4", "door_20260302_090000.mp4"):
        camera_site.put(name)
    result = camera_site.tick()
    assert keys(result) == [f"door|{DAY}", "door|2026-03-02"]
    assert camera_site.instance.get_dynamic_partitions("cameras") == ["door"]
    assert len({request.run_key for request in result.run_requests}) == 2
    assert camera_site.tick().dynamic_partitions_requests == []


def test_a_camera_day_that_ran_long_ago_is_not_asked_for_again_however_often_another_ran(camera_site):
    for name in ("door_20260301_090000.mp4", "door_20260302_090000.mp4"):
        camera_site.put(name)
    quiet, busy = camera_site.tick().run_requests
    camera_site.make_run(quiet, dg.DagsterRunStatus.SUCCESS)
    for _ in range(5):
        camera_site.make_run(busy, dg.DagsterRunStatus.SUCCESS)
    assert keys(camera_site.tick()) == []


def test_a_tick_after_another_sees_what_came_meanwhile(camera_site):
    camera_site.put("door_20260301_090000.mp4")
    (request,) = camera_site.tick().run_requests
    camera_site.make_run(request, dg.DagsterRunStatus.SUCCESS)
    _register(camera_site)
    camera_site.put("door/2026-03-02/09-00-00.mp4")
    assert keys(camera_site.tick()) == ["door|2026-03-02"]


def test_a_full_disk_uses_up_no_attempt(camera_site, monkeypatch):
    camera_site.put("door_20260301_090000.mp4")
    monkeypatch.setattr(sensors, "disk_full", lambda home: "the disk is full")
    for sensor in (sensors.video_files, sensors.outstanding_camera_days):
        result = camera_site.tick(sensor)
        assert keys(result) == [] and result.skip_reason.skip_message == "the disk is full"


def test_nothing_new_requests_nothing_and_says_so(camera_site):
    result = camera_site.tick()
    assert keys(result) == [] and "nothing new" in result.skip_reason.skip_message


def test_a_camera_of_the_site_file_is_a_partition_before_its_first_video(camera_site):
    assert keys(camera_site.tick(sensors.outstanding_camera_days)) == []
    assert camera_site.instance.get_dynamic_partitions("cameras") == ["door"]
    assert not camera_site.tick(sensors.outstanding_camera_days).dynamic_partitions_requests


def test_a_growing_file_waits(camera_site):
    camera_site.put("door_20260301_090000.mp4", age_s=0)
    result = camera_site.tick()
    assert keys(result) == [] and "1 files still growing" in result.skip_reason.skip_message
    ((path, (size, mtime, seen)),) = sensors.Last.pending.items()
    sensors.Last.pending = {path: (size, mtime, seen - 11)}
    assert keys(camera_site.tick()) == [f"door|{DAY}"]
    assert sensors.Last.pending == {}


def test_at_most_a_hundred_are_requested_at_a_time_and_the_others_follow(camera_site):
    start = dt.date(2025, 1, 1)
    names = [f"door_{start + dt.timedelta(days=n):%Y%m%d}_090000.mp4" for n in range(103)]
    for name in names:
        camera_site.put(name)
    first = camera_site.tick()
    assert len(keys(first)) == 100
    for request in first.run_requests:
        camera_site.make_run(request, dg.DagsterRunStatus.NOT_STARTED)
    assert len(keys(camera_site.tick())) == 3


@pytest.mark.parametrize(
    "status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
)
def test_a_camera_day_that_waits_or_runs_is_not_requested_again(camera_site, status):
    camera_site.put("door_20260301_090000.mp4")
    (request,) = camera_site.tick().run_requests
    camera_site.make_run(request, status)
    assert keys(camera_site.tick()) == []
    camera_site.put("door_20260301_100000.mp4")
    # One that runs already may have passed the new file by; one that waits has not begun to look.
    assert len(keys(camera_site.tick())) == (1 if status == dg.DagsterRunStatus.STARTED else 0)


def test_a_failed_run_is_asked_for_three_times_in_all_and_again_when_the_file_changes(camera_site):
    camera_site.put("door_20260301_090000.mp4")
    run_keys = set()
    for _ in range(3):
        (request,) = camera_site.tick().run_requests
        run_keys.add(request.run_key)
        camera_site.make_run(request, dg.DagsterRunStatus.FAILURE)
    assert len(run_keys) == 3, "Dagster passes over a run key it has seen"
    assert keys(camera_site.tick()) == []
    camera_site.put("door_20260301_090000.mp4", size=2)
    assert keys(camera_site.tick()) == [f"door|{DAY}"]


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED])
def test_a_run_that_succeeded_or_was_cancelled_is_not_asked_for_again(camera_site, status):
    camera_site.put("door_20260301_090000.mp4")
    (request,) = camera_site.tick().run_requests
    camera_site.make_run(request, status)
    assert keys(camera_site.tick()) == []


def test_a_run_that_made_way_for_another_in_the_queue_is_asked_for_again_should_that_have_failed(camera_site):
    camera_site.put("door_20260301_090000.mp4")
    (request,) = camera_site.tick().run_requests
    camera_site.make_run(request, dg.DagsterRunStatus.CANCELED, **{SURPLUS: "the run of a backfill"})
    assert keys(camera_site.tick()) == [f"door|{DAY}"]


def test_a_file_that_goes_and_comes_back_is_asked_for_each_time(camera_site):
    name = "door_20260301_090000.mp4"
    asked = []
    camera_site.put(name)
    away = camera_site.watch_dir / "away"
    for _ in range(2):
        asked += camera_site.tick().run_requests
        camera_site.make_run(asked[-1], dg.DagsterRunStatus.SUCCESS)
        _register(camera_site)
        (camera_site.watch_dir / name).rename(away)
        asked += camera_site.tick().run_requests
        camera_site.make_run(asked[-1], dg.DagsterRunStatus.SUCCESS)
        _register(camera_site)
        away.rename(camera_site.watch_dir / name)
    assert len({request.run_key for request in asked}) == 4


def _register(camera_site: Site) -> None:
    register(Pipeline().machine(), list(site().name_patterns), "door", dt.date.fromisoformat(DAY))


def test_what_can_have_no_partition_is_quarantined_and_a_camera_counts_once_it_is_configured(camera_site):
    camera_site.put("holiday.mp4")
    camera_site.put("gate_20260301_090000.mp4")
    result = camera_site.tick()
    assert keys(result) == [] and not result.dynamic_partitions_requests
    with_gate = site().model_copy(update={"cameras": {**site().cameras, "gate": site().cameras["door"]}})
    in_transaction(camera_site.dsn, lambda connection: apply_site(connection, with_gate))
    assert keys(camera_site.tick()) == [f"gate|{DAY}"]
    assert camera_site.instance.get_dynamic_partitions("cameras") == ["gate"]


def test_a_watched_folder_that_is_gone_or_a_database_that_is_away_is_one_sentence(camera_site, monkeypatch):
    camera_site.watch_dir.rmdir()
    assert "is not there: mount or create it" in camera_site.tick().skip_reason.skip_message
    camera_site.watch_dir.mkdir()
    monkeypatch.setenv("PC_POSTGRES_DSN", "postgresql://somebody@127.0.0.1:1/x")
    said = camera_site.tick().skip_reason.skip_message
    assert said.startswith("Postgres at 127.0.0.1:1/x: nothing answers there") and "\n" not in said


def test_the_hourly_schedule_asks_for_the_cameras_of_which_something_was_counted_and_the_nightly_one_for_all(
    worlds, monkeypatch
):
    world = worlds()
    monkeypatch.setenv("PC_POSTGRES_DSN", world.machine.dsn)
    asked: dict[str, list[str]] = {}
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("cameras", ["back", "door"])
        for day in (2, 10):
            world.film(local(f"2026-03-{day:02} 09:00:00"), across(30))
            world.run(dt.date(2026, 3, day))
        world.execute("UPDATE stage_ledger SET finished_at = finished_at - interval '11 minutes'")
        for name in ("hours_every_hour", "hours_every_night"):
            found = next(schedule for schedule in schedules if schedule.name == name)
            with dg.build_schedule_context(
                instance, dt.datetime(2026, 3, 10, 10, 5, tzinfo=dt.UTC), resources={"pipeline": Pipeline()}
            ) as context:
                asked[name] = [str(request.partition_key) for request in found(context)]
    assert asked["hours_every_hour"] == ["door|2026-03-10"]
    assert sorted(asked["hours_every_night"]) == sorted(
        ["door|2026-03-02", *(f"{camera}|2026-03-{day:02}" for camera in ("back", "door") for day in (8, 9))]
    ), "and the hours of an old day that nobody made"
