"""Linking: tracklets of one person joined over the gaps between them, with what came before and what comes after.

Each end is carried over the gap by its motion and compared with how the other begins, in place and velocity, in
height and in colours. What speaks for one person is weighed against a new one, in nats (units of log-likelihood):

    evidence = log p(the second | it goes on from the first) - log p(the second | somebody new)

A person may end in one tracklet and begin in one. Of all ways to join them the one with the most evidence in all is
taken: a minimum-cost flow (Zhang, Li and Nevatia, CVPR 2008), which with one predecessor and successor each is an
assignment. It is solved over and over, clear cases first: every join tells better where its person goes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.track.likeness import Likeness
from pc_pipeline.vision.track.motion import MEMORY_S, MOST_GROWN, VELOCITY_SD, States, followed, misfit, predicted
from pc_pipeline.vision.track.sightings import Floats, Rows, Sightings

# Nats by which a join must beat its best rival, round after round; in the last the best total decides.
MARGINS = (8.0, 6.0, 4.0, 2.0, 1.0, 0.0)
# Student's degrees of freedom: people turn and boxes slip more often than a normal law says (Lange et al., 1989).
TAILS = 4.0
MOST_MISFIT = 60.0
# Log height: by this a cut-off or better seen box differs. Beyond 3 of it, it says no more.
GROWN_SD = 0.15
# Nats: away from the picture's border people neither vanish nor appear, but hide.
HIDES_INSIDE = 2.0
# Body heights from a border within which a person may be leaving.
BORDER = 0.6
# Nats a second: the longer nobody is seen, the less it is somebody hidden,
UNSEEN = 2.0
# and one who left at the border and somebody who comes in there are seldom the same.
GONE = 3.0


@dataclass(frozen=True)
class _Ends:
    """Beginnings or ends of K chains: states, colours with their weight, and whether they lie inside the picture."""

    states: States
    colours: tuple[Floats, Floats]
    inside: Floats


@dataclass(frozen=True)
class _Joins:
    """Possible joins, M, of `count` chains: the chain that ends, the chain that begins, and the evidence in nats."""

    tail: Rows
    head: Rows
    nats: Floats
    count: int


_NONE = _Joins(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0), 0)


@dataclass(frozen=True)
class _Chains:
    """Chains of boxes in order of their first, when they begin and end, and the place each had a round before, -1 where
    it was joined since."""

    rows: list[Rows]
    begin: Floats
    end: Floats
    before: Rows


def link(sightings: Sightings, tracklets: list[Rows], likeness: Likeness, longest_gap: float) -> list[Rows]:
    """Chains of tracklets, one person each, in order of their first box.

    Args:
        sightings: all boxes.
        tracklets: from `tracklets` and `split_at_seams`.
        likeness: of this video.
        longest_gap: seconds a person may be unseen.
    """
    order = sorted(tracklets, key=lambda rows: int(rows[0]))
    chains = _Chains(order, _times(sightings, order, 0), _times(sightings, order, -1), np.full(len(order), -1))
    joins = _possible(sightings, chains, _NONE, likeness, longest_gap)
    for margin in MARGINS:
        while following := _following(chains, joins, margin):
            chains = _joined(sightings, chains, following)
            joins = _possible(sightings, chains, joins, likeness, longest_gap)
    return chains.rows


def _times(sightings: Sightings, chains: list[Rows], place: int) -> Floats:
    return np.array([sightings.time[rows[place]] for rows in chains])


def _joined(sightings: Sightings, chains: _Chains, following: dict[int, int]) -> _Chains:
    """The chains after a round, in order of their first box."""
    rows, before = [], []
    for first in sorted(set(range(len(chains.rows))) - set(following.values())):
        joined = first in following
        # A chain takes part in one join a round.
        rows.append(
            np.concatenate((chains.rows[first], chains.rows[following[first]])) if joined else chains.rows[first]
        )
        before.append(-1 if joined else first)
    return _Chains(rows, _times(sightings, rows, 0), _times(sightings, rows, -1), np.array(before, np.intp))


def _following(chains: _Chains, joins: _Joins, margin: float) -> dict[int, int]:
    """The joins that beat their rivals by `margin`: the chain that goes on, by the chain it goes on from."""
    chosen = _best_total(joins, len(chains.rows))
    if margin > 0:
        chosen = chosen[_beats_rivals(joins, chosen, chains.begin, chains.end, margin)]
    chosen = _strongest(joins, chosen)
    return dict(zip(joins.tail[chosen].tolist(), joins.head[chosen].tolist(), strict=True))


def _possible(sightings: Sightings, chains: _Chains, known: _Joins, likeness: Likeness, longest_gap: float) -> _Joins:
    """The pairs of chains that can be one person, with positive evidence, in order of tail and head.

    What was `known` of two chains that neither took part in the last round still holds.
    """
    low = np.searchsorted(chains.begin, chains.end + 1e-6, side="right")
    high = np.searchsorted(chains.begin, chains.end + longest_gap + 1e-6, side="right")
    count = np.maximum(high - low, 0)
    tail = np.repeat(np.arange(len(count)), count)
    head = np.arange(len(tail)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
    new = (chains.before[tail] < 0) | (chains.before[head] < 0)
    found = _weighed(sightings, chains.rows, tail[new], head[new], likeness)
    now = np.full(max(known.count, 1), -1)
    now[chains.before[chains.before >= 0]] = np.flatnonzero(chains.before >= 0)
    kept_tail, kept_head = now[known.tail], now[known.head]
    kept = (kept_tail >= 0) & (kept_head >= 0)
    tail, head = np.concatenate((found.tail, kept_tail[kept])), np.concatenate((found.head, kept_head[kept]))
    order = np.lexsort((head, tail))
    return _Joins(tail[order], head[order], np.concatenate((found.nats, known.nats[kept]))[order], len(count))


def _weighed(sightings: Sightings, chains: list[Rows], tail: Rows, head: Rows, likeness: Likeness) -> _Joins:
    """Those of the pairs that have positive evidence."""
    if not len(tail):
        return _NONE
    ending, tail_place = np.unique(tail, return_inverse=True)
    beginning, head_place = np.unique(head, return_inverse=True)
    tails = _tails(sightings, [chains[i] for i in ending], likeness)
    heads = _heads(sightings, [chains[i] for i in beginning], likeness)
    nats = _evidence(sightings, tails, heads, tail_place, head_place, likeness)
    good = nats > 0
    return _Joins(tail[good], head[good], nats[good], len(chains))


def _tails(sightings: Sightings, chains: list[Rows], likeness: Likeness) -> _Ends:
    time = sightings.time
    recent = [rows[time[rows] >= time[rows[-1]] - MEMORY_S] for rows in chains]
    return _ends(sightings, recent, likeness.ends(chains) if likeness.tells else None)


def _heads(sightings: Sightings, chains: list[Rows], likeness: Likeness) -> _Ends:
    time = sightings.time
    early = [rows[time[rows] <= time[rows[0]] + MEMORY_S][::-1] for rows in chains]
    return _ends(sightings, early, likeness.begins(chains) if likeness.tells else None)


def _ends(sightings: Sightings, parts: list[Rows], colours: tuple[Floats, Floats] | None) -> _Ends:
    last = np.cumsum([len(rows) for rows in parts]) - 1
    states = followed(sightings, parts).of(last)
    size = np.array(sightings.frame_size, np.float64)
    to_border = np.minimum(states.place, size - states.place).min(axis=1)
    none = np.zeros((len(parts), 0)), np.zeros(len(parts))
    return _Ends(states, colours or none, to_border)


def _evidence(sightings: Sightings, tails: _Ends, heads: _Ends, tail: Rows, head: Rows, likeness: Likeness) -> Floats:
    """float64[M], nats, of joining tails[tail] to heads[head]; minus infinity where no body can have done that."""
    begun = heads.states.of(head)
    ended = predicted(tails.states.of(tail), begun.time)
    gap = begun.time - tails.states.time[tail]
    body = (ended.height + begun.height) / 2
    grown = np.log(begun.height / ended.height)
    squares, determinant = misfit(ended, begun)
    goes_on = -(TAILS + 4) / 2 * np.log1p(squares / TAILS) - np.log(determinant / body**4)
    size_fits = -np.minimum((grown / GROWN_SD) ** 2, 9) / 2
    hidden, appeared = tails.inside[tail] > BORDER * body, heads.inside[head] > BORDER * body
    where = HIDES_INSIDE * (hidden.astype(float) + appeared) - np.where(hidden | appeared, 0, GONE * gap)
    colours = likeness.evidence(
        (tails.colours[0][tail], tails.colours[1][tail]), (heads.colours[0][head], heads.colours[1][head])
    )
    nats = goes_on - _somebody_new(begun, body, sightings.frame_size) + size_fits + where - UNSEEN * gap + colours
    return np.where((squares <= MOST_MISFIT) & (np.abs(grown) <= MOST_GROWN), nats, -np.inf)


def _somebody_new(begun: States, body: Floats, frame_size: tuple[int, int]) -> Floats:
    """Log-density of beginning like that as somebody new: anywhere in the picture, at any walk's velocity."""
    area = frame_size[0] * frame_size[1] / body**2
    variance = begun.spread[:, 2] + (VELOCITY_SD * body) ** 2
    speed = (begun.velocity**2).sum(axis=1)
    return np.log(2 * np.pi / area) - speed / variance / 2 - np.log(variance / body**2)


