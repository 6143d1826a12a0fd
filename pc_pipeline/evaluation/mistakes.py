"""Where tracks went wrong: the moments worth looking at, with who is in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.evaluation.evaluate import Measured, Scene
from pc_pipeline.evaluation.lines import Crossed
from pc_pipeline.evaluation.metrics import MIN_IOU, by_frame
from pc_pipeline.vision.arrays import Track

# A crossing found so long before or after the true one is the same.
SAME_CROSSING_US = 2_000_000
# Shorter ghosts and gaps are many and say little.
LONG_US = 1_000_000

# In the order in which a page shows them, with what each means.
KINDS = {
    "missed crossing": "A person crossed a line and was not counted.",
    "extra crossing": "A crossing was counted that there was not.",
    "id switch": "A person goes on under another track: one became two, or two were swapped.",
    "missed person": "A person was in no track for a second or longer.",
    "ghost": "A track followed nobody for a second or longer, or with a box far off.",
}


@dataclass(frozen=True)
class Mistake:
    """One moment.

    Attributes:
        kind: of `KINDS`.
        frame: place in the scene's `frame_numbers` of the frame to look at.
        time_us: when, on the video's clock.
        text: what happened, a few words.
        length_us: how long it lasted, 0 for a moment.
        true_ids, found_ids: the people and tracks it is about.
        line: the line of a crossing.
        point: where, pixels; None where boxes tell.
    """

    kind: str
    frame: int
    time_us: int
    text: str
    length_us: int = 0
    true_ids: tuple[int, ...] = ()
    found_ids: tuple[int, ...] = ()
    line: str | None = None
    point: tuple[float, float] | None = None


@dataclass(frozen=True)
class Matches:
    """Who is whom in each sampled frame, by places in the lists of tracks.

    Attributes:
        true: of each frame {place of a true person in it: place of the track it is matched with, or -1}.
        found: of each frame {place of a track in it: place of the person, or -1}.
    """

    true: list[dict[int, int]]
    found: list[dict[int, int]]


def match(truth: Sequence[Track], found: Sequence[Track], frame_numbers: NDArray[np.integer]) -> Matches:
    """Match in each frame, as CLEAR MOT does: who was matched before and still overlaps by .5 stays matched, and of
    the others the pairs of largest summed overlap are taken."""
    from scipy.optimize import linear_sum_assignment
    from trackers.eval import box_iou

    result = Matches([], [])
    before: dict[int, int] = {}
    for true, true_boxes, other, other_boxes in zip(
        *by_frame(truth, frame_numbers), *by_frame(found, frame_numbers), strict=True
    ):
        overlap = box_iou(true_boxes, other_boxes)
        worth = overlap + 1000 * (other[None, :] == np.array([before.get(int(i), -1) for i in true])[:, None])
        worth[overlap < MIN_IOU] = 0
        rows, columns = linear_sum_assignment(worth, maximize=True)
        pairs = {int(true[i]): int(other[j]) for i, j in zip(rows, columns, strict=True) if worth[i, j] > 0}
        back = {track: person for person, track in pairs.items()}
        result.true.append({int(i): pairs.get(int(i), -1) for i in true})
        result.found.append({int(j): back.get(int(j), -1) for j in other})
        before = pairs
    return result


def mistakes(scene: Scene, measured: Measured) -> list[Mistake]:
    """Every mistake, in order of kind, then of time."""
    matches = match(scene.truth, measured.tracks, scene.frame_numbers)
    found = [
        *_crossings(scene, measured, matches),
        *_switches(scene, measured, matches),
        *_long(scene.truth, matches.true, scene.times_us, "missed person"),
        *_long(measured.tracks, matches.found, scene.times_us, "ghost"),
    ]
    order = list(KINDS)
    return sorted(found, key=lambda mistake: (order.index(mistake.kind), mistake.time_us))


def choose(found: Sequence[Mistake], limit: int) -> list[Mistake]:
    """At most `limit` of them: in turn one of each kind, the longest first, so that no kind crowds out another."""
    waiting = {kind: sorted((m for m in found if m.kind == kind), key=lambda m: -m.length_us) for kind in KINDS}
    chosen: list[Mistake] = []
    while len(chosen) < limit and any(waiting.values()):
        for left in waiting.values():
            if left and len(chosen) < limit:
                chosen.append(left.pop(0))
    return [mistake for mistake in found if any(mistake is one for one in chosen)]


def _crossings(scene: Scene, measured: Measured, matches: Matches) -> Iterator[Mistake]:
    for line in scene.lines:
        missed, extra = unpaired(measured.true[line], measured.found[line])
        for crossed in missed:
            yield _crossing(
                "missed crossing", line, crossed, "person", scene.truth, scene, measured.tracks, matches.true
            )
        for crossed in extra:
            yield _crossing(
                "extra crossing", line, crossed, "track", measured.tracks, scene, scene.truth, matches.found
            )


def _crossing(
    kind: str,
    line: str,
    crossed: Crossed,
    word: str,
    tracks: Sequence[Track],
    scene: Scene,
    others: Sequence[Track],
    pairs: Sequence[dict[int, int]],
) -> Mistake:
    """The mistake of one of `tracks`, with whom of `others` it was matched when it crossed."""
    time_us = crossed.crossing.time_us
    frame = int(np.abs(scene.times_us - time_us).argmin())
    place = next(i for i, track in enumerate(tracks) if track.track_id == crossed.track_id)
    partner = pairs[frame].get(place, -1)
    ids, partners = (crossed.track_id,), () if partner < 0 else (others[partner].track_id,)
    true_ids, found_ids = (ids, partners) if word == "person" else (partners, ids)
    text = f"{word} {crossed.track_id}, {crossed.crossing.direction} at {line}"
    return Mistake(kind, frame, time_us, text, 0, true_ids, found_ids, line, crossed.crossing.point)


def unpaired(true: Sequence[Crossed], found: Sequence[Crossed]) -> tuple[list[Crossed], list[Crossed]]:
    """The true crossings that were not found, and those found that are not true: of one direction and at most 2 s
    apart, the nearest in time belong together."""
    pairs = sorted(
        (abs(one.crossing.time_us - other.crossing.time_us), i, j)
        for i, one in enumerate(true)
        for j, other in enumerate(found)
        if one.crossing.direction == other.crossing.direction
    )
    of_true: set[int] = set()
    of_found: set[int] = set()
    for apart_us, i, j in pairs:
        if apart_us <= SAME_CROSSING_US and i not in of_true and j not in of_found:
            of_true.add(i)
            of_found.add(j)
    return (
        [one for i, one in enumerate(true) if i not in of_true],
        [other for j, other in enumerate(found) if j not in of_found],
    )


def _switches(scene: Scene, measured: Measured, matches: Matches) -> Iterator[Mistake]:
    last: dict[int, int] = {}
    for frame, pairs in enumerate(matches.true):
        for person, track in pairs.items():
            if track < 0:
                continue
            if last.setdefault(person, track) != track:
                old, new = measured.tracks[last[person]].track_id, measured.tracks[track].track_id
                who = scene.truth[person].track_id
                text = f"person {who}: track {old} becomes {new}"
                yield Mistake("id switch", frame, int(scene.times_us[frame]), text, 0, (who,), (old, new))
            last[person] = track


def _long(
    tracks: Sequence[Track], pairs: Sequence[dict[int, int]], times_us: NDArray[np.int64], kind: str
) -> Iterator[Mistake]:
    """Runs of a second or longer in which one of `tracks` is there and unmatched, shown at their middle."""
    for place, track in enumerate(tracks):
        present = [frame for frame, pair in enumerate(pairs) if place in pair]
        for run in _runs([frame for frame in present if pairs[frame][place] < 0]):
            length = int(times_us[run[-1]] - times_us[run[0]])
            if length >= LONG_US:
                middle = run[len(run) // 2]
                word = "person" if kind == "missed person" else "track"
                ids = (track.track_id,)
                text = f"{word} {track.track_id} for {length / 1e6:.1f} s"
                true_ids, found_ids = (ids, ()) if kind == "missed person" else ((), ids)
                yield Mistake(kind, middle, int(times_us[middle]), text, length, true_ids, found_ids)


def _runs(frames: Sequence[int]) -> list[list[int]]:
    """Frames one after the other, in lists."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return runs
