"""Boxes to tracks, knowing the whole video: what comes later tells who it was before.

    tracklets   runs of boxes that can only be one person; they end where it is unclear who is who
    seams       tracklets that changed hands are cut
    linking     tracklets of one person are joined over the gaps, by motion both ways, height, place and colours
    smoothing   cut-off boxes are made whole, gaps filled, jitter removed
    ghosts      what was nobody is dropped

All settings and constants are in seconds, body heights and nats, so the same ones serve 5, 10 and 30 frames a second.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.arrays import Detections, Track
from pc_pipeline.vision.track.ghosts import is_person, is_second_box, moves_like_a_person, without_scraps
from pc_pipeline.vision.track.likeness import Likeness
from pc_pipeline.vision.track.linking import link
from pc_pipeline.vision.track.seams import split_at_seams
from pc_pipeline.vision.track.sightings import Rows, sightings_of
from pc_pipeline.vision.track.smoothing import smoothed
from pc_pipeline.vision.track.tracklets import tracklets

if TYPE_CHECKING:
    from pc_pipeline.ingest.site import TrackerConfig

CODE_VERSION = "2"


def track(
    detections: Detections, settings: "TrackerConfig", frame_size: tuple[int, int]
) -> tuple[list[Track], NDArray[np.int32]]:
    """Tracks of one video, and the track of every detection. The same input gives the same output.

    Args:
        detections: of one class or several; all are tracked alike.
        settings: thresholds 0..1, durations in seconds.
        frame_size: width and height of the upright frames, pixels; boxes stay inside.

    Returns:
        tracks: in order of first sighting, track_id 1, 2, ...; a box in every sampled frame from the first to the last
            sighting, smoothed, and `interpolated` where nobody was seen. Confidence is that of the sighting, linear
            between sightings.
        track_ids: int32[N], 0 where no track took the detection.
    """
    chains = [rows for rows in _chains(detections, frame_size, settings) if is_person(rows, detections, settings)]
    found = [_track(rows, detections, frame_size) for rows in chains]
    tracks: list[Track] = []
    track_ids = np.zeros(len(detections.boxes), np.int32)
    for rows, one in zip(chains, found, strict=True):
        if moves_like_a_person(one, settings) and not is_second_box(one, found):
            tracks.append(replace(one, track_id=len(tracks) + 1))
            track_ids[rows] = len(tracks)
    return tracks, track_ids


def _chains(detections: Detections, frame_size: tuple[int, int], settings: "TrackerConfig") -> list[Rows]:
    """The boxes of each person, in order of the first one."""
    sightings = sightings_of(detections, frame_size)
    runs = tracklets(detections, sightings)
    likeness = Likeness(sightings, runs)
    pieces = split_at_seams(sightings, runs, likeness)
    return link(sightings, without_scraps(pieces, detections, settings), likeness, settings.lost_after)


def _track(rows: Rows, detections: Detections, frame_size: tuple[int, int]) -> Track:
    """The track of a chain of boxes, in every frame from its first sighting to its last, not numbered yet."""
    frames = detections.frame_index[rows]
    every = np.arange(frames[0], frames[-1] + 1)
    times, seen_at = detections.pts_us[every], detections.pts_us[frames]
    seen = np.isin(every, frames)
    values = np.column_stack((detections.boxes[rows], detections.confidence[rows])).astype(np.float64)
    filled = np.column_stack([np.interp(times, seen_at, column) for column in values.T])
    boxes = np.clip(smoothed(times / 1e6, filled[:, :4], seen), 0, np.array(frame_size * 2))
    return Track(
        track_id=0,
        frame_number=detections.frame_number[every],
        time_us=times,
        boxes=boxes.astype(np.float32),
        confidence=filled[:, 4].astype(np.float32),
        interpolated=~seen,
    )
