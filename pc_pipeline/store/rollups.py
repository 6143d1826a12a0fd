"""Hourly and daily statistics: delete the partition, then insert it from tracks, movements and stays."""

import datetime as dt
from dataclasses import dataclass
from functools import cache
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from pc_pipeline.settings import SQL_DIR

# A video's marks in the stage ledger: its session statistics are in the hours of the day it starts in, and of the next.
_ITS_DAY = "hourly_statistics"
_NEXT_DAY = "hourly_statistics of the next day"


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


def roll_hours(connection: Connection, cameras: list[str], date: dt.date, zone: ZoneInfo) -> Rolled:
    """Replace `hourly_statistics` of one date for these cameras; many at once take less than one by one."""
    with _alone(connection, [f"hourly {camera} {date}" for camera in cameras]) as cursor:
        _mark_rolled(cursor, cameras, date)
        cursor.execute("DELETE FROM hourly_statistics WHERE camera = ANY (%s) AND date = %s", (cameras, date))
    return _roll(connection, "hourly", cameras, date, zone, hours_of(date, zone))


def _mark_rolled(cursor: Cursor, cameras: list[str], date: dt.date) -> None:
    """Note in the ledger from which session statistics these hours are made: of this day's videos and the day before's.

    Before they are made: statistics that change meanwhile then differ from the mark, and the hours are made again.
    A mark that says so already stays as it is.
    """
    cursor.execute(
        """
        WITH mark AS (
            SELECT v.video_id, CASE v.date WHEN %(date)s THEN %(its_day)s ELSE %(next_day)s END AS stage
              FROM videos v WHERE v.camera = ANY (%(cameras)s) AND v.date IN (%(date)s, %(date)s - 1)
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
        {"cameras": cameras, "date": date, "its_day": _ITS_DAY, "next_day": _NEXT_DAY},
    )


def unrolled_days(connection: Connection, camera: str, zone: ZoneInfo) -> set[dt.date]:
    """Local dates whose hours are not made from the session statistics there are, for ten minutes or more.

    Before that, the automation that rolls up what was counted may just not have got round to it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT v.date, v.date + 1, s.ended_at, stats.fingerprint, today.fingerprint, tomorrow.fingerprint,
                   EXISTS (SELECT FROM hourly_statistics h WHERE h.camera = v.camera AND h.date = v.date + 1)
              FROM videos v
              LEFT JOIN sessions s USING (video_id)
              LEFT JOIN stage_ledger stats ON stats.video_id = v.video_id AND stats.stage = 'session_statistics'
              LEFT JOIN stage_ledger today ON today.video_id = v.video_id AND today.stage = %s
              LEFT JOIN stage_ledger tomorrow ON tomorrow.video_id = v.video_id AND tomorrow.stage = %s
             WHERE v.camera = %s
               AND (today.fingerprint IS DISTINCT FROM stats.fingerprint
                    OR tomorrow.fingerprint IS DISTINCT FROM stats.fingerprint)
               AND greatest(stats.finished_at, today.finished_at) < now() - interval '10 minutes'
            """,
            (_ITS_DAY, _NEXT_DAY, camera),
        )
        rows = cursor.fetchall()
    unrolled = {date for date, _, _, stats, its_day, _, _ in rows if its_day != stats}
    # A video that runs past midnight makes hours in the next day; a stay that does, only where there are some.
    return unrolled | {
        following
        for _, following, ended_at, stats, _, next_day, has_hours in rows
        if next_day != stats and (has_hours or (ended_at and ended_at > day_of(following, zone)[0]))
    }


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
            {"date": date, "its_day": _ITS_DAY, "next_day": _NEXT_DAY},
        )
        return [camera for (camera,) in cursor]


def roll_day(connection: Connection, date: dt.date, zone: ZoneInfo) -> Rolled:
    """Replace `daily_statistics` of one date, for all cameras."""
    with _alone(connection, [f"daily {date}"]) as cursor:
        cursor.execute("DELETE FROM daily_statistics WHERE date = %s", (date,))
    return _roll(connection, "daily", None, date, zone, [day_of(date, zone)])


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
