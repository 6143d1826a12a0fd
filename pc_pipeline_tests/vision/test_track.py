"""Stored boxes to tracks: one a person, whoever crosses or hides, the same at every frame rate, and no ghosts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    tracked,
    unseen,
    walker,
)

MIDDLE = (640, 420)


def assert_nobody_swapped(detections, owner, clear):
    """Two tracks, and each person's boxes at the times that are `clear` are all in one of them."""
    tracks, track_ids = tracked(detections)
    assert len(tracks) == 2
    theirs = [set(track_ids[clear & (owner == person)].tolist()) for person in (0, 1)]
    assert theirs in ([{1}, {2}], [{2}, {1}])


def moment(detections):
    """Seconds from the video's start, of each box."""
    return detections.pts_us[detections.frame_index] / 1e6


def test_tracks_are_in_order_of_appearance():
    time = times(4, 10)
    late = unseen(walker(time, (1100, 300), (-0.8, 0)), time < 1)
    detections, owner = seen([late, walker(time, (100, 600), (0.8, 0))], time)
    tracks, track_ids = tracked(detections)
    assert [(one.track_id, one.time_us[0]) for one in tracks] == [(1, 0), (2, 1_000_000)]
    assert track_ids.tolist() == (2 - owner).tolist()
    assert tracks[0].foot[:, 1] == pytest.approx(600, abs=0.01)


directions = st.floats(0, 2 * np.pi).map(lambda way: np.array([np.cos(way), np.sin(way)]))


@given(
    pace=st.floats(0, 0.6),
    heading=directions,
    faster=st.floats(0.6, 1.2),
    aside=directions,
    merged=st.booleans(),
    gap=st.floats(0.3, 0.8),
    colours=st.sampled_from([None, (RED, BLUE)]),
    fps=st.sampled_from([5, 10]),
    seed=st.integers(0, 99),
)
@settings(max_examples=12)
def test_two_who_cross_swap_nothing(pace, heading, faster, aside, merged, gap, colours, fps, seed):
    """Around the crossing the one in front hides the other, or both are one box."""
    time = times(4, fps)
    velocity = pace * heading
    front = walker(time, MIDDLE, velocity, when=2)
    back = walker(time, MIDDLE, velocity + faster * aside, when=2)
    near = np.abs(time - 2) <= gap / 2
    if merged:
        both = np.hstack((np.minimum(front[:, :2], back[:, :2]), np.maximum(front[:, 2:], back[:, 2:])))
        front = np.where(near[:, None], both, front)
    detections, owner = seen([front, unseen(back, near)], time, colours=colours, noise=0.01, seed=seed)
    assert_nobody_swapped(detections, owner, np.abs(moment(detections) - 2) > gap / 2 + 0.05)


@pytest.mark.parametrize("fps", [5, 10, 25])
@pytest.mark.parametrize("pace", [0.3, 0.6])
@pytest.mark.parametrize("apart", [0.0, 0.05, 0.3])
def test_two_who_are_both_seen_as_they_cross_swap_nothing(apart, pace, fps):
    time = times(5, fps)
    people = [
        walker(time, (640, 420), (pace, 0), when=2.54),
        walker(time, (640, 420 + apart * BODY), (-pace, 0), when=2.54),
    ]
    detections, owner = seen(people, time)
    assert_nobody_swapped(detections, owner, np.abs(moment(detections) - 2.54) > 0.6)


@pytest.mark.parametrize("colours", [None, (RED, BLUE)])
def test_of_two_who_change_places_unseen_the_colours_tell_who_is_who(colours):
    """One behind the other at the same pace, hidden for a second, in which the second overtakes the first."""
    time = times(10, 10)
    ahead = np.where(time < 5.5, 0.2, -0.2)[:, None] * np.array([BODY, 0])
    middle = np.array([300, 420]) + time[:, None] * [0.5 * BODY, 0]
    hidden = (time >= 5) & (time < 6)
    people = [unseen(boxes_at(middle + side * ahead), hidden) for side in (1, -1)]
    detections, owner = seen(people, time, colours=colours)
    tracks, track_ids = tracked(detections)
    assert len(tracks) == 2
    late = moment(detections) > 5.5
    for person in (0, 1):
        assert len(set(track_ids[owner == person].tolist())) == (1 if colours else 2)
        assert len(set(track_ids[(owner == person) & late].tolist())) == 1


