"""The figures people read: all data, one camera, one local date, and today's."""

import datetime as dt

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pc_pipeline.store import dashboard, figures
from pc_pipeline.store.cache import Cache
from pc_pipeline.store.migrate import migrate, rollback
from pc_pipeline.store.rollups import roll_day, roll_hours
from pc_pipeline_tests.store.recorded import add_recording, link
from pc_pipeline_tests.store.test_rollups import DAY, HOUR, LONDON, MINUTE, at

NEXT = DAY + dt.timedelta(days=1)
NIGHT = at("23:30")
NONE = {"in": 0, "out": 0}


def fill(connection) -> None:
    """A man enters the door over midnight, in two files; a woman and one more leave by the back in the morning."""
    add_recording(connection, 1, NIGHT, NIGHT + HOUR / 2, LONDON, [(NIGHT + 20 * MINUTE, NIGHT + HOUR / 2 - MINUTE, 1)])
    people = [(NIGHT + HOUR / 2, NIGHT + HOUR / 2 + MINUTE, 1)]
    add_recording(connection, 2, NIGHT + HOUR / 2, NIGHT + HOUR, LONDON, people, [(NIGHT + HOUR / 2, 1, "in")])
    link(connection, 2, 1, 1, 1)
    people = [(at("09:10"), at("09:11"), 2), (at("09:20"), at("09:21"), 0)]
    moved = [(at("09:11"), 1, "out"), (at("09:21"), 2, "out")]
    add_recording(connection, 3, at("09:00"), at("10:00"), LONDON, people, moved, camera="back", line="gate")
    add_recording(connection, 4, at("11:00"), at("11:00"), LONDON, camera="back", status="active")
    cursor = connection.cursor()
    cursor.execute("INSERT INTO zones VALUES ('door', 'line', 'hatch', '-infinity', '{0,0,1,1}', 'right')")
    for camera in ("door", "back"):
        for date in (DAY, NEXT):
            roll_hours(connection, [camera], date, LONDON)
    for date in (DAY, NEXT):
        roll_day(connection, date, LONDON)


def some(connection, *names, today=NEXT, **narrowed):
    summary = figures.summary(connection, LONDON, today, **narrowed)
    return tuple(summary[name] for name in names)


PEOPLE = ("unique_total", "unique_male", "unique_female", "unique_unknown")


def test_people_over_all_data_a_camera_and_a_date(connection):
    fill(connection)
    assert some(connection, *PEOPLE) == (3, 1, 1, 1)
    assert some(connection, *PEOPLE, camera="door") == (1, 1, 0, 0)
    # He was there on both days, and is one person on each.
    assert some(connection, *PEOPLE, date=DAY) == (3, 1, 1, 1)
    assert some(connection, *PEOPLE, date=NEXT) == (1, 1, 0, 0)


# What files of twelve hours show: a person's first and last minute, and gender.
_minutes = st.integers(0, 12 * 60 - 1)
_seen = st.lists(st.tuples(_minutes, _minutes, st.integers(0, 2)).map(lambda s: (*sorted(s[:2]), s[2])), max_size=5)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])  # each is rolled back
@given(st.lists(_seen, min_size=4, max_size=4), st.lists(st.booleans(), min_size=3, max_size=3))
def test_over_all_days_each_person_is_counted_once_wherever_midnight_fell(connection, files, joined):
    starts = [at("06:00") + 12 * HOUR * number for number in range(4)]
    for number, (start, people) in enumerate(zip(starts, files, strict=True)):
        seen = [(start + a * MINUTE, start + b * MINUTE, gender) for a, b, gender in people]
        add_recording(connection, number + 1, start, start + 12 * HOUR, LONDON, seen)
    heads = [gender for people in files for _, _, gender in people]
    for number, is_joined in enumerate(joined):
        if is_joined and files[number] and files[number + 1]:
            link(connection, number + 2, 1, number + 1, len(files[number]))
            heads.remove(files[number + 1][0][2])
    for day in range(3):
        roll_day(connection, DAY + dt.timedelta(days=day), LONDON)
    assert some(connection, *PEOPLE) == (len(heads), heads.count(1), heads.count(2), heads.count(0))
    connection.rollback()


