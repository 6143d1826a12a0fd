"""A file's name tells its camera and start, in any time zone, on any day."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_pipeline.errors import NameNotUnderstood
from pc_pipeline.ingest.names import (
    CAMERA_NAME,
    SHIPPED,
    VIDEO_SUFFIXES,
    NonexistentTime,
    check_pattern,
    name_for,
    parse_name,
    to_utc,
)

LONDON = ZoneInfo("Europe/London")
# Whole, half and quarter hours from UTC; a half-hour summer time; clocks that change at midnight; a day left out.
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/London",
        "America/New_York",
        "Asia/Kolkata",
        "Asia/Kathmandu",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "Asia/Beirut",
        "Africa/Cairo",
        "Pacific/Apia",
    )
]
zones = st.sampled_from(ZONES)
cameras = st.from_regex(CAMERA_NAME, fullmatch=True)
starts = st.datetimes(datetime(2009, 1, 1), datetime(2035, 1, 1)).map(lambda t: t.replace(microsecond=0, tzinfo=UTC))


def parse(name, patterns=SHIPPED, zone=LONDON):
    return parse_name(name, patterns, zone)


@pytest.mark.parametrize(
    ("name", "camera", "start"),
    [
        ("door/2026-03-01/09-30-00.mp4", "door", "2026-03-01T09:30:00+00:00"),
        ("door_20260301_093000.mp4", "door", "2026-03-01T09:30:00+00:00"),
        ("door_20260701_093000.mp4", "door", "2026-07-01T08:30:00+00:00"),
        ("door_20260701_093000Z.mp4", "door", "2026-07-01T09:30:00+00:00"),
        ("door_2026-07-01T09:30:00+05:30.mp4", "door", "2026-07-01T04:00:00+00:00"),
        ("door_20260701T093000.250Z.mkv", "door", "2026-07-01T09:30:00.250000+00:00"),
        ("door_2026-07-01T09-30-00.mp4", "door", "2026-07-01T08:30:00+00:00"),
        ("door/20260701T093000-0400.mp4", "door", "2026-07-01T13:30:00+00:00"),
        ("recordings/north/front.door_2_20260301_093000.AVI", "front.door_2", "2026-03-01T09:30:00+00:00"),
        ("Front_20260301093000.mov", "Front", "2026-03-01T09:30:00+00:00"),
        ("door/20260301/093000.ts", "door", "2026-03-01T09:30:00+00:00"),
    ],
)
def test_names_that_recorders_write(name, camera, start):
    found = parse(name)
    assert (found.camera, found.start.isoformat(), found.ambiguous) == (camera, start, False)


@given(st.sampled_from(SHIPPED), cameras, starts, zones, st.sampled_from(VIDEO_SUFFIXES))
def test_a_name_that_a_pattern_writes_is_read_back(pattern, camera, start, zone, suffix):
    name = name_for(pattern, camera, start, zone).removesuffix(".mp4") + suffix
    found = parse(name, [pattern], zone)
    assert found.camera == camera
    if found.ambiguous:
        # The clocks showed this time twice: the name means the first of them.
        assert found.start <= start <= found.start + timedelta(hours=1)
        assert found.start.astimezone(zone).replace(tzinfo=None) == start.astimezone(zone).replace(tzinfo=None, fold=0)
    else:
        assert found.start == start


@given(st.datetimes(datetime(2009, 1, 1), datetime(2035, 1, 1)), zones)
def test_a_local_time_is_an_instant_that_shows_it_or_does_not_exist(local, zone):
    both = [local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    shown = [instant for instant in both if instant.astimezone(zone).replace(tzinfo=None) == local]
    try:
        instant, ambiguous = to_utc(local, zone)
    except NonexistentTime:
        assert not shown
    else:
        assert instant == min(shown)
        assert ambiguous == (len(set(shown)) == 2)


def test_the_hour_that_comes_twice_is_taken_the_first_time_and_said_to_be_ambiguous():
    found = parse("door_20261025_013000.mp4")
    assert (found.start.isoformat(), found.ambiguous) == ("2026-10-25T00:30:00+00:00", True)


@pytest.mark.parametrize(
    ("name", "because"),
    [
        ("door_20260329_013000.mp4", "2026-03-29 01:30:00 did not exist in Europe/London: the clocks jumped over it"),
        ("door_20260230_013000.mp4", "there is no 2026-02-30 01:30:00"),
        ("door_20260301_250000.mp4", "there is no 2026-03-01 25:00:00"),
        ("door_2026-03-01T09:00:00+99:99.mp4", "offset"),
    ],
)
def test_a_start_that_cannot_be_is_named(name, because):
    with pytest.raises(
        NameNotUnderstood, match=f"^'{name}' names a start that cannot be".replace("+", r"\+")
    ) as caught:
        parse(name)
    assert because in str(caught.value)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("door_20260301.mp4", "{camera}_{YYYYMMDD}"),
        ("door/2026-03-01/0930.mp4", "{camera}/{YYYY-MM-DD}/{HH-MM-SS}.mp4"),
        ("holiday.mp4", ""),
        ("-door_20260301_0930.mp4", "{camera}_{YYYYMMDD}_{HHMMSS}.mp4"),
    ],
)
def test_a_name_without_a_start_is_shown_the_nearest_pattern(name, nearest):
    with pytest.raises(NameNotUnderstood) as caught:
        parse(name)
    assert f"the nearest pattern is '{nearest}" in str(caught.value)
    assert "`pc process`" in str(caught.value)


def test_a_file_that_is_no_video_by_its_name():
    with pytest.raises(NameNotUnderstood, match="is not a video by its name: the endings read are .mp4, .avi"):
        parse("door_20260301_093000.jpg")


@pytest.mark.parametrize(
    ("pattern", "because"),
    [
        ("{camera}_{YYYY}.mp4", "unknown part {YYYY}"),
        ("{camera}.mp4", "must have {camera} once, and either {iso} or one date and one time"),
        ("{YYYYMMDD}_{HHMMSS}.mp4", "must have {camera} once"),
        ("{camera}_{YYYYMMDD}_{YYYY-MM-DD}_{HHMMSS}.mp4", "one date and one time"),
        ("{camera}_{iso}_{HHMMSS}.mp4", "either {iso} or"),
    ],
)
def test_a_pattern_that_cannot_tell_a_start_is_refused(pattern, because):
    with pytest.raises(ValueError) as caught:
        check_pattern(pattern)
    assert because in str(caught.value)
