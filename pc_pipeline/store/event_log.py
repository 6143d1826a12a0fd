"""Dagster's event log and runs: which rows may go once a run is old, and their deletion, a batch of runs at a time.

Dagster's own `delete_run` would take a partition's last materialization along, and with it the knowledge that the
partition is materialized. So the deletes are ours. What stays is what some part of Dagster reads (1.13):

| what | who reads it |
|---|---|
| the last materialization and observation of each asset's partition | partition status, catalog, automation |
| a planned materialization that nothing followed | which partitions failed |
| the last change of an asset's freshness | freshness policies |
| results of checks from the last completed one on; results of runs that stay | checks' status |
| events of failure, of runs that stay | why a partition failed |
| the newest event of all | cursors of sensors and automation: it may not fall back behind them |
| the runs that all these name, and those of `KEPT_RUNS` | partition status, sensors, backfills, `job_success` |
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from pc_pipeline.run_tags import ASKED_BY, PARENT_RUN, ROOT_RUN

_FINISHED = "('SUCCESS', 'FAILURE', 'CANCELED')"
# A later event of the same asset's partition that takes an asset event's place. Asset events of runs are written one
# by one: ids are in the order of time.
_LATER = """
    SELECT FROM dagster.event_logs l
     WHERE l.asset_key = e.asset_key AND l.id > e.id
       AND l.dagster_event_type = ANY (ARRAY[e.dagster_event_type,
           CASE e.dagster_event_type WHEN 'ASSET_MATERIALIZATION_PLANNED' THEN 'ASSET_MATERIALIZATION' END])
"""
_ASSET_EVENT = """
    (e.asset_key IS NOT NULL AND e.dagster_event_type IN ('ASSET_MATERIALIZATION', 'ASSET_OBSERVATION',
     'ASSET_MATERIALIZATION_PLANNED', 'ASSET_FAILED_TO_MATERIALIZE', 'FRESHNESS_STATE_CHANGE'))
"""
# Two branches, since the index of partitions leaves out what has none.
_LATEST = f"""
    ({_ASSET_EVENT} AND NOT CASE WHEN e.partition IS NULL THEN EXISTS ({_LATER} AND l.partition IS NULL)
                            ELSE EXISTS ({_LATER} AND l.partition = e.partition) END)
"""
_GOES = f"""
    NOT {_LATEST} AND e.id < (SELECT max(id) FROM dagster.event_logs)
    AND coalesce(e.dagster_event_type, '') NOT IN ('STEP_FAILURE', 'PIPELINE_FAILURE')
"""
# Of each job's partition: the newest run, and the three newest of which the sensors count failures, by who asked:
# without them they would ask again.
# Of each job: the newest run by outcome. Then what checks, assets, unfinished backfills and later runs refer to.
KEPT_RUNS = f"""
    SELECT run_id FROM (
        SELECT r.run_id, r.status,
               row_number() OVER (PARTITION BY r.pipeline_name, r.partition, t.value ORDER BY r.id DESC)
          FROM dagster.runs r LEFT JOIN dagster.run_tags t ON t.run_id = r.run_id AND t.key = '{ASKED_BY}'
         WHERE r.pipeline_name IS NOT NULL) AS by_age (run_id, status, place)
     WHERE place = 1 OR (place <= 3 AND status <> 'SUCCESS')
    UNION
    SELECT run_id FROM dagster.runs
     WHERE id IN (SELECT max(id) FROM dagster.runs WHERE status IN {_FINISHED} GROUP BY pipeline_name, status)
    UNION
    SELECT c.run_id FROM dagster.asset_check_executions c
      JOIN (SELECT asset_key, check_name, partition, max(id) FILTER (WHERE execution_status <> 'PLANNED') AS id
              FROM dagster.asset_check_executions GROUP BY 1, 2, 3) AS last
        ON (c.asset_key, c.check_name) = (last.asset_key, last.check_name)
       AND c.partition IS NOT DISTINCT FROM last.partition AND c.id >= coalesce(last.id, 0)
    UNION
    SELECT last_run_id FROM dagster.asset_keys
    UNION
    SELECT run_id FROM dagster.runs WHERE backfill_id IN
           (SELECT key FROM dagster.bulk_actions WHERE status IN ('REQUESTED', 'CANCELING', 'FAILING'))
    UNION
    SELECT t.value FROM dagster.run_tags t JOIN dagster.runs r USING (run_id)
     WHERE t.key IN ('{PARENT_RUN}', '{ROOT_RUN}') AND r.update_timestamp >= %(before)s
"""


@dataclass(frozen=True)
class Rows:
    """How many rows go, and the bytes of the events among them as they are stored (compressed)."""

    events: int = 0
    event_bytes: int = 0
    runs: int = 0
    check_results: int = 0

    def __add__(self, other: "Rows") -> "Rows":
        return Rows(
            self.events + other.events,
            self.event_bytes + other.event_bytes,
            self.runs + other.runs,
            self.check_results + other.check_results,
        )


def has_event_log(connection: Connection) -> bool:
    """Whether Dagster has its tables here."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('dagster.event_logs') IS NOT NULL")
        return cursor.fetchone() == (True,)


def kept_runs(connection: Connection, before: dt.datetime) -> set[str]:
    """The ids of runs whose rows stay however old they are, beside those that an asset event which stays names."""
    with connection.cursor() as cursor:
        # Sorting a year of runs in the few megabytes a query gets by itself takes ten times as long.
        cursor.execute("SET LOCAL work_mem = '128MB'")
        cursor.execute(KEPT_RUNS, {"before": _naive(before)})
        return {run for (run,) in cursor}


