"""Hourly and daily statistics: delete the partition, then insert it from tracks and movements."""

import datetime as dt
from dataclasses import dataclass
from functools import cache
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from pc_pipeline.settings import SQL_DIR


@dataclass(frozen=True)
class Rolled:
    """Rows written, and the sums over them; coverage in seconds."""

    rows: int
    entered: int
    exited: int
    coverage_s: float


def local_midnight(date: dt.date, zone: ZoneInfo) -> dt.datetime:
    """The instant (UTC) a local date begins: its midnight, or where the clocks jumped over it, the jump."""
    return dt.datetime.combine(date, dt.time(), zone).astimezone(dt.UTC)


def day_of(date: dt.date, zone: ZoneInfo) -> tuple[dt.datetime, dt.datetime]:
    """The (start, end) of a local date in UTC: equal for the one date a zone left out (Apia, 2011-12-30)."""
    return local_midnight(date, zone), local_midnight(date + dt.timedelta(days=1), zone)


def hours_of(date: dt.date, zone: ZoneInfo) -> list[tuple[dt.datetime, dt.datetime]]:
    """The hours of a local date as (start, end) in UTC: 23, 24 or 25 of them, counted from its midnight.

    Example:
        >>> len(hours_of(dt.date(2026, 3, 29), ZoneInfo("Europe/London")))
        23
    """
    start, end = day_of(date, zone)
    hours = []
    while start < end:
        hours.append((start, min(start + dt.timedelta(hours=1), end)))
        start = hours[-1][1]
    return hours


@cache
def _statement(name: str) -> str:
    figures = (SQL_DIR / "rollups" / "figures.sql").read_text()
    return (SQL_DIR / "rollups" / f"{name}.sql").read_text().replace("{figures}", figures)


def roll_hours(connection: Connection, camera: str, date: dt.date, zone: ZoneInfo) -> Rolled:
    """Replace `hourly_statistics` of one camera-day."""
    with _alone(connection, f"hourly {camera} {date}") as cursor:
        cursor.execute("DELETE FROM hourly_statistics WHERE camera = %s AND date = %s", (camera, date))
    return _roll(connection, "hourly", [camera], date, hours_of(date, zone))


def roll_day(connection: Connection, date: dt.date, zone: ZoneInfo) -> Rolled:
    """Replace `daily_statistics` of one date, for all cameras."""
    with _alone(connection, f"daily {date}") as cursor:
        cursor.execute("DELETE FROM daily_statistics WHERE date = %s", (date,))
    return _roll(connection, "daily", None, date, [day_of(date, zone)])


def _alone(connection: Connection, partition: str) -> Cursor:
    """A cursor, once no other transaction rolls the same partition."""
    cursor = connection.cursor()
    cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('pc rollup ' || %s, 0))", (partition,))
    return cursor


def _roll(
    connection: Connection,
    name: str,
    cameras: list[str] | None,
    date: dt.date,
    buckets: list[tuple[dt.datetime, dt.datetime]],
) -> Rolled:
    with connection.cursor() as cursor:
        starts, ends = [start for start, _ in buckets], [end for _, end in buckets]
        cursor.execute(_statement(name), {"cameras": cameras, "date": date, "starts": starts, "ends": ends})
        rows = cursor.fetchall()
    return Rolled(len(rows), sum(r[0] for r in rows), sum(r[1] for r in rows), sum(r[3] for r in rows) / 1000)
