"""Colours speak for one person, against another, or not at all."""

from dataclasses import replace

import numpy as np
import pytest

from pc_pipeline.vision.track.likeness import Likeness
from pc_pipeline.vision.track.sightings import sightings_of
from pc_pipeline_tests.vision.track.scenes import BLUE, FRAME, RED, seen, times, walker


def three(colours):
    """Three people in view together for eight seconds, far apart, and their boxes."""
    time = times(8, 10)
    people = [walker(time, (x, 400), (0.2, 0)) for x in (200, 600, 1000)]
    detections, owner = seen(people, time, colours=colours)
    sightings = sightings_of(detections, FRAME)
    chains = [np.flatnonzero(owner == person) for person in range(3)]
    return Likeness(sightings, chains), chains


def halves(likeness, chains):
    """The end of each chain's first half and the beginning of its second."""
    middle = [len(rows) // 2 for rows in chains]
    return (
        likeness.ends([rows[:cut] for rows, cut in zip(chains, middle, strict=True)]),
        likeness.begins([rows[cut:] for rows, cut in zip(chains, middle, strict=True)]),
    )


def turned(summary, by):
    return tuple(np.roll(part, by, axis=0) for part in summary)


def test_without_colours_there_is_no_evidence():
    likeness, _ = three(None)
    assert not likeness.tells
    nothing = np.zeros((2, 0)), np.zeros(2)
    assert likeness.evidence(nothing, nothing).tolist() == [0, 0]


def test_the_same_clothes_speak_for_one_person_and_others_against():
    likeness, chains = three([RED, BLUE, (200, 128, 128)])
    assert likeness.tells
    ends, begins = halves(likeness, chains)
    assert (likeness.evidence(ends, begins) > 1).all()
    for by in (1, 2):
        assert (likeness.evidence(ends, turned(begins, by)) < -2).all()


def test_it_does_not_matter_which_of_two_comes_first():
    likeness, chains = three([RED, BLUE, (90, 180, 160)])
    ends, begins = halves(likeness, chains)
    for by in (0, 1, 2):
        assert likeness.evidence(ends, turned(begins, by)) == pytest.approx(likeness.evidence(turned(begins, by), ends))


def test_where_all_dress_alike_colours_say_next_to_nothing():
    likeness, chains = three([RED, RED, RED])
    ends, begins = halves(likeness, chains)
    strangers = likeness.evidence(ends, turned(begins, 1)) if likeness.tells else np.zeros(3)
    assert (np.abs(strangers) < 1).all()


def test_one_person_alone_teaches_nothing():
    time = times(8, 10)
    detections, _ = seen([walker(time, (200, 400), (0.3, 0))], time, colours=[RED])
    likeness = Likeness(sightings_of(detections, FRAME), [np.arange(len(time))])
    assert not likeness.tells


def test_boxes_in_clear_view_count_for_more_than_covered_ones():
    """A person walks up to somebody who stands: the boxes there show the other one's colours as well."""
    time = times(8, 10)
    people = [walker(time, (300, 400), (0.4, 0)), walker(time, (630, 400), (0, 0)), walker(time, (1000, 300), (0, 0))]
    detections, owner = seen(people, time, colours=[RED, BLUE, BLUE])
    colours = detections.colours.astype(float)
    sightings = sightings_of(detections, FRAME)
    rows = np.flatnonzero(owner == 0)
    covered = sightings.covered[rows] > 0.3
    assert covered[-1] and not covered[-16]
    colours[rows[covered]] = np.tile(BLUE, 6)
    likeness = Likeness(replace(sightings, colours=colours), [np.flatnonzero(owner == person) for person in range(3)])
    mean, clear = likeness.ends([rows])
    assert mean[0, 1] == pytest.approx(RED[1], abs=6)
    assert 0 < clear[0] < 21
