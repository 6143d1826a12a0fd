"""A long video is tracked a few minutes at a time, and nobody notices."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pc_pipeline.vision.arrays import joined
from pc_pipeline.vision.track import follow, track
from pc_pipeline.vision.track.people import People
from pc_pipeline.vision.track.windows import windows
from pc_pipeline_tests.vision.track.scenes import (
    BLUE,
    BODY,
    FRAME,
    RED,
    SETTINGS,
    boxes_at,
    parts,
    seen,
    times,
    unseen,
    walker,
)

LOST = SETTINGS.lost_after
WINDOW = 40.0


def in_pieces(detections, sizes):
    """The frames of a video in pieces of these sizes, over and over."""
    first, pieces = 0, []
    while first < len(detections.pts_us):
        end = min(first + sizes[len(pieces) % len(sizes)], len(detections.pts_us))
        pieces.append(detections.frames(first, end))
        first = end
    return pieces


def followed(detections, window_s=WINDOW, sizes=(100,)):
    """Tracks in order of first sighting, and the place of each box's among them from 1, 0 for none."""
    found = sorted(follow(in_pieces(detections, sizes), SETTINGS, FRAME, window_s), key=lambda one: one.track.track_id)
    track_ids = np.zeros(len(detections.boxes), np.int32)
    for number, one in enumerate(found, start=1):
        assert not track_ids[one.rows].any(), "a box has one track at most"
        track_ids[one.rows] = number
    return [one.track for one in found], track_ids


def assert_same(found, expected):
    """The same tracks and boxes in them, whatever they are called."""
    assert np.array_equal(found[1], expected[1])
    for one, other in zip(found[0], expected[0], strict=True):
        for name in ("frame_number", "time_us", "boxes", "confidence", "interpolated"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name


def busy(seconds, every=4.0, fps=5, seed=0, colours=False):
    """People who come one after the other on lanes of their own, both ways: somebody is always in view."""
    random = np.random.default_rng(seed)
    time, people = times(seconds, fps), []
    for number, start in enumerate(np.arange(-8.0, seconds, every)):
        pace = random.uniform(0.6, 1.2)
        y = 200 + 45 * (number % 12) + random.uniform(-8, 8)
        x, way = (30, 1) if number % 2 else (FRAME[0] - 30, -1)
        people.append(walker(time, (x, y), (way * pace, 0), when=start))
    worn = [(RED, BLUE)[number % 2] for number in range(len(people))] if colours else None
    return seen(people, time, noise=0.01, seed=seed, colours=worn)


def with_pauses(seconds, pauses, fps=5):
    """Pairs of people who cross, with nobody in view for so long between two pairs."""
    time, people, start = times(seconds, fps), [], 0.0
    for number in range(100):
        if start > seconds:
            break
        here = (time < start) | (time > start + 8)
        people += [
            unseen(walker(time, (640 - 40 * (number % 3), 420), (pace, 0.02), when=start + 4), here)
            for pace in (0.8, -0.7)
        ]
        start += 8 + pauses[number % len(pauses)]
    return seen(people, time, noise=0.01)


@pytest.mark.parametrize("colours", [False, True])
def test_a_video_of_one_window_is_tracked_whole(colours):
    detections, _ = busy(35, colours=colours)
    assert_same(followed(detections), track(detections, SETTINGS, FRAME))


@given(
    pauses=st.lists(st.floats(3.5, 9), min_size=1, max_size=4),
    window_s=st.floats(30, 60),
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=3),
)
@settings(max_examples=3)
def test_with_quiet_moments_windows_change_nothing(pauses, window_s, sizes):
    detections, _ = with_pauses(120, pauses)
    assert all(one.cut_us is None for one in windows([detections], LOST, window_s))
    assert_same(followed(detections, window_s, sizes), track(detections, SETTINGS, FRAME))


