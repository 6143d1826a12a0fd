"""What the database says of its tables: columns, types and comments, which stand in the migrations alone.

`sql/tables.json` is that, written down for those who have no database at hand, such as Dagster as it loads the assets.
After a migration: `python -m pc_pipeline.store.catalog` writes it anew (a test says when it is due).
"""

import json
import sys
from typing import TypedDict

from psycopg2.extensions import connection as Connection

from pc_pipeline.settings import SQL_DIR

FILE = SQL_DIR / "tables.json"
# The tables that assets show.
SHOWN = (
    "videos",
    "camera_events",
    "detections",
    "tracks",
    "track_genders",
    "run_gender_summary",
    "track_links",
    "people_movements",
    "zone_visits",
    "session_statistics",
    "hourly_statistics",
    "daily_statistics",
    "alert_logs",
)


class Table(TypedDict):
    """A table's comment, and of each column name, type, whether it may be null, and comment."""

    says: str
    columns: list[tuple[str, str, bool, str]]


def described(connection: Connection) -> dict[str, Table]:
    """The tables that assets show, by name, in the order of the way."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT c.relname, coalesce(obj_description(c.oid), ''),
                   jsonb_agg(jsonb_build_array(a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
                                               coalesce(col_description(c.oid, a.attnum), '')) ORDER BY a.attnum)
              FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%(shown)s)
             GROUP BY c.oid, c.relname ORDER BY array_position(%(shown)s, c.relname::text)
            """,
            {"shown": list(SHOWN)},
        )
        return {
            name: Table(says=says, columns=[(column, kind, null, comment) for column, kind, null, comment in columns])
            for name, says, columns in cursor.fetchall()
        }


def as_text(tables: dict[str, Table]) -> str:
    """The file's text, a line a column, so that a change is read as one."""
    blocks = []
    for name, table in tables.items():
        columns = ",\n".join(f"   {json.dumps(column, ensure_ascii=False)}" for column in table["columns"])
        says = json.dumps(table["says"], ensure_ascii=False)
        blocks.append(f' {json.dumps(name)}: {{\n  "says": {says},\n  "columns": [\n{columns}\n  ]\n }}')
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def written_down() -> dict[str, Table]:
    """What the file says."""
    tables: dict[str, Table] = json.loads(FILE.read_text())
    return tables


if __name__ == "__main__":
    from pc_pipeline.embedded.services import services
    from pc_pipeline.settings import Settings
    from pc_pipeline.store.postgres import in_transaction

    with services(Settings()) as found:
        FILE.write_text(as_text(in_transaction(found.postgres_dsn, described)[0]))
    sys.stdout.write(f"{FILE}\n")
