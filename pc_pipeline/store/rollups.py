"""Hourly and daily statistics: delete the partition, then insert it from tracks, movements and stays."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from pc_pipeline.settings import SQL_DIR

# A video's marks in the stage ledger: its session statistics are in the hours (in the row of the day) of the day it
# starts in, and of the next.
_HOURS = ("hourly_statistics", "hourly_statistics of the next day")
_DAY = ("daily_statistics", "daily_statistics of the next day")


@dataclass(frozen=True)
class Rolled:
    """Rows written, and the sums over them; coverage in seconds. The rows of the cameras in `kept` stay as they were,
    because tracks or movements they were made from have gone by retention."""

    rows: int
    entered: int
    exited: int
    coverage_s: float
    kept: tuple[str, ...] = ()


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


def roll_hours(connection: Connection, cameras: list[str], date: dt.date, zone: ZoneInfo) -> Rolled:
    """Replace `hourly_statistics` of one date for these cameras; many at once take less than one by one."""
    with _alone(connection, [f"hourly {camera} {date}" for camera in cameras]) as cursor:
        _mark_rolled(cursor, cameras, date, _HOURS)
        kept = settled_cameras(connection, date, cameras)
        free = [camera for camera in cameras if camera not in kept]
        cursor.execute("DELETE FROM hourly_statistics WHERE camera = ANY (%s) AND date = %s", (free, date))
    return replace(_roll(connection, "hourly", free, date, zone, hours_of(date, zone)), kept=tuple(kept))


def settled_cameras(connection: Connection, date: dt.date, cameras: list[str] | None = None) -> list[str]:
    """Those of the cameras (None: of all) whose hours and day of a date cannot be made again: tracks or movements of a
    video of that day or the day before have gone by retention."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT v.camera FROM videos v JOIN stage_ledger l USING (video_id)"
            " WHERE v.date IN (%(date)s, %(date)s::date - 1)"
            " AND l.stage = 'session_statistics' AND l.status = 'expired'"
            " AND (%(cameras)s::text[] IS NULL OR v.camera = ANY (%(cameras)s)) ORDER BY 1",
            {"date": date, "cameras": cameras},
        )
        return [camera for (camera,) in cursor]


def hold_rollups(connection: Connection, camera: str, dates: Iterable[dt.date]) -> None:
    """Keep these dates' hours and days of a camera from being rolled until the transaction ends."""
    _alone(connection, [name for date in dates for name in (f"hourly {camera} {date}", f"daily {date}")]).close()


def _mark_rolled(cursor: Cursor, cameras: list[str] | None, date: dt.date, marks: tuple[str, str]) -> None:
    """Note in the ledger from which session statistics these hours, or this day, are made: of this day's videos and the
    day before's.

    Before they are made: statistics that change meanwhile then differ from the mark, and they are made again. A mark
    that says so already stays as it is.
    """
    its_day, next_day = marks
    cursor.execute(
        """
        WITH mark AS (
            SELECT v.video_id, CASE v.date WHEN %(date)s THEN %(its_day)s ELSE %(next_day)s END AS stage
              FROM videos v
             WHERE (%(cameras)s::text[] IS NULL OR v.camera = ANY (%(cameras)s)) AND v.date IN (%(date)s, %(date)s - 1)
        ), compared AS MATERIALIZED (
            SELECT video_id, stage,
                   (SELECT fingerprint FROM stage_ledger l
                     WHERE l.video_id = mark.video_id AND l.stage = 'session_statistics') AS fingerprint,
                   (SELECT fingerprint FROM stage_ledger l
                     WHERE l.video_id = mark.video_id AND l.stage = mark.stage) AS marked
              FROM mark
        ), changed AS (
            SELECT video_id, stage, fingerprint FROM compared WHERE marked IS DISTINCT FROM fingerprint
        ), gone AS (
            DELETE FROM stage_ledger l USING changed c
             WHERE l.video_id = c.video_id AND l.stage = c.stage AND c.fingerprint IS NULL
        )
        INSERT INTO stage_ledger (video_id, stage, fingerprint, status, code_version)
        SELECT video_id, stage, fingerprint, 'done', '1' FROM changed WHERE fingerprint IS NOT NULL
            ON CONFLICT (video_id, stage) DO UPDATE SET fingerprint = excluded.fingerprint, finished_at = now()
        """,
        {"cameras": cameras, "date": date, "its_day": its_day, "next_day": next_day},
    )


