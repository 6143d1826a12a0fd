"""A run whose process was killed is found out, whoever was killed with it."""

import os
import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher.base import WorkerStatus

from pc_pipeline.defs.launcher import WatchedRuns
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


def _run_in(instance: dg.DagsterInstance, pid: int | None) -> WorkerStatus:
    run = instance.create_run_for_job(_nothing, status=dg.DagsterRunStatus.STARTED)
    if pid is not None:
        instance.report_engine_event("Started process for run", run, EngineEventData.in_process(pid))
    launcher = instance.run_launcher
    assert isinstance(launcher, WatchedRuns) and launcher.supports_check_run_worker_health
    return launcher.check_run_worker_health(run).status


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
