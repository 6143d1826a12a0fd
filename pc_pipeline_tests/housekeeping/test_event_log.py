"""The purge of Dagster's event log: old runs are forgotten, and nothing that Dagster shows or decides changes."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._core.storage.partition_status_cache import (
    get_and_update_asset_status_cache_value,
    get_materialized_multipartitions,
)
from psycopg2.extensions import make_dsn

from pc_pipeline import run_tags
from pc_pipeline.cli.db import db
from pc_pipeline.definitions import defs
from pc_pipeline.defs.partitions import camera_day_key
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.defs.videos import sensors
from pc_pipeline.embedded.instance import dagster_environment
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.errors import UserError
from pc_pipeline.housekeeping import event_log
from pc_pipeline.ingest.site import SiteConfig
from pc_pipeline.settings import Settings
from pc_pipeline.store import registry
from pc_pipeline.store.postgres import connect, in_transaction
from pc_pipeline_tests.housekeeping import killed
from pc_pipeline_tests.stages.world import start

MONDAY, TUESDAY, WEDNESDAY = (camera_day_key("door", dt.date(2026, 3, day)) for day in (2, 3, 4))
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
DAY = dg.AssetKey("daily_statistics")
ASSETS = [dg.AssetKey("session_statistics"), dg.AssetKey("hourly_statistics"), DAY]
DAYS = dt.timedelta(days=1)


class Broken(Pipeline):
    """A pipeline whose database is away."""

    def dsn(self) -> str:
        raise UserError("The database is away.")


def run(instance: dg.DagsterInstance, job: str, key: str, tags: dict[str, str] | None = None, **resources: Any) -> str:
    done = defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        partition_key=key,
        run_config=QUIET,
        raise_on_error=False,
        tags=tags,
        resources={"pipeline": Pipeline(), **resources},
    )
    return done.run_id


@contextmanager
def opened(dsn: str, home: Path) -> Iterator[dg.DagsterInstance]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PC_HOME", str(home))
        patch.setenv("PC_POSTGRES_DSN", dsn)
        patch.setenv("PC_REDIS_URL", "redis://127.0.0.1:1")
        for name, value in dagster_environment(Settings(), Endpoints(dsn, None)).items():
            patch.setenv(name, value)
        with dg.DagsterInstance.get() as instance:
            instance.optimize_for_webserver(statement_timeout=0, pool_recycle=60, max_overflow=5)
            yield instance


@pytest.fixture(scope="module")
def history(endpoints, _template, tmp_path_factory) -> Iterator[tuple[str, Path, dict[str, str]]]:
    """A database whose runs are all of two months ago but one: its name, its PC_HOME, and its runs by what they are."""
    home = tmp_path_factory.mktemp("history")
    with closing(connect(endpoints.postgres_dsn)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE history TEMPLATE {_template} STRATEGY FILE_COPY")
        dsn = make_dsn(endpoints.postgres_dsn, dbname="history")
        with opened(dsn, home) as instance:
            runs = _two_months_ago(instance, dsn)
        # Dagster keeps connections, and a database in use cannot be copied.
        connection.cursor().execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'history'")
        yield "history", home, runs
        connection.cursor().execute("DROP DATABASE history WITH (FORCE)")


def _two_months_ago(instance: dg.DagsterInstance, dsn: str) -> dict[str, str]:
    instance.add_dynamic_partitions("cameras", ["door"])
    for key in (MONDAY, TUESDAY):
        instance.report_runless_asset_event(dg.AssetMaterialization("session_statistics", partition=key))
    runs = {
        "superseded": run(instance, "roll_hours", MONDAY),
        "last of monday": run(instance, "roll_hours", MONDAY),
        "last of tuesday": run(instance, "roll_hours", TUESDAY),
        "failure": run(instance, "roll_hours", WEDNESDAY, pipeline=Broken()),
        "day": run(instance, "roll_days", "2026-03-02"),
    }
    # What the sensors asked for: the run of a quarantined file succeeds with nothing in it.
    for name, status in {"asked": "FAILURE", "asked again": "FAILURE", "answered": "SUCCESS"}.items():
        tags = {run_tags.PARTITION: WEDNESDAY, run_tags.ASKED_BY: "video_files", run_tags.ASKED: name}
        made = instance.create_run_for_job(_nothing, tags=tags, status=dg.DagsterRunStatus(status))
        runs[name] = made.run_id
    for name in ("forgotten", "retried since", "last of its partition"):
        tags = {run_tags.PARTITION: TUESDAY}
        runs[name] = instance.create_run_for_job(_nothing, tags=tags, status=dg.DagsterRunStatus.SUCCESS).run_id
    for name in ("NOT_STARTED", "STARTED"):
        runs[name] = instance.create_run_for_job(_nothing, status=dg.DagsterRunStatus(name)).run_id
        instance.report_engine_event("it waits", run_id=runs[name], job_name="nothing")
    with closing(connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE dagster.event_logs SET timestamp = timestamp - interval '60 days'")
        cursor.execute(
            "UPDATE dagster.runs SET update_timestamp = update_timestamp - interval '60 days',"
            " create_timestamp = create_timestamp - interval '60 days', end_time = end_time - 60 * 86400"
        )
    retry = {run_tags.PARENT_RUN: runs["retried since"]}
    instance.report_runless_asset_event(dg.AssetMaterialization("session_statistics", partition=MONDAY))
    runs["of today"] = run(instance, "roll_hours", TUESDAY, tags=retry)
    return runs


@dg.job(name="nothing")
def _nothing() -> None:
    pass


@pytest.fixture
def copies(endpoints, history, tmp_path) -> Iterator[Callable[[], str]]:
    """Makes copies of the history's database."""
    names: list[str] = []
    with closing(connect(endpoints.postgres_dsn)) as connection:
        connection.autocommit = True

        def make() -> str:
            name = f"history_{uuid4().hex}"
            connection.cursor().execute(f"CREATE DATABASE {name} TEMPLATE {history[0]} STRATEGY FILE_COPY")
            names.append(name)
            return make_dsn(endpoints.postgres_dsn, dbname=name)

        yield make
        for name in names:
            connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


