"""A fingerprint of the results: equal digests mean equal rows, whatever the order in which they came about."""

import hashlib
from typing import Any, TypedDict

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pc_pipeline.store.postgres import in_transaction

# The result tables, with the columns left out: where a file lies and when it was touched is not a result. The ledger
# (clocks, run ids), source files, the configuration and the register of every model used are no results either.
TABLES: dict[str, tuple[str, ...]] = {
    "videos": ("path", "mtime_ns"),
    "sessions": ("input_source",),
    "reference_pictures": (),
    "camera_events": (),
    "detections": (),
    # What a frame took is a clock; whom it shows is a result.
    "frame_metadata": ("processing_ms",),
    "tracks": (),
    "track_genders": (),
    "run_gender_summary": (),
    "track_links": (),
    "people_movements": (),
    "zone_visits": (),
    "session_statistics": (),
    "realtime_metrics": (),
    "hourly_statistics": (),
    "daily_statistics": (),
}

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) = 'text', coalesce(attnum = ANY (indkey), false)
FROM pg_attribute LEFT JOIN pg_index ON indrelid = attrelid AND indisprimary
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
ORDER BY array_position(indkey::int2[], attnum), attname COLLATE "C"
"""


class TableDigest(TypedDict):
    """Number of rows of a table, and the SHA-256 (hex) of them in the order of its primary key."""

    rows: int
    sha256: str


class _Hash:
    """A file that hashes what is written to it and counts its lines."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.rows = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.rows += data.count(b"\n")
        return len(data)


def digest(dsn: str) -> dict[str, TableDigest]:
    """The digest of every result table, from one snapshot, streamed: memory does not grow with the tables."""
    return in_transaction(dsn, _digests)[0]


def _digests(connection: Connection) -> dict[str, TableDigest]:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # How a value is written must not depend on the server's settings.
        cursor.execute("SET LOCAL datestyle = 'ISO'; SET LOCAL extra_float_digits = 1")
    return {table: _digest(connection, table, without) for table, without in TABLES.items()}


def _digest(connection: Connection, table: str, without: tuple[str, ...]) -> TableDigest:
    with connection.cursor() as cursor:
        cursor.execute(_COLUMNS, (table,))
        columns: list[tuple[Any, ...]] = cursor.fetchall()
        keys = [
            sql.SQL('{} COLLATE "C"' if is_text else "{}").format(sql.Identifier(column))
            for column, is_text, in_key in columns
            if in_key
        ]
        names = sorted(column for column, _, _ in columns if column not in without)
        copy = sql.SQL("COPY (SELECT {} FROM {} ORDER BY {}) TO STDOUT").format(
            sql.SQL(", ").join(map(sql.Identifier, names)), sql.Identifier(table), sql.SQL(", ").join(keys)
        )
        hashed = _Hash()
        cursor.copy_expert(copy, hashed)  # type: ignore[arg-type]
    return {"rows": hashed.rows, "sha256": hashed.sha256.hexdigest()}
