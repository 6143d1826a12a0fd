"""Hours and days: whose they are, what is in them, and that no video is not nobody came."""

import datetime as dt
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pc_pipeline.store import ledger
from pc_pipeline.store.registry import remove_video
from pc_pipeline.store.rollups import cameras_to_roll, day_of, hours_of, roll_day, roll_hours, unrolled_days
from pc_pipeline_tests.store.recorded import add_recording, link

LONDON, KOLKATA = ZoneInfo("Europe/London"), ZoneInfo("Asia/Kolkata")
HOUR, MINUTE = dt.timedelta(hours=1), dt.timedelta(minutes=1)
DAY = dt.date(2026, 3, 3)
ZONES = sorted(available_timezones() - {"localtime", "Factory"})


def at(text: str, zone: ZoneInfo = LONDON, date: dt.date = DAY) -> dt.datetime:
    """A local time of day as UTC."""
    return dt.datetime.combine(date, dt.time.fromisoformat(text), zone).astimezone(dt.UTC)


# ------------------------------------------------------------------------------------------------- hours of a date


@given(st.dates(dt.date(1990, 1, 1), dt.date(2037, 12, 1)), st.sampled_from(ZONES))
def test_the_hours_of_all_dates_adjoin_and_each_instant_has_its_own_date(date, name):
    zone = ZoneInfo(name)
    hours = hours_of(date, zone)
    start, end = day_of(date, zone)
    assert [begin for begin, _ in hours] + [end] == [start] + [stop for _, stop in hours]
    assert all(dt.timedelta() < stop - begin <= HOUR for begin, stop in hours)
    assert all(stop - begin == HOUR for begin, stop in hours[:-1])
    assert day_of(date + dt.timedelta(days=1), zone)[0] == end
    for begin, stop in hours:
        assert begin.astimezone(zone).date() == date
        assert (stop - dt.timedelta(microseconds=1)).astimezone(zone).date() == date


@pytest.mark.parametrize(
    ("name", "date", "count"),
    [
        ("Europe/London", dt.date(2026, 3, 28), 24),
        ("Europe/London", dt.date(2026, 3, 29), 23),
        ("Europe/London", dt.date(2026, 10, 25), 25),
        ("Asia/Kolkata", dt.date(2026, 3, 29), 24),
        # The clocks go forward at midnight, which there is not.
        ("America/Sao_Paulo", dt.date(2018, 11, 4), 23),
        # Half an hour of summer time: the last hour is half of one.
        ("Australia/Lord_Howe", dt.date(2026, 10, 4), 24),
        # Samoa left this date out.
        ("Pacific/Apia", dt.date(2011, 12, 30), 0),
    ],
)
def test_days_of_other_lengths(name, date, count):
    assert len(hours_of(date, ZoneInfo(name))) == count


# ------------------------------------------------------------------------------------------------------ in Postgres


@pytest.fixture
def rolled(connection):
    """Rolls a camera-day; gives its hours, (start, figures…), and its day."""

    def roll(date=DAY, zone=LONDON):
        roll_hours(connection, ["door"], date, zone)
        roll_day(connection, date, zone)
        figures = "entered, exited, unique_total, peak_occupancy, mean_occupancy, coverage_ms"
        cursor = connection.cursor()
        cursor.execute(f"SELECT hour_start, {figures} FROM hourly_statistics WHERE date = %s ORDER BY 1", (date,))
        hours = cursor.fetchall()
        cursor.execute(f"SELECT {figures} FROM daily_statistics WHERE date = %s", (date,))
        return hours, cursor.fetchall()

    return roll


@pytest.mark.parametrize(
    ("zone", "date", "count"),
    [
        (LONDON, dt.date(2026, 3, 29), 23),
        (LONDON, dt.date(2026, 10, 25), 25),
        (KOLKATA, DAY, 24),
        (ZoneInfo("Pacific/Apia"), dt.date(2011, 12, 30), 0),
    ],
)
def test_a_day_filmed_whole_has_all_its_hours(connection, rolled, zone, date, count):
    start, end = day_of(date, zone)
    for number, (begin, stop) in enumerate(hours_of(date - dt.timedelta(days=1), zone)[-1:] + hours_of(date, zone)):
        middle = begin + (stop - begin) / 2
        add_recording(connection, number + 1, begin, stop, zone, [(middle, middle, 0)], [(middle, 1, "in")])
    hours, days = rolled(date, zone)
    assert [hour[0] for hour in hours] == [begin for begin, _ in hours_of(date, zone)]
    assert sum(hour[-1] for hour in hours) == (end - start) // dt.timedelta(milliseconds=1)
    assert [(day[0], day[2], day[3], day[-1]) for day in days] == (
        [(count, count, count, count * 3_600_000)] if count else []
    )


