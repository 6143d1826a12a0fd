"""How the database and Dagster are, as an operator asks: from the health views, and never waiting for long."""

import datetime as dt
from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar

import psycopg2
from psycopg2.extensions import connection as Connection

from pc_pipeline.errors import UserError
from pc_pipeline.store.postgres import connect, explain

T = TypeVar("T")

# Somebody who has a table for himself alone must not keep a person who asks how things are.
PATIENCE = {"statement_timeout": "5s", "lock_timeout": "2s"}


def read(dsn: str) -> dict[str, Any]:
    """What the database says, part by part; a part that could not be read is None, and `unread` says why.

    Raises:
        UserError: no connection.
    """
    parts: dict[str, Callable[[Connection], Any]] = {
        "database": database, "largest": largest, "months": months, "queue": queue, "running": running, "jobs": jobs,
        "ticks": ticks, "daemons": daemons, "files": files, "alerts": open_alerts,
    }  # fmt: skip
    found: dict[str, Any] = {"unread": {}}
    with closing(connect(dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for name, value in PATIENCE.items():
                cursor.execute(f"SET {name} = '{value}'")
        for name, part in parts.items():
            try:
                found[name] = part(connection)
            except (psycopg2.errors.QueryCanceled, psycopg2.errors.LockNotAvailable):
                found[name], found["unread"][name] = None, "it took too long: a table is locked, or the server is busy"
            except psycopg2.Error as error:
                if connection.closed:
                    raise UserError(explain(error)) from error
                found[name], found["unread"][name] = None, explain(error)
    return found


def database(connection: Connection) -> dict[str, Any]:
    """Its size, connections of how many there may be, the oldest open transaction, how near its ids are to their end
    (share of the age at which Postgres intervenes), and indexes that a REINDEX left half made."""
    (row,) = _rows(
        connection,
        """
        SELECT pg_database_size(current_database()) AS size_bytes,
               (SELECT count(*) FROM connections) AS connections,
               current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                   AS max_connections,
               (SELECT min(transaction_since) FROM connections) AS oldest_transaction,
               (SELECT max(age(datfrozenxid)) / current_setting('autovacuum_freeze_max_age')::float8 FROM pg_database)
                   AS transaction_age,
               (SELECT array_agg(index_name ORDER BY index_name) FROM index_use WHERE NOT is_valid) AS invalid_indexes,
               (SELECT count(*) FROM slow_queries WHERE source = 'running now') AS slow_now
        """,
    )
    return {**row, "invalid_indexes": row["invalid_indexes"] or []}


def largest(connection: Connection, count: int = 5) -> list[dict[str, Any]]:
    """The tables and months that take most, the largest first."""
    return _rows(
        connection,
        "SELECT schema_name, table_name, partition_name, total_bytes, rows_estimate FROM partition_sizes"
        " ORDER BY total_bytes DESC, 1, 2, 3 LIMIT %(count)s",
        count=count,
    )


def months(connection: Connection) -> dict[str, str]:
    """The last month there is a partition of, by table: `{"detections": "2026-05"}`."""
    rows = _rows(
        connection,
        r"""
        SELECT parent.relname::text AS name, replace(right(max(c.relname), 7), '_', '-') AS month
          FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent
         WHERE parent.relkind = 'p' AND c.relname ~ '_\d{4}_\d{2}$' GROUP BY 1 ORDER BY 1
        """,
    )
    return {row["name"]: row["month"] for row in rows}


def queue(connection: Connection) -> dict[str, Any]:
    """How many runs wait, and since when the oldest does."""
    (row,) = _rows(
        connection,
        "SELECT coalesce(sum(runs), 0)::bigint AS waiting, min(oldest) AS oldest FROM queue_length"
        " WHERE status IN ('QUEUED', 'NOT_STARTED', 'STARTING')",
    )
    return row


def jobs(connection: Connection) -> list[dict[str, Any]]:
    """Every job that ever ran, by name."""
    return _rows(connection, "SELECT job, last_success, last_failure, running, queued FROM job_success ORDER BY job")


def running(connection: Connection) -> list[dict[str, Any]]:
    """The runs that run now, the oldest first."""
    return _of_dagster(
        connection,
        """
        SELECT run_id, pipeline_name AS job, partition,
               coalesce(to_timestamp(start_time), create_timestamp AT TIME ZONE 'UTC') AS since
          FROM dagster.runs WHERE status IN ('STARTED', 'CANCELING') ORDER BY since
        """,
    )


def ticks(connection: Connection) -> list[dict[str, Any]]:
    """The last tick of every sensor and schedule: when, what came of it (its error's or its own sentence), the runs it
    asked for, and whether somebody stopped it."""
    return _of_dagster(
        connection,
        """
        -- From one selector to the next by the index: there are thousands of ticks of each.
        WITH RECURSIVE s AS (
            (SELECT selector_id FROM dagster.job_ticks ORDER BY 1 LIMIT 1)
            UNION ALL
            SELECT (SELECT selector_id FROM dagster.job_ticks WHERE selector_id > s.selector_id ORDER BY 1 LIMIT 1)
              FROM s WHERE s.selector_id IS NOT NULL
        )
        SELECT coalesce(body ->> 'job_name', body ->> 'instigator_name') AS name, lower(t.type) AS kind,
               lower(t.status) AS status, t.timestamp AT TIME ZONE 'UTC' AS at,
               coalesce(json_array_length(body -> 'run_ids'), 0) AS runs,
               coalesce(body -> 'error' ->> 'message', body ->> 'skip_reason') AS says,
               coalesce(i.status = 'STOPPED', false) AS stopped
          FROM s CROSS JOIN LATERAL (SELECT * FROM dagster.job_ticks WHERE selector_id = s.selector_id
                                      ORDER BY timestamp DESC LIMIT 1) AS t
          CROSS JOIN LATERAL (SELECT t.tick_body::json) AS b (body)
          LEFT JOIN dagster.instigators i ON i.selector_id = s.selector_id ORDER BY 1
        """,
    )


def daemons(connection: Connection) -> list[dict[str, Any]]:
    """Dagster's daemons, with when they were last heard of."""
    return _of_dagster(
        connection,
        "SELECT daemon_type AS name, timestamp AT TIME ZONE 'UTC' AS at FROM dagster.daemon_heartbeats ORDER BY 1",
    )


def files(connection: Connection) -> dict[str, int]:
    """How many files have been seen, by status."""
    rows = _rows(connection, "SELECT status, count(*) AS files FROM source_files GROUP BY 1 ORDER BY 1")
    return {row["status"]: row["files"] for row in rows}


def open_alerts(connection: Connection) -> list[dict[str, Any]]:
    """The alerts that are open, the newest first."""
    return _rows(connection, "SELECT title, since FROM alert_logs WHERE resolved_at IS NULL ORDER BY since DESC")


def _of_dagster(connection: Connection, query: str) -> list[dict[str, Any]]:
    """The rows of a query on Dagster's tables; none where it has none here."""
    (there,) = _rows(connection, "SELECT to_regclass('dagster.job_ticks') IS NOT NULL AS tables")
    return _rows(connection, query) if there["tables"] else []


def _rows(connection: Connection, query: str, **values: Any) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, map(_utc, row), strict=True)) for row in cursor]


def _utc(value: Any) -> Any:
    return value.astimezone(dt.UTC) if isinstance(value, dt.datetime) else value
