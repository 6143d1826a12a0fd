"""Ghosts: chains of boxes that are nobody, judged by their whole life."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.arrays import Detections, Track
from pc_pipeline.vision.track.sightings import Rows

if TYPE_CHECKING:
    from pc_pipeline.ingest.site import TrackerConfig

# Who is seen in less than this share of the frames from first to last was put together from scraps.
LEAST_SEEN = 0.3
# A glimpse of a box or two is believed where the detector is this sure.
SURE_GLIMPSE = 0.6
# A world-class sprint is 12 m/s, 7 body heights a second: boxes that keep that up are scraps of several people.
FASTEST = 7.0
# A second box on a person: this share of it, for this share of its life, lies in another one of like height.
INSIDE, MOSTLY, LIKE_HEIGHT = 0.7, 0.7, 1.5
# A poster or a coat stand: so long, within this many body heights of one place, and never sure.
STILL_S, STILL = 60.0, 0.25


def without_scraps(pieces: list[Rows], detections: Detections, settings: "TrackerConfig") -> list[Rows]:
    """The pieces that are somebody's: a few weak boxes are sooner a bush than a glimpse of a person, who is followed
    without them too."""
    return [
        rows
        for rows in pieces
        if len(rows) >= settings.min_sightings or detections.confidence[rows].max() >= SURE_GLIMPSE
    ]


def is_person(
    frames: NDArray[np.int64],
    time_us: NDArray[np.int64],
    confidence: NDArray[np.float32],
    settings: "TrackerConfig",
) -> bool:
    """Whether a chain of K boxes, in these frames at these times, was seen often, long and surely enough to be
    somebody."""
    return bool(
        len(frames) >= settings.min_sightings
        and time_us[-1] - time_us[0] >= settings.min_duration * 1e6
        and confidence.max() >= settings.new_track_confidence
        and len(frames) >= LEAST_SEEN * (frames[-1] - frames[0] + 1)
    )


def moves_like_a_person(track: Track, settings: "TrackerConfig") -> bool:
    """Whether the path is neither faster than anybody runs nor that of a thing that stands there."""
    if len(track.time_us) < 2:
        return True
    body = float(np.median(track.height))
    seconds = np.diff(track.time_us) / 1e6
    speed = np.hypot(*np.diff(track.foot, axis=0).T) / body / seconds
    away = np.hypot(*(track.foot - np.median(track.foot, axis=0)).T) / body
    still = seconds.sum() >= STILL_S and away.max() <= STILL
    sure = float(np.median(track.confidence)) >= settings.new_track_confidence
    return bool(np.median(speed) <= FASTEST and (sure or not still))


def is_second_box(track: Track, others: list[Track]) -> bool:
    """Whether most of a track's life lies inside another one's box of like height, longer, or seen more surely."""
    beside = [o for o in others if o.time_us[0] <= track.time_us[-1] and track.time_us[0] <= o.time_us[-1]]
    return any(is_inside(track, other) for other in beside if _rank(other) > _rank(track))


def _rank(track: Track) -> tuple[float, ...]:
    return (len(track.time_us), float(track.confidence.sum()), *track.boxes[0].tolist())


def is_inside(track: Track, other: Track) -> bool:
    """Whether most of a track's life lies inside another one's box of like height."""
    _, mine, theirs = np.intersect1d(track.frame_number, other.frame_number, assume_unique=True, return_indices=True)
    if len(mine) < MOSTLY * len(track.frame_number):
        return False
    boxes, around = track.boxes[mine].astype(np.float64), other.boxes[theirs].astype(np.float64)
    corners = np.minimum(boxes[:, 2:], around[:, 2:]) - np.maximum(boxes[:, :2], around[:, :2])
    shared = np.maximum(corners, 0).prod(axis=1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    heights = other.height[theirs] / track.height[mine]
    double = (shared >= INSIDE * area) & (heights <= LIKE_HEIGHT) & (heights >= 1 / LIKE_HEIGHT)
    return bool(double.sum() >= MOSTLY * len(track.frame_number))
