"""Hiding people: wherever and whenever somebody is known or likely to be, the picture is smeared beyond recognition.

   time  ----x------x------x---------x----      x  sighting
             [ hull ][ hull][  hull  ]          between two of a track: the box around both
       [.....]                       [.....]    before its first and after its last: carried on as it moved, and longer
                                                where it begins or ends in mid-picture: who is covered is still there
                 [..?..]                        a box no track took: for as long before and after, and wider

A cell of the smear is as large as a person: of face, clothes and outline nothing is left but one mean colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.counting.geometry import Floats
from pc_pipeline.pictures.text import Picture
from pc_pipeline.vision.arrays import Track

# A detector sees people a moment too late and loses them a moment too early.
CARRY_US = 400_000
# Who appears or vanishes in mid-picture stood behind something, or was missed.
LINGER_US = 1_500_000
# Over which a track's pace at its ends is taken.
PACE_US = 500_000
# Body heights added on each side: boxes cut off hands and bags.
MARGIN = 0.12
# Body heights a second: of those who were seen but once, nobody knows which way they went.
STROLL = 0.8
# Body heights: a box so near the picture's edge leaves it.
AT_EDGE = 0.25
# Body heights.
CELL = 1.0


@dataclass(frozen=True)
class Hidden:
    """What is hidden when: row i's box from `since_us[i]` to `until_us[i]`, both included.

    Attributes:
        since_us, until_us: int64[R], µs from the video's start; `since_us` increases.
        boxes: float64[R, 4], x1, y1, x2, y2, pixels, margins included.
        cells: float64[R], pixels: the side of a cell of the smear.
    """

    since_us: NDArray[np.int64]
    until_us: NDArray[np.int64]
    boxes: Floats
    cells: Floats

    def at(self, time_us: int) -> NDArray[np.intp]:
        """The rows in force at a time."""
        longest = int((self.until_us - self.since_us).max(initial=0))
        first = np.searchsorted(self.since_us, time_us - longest)
        last = np.searchsorted(self.since_us, time_us, side="right")
        return first + np.flatnonzero(self.until_us[first:last] >= time_us)


def hidden(
    tracks: Sequence[Track],
    untracked_us: NDArray[np.int64],
    untracked: NDArray[np.float32],
    frame_size: tuple[int, int],
    sample_every_us: int,
) -> Hidden:
    """When and where to hide people.

    Args:
        tracks: with interpolated sightings.
        untracked_us: int64[N], µs from the video's start: of each box that no track took, however unsure.
        untracked: float32[N, 4], x1, y1, x2, y2, pixels.
        frame_size: width and height, pixels.
        sample_every_us: µs between the frames people were looked for in.
    """
    carry_us = max(CARRY_US, sample_every_us)
    parts = [_of_track(track, frame_size, carry_us) for track in tracks]
    loose = untracked.astype(np.float64).reshape(-1, 4)
    tall = loose[:, 3] - loose[:, 1]
    reach = STROLL * carry_us / 1e6 * tall[:, None]
    loose = np.hstack((loose[:, :2] - reach, loose[:, 2:] + reach))
    parts.append((untracked_us - carry_us, untracked_us + carry_us, loose, tall))
    since, until, boxes, tall = (np.concatenate(column) for column in zip(*parts, strict=True))
    margin = MARGIN * tall[:, None]
    order = np.argsort(since, kind="stable")
    grown = np.hstack((boxes[:, :2] - margin, boxes[:, 2:] + margin))
    return Hidden(since[order], until[order], grown[order], CELL * tall[order])


def _of_track(
    track: Track, frame_size: tuple[int, int], carry_us: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats]:
    """A track's rows: since, until, hulls and body heights."""
    boxes, times = track.boxes.astype(np.float64), track.time_us
    before, after = (
        _hull(boxes[end], boxes[end] + _pace(boxes, times, end) * way * carry_us) for end, way in ((0, -1), (-1, 1))
    )
    hulls = np.vstack((before, _hull(boxes[:-1], boxes[1:]), after))
    early, late = (carry_us if _leaves(boxes[end], frame_size) else max(carry_us, LINGER_US) for end in (0, -1))
    since = np.concatenate(([times[0] - early], times))
    until = np.concatenate((times, [times[-1] + late]))
    tall = boxes[:, 3] - boxes[:, 1]
    return since, until, hulls, np.minimum(np.append(tall[:1], tall), np.append(tall, tall[-1]))


def _leaves(box: Floats, frame_size: tuple[int, int]) -> bool:
    """Whether a box is at the picture's edge."""
    near = AT_EDGE * (box[3] - box[1])
    return bool((box[:2] < near).any() or (box[2:] > np.array(frame_size) - near).any())


def _pace(boxes: Floats, times: NDArray[np.int64], end: int) -> Floats:
    """How a track's box changes, pixels a µs, at its first (0) or last (-1) sighting."""
    near = np.flatnonzero(np.abs(times - times[end]) <= PACE_US)
    other = near[-1] if end == 0 else near[0]
    elapsed = int(times[end] - times[other])
    return (boxes[end] - boxes[other]) / elapsed if elapsed else np.zeros(4)


def _hull(one: Floats, other: Floats) -> Floats:
    """The box around two boxes, of float64[..., 4]."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    return np.concatenate((low[..., :2], high[..., 2:]), axis=-1)


def hide(picture: Picture, boxes: Floats, cells: Floats) -> None:
    """Smear these boxes: each becomes one cell of mean colour, or a few that run into one another.

    Args:
        picture: changed in place.
        boxes: float64[n, 4], x1, y1, x2, y2, pixels; parts outside the picture are left out.
        cells: float64[n], the side of a cell, pixels.
    """
    import cv2

    height, width = picture.shape[:2]
    low = np.clip(np.floor(boxes[:, :2]), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(boxes[:, 2:]), 0, (width, height)).astype(int)
    for (left, top), (right, bottom), cell in zip(low.tolist(), high.tolist(), cells.tolist(), strict=True):
        if left >= right or top >= bottom:
            continue
        region = picture[top:bottom, left:right]
        across, down = (max(1, int(side / max(cell, 1))) for side in (right - left, bottom - top))
        means = cv2.resize(region, (across, down), interpolation=cv2.INTER_AREA)
        region[:] = cv2.resize(means, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
