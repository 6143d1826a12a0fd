"""Erasure on request: the audit rows in `erasures`, what of a video goes, and Dagster's record of its camera-days."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extras import Json

from pc_pipeline.run_tags import PARTITION
from pc_pipeline.store import registry, rollups
from pc_pipeline.store.ledger import named_fingerprints
from pc_pipeline.store.postgres import lock_video

# What has rows of a video, by the condition that finds them.
_OF_VIDEO = {
    "videos": "video_id = %(id)s",
    "sessions": "video_id = %(id)s",
    "reference_pictures": "video_id = %(id)s",
    "camera_events": "video_id = %(id)s",
    "detections": "video_id = %(id)s AND ts >= %(start)s AND ts < %(start)s::timestamptz + interval '25 hours'",
    "frame_metadata": "video_id = %(id)s AND ts >= %(start)s AND ts < %(start)s::timestamptz + interval '25 hours'",
    "tracks": "video_id = %(id)s",
    "track_genders": "video_id = %(id)s",
    "run_gender_summary": "video_id = %(id)s",
    "track_links": "%(id)s IN (video_id, previous_video_id)",
    "people_movements": "video_id = %(id)s",
    "zone_visits": "video_id = %(id)s",
    "session_statistics": "session_id = %(id)s",
    "realtime_metrics": "video_id = %(id)s",
}
_FINISHED = "('SUCCESS', 'FAILURE', 'CANCELED')"
_WAITING = "('QUEUED', 'NOT_STARTED')"


@dataclass(frozen=True)
class Wish:
    """What is to be erased: of a camera (None: all), with a part in [start, end) (None: all time; aware times).

    `video_files`: the files themselves too, and not only what was made of them.
    """

    camera: str | None
    start: dt.datetime | None
    end: dt.datetime | None
    video_files: bool


@dataclass(frozen=True)
class Erasure:
    """A row of `erasures`."""

    erasure_id: int
    asked_at: dt.datetime
    asked_by: str
    reason: str
    wish: Wish
    state: str
    finished_at: dt.datetime | None
    deleted: Mapping[str, int]
    videos: tuple[int, ...]
    files: tuple[str, ...]
    partitions: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """A video to be erased, with its file as it was registered; `ended_at` None: it is not counted yet, and how long it
    is stands nowhere."""

    video_id: int
    camera: str
    date: dt.date
    started_at: dt.datetime
    ended_at: dt.datetime | None
    path: str
    size_bytes: int
    mtime_ns: int


# ------------------------------------------------------------------------------------------------------ the audit row


def begin(connection: Connection, wish: Wish, asked_by: str, reason: str) -> int:
    """Note an erasure that is asked for; returns its number."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO erasures (asked_by, reason, camera, span_start, span_end, with_video_files)"
            " VALUES (%s, %s, %s, %s, %s, %s) RETURNING erasure_id",
            (asked_by, reason, wish.camera, wish.start, wish.end, wish.video_files),
        )
        (erasure_id,) = cursor.fetchone() or (0,)
    return erasure_id


def erasures(connection: Connection, erasure_id: int | None = None) -> list[Erasure]:
    """All of them, or that one, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT erasure_id, asked_at, asked_by, reason, camera, span_start, span_end, with_video_files, state,"
            " finished_at, deleted, videos, files, partitions FROM erasures"
            " WHERE %(id)s::bigint IS NULL OR erasure_id = %(id)s ORDER BY erasure_id",
            {"id": erasure_id},
        )
        return [
            Erasure(
                row[0], row[1], row[2], row[3], Wish(*row[4:8]), row[8], row[9], row[10],
                tuple(row[11]), tuple(row[12]), tuple(row[13]),
            )
            for row in cursor
        ]  # fmt: skip


def add(connection: Connection, erasure_id: int, counts: Mapping[str, int]) -> None:
    """Add to an erasure's numbers: in the transaction that deletes what they count."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE erasures SET deleted = (
                SELECT coalesce(jsonb_object_agg(key, total), '{}') FROM (
                    SELECT key, sum(value::bigint) AS total
                      FROM (SELECT * FROM jsonb_each_text(deleted) UNION ALL SELECT * FROM jsonb_each_text(%s)) AS one
                     GROUP BY key) AS sums)
             WHERE erasure_id = %s
            """,
            (Json({name: count for name, count in counts.items() if count}), erasure_id),
        )


def done_with(connection: Connection, erasure_id: int, column: str, left: Collection[str] = ()) -> None:
    """Empty `videos`, `files` or `partitions`, but for what is `left`: what they name is gone everywhere."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("UPDATE erasures SET {} = %s WHERE erasure_id = %s").format(sql.Identifier(column)),
            (list(left), erasure_id),
        )


