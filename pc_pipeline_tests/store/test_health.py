"""The health views: true, readable by the dashboard's role, and there on a server without Dagster or extensions."""

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorType, TickData, TickStatus
from dagster._utils.error import SerializableErrorInfo

from pc_pipeline.embedded.instance import dagster_environment
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.settings import Settings
from pc_pipeline.store import health

VIEWS = ("partition_sizes", "index_use", "slow_queries", "connections", "queue_length", "job_success")


def query(connection, text: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else []


@dg.job(name="nothing")
def _nothing() -> None:
    pass


@pytest.fixture
def instance(dsn, tmp_path, monkeypatch):
    monkeypatch.setenv("PC_HOME", str(tmp_path))
    for name, value in dagster_environment(Settings(), Endpoints(dsn, None)).items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as opened:
        opened.optimize_for_webserver(statement_timeout=0, pool_recycle=60, max_overflow=5)
        yield opened


def test_a_dashboards_user_reads_every_health_view_and_no_table_of_dagsters(connection, instance):
    instance.create_run_for_job(_nothing, status=dg.DagsterRunStatus.STARTED)
    query(connection, "SET ROLE pc_reader")
    found = {view: query(connection, f"SELECT * FROM {view}") for view in VIEWS}
    assert all(found[view] for view in VIEWS if view != "slow_queries")
    with pytest.raises(Exception, match="permission denied for schema dagster"):
        query(connection, "SELECT * FROM dagster.runs")


def test_without_dagster_nothing_waits_and_no_job_ran(connection):
    query(connection, "DROP SCHEMA dagster CASCADE")
    assert query(connection, "SELECT * FROM queue_length") == query(connection, "SELECT * FROM job_success") == []
    assert health.ticks(connection) == health.running(connection) == health.daemons(connection) == []


def test_months_and_indexes_are_shown_with_their_sizes(connection):
    query(
        connection,
        "CREATE TABLE detections_2026_03 PARTITION OF detections FOR VALUES FROM ('2026-03-01Z') TO ('2026-04-01Z')",
    )
    ((table, bounds, whole),) = query(
        connection,
        "SELECT table_name, bounds, total_bytes = table_bytes + index_bytes AND index_bytes > 0"
        " FROM partition_sizes WHERE partition_name = 'detections_2026_03'",
    )
    assert (table, whole) == ("detections", True)
    assert "2026-03-01" in bounds
    assert health.months(connection) == {"detections": "2026-03"}
    kinds = query(connection, "SELECT DISTINCT kind FROM index_use WHERE table_name = 'detections_2026_03' ORDER BY 1")
    assert kinds == [("brin",), ("btree",)]


def test_jobs_show_their_last_success_and_failure_and_what_of_them_waits(connection, instance):
    for status in ("SUCCESS", "FAILURE", "SUCCESS", "STARTED", "NOT_STARTED", "NOT_STARTED", "CANCELED"):
        instance.create_run_for_job(_nothing, status=dg.DagsterRunStatus(status))
    query(connection, "UPDATE dagster.runs SET end_time = 1000 * id WHERE status IN ('SUCCESS', 'FAILURE')")
    (job,) = health.jobs(connection)
    ended = {
        row[0] for row in query(connection, "SELECT to_timestamp(1000 * id) FROM dagster.runs ORDER BY id LIMIT 3")
    }
    assert [job["last_success"], job["last_failure"]] == [max(ended), sorted(ended)[1]]
    assert (job["job"], job["running"], job["queued"]) == ("nothing", 1, 2)
    assert health.queue(connection)["waiting"] == 2
    (run,) = health.running(connection)
    assert (run["job"], run["partition"]) == ("nothing", None)


def test_the_last_tick_of_each_sensor_is_shown_with_what_it_said(connection, instance):
    error = SerializableErrorInfo("Boom.", [], "ValueError")
    for name, at, status, said in (
        ("video_files", 100.0, TickStatus.FAILURE, {"error": error}),
        ("video_files", 200.0, TickStatus.SKIPPED, {"skip_reason": "nothing new"}),
        ("outstanding_camera_days", 150.0, TickStatus.SUCCESS, {"run_ids": ["1", "2"]}),
        ("rollups_follow_counts", 300.0, TickStatus.FAILURE, {"error": error}),
    ):
        instance.create_tick(TickData(name, name, InstigatorType.SENSOR, status, at, selector_id=name, **said))
    ticks = health.ticks(connection)
    assert [(tick["name"], tick["status"], tick["at"].timestamp(), tick["runs"], tick["says"]) for tick in ticks] == [
        ("outstanding_camera_days", "success", 150.0, 2, None),
        ("rollups_follow_counts", "failure", 300.0, 0, "Boom."),
        ("video_files", "skipped", 200.0, 0, "nothing new"),
    ]
    assert {(tick["kind"], tick["stopped"]) for tick in ticks} == {("sensor", False)}


def test_slow_statements_come_from_the_extension_where_it_is_loaded(connection):
    query(
        connection,
        "CREATE VIEW pg_stat_statements AS SELECT (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AS dbid, 'SELECT 1'::text AS query, 4::bigint AS calls, 2000::float8 AS total_exec_time,"
        " 500::float8 AS mean_exec_time, 900::float8 AS max_exec_time",
    )
    slow = "SELECT source, query, calls, total_s, mean_s, longest_s FROM slow_queries"
    assert query(connection, slow) == []
    query(
        connection,
        "INSERT INTO pg_extension SELECT 1, 'pg_stat_statements', oid, 'public'::regnamespace, false, '1', NULL, NULL"
        " FROM pg_roles WHERE rolname = current_user",
    )
    assert query(connection, slow) == [("pg_stat_statements", "SELECT 1", 4, 2.0, 0.5, 0.9)]
    # Installed, and not loaded by the server: what the extension says then.
    query(
        connection,
        "CREATE FUNCTION refuse() RETURNS float8 LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'must be loaded' USING ERRCODE = 'object_not_in_prerequisite_state'; END $$;"
        " CREATE OR REPLACE VIEW pg_stat_statements AS SELECT 1::oid AS dbid, ''::text AS query, 1::bigint AS calls,"
        " refuse() AS total_exec_time, refuse() AS mean_exec_time, refuse() AS max_exec_time FROM pg_class",
    )
    assert query(connection, slow) == []


def test_a_part_that_is_locked_is_missing_and_the_others_are_there(connection, dsn, monkeypatch):
    monkeypatch.setattr(health, "PATIENCE", {"lock_timeout": "50ms"})
    query(connection, "LOCK TABLE source_files")
    found = health.read(dsn)
    assert found["files"] is None
    assert "a table is locked" in found["unread"]["files"]
    assert found["jobs"] == []
    assert found["database"]["connections"] >= 2
