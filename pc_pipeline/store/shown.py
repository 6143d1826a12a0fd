"""What pictures show of counted videos: which video a file is, who crossed, who stayed, and boxes without a track."""

import datetime as dt

import numpy as np
from numpy.typing import NDArray
from psycopg2.extensions import connection as Connection

Place = tuple[int, str, dt.date]
"""(video id, camera, local date)."""


def videos_with(connection: Connection, content_hash: str) -> list[tuple[str, Place]]:
    """The path and place of every video with this content, in order of their start."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT path, video_id, camera, date FROM videos WHERE content_hash = %s ORDER BY started_at, camera",
            (content_hash,),
        )
        return [(path, (video_id, camera, date)) for path, video_id, camera, date in cursor.fetchall()]


def place_of(connection: Connection, video_id: int) -> Place | None:
    """Where a video belongs; None where there is none of this id."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT video_id, camera, date FROM videos WHERE video_id = %s", (video_id,))
        return cursor.fetchone()


def crossings(connection: Connection, video_id: int) -> list[tuple[dt.datetime, str, str, float, float]]:
    """(time, line, direction, x, y) of a video's crossings in order of time; the place in pixels."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ts, line, direction, centroid_x, centroid_y FROM people_movements WHERE video_id = %s"
            " ORDER BY ts, track_id, line, crossing",
            (video_id,),
        )
        return cursor.fetchall()


def stays(
    connection: Connection, camera: str, start: dt.datetime, end: dt.datetime
) -> list[tuple[str, dt.datetime, dt.datetime]]:
    """(zone, entered, exited) of a camera's stays that last into the time from `start` to `end`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT zone, entered_at, exited_at FROM zone_visits"
            " WHERE camera = %s AND entered_at < %s AND exited_at > %s ORDER BY entered_at",
            (camera, end, start),
        )
        return cursor.fetchall()


def has_detections(connection: Connection, video_id: int, start: dt.datetime, end: dt.datetime) -> bool:
    """Whether the boxes of a video, which goes from `start` to `end`, are still kept."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM detections WHERE video_id = %s AND ts >= %s AND ts <= %s)",
            (video_id, start, end),
        )
        (kept,) = cursor.fetchone() or (False,)
    return kept


def untracked(
    connection: Connection, video_id: int, start: dt.datetime, end: dt.datetime
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The boxes of a video that no track took.

    Args:
        start, end: the video's: they keep the search to the partitions it can be in.

    Returns:
        int64[N], µs from `start`; float32[N, 4], x1, y1, x2, y2, pixels.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (extract(epoch FROM ts - %(start)s) * 1000000)::bigint, x1, y1, x2, y2 FROM detections"
            " WHERE video_id = %(id)s AND ts >= %(start)s AND ts <= %(end)s AND track_id = 0 ORDER BY ts",
            {"id": video_id, "start": start, "end": end},
        )
        rows = cursor.fetchall()
    table = np.array(rows, np.float64).reshape(-1, 5)
    return table[:, 0].astype(np.int64), table[:, 1:].astype(np.float32)


def sample_every_s(connection: Connection, video_id: int) -> float:
    """Seconds between the frames of a video that people were looked for in, 0 for every frame."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sample_every_s FROM sessions WHERE video_id = %s", (video_id,))
        (seconds,) = cursor.fetchone() or (0.0,)
    return seconds
