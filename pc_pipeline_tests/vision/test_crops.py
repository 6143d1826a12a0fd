"""Whole, large, uncovered people only are shown to the gender model, however long the video is."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_pipeline.ingest.site import GenderConfig
from pc_pipeline.vision.arrays import Track
from pc_pipeline.vision.crops import Crops, SeenBoxes, choose_crops
from pc_pipeline_tests.vision.people import NO_BOXES, Loose, labelled, seen_of

FRAME = (640, 480)
CONFIG = GenderConfig()


def a_track(
    track_id: int, boxes: list[tuple[float, float, float, float]], interpolated: bool = False, confidence: float = 0.9
) -> Track:
    count = len(boxes)
    return Track(
        track_id,
        np.arange(count, dtype=np.int32),
        np.arange(count, dtype=np.int64) * 100_000,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(count, confidence, np.float32),
        np.full(count, interpolated),
    )


def chosen(*tracks: Track, loose: Loose = NO_BOXES, config: GenderConfig = CONFIG) -> list[list[int]]:
    """The frames of each track's crops, where the detector saw just what the tracks hold."""
    return frames_of(choose_crops(tracks, [seen_of(tracks, loose)], config, FRAME))


def frames_of(crops: Crops) -> list[list[int]]:
    return [crops.frame_number[crops.track == place].tolist() for place in range(len(crops.track_id))]


WHOLE = (200, 100, 260, 300)


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ((3, 100, 63, 300), "cut off at the left"),
        ((577, 100, 637, 300), "cut off at the right"),
        ((200, 276, 260, 476), "the feet are out of the picture"),
        ((200, 1, 260, 201), "the head is out of the picture"),
        ((200, 100, 230, 190), "too small"),
        ((200, 100, 310, 300), "from the head to the hips"),
        ((200, 100, 400, 300), "a bag, an arm or a group"),
    ],
)
def test_unfit_sightings_are_never_shown_to_the_model(box, why):
    assert chosen(a_track(1, [box] * 10)) == [[]], why


def test_a_person_half_hidden_behind_a_desk_is_never_shown_though_the_path_is_whole():
    boxes = np.array([WHOLE] * 20, np.float32)
    boxes[10:, 3] -= 80  # the legs are behind the desk
    seen = SeenBoxes(np.ones(20, np.int32), np.arange(20, dtype=np.int32), boxes)
    (picked,) = frames_of(choose_crops([a_track(1, [WHOLE] * 20)], [seen], CONFIG, FRAME))
    assert picked and max(picked) < 10


def test_crops_are_cut_from_what_the_detector_saw_and_not_from_the_smoothed_path():
    boxes = np.array([WHOLE] * 20, np.float32) + np.arange(20, dtype=np.float32)[:, None]
    seen = SeenBoxes(np.ones(20, np.int32), np.arange(20, dtype=np.int32), boxes)
    crops = choose_crops([a_track(1, [WHOLE] * 20)], [seen], CONFIG, FRAME)
    assert len(crops.track) == CONFIG.crops
    assert (crops.boxes == boxes[crops.frame_number]).all()
    assert (crops.time_us == crops.frame_number * 100_000).all()


def test_a_sighting_without_a_box_is_never_shown():
    seen = SeenBoxes(np.full(3, 2, np.int32), np.arange(3, dtype=np.int32), np.array([WHOLE] * 3, np.float32))
    assert frames_of(choose_crops([a_track(1, [WHOLE] * 3)], [seen], CONFIG, FRAME)) == [[]]


def test_guessed_and_unsure_boxes_are_never_shown_to_the_model():
    assert chosen(a_track(1, [WHOLE] * 10, interpolated=True)) == [[]]
    assert chosen(a_track(1, [WHOLE] * 10, confidence=0.4)) == [[]]


def test_people_who_cover_each_other_are_left_out_while_they_do_and_a_moment_before_and_after():
    walks_by = [(200 + 10 * n, 100, 260 + 10 * n, 300) for n in range(20)]
    # From frame 6 on they are apart, and from frame 11 on for more than half a second.
    stands, passes = chosen(a_track(1, [WHOLE] * 20), a_track(2, walks_by))
    assert stands and passes
    assert min(stands + passes) == 11


def test_a_detection_in_no_track_covers_too():
    loose = Loose(np.array([12], np.int32), np.array([[230, 100, 290, 300]], np.float32))
    (picked,) = chosen(a_track(1, [WHOLE] * 20), loose=loose)
    assert picked and not set(picked) & set(range(7, 18))


def test_the_largest_are_chosen_spread_in_time():
    growing = [(200.0, 100.0, 260.0, 220.0 + 2 * n) for n in range(50)]
    # Apart by half of the ten that five would be apart at most: neighbouring frames show one pose.
    assert chosen(a_track(1, growing)) == [[29, 34, 39, 44, 49]]
    assert chosen(a_track(1, growing), config=GenderConfig(min_gap=1.0)) == [[9, 19, 29, 39, 49]]


