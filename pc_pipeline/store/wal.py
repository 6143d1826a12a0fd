"""The write-ahead log (WAL) as the server tells of it, and the arithmetic of its files' names.

A WAL file (segment) holds 16 MiB and is named by its timeline and its number; a timeline begins where a database was
restored. https://www.postgresql.org/docs/18/continuous-archiving.html
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

SEGMENT_BYTES = 16 * 1024 * 1024  # what `initdb` sets where it is not told otherwise
SLOT = "pc_wal"
RECEIVER = "pg_receivewal"


@dataclass(frozen=True)
class Server:
    """Which database cluster answers: its identifier is made by `initdb` and goes along with every copy."""

    system_identifier: str
    timeline: int


@dataclass(frozen=True)
class Received:
    """How far the receiver of WAL is: whether it streams, and how many bytes it is behind (None: never received)."""

    streaming: bool
    behind_bytes: int | None


def server(connection: Connection) -> Server:
    """The cluster and its timeline."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT system_identifier::text, timeline_id FROM pg_control_system(), pg_control_checkpoint()")
        return Server(*_one(cursor))


def database(connection: Connection) -> str:
    """The cluster's identifier and the database's name: no other is called so."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT system_identifier || ' ' || current_database() FROM pg_control_system()")
        return str(_one(cursor)[0])


def take_slot(connection: Connection) -> bool:
    """See that there is a replication slot that keeps WAL for our receiver; True where it stood and lost none.

    One that lost WAL (the receiver was away for more than `max_slot_wal_keep_size`) is made anew.
    """
    connection.rollback()
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT wal_status, restart_lsn IS NOT NULL FROM pg_replication_slots WHERE slot_name = %s", (SLOT,)
        )
        found = cursor.fetchone()
        if found and found[0] != "lost" and found[1]:
            return True
        if found:
            cursor.execute("SELECT pg_drop_replication_slot(%s)", (SLOT,))
        # Reserved at once: what is written from now on waits for the receiver.
        cursor.execute("SELECT pg_create_physical_replication_slot(%s, true)", (SLOT,))
        return False


def received(connection: Connection) -> Received:
    """How far our receiver of WAL is."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(bool_or(state = 'streaming'), false),"
            " min(pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn))::bigint"
            " FROM pg_stat_replication WHERE application_name = %s",
            (RECEIVER,),
        )
        return Received(*_one(cursor))


def facts(connection: Connection) -> dict[str, Any]:
    """What a backup's manifest says of the database: version, size, schema, rows of the small result tables."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), current_setting('server_version_num')::int,"
            " (SELECT sum(pg_database_size(oid)) FROM pg_database)::bigint, pg_database_size(current_database())"
        )
        version, number, cluster_bytes, database_bytes = _one(cursor)
        cursor.execute("SELECT max(version) FROM schema_migrations")
        (schema,) = _one(cursor)
        rows = {}
        for table in ("videos", "tracks", "people_movements", "hourly_statistics"):
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
            (rows[table],) = _one(cursor)
        cursor.execute("SELECT max(started_at) FROM videos")
        (newest,) = _one(cursor)
    return {
        "server_version": version,
        "server_version_num": number,
        "cluster_bytes": cluster_bytes,
        "database_bytes": database_bytes,
        "schema_version": schema,
        "rows": rows,
        "newest_video": newest.isoformat() if newest else None,
    }


def site_config(connection: Connection) -> dict[str, Any] | None:
    """The site file as it was applied last, from the database; None before the first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT config FROM site")
        found = cursor.fetchone()
        return found[0] if found else None


def others(connection: Connection) -> list[str]:
    """What else is connected to the database: each program's name as it calls itself, and from where."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT coalesce(nullif(application_name, ''), 'unnamed') || coalesce(' from ' || client_addr, '')"
            " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend' ORDER BY 1"
        )
        return [name for (name,) in cursor]


def now(connection: Connection) -> dt.datetime:
    """The server's clock, by which `--to-time` counts."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return _one(cursor)[0]


def segment_of(lsn: str) -> int:
    """The number of the segment that holds a place in the WAL, such as `0/3000028`."""
    high, low = lsn.split("/")
    return (int(high, 16) << 32 | int(low, 16)) // SEGMENT_BYTES


def segment_name(timeline: int, number: int) -> str:
    """The name of a segment's file: `00000001` `00000000` `00000003` is timeline 1, number 3."""
    per_id = 0x100000000 // SEGMENT_BYTES
    return f"{timeline:08X}{number // per_id:08X}{number % per_id:08X}"


def parse_segment_name(name: str) -> tuple[int, int] | None:
    """(timeline, number) of a segment's file name, or None where it is none."""
    if len(name) != 24 or set(name) - set("0123456789ABCDEF"):
        return None
    per_id = 0x100000000 // SEGMENT_BYTES
    return int(name[:8], 16), int(name[8:16], 16) * per_id + int(name[16:], 16)


def _one(cursor: Any) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return row
