"""How many were inside, and for how long: the figures of the database are those of the arithmetic, second by second."""

import datetime as dt
import math
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pc_pipeline.counting.occupancy import mean_occupancy, occupancy_steps, peak_occupancy
from pc_pipeline.store import figures
from pc_pipeline.store.rollups import day_of, roll_day, roll_hours
from pc_pipeline_tests.store.recorded import add_recording
from pc_pipeline_tests.store.test_rollups import DAY, HOUR, LONDON, MINUTE, at

SECOND = dt.timedelta(seconds=1)
START = at("09:00")
FILMED = 7200  # seconds: two hours
TOMORROW = DAY + dt.timedelta(days=1)

seconds = st.integers(0, FILMED - 1)
# Often at the same moment, and often on the hour.
moments = st.one_of(seconds, st.sampled_from([0, 60, 3599, 3600, 3601]))
crossings = st.lists(st.tuples(moments, st.sampled_from(["in", "out"])), max_size=12)
stays = st.lists(
    st.tuples(moments, moments, st.sampled_from(["hall", "till"])).map(lambda s: (*sorted(s[:2]), s[2])), max_size=8
)
sites = st.lists(st.tuples(crossings, stays), min_size=1, max_size=6)


def record(connection, video_id, camera, crossed, stayed) -> None:
    """Two hours of a camera; times in seconds from nine."""
    add_recording(
        connection,
        video_id,
        START,
        START + FILMED * SECOND,
        LONDON,
        [(START, START + FILMED * SECOND, 0)],
        [(START + second * SECOND, 1, way) for second, way in crossed],
        camera=camera,
        stays=[(START + a * SECOND, START + b * SECOND, 1, zone) for a, b, zone in stayed],
    )


def roll(connection, camera="door", date=DAY):
    """(its hours, its day) as people read them."""
    roll_hours(connection, [camera], date, LONDON)
    roll_day(connection, date, LONDON)
    return figures.hourly(connection, camera, date), figures.daily(connection, camera, date)


def stepped(crossed):
    """Time, number inside and correction after each crossing of a day."""
    ordered = sorted(crossed)  # `in` before `out`
    time_s = np.array([second for second, _ in ordered], dtype=np.int64)
    deltas = np.array([1 if way == "in" else -1 for _, way in ordered], dtype=np.int64)
    inside, _ = occupancy_steps(time_s, deltas)
    return time_s, inside, inside - np.cumsum(deltas)


def expected_inside(crossed, start, end):
    """(peak, mean, correction) of [start, end), in seconds from nine."""
    time_s, inside, correction = stepped(crossed)
    at_end = correction[time_s < end].max(initial=0)
    peak = peak_occupancy(time_s, inside, start, end)
    return peak, mean_occupancy(time_s, inside, start, end), at_end - correction[time_s < start].max(initial=0)


def expected_zones(stayed, start, end):
    """The figures of each zone in [start, end), from who is in it in every second."""
    expected = {}
    for zone in {place for _, _, place in stayed}:
        here = [(a, b) for a, b, place in stayed if place == zone]
        number = [sum(a <= second < b for a, b in here) for second in range(start, end)]
        dwells = sorted(1000 * (b - a) for a, b in here if start <= a < end)
        if dwells or any(number):
            expected[zone] = {
                "visits": len(dwells),
                "cut": 0,
                "dwell_mean_ms": math.floor(sum(dwells) / len(dwells) + 0.5) if dwells else None,
                # The least dwell that so many of the stays do not pass.
                **{
                    f"dwell_p{percent}_ms": dwells[math.ceil(percent * len(dwells) / 100) - 1] if dwells else None
                    for percent in (50, 90, 95)
                },
                "dwell_longest_ms": dwells[-1] if dwells else None,
                "peak_occupancy": max(number),
                "mean_occupancy": pytest.approx(sum(number) / (end - start), abs=1e-6),
            }
    return expected


