"""The `tracks` table: one row a person in view, with the whole way as JSONB."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from psycopg2.extensions import connection as Connection

from pc_pipeline.store.load import Loader, LoadReport, LoadSettings, timestamps
from pc_pipeline.vision.arrays import Track

_COLUMNS = ("video_id", "track_id", "started_at", "ended_at", "detection_count", "mean_confidence", "trajectory")
_UPSERT = f"""
INSERT INTO tracks ({", ".join(_COLUMNS)}) SELECT {", ".join(_COLUMNS)} FROM pc_tracks_loading
ON CONFLICT (video_id, track_id) DO UPDATE
SET ({", ".join(_COLUMNS[2:])}) = ROW ({", ".join(f"excluded.{name}" for name in _COLUMNS[2:])})
"""
_NUMBERED = f"""
INSERT INTO tracks ({", ".join(_COLUMNS)})
SELECT video_id, row_number() OVER (ORDER BY track_id), {", ".join(_COLUMNS[2:])} FROM pc_tracks_loading
"""
# Tracks fetched at once: somebody who sits there all day is some megabytes.
_AT_ONCE = 20


def upsert_track(connection: Connection, video_id: int, started_at: datetime, track: Track) -> None:
    """Insert one track, or replace the one of this video and number."""
    bulk_upsert_tracks(connection, video_id, started_at, [track])


def bulk_upsert_tracks(
    connection: Connection,
    video_id: int,
    started_at: datetime,
    tracks: Sequence[Track],
    load: LoadSettings = LoadSettings(),  # noqa: B008 (frozen)
) -> LoadReport:
    """Insert or replace tracks of one video, by binary COPY into a temporary table; others of the video stay.

    Args:
        started_at: aware time of the video's first frame.
    """
    report = _to_temporary(connection, video_id, started_at, tracks, load)
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT)
    return report


def insert_tracks(
    connection: Connection,
    video_id: int,
    started_at: datetime,
    tracks: Iterable[Track],
    load: LoadSettings = LoadSettings(),  # noqa: B008 (frozen)
) -> LoadReport:
    """Insert all tracks of a video that has none yet, as they come: they are numbered 1, 2, ... in the order of the
    numbers they come with. While `tracks` are made, nobody else may use the connection.

    Args:
        started_at: aware time of the video's first frame.
    """
    report = _to_temporary(connection, video_id, started_at, tracks, load)
    with connection.cursor() as cursor:
        cursor.execute(_NUMBERED)
    return report


def _to_temporary(
    connection: Connection, video_id: int, started_at: datetime, tracks: Iterable[Track], load: LoadSettings
) -> LoadReport:
    """Tracks into `pc_tracks_loading`, which is emptied before."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE IF NOT EXISTS pc_tracks_loading (LIKE tracks) ON COMMIT DROP")
        cursor.execute("TRUNCATE pc_tracks_loading")
    with Loader(connection, "pc_tracks_loading", _COLUMNS, load) as loader:
        for track in tracks:
            loader.add(_row(video_id, started_at, track))
        return loader.close()


def load_tracks(connection: Connection, video_id: int, track_ids: Sequence[int] | None = None) -> list[Track]:
    """One video's tracks by number (all of them, or those named), exactly as stored: boxes in tenths of a pixel,
    confidence in thousandths."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT track_id, trajectory FROM tracks WHERE video_id = %s AND (%s OR track_id = ANY(%s::int[]))"
            " ORDER BY track_id",
            (video_id, track_ids is None, list(track_ids or ())),
        )
        return [decode_trajectory(track_id, trajectory) for track_id, trajectory in cursor]


def tracks_in_view(connection: Connection, video_id: int, first: datetime, last: datetime) -> list[Track]:
    """As `load_tracks`, those of one video that are in view at some time from `first` to `last` (aware)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT track_id, trajectory FROM tracks WHERE video_id = %s AND started_at <= %s AND ended_at >= %s"
            " ORDER BY track_id",
            (video_id, last, first),
        )
        return [decode_trajectory(track_id, trajectory) for track_id, trajectory in cursor]


