"""What is worth an alert: from when until when, in what words, and when it is none."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from pc_pipeline.alerts import judge
from pc_pipeline.alerts.judge import FailedCheck, FailedRun, Hour, Usual, Where
from pc_pipeline.counting.plausibility import unknown_share
from pc_pipeline.store.rollups import hours_of

LONDON = ZoneInfo("Europe/London")
DOOR = Where("door", "North gate", LONDON)
DAY = dt.date(2026, 3, 10)
USUAL = Usual(people=40, covered_s=3600)


def day(date=DAY, first=8, **figures):
    """A day's hours from `first` on; each figure is a list, an hour an item."""
    hours = hours_of(date, LONDON)[first:]
    longest = max(len(values) for values in figures.values())
    return [
        Hour(start, end, date, **{name: values[n] for name, values in figures.items()})
        for n, (start, end) in enumerate(hours[:longest])
    ]


def clock(episode):
    """When an episode began and ended, on the site's clock."""
    ended = episode.ended_at.astimezone(LONDON) if episode.ended_at else None
    return f"{episode.since.astimezone(LONDON):%H:%M}", f"{ended:%H:%M}" if ended else None


# -------------------------------------------------------------------------------------------------------- occupancy


def test_too_many_people_from_the_first_hour_over_the_limit_to_the_first_that_is_not():
    hours = day(peak=[50, 51, 60, 40, 30], covered_s=[3600.0] * 5)
    (found,) = judge.occupancy(hours, 50, DOOR)
    assert (clock(found), found.value, found.threshold) == (("09:00", "11:00"), 60, 50)
    assert "Up to 60 people were inside at once (door (North gate)), more than the limit of 50" in found.says
    assert "from Tue 2026-03-10 09:00 GMT to Tue 2026-03-10 11:00 GMT" in found.says and found.advice
    assert found.resolution == "No more than 50 people inside from Tue 2026-03-10 11:00 GMT on."


def test_at_the_limit_is_not_over_it_and_no_video_says_nothing():
    assert judge.occupancy(day(peak=[50, 50], covered_s=[3600.0] * 2), 50, DOOR) == []
    (found,) = judge.occupancy(day(peak=[51, 0], covered_s=[3600.0, 0.0]), 50, DOOR)
    assert clock(found) == ("08:00", None)


def test_at_midnight_the_people_inside_are_counted_anew():
    late = day(first=22, peak=[60, 60], covered_s=[3600.0] * 2)
    silent = day(DAY + dt.timedelta(days=1), first=0, covered_s=[0.0])
    (found,) = judge.occupancy([*late, *silent], 50, DOOR)
    assert clock(found) == ("22:00", "00:00")


def test_people_in_a_zone_have_a_limit_of_their_own():
    hours = day(zones=[{"hall": 21}, {"hall": 20}], peak=[99, 99], covered_s=[60.0] * 2)
    (found,) = judge.occupancy(hours, 20, DOOR, "hall")
    assert (found.subject, found.value, clock(found)) == ("hall", 21, ("08:00", "09:00"))
    assert "zone 'hall' of door" in found.title


# ----------------------------------------------------------------------------------------------------------- nobody


def test_nobody_where_there_always_is_somebody_until_somebody_is_seen():
    hours = day(people=[40, 0, 0, 3], covered_s=[3600.0] * 4, usual=[USUAL] * 4)
    (found,) = judge.nobody(hours, 10, DOOR)
    assert (clock(found), found.value) == (("09:00", "11:00"), 80)
    assert "in 2 hours with video in which 80 people are usual (told from 10 an hour on)" in found.says
    (lasting,) = judge.nobody(hours[:3], 10, DOOR)
    assert clock(lasting) == ("09:00", None)


def test_no_video_is_not_nobody():
    for covered in (0.0, 3000.0):
        assert judge.nobody(day(people=[0], covered_s=[covered], usual=[USUAL]), 10, DOOR) == []
    assert judge.nobody(day(people=[0], covered_s=[3240.0], usual=[USUAL]), 10, DOOR)


@pytest.mark.parametrize("usual", [Usual(9, 3600), Usual(0, 3600), Usual(None, None)])
def test_where_few_usually_come_or_nothing_is_known_nobody_is_no_alert(usual):
    assert judge.nobody(day(people=[0], covered_s=[3600.0], usual=[usual]), 10, DOOR) == []


def test_a_closed_night_does_not_end_it_and_the_first_visitor_does():
    closed = Usual(0, 3600)
    evening = day(first=18, people=[0] * 6, covered_s=[3600.0] * 6, usual=[USUAL] + [closed] * 5)
    (found,) = judge.nobody(evening, 10, DOOR)
    assert clock(found) == ("18:00", None)


