"""Stays in a zone: when a person came and went, whatever wobbles on its outline."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pc_pipeline.counting.crossings import line_crossings
from pc_pipeline.counting.geometry import Line, distance_to_segment, in_polygon
from pc_pipeline.counting.outline import is_simple
from pc_pipeline.counting.zones import zone_visits
from pc_pipeline_tests.counting.pictures import HEIGHT_OF, SIGHTINGS, SYMMETRIES, WIDTH_OF, kept_of_each_run

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


def test_only_who_came_from_outside_and_went_there_was_seen_to():
    def seen(x):
        return [(stay.entered_seen, stay.exited_seen) for stay in stays(x)]

    assert seen([300, 500, 700]) == [(True, True)]
    assert seen([500, 500]) == [(False, False)]
    assert seen([500, 700, 500]) == [(False, True), (True, False)]
    # To the outline and no farther is not outside: they are where they were, until the last sighting.
    assert seen([300, 500, 602, 598, 602]) == [(True, False)]
    assert times(stays([300, 500, 602, 598, 602])) == [(0.5, 4.0)]


def test_of_several_ways_over_the_outline_a_stay_is_from_the_last_in_to_the_first_out():
    assert times(stays([300, 402, 398, 402, 500, 598, 602, 598, 700])) == [(2.5, 5.5)]


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
    # One step over all of it: the last way in is where the stay begins, the first way out where it ends.
    assert times(stays([950, 200, 950], 600, horseshoe)) == [(pytest.approx(11 / 15), pytest.approx(1 + 4 / 15))]


def test_no_sightings_no_stays():
    assert zone_visits(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0), TABLE, (10, 10), 0.05) == []


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_point_is_inside_the_same_polygon_whichever_corner_comes_first(x, y):
    corners = np.array([[0.1, 0.2], [0.8, 0.1], [0.9, 0.9], [0.5, 0.4]])
    found = {bool(in_polygon(np.array([[x, y]]), np.roll(corners, k, axis=0))[0]) for k in range(4)}
    assert len(found) == 1


# ---------------------------------------------------------------------------------- any walk, any zone, in the picture

SIZE = np.array([WIDTH_OF, HEIGHT_OF], dtype=float)
BAND = 5.0  # pixels
JITTER = 4.9


def star(radii):
    """A polygon about the picture's middle, with a corner every so many degrees, near and far: rarely convex."""
    angle = 2 * np.pi * np.arange(len(radii)) / len(radii)
    reach = np.column_stack([np.cos(angle), np.sin(angle)]) * np.array(radii)[:, None]
    # What reaches beyond the picture ends at its edge.
    return np.clip(0.5 + reach, 0, 1)


zones = st.one_of(
    st.lists(st.floats(0.1, 0.48), min_size=3, max_size=8).map(star),
    st.tuples(*[st.integers(0, 7)] * 4).map(
        # A box on an eighth of the picture, which often touches its edge.
        lambda c: np.array([[c[0], c[1]], [c[2] + 1, c[1]], [c[2] + 1, c[3] + 1], [c[0], c[3] + 1]]) / 8
    ),
).filter(is_simple)


def found_in(points, polygon, size=SIZE, height=100.0, time_us=None):
    time_us = np.arange(len(points)) * SECOND if time_us is None else time_us
    return zone_visits(time_us, points, np.full(len(points), height), polygon, tuple(size), 0.05)


def told(found):
    return [(stay.entered_us, stay.exited_us, stay.entered_seen, stay.exited_seen) for stay in found]


def alike(found, expected, slack_us=2):
    """The same stays, their times up to rounding."""
    return len(found) == len(expected) and all(
        abs(a[0] - b[0]) <= slack_us and abs(a[1] - b[1]) <= slack_us and a[2:] == b[2:]
        for a, b in zip(found, expected, strict=True)
    )


def sides(points, polygon, band=BAND):
    """1 inside, -1 outside, 0 within the band of an outline that is no edge of the picture."""
    corners = polygon * SIZE
    clearance = np.full(len(points), np.inf)
    for i in range(len(corners)):
        ends = polygon[[i - 1, i]]
        if not any((ends[:, axis] == edge).all() for axis in (0, 1) for edge in (0, 1)):
            clearance = np.minimum(clearance, distance_to_segment(points, corners[i - 1], corners[i]))
    return np.where(clearance > band, np.where(in_polygon(points, corners), 1, -1), 0)


def stays_in(sides_in_order):
    return [side for side, _ in groupby(side for side in sides_in_order if side)].count(1)


