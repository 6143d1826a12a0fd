"""Seams: where a tracklet changes hands. A person hides just where another one appears, and the boxes go on.

The tracklet is read forwards up to a sighting and backwards from the next one. Where the two do not fit together as one
motion, or the colours before and after are two people's, it is cut; `linking` then decides anew who goes on as whom.
"""

import numpy as np

from pc_pipeline.vision.track.likeness import LOOK_BACK_S, Likeness
from pc_pipeline.vision.track.motion import followed, misfit, predicted
from pc_pipeline.vision.track.sightings import Floats, Rows, Sightings

# Squared Mahalanobis distance, 4 degrees of freedom; boxes err in bouts, so far more than 3 of 10,000 lie beyond 21.
MOST_MISFIT = 30.0
# Nats: e² times likelier two people than one.
LEAST_LIKE = -2.0
# Of seams this near to each other the worst is the one: colours are looked at so far around.
NEIGHBOURS_S = LOOK_BACK_S
# Shorter tracklets have no inside to judge by.
_SHORTEST = 6
_MARGIN = 2


def split_at_seams(sightings: Sightings, tracklets: list[Rows], likeness: Likeness) -> list[Rows]:
    """The tracklets, those that change hands in pieces."""
    long = [rows for rows in tracklets if len(rows) >= _SHORTEST]
    if not long:
        return tracklets
    forwards = followed(sightings, long)
    backwards = followed(sightings, [rows[::-1] for rows in long])
    lengths = np.array([len(rows) for rows in long])
    starts = np.cumsum(lengths) - lengths
    pieces = [rows for rows in tracklets if len(rows) < _SHORTEST]
    for rows, start in zip(long, starts, strict=True):
        steps = np.arange(_MARGIN, len(rows) - _MARGIN + 1)
        ended = predicted(forwards.of(start + steps - 1), sightings.time[rows[steps]])
        # The backward filter's state at the step-th sighting from the front.
        begun = backwards.of(start + len(rows) - 1 - steps)
        squares, _ = misfit(ended, begun)
        badness = squares / MOST_MISFIT - 1
        if likeness.tells:
            like, differ = likeness.at_cuts(rows, steps)
            badness = np.where(squares > MOST_MISFIT, badness, np.where(like < LEAST_LIKE, differ, 0))
        cuts = _worst(steps, badness, sightings.time[rows[steps]])
        pieces += np.split(rows, cuts)
    return sorted(pieces, key=lambda rows: int(rows[0]))


def _worst(steps: Rows, badness: Floats, time: Floats) -> list[int]:
    """The steps to cut at: the worst of each neighbourhood of those with positive badness."""
    cuts: list[int] = []
    bad = badness > 0
    while bad.any():
        worst = int(np.argmax(np.where(bad, badness, -np.inf)))
        cuts.append(int(steps[worst]))
        bad &= np.abs(time - time[worst]) > NEIGHBOURS_S
    return sorted(cuts)
