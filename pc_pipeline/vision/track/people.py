"""People followed from window to window, judged once they are gone, and let go.

A chain of boxes in one window goes on from that chain of the window before which owns its last box before the cut. Who
was not seen for longer than `lost_after` is gone. A verdict may hang on others in view at the same time: it waits until
these are gone too, or have been in view for longer, which is all that matters of their future.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.arrays import Track
from pc_pipeline.vision.track.ghosts import is_inside, is_person, is_second_box, moves_like_a_person
from pc_pipeline.vision.track.sightings import Rows
from pc_pipeline.vision.track.smoothing import smoothed
from pc_pipeline.vision.track.windows import Window

if TYPE_CHECKING:
    from pc_pipeline.ingest.site import TrackerConfig

# A path is smoothed over the gait: what somebody does this long before and after a moment has no say in it.
_AROUND_US = 10_000_000


class Followed(NamedTuple):
    """One person of a video.

    Attributes:
        track: its `track_id` is the number of the person's first box in the video, from 1.
        rows: int64[K], the person's boxes, places in the video.
    """

    track: Track
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Chain:
    """Boxes of one person, K: places of box and frame in the video (int64), boxes float32[K, 4], confidence float32."""

    rows: NDArray[np.int64]
    frames: NDArray[np.int64]
    boxes: NDArray[np.float32]
    confidence: NDArray[np.float32]

    def then(self, later: "Chain") -> "Chain":
        """This one and what comes after it."""
        return Chain(*(np.concatenate((getattr(self, name), getattr(later, name))) for name in vars(self)))

    def between(self, first: int, last: int) -> "Chain":
        """What is in frames `first` to `last`, and a box more on either side."""
        low = max(int(np.searchsorted(self.frames, first)) - 1, 0)
        high = int(np.searchsorted(self.frames, last, side="right")) + 1
        return Chain(*(getattr(self, name)[low:high] for name in vars(self)))

    @property
    def lasts(self) -> int:
        """Frames from the first box to the last."""
        return int(self.frames[-1] - self.frames[0]) + 1


class People:
    """Everybody in a video, window by window. Holds who is in view, and the few whose verdict waits for them."""

    def __init__(self, settings: "TrackerConfig", frame_size: tuple[int, int]) -> None:
        self._settings, self._frame_size = settings, frame_size
        self._open: dict[int, Chain] = {}
        self._waiting: dict[int, tuple[Chain, Track]] = {}
        # Tracks that are over and may yet be a first box of somebody's who is not judged, with their last frames.
        self._over: list[tuple[Track, int]] = []
        # Of the frames from `_first` on, as long as somebody needs them.
        self._first = 0
        self._frame_number = np.empty(0, np.int32)
        self._pts_us = np.empty(0, np.int64)
        # Of the boxes the last window decided, from `_owned_from` on: the chain that took each, -1 for none.
        self._owned_from = 0
        self._owner = np.empty(0, np.int64)

    def see(self, window: Window, chains: list[Rows]) -> Iterator[Followed]:
        """Follow everybody through the next window, and give those whose verdict is settled now and who are people.

        Args:
            window: the one that follows.
            chains: rows of `window.detections`, one chain a person.
        """
        self._remember(window)
        frame_index = window.detections.frame_index + window.first_frame
        owner = np.full(window.end - window.begin, -1, np.int64)
        goes_on = self._goes_on(window, chains)
        for place, rows in enumerate(chains):
            mine = rows[(rows >= window.begin) & (rows < window.end)]
            if not len(mine):
                continue
            boxes, confidence = window.detections.boxes[mine], window.detections.confidence[mine]
            part = Chain(mine + window.first_row, frame_index[mine], boxes, confidence)
            key = goes_on.get(place, int(part.rows[0]))
            self._open[key] = self._open[key].then(part) if key in self._open else part
            owner[mine - window.begin] = key
        self._owned_from, self._owner = window.first_row + window.begin, owner
        self._let_go(window)
        yield from self._judged()
        self._forget()

    def _remember(self, window: Window) -> None:
        before = max(window.first_frame - self._first, 0)
        self._frame_number = np.concatenate((self._frame_number[:before], window.detections.frame_number))
        self._pts_us = np.concatenate((self._pts_us[:before], window.detections.pts_us))
        self._first = min(self._first, window.first_frame)

    def _goes_on(self, window: Window, chains: list[Rows]) -> dict[int, int]:
        """Of the window's chains, by their place, those that go on from one of the window before: the latter's key.

        Of several that claim one, the one whose box they share is the latest.
        """
        best: dict[int, tuple[int, int]] = {}
        for place, rows in enumerate(chains):
            before = rows[rows < window.begin] + window.first_row - self._owned_from
            known = before[self._owner[before] >= 0]
            key = int(self._owner[known[-1]]) if len(known) else -1
            if key in self._open and ((rows >= window.begin) & (rows < window.end)).any():
                best[key] = max(best.get(key, (-1, -1)), (int(known[-1]), place))
        return {place: key for key, (_, place) in best.items()}

    def _let_go(self, window: Window) -> None:
        """Who can no more be seen again is over; those who are somebody wait for their verdict."""
        for key, chain in list(self._open.items()):
            if window.cut_us is None or window.cut_us - self._time(chain.frames[-1]) > window.lost_us + 2:
                del self._open[key]
                if self._is_person(chain):
                    self._waiting[key] = chain, self._track(chain, key + 1)

    def _judged(self) -> Iterator[Followed]:
        """The verdicts that are settled: only people are given."""
        settled = [
            (key, chain, one)
            for key, (chain, one) in self._waiting.items()
            if all(other.lasts > chain.lasts for other in self._open.values() if other.frames[0] <= chain.frames[-1])
        ]
        found = [track for track, _ in self._over] + [track for _, track in self._waiting.values()]
        in_view = self._in_view([chain for _, chain, _ in settled])
        for key, chain, one in settled:
            del self._waiting[key]
            self._over.append((one, int(chain.frames[-1])))
            second = is_second_box(one, found) or any(is_inside(one, other) for other in in_view)
            if not second and moves_like_a_person(one, self._settings):
                yield Followed(one, chain.rows)

    def _in_view(self, over: list[Chain]) -> list[Track]:
        """The paths of those in view who are people as far as can be told, while any of `over` was in view too."""
        paths = []
        for chain in self._open.values():
            beside = [other for other in over if chain.frames[0] <= other.frames[-1]]
            if beside and self._is_person(chain):
                first, last = min(int(o.frames[0]) for o in beside), max(int(o.frames[-1]) for o in beside)
                around = np.array([self._time(first) - _AROUND_US, self._time(last) + _AROUND_US])
                low, high = (np.searchsorted(self._pts_us, around) + self._first).tolist()
                paths.append(self._track(chain.between(low, high), 0))
        return paths

    def _forget(self) -> None:
        """Let go of what no verdict can hang on any more."""
        unjudged = [*self._open.values(), *(chain for chain, _ in self._waiting.values())]
        self._over = [
            (track, last)
            for track, last in self._over
            if any(chain.frames[0] <= last and chain.lasts <= len(track.time_us) for chain in unjudged)
        ]
        # The next window brings its own frames again.
        first = min((int(chain.frames[0]) for chain in unjudged), default=self._first + len(self._pts_us))
        self._frame_number = self._frame_number[first - self._first :].copy()
        self._pts_us = self._pts_us[first - self._first :].copy()
        self._first = first

    def _time(self, frame: int | np.int64) -> int:
        return int(self._pts_us[frame - self._first])

    def _is_person(self, chain: Chain) -> bool:
        return is_person(chain.frames, self._pts_us[chain.frames - self._first], chain.confidence, self._settings)

    def _track(self, chain: Chain, track_id: int) -> Track:
        """The track of a chain of boxes, in every frame from its first sighting to its last."""
        frames = chain.frames - self._first
        every = np.arange(frames[0], frames[-1] + 1)
        times, seen_at = self._pts_us[every], self._pts_us[frames]
        seen = np.isin(every, frames)
        values = np.column_stack((chain.boxes, chain.confidence)).astype(np.float64)
        filled = np.column_stack([np.interp(times, seen_at, column) for column in values.T])
        boxes = np.clip(smoothed(times / 1e6, filled[:, :4], seen), 0, np.array(self._frame_size * 2))
        return Track(
            track_id=track_id,
            frame_number=self._frame_number[every],
            time_us=times,
            boxes=boxes.astype(np.float32),
            confidence=filled[:, 4].astype(np.float32),
            interpolated=~seen,
        )
