"""Purge Dagster's event log: what happened in old runs goes, what is materialized stays known.

Each batch of runs is one transaction, so that a purge that is killed has done a part, and the next does the rest.
"""

import datetime as dt
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from pc_pipeline.store import event_log as store
from pc_pipeline.store.postgres import in_transaction, one_connection
from pc_pipeline.store.retention import event_log_until

# Runs a transaction: some 20,000 events.
_TOGETHER = 200
_SAY_EVERY = 5000
_RUN_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Purged:
    """What went, or would go.

    Attributes:
        before: runs to which nothing happened since are old.
        old_runs: how many of them there were; most of those that stay are the last of their partition.
        events, event_bytes: rows of the event log, and their bytes as they were stored.
        runs, check_results: rows of runs and of results of checks.
        log_folders, log_bytes: folders of runs' output on this machine, and the bytes of the files in them.
    """

    before: dt.datetime
    old_runs: int
    events: int
    event_bytes: int
    runs: int
    check_results: int
    log_folders: int
    log_bytes: int

    def as_json(self) -> dict[str, object]:
        """As `pc db purge-events --json` shows it."""
        return {**asdict(self), "before": self.before.isoformat(timespec="seconds")}


def purge(
    dsn: str,
    dagster_home: Path,
    now: dt.datetime,
    keep_days: int | None = None,
    *,
    dry_run: bool = False,
    log: Callable[[str], None] = lambda line: None,
) -> Purged:
    """Delete the events, runs and output of runs whose time is over, but for what is needed.

    What stays, and for whom: `pc_pipeline.store.event_log`. Runs that wait or run are never touched.

    Args:
        dagster_home: Dagster's folder of this machine, with the runs' output in `storage`.
        now: with its zone.
        keep_days: runs that ended so many days ago or more are old; None: as the site file says (`retention`).
        dry_run: delete nothing and say what would go.
        log: takes a line now and then.

    Raises:
        UserError: the database cannot be used.
    """
    with one_connection():
        if keep_days is None:
            before, _ = in_transaction(dsn, partial(event_log_until, now=now))
        else:
            before = now - dt.timedelta(days=keep_days)
        if not in_transaction(dsn, store.has_event_log)[0]:
            return Purged(before, 0, 0, 0, 0, 0, 0, 0)
        # First, while the runs are still there to tell that they are old.
        folders, size = _purge_output(dsn, dagster_home / "storage", before, dry_run)
        kept, _ = in_transaction(dsn, partial(store.kept_runs, before=before))
        of_runs = store.count_runs if dry_run else store.purge_runs
        runless = store.count_runless if dry_run else store.purge_runless
        rows, _ = in_transaction(dsn, partial(runless, before=before))
        looked_at = 0
        for runs in _old_runs(dsn, before):
            rows += in_transaction(dsn, partial(of_runs, runs=runs, kept=kept))[0]
            looked_at += len(runs)
            if looked_at % _SAY_EVERY < len(runs):
                log(f"{looked_at:,} old runs: {rows.events:,} events, {rows.runs:,} runs")
    return Purged(before, looked_at, rows.events, rows.event_bytes, rows.runs, rows.check_results, folders, size)


def _old_runs(dsn: str, before: dt.datetime) -> Iterator[list[str]]:
    after = 0
    while found := in_transaction(dsn, partial(store.old_runs, before=before, after_id=after, limit=_TOGETHER))[0]:
        after = found[-1][0]
        yield [run for _, run in found]


def _purge_output(dsn: str, storage: Path, before: dt.datetime, dry_run: bool) -> tuple[int, int]:
    """Remove the folders of runs that are old, or no longer there; how many, and the bytes in them."""
    if not storage.is_dir():
        return 0, 0
    folders, size = 0, 0
    names = [folder.name for folder in storage.iterdir() if _RUN_ID.fullmatch(folder.name)]
    for first in range(0, len(names), 1000):
        some = names[first : first + 1000]
        old, unknown = in_transaction(dsn, partial(store.runs_to_forget, runs=some, before=before))[0]
        # A run's folder may be made before its row can be seen.
        old |= {name for name in unknown if (storage / name).stat().st_mtime < before.timestamp()}
        for name in old:
            size += sum(file.stat().st_size for file in (storage / name).rglob("*") if file.is_file())
            folders += 1
            if not dry_run:
                shutil.rmtree(storage / name, ignore_errors=True)
    return folders, size
