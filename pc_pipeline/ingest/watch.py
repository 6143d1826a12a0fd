"""The watched folder: which files lie there now. Opens none of them."""

import os
from collections.abc import Callable, Iterator
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


def _unheard(path: str, reason: str) -> None:
    pass


def scan(folder: Path, passed_over: Callable[[str, str], None] = _unheard) -> Iterator[SeenFile]:
    """Every video file below `folder`, by its suffix; hidden files and folders are not looked at.

    Args:
        folder: where to look; nothing is found in a folder that is not there.
        passed_over: takes the path (printable) and the reason, one sentence, of what may be or hold a video and cannot
            be taken: a link, a name that is not UTF-8, a folder that cannot be opened.
    """
    pending = [os.fspath(folder)] if folder.is_dir() else []
    while pending:
        below = pending.pop()
        try:
            with os.scandir(below) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            passed_over(below, f"The folder cannot be looked into ({error.strerror}): check its permissions.")
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            is_folder = Path(entry.path).is_dir()
            if not (is_folder or Path(entry.name).suffix.lower() in VIDEO_SUFFIXES):
                continue
            reason = _not_taken(entry)
            if reason:
                passed_over(printable(entry.path), reason)
            elif is_folder:
                pending.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                try:
                    facts = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                relative = PurePosixPath(Path(entry.path).relative_to(folder).as_posix())
                yield SeenFile(entry.path, relative, facts.st_size, facts.st_mtime_ns)


def printable(path: str) -> str:
    """A path as it can be stored and shown: bytes that are not UTF-8 stand as `\\udcXX`."""
    return path.encode("utf-8", "backslashreplace").decode()


def _not_taken(entry: os.DirEntry[str]) -> str | None:
    if printable(entry.name) != entry.name:
        return "The name is not in UTF-8, so it cannot be stored: rename it."
    if entry.is_symlink():
        return "It is a link, and links are not followed: put the file itself here, or give it to `pc process`."
    return None
