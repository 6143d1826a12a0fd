"""Stays in a zone: when a person came and went, whatever wobbles on its outline."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_pipeline.counting.geometry import in_polygon, is_simple
from pc_pipeline.counting.zones import zone_visits

# In a picture of 1000x1000: from 400 to 600 both ways, and 5 pixels of band.
TABLE = np.array([[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]])
SECOND = 1_000_000
distances = st.lists(st.floats(0, 1000), min_size=1, max_size=30)


def stays(x, y=500.0, polygon=TABLE, size=1000, heights=100.0):
    points = np.column_stack([x, np.broadcast_to(y, len(x))]).astype(float)
    return zone_visits(np.arange(len(x)) * SECOND, points, np.full(len(x), heights), polygon, (size, size), 0.05)


def times(found):
    return [(stay.entered_us / SECOND, stay.exited_us / SECOND) for stay in found]


def test_a_stay_runs_from_outline_to_outline():
    found = stays([300, 500, 500, 500, 700])
    assert times(found) == [(0.5, 3.5)]
    assert found[0].entered_sighting == 1


def test_coming_back_is_another_stay():
    assert times(stays([300, 500, 700, 500, 300])) == [(0.5, 1.5), (2.5, 3.5)]


def test_who_is_first_or_last_seen_inside_was_there_then():
    assert times(stays([500, 500, 700])) == [(0.0, 1.5)]
    assert times(stays([300, 500, 500])) == [(0.5, 2.0)]
    assert times(stays([500])) == [(0.0, 0.0)]


def test_passing_through_unseen_is_no_stay():
    assert stays([300, 700]) == []


@given(st.lists(st.floats(-4.9, 4.9), max_size=30))
def test_wobbling_on_the_outline_does_not_end_a_stay_or_begin_one(wobble):
    on_it = [400 + w for w in wobble]
    assert len(stays([500, *on_it, 500])) == 1
    assert stays([300, *on_it, 300]) == []
    assert len(stays([300, *on_it, 500])) == 1


@given(distances)
def test_backwards_the_stays_are_the_same_mirrored_in_time(x):
    last = len(x) - 1
    forward = times(stays(x))
    backward = [(last - exited, last - entered) for entered, exited in reversed(times(stays(x[::-1])))]
    assert np.allclose(forward, backward)


@given(distances, st.floats(0.1, 5))
def test_the_size_of_the_picture_changes_nothing(x, scale):
    scaled = stays(np.array(x) * scale, 500 * scale, size=1000 * scale, heights=100 * scale)
    # A sighting exactly on the band's edge may fall to either side of it.
    on_edge = np.isclose(np.abs(np.abs(np.array(x) - 500) - 100), 5) | np.isclose(np.abs(np.array(x) - 500), 100)
    if not on_edge.any():
        assert np.allclose(times(scaled), times(stays(x)))


@given(distances)
def test_stays_are_in_order_and_do_not_overlap(x):
    found = [edge for stay in times(stays(x)) for edge in stay]
    assert found == sorted(found)
    assert all(0 <= edge <= len(x) - 1 for edge in found)


@pytest.mark.parametrize("bottom", [1.0, 0.995])
def test_feet_cut_off_by_the_pictures_edge_are_inside_a_zone_that_reaches_it(bottom):
    floor = np.array([[0.2, 0.5], [0.8, 0.5], [0.8, bottom], [0.2, bottom]])
    assert times(stays([500, 500, 500], [1000, 1000, 1000], floor)) == [(0.0, 2.0)]
    assert times(stays([500, 500, 500], [300, 1000, 1003], floor)) == [(pytest.approx(2 / 7, abs=1e-5), 2.0)]


def test_the_whole_picture_is_a_zone_that_holds_everybody():
    everywhere = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)
    assert times(stays([0, 500, 1000], [0, 500, 1000], everywhere)) == [(0.0, 2.0)]


def test_a_zone_may_be_hollow_on_one_side():
    horseshoe = np.array(
        [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.6, 0.9], [0.6, 0.4], [0.4, 0.4], [0.4, 0.9], [0.1, 0.9]]
    )
    assert is_simple(horseshoe)
    # Through one arm, the hollow, and the other arm, in one step each.
    assert times(stays([50, 250, 500, 750, 950], 600, horseshoe)) == [(0.25, 1.6), (2.4, 3.75)]


def test_no_sightings_no_stays():
    assert zone_visits(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0), TABLE, (10, 10), 0.05) == []


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_point_is_inside_the_same_polygon_whichever_corner_comes_first(x, y):
    corners = np.array([[0.1, 0.2], [0.8, 0.1], [0.9, 0.9], [0.5, 0.4]])
    found = {bool(in_polygon(np.array([[x, y]]), np.roll(corners, k, axis=0))[0]) for k in range(4)}
    assert len(found) == 1
