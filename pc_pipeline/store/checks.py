"""What the asset checks read: a camera-day's figures beside those of its last days, and totals that must agree."""

import datetime as dt
from collections import defaultdict
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from psycopg2.extensions import connection as Connection

from pc_pipeline.counting.plausibility import HISTORY_DAYS, Crossings
from pc_pipeline.store.load import fetch_rows
from pc_pipeline.store.rollups import day_of, hours_of, settled_cameras

_TOTALS = "count(*) FILTER (WHERE direction = 'in'), count(*) FILTER (WHERE direction = 'out')"
# A camera's day and its last days with video before it, none older than a quarter of a year.
_DAYS = """
    WITH day AS (
        (SELECT %(date)s::date AS date)
        UNION ALL
        (SELECT DISTINCT v.date FROM videos v
          WHERE v.camera = %(camera)s AND v.date < %(date)s AND v.date >= %(date)s::date - 92
          ORDER BY v.date DESC LIMIT %(days)s)
    ), video AS (
        SELECT v.date, v.video_id
          FROM day JOIN videos v ON v.camera = %(camera)s AND v.date = day.date JOIN sessions s USING (video_id)
    )
"""


def _rows(connection: Connection, query: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


def crossings_by_line(
    connection: Connection, camera: str, date: dt.date
) -> tuple[dict[str, Crossings], list[dict[str, Crossings]]]:
    """In and out of each line: of the camera-day's videos, and of each of the last days with video before it."""
    days: dict[dt.date, dict[str, Crossings]] = defaultdict(dict)
    for day, line, entered, exited in _rows(
        connection,
        _DAYS
        + """
        SELECT video.date, line.key, sum((line.value ->> 'in')::int), sum((line.value ->> 'out')::int)
          FROM video JOIN session_statistics s ON s.session_id = video.video_id, jsonb_each(s.by_line) AS line
         GROUP BY 1, 2
        """,
        camera=camera,
        date=date,
        days=HISTORY_DAYS,
    ):
        days[day][line] = (entered, exited)
    return days.pop(date, {}), list(days.values())


def gender_is_on(connection: Connection, camera: str) -> bool:
    """Whether a gender model is configured for the camera."""
    rows = _rows(connection, "SELECT config #>> '{gender,model}' FROM cameras WHERE camera = %(camera)s", camera=camera)
    return bool(rows and rows[0][0])


def unknown_people(connection: Connection, camera: str, date: dt.date) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """People of unknown gender, and people: of the camera-day's videos, and of each of the last days before it."""
    rows = _rows(
        connection,
        _DAYS
        + """
        SELECT video.date, sum(g.unique_unknown), sum(g.unique_total)
          FROM video JOIN run_gender_summary g USING (video_id) GROUP BY 1
        """,
        camera=camera,
        date=date,
        days=HISTORY_DAYS,
    )
    days = {day: (unknown, people) for day, unknown, people in rows}
    return days.pop(date, (0, 0)), list(days.values())


def track_seconds(
    connection: Connection, camera: str, date: dt.date
) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
    """Durations of tracks in seconds: of the camera-day's videos, and of each of the last days before it."""
    rows = fetch_rows(
        connection,
        _DAYS
        + """
        SELECT %(date)s::date - video.date, extract(epoch FROM t.ended_at - t.started_at)::real
          FROM video JOIN tracks t USING (video_id)
        """,
        {"camera": camera, "date": date, "days": HISTORY_DAYS},
        np.dtype([("ago", "i4"), ("seconds", "f4")]),
    )
    before = [rows["seconds"][rows["ago"] == ago] for ago in np.unique(rows["ago"][rows["ago"] > 0])]
    return rows["seconds"][rows["ago"] == 0], before


def covered_hours(
    connection: Connection, camera: str, date: dt.date, zone: ZoneInfo
) -> tuple[dict[int, float], list[dict[int, float]]]:
    """Seconds of video by local hour (0 to 23): of the date, and of the same weekday of the four weeks before.

    A week in which the camera had no video that day is an empty one, unless that was before its first video.
    """
    weeks = [date - dt.timedelta(days=days) for days in range(7, HISTORY_DAYS + 1, 7)]
    days: dict[dt.date, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for day, start, covered_ms in _rows(
        connection,
        "SELECT date, hour_start, coverage_ms FROM hourly_statistics"
        " WHERE camera = %(camera)s AND date = ANY (%(dates)s)",
        camera=camera,
        dates=[date, *weeks],
    ):
        days[day][start.astimezone(zone).hour] += covered_ms / 1000
    ((first,),) = _rows(connection, "SELECT min(date) FROM hourly_statistics WHERE camera = %(camera)s", camera=camera)
    return days[date], [days[week] for week in weeks if first and week >= first]


def session_totals(connection: Connection, camera: str, date: dt.date) -> list[tuple[str, list[Crossings]]]:
    """Each completed session of a camera-day: its video's path, and in and out by its movements and its statistics."""
    rows = _rows(
        connection,
        f"""
        SELECT v.path, m.entered, m.exited, COALESCE(s.entered, 0), COALESCE(s.exited, 0)
          FROM videos v JOIN sessions USING (video_id)
          LEFT JOIN session_statistics s ON s.session_id = v.video_id,
               LATERAL (SELECT {_TOTALS} FROM people_movements WHERE video_id = v.video_id) AS m (entered, exited)
         WHERE v.camera = %(camera)s AND v.date = %(date)s AND sessions.status = 'completed'
           -- Movements that are past their retention agree with nothing.
           AND NOT EXISTS (SELECT FROM stage_ledger l WHERE l.video_id = v.video_id
                            AND l.stage = 'session_statistics' AND l.status = 'expired')
         ORDER BY v.started_at
        """,
        camera=camera,
        date=date,
    )
    return [(path, [(a, b), (c, d)]) for path, a, b, c, d in rows]


def hour_totals(
    connection: Connection, camera: str, date: dt.date, zone: ZoneInfo
) -> list[tuple[str, list[Crossings]]]:
    """Each hour of a camera-day with video: its local time, and in and out by movements and by `hourly_statistics`.

    None where movements are past their retention.
    """
    if settled_cameras(connection, date, [camera]):
        return []
    hours = hours_of(date, zone)
    rows = _rows(
        connection,
        f"""
        WITH hour AS (
            SELECT * FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS h (hour_start, hour_end)
        )
        SELECT hour.hour_start, m.entered, m.exited, COALESCE(s.entered, 0), COALESCE(s.exited, 0)
          FROM hour LEFT JOIN hourly_statistics s ON s.hour_start = hour.hour_start AND s.camera = %(camera)s,
               LATERAL (SELECT {_TOTALS} FROM people_movements m JOIN sessions USING (video_id)
                         WHERE m.camera = %(camera)s AND ts >= hour.hour_start AND ts < hour.hour_end
                           AND status = 'completed') AS m (entered, exited)
         WHERE s.camera IS NOT NULL OR m.entered + m.exited > 0 ORDER BY 1
        """,
        camera=camera,
        starts=[start for start, _ in hours],
        ends=[end for _, end in hours],
    )
    return [(f"{start.astimezone(zone):%H:%M %Z}", [(a, b), (c, d)]) for start, a, b, c, d in rows]


def day_totals(connection: Connection, date: dt.date, zone: ZoneInfo) -> list[tuple[str, list[Crossings]]]:
    """Each camera that has any: its name, and in and out of a local date by movements, by hours and by the day; but for
    those whose movements are past their retention."""
    settled = settled_cameras(connection, date)
    start, end = day_of(date, zone)
    rows = _rows(
        connection,
        f"""
        WITH moved AS (
            SELECT m.camera, {_TOTALS} FROM people_movements m JOIN sessions USING (video_id)
             WHERE ts >= %(start)s AND ts < %(end)s AND status = 'completed' GROUP BY 1
        ), hours AS (
            SELECT camera, sum(entered), sum(exited) FROM hourly_statistics WHERE date = %(date)s GROUP BY 1
        )
        SELECT camera, COALESCE(m.entered, 0), COALESCE(m.exited, 0), COALESCE(h.entered, 0), COALESCE(h.exited, 0),
               COALESCE(d.entered, 0), COALESCE(d.exited, 0)
          FROM moved AS m (camera, entered, exited) FULL JOIN hours AS h (camera, entered, exited) USING (camera)
          FULL JOIN (SELECT * FROM daily_statistics WHERE date = %(date)s) AS d USING (camera) ORDER BY camera
        """,
        date=date,
        start=start,
        end=end,
    )
    return [(camera, [(a, b), (c, d), (e, f)]) for camera, a, b, c, d, e, f in rows if camera not in settled]
