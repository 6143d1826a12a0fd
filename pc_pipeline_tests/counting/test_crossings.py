"""Who crossed a line: the rules of docs/counting.md, each on every walk hypothesis can think of.

Walks are drawn in a frame of the line's own: `u` pixels along it from its middle, `d` pixels from it, positive on its
`in` side. A walk goes straight from one waypoint to the next, and no leg passes near an end of the line.
"""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pc_pipeline.counting.crossings import line_crossings
from pc_pipeline.counting.geometry import Line, signed_distance
from pc_pipeline.counting.outline import TOWARDS
from pc_pipeline_tests.counting.pictures import HEIGHT_OF, SIGHTINGS, SYMMETRIES, WIDTH_OF, Symmetry, kept_of_each_run

SIZE = 4000
HALF = 200.0  # of the line, pixels
HEIGHT = 100.0
BAND = 0.05  # 5 pixels
JITTER = 4.9
SECOND = 1_000_000
# Of a leg of slope 3 or less, what lies within twice the band of the line, and jitter, are nearer than this to where it
# meets the line.
MARGIN = 40.0

waypoints = st.tuples(
    st.floats(-2 * HALF, 2 * HALF), st.sampled_from([-1, 1]).flatmap(lambda s: st.floats(20, 200).map(lambda d: s * d))
)


def legs(walk):
    return list(zip(walk, walk[1:], strict=False))


def meets_at(leg):
    """Where along the line a leg meets it, or None."""
    (u1, d1), (u2, d2) = leg
    return u1 + (u2 - u1) * d1 / (d1 - d2) if (d1 < 0) != (d2 < 0) else None


def is_clear(leg):
    """A leg that crosses, and is neither near an end of the line nor nearly along it."""
    (u1, d1), (u2, d2) = leg
    place = meets_at(leg)
    return place is None or (abs(u2 - u1) <= 3 * abs(d2 - d1) and abs(abs(place) - HALF) > MARGIN)


walks = st.lists(waypoints, min_size=1, max_size=6).filter(lambda walk: all(is_clear(leg) for leg in legs(walk)))


def expected(walk):
    """The directions in which the legs go through the line."""
    through = [leg for leg in legs(walk) if meets_at(leg) is not None and abs(meets_at(leg)) < HALF]
    return ["in" if leg[1][1] > 0 else "out" for leg in through]


def swapped(directions):
    return ["out" if direction == "in" else "in" for direction in directions]


def sightings(walk, per_leg=10):
    """float64[S, 2]: u and d at `per_leg` sightings a leg."""
    corners = np.array(walk, dtype=float)
    at = np.linspace(0, len(walk) - 1, per_leg * (len(walk) - 1) + 1)
    return np.column_stack([np.interp(at, np.arange(len(walk)), corners[:, i]) for i in (0, 1)])


def scene(angle=0.0, scale=1.0, mirror=False):
    """A line turned by `angle` about the middle of the picture, and the way from (u, d) to its pixels."""
    along = np.array([-np.sin(angle), np.cos(angle)]) * scale
    inwards = np.array([np.cos(angle), np.sin(angle)]) * scale * (-1 if mirror else 1)
    middle = np.array([SIZE / 2, SIZE / 2])
    ends = [tuple((middle + sign * HALF * along) / SIZE) for sign in (-1, 1)]
    side = max(TOWARDS, key=lambda name: np.dot(TOWARDS[name], np.array([np.cos(angle), np.sin(angle)])))
    return Line(ends[0], ends[1], side), lambda ud: middle + ud[:, :1] * along + ud[:, 1:] * inwards


def count(ud, line, to_pixels, scale=1.0):
    return [crossing.direction for crossing in crossings(ud, line, to_pixels, scale)]


def crossings(ud, line, to_pixels, scale=1.0):
    time_us = np.arange(len(ud)) * SECOND
    return line_crossings(time_us, to_pixels(ud), np.full(len(ud), HEIGHT * scale), line, (SIZE, SIZE), BAND)


angles = st.floats(0, 2 * np.pi)
scales = st.floats(0.2, 2.5)


@given(walks)
def test_each_way_through_the_finite_line_counts_and_none_around_it(walk):
    assert count(sightings(walk), *scene()) == expected(walk)


@given(walks, angles, scales)
def test_turning_and_scaling_the_scene_changes_nothing(walk, angle, scale):
    assert count(sightings(walk), *scene(angle, scale), scale=scale) == expected(walk)


@given(walks)
def test_mirroring_the_scene_swaps_the_directions(walk):
    assert count(sightings(walk), *scene(mirror=True)) == swapped(expected(walk))


@given(walks)
def test_playing_it_backwards_swaps_the_directions(walk):
    assert count(sightings(walk)[::-1], *scene()) == swapped(expected(walk))[::-1]


