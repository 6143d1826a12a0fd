"""Hours without video say so, and what was wrong with the video stands beside the hours it touches."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from pc_pipeline.store import events, rollups
from pc_pipeline.store.events import CameraEvent
from pc_pipeline_tests.store.recorded import add_recording

LONDON = ZoneInfo("Europe/London")
MONDAY = dt.date(2026, 3, 2)
LATER = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


def at(text: str, date: dt.date = MONDAY) -> dt.datetime:
    return dt.datetime.combine(date, dt.time.fromisoformat(text), LONDON).astimezone(dt.UTC)


def record(connection, number, start, end, *found):
    add_recording(connection, number, start, end, LONDON)
    events.replace_events(connection, number, "door", found)


def roll(connection, *dates):
    for date in dates:
        rollups.roll_hours(connection, ["door"], date, LONDON)
        rollups.roll_day(connection, date, LONDON)


@pytest.fixture
def site(connection):
    connection.cursor().execute("INSERT INTO site (timezone, history_from) VALUES (%s, '2026-01-01')", (LONDON.key,))
    return connection


def test_every_hour_of_a_day_with_video_is_there_and_those_without_have_no_data(site):
    gap = CameraEvent("gap", at("09:30"), at("14:00"), 16200.0, "No video for 16200.0 s")
    black = CameraEvent("black", at("14:10"), at("14:11"), 3.0, "The picture is black for 60.0 s")
    record(site, 1, at("09:00"), at("09:30"))
    record(site, 2, at("14:00"), at("14:45"), gap, black)
    roll(site, MONDAY)
    hours = events.hours(site, LONDON, LATER)
    assert len(hours) == 24
    covered = {row["hour_start"]: row["coverage_seconds"] for row in hours if not row["no_data"]}
    assert covered == {at("09:00"): 1800.0, at("14:00"): 2700.0}
    assert {row["coverage_seconds"] for row in hours if row["no_data"]} == {0.0}
    touching = {row["hour_start"]: [(e["kind"], e["seconds"]) for e in row["events"]] for row in hours if row["events"]}
    assert touching == {
        at("09:00"): [("gap", 1800)],
        **{at(f"{hour}:00"): [("gap", 3600)] for hour in range(10, 14)},
        at("14:00"): [("black", 60)],
    }


@pytest.mark.parametrize(("date", "number"), [("2026-03-29", 23), ("2026-03-02", 24), ("2025-10-26", 25)])
def test_a_day_has_as_many_hours_as_its_clocks_show(site, date, number):
    day = dt.date.fromisoformat(date)
    record(site, 1, at("12:00", day), at("12:10", day))
    roll(site, day)
    hours = events.hours(site, LONDON, LATER)
    assert [row["hour_start"] for row in hours] == [start for start, _ in rollups.hours_of(day, LONDON)]
    assert len(hours) == number


def test_hours_that_have_not_begun_are_not_said_to_have_no_video(site):
    today = dt.datetime.now(LONDON).date()
    began = rollups.day_of(today, LONDON)[0]
    record(site, 1, began, began + dt.timedelta(seconds=1))
    roll(site, today)
    now = dt.datetime.now(dt.UTC)
    hours = events.hours(site, LONDON, now)
    assert len(hours) == len([start for start, _ in rollups.hours_of(today, LONDON) if start < now])


def test_a_day_asked_for_by_name_has_its_hours_though_there_is_no_video(site):
    gap = CameraEvent("gap", at("10:00"), at("09:00", dt.date(2026, 3, 4)), 1.0, "No video")
    record(site, 1, at("09:00"), at("10:00"))
    record(site, 2, at("09:00", dt.date(2026, 3, 4)), at("10:00", dt.date(2026, 3, 4)), gap)
    roll(site, MONDAY, dt.date(2026, 3, 4))
    silent = events.hours(site, LONDON, LATER, "door", dt.date(2026, 3, 3))
    assert len(silent) == 24
    assert all(row["no_data"] and [e["seconds"] for e in row["events"]] == [3600] for row in silent)
    assert events.silent_days(site) == [("door", dt.date(2026, 3, 3))]
    assert {row["date"] for row in events.hours(site, LONDON, LATER)} == {MONDAY, dt.date(2026, 3, 4)}
    of_day = events.events(site, LONDON, "door", dt.date(2026, 3, 3))
    assert [(event["kind"], event["seconds"]) for event in of_day] == [("gap", 86400.0)]


def test_a_videos_events_are_replaced_whole(site):
    event = CameraEvent("moved", at("09:10"), at("10:00"), 0.1, "The picture is shifted by 10 %")
    record(site, 1, at("09:00"), at("10:00"), event)
    events.replace_events(site, 1, "door", [event])
    assert [row["kind"] for row in events.events(site, LONDON)] == ["moved"]
    events.clear(site, 1)
    assert events.events(site, LONDON) == []


def test_a_reference_picture_comes_back_as_it_was(site):
    record(site, 1, at("09:00"), at("10:00"))
    picture = np.random.default_rng(0).integers(0, 255, (96, 128), np.uint8)
    assert events.reference_picture(site, 1) is None
    for given in (picture, picture.T.reshape(96, 128).copy()):
        events.replace_reference(site, 1, given, 0.3)
        found = events.reference_picture(site, 1)
        assert found is not None and np.array_equal(found, given)
    events.replace_reference(site, 1, None, None)
    assert events.reference_picture(site, 1) is None
