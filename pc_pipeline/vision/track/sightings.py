"""What tracking knows of each box: when, where, how tall, how much of it others hide, and its colours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.arrays import Detections
from pc_pipeline.vision.boxes import covered_share

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# A box's centre errs by this, in body heights,
PLACE_SD = 0.05
# and for so long the same way: more frames a second say little more of where somebody is.
ERRS_ALIKE_S = 0.1


@dataclass(frozen=True)
class Sightings:
    """All boxes of a video, N, in order of time.

    Attributes:
        time: float64[N], seconds from the video's start.
        place: float64[N, 2], pixels: the box's centre, which errs less than its edges.
        height: float64[N], pixels.
        covered: float64[N], 0..1: the largest share of the box that lies under one other box.
        colours: float64[N, C], or None where the video was not looked at for them.
        step: seconds, the usual time between two frames.
        place_sd: body heights, by which a place is taken to err.
        frame_size: width and height, pixels.
    """

    time: Floats
    place: Floats
    height: Floats
    covered: Floats
    colours: Floats | None
    step: float
    place_sd: float
    frame_size: tuple[int, int]


def sightings_of(detections: Detections, frame_size: tuple[int, int]) -> Sightings:
    """The boxes of a video as tracking sees them."""
    boxes = detections.boxes.astype(np.float64)
    step = usual_step(detections)
    return Sightings(
        time=detections.pts_us[detections.frame_index] / 1e6,
        place=(boxes[:, :2] + boxes[:, 2:]) / 2,
        height=np.maximum(boxes[:, 3] - boxes[:, 1], 1.0),
        covered=_covered(boxes, detections.offsets),
        colours=None if detections.colours is None else detections.colours.astype(np.float64),
        step=step,
        place_sd=PLACE_SD * max(1.0, ERRS_ALIKE_S / step) ** 0.5,
        frame_size=frame_size,
    )


def usual_step(detections: Detections) -> float:
    """Seconds: the median time between two frames; 1 for a single one."""
    steps = np.diff(detections.pts_us)
    return float(np.median(steps)) / 1e6 if len(steps) else 1.0


def _covered(boxes: Floats, offsets: NDArray[np.int64]) -> Floats:
    share = np.zeros(len(boxes))
    for start, end in zip(offsets[:-1], offsets[1:], strict=True):
        if end - start > 1:
            share[start:end] = covered_share(boxes[start:end], boxes[:0])
    return share
