"""The motion model is the process it says it is: what it predicts does not depend on how it is asked."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pc_pipeline.vision.track.motion import (
    VELOCITY_LASTS_S,
    VELOCITY_SD,
    States,
    first_seen,
    followed,
    misfit,
    place_noise,
    predicted,
    updated,
)
from pc_pipeline.vision.track.sightings import sightings_of
from pc_pipeline_tests.vision.track.scenes import BODY, FRAME, seen, times, walker

lapses = st.floats(0.0, 20.0)
numbers = st.floats(-500, 500)


@st.composite
def states(draw):
    """One state anywhere, with any valid covariance."""
    place_sd, velocity_sd, correlation = (
        draw(st.floats(0.5, 50)),
        draw(st.floats(0.5, 80)),
        draw(st.floats(-0.95, 0.95)),
    )
    return States(
        time=np.array([draw(st.floats(0, 100))]),
        place=np.array([[draw(numbers), draw(numbers)]]),
        velocity=np.array([[draw(numbers), draw(numbers)]]),
        spread=np.array([[place_sd**2, correlation * place_sd * velocity_sd, velocity_sd**2]]),
        height=np.array([draw(st.floats(10, 400))]),
    )


def assert_close(one, other):
    for name in vars(one):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-6, abs=1e-6), name


def assert_valid(spread):
    place, both, velocity = spread.T
    assert (place > 0).all() and (velocity > 0).all() and (place * velocity > both**2).all()


@given(states(), lapses, lapses)
@settings(max_examples=50)
def test_a_prediction_in_two_steps_is_the_same_as_in_one(state, first, second):
    middle = state.time + first
    assert_close(predicted(predicted(state, middle), middle + second), predicted(state, middle + second))


@given(states(), lapses)
@settings(max_examples=50)
def test_what_is_predicted_is_less_certain_but_never_impossible(state, lapse):
    later = predicted(state, state.time + lapse)
    assert_valid(later.spread)
    earlier = predicted(state, state.time - lapse)
    assert earlier.place == pytest.approx(later.place) and earlier.spread == pytest.approx(later.spread)


@given(states())
@settings(max_examples=20)
def test_after_long_enough_all_walks_are_alike(state):
    later = predicted(state, state.time + 50 * VELOCITY_LASTS_S)
    assert later.velocity == pytest.approx(0, abs=1e-9)
    assert np.sqrt(later.spread[:, 2]) == pytest.approx(VELOCITY_SD * state.height)
    assert later.place == pytest.approx(state.place + VELOCITY_LASTS_S * state.velocity)


def a_sighting(at, tall):
    return sightings_of(seen([walker(np.zeros(1), at, (0, 0), tall=tall)], np.zeros(1))[0], FRAME)


@given(states(), st.floats(0.4, 2.0))
@settings(max_examples=50)
def test_a_sighting_makes_surer_and_a_box_of_odd_height_less_so(state, odd):
    state.height[:] = BODY
    row = np.array([0])
    after = updated(state, a_sighting((640, 400), BODY), row)
    assert_valid(after.spread)
    assert (after.spread[:, [0, 2]] <= state.spread[:, [0, 2]]).all()
    doubtful = updated(state, a_sighting((640, 400), odd * BODY), row)
    assert (doubtful.spread[:, 0] >= after.spread[:, 0] - 1e-6).all()


@given(states(), states(), st.floats(0.05, 3))
@settings(max_examples=30)
def test_a_fit_is_the_same_read_from_both_sides(one, other, lapse):
    other.time[:] = one.time + lapse
    forwards, determinant = misfit(predicted(one, other.time), other)
    backwards, other_determinant = misfit(other, predicted(one, other.time))
    assert forwards >= 0 and determinant > 0
    assert forwards == pytest.approx(backwards) and determinant == pytest.approx(other_determinant)


def test_who_walks_straight_on_fits_and_who_turns_does_not():
    time = times(4, 10)
    straight, turned = walker(time, (300, 400), (0.5, 0)), walker(time, (300, 400), (0.5, 0))
    turned[25:, [0, 2]] -= 2 * (turned[25:, [0, 2]] - turned[25, [0, 2]])
    squares = []
    for person in (straight, turned):
        sightings = sightings_of(seen([person], time)[0], FRAME)
        before, after = followed(sightings, [np.arange(25)]), followed(sightings, [np.arange(25, len(time))[::-1]])
        last, first = before.of(np.array([24])), after.of(np.array([len(time) - 26]))
        squares.append(float(misfit(predicted(last, first.time), first)[0][0]))
    assert squares[0] < 1 < 5 < squares[1]


@pytest.mark.parametrize("fps", [5, 10, 25])
def test_people_who_move_as_the_model_says_are_as_far_off_as_it_says(fps):
    """Normalised innovations squared of a filter that is right are chi-squared: 2 on average, in two dimensions."""
    random = np.random.default_rng(0)
    count, step = 400, 1 / fps
    sightings = a_sighting((640, 400), BODY)
    velocity = random.normal(0, VELOCITY_SD * BODY, (count, 2))
    place = np.full((count, 2), [640.0, 350.0])
    noise = sightings.place_sd * BODY
    fine = 20
    kept = np.exp(-step / fine / VELOCITY_LASTS_S)
    kick = VELOCITY_SD * BODY * np.sqrt(1 - kept**2)
    rows = np.zeros(count, np.intp)
    state = first_seen(sightings, rows, np.full(count, BODY))
    state.place = place + random.normal(0, noise, place.shape)
    off = []
    for frame in range(1, 13):
        for _ in range(fine):
            place = place + velocity * step / fine
            velocity = kept * velocity + random.normal(0, kick, velocity.shape)
        state = predicted(state, np.full(count, frame * step))
        looked = replace(
            sightings,
            time=np.full(count, frame * step),
            place=place + random.normal(0, noise, place.shape),
            height=np.full(count, BODY),
        )
        total = state.spread[:, 0] + place_noise(state.height, np.zeros(count), looked.place_sd)
        off.append(((looked.place - state.place) ** 2).sum(axis=1) / total)
        state = updated(state, looked, np.arange(count))
    assert np.mean(off) == pytest.approx(2, rel=0.1)


def test_chains_are_followed_side_by_side_as_each_alone():
    time = times(3, 10)
    detections, owner = seen(
        [walker(time, (300, 400), (0.5, 0)), walker(time, (900, 500), (-0.3, 0.2))], time, noise=0.02
    )
    sightings = sightings_of(detections, FRAME)
    chains = [np.flatnonzero(owner == 0)[:7], np.flatnonzero(owner == 1)[::-1], np.flatnonzero(owner == 0)[8:9]]
    together = followed(sightings, chains)
    start = 0
    for chain in chains:
        assert_close(together.of(start + np.arange(len(chain))), followed(sightings, [chain]))
        start += len(chain)
    assert len(followed(sightings, [])) == 0
