"""The Dagster instance: our dagster.yaml, tables in a schema of their own, no run that seems to run for ever."""

from contextlib import closing

import pytest

from pc_pipeline.embedded.instance import dagster_environment, prepare_instance
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.settings import Settings
from pc_pipeline.store.postgres import connect


@pytest.fixture
def _dagster(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in dagster_environment(Settings(), Endpoints(dsn, None)).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_dagster")
def test_dagster_s_tables_stand_in_their_own_schema(dsn: str) -> None:
    prepare_instance()
    with closing(connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT schemaname FROM pg_tables WHERE tablename IN ('runs', 'event_logs')")
        assert cursor.fetchall() == [("dagster",), ("dagster",)]


@pytest.mark.usefixtures("_dagster")
def test_one_run_a_partition_and_no_telemetry() -> None:
    from dagster import DagsterInstance

    with DagsterInstance.get() as instance:
        limits = instance.get_concurrency_config().run_queue_config
        assert limits is not None
        assert limits.max_concurrent_runs == 3
        assert limits.tag_concurrency_limits == [
            {"key": "dagster/partition", "value": {"applyLimitPerUniqueValue": True}, "limit": 1},
            {"key": "dagster/pc_inference", "limit": 2},
        ]
        assert not instance.telemetry_enabled


@pytest.mark.usefixtures("_dagster")
def test_runs_that_died_with_an_earlier_dagster_are_failed_and_others_left_alone() -> None:
    from dagster import DagsterInstance, DagsterRunStatus
    from dagster._core.storage.tags import GRPC_INFO_TAG
    from dagster._core.test_utils import create_run_for_test

    with DagsterInstance.get() as instance:
        died = create_run_for_test(instance, status=DagsterRunStatus.STARTED, tags={GRPC_INFO_TAG: "{}"})
        other_command = create_run_for_test(instance, status=DagsterRunStatus.STARTED)
        done = create_run_for_test(instance, status=DagsterRunStatus.SUCCESS, tags={GRPC_INFO_TAG: "{}"})
        assert prepare_instance() == 1

        def status(run_id: str) -> DagsterRunStatus:
            run = instance.get_run_by_id(run_id)
            assert run is not None
            return run.status

        assert status(died.run_id) == DagsterRunStatus.FAILURE
        assert status(other_command.run_id) == DagsterRunStatus.STARTED
        assert status(done.run_id) == DagsterRunStatus.SUCCESS
