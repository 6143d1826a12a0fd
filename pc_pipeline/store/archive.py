"""What is past its time, how it leaves its table, and the table `archives`, which names the archive's files.

A row of `archives` stands before its file does. It becomes `kept` in the transaction that deletes the rows from their
table, so that each row is in one place, whenever a process dies.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extras import RealDictCursor

from pc_pipeline.errors import UserError
from pc_pipeline.stages.versions import (
    PEOPLE_MOVEMENTS,
    RAW_DETECTIONS,
    RUN_GENDER_SUMMARY,
    SESSION_STATISTICS,
    TRACK_GENDERS,
    TRACK_LINKS,
    TRACKS,
    ZONE_VISITS,
)
from pc_pipeline.store import archive_files, months
from pc_pipeline.store.archive_files import Written
from pc_pipeline.store.postgres import lock_video
from pc_pipeline.store.retention import Rule
from pc_pipeline.store.rollups import hold_rollups

DETECTIONS = "detections"
# What hangs on tracks and on movements, each in an order in which it can be deleted.
_OF_TRACKS = ("track_genders", "track_links", "tracks")
_OF_MOVEMENTS = ("people_movements", "zone_visits", "realtime_metrics")
_OF_ALERTS = ("alert_deliveries", "alert_logs")
_MARKED = {
    TRACKS: (TRACKS, TRACK_GENDERS, RUN_GENDER_SUMMARY, TRACK_LINKS),
    PEOPLE_MOVEMENTS: (PEOPLE_MOVEMENTS, ZONE_VISITS, SESSION_STATISTICS),
}


# ------------------------------------------------------------------------------------------------ files of the archive


@dataclass(frozen=True)
class File:
    """A row of `archives`; `path` is below the archive's folder, `month` the first day of a UTC month."""

    archive_id: int
    table: str
    month: dt.date
    camera: str | None
    path: str
    rows: int
    bytes: int
    sha256: str | None
    videos: tuple[int, ...]
    state: str
    written_at: dt.datetime


def files(connection: Connection, where: str = "state = 'kept'", values: Sequence[Any] = ()) -> list[File]:
    """The files of the archive, by table, month and number."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            'SELECT archive_id, table_name AS "table", month, camera, path, rows, bytes, sha256, videos, state,'
            f" written_at FROM archives WHERE {where} ORDER BY table_name, month, camera NULLS FIRST, archive_id",
            values,
        )
        return [File(**{**row, "videos": tuple(row["videos"])}) for row in cursor]


def begin(connection: Connection, table: str, month: dt.date, camera: str | None) -> tuple[int, str]:
    """Note that a file is going to be written; commit it before. Returns its number and path."""
    name = f"{camera or 'all'}-{uuid.uuid4().hex[:12]}.parquet"
    path = f"{table}/year={month:%Y}/month={month:%m}/{name}"
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO archives (table_name, month, camera, path) VALUES (%s, %s, %s, %s) RETURNING archive_id",
            (table, month, camera, path),
        )
        (archive_id,) = cursor.fetchone() or (0,)
    return archive_id, path


def keep(connection: Connection, archive_id: int, written: Written) -> None:
    """A file counts from now on: in the transaction that deletes its rows where they were.

    Raises:
        UserError: another run has taken it for left over, and removed it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE archives SET state = 'kept', rows = %s, bytes = %s, sha256 = %s, videos = %s"
            " WHERE archive_id = %s AND state = 'writing'",
            (written.rows, written.bytes, written.sha256, written.videos, archive_id),
        )
        if cursor.rowcount != 1:
            raise UserError("the archive's lock was lost to another run, so nothing was deleted: run this again")


@dataclass(frozen=True)
class Replacement:
    """A kept file, and the one without some videos that takes its place; `archive_id` None: nothing is left of it."""

    old: File
    archive_id: int | None
    written: Written | None

    def settle(self, connection: Connection) -> int:
        """Let the new file count and the old one not; returns how many rows fewer the archive has."""
        if self.archive_id is not None and self.written:
            keep(connection, self.archive_id, self.written)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE archives SET state = 'replaced' WHERE archive_id = %s", (self.old.archive_id,))
        return self.old.rows - (self.written.rows if self.written else 0)


def left_over(connection: Connection) -> list[File]:
    """Files that were begun and never counted, and those that count no more: to be removed, then forgotten."""
    return files(connection, "state <> 'kept'")


