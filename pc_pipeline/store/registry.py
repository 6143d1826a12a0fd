"""Cameras, their geometry, the files seen and the videos registered."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg2.extensions import connection as Connection
from psycopg2.extras import Json, execute_values

from pc_pipeline.errors import ConfigError
from pc_pipeline.store import alerts
from pc_pipeline.store.detections import delete_detections
from pc_pipeline.store.metrics import delete_frames
from pc_pipeline.store.postgres import lock_video
from pc_pipeline.store.retention import apply_retention

if TYPE_CHECKING:
    from pc_pipeline.ingest.site import SiteConfig


@dataclass(frozen=True, slots=True)
class FileRow:
    """A row of `source_files`: one path, what it was when last looked at, and what became of it."""

    path: str
    camera: str | None
    started_at: dt.datetime | None
    date: dt.date | None
    size_bytes: int
    mtime_ns: int
    status: str
    reason: str | None = None
    content_hash: str | None = None
    video_id: int | None = None
    given: bool = False


_FILE_COLUMNS = "path, camera, started_at, date, size_bytes, mtime_ns, status, reason, content_hash, video_id, given"


def save_files(connection: Connection, rows: Iterable[FileRow]) -> None:
    """Insert or replace the rows of these paths."""
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            f"INSERT INTO source_files ({_FILE_COLUMNS}) VALUES %s ON CONFLICT (path) DO UPDATE SET "
            + ", ".join(f"{name.strip()} = EXCLUDED.{name.strip()}" for name in _FILE_COLUMNS.split(",")[1:]),
            [tuple(getattr(row, name.strip()) for name in _FILE_COLUMNS.split(",")) for row in rows],
        )


def _files(connection: Connection, where: str, values: Sequence[Any]) -> list[FileRow]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_FILE_COLUMNS} FROM source_files WHERE {where} ORDER BY path", values)
        return [FileRow(*row) for row in cursor.fetchall()]


# Of a path, the folder it lies in: the index on it has this very expression.
_FOLDER = "regexp_replace(path, '/[^/]*$', '')"


def files_in(connection: Connection, folders: Iterable[str], paths: Iterable[str] = ()) -> dict[str, FileRow]:
    """The files known that lie in these folders themselves, and those of these paths, by path."""
    rows = _files(connection, f"{_FOLDER} = ANY(%s) OR path = ANY(%s)", (list(folders), list(paths)))
    return {row.path: row for row in rows}


def files_outside(connection: Connection, root: str, folders: Iterable[str]) -> list[FileRow]:
    """The files known somewhere below `root`, but in none of these folders, that are not noted as missing."""
    return _files(
        connection,
        f"starts_with(path, %s) AND status NOT IN ('missing', 'erased') AND NOT {_FOLDER} = ANY(%s)",
        (f"{root}/", list(folders)),
    )


def folders_to_look_at(connection: Connection) -> set[str]:
    """The folders with a file whose size is not known, since its standing changed with another file's."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT {_FOLDER} FROM source_files WHERE size_bytes < 0")
        return {folder for (folder,) in cursor.fetchall()}


def files_of_day(connection: Connection, camera: str, date: dt.date) -> list[FileRow]:
    """The files known for a camera-day."""
    return _files(connection, "camera = %s AND date = %s", (camera, date))


def files_at(connection: Connection, paths: Iterable[str]) -> list[FileRow]:
    """The rows of these paths, of whatever camera and day."""
    return _files(connection, "path = ANY(%s)", (list(paths),))


def files_sharing(
    connection: Connection, camera: str, hashes: Iterable[str], starts: Iterable[dt.datetime]
) -> list[FileRow]:
    """The files of a camera, of any day, that hold one of these contents, and the present ones that claim one of these
    starts. Files that were never readable are not among them."""
    return _files(
        connection,
        "camera = %s AND content_hash IS NOT NULL AND status <> 'erased'"
        " AND (content_hash = ANY(%s) OR (started_at = ANY(%s::timestamptz[]) AND status <> 'missing'))",
        (camera, list(hashes), list(starts)),
    )


def erased_contents(connection: Connection, camera: str, hashes: Iterable[str]) -> set[str]:
    """Those of these contents that a camera's files held that were erased on request."""
    rows = _files(connection, "camera = %s AND status = 'erased' AND content_hash = ANY(%s)", (camera, list(hashes)))
    return {row.content_hash for row in rows if row.content_hash}


