"""The jobs that keep the database in order, as Dagster runs them."""

import dagster as dg
import pytest

from pc_pipeline.defs.housekeeping.event_log import purge_event_log
from pc_pipeline.defs.housekeeping.upkeep import upkeep
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.store import upkeep as store

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def shown(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    """What a run's one op shows of itself."""
    (done,) = [event for event in result.all_events if event.is_successful_output]
    return {name: value.value for name, value in done.step_output_data.metadata.items()}


@pytest.fixture
def run(dsn, tmp_path, monkeypatch):
    monkeypatch.setenv("PC_HOME", str(tmp_path))
    monkeypatch.setenv("PC_POSTGRES_DSN", dsn)
    monkeypatch.setenv("PC_REDIS_URL", "redis://127.0.0.1:1")
    return lambda job: job.execute_in_process(
        run_config=QUIET, resources={"pipeline": Pipeline()}, raise_on_error=False
    )


def test_upkeep_shows_what_every_table_needed(run, dsn):
    found = shown(run(upkeep))
    assert found["done"] > 0
    assert found["left for the next night"] == 0
    assert "| schema_migrations | analyze | never analyzed | done |" in found["tables and indexes"]
    with store.upkeep_connection(dsn):
        failed = run(upkeep)
    (failure,) = [event for event in failed.all_events if event.is_step_failure]
    assert "Another upkeep of this database is at work" in failure.step_failure_data.user_failure_data.description


def test_the_purge_shows_what_it_deleted(run):
    found = shown(run(purge_event_log))
    assert (found["old runs"], found["events deleted"], found["runs deleted"]) == (0, 0, 0)
