"""The examples in the docstrings run."""

import doctest
import importlib

import numpy as np
import pytest


@pytest.mark.parametrize(
    "name", ["counting.geometry", "counting.crossings", "counting.zones", "counting.occupancy", "vision.boxes"]
)
def test_examples_run(name):
    # Ultralytics changes how NumPy prints, for the whole process.
    with np.printoptions(linewidth=75):
        failed, attempted = doctest.testmod(importlib.import_module(f"pc_pipeline.{name}"))
    assert attempted > 0
    assert failed == 0
