"""Tracklets, their seams, and how they are joined: every box in one chain, and evidence in units of the body."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pc_pipeline.vision.track.likeness import Likeness
from pc_pipeline.vision.track.linking import _weighed, link
from pc_pipeline.vision.track.seams import split_at_seams
from pc_pipeline.vision.track.sightings import sightings_of
from pc_pipeline.vision.track.tracklets import tracklets
from pc_pipeline_tests.vision.track.scenes import BLUE, BODY, FRAME, RED, boxes_at, seen, times, unseen, walker

GAP = 3.0


def soup(seed):
    """Boxes all over the place: walkers who cross and hide, and false alarms."""
    random = np.random.default_rng(seed)
    time = times(4, 5)
    people = [
        unseen(
            walker(time, random.uniform((200, 150), (1000, 700)), random.uniform(-0.8, 0.8, 2)),
            random.random(len(time)) < 0.2,
        )
        for _ in range(4)
    ]
    people.append(boxes_at(random.uniform((200, 150), (1000, 700), (len(time), 2))))
    return seen(people, time, colours=random.integers(0, 256, (5, 3)).tolist(), noise=0.02, seed=seed)[0]


@given(st.integers(0, 10_000))
@settings(max_examples=5)
def test_at_every_stage_each_box_is_in_one_chain_and_no_chain_is_twice_in_a_frame(seed):
    detections = soup(seed)
    sightings = sightings_of(detections, FRAME)
    runs = tracklets(detections, sightings)
    likeness = Likeness(sightings, runs)
    pieces = split_at_seams(sightings, runs, likeness)
    chains = link(sightings, pieces, likeness, GAP)
    for stage in (runs, pieces, chains):
        assert sorted(np.concatenate(stage).tolist()) == list(range(len(detections.boxes)))
        assert all((np.diff(sightings.time[rows]) > 0).all() for rows in stage)
        assert [int(rows[0]) for rows in stage] == sorted(int(rows[0]) for rows in stage)
    assert all((np.diff(sightings.time[rows]) <= GAP + 1e-6).all() for rows in chains)
    # Seams only cut and links only join.
    assert {rows[0] for rows in runs} <= {rows[0] for rows in pieces} >= {rows[0] for rows in chains}


@given(seed=st.integers(0, 10_000), scale=st.floats(0.3, 4))
@settings(max_examples=8)
def test_evidence_is_the_same_in_a_picture_of_other_size(seed, scale):
    detections = soup(seed)
    larger = replace(detections, boxes=(detections.boxes * scale).astype(np.float32))
    found = []
    for one, size in ((detections, 1.0), (larger, scale)):
        sightings = sightings_of(one, (FRAME[0] * size, FRAME[1] * size))
        runs = tracklets(one, sightings)
        begin = np.array([sightings.time[rows[0]] for rows in runs])
        end = np.array([sightings.time[rows[-1]] for rows in runs])
        gap = begin[None, :] - end[:, None]
        tail, head = np.nonzero((gap > 0) & (gap <= GAP))
        found.append((runs, _weighed(sightings, runs, tail, head, Likeness(sightings, runs))))
    (runs, joins), (larger_runs, larger_joins) = found
    assert [rows.tolist() for rows in runs] == [rows.tolist() for rows in larger_runs]
    assert np.array_equal(joins.tail, larger_joins.tail) and np.array_equal(joins.head, larger_joins.head)
    assert larger_joins.nats == pytest.approx(joins.nats, abs=1e-3)


def chained(people, time, longest_gap=GAP):
    """The number of chains, of tracklets that are one for each of `people`."""
    detections, owner = seen(people, time)
    sightings = sightings_of(detections, FRAME)
    pieces = [np.flatnonzero(owner == person) for person in range(len(people))]
    return len(link(sightings, sorted(pieces, key=lambda rows: int(rows[0])), Likeness(sightings, pieces), longest_gap))


def before_and_after(gap, aside=0.0, tall=BODY, at=(400, 400), velocity=(0.5, 0.0)):
    """Somebody until the second second, and, `gap` later, somebody who goes on from there `aside` body heights off."""
    time = times(6, 10)
    first = unseen(walker(time, at, velocity), time > 2)
    later = walker(time, np.array(at) + [0, aside * BODY], velocity)
    middle, feet = later[:, [0, 2]].mean(axis=1), later[:, 3]
    return [first, unseen(boxes_at(np.column_stack((middle, feet)), tall), time < 2 + gap)], time


@pytest.mark.parametrize(
    ("what", "chains"),
    [
        (before_and_after(1), 1),
        (before_and_after(2.5), 1),
        (before_and_after(1, aside=2.0), 2),
        (before_and_after(1, tall=0.4 * BODY), 2),
        (before_and_after(1, tall=0.9 * BODY), 1),
        (before_and_after(3.5), 2),
    ],
)
def test_what_goes_on_as_it_was_is_joined(what, chains):
    assert chained(*what) == chains


def test_who_walks_out_of_the_picture_and_who_walks_in_later_are_two():
    time = times(6, 10)
    out = unseen(walker(time, (90, 400), (-0.5, 0)), time > 1.3)
    into = unseen(walker(time, (30, 410), (0.5, 0), when=3.8), time < 3.8)
    assert chained([out, into], time) == 2


def test_of_two_who_might_go_on_the_better_fit_does():
    people, time = before_and_after(1)
    beside, _ = before_and_after(1, aside=0.5)
    detections, owner = seen([*people, beside[1]], time)
    sightings = sightings_of(detections, FRAME)
    pieces = [np.flatnonzero(owner == person) for person in range(3)]
    chains = link(sightings, pieces, Likeness(sightings, pieces), GAP)
    assert sorted(sorted(set(owner[rows].tolist())) for rows in chains) == [[0, 1], [2]]


def test_of_two_who_might_go_on_the_one_of_like_height_does():
    people, time = before_and_after(1, aside=0.1)
    smaller, _ = before_and_after(1, aside=-0.1, tall=0.75 * BODY)
    detections, owner = seen([*people, smaller[1] - [0, 12.5, 0, 12.5]], time)
    sightings = sightings_of(detections, FRAME)
    pieces = [np.flatnonzero(owner == person) for person in range(3)]
    chains = link(sightings, pieces, Likeness(sightings, pieces), GAP)
    assert [0, 1] in [sorted(set(owner[rows].tolist())) for rows in chains]


@pytest.mark.parametrize(
    ("jump", "colours"), [(1.0, None), (0.0, (RED, BLUE, RED, BLUE))], ids=["by a leap", "by other clothes"]
)
def test_a_tracklet_that_changes_hands_is_cut_where_it_does(jump, colours):
    """Somebody hides just where somebody else appears, and the boxes go on."""
    time = times(8, 10)
    hides = unseen(walker(time, (600, 400), (0.5, 0), when=4), time >= 4)
    appears = unseen(walker(time, (600 + jump * BODY, 400), (0.5, 0), when=4), time < 4)
    others = [walker(time, (x, 700), (0.1, 0)) for x in (200, 1000)]
    detections, owner = seen([hides, appears, *others], time, colours=colours)
    sightings = sightings_of(detections, FRAME)
    people = [np.flatnonzero(owner == person) for person in range(4)]
    mixed = np.concatenate(people[:2])
    pieces = split_at_seams(sightings, [mixed, *people[2:]], Likeness(sightings, people))
    cut = [piece for piece in pieces if owner[piece[0]] < 2]
    assert np.abs([sightings.time[piece[0]] - 4 for piece in cut]).min() <= 0.2
    assert all(set(owner[piece[2:-2]].tolist()) < {0, 1} for piece in cut)
    assert len(pieces) == len(cut) + 2


def test_who_walks_on_is_not_cut():
    time = times(10, 10)
    detections, owner = seen(
        [walker(time, (200, 300), (0.6, 0.1)), walker(time, (1000, 600), (-0.5, 0))],
        time,
        colours=[RED, BLUE],
        noise=0.03,
    )
    sightings = sightings_of(detections, FRAME)
    runs = [np.flatnonzero(owner == person) for person in (0, 1)]
    assert len(split_at_seams(sightings, runs, Likeness(sightings, runs))) == 2


def test_tracklets_end_where_it_is_unclear_who_is_who_and_nowhere_else():
    time = times(4, 10)
    crossing = [walker(time, (640, 420), (0.5, 0), when=2), walker(time, (640, 425), (-0.5, 0), when=2)]
    alone = walker(time, (300, 700), (0.4, 0))
    detections, owner = seen([*crossing, alone], time)
    runs = tracklets(detections, sightings_of(detections, FRAME))
    assert all(len(set(owner[rows].tolist())) == 1 for rows in runs)
    assert [len(rows) for rows in runs if owner[rows[0]] == 2] == [len(time)]
    assert 15 <= max(len(rows) for rows in runs if owner[rows[0]] < 2) < len(time)


def test_two_who_walk_abreast_are_a_tracklet_each():
    time = times(4, 10)
    abreast = [walker(time, (300 + side * BODY, 400), (0.4, 0)) for side in (0, 0.4)]
    detections, owner = seen(abreast, time, noise=0.02)
    runs = tracklets(detections, sightings_of(detections, FRAME))
    assert [owner[rows].tolist() for rows in runs] == [[0] * len(time), [1] * len(time)]


def test_a_frame_without_a_box_ends_a_tracklet():
    time = times(2, 10)
    detections, _ = seen([unseen(walker(time, (300, 400), (0.3, 0)), np.arange(len(time)) == 10)], time)
    assert [len(rows) for rows in tracklets(detections, sightings_of(detections, FRAME))] == [10, 10]
