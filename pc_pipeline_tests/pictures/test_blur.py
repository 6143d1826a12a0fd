"""Hiding: of a person nothing can be recognised, in no frame; the rest of the picture is as it was."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_pipeline.pictures.annotate import box_at as at_time
from pc_pipeline.pictures.blur import hidden, hide
from pc_pipeline_tests.clips import box_at, walk
from pc_pipeline_tests.pictures.figures import FPS, HEIGHT, TALL, WIDTH, filmed, track_of

NOBODY = np.zeros(0, np.int64), np.zeros((0, 4), np.float32)
SIZE = (WIDTH, HEIGHT)


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation of the grey values; 0 for a plain picture."""
    a, b = (image.mean(axis=2).ravel() for image in (one, other))
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-9))


def inside(box: tuple[float, ...]) -> tuple[slice, slice]:
    x1, y1, x2, y2 = (max(0, round(value)) for value in box)
    return slice(y1, y2), slice(x1, x2)


@pytest.mark.parametrize("every", [1, 3, 8])
def test_nobody_can_be_recognised_and_nothing_else_is_changed(every):
    # One walks across and turns back, one walks towards the camera; seen in every so many frames only.
    there = np.vstack([walk((60, 200), (240, 200), 25), walk((240, 200), (100, 190), 24)])
    nearer = walk((250, 110), (200, 225), 49)
    originals = filmed([there, nearer])
    tracks = [track_of(there, every=every), track_of(nearer, every=every, track_id=2)]
    veil = hidden(tracks, *NOBODY, SIZE, round(every * 1e6 / FPS))
    likeness, softened = [], []
    for number, original in enumerate(originals):
        picture = original.copy()
        rows = veil.at(round(number * 1e6 / FPS))
        hide(picture, veil.boxes[rows], veil.cells[rows])
        outside = np.ones(original.shape[:2], bool)
        for box in veil.boxes[rows]:
            outside[inside((np.floor(box[0]), np.floor(box[1]), np.ceil(box[2]), np.ceil(box[3])))] = False
        assert np.array_equal(picture[outside], original[outside])
        for path in (there, nearer):
            person = inside(box_at(path[number], TALL))
            assert not outside[person].any(), "no part of a person is bare"
            likeness.append(alike(original[person], picture[person]))
            softened.append(alike(original[person], cv2.GaussianBlur(original[person], (0, 0), TALL / 25)))
    assert np.mean(softened) > 0.8, "what a mild blur leaves would be found"
    assert np.abs(np.mean(likeness)) < 0.1
    assert np.max(likeness) < 0.35


@given(
    st.lists(st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT)), min_size=2, max_size=6),
    st.floats(0, 1),
)
def test_between_two_sightings_the_way_from_one_to_the_other_is_hidden(points, part):
    track = track_of(np.array(points))
    time_us = round(part * float(track.time_us[-1]))
    veil = hidden([track], *NOBODY, SIZE, 100_000)
    box, _ = at_time(track, time_us)
    boxes = veil.boxes[veil.at(time_us)]
    assert ((boxes[:, :2] <= box[:2]) & (boxes[:, 2:] >= box[2:])).all(axis=1).any()


def test_people_are_hidden_before_they_are_seen_first_and_after_they_are_seen_last():
    track = track_of(np.vstack([np.full((20, 2), np.nan), walk((100, 150), (130, 150), 11)]))
    veil = hidden([track], *NOBODY, SIZE, 100_000)
    # They walked 3 pixels a frame: four frames on, they are 12 pixels further.
    for time_us, x in ((1_600_000, 88), (3_400_000, 142)):
        box = np.array(box_at((x, 150), TALL))
        (found,) = veil.boxes[veil.at(time_us)]
        assert (found[:2] <= box[:2]).all() and (found[2:] >= box[2:]).all()
    assert len(veil.at(1_000_000)) and len(veil.at(4_000_000)), "who vanishes in mid-picture is covered by something"
    assert not len(veil.at(0)) and not len(veil.at(5_000_000))
    leaves = track_of(walk((200, 150), (310, 150), 11))
    assert not len(hidden([leaves], *NOBODY, SIZE, 100_000).at(1_600_000)), "who leaves the picture is gone"


@pytest.mark.parametrize("every_us", [100_000, 1_000_000])
def test_a_box_that_no_track_took_is_hidden_until_the_next_look(every_us):
    box = np.array([box_at((150, 150), TALL)], np.float32)
    veil = hidden([], np.array([2_000_000]), box, SIZE, every_us)
    for time_us in (2_000_000 - every_us, 2_000_000, 2_000_000 + every_us):
        (found,) = veil.boxes[veil.at(time_us)]
        # At a stroll of 0.8 body heights a second they stay below the smear.
        strolled = 0.8 * TALL * abs(time_us - 2_000_000) / 1e6
        assert found[0] <= box[0, 0] - strolled and found[2] >= box[0, 2] + strolled
    assert not len(veil.at(2_000_001 + max(every_us, 400_000)))


def test_without_people_nothing_is_hidden():
    veil = hidden([], *NOBODY, SIZE, 100_000)
    picture = filmed([np.full((1, 2), np.nan)])[0]
    before = picture.copy()
    rows = veil.at(0)
    hide(picture, veil.boxes[rows], veil.cells[rows])
    assert np.array_equal(picture, before)