def forget(connection: Connection, archive_ids: Collection[int]) -> None:
    """Delete the rows of files that have been removed."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM archives WHERE archive_id = ANY (%s) AND state <> 'kept'", (list(archive_ids),))


def holding(connection: Connection, videos: Collection[int], table: str | None = None) -> list[File]:
    """The kept files that have rows of any of these videos."""
    return files(
        connection,
        "state = 'kept' AND videos && %s::bigint[] AND (%s::text IS NULL OR table_name = %s)",
        (list(videos), table, table),
    )


def removed_videos(connection: Connection) -> set[int]:
    """Videos that the archive has rows of and that were removed since: the same recording is counted as another."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT held.video_id FROM archives, unnest(videos) AS held (video_id) WHERE state = 'kept'"
            " AND NOT EXISTS (SELECT FROM videos v WHERE v.video_id = held.video_id)"
        )
        return {video_id for (video_id,) in cursor}


# ----------------------------------------------------------------------------------------------- what is past its time


@dataclass(frozen=True)
class Part:
    """Rows that leave together: of a `relation`, those `where` (with `values`) gives; in the archive they are those of
    `table`."""

    table: str
    relation: str
    where: str = "true"
    values: tuple[Any, ...] = ()

    def rows(self, connection: Connection) -> sql.Composable:
        """What follows the columns in a SELECT."""
        with connection.cursor() as cursor:
            where = cursor.mogrify(self.where, self.values).decode()
        return sql.SQL("FROM {} AS t WHERE ").format(sql.Identifier(self.relation)) + sql.SQL(where)

    def fingerprint(self, connection: Connection) -> tuple[int, int]:
        """Number of rows and a hash of them, whatever their order."""
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("SELECT count(*), coalesce(sum(hash_record_extended(ROW (t.*), 0)::numeric), 0) ")
                + self.rows(connection)
            )
            rows, hashed = cursor.fetchone() or (0, 0)
        return rows, int(hashed)

    def delete(self, connection: Connection) -> None:
        """Delete the rows."""
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("DELETE ") + self.rows(connection))


class Unit(Protocol):
    """What goes in one transaction: a month of a table, of a camera's tracks or movements, or of resolved alerts."""

    @property
    def month(self) -> dt.datetime: ...
    @property
    def camera(self) -> str | None: ...
    @property
    def tables(self) -> tuple[str, ...]:
        """The tables whose rows go."""

    def parts(self, connection: Connection) -> list[Part]:
        """The rows that go, now."""

    def waits(self, connection: Connection) -> str | None:
        """Why it cannot go yet, in a sentence."""

    def replaces(self, connection: Connection, part: Part, written: Collection[int]) -> list[tuple[File, set[int]]]:
        """The kept files with rows that a new file has anew, or that there are no more, and the videos these are of.

        Args:
            written: the videos that the new file has rows of.
        """

    def drop(self, connection: Connection, unchanged: Callable[[], bool]) -> bool:
        """Delete the rows, unless `unchanged()` says no while nobody can change them; whether they were deleted."""

    def expire(self, connection: Connection) -> None:
        """Note in the ledger that the rows are past their time."""


@dataclass(frozen=True)
class MonthUnit:
    """A month of a table in monthly partitions."""

    table: str
    month: dt.datetime
    camera: str | None = None

    @property
    def tables(self) -> tuple[str, ...]:
        return (self.table,)

    def parts(self, connection: Connection) -> list[Part]:
        return [Part(self.table, months.partition_name(self.table, self.month))]

    def waits(self, connection: Connection) -> str | None:
        unfinished = _unfinished(connection, self.month) if self.table == DETECTIONS else 0
        if not unfinished:
            return None
        return (
            f"{unfinished} videos of it are not counted to the end: materialize their camera-days, or see why they fail"
        )

    def replaces(self, connection: Connection, part: Part, written: Collection[int]) -> list[tuple[File, set[int]]]:
        # A video that was counted again is there whole; one over two months has rows in the files of both.
        found = holding(connection, written, self.table)
        return [(file, set(written)) for file in found if file.month == self.month.date()]

    def drop(self, connection: Connection, unchanged: Callable[[], bool]) -> bool:
        months.freeze_month(connection, self.table, self.month)
        if not unchanged():
            return False
        self.expire(connection)
        months.drop_month(connection, self.table, self.month)
        return True

    def expire(self, connection: Connection) -> None:
        if self.table == DETECTIONS:
            expire_raw_detections(connection, months.next_month(self.month))


