"""A full disk: wherever counting happens to be, and in the middle of a migration."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.measure import NotHere
from faults.findings import Finding
from faults.recordings import FIRST_DAY, camera_days, record
from faults.site import Extent, Site, differing
from pc_pipeline.embedded.process import wait_until
from pc_pipeline.embedded.services import services

DISK_MB = 400
# What is left on the disk when counting begins, KB: with little the first commands cannot make Dagster's tables; with
# more Postgres stops for want of a piece of WAL, in the middle of the work, and does not start again.
LEFT_KB = (0, 256, 1024, 2048, 4096, 8192, 16384)
LEFT_FOR_PARQUET_KB = (0, 16)
# The same when the schema is made.
LEFT_FOR_MIGRATION_KB = (0, 64, 512, 2048)


def find(site: Site, extent: Extent) -> Iterator[Finding]:
    """Two camera-days counted on a disk that fills at several places, then with room; a schema made on a full disk."""
    if os.geteuid() != 0:
        raise NotHere("only root can mount a small disk")
    days = camera_days(FIRST_DAY, 2, ("hall",))
    record(site.watch_dir, days)
    for name, folder, lefts in (
        ("a full disk under everything", site.home, LEFT_KB[: extent.times]),
        ("a full disk under the Parquet files", site.home / "raw_detections", LEFT_FOR_PARQUET_KB[: extent.times]),
    ):
        told, silent = [], []
        # The servers run when the disk fills, as they do at a site.
        with _small_disk(folder, site), services(site.settings()):
            for left_kb in lefts:
                with _filled(folder, left_kb):
                    done = site.run("process", str(site.watch_dir), "--config", str(site.site_file))
                    said = done.stdout + done.stderr
                    site.say(f"  {left_kb:,} KB left: exit {done.returncode}: {_last(said)}")
                    (told if _is_told(done) else silent).append(left_kb)
            site.pc("process", str(site.watch_dir), "--config", str(site.site_file))
            other = differing(site.digest(), site.undisturbed())
        yield Finding(
            "disk",
            name,
            len(lefts),
            f"{len(told)} ended in a sentence or in time, {len(silent)} otherwise; with room again "
            + (f"rows differ in {', '.join(other)}" if other else "the rows are equal"),
            not silent and not other,
        )
    yield _migration(site, LEFT_FOR_MIGRATION_KB[: extent.times])


def _migration(site: Site, lefts: Sequence[int]) -> Finding:
    told, done_later = 0, 0
    with _small_disk(site.home, site):
        site.pc("db", "migrate")
        for left_kb in lefts:
            site.pc("db", "rollback", "--to", "0", "--yes")
            with _filled(site.home, left_kb):
                done = site.run("db", "migrate")
                said = done.stdout + done.stderr
                site.say(f"  {left_kb:,} KB left for the migration: exit {done.returncode}: {_last(said)}")
                told += _is_told(done)
            site.pc("db", "migrate")
            done_later += "pending" not in site.pc("db", "status")
    number = len(lefts)
    return Finding(
        "disk",
        "a full disk during the migrations",
        number,
        f"{told} ended in a sentence or in time; with room again {done_later} of {number} have the whole schema",
        told == done_later == number,
    )


def _is_told(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether a command ended well, or says that the disk is full, in a sentence, or in one a camera-day, and nothing
    else of what failed."""
    said = done.stdout + done.stderr
    sentences = re.findall(r"^(?:pc|failed): .*$", said, re.MULTILINE)
    plain = all(re.search("is full: free space|no space left for", sentence) for sentence in sentences)
    foreign = re.search("Traceback|Error|psycopg2|sqlalche|PANIC", said)
    return done.returncode == 0 or (bool(sentences) and plain and foreign is None)


def _last(said: str) -> str:
    return (said.strip().splitlines() or ["nothing"])[-1][:300]


@contextmanager
def _small_disk(folder: Path, site: Site) -> Iterator[None]:
    """A small disk of its own at `folder`, gone at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=755", "tmpfs", folder]).returncode:
        raise NotHere("this machine lets nobody mount a disk")
    try:
        yield
    finally:
        site.pc("down", check=False)
        subprocess.run(["umount", "-l", folder], check=True)
        shutil.rmtree(site.home, ignore_errors=True)


@contextmanager
def _filled(folder: Path, left_kb: int) -> Iterator[None]:
    """The disk with so much left on it."""
    ballast = folder / "ballast"

    def fill() -> bool:
        free = shutil.disk_usage(folder).free - left_kb * 1024
        # A server may write meanwhile.
        with suppress(OSError), ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(free // 4096 * 4096, 4096))
            return True
        return False

    wait_until(fill, 10)
    try:
        yield
    finally:
        ballast.unlink()
