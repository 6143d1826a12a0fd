"""A run whose process was killed is found out, whoever was killed with it."""

import os
import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.launcher.base import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

from pc_pipeline.defs.launcher import WatchedRuns, report_lost_starts
from pc_pipeline.embedded.instance import dagster_environment
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.settings import Settings


@dg.job
def _nothing():
    pass


@pytest.fixture
def instance(dsn, monkeypatch):
    for name, value in dagster_environment(Settings(), Endpoints(dsn, None)).items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as instance:
        yield instance


_LAUNCHED = {GRPC_INFO_TAG: "{}"}


def _make_run(
    instance: dg.DagsterInstance, pid: int | None, status: dg.DagsterRunStatus, tags: dict[str, str]
) -> dg.DagsterRun:
    run = instance.create_run_for_job(_nothing, status=status, tags=tags)
    if pid is not None:
        instance.report_engine_event("Started process for run", run, EngineEventData.in_process(pid))
    return run


def _run_in(instance: dg.DagsterInstance, pid: int | None, tags: dict[str, str] = _LAUNCHED) -> WorkerStatus:
    launcher = instance.run_launcher
    assert isinstance(launcher, WatchedRuns) and launcher.supports_check_run_worker_health
    run = _make_run(instance, pid, dg.DagsterRunStatus.STARTED, tags)
    return launcher.check_run_worker_health(run).status


def _a_dead_process() -> int:
    worker = subprocess.Popen(["true"])
    worker.wait()
    return worker.pid


def test_a_process_that_is_there_is_left_alone_and_one_that_is_not_is_told(instance):
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert _run_in(instance, worker.pid) == WorkerStatus.RUNNING
    worker.kill()
    worker.wait()
    assert _run_in(instance, worker.pid) == WorkerStatus.FAILED
    assert _run_in(instance, None) == WorkerStatus.RUNNING, "it has not told yet"


def test_a_stranger_with_its_number_is_not_taken_for_it(instance):
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={"PATH": os.environ["PATH"]})
    try:
        assert _run_in(instance, stranger.pid) == WorkerStatus.FAILED
    finally:
        stranger.kill()
        stranger.wait()


def test_a_run_of_a_pc_command_is_none_of_the_launcher_s(instance):
    # It is in the command's own process, which was not started with DAGSTER_HOME.
    assert _run_in(instance, os.getppid(), {"dagster/pc_process": f"{os.getppid()} 1"}) == WorkerStatus.RUNNING


def test_a_run_whose_process_was_killed_before_it_began_is_told_too(instance):
    starting = dg.DagsterRunStatus.STARTING
    lost = _make_run(instance, _a_dead_process(), starting, _LAUNCHED)
    others = [
        _make_run(instance, None, starting, _LAUNCHED),
        _make_run(instance, os.getpid(), starting, {"dagster/pc_process": f"{os.getpid()} 1"}),
    ]
    # Its code server died, so the queue handed it to the next one.
    again = _make_run(instance, _a_dead_process(), starting, _LAUNCHED)
    instance.report_dagster_event(DagsterEvent(dg.DagsterEventType.RUN_STARTING.value, again.job_name), again.run_id)
    others.append(again)
    report_lost_starts(instance)
    standing = {run.run_id: run.status for run in instance.get_runs()}
    assert standing[lost.run_id] == dg.DagsterRunStatus.FAILURE
    assert [standing[run.run_id] for run in others] == 3 * [starting]
