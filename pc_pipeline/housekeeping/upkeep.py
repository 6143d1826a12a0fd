"""ANALYZE, VACUUM and reindexing of what needs it by the database's own statistics, the worst first.

Autovacuum does most of it by itself. What it leaves: partitioned tables (which it never analyzes), tables that are just
under its thresholds all day, indexes (which it never makes anew), and all of it where it is too slow or switched off.
"""

import math
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace

from pc_pipeline.store import upkeep as store
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.store.upkeep import Index, Table

MINUTES = 20.0
# A table's statistics are old when this share of its rows, and this many, changed since.
_CHANGED, _CHANGED_ROWS = 0.05, 500
# It is vacuumed when this share of its rows, and this many, are dead; or when so many came new (autovacuum's own rule),
# so that BRIN indexes and index-only scans take them in.
_DEAD, _DEAD_ROWS = 0.1, 1000
_INSERTED, _INSERTED_ROWS = 0.2, 1000
# Transactions half as old as Postgres lets them become: it is done now, at night, and not at the worst moment.
_AGE = 0.5
# An index is made anew when it is so many times as large as it should be, and large enough to matter.
_BLOAT = {"btree": 2.0, "brin": 4.0}
_BLOAT_BYTES = {"btree": 8 << 20, "brin": 1 << 20}
_SUMMARIZED_ROWS = 10_000
_PAGE = 8192
_LEFT_BEHIND = re.compile(r"_cc(new|old)\d*$")


@dataclass(frozen=True)
class Verdict:
    """What a table or index needs, why, and what came of it.

    Attributes:
        name: `schema.name` outside `public`.
        action: analyze, vacuum, vacuum and analyze, freeze, reindex, drop, summarize; `none` where nothing is due.
        why: also where nothing is due.
        outcome: done, busy (left alone), gone, out of time, what the server said; empty where nothing was tried.
        need: how far it is over its threshold: 1 is just due.
        seconds: how long it took.
    """

    schema: str
    table: str
    index: str | None
    action: str
    why: str
    need: float = 0.0
    outcome: str = ""
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """The table's or index's name as people say it."""
        name = self.index or self.table
        return name if self.schema == "public" else f"{self.schema}.{name}"

    def as_json(self) -> dict[str, object]:
        """As `pc db maintain --json` shows it."""
        return {**asdict(self), "need": None if math.isinf(self.need) else round(self.need, 2)}


def maintain(
    dsn: str,
    minutes: float = MINUTES,
    *,
    dry_run: bool = False,
    log: Callable[[str], None] = lambda line: None,
) -> list[Verdict]:
    """Put right what the statistics ask for, the worst first, for at most so many minutes.

    What others work on is left alone. What there was no time for is found again the next time.

    Args:
        dry_run: change nothing; the verdicts say what would be done.
        log: takes a line for everything done.

    Returns:
        A verdict on every table, and on every index that needs something; what was due first.

    Raises:
        UserError: another upkeep is at work, or the database cannot be used.
    """
    if dry_run:
        return look(dsn)
    deadline = time.monotonic() + 60 * minutes
    with store.upkeep_connection(dsn) as connection:
        done = []
        for verdict in look(dsn):
            left = deadline - time.monotonic()
            if verdict.action == "none" or verdict.outcome:
                done.append(verdict)
            elif left <= 0:
                done.append(replace(verdict, outcome="out of time"))
            else:
                began = time.monotonic()
                outcome = _do(connection, verdict, left)
                done.append(replace(verdict, outcome=outcome, seconds=round(time.monotonic() - began, 3)))
                log(f"{verdict.action} {verdict.name}: {outcome} ({verdict.why})")
    return done


def failures(verdicts: Iterable[Verdict]) -> list[str]:
    """A sentence for each that the server refused; what was busy or had no time is no failure."""
    fine = ("", "done", "busy", "gone", "out of time")
    return [
        f"{verdict.action} {verdict.name}: {verdict.outcome}" for verdict in verdicts if verdict.outcome not in fine
    ]


def look(dsn: str) -> list[Verdict]:
    """A verdict on every table and on every index that needs something; the worst first. Changes nothing."""
    tables, _ = in_transaction(dsn, store.tables)
    indexes, _ = in_transaction(dsn, store.indexes)
    verdicts = [judge(table) for table in tables]
    vacuumed = {(v.schema, v.table) for v in verdicts if v.action.startswith(("vacuum", "freeze"))}
    verdicts += [found for index in indexes if (found := judge_index(index, (index.schema, index.table) in vacuumed))]
    return sorted(verdicts, key=lambda verdict: (verdict.action == "none", -verdict.need))


