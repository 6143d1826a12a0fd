"""The `videos` stage: look at a camera-day's files, hash and probe what is new, and say which of them are videos."""

import datetime as dt
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from psycopg2.extensions import connection as Connection

from pc_pipeline.errors import NameNotUnderstood, UnreadableVideo
from pc_pipeline.ingest.names import parse_name
from pc_pipeline.ingest.registry import Decision, SourceFile, decide, video_id
from pc_pipeline.ingest.watch import walk
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
    new: int = 0
    changed: list[tuple[str, str]] = field(default_factory=list)
    """(path, what) of files that are counted and were replaced, renamed, came back or came late."""
    warnings: list[tuple[str, str]] = field(default_factory=list)
    """(path, sentence) of files that are counted and whose name leaves a doubt."""
    removed_videos: int = 0


@dataclass(frozen=True)
class _Looked:
    """A file's row before and after this look; `facts` where it can be read; `refused` where it must not be opened."""

    before: FileRow
    row: FileRow
    facts: VideoFacts | None
    refused: bool = False


def content_hash(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ambiguous_start(start: dt.datetime, zone: dt.tzinfo) -> str:
    """The warning for a name whose local time happened twice."""
    local = start.astimezone(zone)
    return (
        f"Its name says {local:%Y-%m-%d %H:%M:%S}, which the clocks showed twice that night; the first of the two is"
        " taken. A name in UTC, ending in Z, leaves no doubt."
    )


def register(machine: Machine, patterns: list[str], camera: str, date: dt.date) -> Registration:
    """Register the files of one camera-day: those in the watched folder and those given by hand.

    A file that cannot be read is quarantined with its reason; the others go on.
    """
    known, doubts = _files(machine, patterns, camera, date)
    looked = [_look(row, machine.watch_dir) for row in known]

    def write(connection: Connection) -> Registration:
        return _write(connection, machine, camera, date, looked)

    report = in_transaction(machine.dsn, write)[0]
    report.warnings = [(path, doubts[path]) for path in report.registered if path in doubts]
    return report


def _files(machine: Machine, patterns: list[str], camera: str, date: dt.date) -> tuple[list[FileRow], dict[str, str]]:
    """What is known of each file of a camera-day, in order of the paths; and the doubts that names leave, by path."""
    named, doubts = {}, {}
    for path in _perhaps_of(machine.watch_dir, camera, date):
        try:
            name = parse_name(os.path.relpath(path, machine.watch_dir), patterns, machine.zone)
        except NameNotUnderstood:
            continue
        if name.camera == camera and name.start.astimezone(machine.zone).date() == date:
            named[path] = name.start
            if name.ambiguous:
                doubts[path] = ambiguous_start(name.start, machine.zone)

    def read(connection: Connection) -> list[FileRow]:
        return [*registry.files_of_day(connection, camera, date), *registry.files_at(connection, named)]

    known = {row.path: row for row in in_transaction(machine.dsn, read)[0]}
    for path, start in named.items():
        row = known.get(path) or FileRow(path, camera, start, date, -1, -1, "quarantined")
        if not row.given:
            row = replace(row, camera=camera, started_at=start, date=date)
        known[path] = row
    # A file given by hand stays where it was put, whatever its name says; what was erased is not looked at again.
    of_day = [row for _, row in sorted(known.items()) if (row.camera, row.date) == (camera, date)]
    return [row for row in of_day if row.status != "erased"], doubts


def _perhaps_of(folder: Path, camera: str, date: dt.date) -> Iterator[str]:
    """The videos whose path holds the camera's name and the date, or one near it: a name may be in UTC.

    Where years of video lie in the folder, reading every name would take seconds.
    """
    dates = [f"{date + dt.timedelta(days=n):%Y%m%d}" for n in range(-2, 3)]
    for listing in walk(folder):
        for entry in listing.videos:
            digits = entry.path.replace("-", "")
            if camera in entry.path and any(text in digits for text in dates) and entry.is_file(follow_symlinks=False):
                yield entry.path


def _look(row: FileRow, root: Path) -> _Looked:
    """Stat and probe a file, and hash it unless it is as it was."""
    path = Path(row.path)
    try:
        facts = path.stat()
    except OSError as error:
        sentence = f"The file is gone or cannot be looked at ({error.strerror}); its results, if any, stay."
        return _Looked(row, replace(row, status="missing", reason=sentence, video_id=None), None)
    same = (row.size_bytes, row.mtime_ns) == (facts.st_size, facts.st_mtime_ns)
    row_now = replace(row, size_bytes=facts.st_size, mtime_ns=facts.st_mtime_ns)
    quarantined = replace(row_now, content_hash=None, status="quarantined", video_id=None)
    reason = _not_to_be_opened(row, root, facts.st_mode)
    if reason:
        return _Looked(row, replace(quarantined, reason=reason), None, refused=True)
    try:
        found = probe(path)
        hashed = row.content_hash if same and row.content_hash else content_hash(path)
    except OSError as error:
        return _Looked(row, _unreadable(quarantined, error.strerror), None)
    except UnreadableVideo as error:
        if not os.access(path, os.R_OK):
            return _Looked(row, _unreadable(quarantined, "Permission denied"), None)
        return _Looked(row, replace(quarantined, reason=str(error)), None)
    return _Looked(row, replace(row_now, content_hash=hashed, status="registered", reason=None), found)


def _not_to_be_opened(row: FileRow, root: Path, mode: int) -> str | None:
    """Why a path must not be opened: since it was found, something else may have been put there, or before it."""
    if not stat.S_ISREG(mode):
        return "It is no plain file (a pipe, a socket or a device), so it cannot be a video: remove it."
    path = Path(row.path)
    within = path.is_relative_to(root) and not row.given
    if within and path.resolve() != root.resolve() / path.relative_to(root):
        return "It is a link or lies behind one, and links are not followed: put the file itself here."
    return None


def _unreadable(row: FileRow, why: str | None) -> FileRow:
    """The row of a file that may not be read. Permissions change without a trace in its time, so that stays unknown."""
    sentence = f"The file cannot be read ({why}): check its permissions; it is counted once it can be read."
    return replace(row, mtime_ns=-1, reason=sentence)


def _write(connection: Connection, machine: Machine, camera: str, date: dt.date, looked: list[_Looked]) -> Registration:
    registry.lock_camera(connection, camera)
    looked = _without_erased(connection, camera, looked)
    latest = registry.latest_start(connection, camera)
    here = {item.row.path: item for item in looked}
    related = _related(connection, camera, looked)
    elsewhere = [row for row in related if row.status != "missing" and os.path.exists(row.path)]  # noqa: PTH110
    readable = [item.row for item in looked if item.facts]
    decisions = decide(
        [
            SourceFile(row.path, row.started_at, row.content_hash)
            for row in [*readable, *elsewhere]
            if row.started_at and row.content_hash
        ]
    )
    report = Registration()
    rows: list[FileRow] = []
    for item in looked:
        row = _decided(item.row, camera, decisions.get(item.row.path))
        rows.append(row)
        if row.status == "registered":
            _save_video(connection, camera, row, item.facts)
            report.registered.append(row.path)
            report.content.append((row.video_id or 0, row.content_hash or ""))
            if item.before.content_hash is None:
                report.new += 1
    rows += _moved(elsewhere, decisions)
    rows = _where_the_missing_went(rows, related, decisions)
    now = {row.path: row for row in [*elsewhere, *rows]}.values()
    counted = {video_id(camera, row.started_at) for row in now if row.status == "registered" and row.started_at}
    for row in rows:
        if row.path not in here:
            continue
        if row.status != "registered":
            report.not_counted.append((row.path, row.status, row.reason or ""))
        else:
            what = _change(here[row.path].before, row, [*rows, *related], latest)
            report.changed += [(row.path, what)] if what else []
    report.removed_videos = _settle_others(connection, camera, date, looked, counted)
    registry.save_files(connection, rows)
    return report


ERASED = "What it shows was erased on request (docs/retention.md): it is never counted again."


def _without_erased(connection: Connection, camera: str, looked: list[_Looked]) -> list[_Looked]:
    """The files of a look, less those that were erased, this moment or under another path: these are noted as such."""
    contents = {item.row.content_hash for item in looked if item.row.content_hash}
    erased = registry.erased_contents(connection, camera, contents)
    rows = registry.files_at(connection, [item.row.path for item in looked])
    paths = {row.path for row in rows if row.status == "erased"}
    copies = [item.row for item in looked if item.row.content_hash in erased and item.row.path not in paths]
    registry.save_files(connection, [replace(row, status="erased", reason=ERASED, video_id=None) for row in copies])
    gone = paths | {row.path for row in copies}
    return [item for item in looked if item.row.path not in gone]


def _related(connection: Connection, camera: str, looked: list[_Looked]) -> list[FileRow]:
    """The files of other days that may stand or fall with these: by the same content or start, and so on from them."""
    here = {item.row.path for item in looked}
    found: dict[str, FileRow] = {}
    added = [row for item in looked for row in (item.before, item.row)]
    while added:
        rows = registry.files_sharing(
            connection,
            camera,
            {row.content_hash for row in added if row.content_hash},
            {row.started_at for row in added if row.started_at},
        )
        added = [row for row in rows if row.path not in here and row.path not in found]
        found |= {row.path: row for row in added}
    return list(found.values())


def _decided(row: FileRow, camera: str, decision: Decision | None) -> FileRow:
    if decision is None or row.started_at is None:
        return row
    identity = video_id(camera, row.started_at) if decision.status == "registered" else None
    return replace(row, status=decision.status, reason=decision.reason, video_id=identity)


def _moved(elsewhere: Iterable[FileRow], decisions: dict[str, Decision]) -> list[FileRow]:
    """The rows of other days' files that this look changes.

    One that now is a duplicate is written as such. What else changes is for its own camera-day to write: an unknown
    size makes that be asked for.
    """
    moved = []
    for row in elsewhere:
        decision = decisions[row.path]
        if decision.status == "duplicate":
            moved.append(replace(row, status="duplicate", reason=decision.reason, video_id=None))
        elif decision.status != row.status:
            moved.append(replace(row, size_bytes=-1))
    return moved


def _where_the_missing_went(
    rows: list[FileRow], related: Iterable[FileRow], decisions: dict[str, Decision]
) -> list[FileRow]:
    """`rows`, and the missing files of other days, with the path that holds a missing file's recording now."""
    counted = {
        row.content_hash: row.path
        for row in [*related, *rows]
        if row.path in decisions and decisions[row.path].status == "registered"
    }

    def told(row: FileRow) -> FileRow:
        now = counted.get(row.content_hash) if row.status == "missing" else None
        return replace(row, reason=f"The file is gone; the same recording is counted as {now}.") if now else row

    gone = [told(row) for row in related if row.status == "missing"]
    return [*(told(row) for row in rows), *gone]


def _change(before: FileRow, row: FileRow, others: list[FileRow], latest: dt.datetime | None) -> str | None:
    """What happened to a counted file since the last look that a person would want to know."""
    if before.status == "missing":
        return "is back"
    if before.content_hash:
        return "replaced: its content is new, and is counted anew" if before.content_hash != row.content_hash else None
    old = [o.path for o in others if o.status == "missing" and o.content_hash == row.content_hash]
    if old:
        return f"renamed from {old[0]}"
    if latest and row.started_at and row.started_at < latest:
        return "late: later videos of this camera were registered before it"
    return None


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


def _settle_others(connection: Connection, camera: str, date: dt.date, looked: list[_Looked], counted: set[int]) -> int:
    """Deal with videos no file of this look stands for: counted under another start or camera, or without their file.

    Returns how many were removed because the same recording is counted elsewhere.
    """
    readable = [item for item in looked if item.facts]
    hashes = {item.row.content_hash for item in readable if item.row.content_hash}
    other = registry.videos_with_content(connection, camera, hashes)
    # The same file as before, now under another camera or start.
    other += [
        item.before.video_id
        for item in readable
        if item.before.video_id and item.before.content_hash == item.row.content_hash
    ]
    removed = [video for video in dict.fromkeys(other) if video not in counted]
    for video in removed:
        registry.remove_video(connection, video)
    refused = {item.row.path for item in looked if item.refused}
    for video, path, size, mtime in registry.videos_of_day(connection, camera, date):
        if video not in counted and (path in refused or not _unchanged(Path(path), size, mtime)):
            registry.mark_source_deleted(connection, video)
    return len(removed)


def _unchanged(path: Path, size_bytes: int, mtime_ns: int) -> bool:
    try:
        facts = path.stat()
    except OSError:
        return False
    return (facts.st_size, facts.st_mtime_ns) == (size_bytes, mtime_ns)