def test_days_rolled_by_an_older_version_say_whom_they_saw_first_too(connection, dsn):
    fill(connection)
    connection.cursor().execute("INSERT INTO site (timezone, history_from) VALUES ('Europe/London', '2026-03-01')")
    connection.commit()
    rollback(dsn, 5)
    migrate(dsn)
    assert some(connection, *PEOPLE) == (3, 1, 1, 1)
    assert some(connection, *PEOPLE, camera="door") == (1, 1, 0, 0)


def test_movements_and_coverage(connection):
    fill(connection)
    names = ("entered", "exited", "coverage_seconds")
    assert some(connection, *names) == (1, 2, 7200)
    assert some(connection, *names, camera="back") == (0, 2, 3600)
    # At midnight sharp, he entered on the day that began.
    assert some(connection, *names, date=DAY) == (0, 2, 5400)
    assert some(connection, *names, date=NEXT) == (1, 0, 1800)


def test_a_line_nobody_crossed_is_shown_with_noughts(connection):
    fill(connection)
    assert some(connection, "by_line") == ({"gate": {"in": 0, "out": 2}, "hatch": NONE, "sill": {"in": 1, "out": 0}},)
    assert some(connection, "by_line", camera="door", date=DAY) == ({"hatch": NONE, "sill": NONE},)


def test_today_is_the_sites_own_day(connection):
    fill(connection)
    names = ("people_entered_today", "people_exited_today", "sessions_today", "active_sessions")
    assert some(connection, *names, today=DAY) == (0, 2, 3, 1)
    assert some(connection, *names, today=NEXT) == (1, 0, 1, 1)
    assert some(connection, *names, today=NEXT, date=DAY) == (1, 0, 1, 1)
    assert some(connection, *names, today=NEXT + dt.timedelta(days=1)) == (0, 0, 0, 1)


def test_recent_movements_and_tracks_come_newest_first(connection):
    fill(connection)
    (recent,) = some(connection, "recent_movements")
    assert [(row["ts"], row["line"], row["direction"], row["gender"]) for row in recent] == [
        (NIGHT + HOUR / 2, "sill", "in", "male"),
        (at("09:21"), "gate", "out", "unknown"),
        (at("09:11"), "gate", "out", "female"),
    ]
    tracks = figures.tracks(connection, LONDON, 3)
    assert [(row["session_id"], row["seconds"], row["crossed"]) for row in tracks] == [
        (2, 60.0, {"sill": "in"}),
        (1, 540.0, {}),
        (3, 60.0, {"gate": "out"}),
    ]


def test_the_dashboard_holds_what_the_tables_say(connection, redis_url):
    fill(connection)
    cache = Cache(redis_url)
    dashboard.warm_summary(connection, cache, LONDON, NEXT)
    dashboard.warm_recent_tracks(connection, cache, LONDON)
    dashboard.warm_hourly(connection, cache)
    dashboard.warm_daily(connection, cache)
    assert cache.get_json("summary")["people_entered_today"] == 1
    assert cache.get_json("summary", "back")["exited"] == 2
    assert [row["session_id"] for row in cache.get_json("tracks", "recent")] == [2, 1, 3, 3]
    assert cache.get_track(2, 1)["gender"] == "male"
    assert [hour["coverage_seconds"] for hour in cache.get_json("hourly", "door", DAY)] == [1800]
    assert [(day["camera"], day["entered"]) for day in cache.get_json("daily", NEXT)] == [("door", 1)]


def test_a_site_without_anything_has_a_summary_of_noughts(connection):
    names = (*PEOPLE, "entered", "exited", "coverage_seconds", "active_sessions", "sessions_today")
    assert set(some(connection, *names)) == {0}
    assert some(connection, "by_line", "recent_movements") == ({}, [])
