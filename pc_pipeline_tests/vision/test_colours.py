"""The colours of a box are those of who is in it, from top to bottom."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pc_pipeline.vision.colours import CHANNELS, STRIPS, strip_colours

# BGR, and L*a*b* as OpenCV codes it in bytes.
GREY, RED, BLUE = (120, 120, 120), (0, 0, 255), (255, 0, 0)
GREY_LAB, RED_LAB, BLUE_LAB = (128, 128, 128), (136, 208, 195), (82, 207, 20)
BOX = (40.0, 20.0, 80.0, 140.0)


def scene(width=160, height=160):
    return np.full((height, width, 3), GREY, np.uint8)


def colours(image, *boxes):
    return strip_colours(image, np.array(boxes, np.float32).reshape(-1, 4))


def test_strips_run_from_top_to_bottom():
    image = scene()
    image[20:80] = RED
    image[80:140] = BLUE
    (found,) = colours(image, BOX).reshape(-1, STRIPS, 3).astype(int)
    assert found[:3] == pytest.approx(np.tile(RED_LAB, (3, 1)), abs=2)
    assert found[3:] == pytest.approx(np.tile(BLUE_LAB, (3, 1)), abs=2)


def test_what_is_beside_the_person_does_not_count():
    clear, crowded = scene(), scene()
    crowded[:, :50] = RED
    crowded[:, 70:] = BLUE
    assert np.array_equal(colours(clear, BOX), colours(crowded, BOX))
    assert colours(crowded, BOX)[0].reshape(STRIPS, 3).astype(int) == pytest.approx(np.tile(GREY_LAB, (6, 1)), abs=2)


def test_a_strip_is_the_mean_of_its_pixels():
    image = scene()
    image[::2] = (70, 70, 70)
    image[1::2] = (170, 170, 170)
    assert colours(image, BOX).astype(int) == pytest.approx(colours(scene(), BOX).astype(int), abs=1)


def test_each_box_has_its_own_row():
    image = scene()
    image[:, 80:] = RED
    boxes = [(0, 0, 40, 100), (100, 10, 150, 120), BOX]
    together = colours(image, *boxes)
    assert together.shape == (3, CHANNELS) and together.dtype == np.uint8
    for row, box in zip(together, boxes, strict=True):
        assert np.array_equal(row, colours(image, box)[0])
    assert not np.array_equal(together[0], together[1])


def test_no_box_no_colours():
    assert colours(scene()).shape == (0, CHANNELS) and colours(scene()).dtype == np.uint8


edges = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)


@given(edges, edges, st.integers(1, 64), st.integers(1, 64))
@settings(max_examples=30)
def test_any_box_in_the_picture_has_colours_however_thin(across, down, width, height):
    box = (across[0] * width, down[0] * height, across[1] * width, down[1] * height)
    found = colours(scene(width, height), box)[0].reshape(STRIPS, 3).astype(int)
    assert found == pytest.approx(np.tile(GREY_LAB, (6, 1)), abs=2)