@given(SIGHTINGS, zones)
def test_a_stay_is_a_run_of_settled_sightings_inside(points, polygon):
    assert len(found_in(points, polygon)) == stays_in(sides(points, polygon))


@given(SIGHTINGS, zones, st.sampled_from(SYMMETRIES))
def test_a_turned_or_mirrored_picture_has_the_same_stays(points, polygon, symmetry):
    after = np.abs(np.array(symmetry.matrix)) @ SIZE
    there = found_in(symmetry.turn(points / SIZE) * after, symmetry.turn(polygon), after)
    assert alike(told(there), told(found_in(points, polygon)))


@given(SIGHTINGS, zones, st.integers(0, 7), st.sampled_from([1, -1]))
def test_from_whichever_corner_and_way_around_the_zone_is_drawn_it_is_the_same(points, polygon, corner, way):
    assert alike(told(found_in(points, np.roll(polygon, corner, axis=0)[::way])), told(found_in(points, polygon)))


@given(SIGHTINGS, zones)
def test_backwards_the_stays_are_the_same_mirrored_in_time(points, polygon):
    last = (len(points) - 1) * SECOND
    backwards = [
        (last - out, last - came, left, entered) for came, out, entered, left in told(found_in(points, polygon))
    ]
    assert alike(told(found_in(points[::-1], polygon)), backwards[::-1])


@given(SIGHTINGS, zones, st.integers(1, 6))
def test_any_zone_is_the_same_in_a_picture_of_any_size(points, polygon, size):
    grown = found_in(points * size, polygon, SIZE * size, 100.0 * size)
    assert alike(told(grown), told(found_in(points, polygon)))


@given(SIGHTINGS, zones, st.data())
def test_dropped_frames_move_the_ends_of_a_stay_no_farther_than_the_frames_kept(points, polygon, data):
    chosen = data.draw(st.lists(st.booleans(), min_size=len(points), max_size=len(points)))
    kept = kept_of_each_run(sides(points, polygon), chosen)
    time_us = np.arange(len(points)) * SECOND
    whole, sparse = found_in(points, polygon), found_in(points[kept], polygon, time_us=time_us[kept])
    assert [stay[2:] for stay in told(sparse)] == [stay[2:] for stay in told(whole)]
    at, settled = time_us[kept], sides(points[kept], polygon)
    for stay, before in zip(sparse, whole, strict=True):
        inside = at[(settled == 1) & (at >= stay.entered_us) & (at <= stay.exited_us)]
        last_outside = max(at[(settled == -1) & (at <= stay.entered_us)], default=0)
        next_outside = min(at[(settled == -1) & (at >= stay.exited_us)], default=time_us[-1])
        assert last_outside <= before.entered_us <= inside[0]
        assert inside[-1] <= before.exited_us <= next_outside


@given(SIGHTINGS, zones, st.integers(0, 2**32 - 1))
def test_jitter_below_the_band_changes_no_stay_of_who_does_not_linger_on_the_outline(points, polygon, seed):
    # Whoever comes in, or goes out, only as far as jitter reaches is hidden in it.
    assume(
        len(list(groupby(sides(points, polygon, 0)))) == len(list(groupby(filter(None, sides(points, polygon, 10)))))
    )
    noise = np.random.default_rng(seed).uniform(-1, 1, points.shape) * JITTER / np.sqrt(2)
    there = told(found_in(points + noise, polygon))
    assert [stay[2:] for stay in there] == [stay[2:] for stay in told(found_in(points, polygon))]


@given(SIGHTINGS, st.data())
def test_coming_into_a_part_of_the_picture_is_crossing_its_border(points, data):
    # Often, and often at the border.
    border = data.draw(st.floats(0.1, 0.9))
    near = data.draw(st.lists(st.booleans(), min_size=len(points), max_size=len(points)))
    points[near, 0] = border * WIDTH_OF + (points[near, 0] % 20 - 10)
    part = np.array([[border, 0], [1, 0], [1, 1], [border, 1]])
    heights, time_us = np.full(len(points), 100.0), np.arange(len(points)) * SECOND
    line = Line((border, 0), (border, 1), "right")
    crossed = line_crossings(time_us, points, heights, line, (WIDTH_OF, HEIGHT_OF), 0.05)
    found = found_in(points, part)
    came = [stay.entered_us for stay in found if stay.entered_seen]
    assert came == pytest.approx([c.time_us for c in crossed if c.direction == "in"], abs=1)
    assert sum(stay.exited_seen for stay in found) == sum(c.direction == "out" for c in crossed)
