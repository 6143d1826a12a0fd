"""What the rollups follow: each change once, however old and whenever it comes; and the nights, which find the rest."""

import datetime as dt
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._utils.schedules import schedule_execution_time_iterator

from pc_pipeline.definitions import defs
from pc_pipeline.defs.partitions import camera_day_key
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.defs.rollups.schedules import schedules
from pc_pipeline.store import rollups
from pc_pipeline.store.postgres import connect
from pc_pipeline_tests.stages.world import LONDON, local
from pc_pipeline_tests.store.recorded import add_recording

HOURS, DAYS, CACHE = (dg.AssetKey(name) for name in ("hourly_statistics", "daily_statistics", "dashboard_cache"))
MONDAY, TUESDAY, WEDNESDAY = (dt.date(2026, 3, day) for day in (2, 3, 4))
DAY = dt.timedelta(days=1)
SPRING = dt.date(2026, 3, 29)
"""The clocks go forward: 23 hours."""


@dataclass
class Automation:
    """The automation's own evaluation, tick by tick, over an instance of its own."""

    instance: dg.DagsterInstance
    cursor: Any = None
    going: list[dg.DagsterRun] = field(default_factory=list)

    def made(self, asset: str, partition: str | None, version: str = "1") -> None:
        """A materialization, however it came about."""
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(asset, partition=partition, tags={DATA_VERSION_TAG: version})
        )

    def counted(self, camera: str, date: dt.date) -> None:
        self.made("session_statistics", camera_day_key(camera, date))

    def rolled(self, camera: str, date: dt.date, version: str = "1") -> None:
        self.made("hourly_statistics", camera_day_key(camera, date), version)

    def begin(self, asset: dg.AssetKey, partition: str) -> dg.DagsterRun:
        """A run that was asked for and has made nothing yet."""
        return self.instance.create_run_for_job(
            defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={asset}),
            asset_selection={asset},
            tags={"dagster/partition": partition},
            status=dg.DagsterRunStatus.STARTED,
        )

    def end(self, run: dg.DagsterRun) -> None:
        self.instance.report_run_canceled(run)

    def tick(self) -> dict[dg.AssetKey, set[str]]:
        """What is asked for, by asset; the cache has no partition, and is asked for by an empty name."""
        rollups_and_cache = dg.AssetSelection.assets(HOURS, DAYS, CACHE)
        result = dg.evaluate_automation_conditions(
            defs, self.instance, asset_selection=rollups_and_cache, cursor=self.cursor
        )
        self.cursor = result.cursor
        asked = {key: {str(k or "") for k in result.get_requested_partitions(key)} for key in (HOURS, DAYS, CACHE)}
        return {key: keys for key, keys in asked.items() if keys}


@pytest.fixture
def automation() -> Iterator[Automation]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("cameras", ["back", "door"])
        found = Automation(instance)
        assert found.tick() == {}
        yield found


def days(camera: str, *dates: dt.date) -> set[str]:
    return {str(camera_day_key(camera, date)) for date in dates}


def test_an_old_camera_day_asks_for_its_hours_and_the_next_days_and_those_for_their_day(automation):
    automation.counted("door", MONDAY)
    assert automation.tick() == {HOURS: days("door", MONDAY, TUESDAY)}
    assert automation.tick() == {}
    automation.rolled("door", MONDAY)
    automation.rolled("door", TUESDAY)
    assert automation.tick() == {DAYS: {str(MONDAY), str(TUESDAY)}, CACHE: {""}}
    automation.made("daily_statistics", str(MONDAY))
    automation.made("daily_statistics", str(TUESDAY))
    assert automation.tick() == {CACHE: {""}}
    assert automation.tick() == {}
    # A late file of Monday: Tuesday's hours come out as before, and its day is left alone.
    automation.counted("door", MONDAY)
    assert automation.tick() == {HOURS: days("door", MONDAY, TUESDAY)}
    automation.rolled("door", MONDAY, "2")
    automation.rolled("door", TUESDAY)
    assert automation.tick() == {DAYS: {str(MONDAY)}, CACHE: {""}}


def test_a_change_in_the_tick_after_the_request_is_asked_for_again(automation):
    automation.counted("door", MONDAY)
    assert automation.tick() == {HOURS: days("door", MONDAY, TUESDAY)}
    automation.counted("door", MONDAY)
    assert automation.tick() == {HOURS: days("door", MONDAY, TUESDAY)}
    assert automation.tick() == {}


