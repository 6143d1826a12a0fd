"""Metrics, lines and random lines of cases made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from pc_pipeline.evaluation.evaluate import measure
from pc_pipeline.evaluation.lines import random_line_error, random_lines
from pc_pipeline_tests.evaluation.people import SIZE, joined, part, scene, walk

LEFT_TO_RIGHT = walk(1, (100, 540), 200, range(40))
RIGHT_TO_LEFT = walk(2, (540, 100), 400, range(40))
TRUTH = scene(LEFT_TO_RIGHT, RIGHT_TO_LEFT)
GOOD = ("HOTA", "DetA", "AssA", "MOTA", "IDF1", "precision", "recall")


def test_perfect_tracks_are_perfect():
    done = measure(TRUTH, [RIGHT_TO_LEFT, LEFT_TO_RIGHT])
    assert {key: done.scores[key] for key in GOOD} == pytest.approx(dict.fromkeys(GOOD, 1.0))
    assert (done.scores["IDSW"], done.scores["unique_true"], done.scores["unique_found"]) == (0, 2, 2)
    assert done.line_counts()["vertical"] == {"in": {"true": 1, "found": 1}, "out": {"true": 1, "found": 1}}
    assert done.line_counts()["horizontal"] == {"in": {"true": 0, "found": 0}, "out": {"true": 0, "found": 0}}
    assert done.random_lines.as_json() == {"n": 100, "mae": 0.0, "ci95": [0.0, 0.0]}


def test_two_people_swapped_half_way():
    one, other = LEFT_TO_RIGHT, RIGHT_TO_LEFT
    done = measure(
        TRUTH, [joined(part(one, 0, 20), part(other, 20, 40)), joined(part(other, 0, 20), part(one, 20, 40))]
    )
    assert done.scores["IDSW"] == 2
    assert done.scores["IDF1"] == pytest.approx(0.5)
    assert done.scores["MOTA"] == pytest.approx((80 - 2) / 80)
    assert (done.scores["DetA"], done.scores["precision"], done.scores["recall"]) == pytest.approx((1, 1, 1))
    assert done.scores["AssA"] == pytest.approx(20 / 60)  # of 60 boxes of person or track, 20 are of both


def test_a_person_missed():
    done = measure(TRUTH, [LEFT_TO_RIGHT])
    assert done.scores["recall"] == done.scores["MOTA"] == pytest.approx(0.5)
    assert done.scores["precision"] == 1
    assert done.scores["IDF1"] == pytest.approx(2 * 40 / (80 + 40))
    assert done.line_counts()["vertical"]["out"] == {"true": 1, "found": 0}
    assert done.random_lines.mae > 0


@pytest.mark.parametrize("found", [True, False])
def test_who_is_flagged_in_the_truth_is_neither_missed_nor_wrong(found):
    aside = walk(3, (20, 60), 150, range(40))
    truth = scene(LEFT_TO_RIGHT, RIGHT_TO_LEFT, replace(aside, confidence=np.zeros(40, np.float32)))
    done = measure(truth, [LEFT_TO_RIGHT, RIGHT_TO_LEFT, *([aside] if found else [])])
    assert {key: done.scores[key] for key in GOOD} == pytest.approx(dict.fromkeys(GOOD, 1.0))
    assert done.scores["unique_true"] == 2


def test_a_person_flagged_for_a_while_is_judged_before_and_after():
    flagged = np.where(np.arange(40) < 10, 0, 0.9).astype(np.float32)
    truth = scene(replace(LEFT_TO_RIGHT, confidence=flagged), RIGHT_TO_LEFT)
    done = measure(truth, [part(LEFT_TO_RIGHT, 0, 20), RIGHT_TO_LEFT])
    assert done.scores["recall"] == pytest.approx((30 + 40 - 20) / (30 + 40))
    assert done.scores["precision"] == 1


def test_a_ghost():
    done = measure(TRUTH, [LEFT_TO_RIGHT, RIGHT_TO_LEFT, walk(3, (20, 20), 150, range(40))])
    assert done.scores["precision"] == pytest.approx(80 / 120)
    assert done.scores["MOTA"] == pytest.approx(0.5)
    assert (done.scores["recall"], done.scores["unique_found"]) == (1, 3)
    assert done.random_lines.mae == 0  # it stands still


def test_nothing_found_is_zero_and_no_error():
    done = measure(TRUTH, [])
    assert {done.scores[key] for key in GOOD} == {0}
    assert (done.scores["IDSW"], done.scores["unique_found"]) == (0, 0)


def test_only_sampled_frames_are_compared_but_every_true_crossing_counts():
    """Someone seen by the truth alone, between two samples, crosses nevertheless."""
    quick = walk(3, (300, 340), 300, range(21, 24))
    sampled = scene(LEFT_TO_RIGHT, quick, frames=range(0, 40, 5))
    found = part(LEFT_TO_RIGHT, 0, 40)
    done = measure(sampled, [found])
    assert (done.scores["recall"], done.scores["MOTA"], done.scores["IDF1"]) == (1, 1, 1)
    assert done.scores["unique_true"] == 2
    assert done.line_counts()["vertical"]["in"] == {"true": 2, "found": 1}


def test_the_centre_of_the_box_crosses_where_the_anchor_says_so():
    """The feet stay below the middle of the picture; the centre of a box 100 pixels high goes through it."""
    down = walk(1, (300, 300), 0, range(40))
    boxes = down.boxes + np.linspace(255, 325, 40, dtype=np.float32)[:, None] * np.float32([0, 1, 0, 1])
    track = type(down)(1, down.frame_number, down.time_us, boxes, down.confidence, down.interpolated)
    by_feet = scene(track)
    by_centre = type(by_feet)(**{**vars(by_feet), "anchor": "center"})
    assert measure(by_feet, []).line_counts()["horizontal"]["in"]["true"] == 0
    assert measure(by_centre, []).line_counts()["horizontal"]["in"]["true"] == 1


# -------------------------------------------------------------------------------------------------- random lines


def test_random_lines_are_the_same_every_time_and_long_enough():
    lines = random_lines(SIZE)
    assert lines == random_lines(SIZE)
    assert lines != random_lines(SIZE, seed=8)
    assert len(lines) == 100
    ends = np.array([line.pixels(SIZE) for line in lines])
    assert np.hypot(*(ends[:, 1] - ends[:, 0]).T).min() >= 0.3 * 640
    assert (ends >= 0).all() and (ends <= SIZE).all()


def test_the_error_at_random_lines_is_of_in_and_out_apart():
    """Going there instead of back, someone is missed in one direction and too many in the other."""
    there, back = LEFT_TO_RIGHT, walk(1, (540, 100), 200, range(40))
    missing = random_line_error([there], [], SIZE)
    turned = random_line_error([there], [back], SIZE)
    crossed = missing.true.sum(axis=1)
    assert set(crossed) == {0, 1}
    assert missing.mae == pytest.approx(crossed.sum() / 200)
    assert turned.mae == pytest.approx(2 * missing.mae)
    low, high = missing.ci95
    assert 0 < low < missing.mae < high


def test_jitter_within_four_pixels_changes_no_random_line():
    random = np.random.default_rng(0)
    steady = walk(1, (320, 320), 240, range(40))
    shift = random.uniform(-1.9, 1.9, (40, 2)).astype(np.float32)
    shaken = type(steady)(**{**vars(steady), "boxes": steady.boxes + np.tile(shift, 2)})
    assert random_line_error([steady], [shaken], SIZE).mae == 0
