"""The watched folder: which files lie there now. Opens none of them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pc_pipeline.ingest.names import VIDEO_SUFFIXES


@dataclass(frozen=True)
class SeenFile:
    """A file below the watched folder: absolute path, its path from the folder, size in bytes, mtime in ns."""

    path: str
    relative: PurePosixPath
    size_bytes: int
    mtime_ns: int


def scan(folder: Path) -> Iterator[SeenFile]:
    """Every video file below `folder`, by its suffix. Hidden files and folders, and links out of it, are passed over."""
    pending = [os.fspath(folder)] if folder.is_dir() else []
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.is_file(follow_symlinks=False) and Path(entry.name).suffix.lower() in VIDEO_SUFFIXES:
                    try:
                        facts = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    relative = PurePosixPath(Path(entry.path).relative_to(folder).as_posix())
                    yield SeenFile(entry.path, relative, facts.st_size, facts.st_mtime_ns)