def judge(table: Table) -> Verdict:
    """What a table needs by its statistics."""

    def verdict(action: str, why: Iterable[str], need: float) -> Verdict:
        outcome = "busy" if table.busy and action != "none" else ""
        return Verdict(table.schema, table.name, None, action, "; ".join(why), need, outcome)

    if table.partitioned:
        return verdict(*_of_partitioned(table))
    whole = table.rows + table.dead
    dead = table.dead / whole if whole else 0.0
    changed = table.changed / table.rows if table.rows else float(table.changed > 0)
    inserted = table.inserted / (_INSERTED_ROWS + _INSERTED * table.rows)
    analyze, vacuum, freeze = [], [], []
    if table.size and table.rows and not table.known:
        analyze.append((10.0, "never analyzed"))
    elif table.changed >= _CHANGED_ROWS and changed >= _CHANGED:
        analyze.append((changed / _CHANGED, f"{_share(changed)} of its rows changed since its last ANALYZE"))
    if table.dead >= _DEAD_ROWS and dead >= _DEAD:
        vacuum.append((dead / _DEAD, f"{_share(dead)} of its rows are dead"))
    if inserted >= 1:
        vacuum.append((min(inserted, 5.0), f"{table.inserted:,} rows since its last VACUUM"))
    if table.age >= _AGE:
        freeze.append(
            (math.inf, f"its transactions are at {_share(table.age)} of the age at which Postgres intervenes")
        )
    reasons = [*freeze, *vacuum, *analyze]
    if not reasons:
        return verdict("none", [_all_is_well(table, dead, changed)], 0.0)
    action = "freeze" if freeze else " and ".join(["vacuum"] * bool(vacuum) + ["analyze"] * bool(analyze))
    return verdict(action, [why for _, why in reasons], max(need for need, _ in reasons))


def _of_partitioned(table: Table) -> tuple[str, list[str], float]:
    """Its statistics span all partitions, and only ANALYZE by hand makes them."""
    if not table.partition_rows:
        return "none", ["its partitions have no rows yet"], 0.0
    if not table.known:
        return "analyze", ["never analyzed as a whole, which autovacuum never does"], 10.0
    moved = abs(table.partition_rows - table.rows) / table.partition_rows
    if moved >= 2 * _CHANGED:
        return (
            "analyze",
            [f"its partitions hold {_share(moved)} more or fewer rows than at its last ANALYZE"],
            moved / 0.1,
        )
    return "none", ["its partitions hold about as many rows as at its last ANALYZE"], 0.0


def _all_is_well(table: Table, dead: float, changed: float) -> str:
    if not table.size:
        return "empty"
    return f"{_share(dead)} dead, {_share(changed)} changed since its last ANALYZE"


def judge_index(index: Index, vacuumed: bool) -> Verdict | None:
    """What an index needs; None where nothing. `vacuumed`: its table is due for VACUUM, which summarizes BRIN too."""

    def verdict(action: str, why: str, need: float) -> Verdict:
        outcome = "busy" if index.busy else ""
        return Verdict(index.schema, index.table, index.name, action, why, need, outcome)

    if not index.valid:
        if _LEFT_BEHIND.search(index.name):
            return verdict("drop", "left behind, half made, by a REINDEX that was interrupted", math.inf)
        return verdict("reindex", "it is not valid: its making was interrupted, and no query uses it", math.inf)
    expected = expected_bytes(index)
    if expected and index.size >= _BLOAT_BYTES[index.kind] and index.size >= _BLOAT[index.kind] * expected:
        times = index.size / expected
        why = f"{index.size / 1e6:,.0f} MB where {expected / 1e6:,.0f} MB would do"
        return verdict("reindex", why, times / _BLOAT[index.kind])
    if index.kind == "brin" and index.inserted >= _SUMMARIZED_ROWS and not vacuumed:
        return verdict("summarize", f"{index.inserted:,} rows it does not cover yet", 1.0)
    return None


def expected_bytes(index: Index) -> int | None:
    """The size of an index made anew, about; None for kinds other than B-tree and BRIN, or where widths are unknown.

    B-tree: an entry is a pointer of 4 bytes, a header of 8 and its columns, to a multiple of 8, in pages less 40 bytes,
    filled as the index is; inner pages add a hundredth. Equal keys are folded since PostgreSQL 13, so it may be less.
    BRIN: some 48 bytes a range and column, and 6 for the map of ranges.
    """
    if index.width is None:
        return None
    if index.kind == "btree":
        entry = 4 + 8 * math.ceil((8 + index.width) / 8)
        leaves = math.ceil(index.rows * entry / ((_PAGE - 40) * (index.fillfactor or 90) / 100))
        return _PAGE * (1 + math.ceil(1.01 * leaves))
    if index.kind == "brin":
        ranges = math.ceil(index.table_pages / (index.pages_per_range or 128))
        return _PAGE * (3 + math.ceil(ranges * 54 / _PAGE))
    return None


def _do(connection: store.Connection, verdict: Verdict, seconds: float) -> str:
    schema, index = verdict.schema, verdict.index
    if index is None:
        if verdict.action == "analyze":
            return store.analyze(connection, schema, verdict.table, seconds)
        freeze = verdict.action == "freeze"
        return store.vacuum(
            connection, schema, verdict.table, seconds, analyze=freeze or "analyze" in verdict.action, freeze=freeze
        )
    if verdict.action == "reindex":
        outcome = store.reindex(connection, schema, index, seconds)
        if outcome != "done":
            _tidy(connection, schema, index)
        return outcome
    return {"drop": store.drop_index, "summarize": store.summarize}[verdict.action](connection, schema, index, seconds)


def _tidy(connection: store.Connection, schema: str, index: str) -> None:
    """Remove what an interrupted REINDEX of an index left, if it can be had now; else the next upkeep does."""
    for found in store.indexes(connection):
        left = found.schema == schema and _LEFT_BEHIND.sub("", found.name) == index
        if left and not found.valid and not found.busy and _LEFT_BEHIND.search(found.name):
            store.drop_index(connection, schema, found.name, store.LOCK_WAIT_S)


def _share(share: float) -> str:
    return f"{share:.0%}" if share < 10 else f"{share:.0f} times"
