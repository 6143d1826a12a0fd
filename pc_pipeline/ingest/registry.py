"""Which files are videos: pure decisions over what is known of a camera's files.

One video is what a camera recorded from one instant. Several files may claim to be it, and several may hold the same
recording; `decide` says which file counts, the same way in whatever order they arrived.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class SourceFile:
    """A readable file of a camera: its path, start (aware UTC) and the SHA-256 of its content (hex)."""

    path: str
    started_at: dt.datetime
    content_hash: str


@dataclass(frozen=True)
class Decision:
    """What becomes of a file: `registered`, `duplicate` or `quarantined`, with the reason for the latter two."""

    status: str
    reason: str | None = None


def video_id(camera: str, started_at: dt.datetime) -> int:
    """The deterministic id of what `camera` recorded from `started_at` on: 63 bits of a hash, never 0.

    Example:
        >>> start = dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)
        >>> video_id("door", start) == video_id("door", start.astimezone(dt.timezone(dt.timedelta(hours=5))))
        True
    """
    key = f"{camera}\n{started_at.astimezone(dt.UTC).isoformat(timespec='microseconds')}"
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") >> 1 or 1


def decide(files: list[SourceFile]) -> dict[str, Decision]:
    """Say of each of one camera's files, by path, whether it counts.

    Of files with the same content the earliest start counts, then the first path. Of files that claim the same start
    with different content the first path counts; what the other holds may still count under another start.
    """
    decisions: dict[str, Decision] = {}
    by_content: dict[str, SourceFile] = {}
    by_start: dict[dt.datetime, SourceFile] = {}
    for file in sorted(files, key=lambda f: (f.started_at, f.path)):
        same = by_content.get(file.content_hash)
        if same:
            decisions[file.path] = Decision(
                "duplicate", f"It is the same recording, byte for byte, as {same.path}, which is counted in its place."
            )
            continue
        first = by_start.get(file.started_at)
        if first:
            decisions[file.path] = Decision(
                "quarantined",
                f"{first.path} claims the same camera and start ({file.started_at:%Y-%m-%d %H:%M:%S} UTC) and is"
                " counted in its place; rename one of the two.",
            )
            continue
        by_content[file.content_hash] = by_start[file.started_at] = file
        decisions[file.path] = Decision("registered")
    return decisions
