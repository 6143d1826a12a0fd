"""Boxes to tracks, knowing the whole video: what comes later tells who it was before.

    tracklets   runs of boxes that can only be one person; they end where it is unclear who is who
    seams       tracklets that changed hands are cut
    linking     tracklets of one person are joined over the gaps, by motion both ways, height, place and colours
    smoothing   cut-off boxes are made whole, gaps filled, jitter removed
    ghosts      what was nobody is dropped

A long video is tracked in windows of ten minutes (`windows`), and who is in view at the end of one is followed into the
next (`people`): memory holds one window, and those in view.

All settings and constants are in seconds, body heights and nats, so the same ones serve 5, 10 and 30 frames a second.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.arrays import Detections, Track
from pc_pipeline.vision.track.ghosts import without_scraps
from pc_pipeline.vision.track.likeness import Likeness
from pc_pipeline.vision.track.linking import link
from pc_pipeline.vision.track.people import Followed, People
from pc_pipeline.vision.track.seams import split_at_seams
from pc_pipeline.vision.track.sightings import Rows, sightings_of
from pc_pipeline.vision.track.tracklets import tracklets
from pc_pipeline.vision.track.windows import WINDOW_S, windows

if TYPE_CHECKING:
    from pc_pipeline.ingest.site import TrackerConfig


def track(
    detections: Detections, settings: "TrackerConfig", frame_size: tuple[int, int]
) -> tuple[list[Track], NDArray[np.int32]]:
    """Tracks of one video that is in memory whole, and the track of every detection; see `follow`.

    Returns:
        tracks: in order of first sighting, track_id 1, 2, ...
        track_ids: int32[N], 0 where no track took the detection.
    """
    found = sorted(follow([detections], settings, frame_size), key=lambda one: one.track.track_id)
    track_ids = np.zeros(len(detections.boxes), np.int32)
    for number, one in enumerate(found, start=1):
        track_ids[one.rows] = number
    return [replace(one.track, track_id=number) for number, one in enumerate(found, start=1)], track_ids


def follow(
    pieces: Iterable[Detections], settings: "TrackerConfig", frame_size: tuple[int, int], window_s: float = WINDOW_S
) -> Iterator[Followed]:
    """Tracks of one video, as people leave it. The same video gives the same tracks, in whatever pieces it comes.

    A video of at most `window_s` seconds is tracked as a whole, a longer one in windows that are at most so long: what
    happens later in it then tells nothing of who was who before.

    Args:
        pieces: detections of one class or several, all tracked alike; each piece follows the one before.
        settings: thresholds 0..1, durations in seconds.
        frame_size: width and height of the upright frames, pixels; boxes stay inside.

    Returns:
        Each person once: a box in every sampled frame from the first to the last sighting, smoothed, and `interpolated`
        where nobody was seen. Confidence is that of the sighting, linear between sightings. In order of their
        `track_id` people are in order of first sighting.
    """
    people = People(settings, frame_size)
    for window in windows(pieces, settings.lost_after, window_s):
        yield from people.see(window, _chains(window.detections, frame_size, settings))


def _chains(detections: Detections, frame_size: tuple[int, int], settings: "TrackerConfig") -> list[Rows]:
    """The boxes of each person, in order of the first one."""
    sightings = sightings_of(detections, frame_size)
    runs = tracklets(detections, sightings)
    likeness = Likeness(sightings, runs)
    pieces = split_at_seams(sightings, runs, likeness)
    return link(sightings, without_scraps(pieces, detections, settings), likeness, settings.lost_after)
