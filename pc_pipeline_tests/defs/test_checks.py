"""Asset checks: each run by Dagster over rows laid down by hand, on a day that is as usual and on one that is not."""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import dagster as dg
import numpy as np
import pytest

from pc_pipeline.definitions import defs
from pc_pipeline.defs.partitions import camera_day_key, camera_days, dates
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.defs.rollups import checks as rollup_checks
from pc_pipeline.store import rollups
from pc_pipeline.store.postgres import connect
from pc_pipeline_tests.stages.world import LONDON, local
from pc_pipeline_tests.store.recorded import add_recording

DAY = dt.date(2026, 3, 10)
ORDINARY = (30, 30)


class Checks:
    """A database, and the checks as a Dagster run of a partition evaluates them."""

    def __init__(self, dsn: str, instance: dg.DagsterInstance) -> None:
        self.connection = connect(dsn)
        self.instance = instance

    def film(
        self,
        date: dt.date,
        crossings: tuple[int, int] = ORDINARY,
        seconds: float = 10.0,
        unknown: float = 0.3,
        hours: int = 4,
    ) -> int:
        """A day from 08:00 on, everyone crossing the line once and staying about `seconds`; rolled up. Gives its id."""
        start = local(f"{date} 08:00:00")
        came = ["in"] * crossings[0] + ["out"] * crossings[1]
        spread = np.linspace(0.5, 1.5, max(len(came), 1)) * seconds
        begun = [start + dt.timedelta(seconds=200.0 * n) for n in range(len(came))]
        people = [
            (first, first + dt.timedelta(seconds=float(lasts)), 0 if n < unknown * len(came) else 1)
            for n, (first, lasts) in enumerate(zip(begun, spread, strict=False))
        ]
        moved = [(first, n, way) for n, (first, way) in enumerate(zip(begun, came, strict=True), 1)]
        video_id = date.toordinal()
        end = start + dt.timedelta(hours=hours)
        add_recording(self.connection, video_id, start, end, LONDON, people, moved)
        by_line = json.dumps({"sill": {"in": crossings[0], "out": crossings[1]}})
        told = (len(people), sum(gender == 1 for *_, gender in people), sum(gender == 0 for *_, gender in people))
        self.execute(
            "INSERT INTO session_statistics (session_id, camera, entered, exited, unique_total, unique_male,"
            " unique_female, unique_unknown, peak_occupancy, mean_occupancy, coverage_ms, by_line)"
            " VALUES (%s, 'door', %s, %s, %s, %s, 0, %s, 0, 0, 0, %s)",
            (video_id, *crossings, *told, by_line),
        )
        self.execute(
            "INSERT INTO run_gender_summary (video_id, unique_total, unique_male, unique_female, unique_unknown)"
            " VALUES (%s, %s, %s, 0, %s)",
            (video_id, *told),
        )
        self.roll(date)
        return video_id

    def before(self, days: int = 8, **as_usual: Any) -> None:
        """So many ordinary days before the day."""
        for ago in range(1, days + 1):
            self.film(DAY - dt.timedelta(days=ago), **as_usual)

    def roll(self, date: dt.date) -> None:
        rollups.roll_hours(self.connection, ["door"], date, LONDON)
        rollups.roll_day(self.connection, date, LONDON)

    def execute(self, statement: str, values: Any = ()) -> None:
        self.connection.cursor().execute(statement, values)

    def judge(self, name: str, asset: str) -> tuple[bool, str, dict[str, Any]]:
        """What a run of this check says of the day, behind an asset that does nothing: passed, sentence, figures."""
        self.connection.commit()
        of_day = asset == "daily_statistics"

        @dg.asset(name=asset, partitions_def=dates if of_day else camera_days)
        def nothing() -> None:
            pass

        run = dg.materialize(
            [nothing, _definition(name)],
            partition_key=DAY.isoformat() if of_day else camera_day_key("door", DAY),
            instance=self.instance,
            resources={"pipeline": Pipeline()},
        )
        assert run.success, "a failed check fails no run"
        (found,) = run.get_asset_check_evaluations()
        assert found.check_name == name and not found.blocking
        self.severity = found.severity
        said_of, _, says = (found.description or "").partition(": ")
        assert said_of == (DAY.isoformat() if of_day else f"door {DAY}"), "which camera-day, at first sight"
        return found.passed, says, {key: value.value for key, value in found.metadata.items()}