@given(window_s=st.floats(24, 70), seed=st.integers(0, 9))
@settings(max_examples=3)
def test_who_walks_on_while_a_window_ends_is_one_person(window_s, seed):
    detections, owner = busy(90, seed=seed)
    assert all(one.cut_us is not None for one in list(windows([detections], LOST, window_s))[:-1])
    tracks, track_ids = followed(detections, window_s)
    assert parts(track_ids) == parts(owner.astype(np.int32) + 1)
    assert_same((tracks, track_ids), track(detections, SETTINGS, FRAME))


def test_a_person_hidden_while_a_window_ends_is_one_person():
    time = times(100, 5)
    sitter = boxes_at(np.tile([640.0, 400.0], (len(time), 1)))
    cuts = [one.cut_us / 1e6 for one in windows([seen([sitter], time)[0]], LOST, WINDOW) if one.cut_us]
    assert len(cuts) > 1
    hidden = np.min([np.abs(time - cut) for cut in cuts], axis=0) < 1
    walks = walker(time, (300, 600), (0.05, 0))
    detections, owner = seen([sitter, unseen(walks, hidden)], time)
    assert parts(followed(detections)[1]) == parts(owner.astype(np.int32) + 1)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=4))
@settings(max_examples=3)
def test_in_whatever_pieces_a_video_comes_it_has_the_same_tracks(sizes):
    detections, _ = busy(70, colours=True)
    assert_same(followed(detections, sizes=sizes), followed(detections, sizes=(10_000,)))


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=600),
    st.lists(st.sampled_from([0.1, 0.5, 0.5, 7.0, 300.0]), min_size=1, max_size=9),
    st.floats(1, 40),
    st.floats(0.1, 6),
    st.lists(st.integers(1, 60), min_size=1, max_size=3),
)
def test_every_box_is_decided_in_one_window_and_no_window_is_too_long(counts, steps, window_s, lost_after, sizes):
    """Whatever the frame rate, be it even or not."""
    time = np.cumsum(np.resize(np.repeat(steps, 60), len(counts)))
    people = [unseen(boxes_at(np.tile([300.0, 300.0], (len(time), 1))), np.array(counts) <= n) for n in (0, 1)]
    detections, _ = seen(people, time)
    found = list(windows(in_pieces(detections, sizes), lost_after, window_s))
    decided = [np.arange(one.first_row + one.begin, one.first_row + one.end) for one in found]
    assert np.array_equal(np.concatenate(decided), np.arange(len(detections.boxes)))
    for one, after in zip(found, [*found[1:], None], strict=True):
        seconds = (one.detections.pts_us[-1] - one.detections.pts_us[0]) / 1e6
        overlap = (one.cut_us - after.detections.pts_us[0]) / 1e6 if after and one.cut_us else 0.0
        assert overlap <= one.lost_us / 1e6 + 20
        assert len(one.detections.pts_us) <= 100 or seconds < max(window_s, 8 * lost_after, 4 * (6 + 1.5 * 300 + 20))
        assert np.array_equal(
            one.detections.pts_us, detections.pts_us[one.first_frame : one.first_frame + len(one.detections.pts_us)]
        )


@pytest.mark.parametrize(("first", "double"), [((0, 70), (62, 90)), ((20, 38), (21, 60)), ((0, 120), (20, 105))])
def test_a_second_box_on_somebody_is_told_whenever_the_two_are_over(first, double):
    """The longer of the two stays, though its end may lie some windows later."""
    time = times(130, 5)
    others = [walker(time, (30, 650), (0.8, 0), when=start) for start in range(-5, 130, 6)]
    body = boxes_at(np.tile([640.0, 300.0], (len(time), 1)))
    around = body + [-4, -4, 4, 4]
    both = [unseen(box, (time < low) | (time > high)) for box, (low, high) in ((body, first), (around, double))]
    detections, _ = seen([*others, *both], time)
    assert_same(followed(detections), track(detections, SETTINGS, FRAME))


