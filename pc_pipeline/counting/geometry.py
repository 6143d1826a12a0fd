"""Lines and polygons drawn over a picture: which side, how far, where crossed.

(0,0) ---------------------> x        A line has an `in` side: the side one moves towards in the picture.
  |          * start                  Here `in: right`: from the left of the line to its right is `in`.
  |   out    |    in
  |   (-)    |    (+)                 Drawn in 0..1 of the picture, from its top left; measured in pixels,
  |          |                        with y downwards. A distance is positive on the `in` side.
  v          * end
  y
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.counting.outline import TOWARDS, Side

Floats = NDArray[np.float64]

# An end drawn by hand this near the picture's edge (as a part of its size) is meant to reach it.
EDGE = 0.01


@dataclass(frozen=True)
class Line:
    """A counting line.

    Attributes:
        start, end: (x, y) in 0..1 of the picture, from its top left.
        in_side: the side one moves towards, in the picture, when one comes in.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    in_side: Side

    def pixels(self, frame_size: tuple[int, int]) -> tuple[Floats, Floats]:
        """Start and end, each float64[2], in pixels of a picture of (width, height)."""
        size = np.asarray(frame_size, dtype=np.float64)
        return np.asarray(self.start) * size, np.asarray(self.end) * size

    def open_ends(self) -> tuple[bool, bool]:
        """Whether the line leaves the picture at its start, and at its end: nobody seen can walk around such an end."""
        start, end = np.asarray(self.start), np.asarray(self.end)
        onward = (end - start) / np.hypot(*(end - start))
        return _outside(start - EDGE * onward), _outside(end + EDGE * onward)


def _outside(point: Floats) -> bool:
    return bool((point < 0).any() or (point > 1).any())


def signed_distance(points: Floats, line: Line, frame_size: tuple[int, int]) -> Floats:
    """Distance of each point from the infinite line, positive on its `in` side.

    Args:
        points: float64[N, 2], pixels.

    Returns:
        float64[N], pixels.

    Example:
        >>> signed_distance(np.array([[60.0, 10.0], [40.0, 90.0]]), Line((0.5, 0), (0.5, 1), "right"), (100, 100))
        array([ 10., -10.])
    """
    start, end = line.pixels(frame_size)
    along = (end - start) / np.hypot(*(end - start))
    normal = np.array([-along[1], along[0]])
    if normal @ TOWARDS[line.in_side] < 0:
        normal = -normal
    return (points - start) @ normal


def _cross(a: Floats, b: Floats) -> float:
    return float(a[0] * b[1] - a[1] * b[0])


def in_polygon(points: Floats, corners: Floats) -> NDArray[np.bool_]:
    """Whether each point is inside a polygon: an odd number of its edges lie to the right of the point.

    Args:
        points: float64[N, 2].
        corners: float64[K, 2], in order around the polygon.

    Returns:
        bool[N].

    Example:
        >>> in_polygon(np.array([[0.5, 0.5], [1.5, 0.5]]), np.array([[0, 0], [1, 0], [1, 1], [0, 1]]))
        array([ True, False])
    """
    x, y = points[:, 0], points[:, 1]
    inside = np.zeros(len(points), dtype=bool)
    for i in range(len(corners)):
        (x1, y1), (x2, y2) = corners[i - 1], corners[i]
        if y1 != y2:
            inside ^= ((y1 > y) != (y2 > y)) & (x < x1 + (y - y1) * (x2 - x1) / (y2 - y1))
    return inside


def distance_to_segment(points: Floats, start: Floats, end: Floats) -> Floats:
    """float64[N]: how far each of float64[N, 2] points is from the segment.

    Example:
        >>> distance_to_segment(np.array([[5.0, 3.0], [13.0, 4.0]]), np.array([0.0, 0.0]), np.array([10.0, 0.0]))
        array([3., 5.])
    """
    along = end - start
    part = np.clip((points - start) @ along / (along @ along), 0, 1)
    away = points - start - part[:, None] * along
    return np.hypot(away[:, 0], away[:, 1])


def meeting_parts(start: Floats, end: Floats, corners: Floats) -> list[float]:
    """After which parts (0..1) of the step from `start` to `end` it meets the polygon's outline, in order.

    Example:
        >>> meeting_parts(np.array([-1.0, 0.5]), np.array([3.0, 0.5]), np.array([[0, 0], [1, 0], [1, 1], [0, 1]]))
        [0.25, 0.5]
    """
    step = end - start
    parts = []
    for i in range(len(corners)):
        edge = corners[i] - corners[i - 1]
        denominator = _cross(step, edge)
        if denominator == 0:
            continue
        offset = corners[i - 1] - start
        part, place = _cross(offset, edge) / denominator, _cross(offset, step) / denominator
        if 0 <= part <= 1 and 0 <= place <= 1:
            parts.append(part)
    return sorted(parts)