def finish(connection: Connection, erasure_id: int) -> None:
    """All of it is gone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE erasures SET state = 'done', finished_at = now() WHERE erasure_id = %s AND state = 'running'",
            (erasure_id,),
        )


# ---------------------------------------------------------------------------------------------------- videos and files


def targets(connection: Connection, wish: Wish) -> list[Target]:
    """The videos that may have a part in the span, by camera and start. One that is not counted may last a day."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT video_id, v.camera, v.date, v.started_at, s.ended_at, v.path, v.size_bytes, v.mtime_ns"
            " FROM videos v LEFT JOIN sessions s USING (video_id)"
            " WHERE (%(camera)s::text IS NULL OR v.camera = %(camera)s)"
            " AND (%(start)s::timestamptz IS NULL OR (v.started_at < %(end)s"
            "      AND coalesce(s.ended_at, v.started_at + interval '1 day') > %(start)s))"
            " ORDER BY v.camera, v.started_at",
            vars(wish),
        )
        return [Target(*row) for row in cursor]


def count(connection: Connection, target: Target) -> dict[str, int]:
    """The rows there are of a video, by table."""
    counts = {}
    with connection.cursor() as cursor:
        for table, where in _OF_VIDEO.items():
            cursor.execute(
                f"SELECT count(*) FROM {table} WHERE {where}", {"id": target.video_id, "start": target.started_at}
            )
            (counts[table],) = cursor.fetchone() or (0,)
    return counts


def erase_day(
    connection: Connection, erasure: Erasure, day: Collection[Target], reason: str, zone: ZoneInfo, today: dt.date
) -> None:
    """Delete these videos of one camera-day with all that was made of them, roll up what is left, and note what is to
    be removed elsewhere. Their files are never counted again; `reason` says why.

    Hours and days that cannot be rolled up again, since tracks are past their retention, are deleted.
    """
    first = next(iter(day))
    camera, dates = first.camera, set[dt.date]()
    registry.lock_camera(connection, camera)
    for target in day:
        lock_video(connection, target.video_id)
    files: list[str] = []
    for target in day:
        last = (target.ended_at or target.started_at).astimezone(zone).date()
        touched = {target.date + dt.timedelta(days=n) for n in range((last - target.date).days + 1)}
        dates |= touched | {target.date + dt.timedelta(days=1)}
        add(connection, erasure.erasure_id, count(connection, target))
        files += _raw_files(connection, target) + _source_files(connection, erasure, target, reason)
        _delete_rollups(connection, target, last)
        registry.remove_video(connection, target.video_id)
        _note(
            connection, erasure.erasure_id, [target.video_id], files, [f"{camera}|{date}" for date in sorted(touched)]
        )
        files = []
    for date in sorted(date for date in dates if date <= today):
        rollups.roll_hours(connection, [camera], date, zone)
        rollups.roll_day(connection, date, zone)


def _raw_files(connection: Connection, target: Target) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT fingerprint FROM stage_ledger WHERE video_id = %s AND stage = 'raw_detections'", (target.video_id,)
        )
        return [f"raw {fingerprint}" for (fingerprint,) in cursor]


def _source_files(connection: Connection, erasure: Erasure, target: Target, reason: str) -> list[str]:
    """Mark the file of a video, and its copies, as erased; gives those that are to be deleted."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO source_files (path, camera, started_at, date, size_bytes, mtime_ns, content_hash, status)"
            " SELECT path, camera, started_at, date, size_bytes, mtime_ns, content_hash, 'erased' FROM videos"
            " WHERE video_id = %s ON CONFLICT (path) DO NOTHING",
            (target.video_id,),
        )
        cursor.execute(
            "UPDATE source_files f SET status = 'erased', reason = %s, video_id = NULL FROM videos v"
            " WHERE v.video_id = %s AND f.camera = v.camera"
            " AND (f.video_id = v.video_id OR f.content_hash = v.content_hash OR f.path = v.path) RETURNING f.path",
            (reason, target.video_id),
        )
        return [f"video {path}" for (path,) in cursor] if erasure.wish.video_files else []


def erase_other_files(connection: Connection, erasure: Erasure, reason: str) -> None:
    """Mark the files that begin in the span and were not counted as erased too."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE source_files SET status = 'erased', reason = %(reason)s, video_id = NULL"
            " WHERE status <> 'erased' AND (%(camera)s::text IS NULL OR camera = %(camera)s)"
            " AND (%(start)s::timestamptz IS NULL OR (started_at >= %(start)s AND started_at < %(end)s))"
            " AND NOT EXISTS (SELECT FROM videos v WHERE v.video_id = source_files.video_id) RETURNING path",
            {**vars(erasure.wish), "reason": reason},
        )
        paths = [f"video {path}" for (path,) in cursor]
    _note(connection, erasure.erasure_id, [], paths if erasure.wish.video_files else [], [])


