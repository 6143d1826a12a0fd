"""What a camera-day's materializations show of it: its files, its videos stage by stage, and what happened by hour."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection

from pc_pipeline.store.rollups import hours_of


@dataclass(frozen=True)
class StageOfVideo:
    """One stage of one video: None and no rows where it was not done yet; `details` are the stage's own figures."""

    started_at: dt.datetime
    status: str | None
    rows: int
    details: dict[str, float]
    reason: str | None


@dataclass(frozen=True)
class FileOfDay:
    """A file of a camera-day, `registered` or why not; without a start where its name tells none."""

    started_at: dt.datetime | None
    path: str
    size_bytes: int
    status: str


def stage_of_videos(connection: Connection, stage: str, camera: str, date: dt.date) -> list[StageOfVideo]:
    """A stage of the videos of a camera-day, in order of their start."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT v.started_at, l.status, coalesce(l.rows, 0), coalesce(l.details, '{}'), l.reason"
            "  FROM videos v LEFT JOIN stage_ledger l ON l.video_id = v.video_id AND l.stage = %s"
            " WHERE v.camera = %s AND v.date = %s ORDER BY v.started_at",
            (stage, camera, date),
        )
        return [StageOfVideo(*row) for row in cursor.fetchall()]


def files(connection: Connection, camera: str, date: dt.date) -> list[FileOfDay]:
    """The files of a camera-day, in order of their start."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT started_at, path, size_bytes, status FROM source_files WHERE camera = %s AND date = %s"
            " ORDER BY started_at, path",
            (camera, date),
        )
        return [FileOfDay(*row) for row in cursor.fetchall()]


def crossings(connection: Connection, camera: str, date: dt.date) -> list[tuple[dt.datetime, str]]:
    """(when, `in` or `out`) of the crossings of a camera-day's videos."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.ts, m.direction FROM people_movements m JOIN videos v USING (video_id)"
            " WHERE v.camera = %s AND v.date = %s",
            (camera, date),
        )
        return cursor.fetchall()


def by_hour(found: Iterable[tuple[dt.datetime, float]], date: dt.date, zone: ZoneInfo) -> dict[str, float]:
    """Sums by hour of a local date, from its midnight, under the time it began (`01:00` stands twice in a long night,
    told apart as `01:00+`); what lies outside of the date is in its nearest hour."""
    begins = [begin for begin, _ in hours_of(date, zone)]
    sums = [0.0] * len(begins)
    for ts, number in found:
        sums[max(sum(begin <= ts for begin in begins) - 1, 0)] += number
    shown: dict[str, float] = {}
    for begin, number in zip(begins, sums, strict=True):
        label = f"{begin.astimezone(zone):%H:%M}"
        shown[f"{label}+" if label in shown else label] = number
    return shown
