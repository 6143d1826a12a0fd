"""How many people are inside, from crossings that are sometimes missed.

    deltas          -1   +1   +1   -1   -1   -1   +1
    running sum     -1    0    1    0   -1   -2   -1
    correction       1    1    1    1    1    2    2    each person who leaves without having been seen to come
    occupancy        0    1    2    1    0    0    1    is taken to have been inside: never negative

Raw in and out are never edited: the correction is a figure beside them.
"""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def occupancy_steps(time_us: Ints, deltas: Ints) -> tuple[Ints, int]:
    """The number inside after each crossing, starting from nobody.

    The running sum is reflected at zero: `sum - min(0, least sum so far)`.

    Args:
        time_us: int64[N], in order. Of crossings at one instant put `in` before `out`.
        deltas: int64[N], 1 for in, -1 for out.

    Returns:
        occupancy int64[N], and the correction: people who left without having been seen to come.

    Raises:
        ValueError: the times are not in order.

    Example:
        >>> occupancy_steps(np.arange(7), np.array([-1, 1, 1, -1, -1, -1, 1]))
        (array([0, 1, 2, 1, 0, 0, 1]), 2)
    """
    if (np.diff(time_us) < 0).any():
        raise ValueError("crossings must be in order of time")
    total = np.cumsum(deltas, dtype=np.int64)
    correction = -np.minimum(0, np.minimum.accumulate(total))
    return total + correction, int(correction[-1]) if len(correction) else 0


def mean_occupancy(time_us: Ints, occupancy: Ints, start_us: int, end_us: int) -> float:
    """The mean number inside over [start, end), weighted by time; 0 where that is empty.

    Args:
        time_us, occupancy: int64[N] from `occupancy_steps`; what came before `start_us` is carried into it.

    Example:
        >>> mean_occupancy(np.array([0, 50]), np.array([1, 3]), 0, 100)
        2.0
    """
    if end_us <= start_us:
        return 0.0
    numbers, durations = _pieces(time_us, occupancy, start_us, end_us)
    # An integer sum: the same whatever the order of its parts.
    return int((numbers * durations).sum()) / (end_us - start_us)


def peak_occupancy(time_us: Ints, occupancy: Ints, start_us: int, end_us: int) -> int:
    """The most people inside at any time within [start, end); 0 where that is empty.

    Example:
        >>> peak_occupancy(np.array([0, 50, 60]), np.array([1, 3, 2]), 55, 100)
        3
    """
    numbers, durations = _pieces(time_us, occupancy, start_us, end_us)
    return int(numbers[durations > 0].max(initial=0))


def _pieces(time_us: Ints, occupancy: Ints, start_us: int, end_us: int) -> tuple[Ints, Ints]:
    """The number inside and for how long, int64[N + 1] each, in the pieces between crossings."""
    bounds = np.concatenate([[start_us], np.clip(time_us, start_us, end_us), [end_us]])
    return np.concatenate([[0], occupancy]), np.diff(bounds)