def _delete_rollups(connection: Connection, target: Target, last: dt.date) -> None:
    """Delete the hours that a video lies in, and its days up to `last`; whatever can be made again is, right after."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM hourly_statistics WHERE camera = %s AND hour_start > %s::timestamptz - interval '1 hour'"
            " AND hour_start <= %s",
            (target.camera, target.started_at, target.ended_at or target.started_at),
        )
        cursor.execute(
            "DELETE FROM daily_statistics WHERE camera = %s AND date BETWEEN %s AND %s",
            (target.camera, target.date, last),
        )


def _note(connection: Connection, erasure_id: int, videos: list[int], files: list[str], partitions: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE erasures SET videos = videos || %s::bigint[], files = files || %s::text[],"
            " partitions = ARRAY(SELECT DISTINCT unnest(partitions || %s::text[])) WHERE erasure_id = %s",
            (videos, files, partitions, erasure_id),
        )


def delete_alerts(connection: Connection, wish: Wish) -> int:
    """Delete the alerts of a camera that lasted at some time of the span; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM alert_logs WHERE (%(camera)s::text IS NULL OR camera = %(camera)s)"
            " AND (%(start)s::timestamptz IS NULL OR (since < %(end)s AND coalesce(ended_at, now()) >= %(start)s))",
            vars(wish),
        )
        return cursor.rowcount


def raw_still_named(connection: Connection) -> set[str]:
    """Fingerprints of raw detections that some video that is kept has use for."""
    return named_fingerprints(connection, "raw_detections")


def as_registered(connection: Connection, path: str) -> tuple[int, int] | None:
    """(size in bytes, mtime in ns) of an erased file when it was looked at last; None where it never was."""
    rows = registry.files_at(connection, [path])
    return (rows[0].size_bytes, rows[0].mtime_ns) if rows else None


# ----------------------------------------------------------------------------------------------------------- Dagster


def has_dagster(connection: Connection) -> bool:
    """Whether Dagster has its tables here."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('dagster.event_logs') IS NOT NULL")
        return cursor.fetchone() == (True,)


def unfinished_runs(connection: Connection, partitions: Collection[str]) -> list[str]:
    """Ids of runs that are at work on one of these partitions; those that wait in the queue will find nothing to do."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT run_id FROM dagster.runs r JOIN dagster.run_tags t USING (run_id)"
            f" WHERE t.key = '{PARTITION}' AND t.value = ANY (%s) AND r.status NOT IN {_FINISHED}"
            f" AND r.status NOT IN {_WAITING} ORDER BY 1",
            (list(partitions),),
        )
        return [run for (run,) in cursor]


def runs_of(connection: Connection, partitions: Collection[str]) -> list[str]:
    """Ids of the finished runs of exactly one of these partitions."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT run_id FROM dagster.runs r JOIN dagster.run_tags t USING (run_id)"
            f" WHERE t.key = '{PARTITION}' AND t.value = ANY (%s) AND r.status IN {_FINISHED} ORDER BY 1",
            (list(partitions),),
        )
        return [run for (run,) in cursor]


def delete_runs(connection: Connection, runs: Collection[str], partitions: Collection[str]) -> int:
    """Delete these runs, and of runs over more partitions the events and results of checks of these; returns how many
    runs and events of others there were.

    The plots and pictures of a materialization stand in its event. The newest event of all stays, for the cursors of
    sensors must not fall back behind it: of a finished run it says only that it ended.
    """
    values = {"runs": list(runs), "partitions": list(partitions)}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH gone AS (
                DELETE FROM dagster.event_logs e
                 WHERE (e.run_id = ANY (%(runs)s) OR e.partition = ANY (%(partitions)s))
                   AND (e.asset_key IS NOT NULL OR e.id < (SELECT max(id) FROM dagster.event_logs))
                RETURNING e.id, e.run_id
            ), tags AS (
                DELETE FROM dagster.asset_event_tags USING gone WHERE event_id = gone.id
            )
            SELECT count(*) FILTER (WHERE run_id <> ALL (%(runs)s)) FROM gone
            """,
            values,
        )
        (of_others,) = cursor.fetchone() or (0,)
        cursor.execute(
            "DELETE FROM dagster.asset_check_executions"
            " WHERE run_id = ANY (%(runs)s) OR partition = ANY (%(partitions)s)",
            values,
        )
        # An asset's last materialization stands here a second time; without it Dagster reads the event log.
        cursor.execute(
            "UPDATE dagster.asset_keys SET last_materialization = NULL, cached_status_data = NULL"
            " WHERE last_run_id = ANY (%(runs)s) OR last_materialization LIKE ANY (%(naming)s)",
            {**values, "naming": [f'%"{partition}"%' for partition in partitions]},
        )
        # Their tags go along.
        cursor.execute("DELETE FROM dagster.runs WHERE run_id = ANY (%(runs)s)", values)
        return cursor.rowcount + of_others
