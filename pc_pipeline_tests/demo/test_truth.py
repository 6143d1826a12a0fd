"""The demo's truth is what its script says, worked out here by hand."""

import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pc_pipeline.demo.compare import compare
from pc_pipeline.demo.scene import Clip, Walker
from pc_pipeline.demo.script import CLIPS, DAY, LINE_X, site_yaml
from pc_pipeline.demo.truth import crossings, hourly

LONDON = ZoneInfo("Europe/London")


@pytest.mark.parametrize(
    ("xs", "expected"),
    [
        ((0.1, 0.9), [(0.5, "in")]),
        ((0.9, 0.1), [(0.5, "out")]),
        ((0.1, 0.4, 0.1), []),
        ((0.1, 0.7, 0.1), [(0.5 + 1 / 6, "in"), (1 + 1 / 3, "out")]),
        ((0.1, 0.49, 0.51, 0.49, 0.1), []),
        ((0.1, 0.49, 0.51, 0.49, 0.9), [(3 + 1 / 41, "in")]),
    ],
    ids=[
        "in",
        "out",
        "turns round before it",
        "comes in and leaves",
        "stands on it, goes back",
        "stands on it, goes in",
    ],
)
def test_a_crossing_is_a_change_from_one_side_to_the_other(xs, expected):
    walker = Walker(0, tuple((float(second), x, 0.8) for second, x in enumerate(xs)))
    found = crossings(walker, 0.5)
    assert [way for _, way in found] == [way for _, way in expected]
    assert [time for time, _ in found] == pytest.approx([time for time, _ in expected])


def test_a_movement_belongs_to_the_hour_in_which_it_happens():
    walkers = [Walker(0, ((0.0, 0.0, 0.8), (4.0, 1.0, 0.8))), Walker(0, ((10.0, 1.0, 0.8), (14.0, 0.0, 0.8)))]
    start = datetime(2025, 6, 18, 8, 59, 55, tzinfo=LONDON)
    assert hourly([(start, Clip(20, 0, walkers))], 0.5) == {
        datetime(2025, 6, 18, 8, tzinfo=LONDON): {"entered": 1, "exited": 0},
        datetime(2025, 6, 18, 9, tzinfo=LONDON): {"entered": 0, "exited": 1},
    }


def test_the_demos_day():
    counts = {hour.hour: (row["entered"], row["exited"]) for hour, row in hourly(CLIPS, LINE_X).items()}
    assert counts == {8: (3, 1), 12: (1, 1), 14: (1, 2), 16: (0, 2), 17: (1, 1)}
    assert all(started_at.date() == DAY for started_at, _ in CLIPS)


def test_no_crossing_lies_near_the_full_hour_or_the_edge_of_a_clip():
    """A detector's box is off by a few pixels: that must not move a person into another hour."""
    for started_at, clip in CLIPS:
        for walker in clip.walkers:
            for time_s, _ in crossings(walker, LINE_X):
                moment = started_at + timedelta(seconds=time_s)
                assert 2 <= moment.minute * 60 + moment.second < 3598
                assert 2 < time_s < clip.duration_s - 2


def test_the_demos_site_file_is_a_good_one(tmp_path):
    from pc_pipeline.ingest.site import load_site

    file = tmp_path / "site.yaml"
    file.write_text(site_yaml("hog"))
    site = load_site(file)
    assert site.detector.model == "hog"
    assert site.cameras["entrance"].lines["door"].start[0] == LINE_X


HOUR = datetime(2025, 6, 18, 8, tzinfo=LONDON)
ROW = {"hour_start": HOUR.astimezone(ZoneInfo("UTC")), "date": DAY, "entered": 3, "exited": 1, "unique_total": 4,
       "coverage_seconds": 16.0}  # fmt: skip


def cached(row):
    return json.loads(json.dumps([row], default=str))


def test_an_hour_agrees_where_truth_postgres_and_redis_do():
    (hour,) = compare({HOUR: {"entered": 3, "exited": 1}}, [ROW], cached(ROW))
    assert hour.agrees
    assert (hour.hour, hour.truth, hour.postgres, hour.redis) == (HOUR, (3, 1), (3, 1), (3, 1))


@pytest.mark.parametrize(
    ("entered", "postgres", "redis"),
    [
        (2, [ROW], cached(ROW)),
        (3, [ROW], cached(ROW | {"exited": 0})),
        (3, [ROW], cached(ROW | {"unique_total": 5})),
        (3, [ROW], []),
        (3, [], cached(ROW)),
    ],
    ids=["other truth", "other counts in Redis", "another figure in Redis", "nothing in Redis", "nothing in Postgres"],
)
def test_an_hour_disagrees(entered, postgres, redis):
    (hour,) = compare({HOUR: {"entered": entered, "exited": 1}}, postgres, redis)
    assert not hour.agrees
