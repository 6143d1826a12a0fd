"""What the database's statistics say of its tables and indexes, and the statements that put them right.

VACUUM and REINDEX CONCURRENTLY stand outside any transaction, wait for no lock longer than `LOCK_WAIT_S`, and let loads
and queries go on meanwhile.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pc_pipeline.errors import PostgresUnreachable, UserError
from pc_pipeline.store.postgres import connect, explain

LOCK_WAIT_S = 10
_LOCK = "hashtext('pc_pipeline'), hashtext('upkeep')"
# What another session's VACUUM, ANALYZE or REINDEX works on now, and what somebody has or wants for himself alone: even
# to ask for its size would wait for him.
_BUSY = "WITH busy AS MATERIALIZED (" + " UNION ".join(
    [
        "SELECT relation AS oid FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND pid <> pg_backend_pid()"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND relation IS NOT NULL",
        *(
            f"SELECT relid FROM pg_stat_progress_{work} WHERE datname = current_database()"
            for work in ("vacuum", "analyze", "create_index", "cluster")
        ),
    ]
)
# Tables and indexes of this database that are ours to keep: of an owner that we are or stand for.
_OURS = r"""
    c.relpersistence = 'p' AND pg_has_role(c.relowner, 'USAGE')
    AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
"""
_TABLES = f"""{_BUSY}), known AS MATERIALIZED (SELECT DISTINCT schemaname, tablename, inherited FROM pg_stats)
    SELECT n.nspname::text, c.relname::text, c.relkind = 'p',
           CASE WHEN c.oid IN (TABLE busy) THEN 8192::bigint * c.relpages ELSE pg_relation_size(c.oid) END,
           -- The counts begin anew after a crash. -1: it was never looked at.
           CASE WHEN c.relkind = 'p' THEN greatest(c.reltuples, 0)
                WHEN coalesce(s.n_live_tup + s.n_dead_tup, 0) = 0 THEN abs(c.reltuples) ELSE s.n_live_tup END::bigint,
           coalesce(s.n_dead_tup, 0), coalesce(s.n_mod_since_analyze, 0), coalesce(s.n_ins_since_vacuum, 0),
           (n.nspname, c.relname, c.relkind = 'p') IN (SELECT * FROM known),
           CASE WHEN c.relkind = 'r' THEN greatest(
               age(c.relfrozenxid) / current_setting('autovacuum_freeze_max_age')::float8,
               mxid_age(c.relminmxid) / current_setting('autovacuum_multixact_freeze_max_age')::float8) ELSE 0 END,
           (SELECT coalesce(sum(greatest(part.reltuples, pg_stat_get_live_tuples(part.oid))), 0)::bigint
              FROM pg_inherits i JOIN pg_class part ON part.oid = i.inhrelid WHERE i.inhparent = c.oid),
           c.oid IN (TABLE busy)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
     WHERE c.relkind IN ('r', 'p') AND {_OURS} ORDER BY 1, 2
