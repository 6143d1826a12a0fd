"""How many are inside: never negative, and every correction told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_pipeline.counting.occupancy import mean_occupancy, occupancy_steps, peak_occupancy

crossings = st.lists(st.tuples(st.integers(0, 1000), st.sampled_from([1, -1])), max_size=50).map(sorted)


def columns(events):
    return np.array([t for t, _ in events], dtype=np.int64), np.array([d for _, d in events], dtype=np.int64)


@given(crossings)
def test_nobody_can_leave_an_empty_place(events):
    inside, corrected, numbers = 0, 0, []
    for _, delta in events:
        corrected += inside + delta < 0
        inside = max(0, inside + delta)
        numbers.append(inside)
    occupancy, correction = occupancy_steps(*columns(events))
    assert occupancy.tolist() == numbers
    assert correction == corrected


@given(crossings, st.integers(-100, 1100), st.integers(-100, 1100))
def test_mean_and_peak_are_those_of_every_instant(events, start, end):
    time_us, deltas = columns(events)
    occupancy, _ = occupancy_steps(time_us, deltas)
    at_each = [([0, *occupancy])[int(np.searchsorted(time_us, t, side="right"))] for t in range(start, end)]
    assert mean_occupancy(time_us, occupancy, start, end) == (sum(at_each) / len(at_each) if at_each else 0)
    assert peak_occupancy(time_us, occupancy, start, end) == max(at_each, default=0)


def test_no_crossings():
    nothing = np.zeros(0, dtype=np.int64)
    occupancy, correction = occupancy_steps(nothing, nothing)
    assert (len(occupancy), correction) == (0, 0)
    assert mean_occupancy(nothing, occupancy, 0, 10) == 0
    assert peak_occupancy(nothing, occupancy, 0, 10) == 0


def test_crossings_out_of_order_are_refused():
    with pytest.raises(ValueError, match="in order of time"):
        occupancy_steps(np.array([2, 1]), np.array([1, 1]))
