"""What the watched folder asks for: which camera-days have files that are new, changed or gone."""

import datetime as dt
import math
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from psycopg2.extensions import connection as Connection

from pc_pipeline.errors import NameNotUnderstood, UserError
from pc_pipeline.ingest.names import parse_name
from pc_pipeline.ingest.site import SiteConfig
from pc_pipeline.ingest.watch import FolderFacts, Listing, SeenFile, look_at, walk
from pc_pipeline.stages.fingerprints import digest
from pc_pipeline.stages.machine import Machine
from pc_pipeline.store import registry
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.store.registry import FileRow

# A file whose size and time have not changed for this long has been written to its end.
STABLE_S = 10.0
# A file this old is not being written: it needs no second look.
SETTLED_S = 60.0

# A folder in which something changed so lately is listed at every look: a file may be written in place.
YOUNG_S = 3600.0
# Every folder is listed once in this time.
WHOLE_ROUND = dt.timedelta(minutes=5)
# Videos whose folders are compared with the database at once.
_TOGETHER = 5000

Pending = dict[str, tuple[int, int, float]]
"""Path to (size in bytes, mtime in ns, seconds since 1970 when it was first seen so)."""


class Remembered(NamedTuple):
    """A folder as it was listed last (None: it was not there), the folders in it, and whether it rests: all in it is
    settled, and not young."""

    facts: FolderFacts | None
    folders: tuple[str, ...]
    rests: bool


@dataclass(frozen=True)
class Memory:
    """What one look leaves for the next, so that it need not list every folder. Without it nothing is missed.

    Attributes:
        made_with: database, watched folder, site, cameras and date: where one is another, everything is looked at.
        at: when the look was.
        whole_at: when all rows of the database were last compared with the folders there are.
        folders: by path; first those that were listed longest ago.
    """

    made_with: tuple[Any, ...]
    at: dt.datetime
    whole_at: dt.datetime
    folders: dict[str, Remembered]

    def due(self, now: dt.datetime) -> set[str]:
        """The folders whose turn it is to be listed though they rest."""
        share = max((now - self.at) / WHOLE_ROUND, 0.0)
        return set(islice(self.folders, math.ceil(len(self.folders) * share)))


@dataclass
class Arrivals:
    """Camera-days to run, each with a key made of the files that ask for it; the files to look at again; and what the
    next look may make use of."""

    days: dict[tuple[str, dt.date], str] = field(default_factory=dict)
    pending: Pending = field(default_factory=dict)
    quarantined: list[FileRow] = field(default_factory=list)
    memory: Memory | None = None


def start_allowed(start: dt.datetime, site: SiteConfig, now: dt.datetime) -> str | None:
    """Why a video that starts then has no partition, in one sentence; None where it has one."""
    date = start.astimezone(site.zone_info).date()
    if date < site.history_from:
        return (
            f"It starts on {date}, before this site's history ({site.history_from}): set `history_from` in the site"
            " file to an earlier date and run `pc config apply`."
        )
    if date > now.astimezone(site.zone_info).date():
        return f"It starts in the future ({start:%Y-%m-%d %H:%M} UTC): correct the camera's clock and rename the file."
    return None


def unknown_camera(camera: str) -> str:
    """Why a file of a camera that is not configured is not counted."""
    return (
        f"Camera '{camera}' is not in the site file: put it under `cameras:` and run `pc config apply`; the file is"
        " then counted."
    )


def look(
    machine: Machine, site: SiteConfig, pending: Pending, now: dt.datetime, memory: Memory | None = None
) -> Arrivals:
    """Look at the files below the watched folder, opening none.

    A file that can have no partition (its name tells no time, its camera is not configured) is quarantined here.

    Args:
        memory: of an earlier look. Folders that rest are then not listed, but for some in turn: a file that changes in
            one of them without a change to the folder is seen within `WHOLE_ROUND`. Without it, all are listed.

    Raises:
        UserError: the watched folder is not there; a disk that is not mounted must not look like deleted videos.
    """
    if not machine.watch_dir.is_dir():
        raise UserError(
            f"The watched folder {machine.watch_dir} is not there: mount or create it, or set PC_WATCH_DIR."
        )
    return in_transaction(machine.dsn, lambda c: _Look(c, machine.watch_dir, site, pending, now).look(memory))[0]


