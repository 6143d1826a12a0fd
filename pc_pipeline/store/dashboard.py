"""What the dashboard reads from Redis, taken from Postgres: the summary, the recent tracks, hours and days."""

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection

from pc_pipeline.store import figures
from pc_pipeline.store.cache import Cache

RECENT_TRACKS = 50
RECENT_DAYS = 31


@dataclass(frozen=True)
class Warmed:
    """Keys written, and keys that could not be, since Redis is not there."""

    written: int
    missed: int


def _warmed(results: list[bool]) -> Warmed:
    return Warmed(sum(results), len(results) - sum(results))


def warm_summary(connection: Connection, cache: Cache, zone: ZoneInfo, today: dt.date) -> Warmed:
    """The figures over all data, and of each camera."""
    summary = figures.summary(connection, zone, today)
    results = [cache.set_json("summary", value=summary)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT camera FROM daily_statistics ORDER BY camera")
        cameras = [camera for (camera,) in cursor]
    for camera in cameras:
        of_camera = figures.summary(connection, zone, today, camera)
        results.append(cache.set_json("summary", camera, value=of_camera))
    return _warmed(results)


def warm_recent_tracks(connection: Connection, cache: Cache, zone: ZoneInfo) -> Warmed:
    """The tracks that began last: each under its own key, and the list of them."""
    tracks = figures.tracks(connection, zone, RECENT_TRACKS)
    results = [cache.cache_track(track["session_id"], track["track_id"], track) for track in tracks]
    return _warmed([*results, cache.set_json("tracks", "recent", value=tracks)])


def warm_hourly(connection: Connection, cache: Cache) -> Warmed:
    """The hours of each camera's most recent days with video."""
    results = []
    for camera, date in _recent_days(connection):
        hours = figures.hourly(connection, camera, date)
        results.append(cache.set_json("hourly", camera, date, value=hours))
    return _warmed(results)


def warm_daily(connection: Connection, cache: Cache) -> Warmed:
    """The most recent days with video, all cameras."""
    dates = sorted({date for _, date in _recent_days(connection)})
    return _warmed([cache.set_json("daily", date, value=figures.daily(connection, None, date)) for date in dates])


def _recent_days(connection: Connection) -> list[tuple[str, dt.date]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT camera, date FROM (
                SELECT DISTINCT camera, date, dense_rank() OVER (PARTITION BY camera ORDER BY date DESC) AS place
                  FROM hourly_statistics) AS days
             WHERE place <= %s ORDER BY camera, date
            """,
            (RECENT_DAYS,),
        )
        return cursor.fetchall()
