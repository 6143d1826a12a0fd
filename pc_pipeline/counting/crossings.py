"""Who crossed a line, and when, decided over a whole visit.

   out    band   in
        .   :   .                   A sighting within the band has not changed sides: jitter there counts nothing.
o---o---o-o-:-o-.-o---o    in       From a settled sighting on one side to the next on the other, what counts is
        .   :   .                   the signed sum of the crossings of the finite line: the steps between sightings
o---o---o-o-:-o-.                   are intersected with it, so that a person unseen at the line still counts.
 o--o---o---:---'          -        A U-turn within the band is no crossing; neither is a walk around the line's
        .   :   .                   end. Who crosses, goes on and comes back crosses twice: once in, once out.
o-----------:---------o    in
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.counting.geometry import Floats, Line, signed_distance


@dataclass(frozen=True)
class Crossing:
    """One settled change of sides through a line.

    Attributes:
        direction: `in` or `out`.
        time_us: on the clock of the sightings, interpolated to where the step met the line.
        point: (x, y) of that place, pixels.
        sighting: index of the first sighting at or after it.
    """

    direction: Literal["in", "out"]
    time_us: int
    point: tuple[float, float]
    sighting: int


def line_crossings(
    time_us: NDArray[np.int64],
    points: Floats,
    heights: Floats,
    line: Line,
    frame_size: tuple[int, int],
    band: float,
) -> list[Crossing]:
    """Every crossing of a line by one person, in time order.

    Args:
        time_us: int64[S], increasing.
        points: float64[S, 2], pixels: the anchor of the person.
        heights: float64[S], pixels: the person's.
        frame_size: (width, height) in pixels.
        band: body heights: within this of the infinite line a sighting is on no side yet.

    Example:
        >>> door = Line((0.5, 0.0), (0.5, 1.0), "right")
        >>> seconds, x = np.array([0, 1, 2]), np.array([30.0, 40.0, 60.0])
        >>> points = np.column_stack([x, np.full(3, 50.0)])
        >>> line_crossings(seconds * 1_000_000, points, np.full(3, 20.0), door, (100, 100), 0.05)
        [Crossing(direction='in', time_us=1500000, point=(50.0, 50.0), sighting=2)]
    """
    distance = signed_distance(points, line, frame_size)
    settled = np.flatnonzero(np.abs(distance) > band * heights)
    is_in = distance[settled] > 0
    changes = np.flatnonzero(is_in[1:] != is_in[:-1])
    if not len(changes):
        return []
    steps, places, parts = _steps_through(points, distance, line, frame_size)
    signs = np.where(distance[steps + 1] >= 0, 1, -1)

    # Of each change of sides, the steps through the line between its two settled sightings are steps[first:last].
    first = np.searchsorted(steps, settled[changes])
    last = np.searchsorted(steps, settled[changes + 1])
    before = np.concatenate([[0], np.cumsum(signs)])
    towards = np.where(is_in[changes + 1], 1, -1)
    counts = (before[last] - before[first]) * towards > 0
    found = []
    for change in np.flatnonzero(counts):
        # Of several steps to and fro, the last in the direction that counts.
        chosen = first[change] + np.flatnonzero(signs[first[change] : last[change]] == towards[change])[-1]
        step = int(steps[chosen])
        time = int(time_us[step]) + round(float(parts[chosen]) * int(time_us[step + 1] - time_us[step]))
        x, y = places[chosen].tolist()
        # Nothing of the step is gone where it sets out from the line itself.
        sighting = step + int(parts[chosen] > 0)
        found.append(Crossing("in" if towards[change] > 0 else "out", time, (x, y), sighting))
    return found


def _steps_through(
    points: Floats, distance: Floats, line: Line, frame_size: tuple[int, int]
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """The steps between sightings that meet the finite line: the index each starts at, int64[C], where it meets the
    line, float64[C, 2], and after which part of the step, float64[C]."""
    at_least_on = distance >= 0
    steps = np.flatnonzero(at_least_on[1:] != at_least_on[:-1])
    parts = distance[steps] / (distance[steps] - distance[steps + 1])
    places = points[steps] + parts[:, None] * (points[steps + 1] - points[steps])
    start, end = line.pixels(frame_size)
    along = (places - start) @ (end - start) / ((end - start) @ (end - start))
    start_is_open, end_is_open = line.open_ends()
    met = ((along >= 0) | start_is_open) & ((along <= 1) | end_is_open)
    return steps[met], places[met], parts[met]
