"""Tracklets: runs of boxes that can only be one person. Where it is not clear who is who, they end.

A o--o--o--o         o--o--o        Before and after the two meet it is clear; where they meet nothing is decided
            x  x  x                 here. `linking` decides it later, knowing both sides.
B o--o--o--o         o--o--o
"""

from dataclasses import dataclass

import numpy as np

from pc_pipeline.vision.arrays import Detections
from pc_pipeline.vision.track.motion import MOST_GROWN, States, first_seen, nobody, place_noise, predicted, updated
from pc_pipeline.vision.track.sightings import Floats, Rows, Sightings

# Squared Mahalanobis distance, 2 degrees of freedom: 3 of 10,000 true sightings lie beyond.
GATE = 16.0
# Nats: a match counts as clear where the next best is e² times less likely.
CLEAR = 2.0
# A frame may come a little late; after a frame without a box it is over, and `linking` takes up from there.
LATE = 1.5
_GROWN_SD = 0.2
_NEVER = 1e3


@dataclass
class _Open:
    rows: list[list[int]]
    states: States


def tracklets(detections: Detections, sightings: Sightings) -> list[Rows]:
    """Runs of boxes, one person each; every box is in exactly one. In order of their first box.

    From frame to frame, by the assignment with the best total likelihood (Hungarian method); a match whose rival is
    nearly as likely, for the box or for the person, ends the run.
    """
    from scipy.optimize import linear_sum_assignment

    done: list[list[int]] = []
    live = _Open([], nobody(0))
    for start, end in zip(detections.offsets[:-1].tolist(), detections.offsets[1:].tolist(), strict=True):
        if start == end:
            continue
        rows = np.arange(start, end)
        time = sightings.time[start]
        late = time - live.states.time > LATE * sightings.step
        done += [live.rows[i] for i in np.flatnonzero(late)]
        live = _Open([live.rows[i] for i in np.flatnonzero(~late)], live.states.of(np.flatnonzero(~late)))
        free = np.ones(len(rows), bool)
        goes_on = np.ones(len(live.rows), bool)
        if live.rows:
            live.states = predicted(live.states, np.full(len(live.rows), time))
            cost = _cost(live.states, sightings, rows)
            possible = cost < _NEVER
            persons, boxes = linear_sum_assignment(cost)
            clear = possible[persons, boxes] & (_nearest_rival(cost, persons, boxes) - cost[persons, boxes] >= CLEAR)
            persons, boxes = persons[clear], boxes[clear]
            live.states.put(persons, updated(live.states.of(persons), sightings, rows[boxes]))
            for person, box in zip(persons, boxes, strict=True):
                live.rows[person].append(int(rows[box]))
            free[boxes] = False
            goes_on = np.zeros(len(live.rows), bool)
            goes_on[persons] = True
        done += [live.rows[i] for i in np.flatnonzero(~goes_on)]
        kept, new = np.flatnonzero(goes_on), rows[free]
        live = _Open(
            [live.rows[i] for i in kept] + [[int(row)] for row in new],
            _joined(live.states.of(kept), first_seen(sightings, new, sightings.height[new])),
        )
    return sorted((np.array(rows) for rows in done + live.rows), key=lambda rows: int(rows[0]))


def _joined(one: States, other: States) -> States:
    return States(*(np.concatenate((getattr(one, name), getattr(other, name))) for name in vars(one)))


def _cost(states: States, sightings: Sightings, rows: Rows) -> Floats:
    """float64[K, n]: minus the log-likelihood of each box under each person's prediction; `_NEVER` beyond the gates."""
    place, height = sightings.place[rows], sightings.height[rows]
    grown = np.log(height[None, :] / states.height[:, None])
    total = states.spread[:, :1] + place_noise(states.height[:, None], grown, sightings.place_sd)
    squares = ((states.place[:, None] - place[None]) ** 2).sum(axis=2) / total
    cost = squares / 2 + np.log(total / states.height[:, None] ** 2) + np.log1p((grown / _GROWN_SD) ** 2)
    return np.where((squares <= GATE) & (np.abs(grown) < MOST_GROWN), cost, _NEVER)


def _nearest_rival(cost: Floats, persons: Rows, boxes: Rows) -> Floats:
    """The least cost of another box for the person or another person for the box, for each match."""
    others = cost.copy()
    others[persons, boxes] = _NEVER
    return np.minimum(others[persons].min(axis=1), others[:, boxes].min(axis=0))
