"""OpenCV's built-in people detector (HOG and a linear SVM, Dalal and Triggs 2005): no download, people only."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.decode import Frame
from pc_pipeline.vision.detect import Boxes, keep_best

SMALL_LINES = 400
LARGE_LINES = 720
# The SVM's window is wider and higher than the person in it: the share of the window that is margin on each side.
MARGIN_X, MARGIN_TOP, MARGIN_BOTTOM = 0.22, 0.13, 0.14
# Of the SVM's window, pixels; and what OpenCV adds around the picture. It crashes on what is smaller than the window.
WINDOW_WIDTH, WINDOW_HEIGHT, PADDING = 64, 128, 8
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
        """Each frame with its boxes, in order, one at a time."""
        for frame in frames:
            yield frame, self._boxes(frame.image) if self._wanted else _none()

    def _boxes(self, image: NDArray[np.uint8]) -> Boxes:
        import cv2

        scaled = image if self._scale == 1 else cv2.resize(image, None, fx=self._scale, fy=self._scale)
        height, width = scaled.shape[:2]
        if width + 2 * PADDING < WINDOW_WIDTH or height + 2 * PADDING < WINDOW_HEIGHT:
            return _none()
        windows, weights = self._hog.detectMultiScale(
            scaled,
            hitThreshold=self._least_weight,
            winStride=(8, 8),
            padding=(PADDING, PADDING),
            scale=1.05,
            groupThreshold=0,
        )
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
        confidence = 1 / (1 + np.exp(-(SLOPE * np.asarray(weights, np.float32).ravel() + BIAS)))
        return keep_best(boxes, confidence, np.zeros(len(boxes), np.int16), min(self._iou, MOST_IOU), self._frame_size)


def picture_scale(frame_size: tuple[int, int]) -> float:
    """Pictures under 400 lines are doubled (people in them are small), over 720 reduced to 720 lines, others kept."""
    height = frame_size[1]
    if height < SMALL_LINES:
        return 2.0
    return min(1.0, LARGE_LINES / height)


def _none() -> Boxes:
    return Boxes(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int16))