def _best_total(joins: _Joins, count: int) -> Rows:
    """The joins (places in `joins`) that together have the most evidence, each chain ending and beginning once."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if not len(joins.nats):
        return np.empty(0, np.intp)
    # To end for good is a column of one's own. The matching takes no weight of nought: all are lifted alike.
    most = joins.nats.max() + 1
    rows = np.concatenate((joins.tail, np.arange(count)))
    columns = np.concatenate((joins.head, count + np.arange(count)))
    weights = np.concatenate((most - joins.nats, np.full(count, most)))
    graph = coo_array((weights, (rows, columns)), shape=(count, 2 * count)).tocsr()
    tails, heads = min_weight_full_bipartite_matching(graph)
    goes_on = np.full(count, -1)
    goes_on[tails] = heads
    return np.flatnonzero(goes_on[joins.tail] == joins.head)


def _strongest(joins: _Joins, chosen: Rows) -> Rows:
    """Of the chosen joins the strongest that share no chain: a join on one side tells more of the other side."""
    taken: set[int] = set()
    kept = []
    for join in chosen[np.argsort(-joins.nats[chosen], kind="stable")]:
        pair = {int(joins.tail[join]), int(joins.head[join])}
        if not pair & taken:
            taken |= pair
            kept.append(join)
    return np.array(kept, np.intp)


def _beats_rivals(joins: _Joins, chosen: Rows, begin: Floats, end: Floats, margin: float) -> NDArray[np.bool_]:
    """Which of the chosen joins beat every rival by `margin`, and starting anew too.

    A rival for a head is a tail whose chain is in view together with the chosen tail's (else both may be that person,
    one after the other), and so for a tail.
    """
    keeps = joins.nats[chosen] >= margin
    by_tail, by_head = _groups(joins.tail, len(begin)), _groups(joins.head, len(begin))
    for i, join in enumerate(chosen):
        tail, head = joins.tail[join], joins.head[join]
        for group, other, mine in ((by_tail[tail], joins.head, head), (by_head[head], joins.tail, tail)):
            theirs = other[group]
            rivals = group[(theirs != mine) & (begin[theirs] <= end[mine]) & (end[theirs] >= begin[mine])]
            if len(rivals) and joins.nats[join] - joins.nats[rivals].max() < margin:
                keeps[i] = False
    return keeps


def _groups(keys: Rows, count: int) -> list[Rows]:
    """The places of each key 0..count-1."""
    order = np.argsort(keys, kind="stable")
    return np.split(order, np.searchsorted(keys[order], np.arange(1, count)))