def unrolled_days(connection: Connection, camera: str, zone: ZoneInfo) -> set[dt.date]:
    """Local dates whose hours are not made from the session statistics there are, for ten minutes or more.

    Before that, the automation that rolls up what was counted may just not have got round to it.
    """
    return {date for _, date in _unrolled(connection, "hourly_statistics", _HOURS, camera, zone)}


def hours_to_roll(connection: Connection, zone: ZoneInfo) -> list[tuple[str, dt.date]]:
    """The (camera, local date) of all `unrolled_days`, in order of the camera."""
    return sorted(_unrolled(connection, "hourly_statistics", _HOURS, None, zone))


def days_to_roll(connection: Connection, zone: ZoneInfo) -> list[dt.date]:
    """Local dates whose `daily_statistics` are not made from the session statistics there are, for ten minutes or more:
    the automation asked for the day before its last hours were there, or that run failed. In order."""
    return sorted({date for _, date in _unrolled(connection, "daily_statistics", _DAY, None, zone)})


def _unrolled(
    connection: Connection, table: str, marks: tuple[str, str], camera: str | None, zone: ZoneInfo
) -> set[tuple[str, dt.date]]:
    its_day, next_day = marks
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT v.camera, v.date, v.date + 1, s.ended_at, stats.fingerprint, today.fingerprint, tomorrow.fingerprint,
                   EXISTS (SELECT FROM {table} h WHERE h.camera = v.camera AND h.date = v.date + 1)
              FROM videos v
              LEFT JOIN sessions s USING (video_id)
              LEFT JOIN stage_ledger stats ON stats.video_id = v.video_id AND stats.stage = 'session_statistics'
              LEFT JOIN stage_ledger today ON today.video_id = v.video_id AND today.stage = %(its_day)s
              LEFT JOIN stage_ledger tomorrow ON tomorrow.video_id = v.video_id AND tomorrow.stage = %(next_day)s
             WHERE (%(camera)s::text IS NULL OR v.camera = %(camera)s)
               AND (today.fingerprint IS DISTINCT FROM stats.fingerprint
                    OR tomorrow.fingerprint IS DISTINCT FROM stats.fingerprint)
               AND greatest(stats.finished_at, today.finished_at) < now() - interval '10 minutes'
            """,
            {"camera": camera, "its_day": its_day, "next_day": next_day},
        )
        rows = cursor.fetchall()
    unrolled = {(found, date) for found, date, _, _, stats, on_its_day, _, _ in rows if on_its_day != stats}
    # A video that runs past midnight makes hours in the next day; a stay that does, only where there are some.
    return unrolled | {
        (found, following)
        for found, _, following, ended_at, stats, _, on_the_next, has_rows in rows
        if on_the_next != stats and (has_rows or (ended_at and ended_at > day_of(following, zone)[0]))
    }


def made_from(connection: Connection, camera: str, date: dt.date, zone: ZoneInfo) -> str:
    """A hash of what a camera's hours of a date are made from and of the hours themselves.

    Equal ones mean that the row of the day needs no other look at this camera: the videos that show any of the date are
    the same, counted the same. A late file of the day before, which shows nothing of this date, changes nothing.
    """
    start, end = day_of(date, zone)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH part AS (
                SELECT hash_record_extended(ROW (l.video_id, l.fingerprint), 0)::numeric AS hash
                  FROM videos v JOIN sessions s USING (video_id) JOIN stage_ledger l USING (video_id)
                 WHERE v.camera = %(camera)s AND v.date IN (%(date)s, %(date)s - 1) AND l.stage = 'session_statistics'
                   AND v.started_at < %(end)s AND s.ended_at > %(start)s
                 UNION ALL
                SELECT hash_record_extended(ROW (h), 0) FROM hourly_statistics h
                 WHERE h.camera = %(camera)s AND h.date = %(date)s
            )
            SELECT count(*) || ' ' || coalesce(sum(hash), 0) FROM part
            """,
            {"camera": camera, "date": date, "start": start, "end": end},
        )
        (version,) = cursor.fetchone() or ("",)
    return version


