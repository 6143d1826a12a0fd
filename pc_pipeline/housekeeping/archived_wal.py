"""The archived WAL as files: what there is, whether it is without a gap, and which of it nothing needs any more."""

import datetime as dt
import gzip
import os
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pc_pipeline.embedded.archive import Stream, streams
from pc_pipeline.store.wal import parse_segment_name, segment_name, segment_of

PARTIAL, PACKED, HISTORY = ".partial", ".gz", ".history"


@dataclass(frozen=True)
class Archived:
    """A cluster's WAL below a folder of backups.

    Attributes:
        segments: by (timeline, number), the file of each: whole, packed, or the last one, which is not full yet.
        histories: by timeline, the file that says from where in another timeline it went on.
        streams: since when there was which timeline, the oldest first.
    """

    segments: dict[tuple[int, int], Path]
    histories: dict[int, Path]
    streams: list[Stream]

    def timeline_at(self, moment: dt.datetime) -> int | None:
        """The timeline that was written at a moment; None before the first."""
        return next((stream.timeline for stream in reversed(self.streams) if stream.since <= moment), None)

    def ends(self, timeline: int) -> dict[int, int]:
        """The timelines on the way to `timeline`, each with the number of the segment in which it was left.

        `timeline` itself has none.
        """
        if timeline not in self.histories:
            return {}
        rows = [line.split("\t") for line in self.histories[timeline].read_text().splitlines() if "\t" in line]
        return {int(row[0]): segment_of(row[1]) for row in rows}

    def stretch(self, start: tuple[int, int], timeline: int, until: int | None = None) -> "Stretch":
        """The WAL from a backup's first segment to the end of `timeline`, or to the segment numbered `until`.

        Args:
            start: timeline and number of that segment.
        """
        # Each timeline of the way, the newest first, with the number of its first segment: where it left another.
        begins, begin = [], 0
        for line, end in sorted(self.ends(timeline).items()):
            begins.append((line, begin))
            begin = end
        begins = [(timeline, begin), *reversed(begins)]
        last = max((number for line, number in self.segments if line == timeline), default=start[1])
        wanted = [
            (next(line for line, begin in begins if begin <= number), number)
            for number in range(start[1], (last if until is None else min(last, until)) + 1)
        ]
        return Stretch(
            [key for key in wanted if key in self.segments],
            [segment_name(*key) for key in wanted if key not in self.segments],
        )


@dataclass(frozen=True)
class Stretch:
    """Segments (timeline, number) from one to another, and the names of those in between that are not there."""

    files: list[tuple[int, int]]
    missing: list[str]


def read_archive(folder: Path, system_identifier: str) -> Archived:
    """What there is below a folder of backups of a cluster's WAL."""
    found = streams(folder, system_identifier)
    segments: dict[tuple[int, int], Path] = {}
    histories: dict[int, Path] = {}
    for stream in found:
        # A name sorts before itself with `.gz` or `.partial` behind it.
        for path in sorted(stream.path.iterdir(), reverse=True):
            key = parse_segment_name(path.name.removesuffix(PARTIAL).removesuffix(PACKED))
            known = segments.get(key) if key else None
            if key and (known is None or known.name.endswith(PARTIAL) or not path.name.endswith(PARTIAL)):
                segments[key] = path
            if path.suffix == HISTORY:
                histories[int(path.stem, 16)] = path
    written = {path.parent for path in segments.values()}
    return Archived(segments, histories, [stream for stream in found if stream.path in written])


def unpack(archived: Archived, keys: list[tuple[int, int]], target: Path) -> int:
    """Lay segments, and every history, into a folder as PostgreSQL asks for them; returns their bytes."""
    for path in archived.histories.values():
        shutil.copyfile(path, target / path.name)
    for key in keys:
        source, wanted = archived.segments[key], target / segment_name(*key)
        if source.suffix == PACKED:
            with gzip.open(source) as packed, wanted.open("wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)
        else:
            shutil.copyfile(source, wanted)
    return sum(path.stat().st_size for path in target.iterdir())


def damaged(archived: Archived) -> list[Path]:
    """Packed segments whose checksum does not fit their content."""

    def broken(path: Path) -> bool:
        try:
            with gzip.open(path) as packed:
                while packed.read(1 << 20):
                    pass
        except (OSError, EOFError, zlib.error):
            return True
        return False

    return [path for path in archived.segments.values() if path.suffix == PACKED and broken(path)]


@dataclass(frozen=True)
class Tidied:
    """What tidying did: files packed and removed, and bytes that were given back."""

    packed: int
    removed: int
    freed_bytes: int


def tidy(folder: Path, needed_from: dict[str, list[tuple[int, int]]], *, keeps_all: bool = False) -> Tidied:
    """Remove the WAL that no backup needs, and pack the rest, but for what is still being written.

    Killed anywhere, it leaves each segment whole at least once; the next time finishes it.

    Args:
        needed_from: by cluster, the (timeline, number) of the first segment of each backup that is kept.
        keeps_all: remove no WAL, whatever needs it.
    """
    packed = removed = freed = 0
    for cluster in (folder / "wal").glob("*"):
        starts = [(0, 0)] if keeps_all else needed_from.get(cluster.name, [])
        found = streams(folder, cluster.name)
        for stream in found:
            full = []
            for path in sorted(stream.path.iterdir()):
                key = parse_segment_name(path.name.removesuffix(PARTIAL).removesuffix(PACKED))
                if path.name.endswith(".new"):
                    path.unlink()  # of a packing that was killed
                elif key and not any(key[0] >= line and key[1] >= number for line, number in starts):
                    freed += path.stat().st_size
                    removed += 1
                    path.unlink()
                elif key and path.suffix == "":
                    full.append(path)
            for path in full:
                freed += _pack(path)
                packed += 1
            if stream is not found[-1] and not any(parse_segment_name(p.name[:24]) for p in stream.path.iterdir()):
                shutil.rmtree(stream.path)
    return Tidied(packed, removed, freed)


def _pack(path: Path) -> int:
    """Compress a full segment; returns the bytes that were given back."""
    target, new = path.with_name(path.name + PACKED), path.with_name(path.name + PACKED + ".new")
    before = path.stat().st_size
    if not target.exists():
        with path.open("rb") as plain, new.open("wb") as file:
            with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, filename="", mtime=0) as packed:
                shutil.copyfileobj(plain, packed, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        new.rename(target)
        sync_folder(path.parent)
    path.unlink()
    return before - target.stat().st_size


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size(folder: Path) -> int:
    """Bytes of all WAL below a folder of backups."""
    return sum(path.stat().st_size for path in _files(folder / "wal"))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
