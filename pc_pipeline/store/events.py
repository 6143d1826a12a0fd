"""`camera_events` and the pictures that one video of a camera hands on to the next."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from psycopg2.extensions import connection as Connection
from psycopg2.extras import RealDictCursor, execute_values

from pc_pipeline.store.rollups import day_of, hours_of
from pc_pipeline.vision.picture import HEIGHT, WIDTH, Picture


@dataclass(frozen=True)
class CameraEvent:
    """A time in which a camera gave no video, or none to count people in; see `camera_events` for `value`."""

    kind: str
    started_at: dt.datetime
    ended_at: dt.datetime
    value: float
    detail: str


def replace_events(connection: Connection, video_id: int, camera: str, rows: Sequence[CameraEvent]) -> None:
    """Replace the events that belong to a video."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM camera_events WHERE video_id = %s", (video_id,))
        execute_values(
            cursor,
            "INSERT INTO camera_events (video_id, camera, kind, started_at, ended_at, value, detail) VALUES %s",
            [(video_id, camera, r.kind, r.started_at, r.ended_at, r.value, r.detail) for r in rows],
        )


def replace_reference(connection: Connection, video_id: int, picture: Picture | None, sharpness: float | None) -> None:
    """Replace a video's reference picture; a video that shows nothing has none."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM reference_pictures WHERE video_id = %s", (video_id,))
        if picture is not None and sharpness is not None:
            cursor.execute(
                "INSERT INTO reference_pictures (video_id, sharpness, picture) VALUES (%s, %s, %s)",
                (video_id, sharpness, picture.tobytes()),
            )


def reference_picture(connection: Connection, video_id: int) -> Picture | None:
    """A video's reference picture, uint8[96, 128]; None where it has none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT picture FROM reference_pictures WHERE video_id = %s", (video_id,))
        row = cursor.fetchone()
    return np.frombuffer(row[0], np.uint8).reshape(HEIGHT, WIDTH) if row else None


def clear(connection: Connection, video_id: int) -> None:
    """Delete what hangs on a video's picture."""
    replace_reference(connection, video_id, None, None)
    replace_events(connection, video_id, "", [])


def events(
    connection: Connection, zone: ZoneInfo, camera: str | None = None, date: dt.date | None = None
) -> list[dict[str, Any]]:
    """The events that touch a local date (default: all), of one camera or all, oldest first, ready for JSON.

    `seconds` is how long each lasts, within the date where one is given.
    """
    start, end = day_of(date, zone) if date else (None, None)
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            SELECT camera, kind, started_at, ended_at, value, detail, video_id AS session_id,
                   extract(epoch FROM least(ended_at, %(end)s) - greatest(started_at, %(start)s))::double precision
                       AS seconds
              FROM camera_events
             WHERE (%(camera)s::text IS NULL OR camera = %(camera)s)
               AND (%(start)s::timestamptz IS NULL OR (started_at < %(end)s AND ended_at > %(start)s))
             ORDER BY camera, started_at, kind, video_id
            """,
            {"camera": camera, "start": start, "end": end},
        )
        return [dict(row) for row in cursor.fetchall()]


def by_day(found: Sequence[dict[str, Any]], zone: ZoneInfo) -> dict[tuple[str, dt.date], list[dict[str, Any]]]:
    """What `events` gave, by camera and local date; `seconds` is how long each lasts on that date."""
    days: dict[tuple[str, dt.date], list[dict[str, Any]]] = {}
    for event in found:
        date, last = (event[end].astimezone(zone).date() for end in ("started_at", "ended_at"))
        while date <= last:
            start, end = day_of(date, zone)
            days.setdefault((event["camera"], date), []).extend(_within([event], start, end))
            date += dt.timedelta(days=1)
    return days


def _within(found: Sequence[dict[str, Any]], start: dt.datetime, end: dt.datetime) -> list[dict[str, Any]]:
    """The events that touch [start, end), with the seconds they last in it."""
    return [
        {**event, "seconds": (min(event["ended_at"], end) - max(event["started_at"], start)).total_seconds()}
        for event in found
        if event["started_at"] < end and event["ended_at"] > start
    ]


def hours(
    connection: Connection, zone: ZoneInfo, now: dt.datetime, camera: str | None = None, date: dt.date | None = None
) -> list[dict[str, Any]]:
    """Every hour, up to `now`, of the local dates that have video: `hourly_coverage`, by camera and time.

    A date that is asked for by name comes with all its hours, whether or not it has video.
    """
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            "SELECT camera, date, hour_start, coverage_seconds, no_data, events FROM hourly_coverage"
            " WHERE (%(camera)s::text IS NULL OR camera = %(camera)s) AND (%(date)s::date IS NULL OR date = %(date)s)"
            " ORDER BY camera, hour_start",
            {"camera": camera, "date": date},
        )
        found = [dict(row) for row in cursor.fetchall()]
        cursor.execute("SELECT DISTINCT camera FROM videos WHERE %s::text IS NULL OR camera = %s", (camera, camera))
        counted = {row["camera"] for row in cursor.fetchall()} if date else set()
    for silent in sorted(counted - {row["camera"] for row in found}):
        assert date
        touching = events(connection, zone, silent, date)
        found += [
            {
                "camera": silent, "date": date, "hour_start": start, "coverage_seconds": 0.0, "no_data": True,
                "events": _within(touching, start, end),
            }
            for start, end in hours_of(date, zone) if start < now
        ]  # fmt: skip
    return sorted(found, key=lambda row: (row["camera"], row["hour_start"]))


def silent_days(connection: Connection, camera: str | None = None) -> list[tuple[str, dt.date]]:
    """(camera, local date) of the days without video between the first and the last day that a camera has counts of."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT camera, day::date FROM (
                SELECT camera, min(date) AS first, max(date) AS last FROM daily_statistics
                 WHERE %s::text IS NULL OR camera = %s GROUP BY camera) AS span,
                generate_series(first, last, interval '1 day') AS day
             WHERE NOT EXISTS (SELECT FROM daily_statistics d WHERE d.camera = span.camera AND d.date = day::date)
             ORDER BY camera, day
            """,
            (camera, camera),
        )
        return cursor.fetchall()
