"""The flow picture: which way, how fast in body heights, how many; both ways of a corridor are seen."""

import numpy as np
import pytest

from pc_pipeline.counting.geometry import Line
from pc_pipeline.pictures.flow import CELL, direction_colour, flow, flow_picture, paces, ways
from pc_pipeline.pictures.plan import Plan
from pc_pipeline.pictures.png import LARGEST, png
from pc_pipeline_tests.clips import walk
from pc_pipeline_tests.pictures.figures import HEIGHT, WIDTH, track_of

SIZE = (WIDTH, HEIGHT)
PLAN = Plan(HEIGHT / WIDTH, {"door": Line((0.5, 0), (0.5, 1), "right")}, {}, {"door": (3, 3)})
CELLS = PLAN.cells(CELL)
# 8 pixels a frame, ten frames a second, 80 pixels tall: one body height a second.
RIGHT = walk((40, 150), (280, 150), 31)


def moved(*paths: np.ndarray):
    return flow([track_of(path, track_id=n + 1) for n, path in enumerate(paths)], SIZE, CELLS)


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_pace_is_in_body_heights_a_second_whatever_the_frame_rate(fps):
    track = track_of(walk((40, 150), (280, 150), 3 * fps + 1), fps=fps)
    assert np.allclose(paces(track), [1.0, 0.0], atol=1e-6)


def test_one_walker_counts_once_in_each_cell_on_the_way():
    found = ways(moved(RIGHT))
    assert {people for _, _, people, _ in found} == {1.0}
    assert {row for row, _, _, _ in found} == {int(150 / HEIGHT * CELLS[0])}
    assert np.allclose([pace for *_, pace in found], [1.0, 0.0], atol=1e-6)


def test_walked_backwards_every_way_is_turned_round():
    there, back = ways(moved(RIGHT)), ways(moved(RIGHT[::-1]))
    assert [(row, column, people) for row, column, people, _ in there] == [
        (row, column, people) for row, column, people, _ in back
    ]
    assert np.allclose([pace for *_, pace in there], [-pace for *_, pace in back])


def test_people_who_walk_towards_one_another_do_not_cancel_out():
    found = ways(moved(RIGHT, RIGHT, RIGHT[::-1]))
    row, column = int(150 / HEIGHT * CELLS[0]), CELLS[1] // 2
    here = {people: pace.tolist() for r, c, people, pace in found if (r, c) == (row, column)}
    assert set(here) == {1.0, 2.0}
    assert np.allclose(here[2.0], [1, 0], atol=1e-6) and np.allclose(here[1.0], [-1, 0], atol=1e-6)


def test_who_stands_has_no_way_and_videos_add_up():
    assert ways(moved(np.full((30, 2), (100.0, 100.0)))) == []
    assert ways(moved()) == []
    both, added = moved(RIGHT, RIGHT[::-1]), moved(RIGHT) + moved(RIGHT[::-1])
    assert np.allclose(both.people, added.people) and np.allclose(both.pace, added.pace)


def test_the_picture_is_small_and_empty_where_nobody_went():
    picture = flow_picture(moved(RIGHT), PLAN)
    width, height = PLAN.size
    assert (picture[2 : height // 4, 2 : width // 4] == picture[2, 2]).all()
    band = picture[round(height * 140 / HEIGHT) : round(height * 165 / HEIGHT), : width // 2]
    assert (band == direction_colour(np.array([1.0, 0.0]))).all(axis=2).any()
    assert len(png(picture)) < LARGEST
    angles = np.arange(8) * np.pi / 4
    assert len({direction_colour(np.array([np.cos(a), np.sin(a)])) for a in angles}) == 8
