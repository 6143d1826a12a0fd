"""What is counted from tracks, written by the stages: genders, links, movements, zone visits, session statistics."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg2.extensions import connection as Connection
from psycopg2.extras import execute_values

from pc_pipeline.store.ledger import Link
from pc_pipeline.vision.gender import TrackGender

_Row = TypeVar("_Row")


@dataclass(frozen=True)
class Movement:
    """A line crossed: `in` or `out`, when (UTC), where (pixels), and the first sighting at or after it."""

    track_id: int
    line: str
    direction: str
    ts: dt.datetime
    centroid: tuple[float, float]
    box: tuple[float, ...]
    confidence: float
    frame_number: int


@dataclass(frozen=True)
class ZoneVisit:
    """A stay of a track's person in a zone, times in UTC, and whether the coming and the going were seen."""

    track_id: int
    zone: str
    entered_at: dt.datetime
    exited_at: dt.datetime
    entered_seen: bool
    exited_seen: bool


def _replace(connection: Connection, table: str, columns: str, video_id: int, rows: Sequence[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE video_id = %s", (video_id,))
        if rows:
            execute_values(cursor, f"INSERT INTO {table} ({columns}) VALUES %s", rows, page_size=1000)


def replace_genders(connection: Connection, video_id: int, genders: Sequence[TrackGender]) -> None:
    """Replace a video's `track_genders`, one row a track."""
    _replace(
        connection,
        "track_genders",
        "video_id, track_id, gender, log_odds, crops",
        video_id,
        [(video_id, g.track_id, g.gender, g.log_odds, g.crops) for g in genders],
    )


def replace_links(connection: Connection, video_id: int, links: Sequence[Link]) -> None:
    """Replace the links from a video's tracks to those of the file before."""
    _replace(
        connection,
        "track_links",
        "video_id, track_id, previous_video_id, previous_track_id",
        video_id,
        [(link.video_id, link.track_id, link.previous_video_id, link.previous_track_id) for link in links],
    )


def displace_links(connection: Connection, video_id: int, previous_video_id: int) -> list[int]:
    """Delete the links of other videos to the tracks of the file before this one: this one has come between them.

    Returns the ids of those videos.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM track_links WHERE previous_video_id = %s AND video_id <> %s RETURNING video_id",
            (previous_video_id, video_id),
        )
        return sorted({displaced for (displaced,) in cursor.fetchall()})


def _numbered(rows: Sequence[_Row], place: Callable[[_Row], tuple[Any, ...]]) -> Iterator[tuple[int, _Row]]:
    """Rows with their number, from 1, among those of the same place."""
    numbers: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        numbers[place(row)] += 1
        yield numbers[place(row)], row


def replace_movements(connection: Connection, video_id: int, camera: str, rows: Sequence[Movement]) -> None:
    """Replace the movements that happen in a video; a track's several crossings of a line are numbered in order."""
    ordered = sorted(rows, key=lambda m: (m.track_id, m.line, m.ts))
    _replace(
        connection,
        "people_movements",
        "video_id, track_id, line, crossing, direction, ts, centroid_x, centroid_y, x1, y1, x2, y2, confidence,"
        " frame_number, camera",
        video_id,
        [
            (
                video_id, m.track_id, m.line, number, m.direction, m.ts, *m.centroid, *m.box, m.confidence,
                m.frame_number, camera,
            )
            for number, m in _numbered(ordered, lambda m: (m.track_id, m.line))
        ],
    )  # fmt: skip


def replace_zone_visits(connection: Connection, video_id: int, camera: str, rows: Sequence[ZoneVisit]) -> None:
    """Replace the stays that begin in a video; several of one track in one zone are numbered in order of time."""
    ordered = sorted(rows, key=lambda r: (r.track_id, r.zone, r.entered_at))
    values = [
        (
            video_id, row.track_id, row.zone, number, camera, row.entered_at, row.exited_at, row.entered_seen,
            row.exited_seen,
        )
        for number, row in _numbered(ordered, lambda r: (r.track_id, r.zone))
    ]  # fmt: skip
    columns = "video_id, track_id, zone, visit, camera, entered_at, exited_at, entered_seen, exited_seen"
    _replace(connection, "zone_visits", columns, video_id, values)


def replace_gender_summary(connection: Connection, video_id: int) -> dict[str, int]:
    """Replace a session's `run_gender_summary` from its tracks; returns its figures."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM run_gender_summary WHERE video_id = %s", (video_id,))
        cursor.execute(
            """
            INSERT INTO run_gender_summary (video_id, unique_total, unique_male, unique_female, unique_unknown)
            SELECT %(id)s, count(*), count(*) FILTER (WHERE gender = 1), count(*) FILTER (WHERE gender = 2),
                   count(*) FILTER (WHERE COALESCE(gender, 0) = 0)
              FROM tracks LEFT JOIN track_genders USING (video_id, track_id) WHERE video_id = %(id)s
            RETURNING unique_total, unique_male, unique_female, unique_unknown
            """,
            {"id": video_id},
        )
        row = cursor.fetchone()
    assert row
    return dict(zip(("unique_total", "unique_male", "unique_female", "unique_unknown"), row, strict=True))


def movements(connection: Connection, video_id: int) -> list[tuple[dt.datetime, str]]:
    """(time, direction) of a video's movements, in the order occupancy is counted in."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ts, direction FROM people_movements WHERE video_id = %s ORDER BY ts, direction",
            (video_id,),
        )
        return cursor.fetchall()


def replace_session_statistics(
    connection: Connection, session_id: int, camera: str, *, peak: int, mean: float, correction: int, coverage_ms: int
) -> None:
    """Replace a session's row from its movements and gender summary; occupancy is computed by the caller."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM session_statistics WHERE session_id = %(id)s;
            WITH crossed AS (
                SELECT line, count(*) FILTER (WHERE direction = 'in') AS entered,
                       count(*) FILTER (WHERE direction = 'out') AS exited
                  FROM people_movements WHERE video_id = %(id)s GROUP BY line
            )
            INSERT INTO session_statistics (session_id, camera, entered, exited, unique_total, unique_male,
                        unique_female, unique_unknown, peak_occupancy, mean_occupancy, occupancy_correction,
                        coverage_ms, by_line)
            SELECT %(id)s, %(camera)s, COALESCE(sum(entered), 0), COALESCE(sum(exited), 0), g.unique_total,
                   g.unique_male, g.unique_female, g.unique_unknown, %(peak)s, %(mean)s, %(correction)s,
                   %(coverage_ms)s,
                   COALESCE(jsonb_object_agg(line, jsonb_build_object('in', entered, 'out', exited))
                            FILTER (WHERE line IS NOT NULL), '{}')
              FROM run_gender_summary g LEFT JOIN crossed ON true
             WHERE g.video_id = %(id)s GROUP BY g.video_id
            """,
            {
                "id": session_id, "camera": camera, "peak": peak, "mean": mean, "correction": correction,
                "coverage_ms": coverage_ms,
            },
        )  # fmt: skip