@given(walks, st.data())
def test_dropping_frames_changes_nothing(walk, data):
    seen = sightings(walk)
    kept = data.draw(st.lists(st.booleans(), min_size=len(seen), max_size=len(seen)))
    # The turns are kept: without one of them it is another walk.
    keep = np.array(kept) | (np.arange(len(seen)) % 10 == 0)
    assert count(seen[keep], *scene()) == expected(walk)


@given(walks, st.integers(0, 2**32 - 1))
def test_jitter_below_the_band_changes_nothing(walk, seed):
    seen = sightings(walk)
    noise = np.random.default_rng(seed).uniform(-JITTER, JITTER, seen.shape)
    assert count(seen + noise, *scene()) == expected(walk)


@given(
    st.lists(st.floats(-4.9, 4.9), max_size=40),
    st.sampled_from([("leaves on the other side", 50.0, ["in"]), ("turns back", -50.0, []), ("stays", None, [])]),
)
def test_waiting_on_the_line_counts_once_at_the_end_or_not_at_all(wobble, end):
    _, last, result = end
    d = [-50.0, *wobble, *([] if last is None else [last])]
    assert count(np.column_stack([np.zeros(len(d)), d]), *scene()) == result


@given(st.lists(st.floats(-4.9, 4.9), min_size=1, max_size=10), st.sampled_from([-50.0, 50.0]))
def test_a_track_that_starts_in_the_band_was_on_no_side_before(wobble, last):
    d = [*wobble, last]
    assert count(np.column_stack([np.zeros(len(d)), d]), *scene()) == []


@given(st.lists(st.floats(-200, 4.9), max_size=10))
def test_a_u_turn_on_the_line_counts_nothing(there):
    d = [-50.0, *there, -50.0]
    assert count(np.column_stack([np.zeros(len(d)), d]), *scene()) == []


@pytest.mark.parametrize(("height", "result"), [(100.0, ["in", "out"]), (200.0, [])])
def test_the_band_is_as_wide_as_the_person_is_tall_at_that_moment(height, result):
    line, to_pixels = scene()
    points = to_pixels(np.array([[0.0, -50.0], [0.0, 8.0], [0.0, -50.0]]))
    found = line_crossings(np.arange(3) * SECOND, points, np.array([100.0, height, 100.0]), line, (SIZE, SIZE), BAND)
    assert [crossing.direction for crossing in found] == result


def test_who_crosses_and_comes_back_crosses_twice():
    assert count(sightings([(0, -50), (0, 50), (0, -50)]), *scene()) == ["in", "out"]


def test_in_through_the_door_and_back_around_its_end_is_in():
    assert count(sightings([(0, -50), (0, 50), (300, 50), (300, -50)]), *scene()) == ["in"]


def test_back_through_the_door_between_two_ways_around_its_end_is_nothing():
    # All within the band, so that it is one change of sides, towards `in`; through the line itself only outwards.
    walk = [(300, -50), (300, -4), (300, 4), (100, 4), (100, -4), (300, -4), (300, 50)]
    assert count(np.array(walk, dtype=float), *scene()) == []


def test_a_person_unseen_at_the_line_still_counts():
    assert count(np.array([[0.0, -180.0], [0.0, 180.0]]), *scene()) == ["in"]


def test_a_crossing_is_placed_and_timed_where_the_step_met_the_line():
    (found,) = crossings(np.array([[10.0, -30.0], [10.0, -10.0], [10.0, 30.0], [10.0, 50.0]]), *scene())
    assert (found.time_us, found.point, found.sighting) == (1.25 * SECOND, (2000.0, 2010.0), 2)


@pytest.mark.parametrize("way", [1, -1])
def test_a_sighting_on_the_line_itself_is_the_crossing(way):
    (found,) = crossings(np.array([[0.0, -50.0], [0.0, 0.0], [0.0, 50.0]])[::way], *scene())
    assert (found.time_us, found.sighting) == (SECOND, 1)


def test_of_several_steps_to_and_fro_the_last_one_through_is_the_crossing():
    d = np.array([-50.0, 4.0, -4.0, 4.0, 50.0])
    (found,) = crossings(np.column_stack([np.zeros(5), d]), *scene())
    assert (found.direction, found.time_us, found.sighting) == ("in", 2.5 * SECOND, 3)