def test_hours_of_a_half_hour_zone_begin_at_its_own_full_hours(connection, rolled):
    add_recording(connection, 1, at("09:30", KOLKATA), at("10:15", KOLKATA), KOLKATA)
    hours, _ = rolled(DAY, KOLKATA)
    assert [(hour[0], hour[-1]) for hour in hours] == [
        (at("09:00", KOLKATA), 30 * 60_000),
        (at("10:00", KOLKATA), 15 * 60_000),
    ]


def test_hours_without_video_have_no_row_and_hours_without_people_have_one(connection, rolled):
    add_recording(connection, 1, at("09:00"), at("09:10"), LONDON)
    add_recording(connection, 2, at("12:00"), at("12:10"), LONDON)
    hours, days = rolled()
    assert [hour[0] for hour in hours] == [at("09:00"), at("12:00")]
    assert {hour[1:] for hour in hours} == {(0, 0, 0, 0, 0.0, 600_000)}
    assert days == [(0, 0, 0, 0, 0.0, 1_200_000)]
    connection.cursor().execute("DELETE FROM videos WHERE video_id = 2")
    assert [hour[0] for hour in rolled()[0]] == [at("09:00")]


def test_coverage_is_of_the_time_not_of_the_files(connection, rolled):
    """Files that overlap cover their time once."""
    add_recording(connection, 1, at("09:00"), at("09:30"), LONDON)
    add_recording(connection, 2, at("09:20"), at("09:40"), LONDON)
    add_recording(connection, 3, at("09:50"), at("10:10"), LONDON)
    hours, days = rolled()
    assert [hour[-1] // 60_000 for hour in hours] == [50, 10]
    assert days[0][-1] // 60_000 == 60


def test_a_day_counts_people_once_however_many_hours_and_files_they_are_in(connection, rolled):
    add_recording(
        connection,
        1,
        at("09:00"),
        at("10:30"),
        LONDON,
        [(at("09:50"), at("10:10"), 1), (at("10:20"), at("10:29:59"), 0)],
    )
    add_recording(connection, 2, at("10:30"), at("11:30"), LONDON, [(at("10:30"), at("11:05"), 0)])
    link(connection, 2, 1, 1, 2)
    hours, days = rolled()
    assert [hour[3] for hour in hours] == [1, 2, 1]
    assert days[0][2] == 2


def test_a_movement_and_a_sighting_on_the_hour_are_of_the_hour_that_begins(connection, rolled):
    people = [(at("09:59:59"), at("10:00"), 0), (at("09:00"), at("09:59:59.999999"), 0)]
    add_recording(connection, 1, at("09:00"), at("11:00"), LONDON, people, [(at("10:00"), 1, "in")])
    hours, _ = rolled()
    assert [(hour[0], hour[1], hour[3]) for hour in hours] == [(at("09:00"), 0, 2), (at("10:00"), 1, 1)]


def test_a_video_over_midnight_is_in_both_days(connection, rolled):
    night = at("23:30")
    person = (night + 25 * MINUTE, night + 35 * MINUTE, 2)
    add_recording(connection, 1, night, night + HOUR, LONDON, [person], [(night + 31 * MINUTE, 1, "in")])
    for date, entered in ((DAY, 0), (DAY + dt.timedelta(days=1), 1)):
        hours, days = rolled(date)
        assert [(hour[1], hour[3], hour[-1]) for hour in hours] == [(entered, 1, 1_800_000)]
        assert [(day[0], day[2]) for day in days] == [(entered, 1)]


def test_what_is_being_counted_or_is_in_error_is_in_no_hour(connection, rolled):
    for number, status in enumerate(("active", "error", "cancelled")):
        start = at("09:00") + number * HOUR
        person = (start, start + MINUTE, 0)
        add_recording(connection, number + 1, start, start + HOUR, LONDON, [person], [(start, 1, "in")], status=status)
    assert rolled() == ([], [])
    # Nor do their movements slip in where another file covers the hour.
    add_recording(connection, 9, at("09:30"), at("09:40"), LONDON)
    assert [hour[1:4] for hour in rolled()[0]] == [(0, 0, 0)]


def test_occupancy_begins_anew_at_local_midnight(connection, rolled):
    summer = dt.date(2026, 7, 1)
    night = at("23:00", date=summer)
    people = [(night, night + HOUR, 0), (night, night + 90 * MINUTE, 0)]
    moved = [(night + 10 * MINUTE, 1, "in"), (night + 20 * MINUTE, 2, "in"), (night + 80 * MINUTE, 2, "out")]
    add_recording(connection, 1, night, night + 2 * HOUR, LONDON, people, moved)
    (evening,), _ = rolled(summer)
    assert (evening[4], evening[5]) == (2, round((10 * 1 + 40 * 2) / 60, 6))
    # Who was inside before midnight is not known of after it: an exit then does not make a negative number.
    (morning,), days = rolled(summer + dt.timedelta(days=1))
    assert (morning[2], *morning[4:6]) == (1, 0, 0.0)
    assert days[0][3] == 0


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])  # each is rolled back
@given(st.lists(st.tuples(st.integers(0, 7199), st.sampled_from(["in", "out"])), max_size=12))
def test_occupancy_is_never_negative_and_movements_add_up(connection, rolled, crossings):
    start = at("09:00")
    moved = [(start + dt.timedelta(seconds=second), 1, way) for second, way in crossings]
    add_recording(connection, 1, start, start + 2 * HOUR, LONDON, [(start, start + 2 * HOUR, 0)], moved)
    hours, (day,) = rolled()
    connection.rollback()
    assert all(hour[4] >= 0 and hour[5] >= 0 for hour in hours)
    assert day[3] == max(hour[4] for hour in hours) <= len(crossings)
    assert (sum(hour[1] for hour in hours), sum(hour[2] for hour in hours)) == day[:2]
    assert day[:2] == tuple(sum(direction == way for _, direction in crossings) for way in ("in", "out"))