def agrees(figure, crossed, stayed, start, end):
    peak, mean, correction = expected_inside(crossed, start, end)
    assert (figure["peak_occupancy"], figure["occupancy_correction"]) == (peak, correction)
    assert figure["mean_occupancy"] == pytest.approx(mean, abs=1e-6)
    assert figure["by_zone"] == expected_zones(stayed, start, end)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])  # each is rolled back
@given(sites)
def test_the_database_and_the_arithmetic_agree_for_any_site(connection, site):
    for number, (crossed, stayed) in enumerate(site, 1):
        record(connection, number, f"camera{number}", crossed, stayed)
    for number, (crossed, stayed) in enumerate(site, 1):
        hours, _ = roll(connection, f"camera{number}")
        for hour, start in zip(hours, (0, 3600), strict=True):
            agrees(hour, crossed, stayed, start, start + 3600)
    days = figures.daily(connection, None, DAY)
    assert len(days) == len(site)
    for (crossed, stayed), day in zip(site, days, strict=True):
        agrees(day, crossed, stayed, 0, FILMED)
        time_s, inside, correction = stepped(crossed)
        assert day["occupancy_at_reset"] == ([0, *inside])[-1] == day["entered"] - day["exited"] + max([0, *correction])
        steps = figures.occupancy(connection, day["camera"], DAY)
        assert [(step["ts"], step["people"]) for step in steps] == [
            (START + int(second) * SECOND, number) for second, number in zip(time_s, inside, strict=True)
        ]
        assert list(accumulate(step["added"] for step in steps)) == correction.tolist()
    connection.rollback()


def test_the_correction_is_of_the_hour_in_which_somebody_left_unseen_to_come(connection):
    record(connection, 1, "door", [(60, "out"), (120, "in"), (3700, "out"), (3800, "out"), (3900, "in")], [])
    hours, (day,) = roll(connection)
    assert [hour["occupancy_correction"] for hour in hours] == [1, 1]
    assert (day["occupancy_correction"], day["occupancy_at_reset"]) == (2, 1)
    cursor = connection.cursor()
    cursor.execute("SELECT sum(occupancy_correction) FROM hourly_analytics")
    assert cursor.fetchall() == [(2,)]
    cursor.execute("SELECT occupancy_correction, occupancy_at_reset FROM daily_analytics")
    assert cursor.fetchall() == [(2, 1)]


def test_of_crossings_at_one_instant_those_in_come_first(connection):
    """Several people met the line between two files: nobody is added who need not be."""
    record(connection, 1, "door", [(60, "out"), (60, "in")], [])
    hours, _ = roll(connection)
    assert (hours[0]["occupancy_correction"], hours[0]["peak_occupancy"]) == (0, 0)
    cursor = connection.cursor()
    cursor.execute("SELECT calculate_current_people_inside(1)")
    assert cursor.fetchall() == [(0,)]


@pytest.mark.parametrize("date", [dt.date(2026, 3, 29), dt.date(2026, 7, 1), dt.date(2026, 10, 25)])
def test_at_local_midnight_it_begins_anew_and_the_day_says_who_was_left(connection, date):
    connection.cursor().execute("INSERT INTO site (timezone, history_from) VALUES ('Europe/London', '2020-01-01')")
    following = date + dt.timedelta(days=1)
    midnight = day_of(following, LONDON)[0]
    moved = [(midnight - 10 * MINUTE, 1, "in"), (midnight - 5 * MINUTE, 1, "in"), (midnight, 1, "out")]
    add_recording(connection, 1, midnight - HOUR, midnight + HOUR, LONDON, [(midnight, midnight, 0)], moved)
    _, (before,) = roll(connection, date=date)
    _, (after,) = roll(connection, date=following)
    assert (before["occupancy_at_reset"], before["occupancy_correction"]) == (2, 0)
    assert (after["occupancy_at_reset"], after["occupancy_correction"]) == (0, 1)
    assert [step["people"] for step in figures.occupancy(connection, "door", date)] == [1, 2]
    assert [step["people"] for step in figures.occupancy(connection, "door", following)] == [0]


