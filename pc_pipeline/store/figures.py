"""The figures people and the dashboard read, as plain dictionaries ready for JSON."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection
from psycopg2.extras import RealDictCursor

from pc_pipeline.store.rollups import day_of

_GENDER = "(ARRAY['unknown', 'male', 'female'])[1 + COALESCE(g.gender, 0)]"
_FIGURES = (
    "entered, exited, unique_total, unique_male, unique_female, unique_unknown, peak_occupancy, mean_occupancy,"
    " occupancy_correction, (coverage_ms / 1000.0)::double precision AS coverage_seconds, by_line, by_zone"
)


def _select(connection: Connection, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(query, values)
        return [dict(row) for row in cursor.fetchall()]


def _day(date: dt.date | None, zone: ZoneInfo) -> tuple[dt.datetime | None, dt.datetime | None]:
    """The first instant of a local date and of the next; None for all time."""
    if date is None:
        return None, None
    return day_of(date, zone)


def summary(
    connection: Connection, zone: ZoneInfo, today: dt.date, camera: str | None = None, date: dt.date | None = None
) -> dict[str, Any]:
    """The dashboard's figures over all data, or of one camera or local date.

    `…_today` and `active_sessions` are of the local date `today`, whatever `date` is. A person whose track goes on
    from one file into the next is one; people are not recognised across cameras.
    """
    start, end = _day(date, zone)
    today_start, today_end = _day(today, zone)
    values = {"camera": camera, "start": start, "end": end, "date": date, "today": today}
    values |= {"today_start": today_start, "today_end": today_end}
    (figures,) = _select(
        connection,
        """
        WITH person AS (
            SELECT t.video_id, t.track_id, COALESCE(g.gender, 0) AS gender
              FROM sessions s JOIN tracks t USING (video_id) LEFT JOIN track_genders g USING (video_id, track_id)
             WHERE (%(camera)s::text IS NULL OR s.camera = %(camera)s)
               AND (%(start)s::timestamptz IS NULL OR (t.started_at < %(end)s AND t.ended_at >= %(start)s))
        ), head AS (
            SELECT gender FROM person p WHERE NOT EXISTS (
                SELECT FROM track_links l JOIN person b ON b.video_id = l.previous_video_id
                                                       AND b.track_id = l.previous_track_id
                 WHERE l.video_id = p.video_id AND l.track_id = p.track_id)
        ), moved AS (
            SELECT direction, ts FROM people_movements
             WHERE (%(camera)s::text IS NULL OR camera = %(camera)s)
               AND (%(start)s::timestamptz IS NULL OR (ts >= %(start)s AND ts < %(end)s))
        ), moved_today AS (
            SELECT direction FROM people_movements
             WHERE (%(camera)s::text IS NULL OR camera = %(camera)s)
               AND ts >= %(today_start)s AND ts < %(today_end)s
        )
        SELECT (SELECT count(*) FROM head) AS unique_total,
               (SELECT count(*) FROM head WHERE gender = 1) AS unique_male,
               (SELECT count(*) FROM head WHERE gender = 2) AS unique_female,
               (SELECT count(*) FROM head WHERE gender = 0) AS unique_unknown,
               (SELECT count(*) FROM moved WHERE direction = 'in') AS entered,
               (SELECT count(*) FROM moved WHERE direction = 'out') AS exited,
               (SELECT COALESCE(sum(coverage_ms), 0)::bigint FROM hourly_statistics
                 WHERE (%(camera)s::text IS NULL OR camera = %(camera)s)
                   AND (%(date)s::date IS NULL OR date = %(date)s)) / 1000.0::double precision AS coverage_seconds,
               (SELECT count(*) FROM sessions s JOIN videos v USING (video_id)
                 WHERE s.status = 'active' AND (%(camera)s::text IS NULL OR s.camera = %(camera)s)) AS active_sessions,
               (SELECT count(*) FROM sessions s JOIN videos v USING (video_id)
                 WHERE v.date = %(today)s
                   AND (%(camera)s::text IS NULL OR s.camera = %(camera)s)) AS sessions_today,
               (SELECT count(*) FROM moved_today WHERE direction = 'in') AS people_entered_today,
               (SELECT count(*) FROM moved_today WHERE direction = 'out') AS people_exited_today
        """,
        values,
    )
    lines = _select(
        connection,
        """
        SELECT name, count(m.*) FILTER (WHERE m.direction = 'in') AS "in",
               count(m.*) FILTER (WHERE m.direction = 'out') AS "out"
          FROM (SELECT camera, name FROM zones WHERE kind = 'line'
                 UNION SELECT camera, line FROM people_movements) AS line
          LEFT JOIN people_movements m ON m.camera = line.camera AND m.line = line.name
               AND (%(start)s::timestamptz IS NULL OR (m.ts >= %(start)s AND m.ts < %(end)s))
         WHERE (%(camera)s::text IS NULL OR line.camera = %(camera)s)
         GROUP BY name ORDER BY name
        """,
        values,
    )
    figures["by_line"] = {line["name"]: {"in": line["in"], "out": line["out"]} for line in lines}
    events = _select(
        connection,
        """
        SELECT kind, count(*) AS number FROM camera_events
         WHERE (%(camera)s::text IS NULL OR camera = %(camera)s)
           AND (%(start)s::timestamptz IS NULL OR (started_at < %(end)s AND ended_at > %(start)s))
         GROUP BY kind ORDER BY kind
        """,
        values,
    )
    figures["camera_events"] = {event["kind"]: event["number"] for event in events}
    figures["recent_movements"] = _select(
        connection,
        f"""
        SELECT m.ts, m.camera, m.line, m.direction, {_GENDER} AS gender, m.video_id AS session_id, m.track_id
          FROM people_movements m LEFT JOIN track_genders g USING (video_id, track_id)
         WHERE (%(camera)s::text IS NULL OR m.camera = %(camera)s)
           AND (%(start)s::timestamptz IS NULL OR (m.ts >= %(start)s AND m.ts < %(end)s))
         ORDER BY m.ts DESC, m.video_id, m.track_id, m.line LIMIT 10
        """,
        values,
    )
    return figures


def tracks(
    connection: Connection, zone: ZoneInfo, limit: int, camera: str | None = None, date: dt.date | None = None
) -> list[dict[str, Any]]:
    """The tracks that began last, newest first, with gender and the lines crossed; without their trajectories."""
    start, end = _day(date, zone)
    return _select(
        connection,
        f"""
        SELECT s.camera, t.video_id AS session_id, t.track_id, t.started_at, t.ended_at,
               extract(epoch FROM t.ended_at - t.started_at)::double precision AS seconds, t.detection_count,
               t.mean_confidence, {_GENDER} AS gender,
               (SELECT COALESCE(jsonb_object_agg(m.line, m.direction), '{{}}') FROM people_movements m
                 WHERE m.video_id = t.video_id AND m.track_id = t.track_id) AS crossed
          FROM tracks t JOIN sessions s USING (video_id) LEFT JOIN track_genders g USING (video_id, track_id)
         WHERE (%(camera)s::text IS NULL OR s.camera = %(camera)s)
           AND (%(start)s::timestamptz IS NULL OR (t.started_at < %(end)s AND t.ended_at >= %(start)s))
         ORDER BY t.started_at DESC, t.video_id, t.track_id LIMIT %(limit)s
        """,
        {"camera": camera, "start": start, "end": end, "limit": limit},
    )


def hourly(connection: Connection, camera: str | None = None, date: dt.date | None = None) -> list[dict[str, Any]]:
    """`hourly_statistics`, oldest first. An hour that is missing had no video, which is not the same as nobody."""
    return _select(
        connection,
        f"SELECT camera, date, hour_start, {_FIGURES} FROM hourly_statistics"
        " WHERE (%(camera)s::text IS NULL OR camera = %(camera)s) AND (%(date)s::date IS NULL OR date = %(date)s)"
        " ORDER BY camera, hour_start",
        {"camera": camera, "date": date},
    )


def daily(connection: Connection, camera: str | None = None, date: dt.date | None = None) -> list[dict[str, Any]]:
    """`daily_statistics`, oldest first. A day that is missing had no video, which is not the same as nobody."""
    return _select(
        connection,
        f"SELECT camera, date, {_FIGURES}, occupancy_at_reset FROM daily_statistics"
        " WHERE (%(camera)s::text IS NULL OR camera = %(camera)s) AND (%(date)s::date IS NULL OR date = %(date)s)"
        " ORDER BY camera, date",
        {"camera": camera, "date": date},
    )


def occupancy(connection: Connection, camera: str, date: dt.date) -> list[dict[str, Any]]:
    """The number of `people` inside after each crossing of a rolled camera-day, in order of time (`ts`).

    From nobody at local midnight; `added` is 1 where whoever left was not seen to come. Two rows of one instant: the
    last is what stayed.
    """
    return _select(
        connection,
        "SELECT ts, people, added, line, direction FROM occupancy WHERE camera = %(camera)s AND date = %(date)s"
        " ORDER BY ts, direction, session_id, track_id, line",
        {"camera": camera, "date": date},
    )