@pytest.mark.parametrize(("video", "size"), [("one-by-one", (768, 432)), ("pets2009-s2l1", (480, 360))])
def test_of_real_people_only_whole_ones_in_full_view_are_shown_to_the_model(video, size):
    tracks, _, loose, views = labelled(video)
    config = GenderConfig(min_height_px=60, crops=50, min_gap=0.0)
    crops = choose_crops(tracks, [seen_of(tracks, loose)], config, size)
    picked = [np.isin(one.frame_number, best) for one, best in zip(tracks, frames_of(crops), strict=True)]
    assert {view for of_track in views for view in of_track} > {"whole"}
    assert {view for of_track, best in zip(views, picked, strict=True) for view in np.array(of_track)[best]} == {
        "whole"
    }


def crowd(seed: int) -> tuple[list[Track], SeenBoxes]:
    """People of all lengths of stay who pass one another, are filled in, half hidden, seen without a track."""
    random = np.random.default_rng(seed)
    tracks, boxes = [], []
    for track_id, begin in enumerate(np.sort(random.integers(0, 80, 8)).tolist(), 1):
        count = int(random.integers(1, 90))
        left = random.uniform(0, 500) + random.uniform(-6, 6) * np.arange(count)
        tall = random.uniform(90, 220)
        path = [(x, 200, x + 0.4 * tall, 200 + tall) for x in left]
        filled = random.random(count) < 0.1
        track = replace(
            a_track(track_id, path),
            frame_number=np.arange(begin, begin + count, dtype=np.int32),
            time_us=np.arange(begin, begin + count, dtype=np.int64) * 100_000,
            confidence=random.uniform(0.4, 1, count).astype(np.float32),
            interpolated=filled,
        )
        seen = track.boxes + random.normal(0, 2, (count, 4)).astype(np.float32)
        seen[random.random(count) < 0.1, 3] -= np.float32(0.4 * tall)
        tracks.append(track)
        boxes.append(replace(track, boxes=seen))
    corner = random.uniform((0, 150), (500, 250), (20, 2))
    loose = np.column_stack((corner, corner + (60, 160))).astype(np.float32)
    return tracks, seen_of(boxes, Loose(random.integers(0, 170, 20).astype(np.int32), loose))


@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 400), max_size=40))
def test_the_choice_is_the_same_in_whatever_pieces_the_boxes_come(seed, cuts):
    tracks, seen = crowd(seed)
    ends = [0, *sorted(cuts), len(seen.frame_number)]
    pieces = (seen.rows(first, end) for first, end in zip(ends, ends[1:], strict=False))
    at_once = choose_crops(tracks, [seen], CONFIG, FRAME)
    in_pieces = choose_crops(iter(tracks), pieces, CONFIG, FRAME)
    for name, expected in vars(at_once).items():
        found = getattr(in_pieces, name)
        assert found.dtype == expected.dtype and np.array_equal(found, expected), name


def test_the_crowd_has_crops_and_people_who_hide_each_other():
    tracks, seen = crowd(0)
    alone = [choose_crops([one], [seen_of([one])], CONFIG, FRAME) for one in tracks]
    together = choose_crops(tracks, [seen], CONFIG, FRAME)
    assert 0 < len(together.track) < sum(len(one.track) for one in alone)


def test_only_who_is_in_view_is_held():
    held: list[weakref.ref[Track]] = []
    most = 0

    def after_one_another():
        nonlocal most
        for number in range(100):
            most = max(most, sum(one() is not None for one in held))
            track = a_track(number + 1, [WHOLE] * 20)
            track = replace(
                track,
                frame_number=track.frame_number + 20 * number,
                time_us=track.time_us + 2_000_000 * number,
            )
            held.append(weakref.ref(track))
            yield track

    frames = np.arange(2000, dtype=np.int32)
    pieces = (
        SeenBoxes(part // 20 + 1, part, np.tile(np.array(WHOLE, np.float32), (len(part), 1)))
        for part in np.split(frames, 200)
    )
    crops = choose_crops(after_one_another(), pieces, CONFIG, FRAME)
    assert len(crops.track_id) == 100 and len(crops.track) >= 300
    assert most <= 3


def test_a_track_that_comes_too_late_is_refused_and_not_judged_by_half():
    early, late = a_track(1, [WHOLE] * 5), a_track(2, [WHOLE] * 5)
    late = replace(late, frame_number=late.frame_number + 50, time_us=late.time_us + 5_000_000)
    pieces = [seen_of([late]).rows(0, 1), seen_of([late]).rows(1, 5)]
    with pytest.raises(ValueError, match="order of first sighting"):
        choose_crops([late, early], pieces, CONFIG, FRAME)