def each_track(connection: Connection, video_id: int) -> Iterator[Track]:
    """As `load_tracks`, all of them, one after the other: few are in memory at a time. One such reading at a time."""
    with connection.cursor(name="pc_each_track") as cursor:
        cursor.itersize = _AT_ONCE
        cursor.execute("SELECT track_id, trajectory FROM tracks WHERE video_id = %s ORDER BY track_id", (video_id,))
        for track_id, trajectory in cursor:
            yield decode_trajectory(track_id, trajectory)


def track_numbers(connection: Connection, video_id: int) -> list[int]:
    """The numbers of one video's tracks, in order."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT track_id FROM tracks WHERE video_id = %s ORDER BY track_id", (video_id,))
        return [track_id for (track_id,) in cursor]


def first_sighting(connection: Connection, video_id: int) -> datetime | None:
    """When somebody is first seen in a video; None where nobody is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(started_at) FROM tracks WHERE video_id = %s", (video_id,))
        row = cursor.fetchone()
    assert row
    return row[0]


def encode_trajectory(track: Track) -> dict[str, list[int]]:
    """A track's sightings as lists: frame, t_us, box (tenths of a pixel), confidence (thousandths), interpolated.

    Stored and loaded again, a track gives the same integers: rounding happens once.
    """
    return {
        "frame": track.frame_number.tolist(),
        "t_us": track.time_us.tolist(),
        "box": np.rint(track.boxes.astype(np.float64) * 10).astype(np.int64).ravel().tolist(),
        "confidence": np.rint(track.confidence.astype(np.float64) * 1000).astype(np.int64).tolist(),
        "interpolated": np.flatnonzero(track.interpolated).tolist(),
    }


def decode_trajectory(track_id: int, trajectory: dict[str, list[int]]) -> Track:
    """The track of `encode_trajectory`'s lists."""
    interpolated = np.zeros(len(trajectory["frame"]), dtype=np.bool_)
    interpolated[trajectory["interpolated"]] = True
    return Track(
        track_id=track_id,
        frame_number=np.array(trajectory["frame"], dtype=np.int32),
        time_us=np.array(trajectory["t_us"], dtype=np.int64),
        boxes=(np.array(trajectory["box"], dtype=np.float64) / 10).astype(np.float32).reshape(-1, 4),
        confidence=(np.array(trajectory["confidence"], dtype=np.float64) / 1000).astype(np.float32),
        interpolated=interpolated,
    )


def _row(video_id: int, started_at: datetime, track: Track) -> dict[str, Any]:
    trajectory = encode_trajectory(track)
    seen = ~track.interpolated
    count = int(seen.sum())
    # From the integers that are stored, so that the figure does not hang on the order of a sum of floats.
    mean = sum(np.array(trajectory["confidence"])[seen].tolist()) / 1000 / max(count, 1)
    text = json.dumps(trajectory, separators=(",", ":")).encode()
    moments = timestamps(started_at, track.time_us)
    return {
        "video_id": np.array([video_id], dtype=np.int64),
        "track_id": np.array([track.track_id], dtype=np.int32),
        "started_at": moments[:1],
        "ended_at": moments[-1:],
        "detection_count": np.array([count], dtype=np.int32),
        "mean_confidence": np.array([mean], dtype=np.float32),
        # jsonb's binary form: a version byte and the text.
        "trajectory": np.array([b"\x01" + text], dtype=object),
    }


@dataclass(frozen=True)
class TrackedVideo:
    """A video whose tracks are there: its first frame's time (aware), its path, and pixels of the upright frame."""

    video_id: int
    camera: str
    started_at: datetime
    path: str
    width: int
    height: int


def tracked_videos(
    connection: Connection, camera: str | None, day: date | None, video_ids: Sequence[int]
) -> list[TrackedVideo]:
    """The videos that were tracked, by camera and start: of one camera, local date, or with one of these ids, where
    these are given."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT video_id, camera, started_at, path, width, height FROM videos v"
            " WHERE EXISTS (SELECT FROM stage_ledger l WHERE l.video_id = v.video_id AND l.stage = 'tracks'"
            "               AND l.status = 'done')"
            " AND (%(camera)s::text IS NULL OR camera = %(camera)s) AND (%(day)s::date IS NULL OR date = %(day)s)"
            " AND (%(all)s OR video_id = ANY(%(ids)s::bigint[])) ORDER BY camera, started_at",
            {"camera": camera, "day": day, "all": not video_ids, "ids": list(video_ids)},
        )
        return [TrackedVideo(*row) for row in cursor]
