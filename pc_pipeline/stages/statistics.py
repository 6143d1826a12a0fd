"""The `run_gender_summary` and `session_statistics` stages: one row a session each."""

import datetime as dt

import numpy as np
from psycopg2.extensions import connection as Connection

from pc_pipeline.counting.occupancy import mean_occupancy, occupancy_steps, peak_occupancy
from pc_pipeline.stages.machine import Machine
from pc_pipeline.stages.written import Written
from pc_pipeline.store import counts, metrics, sessions
from pc_pipeline.store.ledger import CameraSpan, Video


def write_gender_summary(
    connection: Connection, machine: Machine, span: CameraSpan, video: Video, fingerprint: str
) -> Written:
    """Count a session's people by apparent gender."""
    summary = counts.replace_gender_summary(connection, video.video_id)
    return Written(rows=1, details=dict(summary))


def write_session(
    connection: Connection, machine: Machine, span: CameraSpan, video: Video, fingerprint: str
) -> Written:
    """Write a session's figures, and what came and went in each of its minutes, and close it: `completed`."""
    assert video.ended_at
    moved = counts.movements(connection, video.video_id)
    length_us = (video.ended_at - video.started_at) // dt.timedelta(microseconds=1)
    times = np.array([(ts - video.started_at) // dt.timedelta(microseconds=1) for ts, _ in moved], dtype=np.int64)
    deltas = np.array([1 if direction == "in" else -1 for _, direction in moved], dtype=np.int64)
    occupancy, correction = occupancy_steps(times, deltas)
    counts.replace_session_statistics(
        connection,
        video.video_id,
        video.camera,
        peak=peak_occupancy(times, occupancy, 0, length_us),
        mean=round(mean_occupancy(times, occupancy, 0, length_us), 6),
        correction=correction,
        coverage_ms=length_us // 1000,
    )
    metrics.count_minutes(connection, video.video_id)
    sessions.set_status(connection, video.video_id, "completed")
    entered = int((deltas > 0).sum())
    return Written(rows=1, details={"in": entered, "out": len(deltas) - entered})
