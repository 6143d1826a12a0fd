"""Counts at lines against the truth: at the configured ones, and at random ones all over the picture.

One line has a few dozen crossings, so its error is mostly luck. A hundred random lines ask the same tracks a hundred
times, and their mean absolute error says how well lines of any place and direction are counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.counting.crossings import Crossing, line_crossings
from pc_pipeline.counting.geometry import Line
from pc_pipeline.vision.arrays import Track

RANDOM_LINES = 100
# Of the frame's longer side.
SHORTEST = 0.3
SEED = 7
BAND_PX = 4.0
RESAMPLES = 10_000

USUAL_LINES: Mapping[str, Line] = {
    "vertical": Line((0.5, 0.0), (0.5, 1.0), "right"),
    "horizontal": Line((0.0, 0.5), (1.0, 0.5), "down"),
}


@dataclass(frozen=True)
class RandomLines:
    """The random lines' error.

    Attributes:
        lines: the lines.
        true, found: int64[L, 2], crossings `in` and `out` of each.
        mae: mean over lines and both directions of |found - true|.
        ci95: 95 % confidence interval of `mae`, by a percentile bootstrap over the lines.
    """

    lines: list[Line]
    true: NDArray[np.int64]
    found: NDArray[np.int64]
    mae: float
    ci95: tuple[float, float]

    def as_json(self) -> dict[str, Any]:
        """`n`, `mae`, `ci95`."""
        return {"n": len(self.lines), "mae": self.mae, "ci95": list(self.ci95)}


@dataclass(frozen=True)
class Crossed:
    """A person who crossed a line: the track's id, and how."""

    track_id: int
    crossing: Crossing


def crossings(
    tracks: Sequence[Track], line: Line, frame_size: tuple[int, int], band: float, anchor: Literal["foot", "center"]
) -> list[Crossed]:
    """Every crossing of a line by any of these people, in time order.

    Args:
        band: body heights, as `counting.crossings` takes it.
        anchor: the point of a person that crosses.
    """
    found = [
        Crossed(track.track_id, crossing)
        for track in tracks
        for crossing in line_crossings(track.time_us, track.anchor(anchor), track.height, line, frame_size, band)
    ]
    return sorted(found, key=lambda crossed: crossed.crossing.time_us)


def counts(found: Sequence[Crossing]) -> tuple[int, int]:
    """How many crossings were `in`, and `out`."""
    entered = sum(crossing.direction == "in" for crossing in found)
    return entered, len(found) - entered


def random_lines(frame_size: tuple[int, int], count: int = RANDOM_LINES, seed: int = SEED) -> list[Line]:
    """Lines with uniform end points in the picture, each at least 0.3 of its longer side long; the same every time."""
    random = np.random.default_rng(seed)
    size = np.asarray(frame_size, np.float64)
    lines: list[Line] = []
    while len(lines) < count:
        start, end = random.uniform(0, 1, (2, 2))
        across, down = np.abs((end - start) * size)
        if np.hypot(across, down) >= SHORTEST * size.max():
            lines.append(Line(tuple(start.tolist()), tuple(end.tolist()), "right" if down > across else "down"))
    return lines


def random_line_error(truth: Sequence[Track], found: Sequence[Track], frame_size: tuple[int, int]) -> RandomLines:
    """The error of `in` and `out` apart over the random lines, foot point, with a band of 4 pixels."""
    lines = random_lines(frame_size)
    true_counts = np.array([_counts_px(truth, line, frame_size) for line in lines], np.int64)
    found_counts = np.array([_counts_px(found, line, frame_size) for line in lines], np.int64)
    errors = np.abs(found_counts - true_counts).mean(axis=1)
    random = np.random.default_rng(SEED)
    means = errors[random.integers(0, len(errors), (RESAMPLES, len(errors)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return RandomLines(lines, true_counts, found_counts, float(errors.mean()), (float(low), float(high)))


def _counts_px(tracks: Sequence[Track], line: Line, frame_size: tuple[int, int]) -> tuple[int, int]:
    entered = left = 0
    for track in tracks:
        # Heights of one pixel make the band, which is in heights, one of pixels.
        found = line_crossings(track.time_us, track.foot, np.ones(len(track.time_us)), line, frame_size, BAND_PX)
        came, went = counts(found)
        entered, left = entered + came, left + went
    return entered, left
