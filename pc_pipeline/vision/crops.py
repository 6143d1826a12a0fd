"""Which sightings of each track are shown to the gender model: its best few crops.

Attribute models give cut-off, hidden and small people a label too, and a wrong one, so only whole, large, uncovered
people are chosen. A video goes by frame after frame: who is in view is held, and of who is gone no more than the crops.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.arrays import Track
from pc_pipeline.vision.boxes import covered_share

if TYPE_CHECKING:
    from pc_pipeline.ingest.site import GenderConfig

# A box that comes this near (body heights) to the left, right or lower edge may be of a person cut off by it: in a
# padded picture the detector's boxes of people without feet end up to 0.02 body heights before the edge.
EDGE = 0.025
# At the upper edge, where no padding is, boxes end at the edge itself (pixels).
TOP_EDGE_PX = 2.0
# Height over width of a whole person. From the head to the hips it is about 1.7, seated or bent less; a bag or an arm
# is squatter still. A long stride fails too, and the next step passes.
LEAST_ASPECT = 2.0
# Less sure boxes are more likely of a part of a person, or of somebody behind something, than of one in full view.
LEAST_CONFIDENCE = 0.5
# A seen box this much shorter (or taller) than its person is cut off by a desk, a sign, somebody (or is two people).
LEAST_SHOWN = 0.85
# Seconds: when two people merge, one box is left of them for a moment before and after the two overlap.
NEAR_S = 0.5

_CROP = np.dtype([("track", "i4"), ("frame_number", "i4"), ("time_us", "i8"), ("box", "f4", 4)])
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class SeenBoxes:
    """The boxes of a video, or of a piece of it, as the detector gave them, where tracks hold a smoothed path.

    Attributes:
        track_id: int32[N], 0 where no track took the box.
        frame_number: int32[N], in order.
        boxes: float32[N, 4], x1, y1, x2, y2 in pixels of the upright frame.
    """

    track_id: NDArray[np.int32]
    frame_number: NDArray[np.int32]
    boxes: NDArray[np.float32]

    def rows(self, first: int, end: int) -> "SeenBoxes":
        """The rows from `first` to before `end`."""
        return SeenBoxes(*(values[first:end] for values in vars(self).values()))

    def then(self, later: "SeenBoxes") -> "SeenBoxes":
        """These and those that come after them."""
        return SeenBoxes(*(np.concatenate((getattr(self, name), getattr(later, name))) for name in vars(self)))


@dataclass(frozen=True)
class Crops:
    """What of a video is shown to the gender model: C crops of T tracks.

    Attributes:
        track_id: int32[T], of all tracks, also of those without a crop.
        track: int32[C], the place in `track_id` of each crop's track, in order.
        frame_number: int32[C], in order within a track.
        time_us: int64[C], microseconds from the video's start.
        boxes: float32[C, 4], x1, y1, x2, y2 in pixels of the upright frame, as the detector gave them.
    """

    track_id: NDArray[np.int32]
    track: NDArray[np.int32]
    frame_number: NDArray[np.int32]
    time_us: NDArray[np.int64]
    boxes: NDArray[np.float32]


def choose_crops(
    tracks: Iterable[Track], seen: Iterable[SeenBoxes], config: "GenderConfig", frame_size: tuple[int, int]
) -> Crops:
    """For each track its best sightings: whole, tall enough, uncovered, spread in time.

    A sighting whose seen box is not as tall as the person, or that has none, is not chosen: a smoothed path is whole
    where the person was not in full view.

    Args:
        tracks: all tracks of the video, since they may hide each other, in order of first sighting.
        seen: all boxes of the video, in order of frames, in pieces that may end anywhere. Those in no track may hide
            somebody too.
        config: `min_height_px`, `crops`, `max_overlap` 0..1, `min_gap` seconds.
        frame_size: width and height of the upright frames, pixels.

    Raises:
        ValueError: a track comes after one that begins later.
    """
    numbers, chosen = array("i"), bytearray()
    coming = iter(tracks)
    following = next(coming, None)
    in_view: list[_InView] = []
    gone_by = 0
    for piece, end in _whole_frames(seen):
        while following is not None and following.frame_number[0] < end:
            if following.frame_number[0] < gone_by:
                raise ValueError(f"track {following.track_id} comes too late: give tracks in order of first sighting")
            in_view.append(_InView(len(numbers), following))
            numbers.append(following.track_id)
            following = next(coming, None)
        _go_by(in_view, piece, end)
        for one in in_view:
            if one.is_over:
                chosen += one.best(config, frame_size).tobytes()
        in_view = [one for one in in_view if not one.is_over]
        gone_by = end
    rows = np.frombuffer(chosen, _CROP)
    rows = rows[np.argsort(rows["track"], kind="stable")]
    return Crops(
        np.array(numbers, np.int32), rows["track"], rows["frame_number"], rows["time_us"], rows["box"].reshape(-1, 4)
    )


def _whole_frames(seen: Iterable[SeenBoxes]) -> Iterator[tuple[SeenBoxes, int]]:
    """The boxes again, all of a frame together, and the number of the frame before which no more will come."""
    held = SeenBoxes(np.empty(0, np.int32), np.empty(0, np.int32), np.empty((0, 4), np.float32))
    for piece in seen:
        held = held.then(piece)
        if len(held.frame_number):
            last = int(held.frame_number[-1])
            whole = int(np.searchsorted(held.frame_number, last, "left"))
            yield held.rows(0, whole), last
            held = held.rows(whole, len(held.frame_number))
    yield held, _NEVER


class _InView:
    """A track while its frames go by.

    `boxes` float32[S, 4] are the seen ones as far as these are known, the path's elsewhere; `shown` bool[S] where one
    was seen; `covered` float64[S] the largest share of each that one other box covers; `[now]` those that go by.
    """

    def __init__(self, place: int, track: Track) -> None:
        self._place, self._track = place, track
        self._boxes = track.boxes.copy()
        self._shown = np.zeros(len(track.boxes), np.bool_)
        self._covered = np.zeros(len(track.boxes))
        self._now = slice(0, 0)

    @property
    def track_id(self) -> int:
        return self._track.track_id

    @property
    def is_over(self) -> bool:
        return self._now.stop == len(self._boxes)

    @property
    def frames(self) -> NDArray[np.int32]:
        """int32[K], the frames that go by."""
        return self._track.frame_number[self._now]

    @property
    def boxes(self) -> NDArray[np.float32]:
        """float32[K, 4], the boxes in these frames."""
        return self._boxes[self._now]

    def go_by(self, end: int, frames: NDArray[np.int32], boxes: NDArray[np.float32]) -> None:
        """Go on to the frame before `end`; its boxes as seen, and their frames."""
        self._now = slice(self._now.stop, int(np.searchsorted(self._track.frame_number, end, "left")))
        _, mine, theirs = np.intersect1d(self.frames, frames, return_indices=True)
        self._boxes[self._now.start + mine] = boxes[theirs]
        self._shown[self._now.start + mine] = True

    def cover(self, share: NDArray[np.float64]) -> None:
        """Note float64[K], how much of the boxes that go by is covered."""
        self._covered[self._now] = share

    def best(self, config: "GenderConfig", frame_size: tuple[int, int]) -> NDArray[np.void]:
        """The crops of a track that is over, in order of time."""
        share = (self._boxes[:, 3] - self._boxes[:, 1]) / np.maximum(self._track.height, 1e-9)
        whole = self._shown & (share >= LEAST_SHOWN) & (share <= 1 / LEAST_SHOWN)
        seen = replace(self._track, boxes=self._boxes, interpolated=self._track.interpolated | ~whole)
        best = sorted(_best_sightings(seen, self._covered, config, frame_size))
        rows = np.empty(len(best), _CROP)
        rows["track"] = self._place
        rows["frame_number"] = seen.frame_number[best]
        rows["time_us"] = seen.time_us[best]
        rows["box"] = seen.boxes[best]
        return rows


def _go_by(in_view: list[_InView], piece: SeenBoxes, end: int) -> None:
    """Let the frames before `end` go by, of which the piece has all boxes."""
    if not in_view:
        return
    order = np.argsort(piece.track_id, kind="stable")
    ids = piece.track_id[order]
    for one in in_view:
        rows = order[np.searchsorted(ids, one.track_id, "left") : np.searchsorted(ids, one.track_id, "right")]
        one.go_by(end, piece.frame_number[rows], piece.boxes[rows])
    loose = order[: np.searchsorted(ids, 0, "right")]
    covered = _covered_shares(
        np.concatenate([one.frames for one in in_view]),
        np.concatenate([one.boxes for one in in_view]),
        piece.frame_number[loose],
        piece.boxes[loose],
    )
    for one, share in zip(in_view, np.split(covered, np.cumsum([len(one.frames) for one in in_view])), strict=False):
        one.cover(share)


def _covered_shares(
    frames: NDArray[np.int32],
    boxes: NDArray[np.float32],
    loose_frames: NDArray[np.int32],
    loose_boxes: NDArray[np.float32],
) -> NDArray[np.float64]:
    """float64[N]: the largest share of each box that one other box covers in its frame, also a loose one.

    Args:
        frames: int32[N], in any order.
        boxes: float32[N, 4].
        loose_frames: int32[M], in order.
        loose_boxes: float32[M, 4].
    """
    shares = np.zeros(len(frames))
    order = np.argsort(frames, kind="stable")
    numbers, starts, counts = np.unique(frames[order], return_index=True, return_counts=True)
    first, last = (np.searchsorted(loose_frames, numbers, side).tolist() for side in ("left", "right"))
    for start, count, low, high in zip(starts.tolist(), counts.tolist(), first, last, strict=True):
        if count + high - low > 1:
            present = order[start : start + count]
            shares[present] = covered_share(boxes[present], loose_boxes[low:high])
    return shares


def _best_sightings(
    track: Track, covered: NDArray[np.float64], config: "GenderConfig", frame_size: tuple[int, int]
) -> list[int]:
    """The indexes of a track's best sightings, best first; `covered` is float64[S], and the boxes are those seen."""
    width, height = frame_size
    left, top, right, bottom = track.boxes.astype(np.float64).T
    margin = np.minimum.reduce([left, width - right, height - bottom])
    fit = (
        ~track.interpolated
        & (track.confidence >= LEAST_CONFIDENCE)
        & (track.height >= config.min_height_px)
        & (track.height >= LEAST_ASPECT * (right - left))
        & (margin >= EDGE * track.height)
        & (top >= TOP_EDGE_PX)
        & ~_near(track.time_us, track.time_us[covered > config.max_overlap])
    )
    return _spread(track.time_us, np.where(fit, track.height * track.confidence * (1 - covered), 0), config)


def _near(time_us: NDArray[np.int64], moments_us: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool[S]: times within `NEAR_S` of one of the moments, which are in order."""
    reach = round(NEAR_S * 1e6)
    first = np.searchsorted(moments_us, time_us - reach, "left")
    return np.searchsorted(moments_us, time_us + reach, "right") > first


def _spread(time_us: NDArray[np.int64], worth: NDArray[np.float64], config: "GenderConfig") -> list[int]:
    """The indexes of the most worth (0: never), best first, apart by half of what an even spread would give.

    Neighbouring frames show one pose, and say five times what one of them says.
    """
    fit = np.flatnonzero(worth > 0)
    if not len(fit):
        return []
    gap_us = max(config.min_gap * 1e6, (time_us[fit[-1]] - time_us[fit[0]]) / (2 * config.crops))
    picked: list[int] = []
    for index in fit[np.argsort(-worth[fit], kind="stable")]:
        if all(abs(time_us[index] - time_us[other]) >= gap_us for other in picked):
            picked.append(int(index))
            if len(picked) == config.crops:
                break
    return picked