def cameras_to_roll(connection: Connection, date: dt.date) -> list[str]:
    """The cameras whose hours of a date are not made from the session statistics there are now."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT v.camera
              FROM videos v
              LEFT JOIN stage_ledger stats ON stats.video_id = v.video_id AND stats.stage = 'session_statistics'
              LEFT JOIN stage_ledger mark ON mark.video_id = v.video_id
                   AND mark.stage = CASE v.date WHEN %(date)s THEN %(its_day)s ELSE %(next_day)s END
             WHERE v.date IN (%(date)s, %(date)s - 1) AND mark.fingerprint IS DISTINCT FROM stats.fingerprint
             ORDER BY 1
            """,
            {"date": date, "its_day": _HOURS[0], "next_day": _HOURS[1]},
        )
        return [camera for (camera,) in cursor]


def roll_day(connection: Connection, date: dt.date, zone: ZoneInfo) -> Rolled:
    """Replace `daily_statistics` of one date, for all cameras."""
    with _alone(connection, [f"daily {date}"]) as cursor:
        _mark_rolled(cursor, None, date, _DAY)
        kept = settled_cameras(connection, date)
        cursor.execute("DELETE FROM daily_statistics WHERE date = %s AND NOT camera = ANY (%s)", (date, kept))
        cursor.execute("SELECT camera FROM cameras WHERE NOT camera = ANY (%s)", (kept,))
        free = [camera for (camera,) in cursor] if kept else None
    return replace(_roll(connection, "daily", free, date, zone, [day_of(date, zone)]), kept=tuple(kept))


def _alone(connection: Connection, partitions: list[str]) -> Cursor:
    """A cursor, once no other transaction rolls one of these partitions."""
    cursor = connection.cursor()
    # In one order, so that two who want some of the same do not wait for each other in a circle.
    cursor.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('pc rollup ' || name, 0))"
        " FROM (SELECT unnest(%s) AS name ORDER BY name) AS partition",
        (partitions,),
    )
    return cursor


def _roll(
    connection: Connection,
    name: str,
    cameras: list[str] | None,
    date: dt.date,
    zone: ZoneInfo,
    buckets: list[tuple[dt.datetime, dt.datetime]],
) -> Rolled:
    start, end = day_of(date, zone)
    if start == end:
        return Rolled(0, 0, 0, 0.0)
    values = {
        "cameras": cameras,
        "date": date,
        "day_before": local_midnight(date - dt.timedelta(days=1), zone),
        "starts": [begin for begin, _ in buckets],
        "day_start": start,
        "day_end": end,
    }
    with connection.cursor() as cursor:
        # The planner cannot know how many rows a step of the statement gives: it takes thousands for one, and joins row
        # by row. Compiling the statement takes longer than running it.
        cursor.execute("SET LOCAL enable_nestloop = off; SET LOCAL jit = off")
        cursor.execute(_statement(name), values)
        rows = cursor.fetchall()
        cursor.execute("SET LOCAL enable_nestloop = DEFAULT; SET LOCAL jit = DEFAULT")
    return Rolled(len(rows), sum(r[0] for r in rows), sum(r[1] for r in rows), sum(r[3] for r in rows) / 1000)