def what_dagster_knows(instance: dg.DagsterInstance) -> dict[str, Any]:
    """What the UI shows of assets and checks, and what sensors and automation read."""
    log = instance.event_log_storage
    known: dict[str, Any] = {"newest event": log.get_maximum_record_id()}
    graph = defs.resolve_asset_graph()
    for key in ASSETS:
        record = instance.get_latest_materialization_event(key)
        (asset,) = instance.get_asset_records([key])
        partitions = graph.get(key).partitions_def
        kept = get_and_update_asset_status_cache_value(instance, key, partitions)
        log.wipe_asset_cached_status(key)
        anew = get_and_update_asset_status_cache_value(instance, key, partitions)
        known[key.to_user_string()] = {
            "materialized": instance.get_materialized_partitions(key),
            "newest": log.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION),
            "by tags": set(get_materialized_multipartitions(instance, key, partitions)) if key != DAY else None,
            "versions": log.get_updated_data_version_partitions(key, [MONDAY, TUESDAY, "2026-03-02"], 0),
            "last": record and record.run_id,
            "asset": (asset.asset_entry.last_run_id, asset.asset_entry.last_materialization_storage_id),
            "status": [_status(value, partitions) for value in (kept, anew)],
        }
    checks = sorted(key for key in graph.asset_check_keys if key.asset_key in ASSETS)
    for check, found in log.get_latest_asset_check_execution_by_key(checks).items():
        known[str(check)] = (found.id, found.status, found.run_id, found.evaluation)
    known["checks by partition"] = sorted(map(str, log.get_asset_check_partition_info(checks)))
    last = sensors._last_runs(instance, "video_files", [WEDNESDAY])
    known["asked"] = {key: (found.run_id, found.status, found.tags) for key, found in last.items()}
    return known


def _status(value: Any, partitions: Any) -> tuple[list[str], list[str], list[str]]:
    """The keys that are materialized, failed and in progress."""
    return tuple(
        sorted(getattr(value, f"deserialize_{name}_partition_subsets")(partitions).get_partition_keys())
        for name in ("materialized", "failed", "in_progress")
    )


def rows(dsn: str) -> dict[str, list[Any]]:
    """The key of every row that a purge may touch."""
    keys = {
        "event_logs": "id",
        "runs": "id",
        "run_tags": "id",
        "asset_event_tags": "id",
        "asset_check_executions": "id",
    }
    with closing(connect(dsn)) as connection, connection.cursor() as cursor:
        found = {}
        for table, key in keys.items():
            cursor.execute(f"SELECT {key} FROM dagster.{table} ORDER BY 1")
            found[table] = cursor.fetchall()
        return found


