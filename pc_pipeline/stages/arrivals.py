"""What the watched folder asks for: which camera-days have files that are new, changed or gone."""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from pc_pipeline.errors import NameNotUnderstood
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
    if start > now + dt.timedelta(days=1):
        return f"It starts in the future ({start:%Y-%m-%d %H:%M} UTC): correct the camera's clock and rename the file."
    return None


def look(machine: Machine, site: SiteConfig, pending: Pending, now: dt.datetime) -> Arrivals:
    """Look at every file below the watched folder once, opening none.

    A file that can have no partition (its name tells no time, its camera is not configured) is quarantined here.
    """
    known, cameras = in_transaction(
        machine.dsn, lambda connection: (registry.all_files(connection), registry.cameras(connection))
    )[0]
    arrivals = Arrivals()
    asking: dict[tuple[str, dt.date], list[tuple[str, int, int]]] = defaultdict(list)
    seen = set()
    for file in scan(machine.watch_dir):
        seen.add(file.path)
        row = known.get(file.path)
        placed = _place(file, row, site, cameras, now)
        if placed.reason:
            if row is None or (row.reason, row.size_bytes, row.mtime_ns) != (placed.reason, *_facts(file)):
                arrivals.quarantined.append(placed)
            continue
        if row and row.content_hash and _facts(file) == (row.size_bytes, row.mtime_ns) and _same_place(row, placed):
            continue
        first_seen = _first_seen(file, pending, now)
        if now.timestamp() - first_seen < STABLE_S and now.timestamp() - file.mtime_ns / 1e9 < SETTLED_S:
            arrivals.pending[file.path] = (*_facts(file), first_seen)
            continue
        assert placed.camera and placed.date
        asking[placed.camera, placed.date].append((file.path, *_facts(file)))
    inside = f"{machine.watch_dir}/"
    for path, row in known.items():
        gone = path.startswith(inside) and path not in seen and row.status != "missing"
        if gone and row.camera in cameras and row.date:
            asking[row.camera, row.date].append((path, -1, -1))
    arrivals.days = {day: digest(sorted(files)) for day, files in sorted(asking.items(), key=lambda item: item[0])}
    if arrivals.quarantined:
        in_transaction(machine.dsn, lambda connection: registry.save_files(connection, arrivals.quarantined))
    return arrivals


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
    if not cameras.get(camera):
        known = "is switched off (active: false)" if camera in cameras else "is not in the site file"
        return quarantined(
            f"Camera '{camera}' {known}: put it under `cameras:` and run `pc config apply`; the file is then counted.",
            camera,
            start,
        )
    reason = start_allowed(start, site, now)
    if reason:
        return quarantined(reason, camera, start)
    date = start.astimezone(site.zone_info).date()
    return FileRow(file.path, camera, start, date, *_facts(file), "registered", None)


def give(machine: Machine, site: SiteConfig, path: Path, camera: str, start: dt.datetime) -> tuple[str, dt.date]:
    """Note a file whose camera and start were given by hand; returns the camera-day it belongs to."""
    date = start.astimezone(site.zone_info).date()
    row = FileRow(str(path), camera, start, date, -1, -1, "quarantined", "It was not looked at yet.", given=True)

    def save(connection: registry.Connection) -> None:
        known = {file.path: file for file in registry.files_of_day(connection, camera, date)}.get(row.path)
        if not (known and known.started_at == start):
            registry.save_files(connection, [row])

    in_transaction(machine.dsn, save)
    return camera, date
