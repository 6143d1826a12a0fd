"""What a drawn line or zone must be. Without NumPy: every code server reads the site file when it starts."""

from collections.abc import Sequence
from typing import Literal

Side = Literal["right", "left", "up", "down"]
Point = Sequence[float]

TOWARDS: dict[str, tuple[float, float]] = {
    "right": (1.0, 0.0),
    "left": (-1.0, 0.0),
    "up": (0.0, -1.0),
    "down": (0.0, 1.0),
}


def is_simple(points: Sequence[Point]) -> bool:
    """Whether a polygon's outline neither crosses nor touches itself, and encloses something.

    Args:
        points: at least 3 (x, y), in order around it.

    Example:
        >>> is_simple([(0, 0), (1, 0), (1, 1), (0, 1)]), is_simple([(0, 0), (1, 1), (1, 0), (0, 1)])
        (True, False)
    """
    corners = [(float(x), float(y)) for x, y in points]
    after = [*corners[1:], corners[0]]
    if any(corner == following for corner, following in zip(corners, after, strict=True)):
        return False
    for i, corner in enumerate(corners):
        # A spike: the outline turns back on itself at this corner.
        back, onward = _step(corner, corners[i - 1]), _step(corner, after[i])
        if _cross(back, onward) == 0 and back[0] * onward[0] + back[1] * onward[1] > 0:
            return False
        for j in range(i + 2, len(corners) - (i == 0)):
            if _touch(corner, after[i], corners[j], after[j]):
                return False
    return True


def _step(start: Point, end: Point) -> tuple[float, float]:
    return end[0] - start[0], end[1] - start[1]


def _cross(a: Point, b: Point) -> float:
    return a[0] * b[1] - a[1] * b[0]


def _touch(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether segments a-b and c-d share a point."""
    along, across = _step(a, b), _step(c, d)
    of_c, of_d = _cross(along, _step(a, c)), _cross(along, _step(a, d))
    of_a, of_b = _cross(across, _step(c, a)), _cross(across, _step(c, b))
    if of_c == of_d == 0:
        return all(
            max(min(a[axis], b[axis]), min(c[axis], d[axis])) <= min(max(a[axis], b[axis]), max(c[axis], d[axis]))
            for axis in (0, 1)
        )
    return of_c * of_d <= 0 and of_a * of_b <= 0