@given(pace=st.floats(0.3, 1.0), down=st.floats(-0.2, 0.2), hidden=st.floats(1.0, 2.0), fps=st.sampled_from([5, 10]))
@settings(max_examples=10)
def test_who_passes_behind_a_pillar_is_one_track_filled_in_smoothly(pace, down, hidden, fps):
    time = times(7, fps)
    path = walker(time, MIDDLE, (pace, down), when=3.5)
    behind = np.abs(time - 3.5) <= hidden / 2
    (one,), track_ids = tracked(seen([unseen(path, behind)], time)[0])
    assert (track_ids == 1).all()
    assert np.array_equal(one.interpolated, behind)
    assert one.boxes == pytest.approx(path, abs=0.03 * BODY)
    steps = np.diff(one.foot, axis=0) / BODY
    assert np.abs(np.diff(steps, axis=0)).max() < 0.01


def test_who_is_away_for_longer_than_lost_after_is_somebody_new():
    time = times(8, 10)
    detections, _ = seen([unseen(walker(time, MIDDLE, (0.3, 0)), (time > 2) & (time < 4.5))], time)
    assert len(tracked(detections, SETTINGS.model_copy(update={"lost_after": 3.0}))[0]) == 1
    assert len(tracked(detections, SETTINGS.model_copy(update={"lost_after": 2.0}))[0]) == 2


walks = st.tuples(st.floats(0.2, 0.9), st.floats(-0.25, 0.25), st.booleans(), st.floats(0, 1))


def street(time, strollers):
    """People on lanes of their own, to and fro, straight on or in curves, all behind the same pillar for a while."""
    people = []
    for lane, (pace, bend, back, late) in enumerate(strollers):
        along, since = pace * BODY * time, 0.4 * time + 6 * late
        x = 1000 - along if back else 250 + along
        y = 250 + 130 * lane + bend * BODY * np.sin(since)
        feet = np.column_stack((x, y))
        people.append(unseen(boxes_at(feet), (time < 2 * late) | (np.abs(x - 640) < 0.3 * BODY)))
    return people


@given(st.lists(walks, min_size=1, max_size=3))
@settings(max_examples=4)
def test_the_same_settings_serve_every_frame_rate(strollers):
    found = []
    for fps in (5, 10, 25):
        time = times(7, fps)
        detections, owner = seen(street(time, strollers), time)
        tracks, track_ids = tracked(detections)
        assert parts(track_ids) == parts(owner + 1)
        found.append([tracks[track_ids[owner == person][0] - 1] for person in range(len(strollers))])
    *seldom, often = found
    for people in seldom:
        for one, other in zip(people, often, strict=True):
            _, mine, theirs = np.intersect1d(one.time_us, other.time_us, return_indices=True)
            assert len(mine) > 10
            assert one.foot[mine] == pytest.approx(other.foot[theirs], abs=0.03 * BODY)


def test_jitter_is_taken_out_of_the_path():
    time = times(10, 10)
    path = walker(time, (200, 420), (0.7, 0.1))
    detections, _ = seen([path], time, noise=0.03)
    (one,), _ = tracked(detections)
    feet = boxes_at(one.foot)[:, 2:]
    raw = detections.boxes[:, 3] - path[:, 3]
    assert np.sqrt(np.mean((feet[:, 1] - path[:, 3]) ** 2)) < 0.6 * np.sqrt(np.mean(raw**2))


@pytest.mark.parametrize("fps", [5, 10, 25])
def test_feet_stay_where_they_were_while_the_lower_half_is_hidden(fps):
    time = times(6, fps)
    path = walker(time, (300, 420), (0.6, 0.1))
    cut = path.copy()
    cut[(time >= 3) & (time < 4), 3] -= 0.5 * BODY
    (one,), track_ids = tracked(seen([cut], time)[0])
    assert (track_ids == 1).all() and not one.interpolated.any()
    assert one.boxes[:, 3] == pytest.approx(path[:, 3], abs=0.1 * BODY)


