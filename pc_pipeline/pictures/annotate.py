"""A frame drawn over: boxes with track numbers, tails, lines with their running counts, zones with who is inside.

+--------------------------------+      The story of a video is known to its end; a frame shows it up to its own
| door  in 3  out 1              |      time. Positions between two sightings are interpolated in time, since a
|     |      .--.                |      frame may lie between the sampled ones. A dashed box was filled in there,
|     |->    |12|   mat  2 inside|      not seen.
|     |   ~~~'--'  +--------+    |
| 12:34:05.3         +--------+  |      Sizes follow the picture's height: the same drawing at 360 and at 1080 lines.
+--------------------------------+
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.counting.geometry import Floats, Line, signed_distance
from pc_pipeline.pictures import palette
from pc_pipeline.pictures.palette import INK, WHITE, Colour
from pc_pipeline.pictures.text import Picture, extent, label
from pc_pipeline.vision.arrays import Track

TAIL_US = 2_000_000
# How long a line shines after somebody crossed it.
FLASH_US = 600_000
ZONE_OPACITY = 0.18


@dataclass(frozen=True)
class Crossed:
    """Somebody crossed a line: when (µs from the video's start), which, and where (pixels)."""

    time_us: int
    line: str
    direction: Literal["in", "out"]
    point: tuple[float, float]


@dataclass(frozen=True)
class Stay:
    """Somebody was in a zone from `entered_us` to `exited_us` (µs from the video's start)."""

    zone: str
    entered_us: int
    exited_us: int


@dataclass(frozen=True)
class Story:
    """All that happens in one video.

    Attributes:
        tracks: in pixels of the video.
        lines: by name.
        zones: by name, float64[K, 2], corners in 0..1.
        crossings, stays: of those lines and zones.
    """

    tracks: Sequence[Track]
    lines: Mapping[str, Line]
    zones: Mapping[str, Floats]
    crossings: Sequence[Crossed]
    stays: Sequence[Stay]


class Overlay:
    """Draws a story over the frames of its video, in any order of time."""

    def __init__(self, story: Story, frame_size: tuple[int, int]) -> None:
        """
        Args:
            frame_size: width and height of the frames, pixels.
        """
        self._story, self._size = story, frame_size
        height = frame_size[1]
        self._letters = max(11, round(height / 34))
        self._stroke = max(1, round(height / 400))
        self._first = np.array([track.time_us[0] for track in story.tracks], np.int64)
        self._last = np.array([track.time_us[-1] for track in story.tracks], np.int64)
        self._lines = [
            _DrawnLine(name, line, frame_size, palette.place(number), [c for c in story.crossings if c.line == name])
            for number, (name, line) in enumerate(story.lines.items())
        ]
        self._zones = [
            _DrawnZone(name, corners, frame_size, palette.place(number), [s for s in story.stays if s.zone == name])
            for number, (name, corners) in enumerate(story.zones.items(), start=len(story.lines))
        ]
        self._places: list[_DrawnLine | _DrawnZone] = [*self._lines, *self._zones]
        self._corners = _apart(
            [(f" {place.text(_ALWAYS)}", place.wish) for place in self._places], self._letters, frame_size
        )

    def labels(self, time_us: int) -> list[str]:
        """What is written of each line, then of each zone, at a time: `door  in 3  out 1`, `mat  2 inside`."""
        return [place.text(time_us) for place in self._places]

    def draw(self, picture: Picture, time_us: int, clock: str) -> None:
        """Draw over one frame.

        Args:
            picture: uint8[H, W, 3], BGR, changed in place.
            time_us: its time, µs from the video's start.
            clock: written at the bottom left.
        """
        for zone in self._zones:
            zone.draw(picture, self._stroke)
        for line in self._lines:
            line.draw(picture, time_us, self._stroke)
        near = np.flatnonzero((self._first <= time_us) & (self._last >= time_us - TAIL_US)).tolist()
        for index in near:
            _draw_tail(picture, self._story.tracks[index], time_us, self._stroke)
        for index in near:
            if time_us <= self._last[index]:
                self._draw_person(picture, self._story.tracks[index], time_us)
        for corner, place, text in zip(self._corners, self._places, self.labels(time_us), strict=True):
            corner = label(picture, f" {text}", corner, self._letters)
            _swatch(picture, corner, self._letters, place.colour)
        label(picture, clock, (0, self._size[1]), self._letters)

    def _draw_person(self, picture: Picture, track: Track, time_us: int) -> None:
        box, seen = box_at(track, time_us)
        colour = palette.person(track.track_id)
        _draw_box(picture, box, colour, self._stroke, dashed=not seen)
        letters = max(9, round(self._letters * 0.8))
        _, high = extent(str(track.track_id), letters)
        label(picture, str(track.track_id), (box[0], box[1] - high), letters, ink=INK, ground=colour, opacity=0.9)


# Later than anything in a video: the text of a label at its longest.
_ALWAYS = 2**62


def box_at(track: Track, time_us: int) -> tuple[Floats, bool]:
    """Where somebody is at a time within their track: the box, linear between two sightings, and whether both of them
    were seen and not filled in."""
    after = min(int(np.searchsorted(track.time_us, time_us)), len(track.time_us) - 1)
    before = after if track.time_us[after] == time_us else max(after - 1, 0)
    box = np.array(
        [np.interp(time_us, track.time_us[[before, after]], track.boxes[[before, after], i]) for i in range(4)]
    )
    return box, not track.interpolated[[before, after]].any()


class _DrawnLine:
    def __init__(
        self, name: str, line: Line, frame_size: tuple[int, int], colour: Colour, crossings: list[Crossed]
    ) -> None:
        self._name, self.colour = name, colour
        self._start, self._end = line.pixels(frame_size)
        self._times = {way: np.sort([c.time_us for c in crossings if c.direction == way]) for way in ("in", "out")}
        self._crossings = sorted(crossings, key=lambda c: c.time_us)
        self._all = np.array([c.time_us for c in self._crossings], np.int64)
        along = self._end - self._start
        # Not in the middle, where lines like to cross.
        foot = self._start + 0.6 * along
        inwards = np.array([-along[1], along[0]]) / np.hypot(*along)
        if signed_distance((foot + inwards)[None], line, frame_size)[0] < 0:
            inwards = -inwards
        self._foot, self._tip = foot, foot + inwards * frame_size[1] * 0.06
        # The label begins at the higher end of the line.
        top = self._start if self._start[1] <= self._end[1] else self._end
        self.wish = (float(top[0]), float(top[1]))

    def text(self, time_us: int) -> str:
        entered, left = (int(np.searchsorted(self._times[way], time_us, side="right")) for way in ("in", "out"))
        return f"{self._name}  in {entered}  out {left}"

    def draw(self, picture: Picture, time_us: int, stroke: int) -> None:
        import cv2

        just = np.flatnonzero((self._all <= time_us) & (self._all > time_us - FLASH_US))
        colour = WHITE if len(just) else self.colour
        for width, ink in ((3 * stroke + 1, INK), (2 * stroke, colour)):
            cv2.line(picture, _pixel(self._start), _pixel(self._end), ink, width, cv2.LINE_AA)
            cv2.arrowedLine(picture, _pixel(self._foot), _pixel(self._tip), ink, width, cv2.LINE_AA, tipLength=0.35)
        for index in just:
            point = _pixel(np.array(self._crossings[index].point))
            cv2.circle(picture, point, 5 * stroke, INK, 2 * stroke, cv2.LINE_AA)
            cv2.circle(picture, point, 5 * stroke, WHITE, stroke, cv2.LINE_AA)


class _DrawnZone:
    def __init__(
        self, name: str, corners: Floats, frame_size: tuple[int, int], colour: Colour, stays: list[Stay]
    ) -> None:
        self._name, self.colour = name, colour
        outline = np.rint(corners * np.array(frame_size)).astype(np.int32)
        low, high = np.clip([outline.min(axis=0), outline.max(axis=0) + 1], 0, frame_size)
        self._place = np.s_[low[1] : high[1], low[0] : high[0]]
        self._outline, self._inner = outline, outline - low.astype(np.int32)
        self._entered = np.sort([stay.entered_us for stay in stays])
        self._exited = np.sort([stay.exited_us for stay in stays])
        top = outline[outline[:, 1].argmin()]
        self.wish = (float(top[0]), float(top[1]))

    def text(self, time_us: int) -> str:
        if time_us == _ALWAYS:
            return f"{self._name}  {max(10, len(self._entered))} inside"
        gone = np.searchsorted(self._exited, time_us, side="right")
        return f"{self._name}  {int(np.searchsorted(self._entered, time_us, side='right') - gone)} inside"

    def draw(self, picture: Picture, stroke: int) -> None:
        import cv2

        place = picture[self._place]
        filled = cv2.fillPoly(place.copy(), [self._inner], self.colour)
        place[:] = cv2.addWeighted(place, 1 - ZONE_OPACITY, filled, ZONE_OPACITY, 0)
        cv2.polylines(picture, [self._outline], True, self.colour, stroke, cv2.LINE_AA)


def _apart(
    wishes: Sequence[tuple[str, tuple[float, float]]], letters: int, frame_size: tuple[int, int]
) -> list[tuple[int, int]]:
    """The top left of each label: near where it wants to be, inside the picture, below any it would cover."""
    taken: list[tuple[int, int, int, int]] = []
    gap = letters // 3
    for text, (x, y) in wishes:
        width, height = extent(text, letters)
        width += height
        left = int(np.clip(x + gap, 0, max(0, frame_size[0] - width)))
        top = int(np.clip(y + gap, 0, max(0, frame_size[1] - 2 * height)))
        for x1, y1, x2, y2 in sorted(taken, key=lambda box: box[1]):
            if left < x2 and left + width > x1 and top < y2 and top + height > y1:
                top = y2 + 1
        taken.append((left, top, left + width, top + height))
    return [(x1, y1) for x1, y1, _, _ in taken]


def _swatch(picture: Picture, corner: tuple[int, int], letters: int, colour: Colour) -> None:
    """The colour of what a label names, as a bar at its left."""
    _, height = extent("", letters)
    left, top = corner
    picture[top : top + height, left : left + max(2, letters // 4)] = colour


def _draw_box(picture: Picture, box: Floats, colour: Colour, stroke: int, dashed: bool) -> None:
    import cv2

    low, high = _pixel(box[:2]), _pixel(box[2:])
    if not dashed:
        cv2.rectangle(picture, low, high, INK, stroke + 2)
        cv2.rectangle(picture, low, high, colour, stroke)
        return
    (left, top), (right, bottom) = low, high
    dash = 5 * stroke
    for x in range(left, right, 2 * dash):
        for y in (top, bottom):
            cv2.line(picture, (x, y), (min(x + dash, right), y), colour, stroke)
    for y in range(top, bottom, 2 * dash):
        for x in (left, right):
            cv2.line(picture, (x, y), (x, min(y + dash, bottom)), colour, stroke)


def _draw_tail(picture: Picture, track: Track, time_us: int, stroke: int) -> None:
    """Where the feet were in the last seconds, fading."""
    import cv2

    first, last = np.searchsorted(track.time_us, [time_us - TAIL_US, time_us], side="left")
    feet, times = track.foot[first:last], track.time_us[first:last]
    if time_us <= track.time_us[-1]:
        box, _ = box_at(track, time_us)
        feet = np.vstack((feet, [(box[0] + box[2]) / 2, box[3]]))
        times = np.append(times, time_us)
    if len(feet) < 2:
        return
    height, width = picture.shape[:2]
    reach = 3 * stroke
    points = np.rint(feet).astype(np.int32)
    low = np.clip(points.min(axis=0) - reach, 0, (width, height))
    high = np.clip(points.max(axis=0) + reach + 1, 0, (width, height))
    if (low >= high).any():
        return
    ink = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    strength = np.rint(255 * (1 - (time_us - times) / TAIL_US)).astype(int)
    for start, end, alpha in zip(points[:-1] - low, points[1:] - low, strength[1:].tolist(), strict=True):
        cv2.line(ink, start.tolist(), end.tolist(), max(alpha, 1), stroke + 1, cv2.LINE_AA)
    _tint(picture[low[1] : high[1], low[0] : high[0]], ink, palette.person(track.track_id))


def _tint(place: Picture, strength: NDArray[np.uint8], colour: Colour) -> None:
    """Move a part of a picture towards a colour by 0..255 in each pixel."""
    alpha = strength[..., None].astype(np.float32) / 255
    place[:] = (place + alpha * (np.array(colour, np.float32) - place) + 0.5).astype(np.uint8)


def _pixel(point: NDArray[np.floating]) -> tuple[int, int]:
    return int(round(float(point[0]))), int(round(float(point[1])))
