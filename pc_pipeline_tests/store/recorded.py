"""Sessions with people and movements, written straight into their tables."""

import datetime as dt
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection

Seen = tuple[dt.datetime, dt.datetime, int]
"""A track: first and last sighting, gender (0 unknown, 1 male, 2 female)."""
Moved = tuple[dt.datetime, int, str]
"""A movement: when, of which track, `in` or `out`."""
Stayed = tuple[dt.datetime, dt.datetime, int, str]
"""A stay: entered, exited, of which track, in which zone; its coming and going were seen."""


def add_recording(
    connection: Connection,
    video_id: int,
    start: dt.datetime,
    end: dt.datetime,
    zone: ZoneInfo,
    people: Sequence[Seen] = (),
    moved: Sequence[Moved] = (),
    *,
    camera: str = "door",
    status: str = "completed",
    line: str = "sill",
    stays: Sequence[Stayed] = (),
) -> None:
    """A video, its session, tracks numbered from 1, movements over one line, and stays in zones."""
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
            (video_id, camera, start, start.astimezone(zone).date()),
        )
        cursor.execute(
            "INSERT INTO sessions (session_id, video_id, camera, name, input_source, status, confidence_threshold,"
            " sample_every_s, fps, frames, frames_sampled, width, height, started_at, ended_at, model_sha256)"
            " VALUES (%s, %s, %s, 'a', 'a.mp4', %s, 0.25, 0.1, 25, 100, 40, 640, 480, %s, %s, 'm')",
            (video_id, video_id, camera, status, start, end),
        )
        for track_id, (first, last, gender) in enumerate(people, 1):
            cursor.execute(
                "INSERT INTO tracks VALUES (%s, %s, %s, %s, 5, 0.5, '{}')", (video_id, track_id, first, last)
            )
            cursor.execute("INSERT INTO track_genders VALUES (%s, %s, %s, 0, 0)", (video_id, track_id, gender))
        for number, (ts, track_id, direction) in enumerate(moved, 1):
            cursor.execute(
                "INSERT INTO people_movements VALUES (%s, %s, %s, %s, %s, %s, 0, 0, 0, 0, 0, 0, 0.5, 0, %s)",
                (video_id, track_id, line, number, direction, ts, camera),
            )
        for number, (entered, exited, track_id, place) in enumerate(stays, 1):
            cursor.execute(
                "INSERT INTO zone_visits (video_id, track_id, zone, visit, camera, entered_at, exited_at, entered_seen,"
                " exited_seen) VALUES (%s, %s, %s, %s, %s, %s, %s, true, true)",
                (video_id, track_id, place, number, camera, entered, exited),
            )


def link(connection: Connection, video_id: int, track_id: int, previous_video_id: int, previous_track_id: int) -> None:
    """Say that a track goes on from one of the file before."""
    connection.cursor().execute(
        "INSERT INTO track_links VALUES (%s, %s, %s, %s)", (video_id, track_id, previous_video_id, previous_track_id)
    )
