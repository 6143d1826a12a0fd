"""What the watched folder asks for: which camera-days have files that are new, changed or gone."""

import datetime as dt
import os
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from psycopg2.extensions import connection as Connection

from pc_pipeline.errors import NameNotUnderstood, UserError
from pc_pipeline.ingest.names import parse_name
from pc_pipeline.ingest.site import SiteConfig
from pc_pipeline.ingest.watch import SeenFile, scan
from pc_pipeline.stages.fingerprints import digest
from pc_pipeline.stages.machine import Machine
from pc_pipeline.store import registry
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.store.registry import FileRow

# A file whose size and time have not changed for this long has been written to its end.
STABLE_S = 10.0
# A file this old is not being written: it needs no second look.
SETTLED_S = 60.0

Pending = dict[str, tuple[int, int, float]]
"""Path to (size in bytes, mtime in ns, seconds since 1970 when it was first seen so)."""


@dataclass
class Arrivals:
    """Camera-days to run, each with a key made of the files that ask for it; and the files to look at again."""

    days: dict[tuple[str, dt.date], str] = field(default_factory=dict)
    pending: Pending = field(default_factory=dict)
    quarantined: list[FileRow] = field(default_factory=list)


def start_allowed(start: dt.datetime, site: SiteConfig, now: dt.datetime) -> str | None:
    """Why a video that starts then has no partition, in one sentence; None where it has one."""
    date = start.astimezone(site.zone_info).date()
    if date < site.history_from:
        return (
            f"It starts on {date}, before this site's history ({site.history_from}): set `history_from` in the site"
            " file to an earlier date, apply it and restart."
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


def look(machine: Machine, site: SiteConfig, pending: Pending, now: dt.datetime) -> Arrivals:
    """Look at every file below the watched folder once, opening none.

    A file that can have no partition (its name tells no time, its camera is not configured) is quarantined here.

    Raises:
        UserError: the watched folder is not there; a disk that is not mounted must not look like deleted videos.
    """
    if not machine.watch_dir.is_dir():
        raise UserError(
            f"The watched folder {machine.watch_dir} is not there: mount or create it, or set PC_WATCH_DIR."
        )
    known, cameras = in_transaction(
        machine.dsn, lambda connection: (registry.all_files(connection), registry.cameras(connection))
    )[0]
    arrivals = Arrivals()
    asking: dict[tuple[str, dt.date], list[tuple[str, ...]]] = defaultdict(list)
    over: dict[str, str] = {}
    seen = set()
    for file in scan(machine.watch_dir, over.__setitem__):
        seen.add(file.path)
        row = known.get(file.path)
        placed = _place(file, row, site, cameras, now)
        if row and _registered(file, row, placed):
            continue
        if placed.reason:
            if row is None or (row.reason, row.size_bytes, row.mtime_ns) != (placed.reason, *_facts(file)):
                arrivals.quarantined.append(placed)
            continue
        first_seen = _first_seen(file, pending, now)
        if now.timestamp() - first_seen < STABLE_S and now.timestamp() - file.mtime_ns / 1e9 < SETTLED_S:
            arrivals.pending[file.path] = (*_facts(file), first_seen)
            continue
        assert placed.camera and placed.date
        asking[placed.camera, placed.date].append(_ask(file.path, _facts(file), row))
    arrivals.quarantined += [
        FileRow(path, None, None, None, 0, 0, "quarantined", reason)
        for path, reason in over.items()
        if path not in known or known[path].reason != reason
    ]
    gone = [row for row in known.values() if _is_gone(row, machine.watch_dir, seen, over)]
    for row in gone:
        if row.camera in cameras and row.date:
            asking[row.camera, row.date].append(_ask(row.path, (-1, -1), row))
    never_counted = [replace(row, status="missing", reason="The file is gone.") for row in gone if row.date is None]
    arrivals.days = {day: digest(sorted(files)) for day, files in sorted(asking.items(), key=lambda item: item[0])}
    changed = [*arrivals.quarantined, *never_counted]
    if changed:
        in_transaction(machine.dsn, lambda connection: registry.save_files(connection, changed))
    return arrivals


def _ask(path: str, facts: tuple[int, int], row: FileRow | None) -> tuple[str, ...]:
    """What is asked of a file: with what is known of it, since it may go and come back as it was."""
    known = (row.status, row.size_bytes, row.mtime_ns) if row else ("new",)
    return path, *(str(part) for part in (*facts, *known))


def _registered(file: SeenFile, row: FileRow, placed: FileRow) -> bool:
    """Whether registration has looked at the file as it is now, and nothing can be gained by another look."""
    if row.status == "missing" or row.date is None:
        return False
    if row.mtime_ns < 0 and row.content_hash is None and row.size_bytes == file.size_bytes:
        return not os.access(file.path, os.R_OK)
    # What is counted stays so, though its camera were switched off or its name no longer understood.
    return _facts(file) == (row.size_bytes, row.mtime_ns) and (placed.reason is not None or _same_place(row, placed))


def _is_gone(row: FileRow, folder: Path, seen: set[str], over: dict[str, str]) -> bool:
    if row.status == "missing" or not row.path.startswith(f"{folder}/") or row.path in seen or row.path in over:
        return False
    # Of what lies in a folder that cannot be looked into nothing is known.
    return not any(row.path.startswith(f"{path}/") for path in over)


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
) -> tuple[str, dt.date]:
    """Note a file to count, wherever it lies; returns the camera-day it belongs to.

    Args:
        given: its camera or start was given by hand, so its name is not asked again.
    """
    date = start.astimezone(site.zone_info).date()
    row = FileRow(str(path), camera, start, date, -1, -1, "quarantined", "It was not looked at yet.", given=given)

    def save(connection: Connection) -> None:
        known = next(iter(registry.files_at(connection, [row.path])), None)
        if known and (known.camera, known.started_at) == (camera, start):
            return
        # What it counted as before is told to registration, which takes that back.
        before = replace(row, content_hash=known.content_hash, video_id=known.video_id) if known else row
        registry.save_files(connection, [before])

    in_transaction(machine.dsn, save)
    return camera, date
