"""A long video in windows of time, so that tracking holds minutes of it, whatever its length.

        window 1                  cut
|-----------------------------------:----------|
                           |--------:------------------------------:----------|     Where people are in view all the
                            overlap          window 2                               time, windows overlap: each looks
                                                                                    beyond the cut that ends it, and
                                                                                    back before the one that begins it.

A window ends rather where nobody was in view for longer than somebody may be lost: no person is on both sides of such a
cut, so that nothing has to be looked at twice and nothing is joined.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pc_pipeline.vision.arrays import Detections, joined
from pc_pipeline.vision.track.sightings import usual_step
from pc_pipeline.vision.track.tracklets import LATE

# Files of recorders are seldom longer: they are tracked whole. With five people in view at 10 frames/s it is 20 MB.
WINDOW_S = 600.0
# Where frames come seldom, a window is as long as it takes to have so many.
LEAST_FRAMES = 100
# Beyond the time somebody may be unseen, so much around a cut is looked at from both sides: the filters' memory is 4 s,
# colours are compared over 2 s, and a join tells of the next one.
OVERLAP_S = 20.0


@dataclass(frozen=True)
class Window:
    """A stretch of a video, and the boxes in it that are decided here.

    Attributes:
        detections: all frames of the stretch.
        first_frame, first_row: the places of its first frame and first box in the video.
        begin, end: the boxes decided here are rows begin:end of `detections`; those before were decided in the window
            before, those after will be in the next one.
        cut_us: µs from the video's start, of the first frame after `end`; None where nobody can be in view on both
            sides of it: the video ends, or it was quiet.
        lost_us: who was not seen for longer is not seen again.
    """

    detections: Detections
    first_frame: int
    first_row: int
    begin: int
    end: int
    cut_us: int | None
    lost_us: int


def windows(pieces: Iterable[Detections], lost_after: float, window_s: float) -> Iterator[Window]:
    """The windows of a video, the same ones in whatever pieces it comes.

    Args:
        pieces: that follow one another.
        lost_after: seconds a person may be unseen.
        window_s: windows are so long, unless that is less than eight times `lost_after` or has too few frames.
    """
    window_us = round(max(window_s, 8 * lost_after) * 1e6)
    source = (piece for piece in pieces if len(piece.pts_us))
    held = next(source, None)
    first_frame = first_row = begin = overlap_us = 0
    while held is not None:
        held, frames = _filled(held, source, max(window_us, 4 * overlap_us))
        inside = held.frames(0, frames)
        # A tracklet goes on to the next frame, however late that usually is.
        lost_us = round(max(lost_after, LATE * usual_step(inside)) * 1e6)
        if frames == len(held.pts_us):
            yield Window(inside, first_frame, first_row, begin, len(inside.boxes), None, lost_us)
            return
        lasts_us = int(inside.pts_us[-1] - inside.pts_us[0])
        overlap_us = min(lost_us + round(OVERLAP_S * 1e6), lasts_us // 4)
        cut = start = _quiet(inside, int(held.pts_us[frames]), lost_us, lasts_us // 2)
        if cut is None or start is None:
            cut = int(np.searchsorted(inside.pts_us, inside.pts_us[-1] - overlap_us))
            start = int(np.searchsorted(inside.pts_us, inside.pts_us[cut] - overlap_us))
        end, start_row = int(inside.offsets[cut]), int(inside.offsets[start])
        cut_us = int(inside.pts_us[cut]) if start < cut else None
        yield Window(inside, first_frame, first_row, begin, end, cut_us, lost_us)
        first_frame, first_row, begin = first_frame + start, first_row + start_row, end - start_row
        held = held.frames(start, len(held.pts_us))


def _filled(held: Detections, source: Iterator[Detections], window_us: int) -> tuple[Detections, int]:
    """`held` and as many pieces more as it takes for a frame beyond the window; and how many frames are in that."""
    parts, count = [held], len(held.pts_us)
    while parts[-1].pts_us[-1] < held.pts_us[0] + window_us or count <= LEAST_FRAMES:
        piece = next(source, None)
        if piece is None:
            break
        parts.append(piece)
        count += len(piece.pts_us)
    whole = joined(parts)
    frames = int(np.searchsorted(whole.pts_us, whole.pts_us[0] + window_us))
    return whole, min(max(frames, LEAST_FRAMES), count)


def _quiet(inside: Detections, next_us: int, lost_us: int, least_us: int) -> int | None:
    """The last frame, `least_us` from the start and later, before which nobody was seen for more than `lost_us`; one
    past the end, where that holds of the frame after it (at `next_us`). None where somebody was always in view."""
    seen = np.flatnonzero(np.diff(inside.offsets))
    if not len(seen):
        return len(inside.pts_us)
    following = np.append(seen[1:], len(inside.pts_us))
    # A microsecond more than rounding can make of it.
    unseen = np.append(inside.pts_us[seen[1:]], next_us) - inside.pts_us[seen] > lost_us + 2
    late = following >= np.searchsorted(inside.pts_us, inside.pts_us[0] + least_us)
    places = following[unseen & late]
    return int(places[-1]) if len(places) else None
