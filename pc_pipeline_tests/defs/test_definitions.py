"""What Dagster is given: the assets and their partitions, what follows what, and the whole graph run for real.

`asset_specs.txt` is the table of all assets; after a change that is meant:
`python -m pc_pipeline_tests.defs.test_definitions > pc_pipeline_tests/defs/asset_specs.txt`.
"""

import datetime as dt
import json
import os
import signal
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from pc_pipeline.definitions import defs
from pc_pipeline.defs.partitions import camera_day_key, camera_days, dates
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.local_run import dagster_instance, run_camera_days
from pc_pipeline.settings import Settings
from pc_pipeline.store import figures
from pc_pipeline.store.cache import Cache
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline_tests.clips import photographs_present, walking_person, write
from pc_pipeline_tests.conftest import SITE
from pc_pipeline_tests.stages.world import LONDON, World, assert_same_rows, local, new_world, start

SPECS = Path(__file__).with_name("asset_specs.txt")
MONDAY, TUESDAY, WEDNESDAY = (dt.date(2026, 3, day) for day in (2, 3, 4))


# ----------------------------------------------------------------------------------------------------- definitions


def spec_table() -> str:
    """Every asset in a few lines: what it hangs on, by which partitions, what starts it, and what it says of itself."""
    blocks = []
    checks = defs.resolve_asset_graph().asset_check_keys
    for spec in sorted(defs.resolve_all_asset_specs(), key=lambda spec: spec.key):
        lines = {
            "group": spec.group_name,
            "partitions": partitions_name(spec.partitions_def),
            "after": ", ".join(sorted(dep.asset_key.to_user_string() + _offset(dep) for dep in spec.deps)),
            "kinds": ", ".join(sorted(spec.kinds)),
            "code version": spec.code_version,
            "owners": ", ".join(spec.owners),
            "checked by": ", ".join(sorted(key.name for key in checks if key.asset_key == spec.key)),
            "starts": spec.automation_condition.get_label() if spec.automation_condition else None,
            "says": " ".join((spec.description or "").split()),
        }
        blocks.append("\n".join([spec.key.to_user_string(), *(f"  {k}: {v}" for k, v in lines.items() if v)]))
    return "\n\n".join(blocks) + "\n"


def partitions_name(partitions_def) -> str | None:
    return {camera_days: "camera-day", dates: "day"}.get(partitions_def) if partitions_def else None


def _offset(dep) -> str:
    return " (this day and the day before)" if isinstance(dep.partition_mapping, dg.MultiPartitionMapping) else ""


def test_the_assets_are_as_the_table_says():
    assert spec_table() == SPECS.read_text()


def test_all_that_watches_and_all_that_ticks_runs_by_itself():
    sensors = {sensor.name: sensor.default_status for sensor in defs.sensors or []}
    schedules = {schedule.name: schedule.default_status for schedule in defs.schedules or []}
    assert {"video_files", "outstanding_camera_days", "rollups_follow_counts"} <= set(sensors)
    assert {"hours_every_night", "days_every_night", "hours_every_hour", "days_every_hour"} <= set(schedules)
    assert set(sensors.values()) == {dg.DefaultSensorStatus.RUNNING}
    assert set(schedules.values()) == {dg.DefaultScheduleStatus.RUNNING}


def followers(asset: str, after: str, upstream, downstream, key: str) -> set[str]:
    """The partitions of `asset` that an update of one partition of `after` asks for."""
    mapping = defs.resolve_asset_graph().get(dg.AssetKey(asset)).partition_mappings[dg.AssetKey(after)]
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("cameras", ["back", "door"])
        subset = mapping.get_downstream_partitions_for_partitions(
            upstream.empty_subset().with_partition_keys([key]), upstream, downstream, dynamic_partitions_store=instance
        )
        return set(subset.get_partition_keys())


def test_a_camera_day_asks_for_its_own_and_the_next_days_hours_and_no_others():
    updated = camera_day_key("door", TUESDAY)
    expected = {camera_day_key("door", TUESDAY), camera_day_key("door", WEDNESDAY)}
    assert followers("hourly_statistics", "session_statistics", camera_days, camera_days, updated) == expected
    assert followers("track_links", "tracks", camera_days, camera_days, updated) == expected
    assert followers("daily_statistics", "hourly_statistics", camera_days, dates, updated) == {"2026-03-03"}


def test_today_is_a_partition_and_tomorrow_is_none():
    before = dt.datetime.now(LONDON).date()
    last = dates.get_last_partition_key()
    assert before.isoformat() <= last <= dt.datetime.now(LONDON).date().isoformat()  # it may be midnight now
    assert dates.get_first_partition_key() == "2009-01-01"


# -------------------------------------------------------------------------------------------------- the whole graph


def run_by_dagster(environment: dict[str, str]) -> list[str]:
    os.environ.update(environment)
    found = Endpoints(environment["PC_POSTGRES_DSN"], environment["PC_REDIS_URL"])
    with dagster_instance(Settings(), found) as instance:
        return run_camera_days(instance, [("door", TUESDAY), ("door", MONDAY)]).failures