def test_a_second_camera_whose_hours_come_while_the_day_is_made_is_not_forgotten(automation):
    automation.rolled("door", MONDAY)
    assert automation.tick()[DAYS] == {str(MONDAY)}
    day = automation.begin(DAYS, str(MONDAY))
    automation.rolled("back", MONDAY)
    assert DAYS not in automation.tick(), "one at a time"
    automation.made("daily_statistics", str(MONDAY))
    automation.end(day)
    assert automation.tick()[DAYS] == {str(MONDAY)}
    assert DAYS not in automation.tick()


def test_what_a_schedule_or_a_person_made_meanwhile_is_not_asked_for_again(automation):
    automation.counted("door", MONDAY)
    held = automation.begin(HOURS, camera_day_key("door", MONDAY))
    also = automation.begin(HOURS, camera_day_key("door", TUESDAY))
    # Changed before they began to run, as far as the automation can see: asked for when they end.
    assert automation.tick() == {}
    for run in (held, also):
        automation.end(run)
    assert automation.tick() == {HOURS: days("door", MONDAY, TUESDAY)}
    automation.rolled("door", MONDAY)
    automation.rolled("door", TUESDAY)
    assert HOURS not in automation.tick()
    automation.counted("back", MONDAY)
    automation.rolled("back", MONDAY)
    automation.rolled("back", TUESDAY)
    automation.tick()
    assert HOURS not in automation.tick()


# ------------------------------------------------------------------------------------------------ a simulated fortnight


