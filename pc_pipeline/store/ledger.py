"""The stage ledger: which stage of which video is done, and from exactly what.

A row says that a stage's rows for a video are in the database (or its Parquet file on disk), and carries the
fingerprint of all that went in. It is written in the same transaction as those rows, so it is never ahead of them.
"""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg2.extensions import connection as Connection
from psycopg2.extras import Json, execute_values


@dataclass(frozen=True)
class Entry:
    """One ledger row: a stage's fingerprint (hex) and its status, `done`, `quarantined`, `expired` or
    `source deleted`; the reason says why it is not done."""

    fingerprint: str
    status: str
    reason: str | None = None


@dataclass(frozen=True)
class Video:
    """A registered video with what the ledger says of it. Times are aware UTC; sizes in bytes; picture in pixels.

    `fps` is as decoded, `nominal_fps` as the file declares, `sharpness` of its reference picture; None: not known.
    """

    video_id: int
    camera: str
    started_at: dt.datetime
    ended_at: dt.datetime | None
    date: dt.date
    path: str
    content_hash: str
    size_bytes: int
    mtime_ns: int
    width: int
    height: int
    status: str
    ledger: Mapping[str, Entry] = field(default_factory=dict)
    nominal_fps: float = 0.0
    fps: float | None = None
    sharpness: float | None = None

    def done(self, stage: str) -> str | None:
        """The fingerprint `stage` was done with, or None; also where what it made has gone by retention."""
        entry = self.ledger.get(stage)
        return entry.fingerprint if entry and entry.status in ("done", "expired") else None

    def expired(self, stage: str) -> bool:
        """Whether what `stage` made, or was made from, has gone by retention, so that it cannot be made again."""
        entry = self.ledger.get(stage)
        return entry is not None and entry.status == "expired"


@dataclass(frozen=True)
class ZoneVersion:
    """A line or zone as applied from the site file: points are flat x, y, … in 0..1 from the top left."""

    kind: str
    name: str
    valid_from: dt.datetime | None
    points: tuple[float, ...]
    in_side: str | None


@dataclass(frozen=True)
class Link:
    """A track that goes on from a track of the file before."""

    video_id: int
    track_id: int
    previous_video_id: int
    previous_track_id: int


@dataclass(frozen=True)
class CameraSpan:
    """All that decides what is outstanding for one camera over some days: configuration, geometry, videos, links.

    `videos` are in order of their start; of `links` there are those with both ends among them.
    """

    camera: str
    config: Mapping[str, Any]
    zones: tuple[ZoneVersion, ...]
    videos: tuple[Video, ...]
    links: tuple[Link, ...]

    def video(self, video_id: int) -> Video:
        """The video of that id; KeyError where it is not in the span."""
        for video in self.videos:
            if video.video_id == video_id:
                return video
        raise KeyError(video_id)


def _video(*row: Any) -> Video:
    fields = dict(zip(Video.__dataclass_fields__, row, strict=True))
    fields["ledger"] = {stage: Entry(*entry) for stage, entry in fields["ledger"].items()}
    return Video(**fields)


