"""Files that change, grow, are replaced, vanish and come back while they are counted."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from faults.findings import Finding, judged
from faults.recordings import FIRST_DAY, camera_days
from faults.site import Extent, Site


def find(site: Site, extent: Extent) -> Iterator[Finding]:
    """A backfill of four camera-days; so many times each a file is replaced by another with its name, is written over
    bit by bit as by a recorder, or goes away and comes back."""
    with site.up():
        site.backfill(camera_days(FIRST_DAY, 1))
        paths = sorted(site.watch_dir.glob("*.mp4"))
        faults = [_replaced, _written_slowly, _gone_and_back] * extent.times
        site.rng.shuffle(faults)
        for fault in faults:
            time.sleep(site.rng.uniform(0.2, 3))
            fault(site, site.rng.choice(paths), paths)
        standing = site.settle()
        wrong = site.query("SELECT path, reason FROM source_files WHERE status NOT IN ('registered', 'duplicate')")
        for path, reason in wrong:
            site.say(f"  left: {path}: {reason}")
        yield Finding(
            "files",
            "replaced, written over slowly, gone and back, while they are counted",
            len(faults),
            f"of {len(paths)} files {len(paths) - len(wrong)} are registered or duplicates of one that is",
            not wrong,
        )
        yield from judged(site, "files", "files that change while they are read", len(faults), standing)


def _put(path: Path, content: bytes) -> None:
    """In one piece, as a copy that is renamed, and as if it had been there for long."""
    hidden = path.with_name(f".{path.name}.writing")
    hidden.write_bytes(content)
    age = 1_600_000_000 + int.from_bytes(os.urandom(3), "big")
    os.utime(hidden, (age, age))
    hidden.rename(path)


def _replaced(site: Site, path: Path, paths: list[Path]) -> None:
    _put(path, site.rng.choice(paths).read_bytes())


def _written_slowly(site: Site, path: Path, paths: list[Path]) -> None:
    content = path.read_bytes()
    with path.open("wb") as file:
        for start in range(0, len(content), len(content) // 8 + 1):
            file.write(content[start : start + len(content) // 8 + 1])
            file.flush()
            time.sleep(0.3)


def _gone_and_back(site: Site, path: Path, paths: list[Path]) -> None:
    content = path.read_bytes()
    path.unlink()
    time.sleep(site.rng.uniform(0.5, 4))
    _put(path, content)