@dataclass(frozen=True)
class VideosUnit:
    """What hangs on the tracks, or on the movements, of the videos of a camera that start in a month.

    A track whose person goes on into a video that is kept stays with it, or that video would be counted otherwise: it
    goes with a later month, in a further file of its own month.

    Attributes:
        stage: `tracks` or `people_movements`.
        until: videos that start from then on are kept.
        timezone: the site's.
    """

    stage: str
    camera: str | None
    month: dt.datetime
    until: dt.datetime
    timezone: str

    @property
    def tables(self) -> tuple[str, ...]:
        return _OF_TRACKS if self.stage == TRACKS else _OF_MOVEMENTS

    def parts(self, connection: Connection) -> list[Part]:
        whole, before = self._videos(connection)
        if self.stage == PEOPLE_MOVEMENTS:
            return [Part(table, table, "t.video_id = ANY (%s::bigint[])", (whole,)) for table in self.tables]
        videos, staying = sorted(whole + before), self._staying(connection)
        stays = (
            "EXISTS (SELECT FROM unnest(%s::bigint[], %s::int[]) AS stays (v, n) WHERE (stays.v, stays.n) ="
            " (t.{}video_id, t.{}track_id))"
        )
        names = ([video for video, _ in staying], [track for _, track in staying])
        of_videos = "t.video_id = ANY (%s::bigint[]) AND NOT " + stays.format("", "")
        of_links = (
            "(t.video_id = ANY (%s::bigint[]) OR t.previous_video_id = ANY (%s::bigint[]))"
            f" AND NOT {stays.format('', '')} AND NOT {stays.format('previous_', 'previous_')}"
        )
        return [
            Part(table, table, of_links, (videos, videos, *names, *names))
            if table == "track_links"
            else Part(table, table, of_videos, (videos, *names))
            for table in self.tables
        ]

    def waits(self, connection: Connection) -> str | None:
        return None

    def replaces(self, connection: Connection, part: Part, written: Collection[int]) -> list[tuple[File, set[int]]]:
        # Whatever the tables have of these videos is all there is of them: it may be nothing by now. But links go with
        # the earlier video, and movements may be made again without the minutes, which come with the tracks.
        whole = set(self._videos(connection)[0])
        if part.table in ("track_links", "realtime_metrics"):
            whole &= set(written)
        return [(file, whole) for file in holding(connection, whole, part.table)] if whole else []

    def drop(self, connection: Connection, unchanged: Callable[[], bool]) -> bool:
        whole, before = self._videos(connection)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT video_id, date FROM videos WHERE video_id = ANY (%s) ORDER BY started_at", (whole + before,)
            )
            videos = cursor.fetchall()
        dates = {day for _, date in videos for day in (date, date + dt.timedelta(days=1))}
        hold_rollups(connection, self.camera or "", sorted(dates))
        for video_id, _ in videos:
            lock_video(connection, video_id)
        if not unchanged():
            return False
        for part in self.parts(connection):
            part.delete(connection)
        self.expire(connection)
        return True

    def expire(self, connection: Connection) -> None:
        whole, _ = self._videos(connection)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE stage_ledger SET status = 'expired', reason = %s"
                " WHERE video_id = ANY (%s) AND stage = ANY (%s) AND status = 'done'",
                (f"{self.stage} of this time are past their retention", whole, list(_MARKED[self.stage])),
            )

    def _videos(self, connection: Connection) -> tuple[list[int], list[int]]:
        """The videos that go now, and those that went before, less some tracks that stayed."""
        with connection.cursor() as cursor:
            cursor.execute(
                _SETTLED
                + " WHERE v.camera = %(camera)s AND v.started_at >= %(start)s AND v.started_at < %(end)s ORDER BY 1",
                {**self._times(), "stage": self.stage},
            )
            whole = [video_id for (video_id,) in cursor]
            cursor.execute(
                "SELECT DISTINCT v.video_id FROM videos v JOIN stage_ledger l USING (video_id)"
                " JOIN tracks USING (video_id)"
                " WHERE v.camera = %(camera)s AND v.started_at >= %(start)s AND v.started_at < %(end)s"
                " AND l.stage = 'tracks' AND l.status = 'expired' AND %(stage)s = 'tracks' ORDER BY 1",
                {**self._times(), "stage": self.stage},
            )
            return whole, [video_id for (video_id,) in cursor]

    def _staying(self, connection: Connection) -> list[tuple[int, int]]:
        """(video, number) of the tracks before `until` whose person goes on into a video that is kept."""
        with connection.cursor() as cursor:
            cursor.execute(
                """
                WITH RECURSIVE stays AS (
                    SELECT p.video_id, l.previous_track_id AS track_id
                      FROM videos v JOIN track_links l USING (video_id)
                      JOIN videos p ON p.video_id = l.previous_video_id
                     WHERE v.camera = %(camera)s AND v.started_at >= %(until)s AND p.started_at < %(until)s
                    UNION
                    SELECT previous_video_id, previous_track_id FROM stays JOIN track_links USING (video_id, track_id)
                )
                SELECT video_id, track_id FROM stays ORDER BY 1, 2
                """,
                self._times(),
            )
            return cursor.fetchall()

    def _times(self) -> dict[str, Any]:
        end = min(months.next_month(self.month), self.until)
        return {
            "camera": self.camera, "start": self.month, "end": end, "until": self.until, "timezone": self.timezone
        }  # fmt: skip