class TestGhosts:
    time = times(4, 10)
    somebody = walker(time, (200, 400), (0.6, 0))

    def test_a_blink(self):
        detections, _ = seen([unseen(self.somebody, self.time > 0.3)], self.time)
        tracks, track_ids = tracked(detections)
        assert tracks == [] and (track_ids == 0).all() and len(track_ids) == 4

    def test_never_sure(self):
        detections, _ = seen([self.somebody], self.time, confidence=SETTINGS.new_track_confidence - 0.01)
        tracks, track_ids = tracked(detections)
        assert tracks == [] and (track_ids == 0).all()

    @pytest.mark.parametrize("always", [True, False])
    def test_a_second_box_on_a_person(self, always):
        """The detector sees the person and, all the time or now and then, the person without the legs."""
        half = self.somebody - [0, 0, 0, 0.25 * BODY]
        second = half if always else unseen(half, np.arange(len(self.time)) % 4 < 2)
        detections, owner = seen([self.somebody, second], self.time)
        tracks, track_ids = tracked(detections)
        assert len(tracks) == 1
        assert (track_ids[owner == 0] == 1).all()
        assert tracks[0].boxes == pytest.approx(self.somebody, abs=0.05 * BODY)

    def test_a_child_at_a_hand_is_no_second_box(self):
        child = unseen(self.somebody + [5, 0.5 * BODY, -5, 0], self.time < 0.5)
        assert len(tracked(seen([self.somebody, child], self.time)[0])[0]) == 2

    def test_a_poster_that_stands_for_two_minutes_and_a_person_who_does(self):
        time = times(120, 5)
        poster, waiting = (np.tile(boxes_at(np.array([at])), (len(time), 1)) for at in ((300, 400), (900, 400)))
        detections, owner = seen([poster, waiting], time, noise=0.01)
        confidence = np.where(owner == 0, 0.4, 0.9).astype(np.float32)
        confidence[np.flatnonzero(owner == 0)[::50]] = 0.7
        tracks, track_ids = tracked(replace(detections, confidence=confidence))
        assert len(tracks) == 1
        assert (track_ids[owner == 1] == 1).all() and (track_ids[owner == 0] == 0).all()

    def test_nobody_is_faster_than_anybody_runs(self):
        """Flashes of light along a wall, ten body heights a second."""
        time = times(1, 25)
        assert tracked(seen([walker(time, (100, 400), (10, 0))], time)[0])[0] == []

    @pytest.mark.parametrize("fps", [10, 25])
    def test_a_runner_is_no_ghost(self, fps):
        time = times(4, fps)
        tracks, track_ids = tracked(seen([walker(time, (200, 400), (2, 0))], time)[0])
        assert len(tracks) == 1 and (track_ids == 1).all()


def crowd(seed, count=4, seconds=3, fps=5):
    """People all over the picture who cross, hide at random, are cut off and seen double; and false alarms."""
    random = np.random.default_rng(seed)
    time = times(seconds, fps)
    people = []
    for _ in range(count):
        person = walker(time, random.uniform((100, 150), (1180, 700)), random.uniform(-0.8, 0.8, 2), when=2)
        person[random.random(len(time)) < 0.1, 3] -= 0.4 * BODY
        people.append(unseen(person, random.random(len(time)) < 0.15))
    people.append(unseen(people[0] + 5, random.random(len(time)) < 0.5))
    people.append(boxes_at(random.uniform((100, 150), (1180, 700), (len(time), 2))))
    colours = random.integers(0, 256, (len(people), 3)).tolist()
    return seen(people, time, colours=colours, noise=0.02, seed=seed)[0]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=6)
