"""Any walk in a picture of 640x480, and the ways to turn and mirror that picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

WIDTH_OF, HEIGHT_OF = 640, 480
# Whole pixels, off by a little: nobody stands exactly on a line, or at the edge of its band.
_OFF = np.array([0.2137, 0.3719])


@dataclass(frozen=True)
class Symmetry:
    """A way to turn or mirror a picture: points in 0..1 to points in 0..1, and each side to what becomes of it."""

    name: str
    matrix: tuple[tuple[int, int], tuple[int, int]]
    sides: dict[str, str]

    def turn(self, points) -> np.ndarray:
        """float64[N, 2], in 0..1 of the picture before and after."""
        return (np.asarray(points) - 0.5) @ np.array(self.matrix, dtype=float).T + 0.5


_SAME = {side: side for side in ("right", "left", "up", "down")}
SYMMETRIES = [
    Symmetry("mirrored left to right", ((-1, 0), (0, 1)), _SAME | {"right": "left", "left": "right"}),
    Symmetry("upside down in a mirror", ((1, 0), (0, -1)), _SAME | {"up": "down", "down": "up"}),
    Symmetry("turned by a quarter", ((0, -1), (1, 0)), {"right": "down", "down": "left", "left": "up", "up": "right"}),
    Symmetry("turned by a half", ((-1, 0), (0, -1)), {"right": "left", "left": "right", "up": "down", "down": "up"}),
    Symmetry("along the diagonal", ((0, 1), (1, 0)), {"right": "down", "down": "right", "left": "up", "up": "left"}),
]

_PLACES = st.tuples(st.integers(0, WIDTH_OF - 1), st.integers(0, HEIGHT_OF - 1))
SIGHTINGS = st.lists(_PLACES, min_size=1, max_size=20).map(lambda places: np.array(places) + _OFF)
"""Anywhere from sighting to sighting: float64[S, 2], pixels."""


def kept_of_each_run(sides: Sequence[int], chosen: Sequence[bool]) -> np.ndarray:
    """bool[S]: those chosen, and the first of each run of one side (1 or -1; 0 is on none)."""
    kept, before = np.array(chosen, dtype=bool), 0
    for place, side in enumerate(sides):
        if side and side != before:
            kept[place], before = True, side
    return kept