def events_of(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [str(entry.dagster_event_type) for entry in instance.all_logs(run_id)]


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def test_old_runs_go_and_dagster_knows_what_it_knew(history, copies):
    _, home, runs = history
    dsn = copies()
    with opened(dsn, home) as instance:
        before = what_dagster_knows(instance)
        tick = dg.evaluate_automation_conditions(defs, instance)
        assert tick.total_requested == 0, "the first tick has nothing to go by"
        untouched = {name: events_of(instance, runs[name]) for name in ("NOT_STARTED", "STARTED", "of today")}
        dry = event_log.purge(dsn, home / "dagster", now(), dry_run=True)
        whole = rows(dsn)

        purged = event_log.purge(dsn, home / "dagster", now())

        left = rows(dsn)
        assert dry.as_json() | {"before": ""} == purged.as_json() | {"before": ""}
        assert len(whole["event_logs"]) - len(left["event_logs"]) == purged.events > 50
        assert len(whole["runs"]) - len(left["runs"]) == purged.runs
        assert len(whole["asset_check_executions"]) - len(left["asset_check_executions"]) == purged.check_results > 0

        assert what_dagster_knows(instance) == before
        assert before["hourly_statistics"]["status"][0][1] == [WEDNESDAY], "it failed, and shows so"
        assert dg.evaluate_automation_conditions(defs, instance, cursor=tick.cursor).total_requested == 0
        instance.report_runless_asset_event(dg.AssetMaterialization("session_statistics", partition=MONDAY))
        again = dg.evaluate_automation_conditions(defs, instance, cursor=tick.cursor)
        assert again.get_requested_partitions(dg.AssetKey("hourly_statistics")) == {MONDAY, TUESDAY}

        gone = {name for name, run_id in runs.items() if instance.get_run_by_id(run_id) is None}
        assert gone == {"superseded", "last of tuesday", "forgotten"}
        assert untouched == {name: events_of(instance, runs[name]) for name in untouched}
        assert events_of(instance, runs["last of monday"]) == ["DagsterEventType.ASSET_MATERIALIZATION"]
        why = [entry for entry in instance.all_logs(runs["failure"]) if entry.get_dagster_event().is_step_failure]
        assert "The database is away." in str(why)


def test_killed_in_the_middle_and_run_again_is_as_once(history, copies):
    _, home, _ = history
    once, half = copies(), copies()
    event_log.purge(once, home / "nowhere", now())
    whole = rows(half)
    process = start(killed.purge, half, home / "nowhere")
    process.join()
    assert rows(once) != rows(half) != whole, "it was killed in the middle"
    event_log.purge(half, home / "nowhere", now())
    assert rows(half) == rows(once)
    nothing = event_log.purge(half, home / "nowhere", now())
    assert (nothing.events, nothing.runs, nothing.check_results) == (0, 0, 0)


def test_output_of_old_runs_goes_with_them_and_nothing_else_in_the_folder(history, copies, tmp_path):
    _, _, runs = history
    storage = tmp_path / "storage"
    old = [runs["superseded"], runs["last of monday"]]
    folders = [*old, runs["of today"], runs["NOT_STARTED"], str(uuid4()), "an_asset"]
    for name in folders:
        (storage / name / "compute_logs").mkdir(parents=True)
        (storage / name / "compute_logs" / "a.out").write_text("hello")
    purged = event_log.purge(copies(), tmp_path, now())
    assert (purged.log_folders, purged.log_bytes) == (2, 10)
    # The run nobody knows may be about to begin; in a month it is not.
    assert {folder.name for folder in storage.iterdir()} == set(folders[2:])
    dsn = copies()
    newest = rows(dsn)["event_logs"][-1]
    later = event_log.purge(dsn, tmp_path, now() + 40 * DAYS)
    assert rows(dsn)["event_logs"][-1] == newest, "no cursor of a sensor may find itself ahead of the log"
    assert later.log_folders == 2
    assert {folder.name for folder in storage.iterdir()} == {runs["NOT_STARTED"], "an_asset"}


def test_the_command_shows_what_would_go_and_then_deletes_it(history, copies, monkeypatch):
    monkeypatch.setenv("PC_POSTGRES_DSN", copies())
    monkeypatch.setenv("PC_REDIS_URL", "redis://127.0.0.1:1")
    would = json.loads(CliRunner().invoke(db, ["purge-events", "--dry-run", "--json"]).stdout)
    assert would["events"] > 0 and would["dry_run"]
    assert f"deleted:\n  {would['events']:,} events" in CliRunner().invoke(db, ["purge-events"]).stdout
    assert "\n  0 events" in CliRunner().invoke(db, ["purge-events"]).stdout


def test_the_site_file_says_how_long_runs_keep_what_they_said(history, copies):
    _, home, _ = history
    dsn = copies()

    def old_runs(keep: str) -> int:
        site = SiteConfig.model_validate({"timezone": "UTC", "retention": {"event_log": keep}})
        in_transaction(dsn, lambda connection: registry.apply_site(connection, site))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PC_POSTGRES_DSN", dsn)
            patch.setenv("PC_REDIS_URL", "redis://127.0.0.1:1")
            patch.setenv("PC_HOME", str(home))
            done = defs.resolve_job_def("purge_event_log").execute_in_process(
                run_config=QUIET, resources={"pipeline": Pipeline()}
            )
            (output,) = [event for event in done.all_events if event.is_successful_output]
            by_job = output.step_output_data.metadata["old runs"].value
            shown = CliRunner().invoke(db, ["purge-events", "--dry-run", "--json"])
        assert json.loads(shown.stdout)["old_runs"] == event_log.purge(dsn, home, now(), dry_run=True).old_runs
        return by_job

    assert old_runs("61 days") == 0, "all but today's are sixty days old"
    assert old_runs("59 days") > 5
    with pytest.raises(ValueError, match="the event log cannot be kept for ever"):
        old_runs("forever")


def test_a_database_without_dagster_has_nothing_to_purge(dsn, tmp_path):
    with closing(connect(dsn)) as connection, connection:
        connection.cursor().execute("DROP SCHEMA dagster CASCADE")
    assert event_log.purge(dsn, tmp_path, now()).old_runs == 0