def test_every_box_is_in_one_track_at_most_and_every_track_is_whole(seed):
    detections = crowd(seed)
    tracks, track_ids = tracked(detections)
    assert [one.track_id for one in tracks] == list(range(1, len(tracks) + 1))
    assert set(track_ids.tolist()) <= set(range(len(tracks) + 1))
    starts = [one.time_us[0] for one in tracks]
    assert starts == sorted(starts)
    for one in tracks:
        rows = np.flatnonzero(track_ids == one.track_id)
        frames = detections.frame_index[rows]
        assert np.array_equal(detections.frame_number[frames], one.frame_number[~one.interpolated])
        assert not one.interpolated[[0, -1]].any()
        every = np.arange(frames[0], frames[-1] + 1)
        assert np.array_equal(one.frame_number, detections.frame_number[every])
        assert np.array_equal(one.time_us, detections.pts_us[every])
        assert one.confidence[~one.interpolated] == pytest.approx(detections.confidence[rows])
        assert (one.boxes >= 0).all() and (one.boxes <= [*FRAME, *FRAME]).all()
        assert (one.boxes[:, 2:] > one.boxes[:, :2]).all()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=4)
def test_the_order_of_the_boxes_within_a_frame_does_not_matter(seed):
    detections = crowd(seed)
    random = np.random.default_rng(seed)
    order = np.lexsort((random.random(len(detections.boxes)), detections.frame_index))
    shuffled = replace(
        detections,
        boxes=detections.boxes[order],
        confidence=detections.confidence[order],
        colours=detections.colours[order],
    )
    (tracks, one), (others, other) = tracked(detections), tracked(shuffled)
    back = np.empty_like(other)
    back[order] = other
    assert parts(one) == parts(back)
    assert sorted(len(each.time_us) for each in tracks) == sorted(len(each.time_us) for each in others)


def test_the_same_boxes_give_the_same_tracks_to_the_last_bit():
    detections = crowd(3)
    (one, ids_one), (two, ids_two) = (tracked(detections) for _ in range(2))
    assert np.array_equal(ids_one, ids_two) and len(one) > 2
    for first, second in zip(one, two, strict=True):
        assert all(np.array_equal(getattr(first, name), getattr(second, name)) for name in vars(first))


@given(st.lists(walks, min_size=2, max_size=3), st.integers(0, 99))
@settings(max_examples=6)
def test_a_mirrored_scene_and_a_film_run_backwards_show_the_same_people(strollers, seed):
    time = times(7, 5)
    detections, owner = seen(street(time, strollers), time, noise=0.01, seed=seed)
    mirrored = detections.boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + np.array([FRAME[0], 0, FRAME[0], 0])
    counts = np.diff(detections.offsets)[::-1]
    backwards = replace(
        detections,
        offsets=np.concatenate(([0], np.cumsum(counts))),
        boxes=detections.boxes[::-1],
        confidence=detections.confidence[::-1],
    )
    people = parts(owner + 1)
    assert parts(tracked(detections)[1]) == people
    assert parts(tracked(replace(detections, boxes=mirrored.astype(np.float32)))[1]) == people
    assert parts(tracked(backwards)[1][::-1]) == people


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_frames_come_when_they_come(seed):
    """Half of the frames are missing, at random, and the rest is a little early or late."""
    random = np.random.default_rng(seed)
    time = times(8, 12)
    time = np.sort(time[random.random(len(time)) < 0.5] + random.uniform(0, 0.03))
    path = walker(time, (200, 420), (0.7, 0.1))
    (one,), track_ids = tracked(seen([path], time)[0])
    assert (track_ids == 1).all()
    assert one.boxes == pytest.approx(path, abs=0.01 * BODY)


@pytest.mark.parametrize("frames", [0, 1, 5])
def test_nothing_in_nothing_out(frames):
    tracks, track_ids = tracked(seen([np.full((frames, 4), np.nan)], np.arange(frames) / 10)[0])
    assert tracks == [] and track_ids.shape == (0,)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("least", [1, 2])
def test_one_frame_with_somebody_in_it(least):
    detections, _ = seen([boxes_at(np.array([MIDDLE]))], np.zeros(1))
    tracks, track_ids = tracked(detections, SETTINGS.model_copy(update={"min_duration": 0.0, "min_sightings": least}))
    assert len(tracks) == len(np.flatnonzero(track_ids)) == (least == 1)


def test_who_leaves_at_the_border_stays_inside_the_picture():
    time = times(4, 10)
    path = np.clip(walker(time, (200, 700), (-0.6, 0)), 0, [*FRAME, *FRAME])
    (one,), _ = tracked(seen([path], time)[0])
    assert (one.boxes >= 0).all() and (one.boxes <= [*FRAME, *FRAME]).all()