class _Look:
    """One look: what is asked for and what is quarantined gathers in it."""

    def __init__(
        self, connection: Connection, root: Path, site: SiteConfig, pending: Pending, now: dt.datetime
    ) -> None:
        self._connection = connection
        self._root = root
        self._site = site
        self._pending = pending
        self._now = now
        self._cameras = registry.cameras(connection)
        self._arrivals = Arrivals()
        self._asking: dict[tuple[str, dt.date], list[tuple[str, ...]]] = defaultdict(list)
        self._never_counted: list[FileRow] = []
        self._over: dict[str, str] = {}

    def look(self, memory: Memory | None) -> Arrivals:
        today = self._now.astimezone(self._site.zone_info).date()
        made_with = (self._connection.dsn, self._root, self._site, self._cameras, today)
        if memory and memory.made_with != made_with:
            memory = None
        before = memory.folders if memory else {}
        awake = (memory.due(self._now) if memory else set()) | registry.folders_to_look_at(self._connection)
        resting: dict[str, Remembered] = {}
        listed: dict[str, Remembered] = {}

        def rests(path: str, facts: FolderFacts) -> tuple[str, ...] | None:
            known = before.get(path)
            if known is None or not known.rests or known.facts != facts or path in awake:
                return None
            resting[path] = known
            return known.folders

        listed_before = {path for path, known in before.items() if known.facts}
        for some in _batches(walk(self._root, self._over.__setitem__, rests)):
            listed |= self._compare(some, listed_before)
        every = memory is None or self._now - memory.whole_at >= WHOLE_ROUND
        listed |= self._gone_with_their_folders(before, {*resting, *listed}, every=every)
        self._tell_what_was_passed_over()
        self._save()
        # In the order of `before`: the walk comes by them in another.
        folders = {path: resting[path] for path in before if path in resting} | listed
        whole_at = self._now if memory is None or every else memory.whole_at
        self._arrivals.memory = Memory(made_with, self._now, whole_at, folders)
        self._arrivals.days = {
            day: digest(sorted(files)) for day, files in sorted(self._asking.items(), key=lambda item: item[0])
        }
        return self._arrivals

    def _compare(self, listings: list[Listing], listed_before: Collection[str]) -> dict[str, Remembered]:
        """Compare the files of some folders with what is known of them."""
        known = registry.files_in(self._connection, [listing.path for listing in listings])
        compared = {}
        for listing in listings:
            settled, newest = True, listing.facts[2]
            for file in look_at(self._root, listing):
                newest = max(newest, file.mtime_ns)
                row = known.pop(file.path, None)
                # What the name tells was compared with the row when this folder was listed first.
                if not (row and _as_it_was(file, row) and (listing.path in listed_before or self._named_so(file, row))):
                    settled &= self._is_settled(file, row)
            rests = settled and self._now.timestamp() - newest / 1e9 > YOUNG_S
            compared[listing.path] = Remembered(listing.facts, listing.folders, rests)
        for folder in self._gone(known.values()):
            compared[folder] = compared[folder]._replace(rests=False)
        return compared

    def _named_so(self, file: SeenFile, row: FileRow) -> bool:
        """Whether a file's name tells the camera and start it is known with; where it tells none, those stay."""
        try:
            name = parse_name(file.relative, self._site.name_patterns, self._site.zone_info)
        except NameNotUnderstood:
            return True
        return row.given or (name.camera, name.start) == (row.camera, row.started_at)

    def _is_settled(self, file: SeenFile, row: FileRow | None) -> bool:
        """Whether nothing is to be done about a file any more; else it is asked for, or waits."""
        if row and row.status == "erased":
            return True
        placed = _place(file, row, self._site, self._cameras, self._now)
        if row and _registered(file, row, placed):
            return True
        if placed.reason:
            if row is None or (row.reason, row.size_bytes, row.mtime_ns) != (placed.reason, *_facts(file)):
                self._arrivals.quarantined.append(placed)
            return True
        now = self._now.timestamp()
        first_seen = _first_seen(file, self._pending, self._now)
        if now - first_seen < STABLE_S and now - file.mtime_ns / 1e9 < SETTLED_S:
            self._arrivals.pending[file.path] = (*_facts(file), first_seen)
        else:
            assert placed.camera and placed.date
            self._asking[placed.camera, placed.date].append(_ask(file.path, _facts(file), row))
        return False

    def _gone(self, rows: Iterable[FileRow]) -> set[str]:
        """Ask for what became of files that were not found; returns the folders they were in."""
        folders = set()
        for row in rows:
            if row.status in ("missing", "erased") or _is_or_lies_in(row.path, self._over):
                continue
            folders.add(os.path.dirname(row.path))  # noqa: PTH120
            if row.date is None:
                self._never_counted.append(replace(row, status="missing", reason="The file is gone."))
            elif row.camera in self._cameras:
                self._asking[row.camera, row.date].append(_ask(row.path, (-1, -1), row))
        return folders

    def _gone_with_their_folders(
        self, before: Collection[str], there: Collection[str], *, every: bool
    ) -> dict[str, Remembered]:
        """Ask for the files of folders that are no more; these are remembered until that is settled."""
        if every:
            rows: Iterable[FileRow] = registry.files_outside(self._connection, str(self._root), there)
        else:
            rows = registry.files_in(self._connection, [path for path in before if path not in there]).values()
        return {folder: Remembered(None, (), False) for folder in self._gone(rows)}

    def _tell_what_was_passed_over(self) -> None:
        known = registry.files_in(self._connection, (), self._over) if self._over else {}
        self._arrivals.quarantined += [
            FileRow(path, None, None, None, 0, 0, "quarantined", reason)
            for path, reason in self._over.items()
            if path not in known or known[path].reason != reason
        ]

    def _save(self) -> None:
        changed = [*self._arrivals.quarantined, *self._never_counted]
        if changed:
            registry.save_files(self._connection, changed)


