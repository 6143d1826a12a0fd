"""The table `retention`: how long rows are kept."""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg2.extensions import connection as Connection

if TYPE_CHECKING:
    from pc_pipeline.ingest.retention import RetentionConfig


@dataclass(frozen=True)
class Rule:
    """How long the rows of a table are kept.

    Attributes:
        name: the table.
        until: the start of the first UTC month that is kept; what is of the months before is past its time.
        archive: whether it goes to the archive before it is deleted.
    """

    name: str
    until: dt.datetime
    archive: bool


def rules(connection: Connection, now: dt.datetime) -> dict[str, Rule]:
    """What may go at `now`, by table; of what is kept for ever there is no rule."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, date_trunc('month', %s::timestamptz - keep, 'UTC'), archive FROM retention"
            " WHERE keep IS NOT NULL ORDER BY name",
            (now,),
        )
        return {name: Rule(name, until, archive) for name, until, archive in cursor}


def apply_retention(cursor: Any, config: "RetentionConfig") -> list[tuple[str, str]]:
    """Write the site file's section; gives what it changed: a table, and how long it is kept now."""
    changed = []
    for name in type(config).model_fields:
        keep = getattr(config, name)
        cursor.execute(
            "UPDATE retention SET keep = %(keep)s::interval, archive = %(archive)s WHERE name = %(name)s"
            " AND (keep, archive) IS DISTINCT FROM (%(keep)s::interval, %(archive)s)",
            {"name": name, "keep": keep.interval, "archive": keep.archive},
        )
        if cursor.rowcount:
            changed.append((name, keep.keep + ("" if keep.archive else ", then deleted without the archive")))
    return changed