def load_span(connection: Connection, camera: str, first: dt.date, last: dt.date) -> CameraSpan:
    """Read a camera's state for the local dates `first` to `last`, both included.

    Two questions and no more: a recount is mostly these, and each way to the server costs more than its answer.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT config, kind, name, NULLIF(valid_from, '-infinity'), points, in_side"
            " FROM cameras LEFT JOIN zones USING (camera) WHERE camera = %s ORDER BY kind, name, valid_from",
            (camera,),
        )
        rows = cursor.fetchall()
        config = rows[0][0] if rows else {}
        zones = tuple(ZoneVersion(k, n, v, tuple(p), s) for _, k, n, v, p, s in rows if k)
        cursor.execute(
            """
            SELECT v.video_id, v.camera, v.started_at, s.ended_at, v.date, v.path, v.content_hash, v.size_bytes,
                   v.mtime_ns, v.width, v.height, v.status,
                   COALESCE((SELECT jsonb_object_agg(l.stage, jsonb_build_array(l.fingerprint, l.status, l.reason))
                               FROM stage_ledger l WHERE l.video_id = v.video_id), '{}'),
                   v.nominal_fps, s.fps, r.sharpness,
                   COALESCE((SELECT jsonb_agg(jsonb_build_array(l.video_id, l.track_id, l.previous_video_id,
                                                                l.previous_track_id) ORDER BY l.track_id)
                               FROM track_links l WHERE l.video_id = v.video_id), '[]')
              FROM videos v LEFT JOIN sessions s USING (video_id) LEFT JOIN reference_pictures r USING (video_id)
             WHERE v.camera = %s AND v.date BETWEEN %s AND %s
             ORDER BY v.started_at
            """,
            (camera, first, last),
        )
        found = cursor.fetchall()
    videos = tuple(_video(*fields) for *fields, _ in found)
    seen = {video.video_id for video in videos}
    links = [link for *_, of_video in found for link in (Link(*fields) for fields in of_video)]
    inside = sorted((link for link in links if link.previous_video_id in seen), key=lambda link: link.video_id)
    return CameraSpan(camera, config, zones, videos, tuple(inside))


def states(connection: Connection) -> dict[str, str]:
    """Of each camera, a hash of all that `load_span` reads of its history: equal ones mean that nothing changed."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH part AS (
                SELECT camera, 'camera' AS name, hash_record_extended(ROW (config), 0)::numeric AS hash FROM cameras
                 UNION ALL
                SELECT camera, 'zones', sum(hash_record_extended(ROW (kind, name, valid_from, points, in_side), 0))
                  FROM zones GROUP BY camera
                 UNION ALL
                SELECT v.camera, 'videos', sum(hash_record_extended(ROW (v, s.ended_at, s.fps, r.sharpness), 0))
                  FROM videos v LEFT JOIN sessions s USING (video_id) LEFT JOIN reference_pictures r USING (video_id)
                 GROUP BY v.camera
                 UNION ALL
                SELECT v.camera, 'ledger', sum(hash_record_extended(ROW (video_id, stage, fingerprint, l.status), 0))
                  FROM stage_ledger l JOIN videos v USING (video_id) GROUP BY v.camera
                 UNION ALL
                SELECT v.camera, 'links', sum(hash_record_extended(ROW (l), 0))
                  FROM track_links l JOIN videos v USING (video_id) GROUP BY v.camera
            )
            SELECT camera, string_agg(name || ' ' || hash, ',' ORDER BY name) FROM part GROUP BY camera
            """
        )
        return dict(cursor.fetchall())


def done_on(connection: Connection, camera: str, date: dt.date, stage: str) -> dict[int, str | None]:
    """The fingerprint `stage` was done with, or None, of each video of a camera-day, by video id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT v.video_id, l.fingerprint FROM videos v LEFT JOIN stage_ledger l"
            " ON l.video_id = v.video_id AND l.stage = %s AND l.status IN ('done', 'expired')"
            " WHERE v.camera = %s AND v.date = %s",
            (stage, camera, date),
        )
        return dict(cursor.fetchall())


def record(
    connection: Connection,
    video_id: int,
    stage: str,
    entry: Entry,
    *,
    code_version: str,
    run_id: str,
    rows: int = 0,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write a stage's row; call it in the transaction that wrote the stage's results."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO stage_ledger (video_id, stage, fingerprint, status, reason, rows, details, code_version, run_id)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (video_id, stage) DO UPDATE
               SET fingerprint = EXCLUDED.fingerprint, status = EXCLUDED.status, reason = EXCLUDED.reason,
                   rows = EXCLUDED.rows, details = EXCLUDED.details, code_version = EXCLUDED.code_version,
                   run_id = EXCLUDED.run_id, finished_at = now()
            """,
            (
                video_id, stage, entry.fingerprint, entry.status, entry.reason, rows,
                Json(details or {}, dumps=lambda value: json.dumps(value, default=str)), code_version, run_id,
            ),
        )  # fmt: skip


def forget(connection: Connection, video_stages: list[tuple[int, str]]) -> None:
    """Delete ledger rows, which makes those stages of those videos outstanding."""
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            "DELETE FROM stage_ledger l USING (VALUES %s) AS gone (video_id, stage)"
            " WHERE l.video_id = gone.video_id AND l.stage = gone.stage",
            video_stages,
        )


def named_fingerprints(connection: Connection, stage: str) -> set[str]:
    """Every fingerprint that a row of `stage` names: the files that may not be swept."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT fingerprint FROM stage_ledger WHERE stage = %s AND status = 'done'", (stage,))
        return {fingerprint for (fingerprint,) in cursor.fetchall()}
