"""A person who walks from one file into the next is one person."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pc_pipeline.counting.links import link_tracks
from pc_pipeline.evaluation.lines import USUAL_LINES, counts, crossings
from pc_pipeline.ingest.site import CountingConfig
from pc_pipeline.vision.arrays import Detections, Track
from pc_pipeline_tests.vision.track.scenes import FRAME, boxes_at, seen, times, tracked, unseen, walker

# The second file starts so many seconds after the first.
LATER_S = 10.0
SIZE = (4000, 2400)
TALL = 170.0


def walk(track_id, start_s, end_s, at, velocity=(0.0, 0.0), tall=TALL, fps=10):
    """A track with its feet `at` pixels when the second file starts, seen from `start_s` to `end_s` around that moment:
    a track of the first file where `start_s` is negative."""
    seconds = np.arange(start_s, end_s, 1 / fps)
    count = len(seconds)
    return Track(
        track_id,
        np.arange(count, dtype=np.int32),
        np.round((seconds + (LATER_S if start_s < 0 else 0)) * 1e6).astype(np.int64),
        boxes_at(np.array(at) + seconds[:, None] * np.array(velocity), tall).astype(np.float32),
        np.ones(count, np.float32),
        np.zeros(count, bool),
    )


def link(before, after, link_gap=3.0):
    return link_tracks(before, after, round(LATER_S * 1e6), SIZE, CountingConfig(link_gap=link_gap))


# The first call imports scipy.
@settings(deadline=None, max_examples=30)
@given(st.sampled_from([5, 10, 25, 30]), st.floats(0, 2), st.floats(0, 2 * np.pi), st.floats(0, 1.5))
def test_a_walker_goes_on_at_any_frame_rate_in_any_direction(fps, gap_s, angle, speed):
    velocity = speed * TALL * np.array([np.cos(angle), np.sin(angle)])
    before = walk(3, -3, 0, (2000, 1200), velocity, fps=fps)
    after = walk(8, gap_s, gap_s + 3, (2000, 1200), velocity, fps=fps)
    assert link([before], [after]) == [(3, 8)]


def test_two_who_pass_each_other_in_the_gap_keep_their_ways():
    right, left = (200.0, 0.0), (-200.0, 0.0)
    before = [walk(1, -2, -0.3, (500, 600), right), walk(2, -2, -0.3, (500, 600), left)]
    after = [walk(1, 0.3, 2, (500, 600), left), walk(2, 0.3, 2, (500, 600), right)]
    assert link(before, after) == [(2, 1), (1, 2)]


@pytest.mark.parametrize(
    "after",
    [
        walk(1, 0.2, 2, (1500, 600)),  # six body heights away
        walk(1, 3.5, 5, (500, 600)),  # after more than the gap
        walk(1, 0.2, 2, (500, 600), tall=400),  # more than twice as tall
        walk(1, 0.2, 2, (900, 600), (-300, 0)),  # coming towards where the other stood, from too far
    ],
)
def test_another_person_is_not_joined(after):
    assert link([walk(1, -2, 0, (500, 600))], [after]) == []


def test_who_leaves_at_the_border_is_not_who_comes_in_there_later():
    """In the middle of the picture, somebody was hidden and turned around."""

    def out_and_in(x):
        leaves, comes = walk(1, -3, 0, (x, 600), (-100, 0)), walk(1, 2, 4, (x - 200, 600), (100, 0))
        return link([leaves], [comes])

    assert out_and_in(2000) == [(1, 1)]
    assert out_and_in(60) == []


def test_who_stands_still_is_joined_and_no_gap_joins_nobody():
    standing = walk(1, -2, 0, (500, 600)), walk(1, 0.1, 2, (500, 600))
    assert link([standing[0]], [standing[1]]) == [(1, 1)]
    assert link([standing[0]], [standing[1]], link_gap=0.0) == []


@pytest.mark.parametrize("overlap_s", [0.05, 0.5, 2.0])
def test_files_that_overlap_are_joined(overlap_s):
    before, after = walk(1, -3, overlap_s, (500, 600), (100, 0)), walk(1, 0.0, 4, (500, 600), (100, 0))
    assert link([before], [after]) == [(1, 1)]


def test_where_nobody_was_seen_is_no_evidence():
    """A box filled in puts her somewhere else: what counts is where she was seen."""
    after = walk(1, 0.1, 2, (500, 600))
    after.boxes[1:15] += 900
    assert link([walk(1, -2, 0, (500, 600))], [after]) == []
    after.interpolated[1:15] = True
    assert link([walk(1, -2, 0, (500, 600))], [after]) == [(1, 1)]


def test_tracks_of_one_file_are_not_joined():
    """Its own tracker, which saw more of them, kept them apart."""
    before = [walk(1, -3, -1, (500, 600)), walk(2, -0.9, 0, (500, 600))]
    assert link(before, [walk(1, 2, 3, (1500, 600)), walk(2, 0.1, 1, (500, 600))]) == [(2, 2)]


def test_the_order_of_the_tracks_changes_nothing():
    before = [walk(i, -2, 0, (200 * i, 600), (20 * i, 0)) for i in range(1, 6)]
    after = [walk(i, 0.2, 2, (200 * i, 600), (20 * i, 0)) for i in range(1, 5)]
    assert link(before, after) == link(before[::-1], after[::-1]) == [(i, i) for i in range(1, 5)]


def test_single_sightings_are_joined():
    assert link([walk(4, -0.05, 0, (500, 600))], [walk(9, 0.05, 0.1, (500, 600))]) == [(4, 9)]


def test_nobody_to_join():
    assert link([], []) == []
    assert link([walk(1, -2, 0, (5, 5))], []) == []
    assert link([], [walk(1, 0, 2, (5, 5))]) == []


def part(detections, first, last):
    """The frames from `first` up to `last`, as a file of their own."""
    low, high = detections.offsets[[first, last]]
    return Detections(
        frame_number=np.arange(last - first, dtype=np.int32),
        pts_us=detections.pts_us[first:last] - detections.pts_us[first],
        offsets=detections.offsets[first : last + 1] - low,
        boxes=detections.boxes[low:high],
        confidence=detections.confidence[low:high],
        class_id=detections.class_id[low:high],
    )


def people(detections, files):
    """Everyone in consecutive files (first and last frame of each), each file tracked alone: one track a person."""
    everyone, ends, before, since = [], {}, [], 0
    for first, last in files:
        start = int(detections.pts_us[first])
        tracks, _ = tracked(part(detections, first, last))
        goes_on_from = {
            head: tail for tail, head in link_tracks(before, tracks, start - since, FRAME, CountingConfig())
        }
        begun = {}
        for one in tracks:
            if one.track_id in goes_on_from:
                person = ends[goes_on_from[one.track_id]]
            else:
                everyone.append(person := [])
            person.append(replace(one, time_us=one.time_us + start))
            begun[one.track_id] = person
        ends, before, since = begun, tracks, start
    return [
        replace(person[0], **{name: np.concatenate([getattr(one, name) for one in person]) for name in SERIES})
        for person in everyone
    ]


SERIES = ("frame_number", "time_us", "boxes", "confidence", "interpolated")
MIDDLE = st.floats(500, 780)
PACE = st.floats(0.3, 1.2)


@settings(max_examples=10)
@given(
    heading_right=st.lists(st.tuples(MIDDLE, PACE), min_size=1, max_size=2),
    heading_left=st.lists(st.tuples(MIDDLE, PACE), min_size=1, max_size=2),
    cuts=st.sets(st.integers(1, 3), min_size=1),
    offset=st.integers(0, 9),
    dropped=st.integers(0, 10),
    hidden=st.booleans(),
    seed=st.integers(0, 99),
)
def test_wherever_the_video_is_cut_the_counts_are_the_uncut_ones(
    heading_right, heading_left, cuts, offset, dropped, hidden, seed
):
    """Files of a second and more, up to a second apart, in which people pass each other; one may be hidden at a cut."""
    time = times(9, 10)
    lanes = np.linspace(250, 650, len(heading_right) + len(heading_left))
    ways = [(x, pace) for x, pace in heading_right] + [(x, -pace) for x, pace in heading_left]
    whole = [walker(time, (x, y), (pace, 0.1), when=4.5) for (x, pace), y in zip(ways, lanes, strict=True)]
    edges = [0, *sorted(20 * cut + offset for cut in cuts), len(time)]
    if hidden:
        whole[0] = unseen(whole[0], np.abs(time - time[edges[1]]) < 0.5)
    detections, _ = seen(whole, time, noise=0.01, seed=seed)
    files = [(first + dropped * (first > 0), last) for first, last in pairwise(edges)]
    uncut, cut = people(detections, [(0, len(time))]), people(detections, files)
    assert len(cut) == len(uncut) == len(whole)
    for line in USUAL_LINES.values():
        true, found = (
            counts([one.crossing for one in crossings(tracks, line, FRAME, 0.05, "foot")]) for tracks in (uncut, cut)
        )
        assert found == true
