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
    hold_months(connection, table, start, end)
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


def hold_months(connection: Connection, table: str, start: datetime, end: datetime) -> None:
    """Keep the months of `table` from `start` to `end` from being dropped until the transaction ends; whoever loads
    into them or deletes from them calls this first. Waits while one of them is being dropped."""
    with connection.cursor() as cursor:
        for month in _months(start, end):
            name = partition_name(table, month)
            cursor.execute("SELECT pg_advisory_xact_lock_shared(hashtext('pc_pipeline month'), hashtext(%s))", (name,))


def freeze_month(connection: Connection, table: str, month: datetime) -> None:
    """Let nobody write into a month of `table` until the transaction ends: whoever loads into it or deletes from it
    waits. Loads into other months do not.

    Raises:
        LockNotAvailable: somebody has been working on the month for ten seconds.
    """
    name = partition_name(table, month)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '10s'")
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('pc_pipeline month'), hashtext(%s))", (name,))
        cursor.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.Identifier(name)))


def drop_month(connection: Connection, table: str, month: datetime) -> None:
    """Drop a month that was frozen in this transaction. From here on the whole table is locked: let this come last.

    Raises:
        LockNotAvailable: somebody has been reading or loading for ten seconds.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(partition_name(table, month))))


def partitioned_tables(connection: Connection) -> list[str]:
    """The names of all tables in monthly partitions."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_partitioned_table JOIN pg_class ON pg_class.oid = partrelid"
            " WHERE relnamespace = current_schema()::regnamespace AND partstrat = 'r' ORDER BY relname"
        )
        return [name for (name,) in cursor]


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


def month_of_partition(table: str, name: str) -> datetime:
    """The start of the month of a partition's name: the reverse of `partition_name`."""
    return datetime.strptime(name, f"{table}_%Y_%m").replace(tzinfo=UTC)


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