def days_to_decide(connection: Connection, camera: str) -> set[dt.date]:
    """Local dates with a file whose standing changed with a file of another day."""
    rows = _files(connection, "camera = %s AND content_hash IS NOT NULL AND size_bytes < 0", (camera,))
    return {row.date for row in rows if row.date}


def latest_start(connection: Connection, camera: str) -> dt.datetime | None:
    """The start of a camera's latest video."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(started_at) FROM videos WHERE camera = %s", (camera,))
        row = cursor.fetchone()
    return row[0] if row else None


def days_without_daily(connection: Connection, camera: str) -> set[dt.date]:
    """Local dates with a completed session and no daily statistics, as a removed video leaves them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT v.date FROM sessions s JOIN videos v USING (video_id)"
            " WHERE v.camera = %s AND s.status = 'completed' AND NOT EXISTS (SELECT FROM daily_statistics d"
            " WHERE d.camera = v.camera AND d.date = v.date)",
            (camera,),
        )
        return {date for (date,) in cursor.fetchall()}


def warnings_of_day(connection: Connection, camera: str, date: dt.date) -> list[tuple[str, str]]:
    """(path, warning) of a camera-day's sessions, such as a video that is cut off."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT v.path, unnest(s.warnings) FROM sessions s JOIN videos v USING (video_id)"
            " WHERE v.camera = %s AND v.date = %s ORDER BY v.started_at",
            (camera, date),
        )
        return cursor.fetchall()


def lock_camera(connection: Connection, camera: str) -> None:
    """Hold the registration of a camera's files until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('pc camera ' || %s, 0))", (camera,))


def cameras(connection: Connection) -> dict[str, bool]:
    """Every configured camera's name, and whether it is active."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT camera, active FROM cameras ORDER BY camera")
        return dict(cursor.fetchall())


def add_camera(connection: Connection, camera: str, config: dict[str, Any]) -> bool:
    """Register a camera without lines, unless it is configured already; returns whether it was added."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO cameras (camera, config) VALUES (%s, %s) ON CONFLICT DO NOTHING", (camera, Json(config))
        )
        return cursor.rowcount == 1


@dataclass(frozen=True)
class VideoRow:
    """A video as registration writes it."""

    video_id: int
    camera: str
    started_at: dt.datetime
    date: dt.date
    path: str
    content_hash: str
    size_bytes: int
    mtime_ns: int
    width: int
    height: int
    nominal_fps: float
    codec: str
    container: str
    rotation: int


def save_video(connection: Connection, row: VideoRow) -> None:
    """Insert a video, or bring the row of that id up to date: it is the same video, with its new content or path."""
    names = list(VideoRow.__dataclass_fields__)
    with connection.cursor() as cursor:
        # What has gone by retention is not made again; of a new recording it never was there.
        cursor.execute(
            "DELETE FROM stage_ledger l USING videos v WHERE v.video_id = %s AND v.content_hash <> %s"
            " AND l.video_id = v.video_id AND l.status = 'expired'",
            (row.video_id, row.content_hash),
        )
        cursor.execute(
            f"INSERT INTO videos ({', '.join(names)}, status) VALUES ({', '.join(['%s'] * len(names))}, 'present')"
            " ON CONFLICT (video_id) DO UPDATE SET "
            + ", ".join(f"{name} = EXCLUDED.{name}" for name in [*names[1:], "status"]),
            [getattr(row, name) for name in names],
        )


def mark_source_deleted(connection: Connection, video_id: int) -> None:
    """Note that a video's file is gone; its results stay, and where it was being looked at, nobody does any more."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE videos SET status = 'source deleted' WHERE video_id = %s", (video_id,))
        cursor.execute(
            "UPDATE sessions SET status = 'cancelled' WHERE video_id = %s AND status = 'active'", (video_id,)
        )


def videos_with_content(connection: Connection, camera: str, hashes: Iterable[str]) -> list[int]:
    """The ids of the camera's videos that hold one of these contents, in order of their start."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT video_id FROM videos WHERE camera = %s AND content_hash = ANY(%s) ORDER BY started_at",
            (camera, list(hashes)),
        )
        return [video_id for (video_id,) in cursor.fetchall()]


