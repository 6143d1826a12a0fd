"""The moments where tracks went wrong, and the page that shows them."""

import re
from collections.abc import Iterator

import numpy as np

from pc_pipeline.evaluation.evaluate import Evaluation, Scene, measure
from pc_pipeline.evaluation.mistakes import KINDS, Mistake, choose, mistakes
from pc_pipeline.evaluation.report import page
from pc_pipeline.vision.arrays import Track
from pc_pipeline.vision.decode import Frame
from pc_pipeline_tests.evaluation.people import SIZE, joined, part, scene, walk

RIGHTWARD = walk(1, (100, 540), 200, range(40))
LEFTWARD = walk(2, (540, 100), 400, range(40))
TRUTH = scene(RIGHTWARD, LEFTWARD)


def found_in(truth: Scene, *tracks: Track) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    return [(one.kind, one.true_ids, one.found_ids) for one in mistakes(truth, measure(truth, tracks))]


def test_perfect_tracks_have_no_mistakes():
    assert found_in(TRUTH, RIGHTWARD, LEFTWARD) == []


def test_a_swap_is_two_switches():
    swapped = (
        joined(part(RIGHTWARD, 0, 30), part(LEFTWARD, 30, 40)),
        joined(part(LEFTWARD, 0, 30), part(RIGHTWARD, 30, 40)),
    )
    switches = [one for one in found_in(TRUTH, *swapped) if one[0] == "id switch"]
    assert sorted(switches) == [("id switch", (1,), (1, 2)), ("id switch", (2,), (2, 1))]


def test_a_person_split_at_the_line_is_a_switch_and_a_missed_crossing():
    halves = part(RIGHTWARD, 0, 20, 1), part(RIGHTWARD, 20, 40, 3)
    assert found_in(TRUTH, *halves, LEFTWARD) == [("missed crossing", (1,), (1,)), ("id switch", (1,), (1, 3))]


def test_someone_in_no_track_and_a_track_of_nobody_are_told_with_their_length():
    ghost = walk(8, (310, 330), 300, range(25))
    wrong = mistakes(TRUTH, measure(TRUTH, [RIGHTWARD, ghost]))
    assert [(one.kind, one.true_ids, one.found_ids) for one in wrong] == [
        ("missed crossing", (2,), ()),
        ("extra crossing", (), (8,)),
        ("missed person", (2,), ()),
        ("ghost", (), (8,)),
    ]
    assert [one.length_us for one in wrong] == [0, 0, 3_900_000, 2_400_000]
    assert wrong[0].text == "person 2, out at vertical"


def test_a_crossing_two_seconds_late_is_the_same_crossing():
    def late(frames: int) -> list[str]:
        quick = walk(1, (100, 540), 200, range(10))
        waits = walk(1, (100, 540), 200, range(frames, frames + 10))
        return [kind for kind, *_ in found_in(scene(quick, frames=range(60)), waits) if "crossing" in kind]

    assert late(20) == []
    assert late(21) == ["missed crossing", "extra crossing"]


def test_what_is_shown_has_some_of_every_kind():
    many = [Mistake(kind, 0, n, "", n) for kind in KINDS for n in range(10 if kind != "ghost" else 2)]
    shown = choose(many, 12)
    assert [sum(one.kind == kind for one in shown) for kind in KINDS] == [3, 3, 2, 2, 2]
    assert [one.length_us for one in shown if one.kind == "id switch"] == [8, 9]
    assert choose(many, 1000) == many


FACTS = {
    "video": "/videos/a <b>.mp4", "truth": "gt.txt", "model": "hog", "sample_every": 0.1, "fps": 10.0, "frames": 40,
    "frames_sampled": 40, "width": SIZE[0], "height": SIZE[1], "detections": 80, "truth_boxes": 80, "warnings": [],
}  # fmt: skip


def page_of(*tracks: Track) -> tuple[str, list[int]]:
    asked: list[int] = []

    def frames_at(numbers: np.ndarray) -> Iterator[Frame]:
        asked.extend(numbers.tolist())
        return (Frame(n, n * 100_000, np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)) for n in numbers.tolist())

    measured = measure(TRUTH, list(tracks))
    return page(Evaluation(TRUTH, measured, measured, measured, FACTS), frames_at), asked


def test_the_page_holds_all_it_shows():
    text, asked = page_of(part(RIGHTWARD, 0, 20, 1), part(RIGHTWARD, 20, 40, 3))
    assert asked == sorted(set(asked)) and asked[0] == 0
    assert text.count("<svg") == 3
    assert text.count("<figure>") == text.count("data:image/jpeg;base64,") == 4
    assert "person 1: track 1 becomes 3" in text and "a &lt;b&gt;.mp4" in text
    # Nothing is loaded from anywhere; the vocabularies that SVG names are no addresses to fetch.
    assert not re.search(r'(src|href)="(?!data:|#)', text)


def test_the_page_without_a_track():
    assert "missed person: 2" in page_of()[0]
