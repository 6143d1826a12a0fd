"""Rows and arrays for the store's tests."""

from datetime import UTC, datetime

import numpy as np
from psycopg2.extensions import connection as Connection

from pc_pipeline.vision.arrays import Detections, Track

START = datetime(2026, 3, 2, 8, 30, 0, 250_000, tzinfo=UTC)


def add_session(connection: Connection, video_id: int = 7, camera: str = "door", started_at: datetime = START) -> int:
    """A camera, a video of it, and its session; returns the id of both."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO cameras (camera) VALUES (%s) ON CONFLICT DO NOTHING", (camera,))
        cursor.execute(
            "INSERT INTO ai_models (sha256, name, kind, backend) VALUES ('m', 'hog', 'detector', 'hog')"
            " ON CONFLICT DO NOTHING"
        )
        cursor.execute(
            "INSERT INTO videos (video_id, camera, started_at, date, path, content_hash, size_bytes, mtime_ns, width,"
            " height, nominal_fps, codec, container)"
            " VALUES (%s, %s, %s, %s, 'a.mp4', 'h', 1, 1, 640, 480, 25, 'h264', 'mov')",
            (video_id, camera, started_at, started_at.date()),
        )
        cursor.execute(
            "INSERT INTO sessions (session_id, video_id, camera, name, input_source, status, confidence_threshold,"
            " sample_every_s, fps, frames, frames_sampled, width, height, started_at, ended_at, model_sha256)"
            " VALUES (%s, %s, %s, 'a', 'a.mp4', 'completed', 0.25, 0.1, 25, 100, 40, 640, 480, %s, %s, 'm')",
            (video_id, video_id, camera, started_at, started_at),
        )
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
