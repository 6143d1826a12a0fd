"""`frame_metadata`, `system_metrics` and `realtime_metrics`: how the pipeline runs, and what each minute shows."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import psycopg2
from numpy.typing import NDArray
from psycopg2.extensions import connection as Connection
from psycopg2.extras import RealDictCursor

from pc_pipeline.store.load import Loader, LoadReport, LoadSettings, latency_ms, timestamps
from pc_pipeline.store.months import ensure_partitions, hold_months

_FRAME_COLUMNS = ("video_id", "ts", "frame_number", "detections", "people", "processing_ms")
# Rows of a run that does a stage again are no older than this: looking for them reads two months at most.
_LONGEST_RUN = dt.timedelta(days=8)


class SeenFrames(NamedTuple):
    """F frames that were looked at.

    Attributes:
        frame_number: int32[F].
        pts_us: int64[F], µs from the video's start.
        detections: int16[F], boxes in the frame.
        people: int16[F], of these, boxes that a track took.
        processing_ms: float32[F], 0 where it was not measured.
    """

    frame_number: NDArray[np.int32]
    pts_us: NDArray[np.int64]
    detections: NDArray[np.int16]
    people: NDArray[np.int16]
    processing_ms: NDArray[np.float32]


def insert_frames(
    connection: Connection,
    video_id: int,
    started_at: dt.datetime,
    pieces: Sequence[SeenFrames],
    load: LoadSettings = LoadSettings(),  # noqa: B008 (frozen)
) -> LoadReport:
    """Add a video's frames (one piece at least, in order) to `frame_metadata`; missing months are made beside it.

    Args:
        started_at: aware time of the video's first frame.
    """
    span = np.array([pieces[0].pts_us[0], pieces[-1].pts_us[-1]], np.int64)
    first, last = timestamps(started_at, span)
    months = ensure_partitions(connection, "frame_metadata", first.item(), last.item())
    table = months[0] if len(months) == 1 else "frame_metadata"
    with Loader(connection, table, _FRAME_COLUMNS, load) as loader:
        for piece in pieces:
            values = (
                np.broadcast_to(np.int64(video_id), len(piece.pts_us)),
                timestamps(started_at, piece.pts_us),
                piece.frame_number,
                *piece[2:],
            )
            loader.add(dict(zip(_FRAME_COLUMNS, values, strict=True)))
        return loader.close()


def delete_frames(connection: Connection, video_id: int, started_at: dt.datetime) -> int:
    """Delete a video's rows of `frame_metadata`; returns how many. Its start tells in which months they can be."""
    # No video is longer than a day, whatever it was when these were loaded.
    until = started_at + dt.timedelta(hours=25)
    hold_months(connection, "frame_metadata", started_at, until)
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM frame_metadata WHERE video_id = %s AND ts >= %s AND ts < %s", (video_id, started_at, until)
        )
        return cursor.rowcount


def minutes_of(started_at: dt.datetime, pts_us: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """datetime64[m] (UTC): the minutes of the clock that hold any of these frames, each once, in order.

    Args:
        started_at: aware time of the video's first frame.
        pts_us: int64[F], µs from it.
    """
    return np.unique(timestamps(started_at, pts_us).astype("datetime64[m]"))


_MINUTES = """
WITH session AS (
    SELECT started_at, ended_at FROM sessions WHERE video_id = %(id)s
), minute AS (
    SELECT minute, greatest(minute, started_at) AS since, least(minute + interval '1 minute', ended_at) AS until
      FROM session, generate_series(date_trunc('minute', started_at, 'UTC'), ended_at - interval '1 microsecond',
                                    '1 minute') AS minute
), event AS (
    SELECT started_at AS ts, 1 AS step FROM tracks WHERE video_id = %(id)s
     UNION ALL SELECT ended_at, -1 FROM tracks WHERE video_id = %(id)s
     UNION ALL SELECT minute, 0 FROM minute
), running AS (
    -- Who goes at one instant is still there when others come.
    SELECT date_trunc('minute', ts, 'UTC') AS minute,
           sum(step) OVER (ORDER BY ts, step DESC ROWS UNBOUNDED PRECEDING) AS people FROM event
), peak AS (
    SELECT minute, max(people)::int AS people FROM running GROUP BY minute
)
INSERT INTO realtime_metrics (video_id, minute, people_in_view, coverage_ms, state)
SELECT %(id)s, minute, people, round(extract(epoch FROM until - since) * 1000)::int,
       CASE WHEN people > 0 THEN 'tracking' WHEN minute = ANY (%(looked_at)s::timestamptz[]) THEN 'detecting'
            ELSE 'waiting' END
  FROM minute JOIN peak USING (minute)
"""


def insert_minutes(connection: Connection, video_id: int, looked_at: NDArray[np.datetime64]) -> int:
    """Add the minutes of a video that has none yet to `realtime_metrics`; returns how many.

    They come from its session and tracks. What came in and went out in them is not known before `count_minutes`.

    Args:
        looked_at: datetime64[m] (UTC), the minutes that hold a frame that was looked at.
    """
    with connection.cursor() as cursor:
        cursor.execute(_MINUTES, {"id": video_id, "looked_at": [f"{minute}Z" for minute in looked_at.astype(str)]})
        return cursor.rowcount


def count_minutes(connection: Connection, video_id: int) -> None:
    """Write into a video's minutes what came in and went out in them, from its movements."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE realtime_metrics AS r SET entered = counted.entered, exited = counted.exited
              FROM (SELECT k.minute, count(*) FILTER (WHERE direction = 'in') AS entered,
                           count(*) FILTER (WHERE direction = 'out') AS exited
                      FROM realtime_metrics AS k LEFT JOIN people_movements AS m
                           ON m.video_id = k.video_id AND date_trunc('minute', m.ts, 'UTC') = k.minute
                     WHERE k.video_id = %(id)s GROUP BY k.minute) AS counted
             WHERE r.video_id = %(id)s AND r.minute = counted.minute
               AND (r.entered, r.exited) IS DISTINCT FROM (counted.entered::int, counted.exited::int)
            """,
            {"id": video_id},
        )


