"""Sessions: one a video, with its id; and what hangs on a session."""

import datetime as dt
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from pc_pipeline.store.detections import delete_detections
from pc_pipeline.store.metrics import delete_frames
from pc_pipeline.vision.models import ModelFile


@dataclass(frozen=True)
class SessionRow:
    """A session: `frames` were decoded, `frames_sampled` of them looked at; `ended_at` is not known before."""

    session_id: int
    camera: str
    name: str
    input_source: str
    confidence_threshold: float
    sample_every_s: float
    fps: float
    frames: int
    frames_sampled: int
    width: int
    height: int
    started_at: dt.datetime
    ended_at: dt.datetime | None
    model_sha256: str
    warnings: list[str]


_COLUMNS = tuple(name for name in SessionRow.__dataclass_fields__ if name != "session_id")


def is_active(connection: Connection, session_id: int) -> bool:
    """Whether a session shows as `active`: somebody is at it, or died over it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT status = 'active' FROM sessions WHERE session_id = %s", (session_id,))
        found = cursor.fetchone()
    return bool(found and found[0])


def begin(connection: Connection, row: SessionRow) -> None:
    """Show a session as `active`; what is known of it from before stays until its frames were looked at again."""
    _write(connection, row, ())


def save(connection: Connection, row: SessionRow) -> None:
    """Write a session as `active`, with what was found out about it."""
    _write(connection, row, _COLUMNS)


def _write(connection: Connection, row: SessionRow, replaced: tuple[str, ...]) -> None:
    assignments = ["status = 'active'", *(f"{name} = EXCLUDED.{name}" for name in replaced)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO sessions (session_id, video_id, status, {', '.join(_COLUMNS)})"
            f" VALUES (%s, %s, 'active', {', '.join(['%s'] * len(_COLUMNS))})"
            f" ON CONFLICT (session_id) DO UPDATE SET {', '.join(assignments)}",
            [row.session_id, row.session_id, *(getattr(row, name) for name in _COLUMNS)],
        )


def set_status(connection: Connection, session_id: int, status: str) -> None:
    """Set a session's status: `active`, `completed`, `error` or `cancelled`."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE sessions SET status = %s WHERE session_id = %s", (status, session_id))


def cancel(connection: Connection, session_id: int) -> None:
    """Note that nobody works on an `active` session any more; one that is completed stays so."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE sessions SET status = 'cancelled' WHERE session_id = %s AND status = 'active'", (session_id,)
        )


def save_model(connection: Connection, model: ModelFile) -> None:
    """Note a model that was used, by the hash of its files."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ai_models (sha256, name, kind, backend, files) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (sha256) DO NOTHING",
            (model.sha256, model.name, model.kind, model.backend, sorted(model.files)),
        )


def clear_results(connection: Connection, session_id: int) -> list[int]:
    """Delete a session's detections, frames, minutes, tracks and all that hangs on them.

    Returns the ids of the videos whose links into these tracks went with them.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT started_at FROM sessions WHERE session_id = %s", (session_id,))
        span = cursor.fetchone()
        if span:
            delete_detections(connection, session_id, span[0])
            delete_frames(connection, session_id, span[0])
        cursor.execute(
            "SELECT DISTINCT video_id FROM track_links WHERE previous_video_id = %s AND video_id <> %s",
            (session_id, session_id),
        )
        linked = [video_id for (video_id,) in cursor.fetchall()]
        for table in ("tracks", "run_gender_summary", "realtime_metrics"):
            cursor.execute(f"DELETE FROM {table} WHERE video_id = %s", (session_id,))
        cursor.execute("DELETE FROM session_statistics WHERE session_id = %s", (session_id,))
    return linked


def orphan_detections(connection: Connection, start: dt.datetime, end: dt.datetime) -> int:
    """Detections in [start, end) whose video is not registered."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM detections d WHERE ts >= %s AND ts < %s"
            " AND NOT EXISTS (SELECT FROM videos v WHERE v.video_id = d.video_id)",
            (start, end),
        )
        row = cursor.fetchone()
    assert row
    return row[0]