class Fortnight:
    """Recordings that come at random, late, double and recounted; rollups that are slow or fail; and the nights."""

    def __init__(self, dsn: str, automation: Automation, seed: int) -> None:
        self.connection = connect(dsn)
        self.automation = automation
        self.random = random.Random(seed)
        self.slow: list[tuple[dg.AssetKey, str, dg.DagsterRun, str]] = []
        self.videos: dict[int, tuple[str, dt.date]] = {}
        self.runs = 0

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def arrive(self, today: dt.date) -> None:
        """A file of the last days, often late; some run past midnight or through the change of the clocks."""
        camera = self.random.choice(["back", "door"])
        date = today - self.random.choice([0, 0, 1, 1, 2, 5, 9]) * DAY
        start = local(f"{date} {self.random.choice(['00:20', '01:10', '03:05', '09:00', '17:40', '23:30'])}:00")
        identity = int(start.timestamp()) * 2 + (camera == "door")
        if identity in self.videos:
            self.execute(
                "DELETE FROM people_movements WHERE (video_id, track_id) IN (SELECT video_id, max(track_id)"
                " FROM people_movements WHERE video_id = %s GROUP BY 1)", identity,
            )  # fmt: skip
        else:
            end = start + dt.timedelta(minutes=self.random.choice([15, 55, 100]))
            people = [(start + n * (end - start) / 5, start + (n + 1) * (end - start) / 5, n % 3) for n in range(4)]
            moved = [(first, n + 1, self.random.choice(["in", "out"])) for n, (first, _, _) in enumerate(people)]
            add_recording(self.connection, identity, start, end, LONDON, people, moved, camera=camera)
            self.videos[identity] = camera, date
        self.execute(
            "INSERT INTO stage_ledger (video_id, stage, fingerprint, status, code_version)"
            " VALUES (%s, 'session_statistics', %s, 'done', '1') ON CONFLICT (video_id, stage)"
            " DO UPDATE SET fingerprint = EXCLUDED.fingerprint, finished_at = now()",
            identity, str(self.random.random()),
        )  # fmt: skip
        self.connection.commit()
        self.automation.counted(camera, date)

    def run(self, asked: dict[dg.AssetKey, set[str]], *, sound: bool) -> None:
        """What is asked for: done at once, or (not `sound`) done and told of later, or failed."""
        for asset, keys in asked.items():
            for key in sorted(keys):
                self.runs += 1
                fate = 1.0 if sound else self.random.random()
                if fate < 0.15:
                    continue
                version = self.roll(asset, key)
                if fate < 0.4 and asset != CACHE:
                    self.slow.append((asset, key, self.automation.begin(asset, key), version))
                else:
                    self.automation.made(asset.to_user_string(), key or None, version)

    def roll(self, asset: dg.AssetKey, key: str) -> str:
        version = "1"
        if asset == HOURS:
            camera, _, date = key.partition("|")
            day = dt.date.fromisoformat(date)
            rollups.roll_hours(self.connection, [camera], day, LONDON)
            version = rollups.made_from(self.connection, camera, day, LONDON)
        elif asset == DAYS:
            rollups.roll_day(self.connection, dt.date.fromisoformat(key), LONDON)
        self.connection.commit()
        return version

    def end_the_slow(self) -> None:
        for asset, key, run, version in self.slow:
            self.automation.made(asset.to_user_string(), key, version)
            self.automation.end(run)
        self.slow.clear()

    def night(self, today: dt.date, instance: dg.DagsterInstance) -> None:
        """The hours until morning: what is outstanding for ten minutes is found, and the schedules tick."""
        self.end_the_slow()
        for _ in range(8):
            self.execute("UPDATE stage_ledger SET finished_at = finished_at - interval '1 hour'")
            self.connection.commit()
            for camera in ("back", "door"):
                for date in rollups.unrolled_days(self.connection, camera, LONDON):
                    self.automation.counted(camera, date)
            asked = self.automation.tick()
            self.run(asked, sound=True)
            if not asked:
                break
        names = ("hours_every_night", "days_every_night", "days_every_hour")
        for schedule in (found for found in schedules if found.name in names):
            tick = dt.datetime.combine(today + DAY, dt.time(5), LONDON)
            with dg.build_schedule_context(instance, tick, resources={"pipeline": Pipeline()}) as context:
                asset = HOURS if schedule.name.startswith("hours") else DAYS
                self.run({asset: {str(request.partition_key) for request in schedule(context)}}, sound=True)
        self.automation.tick()

    def rows(self) -> list[Any]:
        return [
            self.execute(f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("hourly_statistics", "daily_statistics")
        ]

    def rows_of_everything_rolled_anew(self, dates: list[dt.date]) -> list[Any]:
        for date in dates:
            rollups.roll_hours(self.connection, ["back", "door"], date, LONDON)
            rollups.roll_day(self.connection, date, LONDON)
        found = self.rows()
        self.connection.rollback()
        return found


def test_after_the_nights_all_is_as_if_everything_were_rolled_anew(dsn, automation, monkeypatch):
    # Other seeds, and a night after each day, were tried by hand.
    monkeypatch.setenv("PC_POSTGRES_DSN", dsn)
    first = SPRING - 7 * DAY
    fortnight = Fortnight(dsn, automation, seed=1)
    # A schedule's context wants an instance with a place of its own, the slow kind.
    with closing(fortnight.connection), dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("cameras", ["back", "door"])
        for today in (first + n * DAY for n in range(14)):
            for _ in range(fortnight.random.randint(1, 5)):
                fortnight.arrive(today)
            fortnight.end_the_slow()
            fortnight.run(automation.tick(), sound=False)
            if (today - first).days % 6 == 1:
                fortnight.night(today, instance)
                since = [first - 9 * DAY + n * DAY for n in range((today - first).days + 10)]
                assert fortnight.rows() == fortnight.rows_of_everything_rolled_anew(since), today
        assert len(fortnight.videos) > 15 and any(date == SPRING for _, date in fortnight.videos.values())


@pytest.mark.parametrize("zone", ["Europe/London", "Europe/Athens", "America/New_York", "Australia/Lord_Howe"])
def test_every_local_day_has_its_night_and_all_of_its_hours_also_when_the_clocks_change(zone):
    begin = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC).timestamp()
    end = dt.datetime(2026, 12, 31, 12, tzinfo=dt.UTC).timestamp()
    for schedule in schedules:
        ticks = []
        for tick in schedule_execution_time_iterator(begin, schedule.cron_schedule, zone, ascending=True):
            if tick.timestamp() > end:
                break
            ticks.append(tick)
        if schedule.name.endswith("night"):
            assert len({tick.date() for tick in ticks}) == len(ticks) == 364
        else:
            apart = {round(later.timestamp() - earlier.timestamp()) for earlier, later in pairwise(ticks)}
            assert apart <= {3600, 1800, 5400}, "half an hour is what Lord Howe moves its clocks by"
            assert apart == {3600} or zone == "Australia/Lord_Howe"