# Videos that are counted to the end, with their hours and days; movements go before the tracks they hang on.
_SETTLED = """
SELECT v.video_id FROM videos v
  JOIN stage_ledger mine ON mine.video_id = v.video_id AND mine.stage = %(stage)s AND mine.status = 'done'
  JOIN stage_ledger moved ON moved.video_id = v.video_id AND moved.stage = 'people_movements'
       AND (moved.status = 'expired' OR %(stage)s = 'people_movements')
  JOIN stage_ledger counted ON counted.video_id = v.video_id AND counted.stage = 'session_statistics'
  JOIN sessions s ON s.video_id = v.video_id
  JOIN stage_ledger hours ON hours.video_id = v.video_id AND hours.stage = 'hourly_statistics'
       AND hours.fingerprint = counted.fingerprint
  JOIN stage_ledger days ON days.video_id = v.video_id AND days.stage = 'daily_statistics'
       AND days.fingerprint = counted.fingerprint
  LEFT JOIN stage_ledger next_hours ON next_hours.video_id = v.video_id
       AND next_hours.stage = 'hourly_statistics of the next day'
  LEFT JOIN stage_ledger next_day ON next_day.video_id = v.video_id
       AND next_day.stage = 'daily_statistics of the next day'
  JOIN LATERAL (
       SELECT s.ended_at > (v.date + 1)::timestamp AT TIME ZONE %(timezone)s
           OR EXISTS (SELECT FROM hourly_statistics h WHERE h.camera = v.camera AND h.date = v.date + 1) AS matters
  ) AS tomorrow ON NOT matters
       OR (next_hours.fingerprint = counted.fingerprint AND next_day.fingerprint = counted.fingerprint)
"""


@dataclass(frozen=True)
class AlertsUnit:
    """The alerts resolved in a month, and what was said of them."""

    month: dt.datetime
    camera: str | None = None

    @property
    def tables(self) -> tuple[str, ...]:
        return _OF_ALERTS

    def parts(self, connection: Connection) -> list[Part]:
        resolved = "resolved_at >= %s AND resolved_at < %s"
        values = (self.month, months.next_month(self.month))
        of_alerts = f"t.alert_id IN (SELECT alert_id FROM alert_logs WHERE {resolved})"
        return [
            Part("alert_deliveries", "alert_deliveries", of_alerts, values),
            Part("alert_logs", "alert_logs", resolved, values),
        ]

    def waits(self, connection: Connection) -> str | None:
        return None

    def replaces(self, connection: Connection, part: Part, written: Collection[int]) -> list[tuple[File, set[int]]]:
        return []

    def drop(self, connection: Connection, unchanged: Callable[[], bool]) -> bool:
        with connection.cursor() as cursor:
            # What is resolved does not change any more; whoever tries waits.
            cursor.execute(
                "SET LOCAL lock_timeout = '10s'; LOCK TABLE alert_logs, alert_deliveries IN SHARE ROW EXCLUSIVE MODE"
            )
        if not unchanged():
            return False
        for part in self.parts(connection):
            part.delete(connection)
        return True

    def expire(self, connection: Connection) -> None:
        pass  # the ledger knows no alerts


