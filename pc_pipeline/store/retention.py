"""The table `retention`: how long rows are kept."""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg2.extensions import connection as Connection

from pc_pipeline.errors import SchemaOutdated

if TYPE_CHECKING:
    from pc_pipeline.ingest.retention import RetentionConfig


# Not of the results: Dagster's.
EVENT_LOG = "event_log"


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
    """What of the results may go at `now`, by table; of what is kept for ever there is no rule."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, date_trunc('month', %s::timestamptz - keep, 'UTC'), archive FROM retention"
            " WHERE keep IS NOT NULL AND name <> %s ORDER BY name",
            (now, EVENT_LOG),
        )
        return {name: Rule(name, until, archive) for name, until, archive in cursor}


def event_log_until(connection: Connection, now: dt.datetime) -> dt.datetime:
    """Runs that ended before this moment are past their time at `now`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz - keep FROM retention WHERE name = %s", (now, EVENT_LOG))
        found = cursor.fetchone()
    if found is None:
        raise SchemaOutdated("the database does not know how long the event log is kept: run `pc db migrate`")
    until: dt.datetime = found[0]
    return until


def apply_retention(cursor: Any, config: "RetentionConfig") -> list[tuple[str, str]]:
    """Write the site file's section; gives what it changed: a table, and how long it is kept now."""
    from pc_pipeline.ingest.retention import Keep

    changed = []
    for name in type(config).model_fields:
        keep = Keep(keep=config.event_log, archive=False) if name == EVENT_LOG else getattr(config, name)
        cursor.execute(
            "UPDATE retention SET keep = %(keep)s::interval, archive = %(archive)s WHERE name = %(name)s"
            " AND (keep, archive) IS DISTINCT FROM (%(keep)s::interval, %(archive)s)",
            {"name": name, "keep": keep.interval, "archive": keep.archive},
        )
        if cursor.rowcount:
            changed.append((name, keep.keep + ("" if keep.archive else ", then deleted without the archive")))
    return changed