def _definition(name: str) -> dg.AssetChecksDefinition:
    (found,) = (check for check in defs.asset_checks or [] if {key.name for key in check.check_keys} == {name})
    return found


@pytest.fixture
def checks(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checks]:
    monkeypatch.setenv("PC_POSTGRES_DSN", dsn)
    monkeypatch.setenv("PC_REDIS_URL", "redis://127.0.0.1:1")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("cameras", ["door"])
        made = Checks(dsn, instance)
        with closing(made.connection):
            yield made


def test_a_check_executed_by_itself_says_that_it_wants_a_camera_day(checks):
    job = dg.Definitions(
        asset_checks=[_definition("every_video_counted")],
        jobs=[dg.define_asset_job("alone", dg.AssetSelection.all_asset_checks())],
        resources={"pipeline": Pipeline()},
    ).resolve_job_def("alone")
    run = job.execute_in_process(instance=checks.instance, raise_on_error=False)
    (failed,) = run.filter_events(lambda event: event.is_step_failure)
    assert "materialize its asset for a camera-day" in failed.step_failure_data.user_failure_data.description


BALANCE = ("in_and_out_are_balanced_as_usual", "session_statistics")
UNKNOWN = ("unknown_share_is_usual", "run_gender_summary")
LENGTHS = ("track_lengths_are_usual", "tracks")
COVERAGE = ("coverage_is_usual", "hourly_statistics")
SESSIONS = ("sessions_equal_movements", "session_statistics")
HOURS = ("hours_equal_movements", "hourly_statistics")
DAYS = ("days_equal_hours_and_movements", "daily_statistics")
PICTURE = ("picture_is_sound", "camera_events")
ALL = [PICTURE, BALANCE, UNKNOWN, LENGTHS, COVERAGE, SESSIONS, HOURS, DAYS]


def with_gender_model(checks: Checks) -> None:
    checks.execute('UPDATE cameras SET config = \'{"gender": {"model": "a model"}}\'')


def test_every_check_says_what_it_judges_and_runs_in_the_job_of_its_asset():
    graph = defs.resolve_asset_graph()
    jobs = {"hourly_statistics": "roll_hours", "daily_statistics": "roll_days"}
    for name, asset in ALL:
        key = dg.AssetCheckKey(dg.AssetKey(asset), name)
        assert (graph.get_check_spec(key).description or "").endswith(".")
        assert key in defs.resolve_job_def(jobs.get(asset, "camera_day")).asset_layer.asset_graph.asset_check_keys


def test_a_usual_day_passes_every_check_and_shows_its_number_and_limit(checks):
    checks.before(14)
    checks.film(DAY)
    with_gender_model(checks)
    for check in ALL:
        passed, says, shown = checks.judge(*check)
        assert passed and says, check
        assert any(name.startswith("limit") for name in shown) and len(shown) >= 3, (check, shown)


def test_a_day_without_anything_and_one_without_history_pass_every_check(checks):
    checks.execute("INSERT INTO cameras (camera) VALUES ('door')")
    with_gender_model(checks)
    assert [checks.judge(*check)[0] for check in ALL] == [True] * len(ALL)
    checks.film(DAY, (50, 1))
    found = {check: checks.judge(*check) for check in ALL}
    assert all(passed and says for passed, says, _ in found.values())
    assert found[BALANCE][2]["in"] == 50 and "days of history" in found[BALANCE][2]["table"]
    assert "Judged from 20 tracks and 7 such days of history on" in found[LENGTHS][1]


