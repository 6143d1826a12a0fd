"""The `videos` stage: look at a camera-day's files, hash and probe what is new, and say which of them are videos."""

import datetime as dt
import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from psycopg2.extensions import connection as Connection

from pc_pipeline.errors import NameNotUnderstood, UnreadableVideo
from pc_pipeline.ingest.names import parse_name
from pc_pipeline.ingest.registry import SourceFile, decide, video_id
from pc_pipeline.ingest.watch import scan
from pc_pipeline.stages.machine import Machine
from pc_pipeline.store import registry
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.store.registry import FileRow, VideoRow
from pc_pipeline.vision.decode import VideoFacts, probe


@dataclass
class Registration:
    """What became of a camera-day's files."""

    registered: list[str] = field(default_factory=list)
    content: list[tuple[int, str]] = field(default_factory=list)
    """(video id, content hash) of what is counted."""
    not_counted: list[tuple[str, str, str]] = field(default_factory=list)
    """(path, status, reason) of quarantined, duplicate and missing files."""
    removed_videos: int = 0


@dataclass(frozen=True)
class _Looked:
    row: FileRow
    facts: VideoFacts | None


def content_hash(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def register(machine: Machine, patterns: list[str], camera: str, date: dt.date) -> Registration:
    """Register the files of one camera-day: those in the watched folder and those given by hand.

    A file that cannot be read is quarantined with its reason; the others go on.
    """
    rows, _ = in_transaction(machine.dsn, lambda connection: registry.files_of_day(connection, camera, date))
    known = {row.path: row for row in rows}
    for file in scan(machine.watch_dir):
        try:
            name = parse_name(file.relative, patterns, machine.zone)
        except NameNotUnderstood:
            continue
        if name.camera == camera and name.start.astimezone(machine.zone).date() == date and file.path not in known:
            known[file.path] = FileRow(file.path, camera, name.start, date, -1, -1, "quarantined")
    looked = [_look(row) for row in known.values()]

    def write(connection: Connection) -> Registration:
        return _write(connection, machine, camera, date, looked)

    return in_transaction(machine.dsn, write)[0]


def _look(row: FileRow) -> _Looked:
    """Stat and probe a file, and hash it unless it is as it was."""
    path = Path(row.path)
    try:
        facts = path.stat()
    except OSError as error:
        sentence = f"The file is gone or cannot be looked at ({error.strerror}); its results, if any, stay."
        return _Looked(replace(row, status="missing", reason=sentence, video_id=None), None)
    same = (row.size_bytes, row.mtime_ns) == (facts.st_size, facts.st_mtime_ns)
    fresh = replace(row, size_bytes=facts.st_size, mtime_ns=facts.st_mtime_ns)
    try:
        hashed = row.content_hash if same and row.content_hash else content_hash(path)
        return _Looked(replace(fresh, content_hash=hashed, status="registered", reason=None), probe(path))
    except UnreadableVideo as error:
        return _Looked(
            replace(fresh, content_hash=hashed, status="quarantined", reason=str(error), video_id=None), None
        )
    except OSError as error:
        sentence = (
            f"The file cannot be read ({error.strerror}): check its permissions; it is tried again when it changes."
        )
        return _Looked(replace(fresh, content_hash=None, status="quarantined", reason=sentence, video_id=None), None)


def _write(connection: Connection, machine: Machine, camera: str, date: dt.date, looked: list[_Looked]) -> Registration:
    registry.lock_camera(connection, camera)
    here = {item.row.path: item for item in looked}
    readable = [item.row for item in looked if item.facts]
    hashes = {row.content_hash for row in readable if row.content_hash}
    elsewhere = [
        row
        for row in registry.files_with_content(connection, camera, hashes)
        if row.path not in here and Path(row.path).exists()
    ]
    decisions = decide(
        [
            SourceFile(row.path, row.started_at, row.content_hash)
            for row in [*readable, *elsewhere]
            if row.started_at and row.content_hash
        ]
    )
    report = Registration()
    counted: set[int] = set()
    rows: list[FileRow] = []
    for row in [*(item.row for item in looked), *elsewhere]:
        decision = decisions.get(row.path)
        if decision and decision.status == "registered" and row.path not in here and row.status == "duplicate":
            # The copy counted so far is gone: an unknown size makes the sensor ask for this one's own camera-day.
            row = replace(row, size_bytes=-1)
        elif decision and decision.status == "registered" and row.started_at:
            identity = video_id(camera, row.started_at)
            counted.add(identity)
            row = replace(row, status="registered", reason=None, video_id=identity)
            if row.path in here:
                _save_video(connection, camera, row, here[row.path].facts)
                report.registered.append(row.path)
                report.content.append((identity, row.content_hash or ""))
        elif decision:
            row = replace(row, status=decision.status, reason=decision.reason, video_id=None)
        rows.append(row)
        if row.status != "registered" and row.path in here:
            report.not_counted.append((row.path, row.status, row.reason or ""))
    report.removed_videos = _settle_others(connection, camera, date, hashes, counted)
    registry.save_files(connection, rows)
    return report


def _save_video(connection: Connection, camera: str, row: FileRow, facts: VideoFacts | None) -> None:
    assert facts and row.video_id and row.started_at and row.date and row.content_hash
    registry.save_video(
        connection,
        VideoRow(
            video_id=row.video_id,
            camera=camera,
            started_at=row.started_at,
            date=row.date,
            path=row.path,
            content_hash=row.content_hash,
            size_bytes=row.size_bytes,
            mtime_ns=row.mtime_ns,
            width=facts.width,
            height=facts.height,
            nominal_fps=facts.nominal_fps,
            codec=facts.codec,
            container=facts.container,
            rotation=facts.rotation,
        ),
    )


def _settle_others(connection: Connection, camera: str, date: dt.date, hashes: set[str], counted: set[int]) -> int:
    """Deal with videos no file of this look stands for: counted under another start, or without their file.

    Returns how many were removed because the same recording is counted elsewhere.
    """
    removed = 0
    for other, _ in registry.videos_with_content(connection, camera, hashes):
        if other not in counted:
            registry.remove_video(connection, other)
            removed += 1
    for other, path, size, mtime in registry.videos_of_day(connection, camera, date):
        if other not in counted and not _unchanged(Path(path), size, mtime):
            registry.mark_source_deleted(connection, other)
    return removed


def _unchanged(path: Path, size_bytes: int, mtime_ns: int) -> bool:
    try:
        facts = path.stat()
    except OSError:
        return False
    return (facts.st_size, facts.st_mtime_ns) == (size_bytes, mtime_ns)
