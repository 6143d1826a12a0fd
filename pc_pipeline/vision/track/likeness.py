"""Whether two stretches of boxes look like one person, as far as the colours of this very video can tell.

How much the colours of one person vary and how far two people are apart differs from scene to scene: a corridor of dark
coats tells nothing. So it is measured in each video: pieces of a second of one tracklet are the same person, tracklets
in view together are different ones. Where the two cannot be told apart, the answer is 0: no evidence.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.track.sightings import Floats, Rows, Sightings

# A box that others cover by more than this share shows their colours too.
CLEAR_VIEW = 0.15
COVERED_WEIGHT = 0.02
# Colours of the last and first so many seconds are compared: a person turns around in a few.
LOOK_BACK_S = 2.0
PIECE_S = 1.0
# Pieces of one person so many seconds apart are compared.
APART_S = 10
# Nats: colours alone never decide, since light changes and coats are alike.
MOST_AGAINST, MOST_FOR = -5.0, 3.0
# Boxes in clear view that make the evidence whole.
ENOUGH = 3
# Levels of 0..255, and how many pieces it stands for: the variance where a video shows too little.
_PRIOR_SD, _PRIOR_WEIGHT = 12.0, 5
_LEAST_PAIRS = 5


class Likeness:
    """Colours of stretches of boxes, and what their difference says.

    `LLR = log p(difference | same person) - log p(difference | different people)`, both normal in the log of the mean
    squared difference in units of the variance within people.
    """

    def __init__(self, sightings: Sightings, tracklets: Iterable[Rows]) -> None:
        """Learn from a video's tracklets what same and different people look like."""
        self._sightings = sightings
        self._variance = np.full(0, _PRIOR_SD**2)
        self._same: tuple[float, float] | None = None
        self._different = (0.0, 1.0)
        if sightings.colours is not None:
            self._learn(list(tracklets))

    @property
    def tells(self) -> bool:
        """Whether this video's colours say anything."""
        return self._same is not None

    def begins(self, chains: list[Rows]) -> tuple[Floats, Floats]:
        """Mean colours (float64[K, C]) of each chain's first seconds, and how many boxes in clear view they rest on."""
        time = self._sightings.time
        return self._mean([rows[time[rows] <= time[rows[0]] + LOOK_BACK_S] for rows in chains])

    def ends(self, chains: list[Rows]) -> tuple[Floats, Floats]:
        """As `begins`, of the last seconds."""
        time = self._sightings.time
        return self._mean([rows[time[rows] >= time[rows[-1]] - LOOK_BACK_S] for rows in chains])

    def evidence(self, one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> Floats:
        """float64[K], nats: positive where the stretches look like one person. 0 where the colours tell nothing."""
        if self._same is None:
            return np.zeros(len(one[0]))
        (mean, sd), (far_mean, far_sd) = self._same, self._different
        # Beyond what was seen the two normals say nothing sensible.
        far = np.clip(self._difference(one[0], other[0]), mean - sd, max(far_mean + far_sd, mean - sd))
        nats = (((far - far_mean) / far_sd) ** 2 - ((far - mean) / sd) ** 2) / 2 + np.log(far_sd / sd)
        weight = np.clip(np.minimum(one[1], other[1]) / ENOUGH, 0.15, 1)
        return np.clip(nats, MOST_AGAINST, MOST_FOR) * weight

    def _difference(self, one: Floats, other: Floats) -> Floats:
        return np.log1p(((one - other) ** 2 / (2 * self._variance)).mean(axis=-1))

    def at_cuts(self, rows: Rows, steps: Rows) -> tuple[Floats, Floats]:
        """float64[K], nats: that who comes before each of `steps` (places in `rows`) is who comes from it on.

        And float64[K], how far the colours differ, which goes on growing where the evidence has reached its bound.
        """
        time = self._sightings.time[rows]
        colours, clear, weight = (np.cumsum(part, axis=0) for part in self._weighed(rows))

        def between(low: Rows, high: Rows) -> tuple[Floats, Floats]:
            total, seen, weighed = (
                part[high - 1] - np.where(low > 0, part[low - 1].T, 0).T for part in (colours, clear, weight)
            )
            return total / weighed[:, None], seen

        before = between(np.searchsorted(time, time[steps - 1] - LOOK_BACK_S), steps)
        after = between(steps, np.searchsorted(time, time[steps] + LOOK_BACK_S, side="right"))
        return self.evidence(before, after), self._difference(before[0], after[0])

    def _weighed(self, rows: Rows) -> tuple[Floats, Floats, Floats]:
        """Of each box its colours by their weight, whether it is in clear view, and the weight."""
        assert self._sightings.colours is not None
        clear = self._sightings.covered[rows] < CLEAR_VIEW
        weight = np.where(clear, 1.0, COVERED_WEIGHT)
        return self._sightings.colours[rows] * weight[:, None], clear.astype(np.float64), weight

    def _mean(self, stretches: list[Rows]) -> tuple[Floats, Floats]:
        starts = np.cumsum([0, *(len(rows) for rows in stretches[:-1])])
        colours, clear, weight = (np.add.reduceat(part, starts) for part in self._weighed(np.concatenate(stretches)))
        return colours / weight[:, None], clear

    def _learn(self, tracklets: list[Rows]) -> None:
        pieces = [self._pieces(rows) for rows in tracklets]
        pieces = [(when, means) for when, means in pieces if len(when) > 1]
        if not pieces:
            return
        within = sum(
            ((means - means.mean(axis=0)) ** 2).sum(axis=0) * len(when) / (len(when) - 1) for when, means in pieces
        )
        count = sum(len(when) for when, _ in pieces)
        self._variance = (within + _PRIOR_WEIGHT * _PRIOR_SD**2) / (count + _PRIOR_WEIGHT)
        same = [
            self._difference(means[:-lag], means[lag:])
            for _, means in pieces
            for lag in range(1, min(APART_S + 1, len(means)))
        ]
        when = np.concatenate([when for when, _ in pieces])
        means = np.concatenate([means for _, means in pieces])
        order = np.argsort(when, kind="stable")
        together = [
            self._difference(means[order[:-lag]], means[order[lag:]])[when[order[:-lag]] == when[order[lag:]]]
            for lag in range(1, min(len(when), APART_S))
        ]
        alike, unlike = np.concatenate(same), np.concatenate(together) if together else np.empty(0)
        if min(len(alike), len(unlike)) < _LEAST_PAIRS or unlike.mean() <= alike.mean():
            return
        self._same = (float(alike.mean()), float(alike.std()) + 0.1)
        self._different = (float(unlike.mean()), float(unlike.std()) + 0.1)

    def _pieces(self, rows: Rows) -> tuple[NDArray[np.int64], Floats]:
        """The seconds of a tracklet in which it is in clear view at least twice, and its mean colours in each."""
        sightings = self._sightings
        assert sightings.colours is not None
        clear = rows[sightings.covered[rows] < CLEAR_VIEW]
        second = (sightings.time[clear] // PIECE_S).astype(np.int64)
        seconds, starts, counts = np.unique(second, return_index=True, return_counts=True)
        if not len(seconds):
            return seconds, np.empty((0, sightings.colours.shape[1]))
        means = np.add.reduceat(sightings.colours[clear], starts, axis=0) / counts[:, None]
        return seconds[counts > 1], means[counts > 1]
