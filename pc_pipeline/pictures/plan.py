"""The plan that a day is drawn on: an empty sheet in the picture's proportions, with its lines and zones.

No footage: what goes into a materialization's metadata stays in the event log for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.counting.geometry import Floats, Line, signed_distance
from pc_pipeline.pictures import palette
from pc_pipeline.pictures.palette import INK, PAPER, Colour
from pc_pipeline.pictures.text import Picture, extent, label

WIDTH, HEIGHT = 560, 480
# Below the plan, for its legend.
FOOT = 58
LETTERS = 13


@dataclass(frozen=True)
class Plan:
    """What is on the ground before a camera.

    Attributes:
        aspect: the picture's height over its width.
        lines: by name. zones: by name, float64[K, 2], corners in 0..1.
        counts: of each line, how many went `in` and `out`.
    """

    aspect: float
    lines: Mapping[str, Line] = field(default_factory=dict)
    zones: Mapping[str, Floats] = field(default_factory=dict)
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the plan at the sheet's top left, pixels."""
        width = min(WIDTH, round(HEIGHT / self.aspect))
        return width, round(width * self.aspect)

    def cells(self, side: int) -> tuple[int, int]:
        """Rows and columns of a grid of nearly square cells, each about `side` pixels of the plan wide."""
        width, height = self.size
        return max(1, round(height / side)), max(1, round(width / side))

    def sheet(self) -> Picture:
        """The empty sheet with room for a legend at its foot: uint8[H, W, 3]."""
        width, height = self.size
        return np.full((height + FOOT, WIDTH, 3), PAPER, np.uint8)

    def draw(self, sheet: Picture) -> None:
        """Draw zones and lines, lines with an arrow inwards and what was counted on them, and a frame around all."""
        import cv2

        size = np.array(self.size)
        for number, (name, corners) in enumerate(self.zones.items(), start=len(self.lines)):
            outline = np.rint(corners * (size - 1)).astype(np.int32)
            _dashed(sheet, outline, palette.place(number))
            top = outline[outline[:, 1].argmin()]
            label(sheet, name, (top[0] + 4, top[1] + 3), LETTERS - 2, ink=INK, ground=PAPER)
        for number, (name, line) in enumerate(self.lines.items()):
            self._draw_line(sheet, name, line, palette.place(number))
        cv2.rectangle(sheet, (0, 0), (int(size[0]) - 1, int(size[1]) - 1), INK, 1)

    def _draw_line(self, sheet: Picture, name: str, line: Line, colour: Colour) -> None:
        import cv2

        start, end = line.pixels(self.size)
        along = (end - start) / np.hypot(*(end - start))
        inwards = np.array([-along[1], along[0]])
        if signed_distance((start + inwards)[None], line, self.size)[0] < 0:
            inwards = -inwards
        for width, ink in ((5, PAPER), (3, colour)):
            cv2.line(sheet, _pixel(start), _pixel(end), ink, width, cv2.LINE_AA)
        # Near the line's end: on the side that one comes to, how many came; on the other, how many went.
        entered, left = self.counts.get(name, (0, 0))
        inset = along * min(60.0, 0.2 * float(np.hypot(*(end - start))))
        foot = end - inset
        for width, ink in ((5, PAPER), (2, colour)):
            cv2.arrowedLine(sheet, _pixel(foot), _pixel(foot + inwards * 14), ink, width, cv2.LINE_AA, tipLength=0.45)
        for text, point, side in (
            (f"in {entered}", foot + inwards * 18, inwards),
            (f"out {left}", foot - inwards * 5, -inwards),
            (name, start + inset / 2 - inwards * 5, -inwards),
        ):
            _beside(sheet[: self.size[1], : self.size[0]], text, point, side, colour)


def _beside(sheet: Picture, text: str, point: Floats, side: Floats, colour: Colour) -> None:
    """A label that begins at a point and lies to its given side."""
    width, height = extent(text, LETTERS)
    middle = point + side * np.array([width, height]) / 2
    blue, green, red = (part // 2 for part in colour)
    label(sheet, text, (middle[0] - width / 2, middle[1] - height / 2), LETTERS, ground=(blue, green, red))


def _dashed(sheet: Picture, outline: NDArray[np.int32], colour: Colour) -> None:
    import cv2

    for start, end in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        dashes = max(1, round(float(np.hypot(*(end - start))) / 9))
        points = np.linspace(start, end, 2 * dashes + 1)
        for i in range(0, 2 * dashes, 2):
            cv2.line(sheet, _pixel(points[i]), _pixel(points[i + 1]), colour, 2, cv2.LINE_AA)


def _pixel(point: Floats) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
