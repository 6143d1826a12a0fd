"""Where people stood: for each place of the picture, the seconds in which somebody's feet were there.

A sighting lasts from halfway after the one before to halfway before the next. Somebody is "there" by
exp(-d²/2), d being the distance in shoulder widths (less deep than wide, as the camera sees the floor): who stands
still for ten seconds gives ten seconds on the spot, less beside it, and nothing two steps away, near and far alike.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.counting.geometry import Floats
from pc_pipeline.pictures.palette import INK, PAPER
from pc_pipeline.pictures.plan import FOOT, LETTERS, Plan
from pc_pipeline.pictures.text import Picture, label
from pc_pipeline.vision.arrays import Track

# Pixels of the plan.
CELL = 4
# Body heights: half a shoulder's width, and as much floor as that looks like under a camera at the ceiling.
WIDE, DEEP = 0.16, 0.08
# From the most down to a hundredth of it the scale shows; what is less is as good as nothing.
SPAN = 100.0


def presence(tracks: Sequence[Track], frame_size: tuple[int, int], cells: tuple[int, int]) -> Floats:
    """Seconds of presence, float64[rows, columns]. Sums over videos of one camera.

    Args:
        frame_size: width and height, pixels, of the tracks' video.
        cells: rows and columns of the grid over the picture.
    """
    import cv2

    total = np.zeros(cells)
    if not tracks:
        return total
    rows, columns = cells
    scale = np.array([columns, rows]) / np.array(frame_size)
    feet = np.concatenate([track.foot for track in tracks]) * scale
    tall = np.concatenate([track.height for track in tracks])
    seconds = np.concatenate([lasting(track.time_us) for track in tracks]) / 1e6
    column, row = np.clip(feet.astype(np.int64), 0, np.array([columns, rows]) - 1).T
    # People of nearly one size share a kernel; sizes are two to an octave.
    sizes = np.rint(2 * np.log2(np.maximum(tall, 1.0))).astype(np.int64)
    for size in np.unique(sizes):
        of_size = sizes == size
        there = np.bincount(row[of_size] * columns + column[of_size], seconds[of_size], rows * columns)
        height = 2.0 ** (size / 2)
        across, down = (_kernel(part * height * s) for part, s in ((WIDE, scale[0]), (DEEP, scale[1])))
        total += cv2.sepFilter2D(there.reshape(cells), -1, across, down, borderType=cv2.BORDER_CONSTANT)
    return total


def lasting(time_us: NDArray[np.int64]) -> Floats:
    """How long each sighting of a track lasts, float64[S], µs: to halfway to its neighbours. They add up to the track's
    length."""
    halves = np.diff(time_us) / 2
    return np.append(halves, 0) + np.insert(halves, 0, 0)


def _kernel(sigma: float) -> Floats:
    """exp(-d²/2σ²), 1 in its middle, out to three sigma; never narrower than a cell."""
    sigma = max(sigma, 0.5)
    reach = int(np.ceil(3 * sigma))
    return np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)


def heat_map(seconds: Floats, plan: Plan) -> Picture:
    """The map with its scale, uint8[H, W, 3].

    Args:
        seconds: from `presence`, on the grid `plan.cells(CELL)`.
    """
    import cv2

    sheet = plan.sheet()
    width, height = plan.size
    most = max(float(seconds.max()), 1e-3)
    smooth = cv2.resize(seconds, (width, height), interpolation=cv2.INTER_LINEAR)
    sheet[:height, :width] = _coloured(np.log(np.maximum(smooth * SPAN / most, 1e-9)) / np.log(SPAN))
    plan.draw(sheet)
    _draw_scale(sheet, most)
    return sheet


def _coloured(share: Floats) -> Picture:
    """Colours for 0..1, light to dark; below 0 the bare sheet."""
    import cv2

    # Perceptually even and told apart by every colour vision; reversed, so that much is dark on the light sheet.
    levels = np.rint(245 - 225 * np.clip(share, 0, 1) ** 1.3).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO).astype(np.float32)
    alpha = np.clip(share * 3, 0, 1)[..., None].astype(np.float32)
    return (np.array(PAPER, np.float32) * (1 - alpha) + colours * alpha + 0.5).astype(np.uint8)


def _draw_scale(sheet: Picture, most: float) -> None:
    """The colours from a hundredth of the most to the most, with seconds written under them."""
    height = sheet.shape[0] - FOOT
    left, right, top = 150, sheet.shape[1] - 40, height + 12
    sheet[top : top + 14, left:right] = _coloured(np.linspace(0, 1, right - left)[None])
    label(sheet, "somebody there for", (6, top - 2), LETTERS, ink=INK, ground=None)
    for exponent in range(-3, 7):
        for step in (1, 3):
            value = step * 10.0**exponent
            share = np.log(value * SPAN / most) / np.log(SPAN)
            if 0 <= share <= 1:
                x = left + share * (right - left - 1)
                sheet[top + 14 : top + 19, int(x)] = INK
                text = spoken(value)
                label(sheet, text, (x - 3.5 * len(text) - 4, top + 19), LETTERS - 2, ink=INK, ground=None)


def spoken(seconds: float) -> str:
    """A duration in few letters: `0.3 s`, `10 s`, `17 min`, `3 h`."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= 3 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:g} s"
