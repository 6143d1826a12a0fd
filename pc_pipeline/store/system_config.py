"""`system_config`: the site's operating settings by section, as `pc config apply` wrote them last."""

from typing import Any

from psycopg2.extensions import connection as Connection
from psycopg2.extras import Json


def put(connection: Connection, key: str, value: Any, description: str) -> bool:
    """Set a section's settings (anything JSON holds; never a password); returns whether that changed them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO system_config AS c (key, value, description) VALUES (%s, %s, %s)"
            " ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, description = EXCLUDED.description"
            " WHERE (c.value, c.description) IS DISTINCT FROM (EXCLUDED.value, EXCLUDED.description)",
            (key, Json(value), description),
        )
        return cursor.rowcount == 1


def get(connection: Connection, key: str) -> Any:
    """A section's settings; None where no site file was applied since there are such settings."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM system_config WHERE key = %s", (key,))
        row = cursor.fetchone()
    return row[0] if row else None