"""
# An index's columns are called as the table's are; those that are expressions have statistics under the index's name.
_INDEXES = f"""{_BUSY}), known AS MATERIALIZED (
        SELECT schemaname, tablename, attname, avg_width FROM pg_stats WHERE NOT inherited
    )
    SELECT n.nspname::text, t.relname::text, c.relname::text, m.amname::text, i.indisvalid,
           CASE WHEN c.oid IN (TABLE busy) OR t.oid IN (TABLE busy) THEN 8192::bigint * c.relpages
                ELSE pg_relation_size(c.oid) END,
           greatest(c.reltuples, 0)::bigint,
           (SELECT CASE WHEN count(known.avg_width) = count(*) THEN sum(known.avg_width) END
              FROM pg_attribute a LEFT JOIN known ON known.schemaname = n.nspname AND known.attname = a.attname
               AND known.tablename = CASE i.indkey[a.attnum - 1] WHEN 0 THEN c.relname ELSE t.relname END
             WHERE a.attrelid = c.oid),
           greatest(t.relpages, 0),
           (SELECT option_value::int FROM pg_options_to_table(c.reloptions) WHERE option_name = 'pages_per_range'),
           (SELECT option_value::int FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'),
           coalesce(s.n_ins_since_vacuum, 0), c.oid IN (TABLE busy) OR t.oid IN (TABLE busy)
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am m ON m.oid = c.relam
      LEFT JOIN pg_stat_all_tables s ON s.relid = t.oid
     WHERE c.relkind = 'i' AND {_OURS} ORDER BY 1, 2, 3
"""


@dataclass(frozen=True)
class Table:
    """A table or partition as the statistics have it; rows as Postgres counted along, sizes in bytes.

    Attributes:
        partitioned: its rows are in partitions, which are tables of their own here.
        size: of the rows alone; 0 where partitioned.
        rows: where partitioned, at its last ANALYZE.
        known: whether the planner has any statistics of it.
        age: of its oldest transaction, as a share of the age at which Postgres stops the world's other work for it.
        partition_rows: where partitioned, in its partitions at their last VACUUM or ANALYZE.
        busy: another session's VACUUM, ANALYZE or REINDEX is at it.
    """

    schema: str
    name: str
    partitioned: bool
    size: int
    rows: int
    dead: int
    changed: int
    inserted: int
    known: bool
    age: float
    partition_rows: int
    busy: bool


@dataclass(frozen=True)
class Index:
    """An index as the statistics have it; sizes in bytes.

    Attributes:
        kind: btree, brin and so on.
        valid: False where a REINDEX or CREATE INDEX was interrupted.
        width: average bytes of an entry's columns; None: its table was never analyzed.
        table_pages: pages of 8 kB of its table.
        pages_per_range, fillfactor: as it was made; None: as is usual (128, 90).
        inserted: rows its table got since its last VACUUM.
        busy: another session's VACUUM, ANALYZE or REINDEX is at its table.
    """

    schema: str
    table: str
    name: str
    kind: str
    valid: bool
    size: int
    rows: int
    width: int | None
    table_pages: int
    pages_per_range: int | None
    fillfactor: int | None
    inserted: int
    busy: bool


def tables(connection: Connection) -> list[Table]:
    """Every table, partition and partitioned table that is ours, Dagster's among them."""
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        return [Table(*row) for row in cursor]


def indexes(connection: Connection) -> list[Index]:
    """Every index of those tables."""
    with connection.cursor() as cursor:
        cursor.execute(_INDEXES)
        return [Index(*row) for row in cursor]


@contextmanager
def upkeep_connection(dsn: str) -> Iterator[Connection]:
    """A connection outside any transaction, for the one upkeep there may be at a time.

    Raises:
        UserError: another one is at work.
        PostgresUnreachable: no connection.
    """
    with closing(connect(dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_try_advisory_lock({_LOCK})")
            if cursor.fetchone() != (True,):
                raise UserError("Another upkeep of this database is at work: wait until it is done.")
            # As gently as autovacuum, with five times its share of the disk: what is loaded meanwhile goes first.
            cursor.execute("SET vacuum_cost_delay = '2ms'; SET vacuum_cost_limit = 1000")
            cursor.execute(f"SET lock_timeout = '{LOCK_WAIT_S}s'")
        yield connection
        with connection.cursor() as cursor:
            # Now, and not when the server notices that the connection is gone.
            cursor.execute(f"SELECT pg_advisory_unlock({_LOCK})")


def vacuum(connection: Connection, schema: str, table: str, seconds: float, *, analyze: bool, freeze: bool) -> str:
    """Vacuum a table unless it is locked; returns what came of it: done, busy, gone, or why not."""
    options = ["SKIP_LOCKED", *(["ANALYZE"] if analyze else []), *(["FREEZE"] if freeze else [])]
    statement = sql.SQL(f"VACUUM ({', '.join(options)}) {{}}").format(sql.Identifier(schema, table))
    return _run(connection, statement, seconds)


def analyze(connection: Connection, schema: str, table: str, seconds: float) -> str:
    """Analyze a table unless it is locked; a partitioned one with all its partitions. Returns what came of it."""
    return _run(connection, sql.SQL("ANALYZE (SKIP_LOCKED) {}").format(sql.Identifier(schema, table)), seconds)


def summarize(connection: Connection, schema: str, index: str, seconds: float) -> str:
    """Have a BRIN index cover the pages that came since the last VACUUM. Returns what came of it."""
    name = sql.Literal(sql.Identifier(schema, index).as_string(connection))
    return _run(connection, sql.SQL("SELECT brin_summarize_new_values({}::regclass)").format(name), seconds)


def reindex(connection: Connection, schema: str, index: str, seconds: float) -> str:
    """Make an index anew beside the old one. Returns what came of it.

    It waits for transactions older than itself; one that does not end in time leaves a half-made index, which upkeep
    removes the next time.
    """
    statement = sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(sql.Identifier(schema, index))
    return _run(connection, statement, seconds)


def drop_index(connection: Connection, schema: str, index: str, seconds: float) -> str:
    """Drop an index without keeping anybody from the table. Returns what came of it."""
    statement = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(schema, index))
    return _run(connection, statement, seconds)


def _run(connection: Connection, statement: sql.Composable, seconds: float) -> str:
    connection.notices.clear()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", (str(max(1, int(1000 * seconds))),))
            cursor.execute(statement)
    except psycopg2.errors.LockNotAvailable:
        return "busy"
    except psycopg2.errors.QueryCanceled:
        return "out of time"
    except (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedObject):
        return "gone"
    except psycopg2.Error as error:
        if connection.closed:
            raise PostgresUnreachable(explain(error)) from error
        return explain(error)
    # SKIP_LOCKED says so in a warning.
    return "busy" if any("lock not available" in notice for notice in connection.notices) else "done"