def _batches(listings: Iterable[Listing]) -> Iterator[list[Listing]]:
    """Folders together, so that there are few questions to the database, and few rows in memory."""
    batch, videos = [], 0
    for listing in listings:
        batch.append(listing)
        videos += len(listing.videos)
        if videos >= _TOGETHER:
            yield batch
            batch, videos = [], 0
    if batch:
        yield batch


def _ask(path: str, facts: tuple[int, int], row: FileRow | None) -> tuple[str, ...]:
    """What is asked of a file: with what is known of it, since it may go and come back as it was."""
    known = (row.status, row.size_bytes, row.mtime_ns) if row else ("new",)
    return path, *(str(part) for part in (*facts, *known))


def _as_it_was(file: SeenFile, row: FileRow) -> bool:
    """Whether registration has looked at the file as it is now."""
    return row.status != "missing" and row.date is not None and _facts(file) == (row.size_bytes, row.mtime_ns)


def _registered(file: SeenFile, row: FileRow, placed: FileRow) -> bool:
    """Whether nothing can be gained by another look of registration at the file."""
    if row.status == "missing" or row.date is None:
        return False
    if row.mtime_ns < 0 and row.content_hash is None and row.size_bytes == file.size_bytes:
        return not os.access(file.path, os.R_OK)
    # What is counted stays so, though its camera were switched off or its name no longer understood.
    return _as_it_was(file, row) and (placed.reason is not None or _same_place(row, placed))


def _is_or_lies_in(path: str, over: Iterable[str]) -> bool:
    """Whether a path was passed over; and of what lies in a folder that cannot be looked into, nothing is known."""
    return any(path == one or path.startswith(f"{one}/") for one in over)


def _facts(file: SeenFile) -> tuple[int, int]:
    return file.size_bytes, file.mtime_ns


def _same_place(row: FileRow, placed: FileRow) -> bool:
    return row.given or (row.camera, row.started_at) == (placed.camera, placed.started_at)


def _first_seen(file: SeenFile, pending: Pending, now: dt.datetime) -> float:
    size, mtime, since = pending.get(file.path, (-1, -1, 0.0))
    return since if (size, mtime) == _facts(file) else now.timestamp()


def _place(
    file: SeenFile, row: FileRow | None, site: SiteConfig, cameras: dict[str, bool], now: dt.datetime
) -> FileRow:
    """Where a file belongs, from its name or as it was given; with a reason where it belongs nowhere."""

    def quarantined(reason: str, camera: str | None = None, start: dt.datetime | None = None) -> FileRow:
        return FileRow(file.path, camera, start, None, *_facts(file), "quarantined", reason)

    if row and row.given and row.camera and row.started_at:
        camera, start = row.camera, row.started_at
    else:
        try:
            name = parse_name(file.relative, site.name_patterns, site.zone_info)
        except NameNotUnderstood as error:
            return quarantined(str(error))
        camera, start = name.camera, name.start
    if camera not in cameras:
        return quarantined(unknown_camera(camera), camera, start)
    if not cameras[camera]:
        return quarantined(
            f"Camera '{camera}' is switched off: set `active: true` in the site file and run `pc config apply`; the"
            " file is then counted.",
            camera,
            start,
        )
    reason = start_allowed(start, site, now)
    if reason:
        return quarantined(reason, camera, start)
    date = start.astimezone(site.zone_info).date()
    return FileRow(file.path, camera, start, date, *_facts(file), "registered", None)


def give(
    machine: Machine, site: SiteConfig, path: Path, camera: str, start: dt.datetime, *, given: bool
) -> set[tuple[str, dt.date]]:
    """Note a file to count, wherever it lies; returns the camera-day it belongs to, and the one it was counted in
    before, where that is another.

    Args:
        given: its camera or start was given by hand, so its name is not asked again.
    """
    date = start.astimezone(site.zone_info).date()
    row = FileRow(str(path), camera, start, date, -1, -1, "quarantined", "It was not looked at yet.", given=given)

    def save(connection: Connection) -> set[tuple[str, dt.date]]:
        known = next(iter(registry.files_at(connection, [row.path])), None)
        if known and known.status == "erased":
            return {(known.camera, known.date)} if known.camera and known.date else set()
        if known and (known.camera, known.started_at) == (camera, start):
            return set()
        # What it counted as before is told to registration, which takes that back.
        before = replace(row, content_hash=known.content_hash, video_id=known.video_id) if known else row
        registry.save_files(connection, [before])
        return {(known.camera, known.date)} if known and known.video_id and known.camera and known.date else set()

    return {(camera, date), *in_transaction(machine.dsn, save)[0]}
