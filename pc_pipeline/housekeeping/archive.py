"""What is past its time goes: to Parquet first, read back and compared, then out of its table."""

import datetime as dt
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection

from pc_pipeline.errors import PostgresUnreachable
from pc_pipeline.store import archive, parquet
from pc_pipeline.store.archive import File, Part, Replacement, Unit
from pc_pipeline.store.archive_files import Written, rewrite
from pc_pipeline.store.postgres import alone, in_transaction
from pc_pipeline.store.retention import Rule, rules

# Who archives and who erases take turns: both write the archive's files.
LOCK = "the archive"
_ATTEMPTS = 3
_LOCK_NOT_AVAILABLE = "55P03"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """Where things are: the database, the folders of the archive and of raw detections, and the site's zone (IANA)."""

    dsn: str
    archive_dir: Path
    raw_dir: Path
    timezone: str


@dataclass(frozen=True)
class Gone:
    """What became of a month of a table.

    Attributes:
        table, month, camera: as in `archives`; camera None: all.
        rows, bytes: that went, and of the file they went to.
        state: archived, deleted (the rule says without the archive), would go (a dry run) or waits.
        why: of what waits, in a sentence.
    """

    table: str
    month: dt.date
    camera: str | None
    rows: int
    bytes: int
    state: str
    why: str = ""


@dataclass
class Report:
    """What a run of the archive did, or would do: months gone, files of raw detections removed, and files of the
    archive written anew because videos in them had been removed."""

    gone: list[Gone]
    raw_files: int = 0
    rewritten: int = 0


def run(place: Place, now: dt.datetime, say: Say, *, dry_run: bool = False) -> Report:
    """Bring everything to what `retention` says at `now`. What an earlier run left unfinished is finished first.

    A month that changes while it is exported, or that somebody works on for long, waits for the next run.
    """
    if dry_run:
        return _preview(place, now)
    with alone(place.dsn, LOCK, say):
        tidy(place)
        report = Report([])
        kept, _ = in_transaction(place.dsn, lambda c: rules(c, now))
        units, _ = in_transaction(place.dsn, lambda c: archive.due(c, kept, place.timezone))
        for unit in units:
            report.gone += _go(place, unit, kept[_rule_of(unit)], say)
        report.rewritten = _drop_removed_videos(place)
        report.raw_files = _remove_raw_detections(place, kept.get(archive.DETECTIONS))
        tidy(place)
    return report


def _rule_of(unit: Unit) -> str:
    if isinstance(unit, archive.VideosUnit):
        return unit.stage
    return unit.table if isinstance(unit, archive.MonthUnit) else "alert_logs"


def _preview(place: Place, now: dt.datetime) -> Report:
    """What `run` would do. Tracks go once their movements have, so what goes is marked as gone for what comes after,
    and all of it taken back."""

    def look(connection: Connection) -> Report:
        report, kept = Report([]), rules(connection, now)
        for unit in archive.due(connection, kept, place.timezone):
            month = unit.month.date()
            if why := unit.waits(connection):
                report.gone.append(Gone(unit.tables[0], month, unit.camera, 0, 0, "waits", why))
                continue
            rows = {part.table: part.fingerprint(connection)[0] for part in unit.parts(connection)}
            report.gone += [
                Gone(table, month, unit.camera, number, 0, "would go") for table, number in rows.items() if number
            ]
            unit.expire(connection)
        report.rewritten = len(archive.holding(connection, archive.removed_videos(connection)))
        if rule := kept.get(archive.DETECTIONS):
            archive.expire_raw_detections(connection, rule.until)
            report.raw_files = len(_expired_files(place, archive.expired_raw_detections(connection)))
        connection.rollback()
        return report

    return in_transaction(place.dsn, look)[0]


def _go(place: Place, unit: Unit, rule: Rule, say: Say) -> list[Gone]:
    """Archive and delete one unit; what cannot go now waits."""
    name = f"{unit.tables[0]} {unit.month:%Y-%m}" + (f" {unit.camera}" if unit.camera else "")
    why, _ = in_transaction(place.dsn, unit.waits)
    if why:
        say(f"{name} waits: {why}")
        return [Gone(unit.tables[0], unit.month.date(), unit.camera, 0, 0, "waits", why)]
    try:
        for _ in range(_ATTEMPTS):
            gone = _try(place, unit, rule.archive, name, say)
            if gone is not None:
                return gone
            say(f"{name} changed while it was exported; it is exported again")
        why = "it changes while it is exported: the next run tries again"
    except PostgresUnreachable as error:
        if not (isinstance(error.__cause__, psycopg2.Error) and error.__cause__.pgcode == _LOCK_NOT_AVAILABLE):
            raise
        why = "somebody works on it for long: the next run tries again"
    say(f"{name} waits: {why}")
    return [Gone(unit.tables[0], unit.month.date(), unit.camera, 0, 0, "waits", why)]


@dataclass(frozen=True)
class _Exported:
    """A part as it was exported: its fingerprint, its file (None: it is empty, or not archived), and which files of the
    archive lose the rows that it has anew."""

    part: Part
    fingerprint: tuple[int, int]
    archive_id: int | None
    written: Written | None
    replaced: list[Replacement]