def videos_of_day(connection: Connection, camera: str, date: dt.date) -> list[tuple[int, str, int, int]]:
    """(video id, path, size in bytes, mtime in ns) of a camera-day's videos."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT video_id, path, size_bytes, mtime_ns FROM videos WHERE camera = %s AND date = %s", (camera, date)
        )
        return cursor.fetchall()


def remove_video(connection: Connection, video_id: int) -> None:
    """Delete a video with all its results, and the rollups of its hours and days, which then are made anew."""
    # A stage that writes this video now would leave detections and frames behind, which no foreign key takes along.
    lock_video(connection, video_id)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH span AS (
                SELECT v.camera, v.date, v.started_at, COALESCE(s.ended_at, v.started_at) AS ended_at
                  FROM videos v LEFT JOIN sessions s USING (video_id) WHERE v.video_id = %(id)s
            ), settled AS (
                -- What cannot be made anew stays: tracks that it was made from have gone by retention.
                SELECT day.date FROM span, LATERAL (VALUES (span.date), (span.date + 1)) AS day (date)
                 WHERE EXISTS (SELECT FROM videos v JOIN stage_ledger l USING (video_id)
                                WHERE v.camera = span.camera AND v.date IN (day.date, day.date - 1)
                                  AND l.stage = 'session_statistics' AND l.status = 'expired')
            ), hours AS (
                DELETE FROM hourly_statistics h USING span
                 WHERE h.camera = span.camera AND h.hour_start <= span.ended_at
                   AND h.hour_start > span.started_at - interval '1 hour'
                   AND NOT h.date IN (SELECT date FROM settled)
            ), marks AS (
                DELETE FROM stage_ledger l USING span, videos v
                 WHERE v.camera = span.camera AND v.date BETWEEN span.date - 1 AND span.date + 1
                   AND l.video_id = v.video_id AND l.stage ~ '^(hourly|daily)_statistics'
            )
            DELETE FROM daily_statistics d USING span
             WHERE d.camera = span.camera AND d.date BETWEEN span.date AND span.date + 1
               AND NOT d.date IN (SELECT date FROM settled)
            """,
            {"id": video_id},
        )
        cursor.execute("DELETE FROM videos WHERE video_id = %s RETURNING started_at", (video_id,))
        for (started_at,) in cursor.fetchall():
            delete_detections(connection, video_id, started_at)
            delete_frames(connection, video_id, started_at)


@dataclass(frozen=True)
class Change:
    """One thing `apply_site` did: `added`, `changed`, `removed` or `left`, to what, and in words what follows."""

    action: str
    what: str
    note: str = ""


def apply_site(connection: Connection, site: "SiteConfig") -> list[Change]:
    """Bring cameras and geometry to what the site file says; cameras it does not name are left as they are.

    A line or zone under a `valid_from` it already has is corrected; under a later one it starts a version. Versions
    later than the file's, and names the file no longer has for a camera it names, are removed.

    Raises:
        ConfigError: the file's time zone differs from that of videos already registered.
    """
    changes: list[Change] = []
    read_at_start = (site.timezone, site.history_from, list(site.name_patterns))
    with connection.cursor() as cursor:
        cursor.execute("SELECT timezone, history_from, name_patterns FROM site")
        before = cursor.fetchone()
        if before != read_at_start:
            changes.append(Change("changed" if before else "added", "time zone, history and name patterns"))
        cursor.execute("SELECT EXISTS (SELECT FROM videos)")
        (counted,) = cursor.fetchone() or (False,)
        if before and before[0] != site.timezone and counted:
            raise ConfigError(
                f"The site's time zone is {before[0]} and videos are registered under it, so it cannot become"
                f" {site.timezone}: hours and days would move. Start a new site with another PC_HOME and database."
            )
        if before is None and counted:
            _move_to_zone(cursor, site.timezone)
        cursor.execute(
            "INSERT INTO site (timezone, history_from, name_patterns, config) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (singleton) DO UPDATE SET timezone = EXCLUDED.timezone,"
            " history_from = EXCLUDED.history_from, name_patterns = EXCLUDED.name_patterns, config = EXCLUDED.config",
            (*read_at_start, Json(site.model_dump(mode="json", by_alias=True))),
        )
        for name, camera in site.cameras.items():
            changes += _apply_camera(cursor, name, camera, site.effective(name).model_dump(mode="json"))
        changes += _apply_zones(cursor, site)
        if alerts.apply(connection, site) and before:
            changes.append(Change("changed", "alerts"))
        kept = apply_retention(cursor, site.retention)
        changes += [Change("changed", f"retention of {name}", keep) for name, keep in kept]
        cursor.execute("SELECT camera FROM cameras WHERE NOT camera = ANY(%s) ORDER BY camera", (list(site.cameras),))
        changes += [Change("left", f"camera {name}", "not in this file") for (name,) in cursor.fetchall()]
    return changes


