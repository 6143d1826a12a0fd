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

    Counts are as of the last roll of each day (`store.rollups`): sums over `daily_statistics`, never over the tracks
    and movements themselves. `…_today` and `active_sessions` are of the local date `today`, whatever `date` is.
    Someone whose track goes on from one file into the next is one; people are not recognised across cameras.
    """
    start, end = _day(date, zone)
    today_start, today_end = _day(today, zone)
    values = {"camera": camera, "start": start, "end": end, "date": date, "today": today}
    values |= {"today_start": today_start, "today_end": today_end}
    # People add up over days where each day counts those it sees first; of one date they are all it sees.
    people = "new" if date is None else "unique"
    (figures,) = _select(
        connection,
        f"""
        SELECT COALESCE(sum({people}_total), 0)::bigint AS unique_total,
               COALESCE(sum({people}_male), 0)::bigint AS unique_male,
               COALESCE(sum({people}_female), 0)::bigint AS unique_female,
               COALESCE(sum({people}_total - {people}_male - {people}_female), 0)::bigint AS unique_unknown,
               COALESCE(sum(entered), 0)::bigint AS entered, COALESCE(sum(exited), 0)::bigint AS exited,
               COALESCE(sum(coverage_ms), 0)::bigint / 1000.0::double precision AS coverage_seconds,
               (SELECT count(*) FROM sessions
                 WHERE status = 'active' AND (%(camera)s::text IS NULL OR camera = %(camera)s)) AS active_sessions,
               (SELECT count(*) FROM sessions
                 WHERE started_at >= %(today_start)s AND started_at < %(today_end)s
                   AND (%(camera)s::text IS NULL OR camera = %(camera)s)) AS sessions_today,
               (SELECT COALESCE(sum(entered), 0)::bigint FROM daily_statistics
                 WHERE date = %(today)s AND (%(camera)s::text IS NULL OR camera = %(camera)s)) AS people_entered_today,
               (SELECT COALESCE(sum(exited), 0)::bigint FROM daily_statistics
                 WHERE date = %(today)s AND (%(camera)s::text IS NULL OR camera = %(camera)s)) AS people_exited_today
          FROM daily_statistics
         WHERE (%(camera)s::text IS NULL OR camera = %(camera)s) AND (%(date)s::date IS NULL OR date = %(date)s)
        """,
        values,
    )
    lines = _select(
        connection,
        """
        SELECT name, COALESCE(sum((by_line -> name ->> 'in')::int) FILTER (WHERE of_date), 0)::bigint AS "in",
               COALESCE(sum((by_line -> name ->> 'out')::int) FILTER (WHERE of_date), 0)::bigint AS "out"
          FROM (SELECT camera, name, NULL::jsonb AS by_line, false AS of_date FROM zones WHERE kind = 'line'
                 UNION ALL
                -- Half the time of jsonb_each.
                SELECT camera, jsonb_object_keys(by_line), by_line, %(date)s::date IS NULL OR date = %(date)s
                  FROM daily_statistics) AS line
         WHERE (%(camera)s::text IS NULL OR camera = %(camera)s)
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