def test_a_stay_is_of_the_hour_in_which_it_begins_and_in_its_zone_for_as_long_as_it_lasts(connection):
    record(connection, 1, "door", [], [(1800, 5400, "hall")])
    (nine, ten), (day,) = roll(connection)
    assert (nine["by_zone"]["hall"]["visits"], nine["by_zone"]["hall"]["dwell_p50_ms"]) == (1, 3_600_000)
    assert (ten["by_zone"]["hall"]["visits"], ten["by_zone"]["hall"]["dwell_p50_ms"]) == (0, None)
    assert [hour["by_zone"]["hall"]["mean_occupancy"] for hour in (nine, ten)] == [0.5, 0.5]
    assert day["by_zone"]["hall"]["visits"] == 1


def test_a_stay_goes_on_over_midnight_and_through_the_files_after_its_own(connection):
    night = at("22:00")
    for number in range(4):
        start = night + number * HOUR
        entered = [(night + 30 * MINUTE, night + 3 * HOUR, 1, "hall")] if number == 0 else []
        add_recording(connection, number + 1, start, start + HOUR, LONDON, [(start, start, 0)], stays=entered)
    hours, _ = roll(connection)
    assert [hour["by_zone"]["hall"]["mean_occupancy"] for hour in hours] == [0.5, 1]
    hours, (day,) = roll(connection, date=TOMORROW)
    assert [hour["by_zone"].get("hall", {}).get("mean_occupancy") for hour in hours] == [1, None]
    assert (day["by_zone"]["hall"]["visits"], day["by_zone"]["hall"]["peak_occupancy"]) == (0, 1)


@pytest.mark.parametrize(("filmed", "peaks"), [("12:00", [1, 1, None]), ("23:30", [None, 1, None])])
def test_what_stands_in_a_zone_for_days_is_in_it_up_to_the_day_after_its_videos(connection, filmed, peaks):
    """Hours hang on the videos of their day and of the day before: what else they showed would be as it happened."""
    for number in range(3):
        start = at(filmed, date=DAY + dt.timedelta(days=number))
        stood = [(start + 40 * MINUTE, start + 72 * HOUR, 1, "hall")] if number == 0 else []
        add_recording(connection, number + 1, start, start + HOUR, LONDON, [(start, start, 0)], stays=stood)
    days = [roll(connection, date=DAY + dt.timedelta(days=number))[1][0]["by_zone"] for number in range(3)]
    assert [zones.get("hall", {}).get("peak_occupancy") for zones in days] == peaks


def test_percentiles_of_dwell_are_dwells(connection):
    record(connection, 1, "door", [], [(60, 60 + seconds, "hall") for seconds in range(1, 41)])
    _, (day,) = roll(connection)
    hall = day["by_zone"]["hall"]
    assert [hall[f"dwell_{figure}_ms"] for figure in ("p50", "p90", "p95", "longest", "mean")] == [
        20_000, 36_000, 38_000, 40_000, 20_500,
    ]  # fmt: skip


def test_zones_can_be_read_as_rows(connection):
    record(connection, 1, "door", [], [(0, 10, "hall"), (20, 40, "hall"), (3500, 3700, "till")])
    connection.cursor().execute("UPDATE zone_visits SET exited_seen = false WHERE dwell_ms = 20000")
    roll(connection)
    cursor = connection.cursor()
    cursor.execute("SELECT zone, local_hour::time::text, visits, cut, dwell_p90_ms FROM hourly_zones ORDER BY 1, 2")
    assert cursor.fetchall() == [
        ("hall", "09:00:00", 2, 1, 20_000),
        ("till", "09:00:00", 1, 0, 200_000),
        ("till", "10:00:00", 0, 0, None),
    ]
    cursor.execute("SELECT zone, visits, dwell_mean_ms, peak_occupancy FROM daily_zones ORDER BY 1")
    assert cursor.fetchall() == [("hall", 2, 15_000, 1), ("till", 1, 200_000, 1)]