def _move_to_zone(cursor: Any, timezone: str) -> None:
    """Give what was counted before there was a site file, in UTC, the dates of the site's zone; hours are made anew."""
    for table in ("videos", "source_files"):
        cursor.execute(
            f"UPDATE {table} SET date = (started_at AT TIME ZONE %s)::date WHERE date IS NOT NULL", (timezone,)
        )
    cursor.execute("DELETE FROM hourly_statistics")
    cursor.execute("DELETE FROM daily_statistics")
    cursor.execute("DELETE FROM stage_ledger WHERE stage ~ '^(hourly|daily)_statistics'")


def _apply_camera(cursor: Any, name: str, camera: Any, config: dict[str, Any]) -> list[Change]:
    wanted = (camera.location, camera.zone, config, list(camera.tags), camera.active)
    cursor.execute("SELECT location, zone, config, tags, active FROM cameras WHERE camera = %s", (name,))
    before = cursor.fetchone()
    if before == wanted:
        return []
    cursor.execute(
        "INSERT INTO cameras (camera, location, zone, config, tags, active) VALUES (%s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (camera) DO UPDATE SET location = EXCLUDED.location, zone = EXCLUDED.zone,"
        " config = EXCLUDED.config, tags = EXCLUDED.tags, active = EXCLUDED.active",
        (name, wanted[0], wanted[1], Json(config), wanted[3], wanted[4]),
    )
    return [Change("changed" if before else "added", f"camera {name}")]


def _apply_zones(cursor: Any, site: "SiteConfig") -> list[Change]:
    from pc_pipeline.ingest.site import zone_rows

    changes: list[Change] = []
    wanted = {
        (z.camera, z.kind, z.name, z.valid_from.astimezone(dt.UTC) if z.valid_from else None): (
            tuple(z.points),
            z.in_side,
        )
        for z in zone_rows(site)
    }
    cursor.execute(
        "SELECT camera, kind, name, NULLIF(valid_from, '-infinity'), points, in_side FROM zones WHERE camera = ANY(%s)",
        (list(site.cameras),),
    )
    known = {(c, k, n, v.astimezone(dt.UTC) if v else None): (tuple(p), s) for c, k, n, v, p, s in cursor.fetchall()}
    newest = {key[:3]: key[3] for key in wanted}
    for key, shape in wanted.items():
        if known.get(key) == shape:
            continue
        cursor.execute(
            "INSERT INTO zones (camera, kind, name, valid_from, points, in_side)"
            " VALUES (%s, %s, %s, COALESCE(%s::timestamptz, '-infinity'), %s, %s)"
            " ON CONFLICT (camera, kind, name, valid_from) DO UPDATE"
            " SET points = EXCLUDED.points, in_side = EXCLUDED.in_side",
            (*key, list(shape[0]), shape[1]),
        )
        note = f"in force from {key[3]:%Y-%m-%d %H:%M} UTC" if key[3] else "in force for all time"
        changes.append(Change("changed" if key in known else "added", f"{key[1]} {key[0]}/{key[2]}", note))
    earliest = dt.datetime.min.replace(tzinfo=dt.UTC)
    for key in known:
        kept_history = key[:3] in newest and (key[3] or earliest) < (newest[key[:3]] or earliest)
        if key in wanted or kept_history:
            continue
        cursor.execute(
            "DELETE FROM zones WHERE camera = %s AND kind = %s AND name = %s"
            " AND valid_from = COALESCE(%s::timestamptz, '-infinity')",
            key,
        )
        changes.append(Change("removed", f"{key[1]} {key[0]}/{key[2]}", "its counts go with it"))
    return changes
