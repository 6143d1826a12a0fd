"""On real people's true tracks the rules count what a person with a pencil counted."""

import numpy as np
import pytest

from pc_pipeline.counting.crossings import line_crossings
from pc_pipeline.counting.geometry import Line

# The ground truth is drawn on the original, larger picture.
SCALE = 0.625


@pytest.mark.parametrize(
    ("line", "entered", "exited"),
    [(Line((0.5, 0.0), (0.5, 1.0), "right"), 14, 18), (Line((0.0, 0.5), (1.0, 0.5), "down"), 13, 19)],
)
def test_pets_crossings(samples_dir, line, entered, exited):
    truth = np.loadtxt(samples_dir / "pets2009-s2l1" / "gt.txt", delimiter=",")
    directions = []
    for person in np.unique(truth[:, 1]):
        rows = truth[truth[:, 1] == person]
        rows = rows[np.argsort(rows[:, 0])]
        left, top, width, height = rows[:, 2:6].T * SCALE
        foot = np.column_stack([left + width / 2, top + height])
        time_us = (rows[:, 0] * 100_000).astype(np.int64)
        directions += [c.direction for c in line_crossings(time_us, foot, height, line, (480, 360), band=0.05)]
    assert (directions.count("in"), directions.count("out")) == (entered, exited)