def test_rolling_again_gives_the_same_rows_and_other_cameras_stay(connection, rolled):
    add_recording(
        connection, 1, at("09:00"), at("10:30"), LONDON, [(at("09:50"), at("10:10"), 1)], [(at("10:00"), 1, "in")]
    )
    add_recording(connection, 2, at("09:00"), at("10:30"), LONDON, camera="back")
    roll_hours(connection, ["back"], DAY, LONDON)
    first = rolled()
    assert rolled() == first
    assert len(first[0]) == 4 and len(first[1]) == 2


def hours_and_marks(connection) -> list[tuple]:
    cursor = connection.cursor()
    cursor.execute(
        "SELECT row(h)::text FROM hourly_statistics h UNION ALL SELECT row(video_id, stage)::text FROM stage_ledger"
    )
    return sorted(cursor.fetchall())


def test_cameras_rolled_together_have_the_hours_they_have_alone(connection):
    for number, camera in enumerate(("door", "back", "gate")):
        start = at("09:00") + number * HOUR / 2
        people = [(start, start + 20 * MINUTE * (number + 1), number)]
        stays = [(start, start + 5 * MINUTE, 1, "hall")]
        moved = [(start + 10 * MINUTE, 1, "out")]
        add_recording(
            connection, number + 1, start, start + 2 * HOUR, LONDON, people, moved, camera=camera, stays=stays
        )
        count_session(connection, number + 1, "first")
    connection.commit()
    for camera in ("door", "back"):
        roll_hours(connection, [camera], DAY, LONDON)
    alone = hours_and_marks(connection)
    connection.rollback()
    roll_hours(connection, ["door", "back"], DAY, LONDON)
    assert hours_and_marks(connection) == alone
    assert len(alone) == (2 + 3) + (3 + 2)  # hours; statistics of three, marks of two


def test_a_roll_over_unchanged_statistics_leaves_the_ledger_as_it_is(connection):
    add_recording(connection, 1, at("10:00"), at("10:30"), LONDON)
    count_session(connection, 1, "first")
    roll_hours(connection, ["door"], DAY, LONDON)
    age(connection, 20)
    cursor = connection.cursor()
    cursor.execute("SELECT ctid, l FROM stage_ledger l ORDER BY stage")
    before = cursor.fetchall()
    roll_hours(connection, ["door"], DAY, LONDON)
    cursor.execute("SELECT ctid, l FROM stage_ledger l ORDER BY stage")
    assert cursor.fetchall() == before and len(before) == 2


def count_session(connection, video_id: int, fingerprint: str, minutes_ago: int = 20) -> None:
    """Session statistics that stand in the ledger with this fingerprint since so many minutes."""
    ledger.record(
        connection, video_id, "session_statistics", ledger.Entry(fingerprint, "done"), code_version="1", run_id=""
    )
    age(connection, minutes_ago)


def age(connection, minutes: int) -> None:
    connection.cursor().execute("UPDATE stage_ledger SET finished_at = now() - make_interval(mins => %s)", (minutes,))


def test_a_day_is_unrolled_until_its_hours_are_made_from_the_statistics_there_are(connection):
    add_recording(connection, 1, at("10:00"), at("10:30"), LONDON)
    count_session(connection, 1, "first")
    assert unrolled_days(connection, "door", LONDON) == {DAY}

    roll_hours(connection, ["door"], DAY, LONDON)
    age(connection, 20)
    assert unrolled_days(connection, "door", LONDON) == set()

    count_session(connection, 1, "counted again")
    assert unrolled_days(connection, "door", LONDON) == {DAY}