# --------------------------------------------------------------------------------------------------------- coverage


def test_a_silent_camera_is_told_when_more_of_the_usual_video_is_missing_than_may():
    hours = day(covered_s=[3600.0, 0.0, 0.0, 0.0], usual=[USUAL] * 4)
    assert judge.coverage(hours[:2], 7200, DOOR) == []
    last = hours[1].start + dt.timedelta(minutes=5)
    (found,) = judge.coverage(hours[:3], 7200, DOOR, last)
    assert (clock(found), found.value) == (("09:05", None), 7200)
    assert found.says == (
        "2.0 h of the usual video of door (North gate) are missing since Tue 2026-03-10 09:05 GMT (limit 2.0 h)."
        " Its last video ended Tue 2026-03-10 09:05 GMT."
    )


def test_video_that_comes_again_ends_it_and_hours_that_rest_say_nothing():
    rest = Usual(0, 0)
    hours = day(covered_s=[0.0, 0.0, 0.0, 1900.0], usual=[USUAL, rest, USUAL, USUAL])
    (found,) = judge.coverage(hours, 7200, DOOR)
    assert (clock(found), found.value) == (("08:00", "11:00"), 7200)
    assert "Video comes again from Tue 2026-03-10 11:00 GMT on." in found.resolution


def test_nothing_is_missing_where_nothing_is_usual():
    for usual in (Usual(None, None), Usual(0, 0)):
        assert judge.coverage(day(covered_s=[0.0] * 9, usual=[usual] * 9), 7200, DOOR) == []


def test_the_usual_is_what_half_of_the_weeks_had():
    assert judge.usual([(30, 3600.0), (0, 0.0), (50, 3600.0), (0, 0.0)]) == Usual(30, 0.0)
    assert judge.usual([(30, 3600.0), (40, 1800.0), (50, 3600.0)]) == Usual(40, 3600.0)
    assert judge.usual([(30, 3600.0)]) == Usual(None, None)


def test_where_summer_time_ends_the_hour_that_comes_twice_is_told_apart():
    october = dt.date(2026, 10, 25)
    hours = day(october, first=1, peak=[60, 60], covered_s=[3600.0] * 2)
    (found,) = judge.occupancy(hours, 50, DOOR)
    assert "since Sun 2026-10-25 01:00 BST" in found.says
    (second,) = judge.occupancy(hours[1:], 50, DOOR)
    assert "since Sun 2026-10-25 01:00 GMT" in second.says


# ---------------------------------------------------------------------------------------------- days, checks and runs


def test_unknown_share_lasts_while_the_latest_day_with_enough_people_is_too_high():
    start = [dt.datetime(2026, 3, n, tzinfo=dt.UTC) for n in (8, 9, 10)]
    few, good, bad = unknown_share((3, 3), []), unknown_share((40, 100), []), unknown_share((60, 100), [])
    (found,) = judge.unknown_share([(start[0], good), (start[1], bad), (start[2], few)], DOOR)
    assert (found.since, found.value, found.threshold) == (start[1], 0.6, 0.5)
    assert "60% of the 100 people at door (North gate)" in found.says and "(limit 50%)" in found.says
    assert judge.unknown_share([(start[0], bad), (start[1], good)], DOOR) == []


def test_a_check_that_fails_for_several_days_is_one_alert_and_one_of_an_unwatched_camera_is_none():
    at = dt.datetime(2026, 3, 10, 9, tzinfo=dt.UTC)
    failed = [
        FailedCheck("picture_is_sound", "door", "door 2026-03-09", at, "Old."),
        FailedCheck("picture_is_sound", "door", "door 2026-03-10", at + dt.timedelta(hours=1), "Clean the lens."),
        FailedCheck("picture_is_sound", "back", "back 2026-03-10", at, "Clean it."),
    ]
    (found,) = judge.checks(failed, {"door": DOOR})
    assert (found.key, found.since, found.value) == (("check_failed", "door", "picture_is_sound"), at, 2)
    assert "for door 2026-03-10 and 1 other recent day (door (North gate)): Clean the lens." in found.says


def test_runs_that_fail_are_one_alert_a_job():
    at = dt.datetime(2026, 3, 10, 9, tzinfo=dt.UTC)
    failed = [
        FailedRun("camera_day", f"door|2026-03-0{n}", f"{n:032}", at + n * judge.dt.timedelta(1), "Full.")
        for n in (1, 2)
    ]
    (found,) = judge.runs(failed, Where("", None, LONDON))
    assert (found.key, found.value) == (("run_failed", "", "camera_day"), 2)
    assert "2 runs of camera_day failed" in found.says and "for door|2026-03-02 (run 00000000): Full." in found.says
