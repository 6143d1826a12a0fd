"""Months of partitions made ahead, so that no load has to wait for one."""

import datetime as dt
from functools import partial

from psycopg2.extensions import connection as Connection

from pc_pipeline.store.months import ensure_partitions, month_of, next_month, partitioned_tables, partitions
from pc_pipeline.store.postgres import in_transaction

AHEAD = 3


def make_months(dsn: str, now: dt.datetime, ahead: int = AHEAD) -> dict[str, list[str]]:
    """Make this month's partition and those of the `ahead` months after it, of every table that has months; returns the
    names of those that were missing, by table."""
    last = month_of(now)
    for _ in range(ahead):
        last = next_month(last)

    def make(connection: Connection, table: str) -> list[str]:
        before = set(partitions(connection, table))
        return sorted(set(ensure_partitions(connection, table, now, last)) - before)

    tables, _ = in_transaction(dsn, partitioned_tables)
    return {table: in_transaction(dsn, partial(make, table=table))[0] for table in tables}