@pytest.fixture
def site(dsn, redis_url, tmp_path, monkeypatch):
    """A PC_HOME with a video late on Monday and one, of a person who walks in, on Tuesday; their site applied."""
    if not photographs_present():
        pytest.skip("ultralytics' photographs are not here")
    watched = tmp_path / "watch" / "door"
    walking_person(watched / "2026-03-03" / "09-00-00.mp4")
    write(watched / "2026-03-02" / "23-59-59.mp4")
    (tmp_path / "site.yaml").write_text(SITE)
    environment = {
        "PC_HOME": str(tmp_path),
        "PC_WATCH_DIR": str(tmp_path / "watch"),
        "PC_POSTGRES_DSN": dsn,
        "PC_REDIS_URL": redis_url,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in ("DAGSTER_HOME", "PC_MODELS_DIR", "PC_DAGSTER_POSTGRES_URL"):  # which a run sets for its process
        monkeypatch.setenv(name, os.environ.get(name, ""))
    return environment


def as_world(dsn: str, folder: Path) -> World:
    """The same camera, configured alike, without Dagster."""
    world = new_world(dsn, folder)
    hall = [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]
    world.apply(zones={"hall": hall}, detector={"model": "hog", "confidence": 0.3, "sample_every": 0.1})
    return world


def test_the_whole_graph_killed_and_run_again(site, tmp_path, worlds):
    world = as_world(site["PC_POSTGRES_DSN"], tmp_path)
    killed = start(run_by_dagster, site)
    deadline = time.monotonic() + 120
    while not any(stage == "tracks" for _, stage in world.ledger()):
        assert killed.is_alive() and time.monotonic() < deadline
        time.sleep(0.02)
    killed.kill()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert world.outstanding()

    assert run_by_dagster(site) == []
    assert not world.outstanding()

    # Without Dagster, from the same files: the same rows.
    plain = as_world(worlds().machine.dsn, tmp_path / "plain")
    for name in ("2026-03-02 23:59:59", "2026-03-03 09:00:00"):
        date, _, time_of_day = name.partition(" ")
        plain.add_file(local(name), tmp_path / "watch" / "door" / date / f"{time_of_day.replace(':', '-')}.mp4")
    plain.settle()
    assert_same_rows(world.machine.dsn, plain.machine.dsn)
    assert plain.rows("SELECT date, entered, exited, unique_total FROM daily_statistics ORDER BY date") == [
        (MONDAY, 0, 0, 0),
        (TUESDAY, 1, 0, 1),
    ]
    _redis_says_what_postgres_says(world.machine.dsn, Cache(site["PC_REDIS_URL"]))
    _every_asset_is_materialized(site)


def _redis_says_what_postgres_says(dsn: str, cache: Cache) -> None:
    today = dt.datetime.now(LONDON).date()
    tables = {
        ("summary",): lambda c: figures.summary(c, LONDON, today),
        ("summary", "door"): lambda c: figures.summary(c, LONDON, today, "door"),
        ("tracks", "recent"): lambda c: figures.tracks(c, LONDON, 50),
        ("hourly", "door", TUESDAY): lambda c: figures.hourly(c, "door", TUESDAY),
        ("daily", MONDAY): lambda c: figures.daily(c, None, MONDAY),
        ("daily", TUESDAY): lambda c: figures.daily(c, None, TUESDAY),
    }
    for key, read in tables.items():
        expected = json.loads(json.dumps(in_transaction(dsn, read)[0], default=str))
        assert cache.get_json(*key) == expected, key


def _every_asset_is_materialized(site: dict[str, str]) -> None:
    found = Endpoints(site["PC_POSTGRES_DSN"], site["PC_REDIS_URL"])
    with dagster_instance(Settings(), found) as instance:
        statuses = sorted(run.status.value for run in instance.get_runs())
        assert statuses.count("FAILURE") == 1  # the one that was killed
        assert set(statuses) == {"FAILURE", "SUCCESS"}
        for spec in defs.resolve_all_asset_specs():
            event = instance.get_latest_materialization_event(spec.key)
            assert event is not None, spec.key
        for check in defs.resolve_asset_graph().asset_check_keys:
            (record,) = instance.event_log_storage.get_latest_asset_check_execution_by_key([check]).values()
            assert record.status.value == "SUCCEEDED", check
        hours = instance.get_materialized_partitions(dg.AssetKey("hourly_statistics"))
        assert hours == {camera_day_key("door", date) for date in (MONDAY, TUESDAY, WEDNESDAY)}
        # Redis away: a warning, and no failed run.
        os.environ["PC_REDIS_URL"] = "redis://127.0.0.1:1/0"
        assert defs.resolve_job_def("refresh_dashboard_cache").execute_in_process(instance=instance).success
        event = instance.get_latest_materialization_event(dg.AssetKey("dashboard_cache"))
        shown = event.asset_materialization.metadata
        assert (shown["keys written"].value, shown["keys missed"].value) == (0, 8)


if __name__ == "__main__":
    sys.stdout.write(spec_table())