@pytest.mark.parametrize(
    "stays",
    [
        # The first is over, the second is in view still, is shorter now, and will be.
        [(-30.0, -3.6), (-24.0, 1.5)],
        # The second waits for the third, who was not in view with the first.
        [(-60.0, -16.0), (-50.0, -10.0), (-12.0, 4.0)],
    ],
)
def test_a_verdict_waits_for_those_it_may_hang_on(stays):
    time = times(120, 5)
    sitter = boxes_at(np.tile([200.0, 300.0], (len(time), 1)))
    cuts = [one.cut_us / 1e6 for one in windows([seen([sitter], time)[0]], LOST, WINDOW) if one.cut_us]
    body = boxes_at(np.tile([640.0, 300.0], (len(time), 1)))
    # Each of the first two lies for the most part in the other, and no box of theirs is taken for the other's.
    boxes = [body, body + [0, 0.28 * BODY, 0, 0], body + 300]
    hidden = [(time < cuts[3] + low) | (time > cuts[3] + high) for low, high in stays]
    detections, _ = seen([sitter, *(unseen(box, where) for box, where in zip(boxes, hidden, strict=False))], time)
    expected = track(detections, SETTINGS, FRAME)
    assert len(expected[0]) == len(stays), "the sitter, and all but the second"
    assert_same(followed(detections), expected)


def test_of_two_who_claim_to_go_on_from_one_it_is_the_one_seen_last():
    time = times(60, 5)
    people = [boxes_at(np.tile([x, 300.0], (len(time), 1))) for x in (300.0, 600.0)]
    detections, owner = seen(people, time)
    first, second, *_ = windows([detections], LOST, WINDOW)
    in_two = [owner[one.first_row : one.first_row + len(one.detections.boxes)] for one in (first, second)]
    # What the first window took for one person, the second one tells apart.
    one = np.flatnonzero((in_two[0] == 1) | (np.arange(len(in_two[0])) < first.end - 8))
    everybody = People(SETTINGS, FRAME)
    assert list(everybody.see(first, [one])) == []
    apart = [np.flatnonzero(in_two[1] == person) for person in (0, 1)]
    last = replace(second, end=len(second.detections.boxes), cut_us=None)
    found = sorted(everybody.see(last, apart), key=lambda one: one.track.track_id)
    cut = first.first_row + first.end
    assert [one.rows[0] for one in found] == [0, cut]
    assert (owner[found[0].rows[found[0].rows >= cut]] == 1).all()
    assert (owner[found[1].rows] == 0).all()


def test_memory_holds_who_is_in_view_not_who_was(monkeypatch):
    detections, _ = busy(240)
    held = []
    forget = People._forget

    def forgetting(self):
        forget(self)
        held.append((len(self._open) + len(self._waiting) + len(self._over), len(self._pts_us)))

    monkeypatch.setattr(People, "_forget", forgetting)
    tracks, _ = followed(detections)
    assert len(tracks) > 50 and len(held) > 8
    assert max(persons for persons, _ in held[:-1]) < 25
    assert max(frames for _, frames in held[:-1]) < 2 * WINDOW * 5
    assert held[-1] == (0, 0)


def test_where_frames_come_seldom_people_are_followed_from_frame_to_frame():
    """A frame an hour, and somebody who stands there: whole in memory it would be one track too."""
    time = times(300 * 3600, 1 / 3600)
    detections, owner = seen([boxes_at(np.tile([640.0, 400.0], (len(time), 1)))], time)
    assert len(list(windows([detections], LOST, WINDOW))) > 2
    assert parts(followed(detections)[1]) == parts(owner.astype(np.int32) + 1)


def test_nothing_in_a_video_is_no_track():
    time = times(200, 5)
    empty = seen([np.full((len(time), 4), np.nan)], time)[0]
    assert followed(empty)[0] == []
    assert list(follow([], SETTINGS, FRAME)) == []
    assert list(follow([joined([empty]).frames(0, 0)], SETTINGS, FRAME)) == []