def due(connection: Connection, rules: dict[str, Rule], timezone: str) -> list[Unit]:
    """What is past its time: first the months in partitions, then movements, then the tracks they hang on, then alerts;
    of each the oldest first."""
    units: list[Unit] = []
    for table in months.partitioned_tables(connection):
        rule = rules.get(table)
        starts = [months.month_of_partition(table, name) for name in months.partitions(connection, table)]
        units += [MonthUnit(table, start) for start in starts if rule and months.next_month(start) <= rule.until]
    for stage in (PEOPLE_MOVEMENTS, TRACKS):
        if rule := rules.get(stage):
            units += [
                VideosUnit(stage, camera, month, rule.until, timezone)
                for camera, month in _camera_months(connection, stage, rule.until, timezone)
            ]
    if rule := rules.get("alert_logs"):
        units += [AlertsUnit(month) for month in _alert_months(connection, rule.until)]
    return units


def _camera_months(
    connection: Connection, stage: str, until: dt.datetime, timezone: str
) -> list[tuple[str, dt.datetime]]:
    # Of movements this is before, and of tracks after, the movements' own units: what goes is asked for then.
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT v.camera, date_trunc('month', v.started_at, 'UTC') AS month
              FROM videos v JOIN stage_ledger l USING (video_id)
             WHERE v.started_at < %(until)s AND l.stage = %(stage)s AND l.status = 'done'
             UNION
            SELECT v.camera, date_trunc('month', v.started_at, 'UTC') FROM tracks t JOIN videos v USING (video_id)
             WHERE %(stage)s = 'tracks' AND t.started_at < %(until)s AND v.started_at < %(until)s
             ORDER BY month, camera
            """,
            {"until": until, "stage": stage},
        )
        return cursor.fetchall()


def _alert_months(connection: Connection, until: dt.datetime) -> list[dt.datetime]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT date_trunc('month', resolved_at, 'UTC') FROM alert_logs WHERE resolved_at < %s ORDER BY 1",
            (until,),
        )
        return [month for (month,) in cursor]


def _unfinished(connection: Connection, month: dt.datetime) -> int:
    """Videos with detections in a month that are tracked, and not counted to the end."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FROM videos v JOIN stage_ledger t ON t.video_id = v.video_id AND t.stage = 'tracks'
             WHERE v.started_at < %s AND v.started_at >= %s::timestamptz - interval '25 hours' AND NOT EXISTS (
                   SELECT FROM stage_ledger s WHERE s.video_id = v.video_id AND s.stage = 'session_statistics')
            """,
            (months.next_month(month), month),
        )
        (count,) = cursor.fetchone() or (0,)
    return count


def expire_raw_detections(connection: Connection, until: dt.datetime) -> None:
    """Note that the raw detections of the videos that start before `until`, and are counted to the end, are past their
    time: their files may be removed, and nothing asks for them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE stage_ledger l SET status = 'expired', reason = 'detections of this time are past their retention'"
            " FROM videos v, stage_ledger s WHERE v.video_id = l.video_id AND s.video_id = l.video_id"
            " AND l.stage = %s AND l.status = 'done' AND s.stage = %s AND v.started_at < %s",
            (RAW_DETECTIONS, SESSION_STATISTICS, until),
        )


def expired_raw_detections(connection: Connection) -> set[str]:
    """Fingerprints of raw detections that are past their time and that no other video has use for."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT fingerprint FROM stage_ledger WHERE stage = %(stage)s AND status = 'expired'"
            " EXCEPT SELECT fingerprint FROM stage_ledger WHERE stage = %(stage)s AND status = 'done'",
            {"stage": RAW_DETECTIONS},
        )
        return {fingerprint for (fingerprint,) in cursor}


def count_again(connection: Connection, camera: str, first: dt.date, last: dt.date) -> tuple[int, int]:
    """Forget what is past its time of the videos of a camera's local dates that are still there, so that it is made
    again; returns how many videos these are, and how many are not there any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT v.video_id, v.status = 'present' FROM videos v JOIN stage_ledger l USING (video_id)"
            " WHERE v.camera = %s AND v.date BETWEEN %s AND %s AND l.status = 'expired'",
            (camera, first, last),
        )
        found = cursor.fetchall()
        present = [video_id for video_id, is_there in found if is_there]
        for video_id in sorted(present):
            lock_video(connection, video_id)
        cursor.execute("DELETE FROM stage_ledger WHERE video_id = ANY (%s) AND status = 'expired'", (present,))
    return len(present), len(found) - len(present)


def write(connection: Connection, part: Part, path: Path, heard: Callable[[int], None]) -> Written:
    """Write a part's rows to a file; see `archive_files.export`."""
    columns = archive_files.columns_of(connection, part.table)
    return archive_files.export(connection, columns, part.rows(connection), path, heard)
