"""One person across two files: tracks of the one joined to the tracks of the next that go on from them.

  file 1           gap          file 2
o--o--o--o- - - - - > x   x < - - - - -o--o--o     Each is carried over the gap by its own motion. How well the two
     tail                          head            fit is weighed against somebody new.

It is the tracker's own linking of tracklets (`vision.track.linking`): who is hidden at a cut is judged as who is hidden
within a file. Tracks are kept without colours, so that motion, place and height decide.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.arrays import Detections, Track
from pc_pipeline.vision.track.likeness import Likeness
from pc_pipeline.vision.track.linking import link
from pc_pipeline.vision.track.motion import MEMORY_S
from pc_pipeline.vision.track.sightings import sightings_of

if TYPE_CHECKING:
    from pc_pipeline.ingest.site import CountingConfig


def link_tracks(
    before: Sequence[Track],
    after: Sequence[Track],
    later_us: int,
    frame_size: tuple[int, int],
    config: "CountingConfig",
) -> list[tuple[int, int]]:
    """Join tracks of one file to tracks of the next that are the same person, unseen for `config.link_gap` s at most.

    Where the files overlap, the first one's tracks are taken to end where the second one's begin.

    Args:
        before, after: tracks of the first and of the second file, in pixels of one picture.
        later_us: microseconds from the first file's start to the second one's.
        frame_size: (width, height) of that picture, pixels.

    Returns:
        (track_id in `before`, track_id in `after`), in order of the latter; the same for any order of the tracks.
    """
    if not after:
        return []
    cut = later_us + min(int(track.time_us[0]) for track in after)
    reach = reach_us(config)
    ends = [((0, one.track_id), *_seen(one, 0, cut - reach, cut - 1)) for one in before]
    ends += [((1, one.track_id), *_seen(one, later_us, cut, cut + reach)) for one in after]
    ends = sorted((end for end in ends if len(end[1])), key=lambda end: (int(end[1][0]), end[0]))
    chains = _chains([end[1:] for end in ends], frame_size, config.link_gap)
    steps = [(ends[one][0], ends[other][0]) for chain in chains for one, other in pairwise(chain)]
    return sorted(
        ((tail, head) for (file, tail), (next_file, head) in steps if file < next_file), key=lambda pair: pair[1]
    )


def reach_us(config: "CountingConfig") -> int:
    """Microseconds. Sightings further from where the second file's tracks begin have no say: neither who they are of
    nor where those went."""
    return round((config.link_gap + MEMORY_S) * 1e6)


def _seen(track: Track, later_us: int, first_us: int, last_us: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """When and where a track was really seen from `first_us` to `last_us`, its own times being `later_us` behind."""
    time_us = track.time_us + later_us
    kept = ~track.interpolated & (time_us >= first_us) & (time_us <= last_us)
    return time_us[kept], track.boxes[kept].astype(np.float32)


def _chains(
    ends: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]], frame_size: tuple[int, int], longest_gap: float
) -> list[list[int]]:
    """Which stretches (times, boxes; in order of their start) are one person's, each person's in order of time."""
    if not ends:
        return []
    lengths = [len(time_us) for time_us, _ in ends]
    time_us = np.concatenate([time_us for time_us, _ in ends])
    order = np.argsort(time_us, kind="stable")
    whose = np.repeat(np.arange(len(ends)), lengths)[order]
    frames, starts = np.unique(time_us[order], return_index=True)
    sightings = sightings_of(
        Detections(
            frame_number=np.arange(len(frames), dtype=np.int32),
            pts_us=frames,
            offsets=np.append(starts, len(order)).astype(np.int64),
            boxes=np.concatenate([boxes for _, boxes in ends])[order],
            confidence=np.ones(len(order), np.float32),
            class_id=np.zeros(len(order), np.int16),
        ),
        frame_size,
    )
    tracklets = [np.flatnonzero(whose == place) for place in range(len(ends))]
    linked = link(sightings, tracklets, Likeness(sightings, tracklets), longest_gap)
    # A stretch is never taken apart: its first sighting in a chain stands for it.
    return [list(dict.fromkeys(whose[rows].tolist())) for rows in linked]