def test_a_camera_is_to_be_rolled_while_its_hours_are_not_made_from_what_was_counted_of_the_day_or_the_day_before(
    connection,
):
    following = DAY + dt.timedelta(days=1)
    add_recording(connection, 1, at("10:00"), at("10:30"), LONDON)
    assert cameras_to_roll(connection, DAY) == [], "nothing was counted yet"

    count_session(connection, 1, "first", minutes_ago=0)
    assert cameras_to_roll(connection, DAY) == cameras_to_roll(connection, following) == ["door"]

    roll_hours(connection, ["door"], DAY, LONDON)
    assert (cameras_to_roll(connection, DAY), cameras_to_roll(connection, following)) == ([], ["door"])

    roll_hours(connection, ["door"], following, LONDON)
    count_session(connection, 1, "counted again", minutes_ago=0)
    assert cameras_to_roll(connection, DAY) == cameras_to_roll(connection, following) == ["door"]


def test_the_automation_has_ten_minutes_before_a_day_is_called_unrolled(connection):
    add_recording(connection, 1, at("10:00"), at("10:30"), LONDON)
    count_session(connection, 1, "first", minutes_ago=9)
    assert unrolled_days(connection, "door", LONDON) == set()


def test_a_video_over_midnight_is_unrolled_in_both_days(connection):
    following = DAY + dt.timedelta(days=1)
    add_recording(connection, 1, at("23:50"), at("23:50") + dt.timedelta(minutes=30), LONDON)
    count_session(connection, 1, "first")
    roll_hours(connection, ["door"], DAY, LONDON)
    age(connection, 20)
    assert unrolled_days(connection, "door", LONDON) == {following}
    roll_hours(connection, ["door"], following, LONDON)
    age(connection, 20)
    assert unrolled_days(connection, "door", LONDON) == set()


def test_a_day_with_hours_is_unrolled_when_a_video_of_the_day_before_is_counted_again(connection):
    """Somebody's stay in a zone that began in it may go on in the day's own files."""
    following = DAY + dt.timedelta(days=1)
    add_recording(connection, 1, at("23:00"), at("23:30"), LONDON)
    add_recording(connection, 2, at("23:00") + 2 * HOUR, at("23:00") + 3 * HOUR, LONDON)
    for video_id in (1, 2):
        count_session(connection, video_id, "first")
    for date in (DAY, following):
        roll_hours(connection, ["door"], date, LONDON)
    age(connection, 20)
    assert unrolled_days(connection, "door", LONDON) == set()
    count_session(connection, 1, "counted again")
    assert unrolled_days(connection, "door", LONDON) == {DAY, following}


def test_a_session_that_no_longer_counts_leaves_its_day_unrolled(connection):
    add_recording(connection, 1, at("10:00"), at("10:30"), LONDON)
    count_session(connection, 1, "first")
    roll_hours(connection, ["door"], DAY, LONDON)
    ledger.forget(connection, [(1, "session_statistics")])
    age(connection, 20)
    assert unrolled_days(connection, "door", LONDON) == {DAY}


def test_a_removed_video_leaves_the_days_of_its_hours_unrolled(connection):
    add_recording(connection, 1, at("10:00"), at("10:30"), LONDON)
    add_recording(connection, 2, at("10:30"), at("10:50"), LONDON)
    for video_id in (1, 2):
        count_session(connection, video_id, "first")
    roll_hours(connection, ["door"], DAY, LONDON)
    remove_video(connection, 1)
    age(connection, 20)
    assert unrolled_days(connection, "door", LONDON) == {DAY}


def test_a_stay_that_began_in_the_first_file_of_a_25_hour_day_is_in_the_next_days_first_hour(connection):
    autumn, following = dt.date(2026, 10, 25), dt.date(2026, 10, 26)
    midnight, next_midnight = day_of(autumn, LONDON)
    assert next_midnight - midnight == 25 * HOUR
    last = midnight + 24 * HOUR
    stay = (last - HOUR, next_midnight + HOUR / 2, 1, "hall")
    add_recording(connection, 1, midnight, last, LONDON, [(midnight, last, 0)], stays=[stay])
    add_recording(connection, 2, last, next_midnight + HOUR, LONDON, [(last, next_midnight + HOUR, 0)])
    roll_hours(connection, ["door"], following, LONDON)
    cursor = connection.cursor()
    cursor.execute("SELECT by_zone FROM hourly_statistics WHERE date = %s ORDER BY hour_start", (following,))
    assert cursor.fetchone()[0]["hall"]["mean_occupancy"] == 0.5
