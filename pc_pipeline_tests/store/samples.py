"""Rows and arrays for the store's tests."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from psycopg2.extensions import connection as Connection

from pc_pipeline.vision.arrays import Detections, PictureSignals, Track
from pc_pipeline_tests.store.recorded import add_recording

START = datetime(2026, 3, 2, 8, 30, 0, 250_000, tzinfo=UTC)


def add_session(connection: Connection, video_id: int = 7, camera: str = "door", started_at: datetime = START) -> int:
    """A camera, a video of it, and its session; returns the id of both."""
    add_recording(connection, video_id, started_at, started_at, ZoneInfo("UTC"), camera=camera)
    return video_id


def some_detections(frames: int = 40, boxes: int = 3, step_us: int = 100_000, seed: int = 0) -> Detections:
    """`frames` sampled frames with `boxes` boxes each, but none in every fifth."""
    random = np.random.default_rng(seed)
    counts = np.full(frames, boxes)
    counts[4::5] = 0
    rows = int(counts.sum())
    corner = random.uniform(0, 300, (rows, 2))
    return Detections(
        frame_number=np.arange(0, 3 * frames, 3, dtype=np.int32),
        pts_us=np.arange(frames, dtype=np.int64) * step_us,
        offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        boxes=np.hstack((corner, corner + random.uniform(1, 100, (rows, 2)))).astype(np.float32),
        confidence=random.uniform(0, 1, rows).astype(np.float32),
        class_id=np.zeros(rows, dtype=np.int16),
    )


def some_picture(detections: Detections, seed: int = 0) -> PictureSignals:
    """Signals at every second sampled frame, and a whole picture at every eighth."""
    random = np.random.default_rng(seed)
    pts = detections.pts_us[::2]
    mean, spread, detail, change = random.uniform(0, 255, (4, len(pts))).astype(np.float32)
    shown = np.arange(len(pts), dtype=np.int32)
    whole = random.integers(0, 255, (len(pts[::4]), 96, 128), np.uint8)
    return PictureSignals(pts, mean, spread, detail, change, shown, pts[::4], whole)


def some_track(track_id: int = 1, sightings: int = 5, seed: int = 0) -> Track:
    """A track whose second sighting is interpolated."""
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 300, (sightings, 2))
    return Track(
        track_id=track_id,
        frame_number=np.arange(sightings, dtype=np.int32),
        time_us=np.arange(sightings, dtype=np.int64) * 40_000,
        boxes=np.hstack((corner, corner + 50)).astype(np.float32),
        confidence=random.uniform(0, 1, sightings).astype(np.float32),
        interpolated=np.arange(sightings) == 1,
    )