def test_a_line_that_counts_one_way_more_than_it_usually_does(checks):
    checks.before()
    checks.film(DAY, (45, 15))
    passed, says, shown = checks.judge(*BALANCE)
    assert not passed and checks.severity == dg.AssetCheckSeverity.WARN
    assert "Line 'sill' counted 45 in and 15 out: 15 more in than it usually has" in says and "pc annotate" in says
    # Three standard errors of 60 crossings: 3 * sqrt(60 / 4).
    assert (shown["in beyond its usual"], shown["limit"]) == (15, 11.6)


def test_a_way_in_that_nobody_leaves_by_is_balanced_as_usual(checks):
    checks.before(crossings=(60, 0))
    checks.film(DAY, (58, 2))
    assert checks.judge(*BALANCE)[0]


@pytest.mark.parametrize(("usually", "today", "limit"), [(0.3, 0.45, 0.478), (0.2, 0.45, 0.355), (0.45, 0.55, 0.5)])
def test_more_people_of_unknown_gender_than_usual_or_than_half(checks, usually, today, limit):
    checks.before(unknown=usually)
    checks.film(DAY, unknown=today)
    assert "No gender model is configured" in checks.judge(*UNKNOWN)[1]
    with_gender_model(checks)
    passed, says, shown = checks.judge(*UNKNOWN)
    assert shown["limit"] == limit
    assert (shown["unknown"], shown["people"], shown["usual share"]) == (60 * today, 60, usually)
    assert passed == (today <= limit) and ("min_height_px" in says) == (not passed)


def test_tracks_that_break_are_shorter_than_on_other_days(checks):
    checks.before()
    checks.film(DAY, seconds=2.0)
    passed, says, shown = checks.judge(*LENGTHS)
    assert not passed and says.startswith("Tracks last 2.0 s (median; usually 10.0 s), 50% of them less than 2 s")
    assert shown["distance"] == 1 > shown["limit"] > 0.2 and "pc annotate" in says
    # A tenth longer is no other place.
    checks.execute("DELETE FROM videos WHERE date = %s", (DAY,))
    checks.film(DAY, seconds=11.0)
    assert checks.judge(*LENGTHS)[0]


def test_hours_that_the_camera_usually_records_on_this_weekday_are_missing(checks):
    checks.before(21, crossings=(0, 0))
    checks.film(DAY, hours=2)
    passed, says, shown = checks.judge(*COVERAGE)
    assert not passed and "2.0 h of the usual 4.0 h of video are missing" in says and "from 10:00, 11:00" in says
    assert (shown["missing (h)"], shown["limit (h)"], shown["weeks of history"]) == (2, 0.4, 3)


def test_a_day_the_camera_never_records_on_lacks_nothing_and_one_it_always_does_lacks_all(checks):
    for ago in (1, 2, 6, 7, 8, 13, 14, 15, 21):
        checks.film(DAY - dt.timedelta(days=ago), (0, 0))
    passed, says, _ = checks.judge(*COVERAGE)
    assert not passed and "4.0 h of the usual 4.0 h" in says
    checks.execute(
        "DELETE FROM hourly_statistics WHERE date IN (%s, %s)", [DAY - dt.timedelta(days=d) for d in (7, 14)]
    )
    assert checks.judge(*COVERAGE)[0]


def test_today_is_judged_up_to_its_last_hour_with_video(checks, monkeypatch):
    checks.before(21, crossings=(0, 0))
    checks.film(DAY, hours=2)
    monkeypatch.setattr(rollup_checks, "today", lambda: DAY)
    passed, _, shown = checks.judge(*COVERAGE)
    assert passed and shown["judged until"] == "09:00" and shown["missing (h)"] == 0