def _try(place: Place, unit: Unit, to_archive: bool, name: str, say: Say) -> list[Gone] | None:
    """Archive and delete; None, and nothing deleted, where the rows changed meanwhile."""
    started = time.monotonic()
    exported = _export(place, unit, to_archive, name, say)
    parts = [one.part for one in exported]

    def drop(connection: Connection) -> bool:
        def unchanged() -> bool:
            now = unit.parts(connection)
            return now == parts and all(one.part.fingerprint(connection) == one.fingerprint for one in exported)

        if unit.waits(connection) or not unit.drop(connection, unchanged):
            return False
        for one in exported:
            for replacement in one.replaced:
                replacement.settle(connection)
            if one.archive_id is not None and one.written:
                archive.keep(connection, one.archive_id, one.written)
        return True

    if not in_transaction(place.dsn, drop)[0]:
        tidy(place)
        return None
    tidy(place)
    rows = sum(one.fingerprint[0] for one in exported)
    say(f"{name}: {rows:,} rows gone in {time.monotonic() - started:.1f} s")
    state = "archived" if to_archive else "deleted"
    month = unit.month.date()
    return [
        Gone(one.part.table, month, unit.camera, one.fingerprint[0], one.written.bytes if one.written else 0, state)
        for one in exported
        if one.fingerprint[0]
    ]


def _export(place: Place, unit: Unit, to_archive: bool, name: str, say: Say) -> list[_Exported]:
    """Write a unit's rows to files, as one snapshot has them; without the archive they are only looked at."""
    month = unit.month.date()
    begun: dict[str, tuple[int, str]] = {}
    if to_archive:
        begun, _ = in_transaction(
            place.dsn, lambda c: {table: archive.begin(c, table, month, unit.camera) for table in unit.tables}
        )
    last = time.monotonic()

    def heard(rows: int) -> None:
        nonlocal last
        if time.monotonic() - last > 15:
            last = time.monotonic()
            say(f"{name}: {rows:,} rows written")

    def write(
        connection: Connection,
    ) -> list[tuple[Part, tuple[int, int], Written | None, list[tuple[File, set[int]]]]]:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        done = []
        for part in unit.parts(connection):
            fingerprint = part.fingerprint(connection)
            written, replaces = None, []
            if to_archive and fingerprint[0]:
                path = place.archive_dir / begun[part.table][1]
                written = archive.write(connection, part, path, heard)
                assert written.rows == fingerprint[0], "one snapshot"
            if to_archive:
                replaces = unit.replaces(connection, part, written.videos if written else ())
            done.append((part, fingerprint, written, replaces))
        return done

    found, _ = in_transaction(place.dsn, write)
    return [
        _Exported(
            part,
            fingerprint,
            begun[part.table][0] if written else None,
            written,
            [without(place, file, videos) for file, videos in replaces],
        )
        for part, fingerprint, written, replaces in found
    ]


def without(place: Place, file: File, videos: Collection[int]) -> Replacement:
    """A file of the archive written anew without the rows of these videos; it does not count before `settle`."""
    archive_id, path = in_transaction(place.dsn, lambda c: archive.begin(c, file.table, file.month, file.camera))[0]
    written = rewrite(place.archive_dir / file.path, place.archive_dir / path, videos)
    return Replacement(file, archive_id if written else None, written)


def without_videos(
    place: Place, videos: Collection[int], note: Callable[[Connection, int], None] = lambda connection, rows: None
) -> int:
    """Write every file of the archive anew that has rows of these videos; returns how many files these were.

    Args:
        note: called with the number of rows a file loses, in the transaction from which on it does not count.
    """
    files, _ = in_transaction(place.dsn, lambda c: archive.holding(c, videos))
    for file in files:
        replacement = without(place, file, videos)

        def settle(connection: Connection, replacement: Replacement = replacement) -> None:
            note(connection, replacement.settle(connection))

        in_transaction(place.dsn, settle)
        tidy(place)
    return len(files)


def _drop_removed_videos(place: Place) -> int:
    removed, _ = in_transaction(place.dsn, archive.removed_videos)
    return without_videos(place, removed) if removed else 0


def tidy(place: Place) -> None:
    """Remove the files that were begun and never counted, and those that count no more."""
    files, _ = in_transaction(place.dsn, archive.left_over)
    for file in files:
        path = place.archive_dir / file.path
        for one in (path, path.with_name(f".{path.name}.tmp")):
            one.unlink(missing_ok=True)
        _remove_empty(path.parent, place.archive_dir)
    in_transaction(place.dsn, lambda c: archive.forget(c, [file.archive_id for file in files]))


def _remove_empty(folder: Path, top: Path) -> None:
    while folder != top and top in folder.parents:
        with suppress(FileNotFoundError):
            if any(folder.iterdir()):
                return
            folder.rmdir()
        folder = folder.parent


def _remove_raw_detections(place: Place, rule: Rule | None) -> int:
    """Remove the Parquet files of raw detections that are past their time; returns how many there were."""
    if rule is None:
        return 0
    in_transaction(place.dsn, lambda c: archive.expire_raw_detections(c, rule.until))
    files = _expired_files(place, in_transaction(place.dsn, archive.expired_raw_detections)[0])
    for path in files:
        path.unlink(missing_ok=True)
    return len(files)


def _expired_files(place: Place, expired: Collection[str]) -> list[Path]:
    return [path for path in parquet.raw_files(place.raw_dir) if path.stem in expired]
