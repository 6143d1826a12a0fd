"""OpenCV's built-in people detector (HOG and a linear SVM, Dalal and Triggs 2005): no download, people only."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.decode import Frame
from pc_pipeline.vision.detect import Boxes, keep_best

if TYPE_CHECKING:
    import cv2

SMALL_LINES = 400
LARGE_LINES = 720
# The SVM's window is wider and higher than the person in it: the share of the window that is margin on each side.
MARGIN_X, MARGIN_TOP, MARGIN_BOTTOM = 0.22, 0.13, 0.14
# Of the SVM's window, pixels; and what OpenCV adds around the picture. It crashes on what is smaller than the window.
WINDOW_WIDTH, WINDOW_HEIGHT, PADDING = 64, 128, 8
# The picture is searched again and again, each time smaller by this factor; the window moves by so many pixels.
STEP, STRIDE, MOST_STEPS = 1.05, 8, 64
# confidence = 1 / (1 + exp(-(SLOPE * weight + BIAS))), fitted: see docs/vision.md.
SLOPE, BIAS = 2.3, -1.9
# Windows overlap far more than people do, so that a looser limit only adds doubles.
MOST_IOU = 0.3


class HogDetector:
    """People as boxes of class 0. Finds people of about 100 pixels and more in the scaled picture."""

    def __init__(self, confidence: float, iou: float, classes: tuple[int, ...], frame_size: tuple[int, int]) -> None:
        import cv2

        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector(), np.float32))
        self._wanted = 0 in classes
        self._iou, self._frame_size = iou, frame_size
        self._least_weight = (np.log(confidence / (1 - confidence)) - BIAS) / SLOPE if 0 < confidence < 1 else 0.0
        self._scale = picture_scale(frame_size)

    def detect(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Boxes]]:
        """Each frame with its boxes, in order, one at a time; its scales are searched side by side."""
        import cv2

        # As many threads as OpenCV would take. None outlives the video: a process forked later would miss them.
        with ThreadPoolExecutor(max(cv2.getNumThreads(), 1), "hog") as threads:
            for frame in frames:
                yield frame, self._boxes(frame.image, threads) if self._wanted else _none()

    def _boxes(self, image: NDArray[np.uint8], threads: ThreadPoolExecutor) -> Boxes:
        import cv2

        scaled = image if self._scale == 1 else cv2.resize(image, None, fx=self._scale, fy=self._scale)
        height, width = scaled.shape[:2]
        if width + 2 * PADDING < WINDOW_WIDTH or height + 2 * PADDING < WINDOW_HEIGHT:
            return _none()
        windows, weights = search(self._hog, scaled.astype(np.uint8, copy=False), self._least_weight, threads)
        if not len(windows):
            return _none()
        x, y, width, height = (np.asarray(windows, np.float32) / self._scale).T
        boxes = np.column_stack(
            (
                x + MARGIN_X * width,
                y + MARGIN_TOP * height,
                x + (1 - MARGIN_X) * width,
                y + (1 - MARGIN_BOTTOM) * height,
            )
        )
        confidence = 1 / (1 + np.exp(-(SLOPE * weights.astype(np.float32) + BIAS)))
        return keep_best(boxes, confidence, np.zeros(len(boxes), np.int16), min(self._iou, MOST_IOU), self._frame_size)


def search(
    hog: "cv2.HOGDescriptor", image: NDArray[np.uint8], least_weight: float, threads: ThreadPoolExecutor
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The SVM's windows on people of any size: what OpenCV's `detectMultiScale` finds without grouping.

    That one must not be used: its threads add windows and weights to their lists under two locks, so that on a busy
    machine a window may be given another one's weight, and the same picture other boxes.

    Args:
        hog: with its SVM set, of a window of `WINDOW_WIDTH` by `WINDOW_HEIGHT`.
        image: uint8[H, W, 3], with `PADDING` around it no smaller than the window.
        least_weight: windows below it are not found.
        threads: search the scales side by side.

    Returns:
        int32[n, 4], x, y, width and height in pixels, cut off at the edges of `image`, and float64[n], the SVM's weight
        of each; from the smallest people to the largest.
    """
    found = list(threads.map(lambda scale: _search_at(hog, image, least_weight, scale), _scales(image)))
    return np.concatenate([windows for windows, _ in found]), np.concatenate([weights for _, weights in found])


def _scales(image: NDArray[np.uint8]) -> list[float]:
    """By what the picture is made smaller, one after the other, as long as a window fits into it; at least 1."""
    height, width = image.shape[:2]
    scales = [1.0]
    while len(scales) < MOST_STEPS:
        scale = scales[-1] * STEP
        if round(width / scale) < WINDOW_WIDTH or round(height / scale) < WINDOW_HEIGHT:
            break
        scales.append(scale)
    return scales


def _search_at(
    hog: "cv2.HOGDescriptor", image: NDArray[np.uint8], least_weight: float, scale: float
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    import cv2

    height, width = image.shape[:2]
    size = (round(width / scale), round(height / scale))
    smaller = image if size == (width, height) else cv2.resize(image, size, interpolation=cv2.INTER_LINEAR_EXACT)
    corners, weights = hog.detect(smaller, least_weight, (STRIDE, STRIDE), (PADDING, PADDING))
    begin = np.rint(np.reshape(corners, (-1, 2)) * scale).astype(np.int32)
    end = np.minimum(begin + (round(WINDOW_WIDTH * scale), round(WINDOW_HEIGHT * scale)), (width, height))
    begin = np.maximum(begin, 0)
    return np.column_stack((begin, end - begin)).astype(np.int32), np.ravel(weights).astype(np.float64)


def picture_scale(frame_size: tuple[int, int]) -> float:
    """Pictures under 400 lines are doubled (people in them are small), over 720 reduced to 720 lines, others kept."""
    height = frame_size[1]
    if height < SMALL_LINES:
        return 2.0
    return min(1.0, LARGE_LINES / height)


def _none() -> Boxes:
    return Boxes(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int16))