def test_a_picture_that_was_not_sound_says_what_to_do_and_a_pause_is_none(checks):
    video_id = checks.film(DAY)
    rows = [("gap", 4.0, "see to it"), ("frozen", 0.5, "restart the camera"), ("covered", 0.2, "clean the lens")]
    for kind, hours, advice in rows[:1]:
        _event(checks, video_id, kind, hours, advice)
    passed, _, shown = checks.judge(*PICTURE)
    assert passed and (shown["events"], shown["gaps"], shown["gap (s)"]) == (0, 1, 4 * 3600)
    for kind, hours, advice in rows[1:]:
        _event(checks, video_id, kind, hours, advice)
    passed, says, shown = checks.judge(*PICTURE)
    assert not passed and "(covered, frozen)" in says and says.endswith("restart the camera")
    assert (shown["events"], shown["frozen (s)"]) == (2, 1800)


def _event(checks: Checks, video_id: int, kind: str, hours: float, advice: str) -> None:
    start = local(f"{DAY} 09:00:00")
    checks.execute(
        "INSERT INTO camera_events VALUES (%s, %s, %s, %s, 'door', 0, %s)",
        (video_id, kind, start, start + dt.timedelta(hours=hours), advice),
    )


def test_totals_that_do_not_agree_are_errors_that_name_the_place(checks):
    video_id = checks.film(DAY)
    checks.execute("UPDATE session_statistics SET entered = 29 WHERE session_id = %s", (video_id,))
    checks.execute(
        "UPDATE hourly_statistics SET exited = exited + 1 WHERE hour_start = %s", (local(f"{DAY} 11:00:00"),)
    )
    checks.execute("UPDATE daily_statistics SET entered = 0 WHERE date = %s", (DAY,))
    said = {
        SESSIONS: "a.mp4: 30 in and 30 out by the movements, 29 in and 30 out by the sessions",
        HOURS: "1 of 4 totals differ; 11:00 GMT: 0 in and 6 out by the movements, 0 in and 7 out by the hours",
        DAYS: f"door {DAY}: 30 in and 30 out by the movements, 30 in and 31 out by the hours, 0 in and 30 out by",
    }
    for check, sentence in said.items():
        passed, says, shown = checks.judge(*check)
        assert not passed and checks.severity == dg.AssetCheckSeverity.ERROR, check
        assert sentence in says and "again" in says and shown["differ"] == 1, (check, says)


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_a_backfill_of_days_in_one_run_is_checked_day_by_day(checks):
    for date in (DAY, DAY + dt.timedelta(days=1)):
        checks.film(date)
    checks.execute("UPDATE daily_statistics SET entered = 31 WHERE date = %s", (DAY,))
    checks.connection.commit()

    @dg.asset(name="daily_statistics", partitions_def=dates, backfill_policy=dg.BackfillPolicy.single_run())
    def nothing() -> None:
        pass

    run = dg.materialize(
        [nothing, _definition(DAYS[0])],
        tags={
            "dagster/asset_partition_range_start": DAY.isoformat(),
            "dagster/asset_partition_range_end": (DAY + dt.timedelta(days=1)).isoformat(),
        },
        instance=checks.instance,
        resources={"pipeline": Pipeline()},
    )
    (found,) = run.get_asset_check_evaluations()
    assert (found.metadata["compared"].value, found.metadata["differ"].value) == (2, 1)
    assert f"door {DAY}: 30 in" in (found.description or "")


def test_an_hour_that_was_never_rolled_up_does_not_agree_with_its_movements(checks):
    checks.film(DAY)
    checks.execute("DELETE FROM hourly_statistics WHERE hour_start = %s", (local(f"{DAY} 08:00:00"),))
    passed, says, _ = checks.judge(*HOURS)
    assert not passed and "08:00 GMT: 18 in and 0 out by the movements, 0 in and 0 out by the hours" in says


def test_what_a_user_can_mend_is_one_sentence(checks, monkeypatch):
    monkeypatch.setenv("PC_POSTGRES_DSN", "postgresql://user@host:no-port/x")
    with pytest.raises(dg.Failure, match="the Postgres DSN cannot be read"):
        checks.judge(*BALANCE)
