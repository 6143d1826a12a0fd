"""Tables in monthly partitions (UTC): `detections` in `detections_2026_03` and so on, made when first needed."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import make_dsn

from pc_pipeline.store.postgres import connect


def ensure_partitions(connection: Connection, table: str, start: datetime, end: datetime) -> list[str]:
    """Make the monthly partitions of `table` from `start` to `end` (naive means UTC) that are missing; returns all
    their names.

    They are made over a connection of their own that commits at once: the lock would else be held as long as the load
    runs. CREATE TABLE and ATTACH lock the parent against other ATTACHes only (SHARE UPDATE EXCLUSIVE), where CREATE
    TABLE … PARTITION OF would wait for every reader and writer. Creators at the same time wait for each other.
    """
    months = _months(start, end)
    names = [partition_name(table, month) for month in months]
    if set(names) <= set(partitions(connection, table)):
        return names
    dsn = make_dsn(connection.dsn, password=connection.info.password or None)
    with closing(connect(dsn)) as own, own, own.cursor() as cursor:
        # Someone who waits to lock the parent whole (dropping old months) may wait for our caller's transaction, and we
        # for them: a circle that Postgres cannot see. Giving up replays the caller's transaction, which resolves it.
        cursor.execute("SET LOCAL lock_timeout = '10s'")
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('pc_pipeline'), hashtext('partitions'))")
        there = partitions(own, table)
        for month, name in zip(months, names, strict=True):
            if name not in there:
                parent, child = sql.Identifier(table), sql.Identifier(name)
                cursor.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} (LIKE {} INCLUDING ALL)").format(child, parent))
                cursor.execute(
                    sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM (%s) TO (%s)").format(parent, child),
                    (month, next_month(month)),
                )
    return names


def partitions(connection: Connection, table: str) -> list[str]:
    """The names of the partitions there are of `table`, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = %s::regclass ORDER BY relname",
            (table,),
        )
        return [name for (name,) in cursor]


def partition_name(table: str, month: datetime) -> str:
    """The name of a month's partition, such as `detections_2026_03`."""
    return f"{table}_{month:%Y_%m}"


def month_of(moment: datetime) -> datetime:
    """The start of the UTC month that holds `moment` (naive means UTC)."""
    return _utc(moment).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(month: datetime) -> datetime:
    """The start of the UTC month after the one that starts at `month`."""
    return month_of(month + timedelta(days=31))


def _months(start: datetime, end: datetime) -> list[datetime]:
    """The starts of the UTC months that hold any of start..end."""
    months = [month_of(start)]
    while next_month(months[-1]) <= _utc(end):
        months.append(next_month(months[-1]))
    return months


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