@pytest.mark.parametrize(
    ("line", "start", "end", "direction"),
    [
        # From edge to edge, and nearly: feet at the edge, or beyond it where a tracker guessed, cross it too.
        (Line((0.5, 0.0), (0.5, 1.0), "right"), (40, 100), (60, 100), "in"),
        (Line((0.5, 0.0), (0.5, 0.995), "right"), (40, 103), (60, 103), "in"),
        (Line((0.5, 0.005), (0.5, 1.0), "right"), (40, -3), (60, -3), "in"),
        (Line((0.5, 1.0), (0.5, 0.0), "left"), (40, -3), (60, -3), "out"),
        (Line((0.0, 0.5), (1.0, 0.5), "down"), (0, 40), (0, 60), "in"),
        (Line((0.0, 0.5), (1.0, 0.5), "up"), (100, 40), (100, 60), "out"),
        # An end inside the picture is an end.
        (Line((0.5, 0.0), (0.5, 0.9), "right"), (40, 95), (60, 95), None),
        # Along the picture's edge nobody gets past it.
        (Line((0.0, 0.2), (0.0, 0.8), "right"), (0, 50), (20, 50), None),
        # Very short and very long.
        (Line((0.5, 0.5), (0.5, 0.502), "right"), (40, 50.1), (60, 50.1), "in"),
        (Line((0.5, 0.5), (0.5, 0.502), "right"), (40, 51), (60, 51), None),
        (Line((0.0, 0.0), (1.0, 1.0), "right"), (10, 90), (90, 10), "in"),
        (Line((0.0, 0.0), (1.0, 1.0), "down"), (10, 90), (90, 10), "out"),
    ],
)
def test_ends_of_lines(line, start, end, direction):
    points = np.array([start, end], dtype=float)
    found = line_crossings(np.array([0, SECOND]), points, np.full(2, 20.0), line, (100, 100), BAND)
    assert [crossing.direction for crossing in found] == ([direction] if direction else [])


@pytest.mark.parametrize("sightings_count", [0, 1])
def test_too_few_sightings_to_cross(sightings_count):
    nothing = np.zeros((sightings_count, 2))
    line = Line((0.5, 0.0), (0.5, 1.0), "right")
    assert line_crossings(np.arange(sightings_count), nothing, np.full(sightings_count, 20.0), line, (9, 9), 0.05) == []


@given(st.tuples(*[st.floats(0, 1)] * 4).filter(lambda c: abs(c[0] - c[2]) > 0.05 and abs(c[1] - c[3]) > 0.05))
def test_moving_towards_the_in_side_increases_the_distance(ends):
    for side, towards in TOWARDS.items():
        line = Line(ends[:2], ends[2:], side)
        before, after = signed_distance(np.array([[300.0, 200.0], np.add([300.0, 200.0], towards)]), line, (640, 480))
        assert after > before


# ---------------------------------------------------------------------------------- any walk, any line, in the picture


def side_of(start, end):
    """A side that such a line has, whatever its slope."""
    across = abs((end[1] - start[1]) * HEIGHT_OF) >= abs((end[0] - start[0]) * WIDTH_OF)
    return st.sampled_from(["right", "left"] if across else ["up", "down"])


ends = st.tuples(st.integers(0, 32), st.integers(0, 32)).map(lambda e: (e[0] / 32, e[1] / 32))
long_lines = st.tuples(ends, ends).filter(lambda e: e[0] != e[1])
# A pixel or so, anywhere.
short_lines = st.tuples(ends, st.floats(0, 2 * np.pi)).map(
    lambda e: (e[0], (e[0][0] + 0.002 * np.cos(e[1]), e[0][1] + 0.002 * np.sin(e[1])))
)
lines = st.one_of(long_lines, short_lines).flatmap(lambda e: side_of(*e).map(lambda side: Line(e[0], e[1], side)))
cuts = st.tuples(st.floats(0, 1), st.floats(0, 1), st.booleans()).map(
    lambda c: ((c[0], 0.0), (c[1], 1.0)) if c[2] else ((0.0, c[0]), (1.0, c[1]))
)
lines_from_edge_to_edge = cuts.flatmap(lambda e: side_of(*e).map(lambda side: Line(e[0], e[1], side)))


def directions(points, line, size=(WIDTH_OF, HEIGHT_OF), height=HEIGHT):
    found = line_crossings(np.arange(len(points)) * SECOND, points, np.full(len(points), height), line, size, BAND)
    return [crossing.direction for crossing in found]


def turned(symmetry: Symmetry, points, line):
    """Points, line and picture size after turning the picture; lengths stay, so a quarter turn swaps its sides."""
    size = np.array([WIDTH_OF, HEIGHT_OF])
    after = np.abs(np.array(symmetry.matrix)) @ size
    start, end = symmetry.turn([line.start, line.end])
    return (
        symmetry.turn(points / size) * after,
        Line(tuple(start), tuple(end), symmetry.sides[line.in_side]),
        tuple(after),
    )


def opposite(line):
    sides = {"right": "left", "left": "right", "up": "down", "down": "up"}
    return Line(line.start, line.end, sides[line.in_side])


