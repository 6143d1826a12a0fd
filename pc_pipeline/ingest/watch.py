"""The watched folder: which files lie there now. Opens none of them."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pc_pipeline.ingest.names import VIDEO_SUFFIXES


class SeenFile(NamedTuple):
    """A file below the watched folder: absolute path, its path from the folder, size in bytes, mtime in ns."""

    path: str
    relative: str
    size_bytes: int
    mtime_ns: int


FolderFacts = tuple[int, int, int]
"""Device, inode and mtime in ns of a folder: others when a name in it comes, goes or changes."""


@dataclass(frozen=True)
class Listing:
    """A folder as it was listed: its path, its facts from before that, the folders in it, and the videos."""

    path: str
    facts: FolderFacts
    folders: tuple[str, ...]
    videos: list[os.DirEntry[str]]


PassedOver = Callable[[str, str], None]
"""Takes the path (printable) and the reason, one sentence, of what may be or hold a video and cannot be taken: a link,
a pipe, a name that is not UTF-8, a folder that cannot be opened."""
Rests = Callable[[str, FolderFacts], tuple[str, ...] | None]
"""Of a folder that need not be listed, by its path and facts, the folders in it; None for one that is listed."""


def _unheard(path: str, reason: str) -> None:
    pass


def _none_rests(path: str, facts: FolderFacts) -> None:
    return None


def walk(folder: Path, passed_over: PassedOver = _unheard, rests: Rests = _none_rests) -> Iterator[Listing]:
    """List `folder` and every folder below it; hidden ones, and links, are not looked into.

    Args:
        folder: where to look; nothing is found in a folder that is not there.
    """
    pending = [os.fspath(folder)]
    while pending:
        below = pending.pop()
        try:
            about = os.stat(below)  # noqa: PTH116 (a path object for each of many thousands takes longer than this)
            facts = (about.st_dev, about.st_ino, about.st_mtime_ns)
            folders = rests(below, facts)
            if folders is None:
                listing = _list(below, facts, passed_over)
                folders = listing.folders
                yield listing
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            reason = f"The folder cannot be looked into ({error.strerror}): check its permissions."
            passed_over(printable(below), reason)
            continue
        pending.extend(folders)


def _list(folder: str, facts: FolderFacts, passed_over: PassedOver) -> Listing:
    folders, videos = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            is_folder = _is_folder(entry)
            if not (is_folder or entry.name.lower().endswith(VIDEO_SUFFIXES)):
                continue
            reason = _not_taken(entry)
            if reason:
                passed_over(printable(entry.path), reason)
            elif is_folder:
                folders.append(entry.path)
            else:
                videos.append(entry)
    return Listing(folder, facts, tuple(folders), videos)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def look_at(root: Path, listing: Listing) -> Iterator[SeenFile]:
    """The videos of a listed folder, each looked at; what is no plain file, or has gone meanwhile, is left out.

    Args:
        root: the watched folder.
    """
    skipped = len(os.fspath(root).rstrip("/")) + 1
    for entry in listing.videos:
        try:
            if entry.is_file(follow_symlinks=False):
                facts = entry.stat(follow_symlinks=False)
                yield SeenFile(entry.path, entry.path[skipped:], facts.st_size, facts.st_mtime_ns)
        except OSError:
            continue


def scan(folder: Path, passed_over: PassedOver = _unheard) -> Iterator[SeenFile]:
    """Every video file below `folder`, by its suffix; hidden files and folders are not looked at."""
    for listing in walk(folder, passed_over):
        yield from look_at(folder, listing)


def printable(path: str) -> str:
    """A path as it can be stored and shown: bytes that are not UTF-8 stand as `\\udcXX`."""
    return path.encode("utf-8", "backslashreplace").decode()


def _not_taken(entry: os.DirEntry[str]) -> str | None:
    if not entry.name.isascii() and printable(entry.name) != entry.name:
        return "The name is not in UTF-8, so it cannot be stored: rename it."
    if entry.is_symlink():
        return "It is a link, and links are not followed: put the file itself here, or give it to `pc process`."
    if not (entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)):
        return "It is no plain file (a pipe, a socket or a device), so it cannot be a video: remove it."
    return None
