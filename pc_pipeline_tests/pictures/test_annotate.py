"""Drawing over a frame: what is shown is what happened up to then, where it happened."""

from dataclasses import replace

import numpy as np

from pc_pipeline.counting.geometry import Line
from pc_pipeline.pictures import palette
from pc_pipeline.pictures.annotate import Crossed, Overlay, Stay, Story, box_at
from pc_pipeline.pictures.text import label
from pc_pipeline_tests.clips import walk
from pc_pipeline_tests.pictures.figures import HEIGHT, WIDTH, track_of

SIZE = (WIDTH, HEIGHT)
DOOR = Line((0.5, 0.0), (0.5, 1.0), "right")
MAT = np.array([[0.3, 0.5], [0.7, 0.5], [0.7, 1.0], [0.3, 1.0]])
EMPTY = Story([], {}, {}, [], [])


def drawn(story: Story, time_us: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """What is drawn over a black frame."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    Overlay(story, size).draw(picture, time_us, "")
    return picture


def share(picture: np.ndarray, colour: palette.Colour) -> int:
    return int((picture == colour).all(axis=2).sum())


def test_counts_run_with_the_video():
    crossings = [
        Crossed(1_000_000, "door", "in", (160, 100)),
        Crossed(2_000_000, "door", "in", (160, 120)),
        Crossed(2_500_000, "door", "out", (160, 140)),
    ]
    stays = [Stay("mat", -500_000, 1_500_000), Stay("mat", 1_000_000, 2_000_000)]
    overlay = Overlay(Story([], {"door": DOOR, "back": DOOR}, {"mat": MAT}, crossings, stays), SIZE)
    assert overlay.labels(0) == ["door  in 0  out 0", "back  in 0  out 0", "mat  1 inside"]
    assert overlay.labels(1_000_000) == ["door  in 1  out 0", "back  in 0  out 0", "mat  2 inside"]
    assert overlay.labels(1_999_999)[2] == "mat  1 inside"
    assert overlay.labels(9_000_000) == ["door  in 2  out 1", "back  in 0  out 0", "mat  0 inside"]


def test_a_box_stands_where_the_person_is_and_is_gone_with_them():
    track = track_of(walk((60, 150), (260, 150), 21), every=4)
    story = replace(EMPTY, tracks=[track])
    colour = palette.person(1)
    # Between two sightings, 0.4 s apart.
    where = drawn(story, 1_000_000)
    box, seen = box_at(track, 1_000_000)
    assert seen and np.isclose(box[[0, 2]].mean(), 160)
    rows, columns = np.nonzero((where == colour).all(axis=2))
    # The tail ends at the feet, a pixel wide.
    assert columns.max() == round(box[2]) and abs(rows.max() - box[3]) <= 1
    assert share(drawn(story, 2_100_000), colour) == 0, "only the tail is left, and it fades"
    assert drawn(story, 2_100_000).any()
    assert np.array_equal(drawn(story, 4_100_001), drawn(EMPTY, 0))


def test_a_box_that_was_filled_in_is_dashed():
    track = track_of(walk((100, 150), (101, 150), 3))
    guessed = replace(track, interpolated=np.array([False, True, False]))
    solid, dashed = (share(drawn(replace(EMPTY, tracks=[t]), 100_000), palette.person(1)) for t in (track, guessed))
    assert 0.3 * solid < dashed < 0.8 * solid


def test_a_line_shines_when_somebody_crosses_it():
    story = replace(EMPTY, lines={"door": DOOR}, crossings=[Crossed(1_000_000, "door", "in", (160, 100))])
    quiet, crossed, later = (share(drawn(story, t), palette.WHITE) for t in (900_000, 1_000_000, 1_700_000))
    assert crossed > quiet + HEIGHT > later


def test_labels_of_many_lines_do_not_cover_one_another():
    names = [f"line {n}" for n in range(6)]
    story = replace(
        EMPTY, lines={name: Line((0.0, 0.0), (1.0, 0.02 * (n + 1)), "down") for n, name in enumerate(names)}
    )
    picture = drawn(story, 0, (640, 480))
    # Each label has a bar of its line's colour at its left, as high as its letters.
    for number in range(len(names)):
        bar = (picture[:, :10] == palette.place(number)).all(axis=2).any(axis=1)
        assert bar.sum() >= 14


def test_the_same_drawing_on_any_size_of_picture():
    track = track_of(walk((60, 150), (260, 150), 11))
    story = Story([track], {"door": DOOR}, {"mat": MAT}, [], [])
    small = drawn(story, 500_000)
    large = drawn(replace(story, tracks=[replace(track, boxes=track.boxes * 5)]), 500_000, (WIDTH * 5, HEIGHT * 5))
    shares = [(picture.any(axis=2)).mean() for picture in (small, large)]
    assert 0.7 < shares[0] / shares[1] < 1.6


def test_names_in_other_letters_are_written():
    blank, written = np.zeros((2, 40, 200, 3), np.uint8)
    label(blank, "\ue000" * 5, (0, 0), 14, ground=None)
    label(written, "Türe ß Ж", (0, 0), 14, ground=None)
    assert written.any() and not np.array_equal(written, blank)
