"""Boxes to tracks: ByteTrack (arXiv 2110.06864, the `trackers` package) over stored detections, gaps filled afterwards.

The tracker decides online, from frame to frame; what follows here uses that the whole video is known: a track's first
box is taken back from the frame before ByteTrack was sure, ghosts are dropped by their whole length, gaps are filled.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.arrays import Detections, Track

if TYPE_CHECKING:
    from pc_pipeline.ingest.site import TrackerConfig

CODE_VERSION = "1"
# ByteTrack numbers a track at its second sighting in a row.
SIGHTINGS_TO_CONFIRM = 2


def track(
    detections: Detections, settings: "TrackerConfig", frame_size: tuple[int, int]
) -> tuple[list[Track], NDArray[np.int32]]:
    """Tracks of one video, and the track of every detection. The same input gives the same output.

    Args:
        detections: of one class or several; all are tracked alike.
        settings: thresholds 0..1, durations in seconds.
        frame_size: width and height of the upright frames, pixels; filled-in boxes stay inside.

    Returns:
        tracks: in order of first sighting, track_id 1, 2, ...; interpolated where an unseen frame was filled in, with
            box and confidence linear between the sightings around it.
        track_ids: int32[N], 0 where no track took the detection.
    """
    raw_ids = _first_sightings(detections, _bytetrack(detections, settings), settings.min_iou)
    track_ids = np.zeros(len(raw_ids), np.int32)
    frame_index = detections.frame_index
    tracks: list[Track] = []
    ids, first_rows = np.unique(raw_ids, return_index=True)
    for raw_id in ids[np.argsort(first_rows, kind="stable")]:
        if raw_id == 0:
            continue
        rows = np.flatnonzero(raw_ids == raw_id)
        times = detections.pts_us[frame_index[rows]]
        if len(rows) < settings.min_sightings or times[-1] - times[0] < settings.min_duration * 1e6:
            continue
        track_ids[rows] = len(tracks) + 1
        tracks.append(_filled(len(tracks) + 1, detections, rows, frame_index[rows], frame_size))
    return tracks, track_ids


def _bytetrack(detections: Detections, settings: "TrackerConfig") -> NDArray[np.int64]:
    """int64[N]: ByteTrack's own ids from 1, 0 where it gave none."""
    import supervision
    from trackers import ByteTrackTracker

    raw_ids = np.zeros(len(detections.boxes), np.int64)
    steps = np.diff(detections.pts_us)
    step_us = float(np.median(steps)) if len(steps) else 1e6
    tracker = ByteTrackTracker(
        # Counted in frames at 30 a second by the package, whatever the frame rate; with timestamps it is exact seconds.
        lost_track_buffer=round(settings.lost_after * 30),
        frame_rate=1e6 / step_us,
        track_activation_threshold=settings.new_track_confidence,
        minimum_consecutive_frames=SIGHTINGS_TO_CONFIRM,
        minimum_iou_threshold=settings.min_iou,
        high_conf_det_threshold=settings.high_confidence,
    )
    for frame, pts_us in enumerate(detections.pts_us):
        start, end = detections.offsets[frame : frame + 2]
        found = tracker.update(
            supervision.Detections(
                xyxy=detections.boxes[start:end].astype(np.float64),
                confidence=detections.confidence[start:end].astype(np.float64),
                data={"row": np.arange(start, end)},
            ),
            timestamp=float(pts_us) / 1e6,
        )
        if len(found):
            raw_ids[found.data["row"]] = np.asarray(found.tracker_id) + 1
    return raw_ids


def _first_sightings(detections: Detections, raw_ids: NDArray[np.int64], min_iou: float) -> NDArray[np.int64]:
    """Gives each track the box it began with: in the frame before its first, the free box it overlaps most."""
    raw_ids = raw_ids.copy()
    frame_index = detections.frame_index
    ids, first_rows = np.unique(raw_ids, return_index=True)
    for raw_id, row in zip(ids, first_rows, strict=True):
        frame = frame_index[row]
        if raw_id == 0 or frame == 0:
            continue
        before = np.arange(detections.offsets[frame - 1], detections.offsets[frame])
        free = before[raw_ids[before] == 0]
        if not len(free):
            continue
        overlap = _iou(detections.boxes[row], detections.boxes[free])
        if overlap.max() >= min_iou:
            raw_ids[free[overlap.argmax()]] = raw_id
    return raw_ids


def _filled(
    track_id: int,
    detections: Detections,
    rows: NDArray[np.intp],
    frames: NDArray[np.int64],
    frame_size: tuple[int, int],
) -> Track:
    """The track with a box in every sampled frame between its first and last sighting."""
    every = np.arange(frames[0], frames[-1] + 1)
    times, seen_at = detections.pts_us[every], detections.pts_us[frames]
    seen = np.isin(every, frames)
    values = np.column_stack((detections.boxes[rows], detections.confidence[rows])).astype(np.float64)
    filled = np.column_stack([np.interp(times, seen_at, column) for column in values.T]).astype(np.float32)
    filled[:, :4] = np.clip(filled[:, :4], 0, np.array(frame_size * 2, np.float32))
    filled[seen] = values.astype(np.float32)
    return Track(
        track_id=track_id,
        frame_number=detections.frame_number[every],
        time_us=times,
        boxes=filled[:, :4],
        confidence=filled[:, 4],
        interpolated=~seen,
    )


def _iou(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    size = np.maximum(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0)
    shared = size.prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    return shared / np.maximum((box[2:] - box[:2]).prod() + areas - shared, 1e-9)
