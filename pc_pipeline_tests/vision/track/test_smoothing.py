"""The path through the boxes: exact for who walks straight on, deaf to single slips, the same in any unit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pc_pipeline.vision.track.smoothing import smoothed
from pc_pipeline_tests.vision.track.scenes import BODY, boxes_at, times, walker

velocities = st.tuples(st.floats(-1, 1), st.floats(-0.3, 0.3))


def all_seen(time):
    return np.ones(len(time), bool)


def jittery(time, seed, sd=0.03):
    noise = np.random.default_rng(seed).normal(0, sd * BODY, (len(time), 4))
    return walker(time, (300, 400), (0.5, 0.1)) + noise


@given(velocities, st.floats(1, 30), st.floats(0.2, 8))
@settings(max_examples=25)
def test_a_straight_walk_is_left_as_it_is(velocity, fps, seconds):
    time = times(max(seconds, 2 / fps), fps)
    path = walker(time, (300, 400), velocity)
    assert smoothed(time, path, all_seen(time)) == pytest.approx(path, abs=0.01)


def test_who_comes_nearer_grows():
    time = times(5, 10)
    tall = 100 * np.exp(0.1 * time)
    feet = np.column_stack((400 + 30 * time, 400 + 20 * time))
    path = np.column_stack((feet[:, 0] - 0.2 * tall, feet[:, 1] - tall, feet[:, 0] + 0.2 * tall, feet[:, 1]))
    assert smoothed(time, path, all_seen(time)) == pytest.approx(path, abs=0.02 * BODY)


@pytest.mark.parametrize("fps", [5, 10, 25])
@pytest.mark.parametrize("side", [0, 1, 2, 3])
def test_a_single_slip_is_ignored(side, fps):
    time = times(4, fps)
    path = walker(time, (300, 400), (0.5, 0.1))
    slipped = path.copy()
    slipped[len(time) // 2, side] += 0.4 * BODY
    assert smoothed(time, slipped, all_seen(time)) == pytest.approx(path, abs=0.04 * BODY)


@pytest.mark.parametrize("fps", [5, 10, 25])
def test_what_is_unseen_does_not_count(fps):
    time = times(4, fps)
    path = walker(time, (300, 400), (0.5, 0.1))
    hidden = (time > 1.5) & (time < 2.5)
    garbage = np.where(hidden[:, None], np.array([5.0, 5.0, 600.0, 470.0]), path)
    assert smoothed(time, garbage, ~hidden) == pytest.approx(path, abs=0.01 * BODY)


@given(seed=st.integers(0, 99), scale=st.floats(0.2, 8), along=st.floats(-2000, 2000), late=st.floats(0, 5000))
@settings(max_examples=20)
def test_other_pixels_another_place_another_time_the_same_path(seed, scale, along, late):
    time = times(3, 10)
    boxes, seen = jittery(time, seed), np.arange(len(time)) % 5 != 2
    usual = smoothed(time, boxes, seen)
    assert smoothed(time, boxes * scale, seen) == pytest.approx(usual * scale, abs=1e-3 * BODY * scale)
    assert smoothed(time, boxes + along, seen) == pytest.approx(usual + along, abs=1e-3 * BODY)
    assert smoothed(time + late, boxes, seen) == pytest.approx(usual, abs=1e-3 * BODY)
    assert smoothed(-time[::-1], boxes[::-1], seen[::-1])[::-1] == pytest.approx(usual, abs=1e-3 * BODY)


@pytest.mark.parametrize("fps", [10, 25])
def test_jitter_is_reduced_without_flattening_a_turn(fps):
    time = times(8, fps)
    feet = np.column_stack((500 + 80 * np.sin(2 * np.pi * time / 8), 400 + 20 * np.cos(2 * np.pi * time / 8)))
    path = boxes_at(feet)
    noise = np.random.default_rng(1).normal(0, 0.04 * BODY, path.shape)
    found = smoothed(time, path + noise, all_seen(time))
    assert np.std(found[:, 3] - path[:, 3]) < 0.6 * np.std(noise[:, 3])
    middle = (found[:, [0, 2]] - path[:, [0, 2]]).mean(axis=1)
    assert np.abs(middle).max() < 0.1 * BODY
    assert np.abs(np.diff(found[:, 3], 2)).mean() < 0.2 * np.abs(np.diff((path + noise)[:, 3], 2)).mean()


def test_two_boxes_are_joined_by_a_line():
    time = np.array([0.0, 0.3])
    path = walker(time, (300, 400), (0.5, 0))
    assert smoothed(time, path, all_seen(time)) == pytest.approx(path)
