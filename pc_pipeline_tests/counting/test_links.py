"""A person who walks from one file into the next is one person."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pc_pipeline.counting.links import link_tracks, track_head, track_tail
from pc_pipeline.ingest.site import CountingConfig
from pc_pipeline.vision.arrays import Track

CONFIG = CountingConfig(link_gap=2.0)
# The first file ends, and the second starts, at midnight.
FIRST = datetime(2026, 3, 1, 23, 59, 50, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


def walk(track_id, start_s, end_s, at, velocity=(0.0, 0.0), height=170.0, fps=10):
    """A track whose foot is `at` pixels at midnight, seen from `start_s` to `end_s` around it: tail or head by sign."""
    seconds = np.arange(start_s, end_s, 1 / fps)
    foot = np.array(at) + seconds[:, None] * np.array(velocity)
    boxes = np.column_stack([foot[:, 0] - 30, foot[:, 1] - height, foot[:, 0] + 30, foot[:, 1]]).astype(np.float32)
    offset = 10.0 if start_s < 0 else 0.0
    count = len(seconds)
    return Track(
        track_id,
        np.arange(count, dtype=np.int32),
        np.round((seconds + offset) * 1e6).astype(np.int64),
        boxes,
        np.ones(count, np.float32),
        np.zeros(count, bool),
    )


def link(before, after, config=CONFIG):
    return link_tracks([track_tail(t, FIRST) for t in before], [track_head(t, MIDNIGHT) for t in after], config)


# The first call imports scipy.
@settings(deadline=None)
@given(
    st.sampled_from([5, 10, 25, 30]),
    st.floats(0, 1),
    st.floats(0, 2 * np.pi),
    st.floats(0, 1.5),
)
def test_a_walker_goes_on_at_any_frame_rate_in_any_direction(fps, gap_s, angle, speed):
    velocity = speed * 170 * np.array([np.cos(angle), np.sin(angle)])
    before = walk(3, -3, 0, (1000, 600), velocity, fps=fps)
    after = walk(8, gap_s, gap_s + 3, (1000, 600), velocity, fps=fps)
    assert link([before], [after]) == [(3, 8)]


def test_two_who_pass_each_other_in_the_gap_keep_their_ways():
    right, left = (200.0, 0.0), (-200.0, 0.0)
    before = [walk(1, -2, -0.3, (500, 600), right), walk(2, -2, -0.3, (500, 600), left)]
    after = [walk(1, 0.3, 2, (500, 600), left), walk(2, 0.3, 2, (500, 600), right)]
    assert link(before, after) == [(2, 1), (1, 2)]


@pytest.mark.parametrize(
    "after",
    [
        walk(1, 0.2, 2, (1500, 600)),  # 3 body heights away
        walk(1, 2.5, 4, (500, 600)),  # after more than the gap
        walk(1, 0.2, 2, (500, 600), height=400),  # more than twice as tall
        walk(1, 0.2, 2, (700, 600), (-300, 0)),  # coming towards where the other stood, from too far
    ],
)
def test_another_person_is_not_joined(after):
    assert link([walk(1, -2, 0, (500, 600))], [after]) == []


def test_who_stands_still_is_joined_and_no_gap_joins_nobody():
    standing = walk(1, -2, 0, (500, 600)), walk(1, 0.1, 2, (500, 600))
    assert link([standing[0]], [standing[1]]) == [(1, 1)]
    assert link([standing[0]], [standing[1]], CountingConfig(link_gap=0.0)) == []


def test_files_that_overlap_a_little_are_joined():
    before, after = walk(1, -2, 0.3, (500, 600), (100, 0)), walk(1, 0.0, 2, (500, 600), (100, 0))
    assert link([before], [after]) == [(1, 1)]


def test_the_order_of_the_tracks_changes_nothing():
    before = [walk(i, -2, 0, (200 * i, 600), (20 * i, 0)) for i in range(1, 6)]
    after = [walk(i, 0.2, 2, (200 * i, 600), (20 * i, 0)) for i in range(1, 5)]
    assert link(before, after) == link(before[::-1], after[::-1]) == [(i, i) for i in range(1, 5)]


def test_a_single_sighting_has_no_velocity():
    tail = track_tail(walk(4, -0.05, 0, (500, 600)), FIRST)
    assert tail.velocity == (0.0, 0.0)
    assert (tail.foot, tail.height) == ((500.0, 600.0), 170.0)
    assert tail.time_us == (FIRST - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) + 9_950_000


def test_nobody_to_join():
    assert link([], []) == []
    assert link([walk(1, -2, 0, (5, 5))], []) == []
