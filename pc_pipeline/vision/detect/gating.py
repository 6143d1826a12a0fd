"""Motion gating: where nobody is, and nothing moved since the detector last looked, it need not look again.

Whoever comes in changes the picture. Each frame is compared, small and grey, with the last one looked at, and any place
that changed by more than the picture's own noise is reason to look. A frame is passed by only where nobody has been
seen for some time: it repeats that nobody is there, and never a person who may have gone.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.decode import Frame
from pc_pipeline.vision.detect import Boxes, Detector

# Pixels of the small picture's long side. Of 640, as detectors take them, four become one: the smallest people found,
# some 20 pixels tall and 8 wide, are 5 by 2 here.
LONG_SIDE = 160
# A place is so many of these pixels squared: most of such a person, and a third of the noise of one pixel.
PLACE = 3
# Grey levels that a place changes by without a reason: what rounding and weak compression do.
LEAST_CHANGE = 2.0
# Six standard deviations, each 1.4826 times the median change of the places, as of any normal distribution. Of ten
# thousand places one reaches four of them by chance.
NOISE = 6.0 * 1.4826
# Grey levels. In noise like this a person could be hidden: nothing is passed by.
MOST_NOISE = 6.0
# It looks all the same so often: what the comparison does not show is found later by no more than this.
LOOK_EVERY_US = 1_000_000
# Nothing is passed by so soon after somebody was seen: of people who stand still, detectors lose some frames.
ALONE_US = 2_000_000


class GatedDetector:
    """A detector that is asked only about frames in which something moved, and where somebody is or was just now."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def detect(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Boxes]]:
        """Each frame with its boxes, in order; those passed by have none. One more frame is held than by the detector.

        What is passed by hangs on the frames and their boxes, and not on how many are in flight at once.
        """
        coming = iter(frames)
        watch = _Watch()
        frame = next(coming, None)

        def moving() -> Iterator[Frame]:
            nonlocal frame
            while frame is not None:
                watch.look(frame)
                yield frame
                frame = next(coming, None)
                if frame is not None and watch.still(frame):
                    return

        while frame is not None:
            for looked_at, boxes in self._detector.detect(moving()):
                if len(boxes.boxes):
                    watch.seen_us = looked_at.pts_us
                yield looked_at, boxes
            # Only now are the boxes of all frames before this one known.
            while frame is not None and watch.passes_by(frame):
                yield frame, boxes
                frame = next(coming, None)


class _Watch:
    """What the last frame looked at was like, and when somebody was last seen (`seen_us`)."""

    def __init__(self) -> None:
        self.seen_us = -ALONE_US
        self._looked_us = self._awake_until_us = 0
        self._reference: NDArray[np.float32] | None = None
        self._latest: tuple[int, NDArray[np.float32]] | None = None

    def look(self, frame: Frame) -> None:
        self._reference, self._looked_us = self._small(frame), frame.pts_us

    def still(self, frame: Frame) -> bool:
        if frame.pts_us < self._awake_until_us or frame.pts_us - self._looked_us >= LOOK_EVERY_US:
            return False
        return self._reference is not None and not moved(self._reference, self._small(frame))

    def passes_by(self, frame: Frame) -> bool:
        self._awake_until_us = self.seen_us + ALONE_US
        return self.still(frame)

    def _small(self, frame: Frame) -> NDArray[np.float32]:
        if self._latest is None or self._latest[0] != frame.number:
            self._latest = (frame.number, small_grey(frame.image))
        return self._latest[1]


def small_grey(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32[h, w], grey levels 0..255, of uint8[H, W, 3] BGR: in its own proportions, `LONG_SIDE` pixels at most."""
    import cv2

    height, width = image.shape[:2]
    scale = min(LONG_SIDE / max(height, width), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    # Of large pictures some rows are enough for a mean, and take a third of the time.
    rows = image[:: max(max(height, width) // (4 * LONG_SIDE), 1)]
    return cv2.cvtColor(cv2.resize(rows, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY).astype(np.float32)


def moved(before: NDArray[np.float32], now: NDArray[np.float32]) -> bool:
    """Whether any place of two small pictures differs by more than noise, once the light is made the same.

    Args:
        before, now: float32[h, w], grey levels, as `small_grey` gives them.
    """
    import cv2

    light = float(np.median((now[::3, ::3] + 1) / (before[::3, ::3] + 1)))
    places = np.abs(cv2.blur(now + 1 - light * (before + 1), (PLACE, PLACE)))
    noise = NOISE * float(np.median(places[::2, ::2]))
    return noise > MOST_NOISE or float(places.max()) > max(LEAST_CHANGE, noise)
