"""One person across two files: the tail of one joined to the head of the next.

  file 1           gap          file 2
o--o--o--o- - - - - > x   x < - - - - -o--o--o
     tail              error           head       Both are carried over the gap at their own velocity; how far
                                                  each misses the other, in body heights, is the error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from pc_pipeline.counting.geometry import Floats

if TYPE_CHECKING:
    from pc_pipeline.ingest.site import CountingConfig
    from pc_pipeline.vision.arrays import Track

CODE_VERSION = "1"

# A body is about 1.7 m, so a brisk walk of 2.5 m/s is 1.5 body heights a second, and a run of 7 m/s is 4.
WALK = 1.5
RUN = 4.0
# Body heights by which a foot point is wrong without any motion: a box that takes a shadow in or leaves a shoe out.
FOOT_ERROR = 0.35
# A box may change by this ratio between two sightings: a person nears the camera, or an arm is cut off.
SIZE_RATIO = 1.5
# Recorders begin a file up to this long before the last one ends.
OVERLAP_S = 0.5
# Velocity is taken over this long: several steps of jitter, less than a turn.
VELOCITY_S = 0.5


@dataclass(frozen=True)
class TrackEnd:
    """Where a track is at its end (or start), and where it is going.

    Attributes:
        time_us: microseconds since 1970, UTC.
        foot: (x, y), pixels.
        height: pixels.
        velocity: (x, y), pixels a second.
    """

    track_id: int
    time_us: int
    foot: tuple[float, float]
    height: float
    velocity: tuple[float, float]


def track_tail(track: "Track", started_at: datetime) -> TrackEnd:
    """The end of a track of the video that started at `started_at` (aware)."""
    return _end(track, started_at, -1, track.time_us >= track.time_us[-1] - VELOCITY_S * 1e6)


def track_head(track: "Track", started_at: datetime) -> TrackEnd:
    """The start of a track of the video that started at `started_at` (aware)."""
    return _end(track, started_at, 0, track.time_us <= track.time_us[0] + VELOCITY_S * 1e6)


def _end(track: "Track", started_at: datetime, at: int, near: np.ndarray) -> TrackEnd:
    epoch_us = (started_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    x, y = track.foot[at].tolist()
    return TrackEnd(
        track_id=track.track_id,
        time_us=epoch_us + int(track.time_us[at]),
        foot=(x, y),
        height=float(np.median(track.height[near])),
        velocity=_velocity(track.time_us[near] / 1e6, track.foot[near]),
    )


def _velocity(seconds: Floats, points: Floats) -> tuple[float, float]:
    """Pixels a second by least squares; 0 for a single sighting."""
    offsets = seconds - seconds.mean()
    spread = offsets @ offsets
    if spread == 0:
        return (0.0, 0.0)
    x, y = (offsets @ (points - points.mean(axis=0)) / spread).tolist()
    return (x, y)


def link_tracks(
    tails: Sequence[TrackEnd], heads: Sequence[TrackEnd], config: "CountingConfig"
) -> list[tuple[int, int]]:
    """Join tracks that end one file to tracks that begin the next.

    A pair is possible when the gap is at most `config.link_gap` seconds, the sizes fit, nobody had to run faster than a
    person can, and each carried at its velocity comes near the other: within FOOT_ERROR and what a walker may
    change course by in that time. Of all ways to pair them the one is taken in which the pairs together are most above
    the worst that is possible, by `scipy.optimize.linear_sum_assignment`: one good pair outweighs two poor ones.

    Returns:
        (tail's track_id, head's track_id), in order of the heads; the same for any order of the arguments.
    """
    from scipy.optimize import linear_sum_assignment

    tails = sorted(tails, key=lambda end: end.track_id)
    heads = sorted(heads, key=lambda end: end.track_id)
    if not tails or not heads:
        return []
    cost = _cost(tails, heads, config.link_gap)
    possible = np.isfinite(cost)
    worth = np.where(possible, cost - 2.0, 0.0)
    rows, columns = linear_sum_assignment(worth)
    pairs = [(tails[i].track_id, heads[j].track_id) for i, j in zip(rows, columns, strict=True) if possible[i, j]]
    return sorted(pairs, key=lambda pair: pair[1])


def _cost(tails: Sequence[TrackEnd], heads: Sequence[TrackEnd], link_gap: float) -> Floats:
    """float64[tails, heads]: 0 for a perfect fit to 2 for the worst that is possible, infinite where it is not."""
    gap = (_column(heads, "time_us")[None, :] - _column(tails, "time_us")[:, None]) / 1e6
    height = (_column(heads, "height")[None, :] + _column(tails, "height")[:, None]) / 2
    ratio = np.abs(np.log(_column(heads, "height")[None, :] / _column(tails, "height")[:, None])) / np.log(SIZE_RATIO)
    from_tail, to_head = _column(tails, "foot")[:, None], _column(heads, "foot")[None, :]
    moved = to_head - from_tail
    forward = moved - _column(tails, "velocity")[:, None] * gap[..., None]
    backward = moved - _column(heads, "velocity")[None, :] * gap[..., None]

    def bodies(vectors: Floats) -> Floats:
        return np.hypot(vectors[..., 0], vectors[..., 1]) / height

    error = (bodies(forward) + bodies(backward)) / 2 / (FOOT_ERROR + WALK * np.abs(gap))
    reachable = bodies(moved) <= FOOT_ERROR + RUN * np.abs(gap)
    possible = (gap >= -OVERLAP_S) & (gap <= link_gap) & reachable & (ratio <= 1) & (error <= 1)
    return np.where(possible, error + ratio, np.inf)


def _column(ends: Sequence[TrackEnd], name: str) -> Floats:
    return np.array([getattr(end, name) for end in ends], dtype=np.float64)
