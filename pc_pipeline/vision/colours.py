"""What people wear: the mean colour of six strips of a box, from top to bottom, to tell people apart in one video.

+--------+
| :    : |   Only the middle half of the width counts: beside it is mostly background.
| :hair: |
| :coat: |
| :legs: |
+--------+
"""

import numpy as np
from numpy.typing import NDArray

STRIPS = 6
CHANNELS = 3 * STRIPS


def strip_colours(image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """uint8[n, 18]: the strips of each box from top to bottom, each CIE L*, a*, b* as OpenCV codes them in bytes.

    Args:
        image: uint8[H, W, 3], BGR.
        boxes: float32[n, 4], x1, y1, x2, y2 in pixels of the image, inside it.
    """
    import cv2

    if not len(boxes):
        return np.empty((0, CHANNELS), np.uint8)
    rows, columns = image.shape[:2]
    quarter = (boxes[:, 2] - boxes[:, 0]) / 4
    edges = np.column_stack((boxes[:, 0] + quarter, boxes[:, 1], boxes[:, 2] - quarter, boxes[:, 3]))
    low = np.clip(np.rint(edges[:, :2]).astype(int), 0, [columns - 1, rows - 1])
    high = np.clip(np.rint(edges[:, 2:]).astype(int), low + 1, [columns, rows])
    strips = [
        cv2.resize(image[y1:y2, x1:x2], (1, STRIPS), interpolation=cv2.INTER_AREA)
        for (x1, y1), (x2, y2) in zip(low, high, strict=True)
    ]
    # Means first, colour space last: a handful of pixels is converted, not the crop.
    lab = cv2.cvtColor(np.stack(strips).reshape(-1, STRIPS, 3), cv2.COLOR_BGR2LAB)
    return lab.reshape(-1, CHANNELS).astype(np.uint8, copy=False)