def old_runs(connection: Connection, before: dt.datetime, after_id: int, limit: int) -> list[tuple[int, str]]:
    """(row's id, run id) of the next finished runs that nothing happened to since `before`, in order of id."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, run_id FROM dagster.runs WHERE id > %s AND status IN {_FINISHED} AND update_timestamp < %s"
            " ORDER BY id LIMIT %s",
            (after_id, _naive(before), limit),
        )
        return cursor.fetchall()


def purge_runs(connection: Connection, runs: Collection[str], kept: Collection[str]) -> Rows:
    """Delete what may go of these old, finished runs; the whole of those that nothing names any more.

    Args:
        runs: ids, from `old_runs`.
        kept: ids of runs whose row stays, from `kept_runs`.
    """
    with connection.cursor() as cursor:
        events = _delete_events(cursor, "e.run_id = ANY (%(runs)s)", {"runs": list(runs)})
        cursor.execute(
            # Locked, so that whoever starts a run again sees it whole or not at all.
            f"SELECT run_id FROM dagster.runs r WHERE run_id = ANY (%s) AND status IN {_FINISHED} AND NOT EXISTS"
            f" (SELECT FROM dagster.event_logs e WHERE e.run_id = r.run_id AND {_ASSET_EVENT}) FOR UPDATE",
            ([run for run in runs if run not in kept],),
        )
        gone = [run for (run,) in cursor]
        cursor.execute("DELETE FROM dagster.asset_check_executions WHERE run_id = ANY (%s)", (gone,))
        checks = cursor.rowcount
        # What is left of them: events of failure. The newest of all stays, though its run goes.
        cursor.execute(
            "WITH d AS (DELETE FROM dagster.event_logs WHERE run_id = ANY (%s)"
            " AND id < (SELECT max(id) FROM dagster.event_logs) RETURNING pg_column_size(event) AS bytes)"
            " SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM d",
            (gone,),
        )
        failures = cursor.fetchone() or (0, 0)
        # Their tags go along.
        cursor.execute("DELETE FROM dagster.runs WHERE run_id = ANY (%s)", (gone,))
        return events + Rows(failures[0], failures[1], cursor.rowcount, checks)


def purge_runless(connection: Connection, before: dt.datetime) -> Rows:
    """Delete the events that no run wrote (such as changes of freshness) which are old and have been superseded."""
    with connection.cursor() as cursor:
        return _delete_events(cursor, "e.run_id = '' AND e.timestamp < %(before)s", {"before": _naive(before)})


def count_runs(connection: Connection, runs: Collection[str], kept: Collection[str]) -> Rows:
    """What `purge_runs` would delete."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT run_id FROM dagster.runs r WHERE run_id = ANY (%s) AND status IN {_FINISHED} AND NOT EXISTS"
            f" (SELECT FROM dagster.event_logs e WHERE e.run_id = r.run_id AND {_LATEST})",
            ([run for run in runs if run not in kept],),
        )
        gone = [run for (run,) in cursor]
        cursor.execute(
            f"SELECT count(*), coalesce(sum(pg_column_size(event)), 0)::bigint FROM dagster.event_logs e"
            f" WHERE e.run_id = ANY (%s) AND ({_GOES} OR e.run_id = ANY (%s)"
            "        AND e.id < (SELECT max(id) FROM dagster.event_logs))",
            (list(runs), gone),
        )
        events, size = cursor.fetchone() or (0, 0)
        cursor.execute("SELECT count(*) FROM dagster.asset_check_executions WHERE run_id = ANY (%s)", (gone,))
        (checks,) = cursor.fetchone() or (0,)
        return Rows(events, size, len(gone), checks)


def count_runless(connection: Connection, before: dt.datetime) -> Rows:
    """What `purge_runless` would delete."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*), coalesce(sum(pg_column_size(event)), 0)::bigint FROM dagster.event_logs e"
            f" WHERE e.run_id = '' AND e.timestamp < %s AND {_GOES}",
            (_naive(before),),
        )
        return Rows(*(cursor.fetchone() or (0, 0)))


def runs_to_forget(connection: Connection, runs: Collection[str], before: dt.datetime) -> tuple[set[str], set[str]]:
    """Of these ids, those of finished runs that nothing happened to since `before`, and those there is no run of."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT run_id, status IN {_FINISHED} AND update_timestamp < %s FROM dagster.runs WHERE run_id = ANY (%s)",
            (_naive(before), list(runs)),
        )
        found = dict(cursor.fetchall())
    return {run for run, old in found.items() if old}, set(runs) - found.keys()


def _delete_events(cursor: Cursor, which: str, values: dict[str, object]) -> Rows:
    cursor.execute(
        f"""
        WITH gone AS (
            DELETE FROM dagster.event_logs e WHERE {which} AND {_GOES}
            RETURNING e.id, pg_column_size(e.event) AS bytes
        ), tags AS (
            DELETE FROM dagster.asset_event_tags USING gone WHERE event_id = gone.id
        )
        SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM gone
        """,
        values,
    )
    return Rows(*(cursor.fetchone() or (0, 0)))


def _naive(moment: dt.datetime) -> dt.datetime:
    """Dagster keeps times of UTC without a zone."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None)
