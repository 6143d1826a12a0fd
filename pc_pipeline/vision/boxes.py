"""How boxes lie on one another."""

import numpy as np
from numpy.typing import NDArray


def covered_share(boxes: NDArray[np.floating], beside: NDArray[np.floating]) -> NDArray[np.float64]:
    """float64[N], 0..1: the largest share of each box that one other box covers, of its own kind or beside them.

    Args:
        boxes: float[N, 4], x1, y1, x2, y2, in one frame.
        beside: float[M, 4], other boxes of that frame.

    Example:
        >>> covered_share(np.array([[0, 0, 4, 4], [2, 0, 4, 2]]), np.array([[0, 0, 1, 8]]))
        array([0.25, 1.  ])
    """
    own = boxes.astype(np.float64)
    others = np.concatenate((own, beside.astype(np.float64)))
    low = np.maximum(own[:, None, :2], others[None, :, :2])
    high = np.minimum(own[:, None, 2:], others[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    np.fill_diagonal(shared, 0)
    area = np.maximum((own[:, 2:] - own[:, :2]).prod(axis=1), 1e-9)
    return (shared / area[:, None]).max(axis=1, initial=0)
