"""A person's path from boxes that jump: what is seen smoothed, what is hidden filled in, cut-off boxes made whole.

    seen      +--+  +--+  +--+        +--+       A box whose lower half is hidden (by a desk, by somebody nearer) puts
              |  |  |  |  +--+        |  |       the feet half a body too high, and would cross lines nobody crossed.
              +--+  +--+              +--+       The person's height changes slowly: the feet are where they were going.
    path      +--+  +--+  +--+  +--+  +--+
              |  |  |  |  |  |  |  |  |  |
              +--+  +--+  +--+  +--+  +--+

A penalised least-squares smoother over uneven times (Whittaker, 1923; Reinsch's smoothing spline, 1967) with the
motion's own variance as penalty, reweighted against outliers by Cauchy's weights (Holland and Welsch, 1977). It uses
what comes after as well as what came before, which no online tracker can.
"""

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.track.motion import VELOCITY_LASTS_S, VELOCITY_SD
from pc_pipeline.vision.track.sightings import PLACE_SD, Floats

# A gait moves a box to and fro with the step, twice a second: what recurs within this is one piece of evidence.
GAIT_S = 0.4
# Parts of itself: by this a person's height and width in the picture err, and how fast they change (squared, a second):
# somebody who walks up to a camera 10 m away grows by a seventh in a second, and keeps that up for some seconds.
HEIGHT_SD, HEIGHT_DRIFT = 0.06, 0.005
WIDTH_SD, WIDTH_DRIFT = 0.2, 0.05
# Of two standard deviations and more a sighting loses weight.
OUTLIER_SD = 2.0
_ROUNDS = 5


def smoothed(time: Floats, boxes: Floats, seen: NDArray[np.bool_]) -> Floats:
    """The person's boxes at every time, seen or not.

    Args:
        time: float64[S], seconds, increasing.
        boxes: float64[S, 4], x1, y1, x2, y2, pixels; any box where nothing was seen.
        seen: bool[S]; the first and last are.

    Returns:
        float64[S, 4], pixels.
    """
    if len(time) < 2:
        return boxes
    weight = seen / max(1.0, GAIT_S / float(np.median(np.diff(time))))
    width, height = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0).T
    tall = np.exp(_robust(time, np.log(height), weight, HEIGHT_SD, HEIGHT_DRIFT))
    wide = np.exp(_robust(time, np.log(width), weight, WIDTH_SD, WIDTH_DRIFT))
    sd = PLACE_SD * tall
    turns = 2 * (VELOCITY_SD * tall[1:-1]) ** 2 / VELOCITY_LASTS_S
    middle = _robust(time, (boxes[:, 0] + boxes[:, 2]) / 2, weight, sd, turns)
    top, bottom = (_robust(time, boxes[:, side], weight, sd, turns) for side in (1, 3))
    # Where the edges' paths are not a body apart, the feet are hidden for long: they hang a body below the head.
    fits = np.exp(-((np.log(np.maximum(bottom - top, 1.0) / tall) / HEIGHT_SD) ** 2) / 2)
    feet = fits * bottom + (1 - fits) * (top + tall)
    return np.column_stack((middle - wide / 2, feet - tall, middle + wide / 2, feet))


def _robust(time: Floats, values: Floats, weight: Floats, sd: Floats | float, drift: Floats | float) -> Floats:
    """float64[S]: `values` smoothed, those far from the path counted less and less."""
    path = values
    share = np.ones(len(values))
    for _ in range(_ROUNDS):
        path = _whittaker(time, values, share * weight / np.square(sd), drift)
        share = 1 / (1 + np.square((values - path) / (OUTLIER_SD * np.asarray(sd))))
    return path


def _whittaker(time: Floats, values: Floats, weight: Floats, drift: Floats | float) -> Floats:
    """The path x that minimises sum(weight (values - x)²) + sum(x''² dt / drift): one banded solve."""
    from scipy.linalg import solveh_banded

    if len(time) < 3:
        return values
    before, after = np.diff(time)[:-1], np.diff(time)[1:]
    second = np.stack((2 / (before * (before + after)), -2 / (before * after), 2 / (after * (before + after))))
    penalty = (before + after) / 2 / drift
    banded = np.zeros((3, len(time)))
    # An unseen moment has no weight of its own; a trace of one keeps the matrix invertible.
    banded[2] = weight + 1e-9
    for side in range(3):
        banded[2, side : len(time) - 2 + side] += penalty * second[side] ** 2
    for side in range(2):
        banded[1, side + 1 : len(time) - 1 + side] += penalty * second[side] * second[side + 1]
    banded[0, 2:] += penalty * second[0] * second[2]
    return solveh_banded(banded, weight * values)