@dataclass(frozen=True)
class StageRun:
    """A row of `system_metrics`: what a run of a stage took for a camera-day, in which it computed something.

    Attributes:
        videos, rows: computed and written.
        frames: gone through, 0 in a stage that looks at none.
        loads: its bulk loads.
        wall_seconds, cpu_seconds, peak_memory_bytes: as `stages.usage.Usage`.
    """

    camera: str
    stage: str
    date: dt.date
    run_id: str
    videos: int
    rows: int
    frames: int
    loads: Sequence[LoadReport]
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int


# In one go. Nobody waits for the disk: a crash of the server loses this row and nothing else.
_RECORD = """
SET LOCAL synchronous_commit = off;
SAVEPOINT pc_record_run;
WITH before AS (
    DELETE FROM system_metrics
     WHERE camera = %(camera)s AND stage = %(stage)s AND run_id = %(run_id)s AND date = %(date)s AND ts >= %(since)s
)
INSERT INTO system_metrics (camera, stage, ts, run_id, date, videos, rows, frames, wall_seconds, cpu_seconds,
            cpu_percent, peak_memory_bytes, frames_per_s, load_rows, load_latency_p50_ms, load_latency_p95_ms)
VALUES (%(camera)s, %(stage)s, %(ts)s, %(run_id)s, %(date)s, %(videos)s, %(rows)s, %(frames)s, %(wall_seconds)s,
        %(cpu_seconds)s, %(cpu_percent)s, %(peak_memory_bytes)s, %(frames_per_s)s, %(load_rows)s, %(p50)s, %(p95)s)
"""


def record_run(connection: Connection, run: StageRun) -> None:
    """Write what a run of a stage took, now; a row of the same run, stage and day goes.

    The connection's transaction is committed without waiting for the disk.
    """
    now = dt.datetime.now(dt.UTC)
    seconds = max(run.wall_seconds, 1e-9)
    p50, p95 = latency_ms(run.loads) if run.loads else (None, None)
    values = {
        **vars(run),
        "ts": now,
        "since": now - _LONGEST_RUN,
        "cpu_percent": 100 * run.cpu_seconds / seconds,
        "frames_per_s": run.frames / seconds if run.frames else None,
        "load_rows": sum(load.rows for load in run.loads),
        "p50": p50,
        "p95": p95,
    }
    with connection.cursor() as cursor:
        try:
            cursor.execute(_RECORD, values)
        except psycopg2.errors.CheckViolation:
            # The first row of a month; to look whether the month is there would cost a question a row.
            cursor.execute("ROLLBACK TO SAVEPOINT pc_record_run")
            ensure_partitions(connection, "system_metrics", now, now)
            cursor.execute(_RECORD, values)


def cameras(connection: Connection, today: dt.date) -> list[dict[str, Any]]:
    """`realtime_camera_status`, by name, with what each camera counted on the local date `today` (None: nothing yet),
    and the frames a second of the last run that decoded video of it."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            SELECT c.*, d.entered AS entered_today, d.exited AS exited_today, r.frames_per_s, r.ts AS last_run
              FROM realtime_camera_status AS c
              LEFT JOIN daily_statistics AS d ON d.camera = c.camera AND d.date = %s
              LEFT JOIN LATERAL (
                   SELECT frames_per_s, ts FROM system_metrics AS m
                    WHERE m.camera = c.camera AND stage = 'raw_detections' AND frames > 0 ORDER BY ts DESC LIMIT 1
              ) AS r ON true
             ORDER BY c.camera
            """,
            (today,),
        )
        return [dict(row) for row in cursor]
