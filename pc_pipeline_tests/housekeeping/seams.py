"""A world's archive and its erasures, and both killed at their seams. Light: each kill is a process of its own."""

import datetime as dt

import pytest

from pc_pipeline.housekeeping import archive as archiving
from pc_pipeline.housekeeping import erasure as erasing
from pc_pipeline.store import archive, archive_files, erasure, months, rollups
from pc_pipeline.store.cache import Cache
from pc_pipeline.store.erasure import Erasure, Wish
from pc_pipeline_tests.stages.test_sameness import dying
from pc_pipeline_tests.stages.world import LONDON, World, local

AUGUST, NOVEMBER = dt.datetime(2026, 8, 1, tzinfo=dt.UTC), dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
MORNING = Wish("door", local("2026-03-03 09:00:00"), local("2026-03-03 11:00:00"), False)

OF_ARCHIVE = {
    "the file is written, not yet in its place": (archive_files, "fsync_folder"),
    "the file is in its place, its rows are still in the table": (months, "drop_month"),
    "the month is dropped, not yet committed": (archive, "keep"),
    "all is committed, the files that count no more are there": (archiving, "tidy"),
}
OF_ERASURE = {
    "the videos' rows are being deleted": (rollups, "roll_day"),
    "they are gone, their files are not": (erasing, "_files"),
    "the archive's file is written anew, and does not count yet": (archive.Replacement, "settle"),
    "the archive has it no more, Redis does": (erasing, "_redis"),
    "all is gone, the audit row does not say so": (erasure, "finish"),
}


def place_of(world: World) -> archiving.Place:
    folder = world.machine.raw_dir.parent
    return archiving.Place(world.machine.dsn, folder / "archive", world.machine.raw_dir, LONDON.key)


def run(
    world: World, now: dt.datetime = AUGUST, said: list[str] | None = None, *, dry_run: bool = False
) -> archiving.Report:
    """A run of the archive."""
    return archiving.run(place_of(world), now, ([] if said is None else said).append, dry_run=dry_run)


def everywhere(world: World, redis_url: str | None = None) -> erasing.Everywhere:
    home = world.machine.raw_dir.parent / "dagster"
    return erasing.Everywhere(place_of(world), Cache(redis_url) if redis_url else None, home)


def erase(world: World, wish: Wish, redis_url: str | None = None) -> Erasure:
    return erasing.erase(everywhere(world, redis_url), wish, "me", "ticket 1", NOVEMBER, lambda line: None)


def finish(world: World, redis_url: str | None = None) -> int:
    """Finish what erasures left; how many these were."""
    finished = erasing.finish_all(everywhere(world, redis_url), NOVEMBER, lambda line: None)
    finished.require_all()
    return finished.done


def run_and_die(world: World, seam: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        place, name = OF_ARCHIVE[seam]
        dying(place, name, patch, calls=2 if name == "tidy" else 1, after=name == "keep")
        run(world)


def erase_and_die(world: World, seam: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        dying(*OF_ERASURE[seam], patch)
        if world.rows("SELECT FROM erasures"):
            finish(world)
        else:
            erase(world, MORNING)