@given(SIGHTINGS, lines, st.sampled_from(SYMMETRIES))
def test_a_turned_or_mirrored_picture_counts_alike_and_with_its_old_in_side_the_other_way_round(points, line, symmetry):
    there, line_there, size = turned(symmetry, points, line)
    assert directions(there, line_there, size) == directions(points, line)
    assert directions(there, opposite(line_there), size) == swapped(directions(points, line))


@given(SIGHTINGS, lines)
def test_any_walk_backwards_swaps_its_directions(points, line):
    assert directions(points[::-1], line) == swapped(directions(points, line))[::-1]


@given(SIGHTINGS, lines, st.integers(1, 6))
def test_the_size_of_the_picture_changes_nothing(points, line, times):
    grown = directions(points * times, line, (WIDTH_OF * times, HEIGHT_OF * times), HEIGHT * times)
    assert grown == directions(points, line)


def sides(points, line, band=BAND):
    """1 on the in side, -1 on the other, 0 within the band."""
    distance = signed_distance(points, line, (WIDTH_OF, HEIGHT_OF))
    return np.where(np.abs(distance) > band * HEIGHT, np.sign(distance), 0).astype(int)


def changes(sides_in_order):
    settled = [side for side, _ in groupby(side for side in sides_in_order if side)]
    return ["in" if side > 0 else "out" for side in settled[1:]]


@given(SIGHTINGS, lines_from_edge_to_edge)
def test_from_edge_to_edge_every_change_of_sides_is_a_crossing(points, line):
    assert directions(points, line) == changes(sides(points, line))


@given(SIGHTINGS, lines_from_edge_to_edge, st.data())
def test_any_frames_may_be_dropped_that_leave_a_sighting_on_each_side_in_turn(points, line, data):
    chosen = data.draw(st.lists(st.booleans(), min_size=len(points), max_size=len(points)))
    kept = kept_of_each_run(sides(points, line), chosen)
    assert directions(points[kept], line) == directions(points, line)


@given(SIGHTINGS, lines_from_edge_to_edge, st.integers(0, 2**32 - 1))
def test_jitter_below_the_band_changes_nothing_on_any_walk_that_does_not_linger_near_the_line(points, line, seed):
    # Whoever goes over the line only as far as jitter reaches is hidden in it.
    assume(changes(sides(points, line, 2 * BAND)) == changes(sides(points, line, 0)))
    noise = np.random.default_rng(seed).uniform(-1, 1, points.shape) * JITTER / np.sqrt(2)
    assert directions(points + noise, line) == directions(points, line)


@given(walks, st.sampled_from([2, 3]), st.integers(0, 2))
def test_every_second_or_third_frame_counts_the_same(walk, every, first):
    # 40 sightings a leg: the way cut off at a turn does not reach the line.
    assert count(sightings(walk, per_leg=40)[first::every], *scene()) == expected(walk)


# -------------------------------------------------------------------------------------------- at the end of a line

in_band = st.floats(-4.9, 4.9)
around_the_end = st.lists(st.tuples(st.floats(HALF - 30, HALF + 30), in_band), max_size=20)


@given(st.floats(HALF - 30, HALF + 30), around_the_end, st.floats(HALF - 30, HALF + 30))
def test_a_person_on_a_lines_end_counts_once_at_most_and_never_the_other_way(come, wobble, go):
    walk = np.array([(come, -50.0), *wobble, (go, 50.0)])
    assert count(walk, *scene()) in ([], ["in"])
    assert count(walk[::-1], *scene()) == swapped(count(walk, *scene()))
    back = np.array([(come, -50.0), *wobble, (go, -50.0)])
    assert count(back, *scene()) == []


@given(st.lists(st.tuples(st.floats(1, 30), in_band), max_size=20), st.sampled_from([(-1, ["in"]), (1, [])]))
def test_within_the_end_it_is_a_crossing_and_beyond_it_none(wobble, case):
    beyond, result = case
    walk = np.array([(HALF + beyond, -50.0), *((HALF + beyond * u, d) for u, d in wobble), (HALF + beyond, 50.0)])
    assert count(walk, *scene()) == result


@given(angles, st.floats(-1.9, 1.9), st.floats(2.1, 100))
def test_a_line_of_four_pixels_counts_who_steps_on_it_and_nobody_beside_it(angle, on_it, beside_it):
    line, to_pixels = scene(angle, 2 / HALF)
    scaled = HALF / 2
    for u, result in ((on_it, ["in"]), (beside_it, []), (-beside_it, [])):
        walk = np.array([(u, -50.0), (u, 50.0)]) * scaled
        assert count(walk, line, to_pixels) == result
