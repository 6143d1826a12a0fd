"""What `pc up` leaves running starts again what dies, also while Postgres recovers from a crash."""

import os
import signal
import sys

import pytest

from pc_pipeline.embedded import ui
from pc_pipeline.embedded.process import Background
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.errors import PostgresUnreachable, ServiceError
from pc_pipeline.settings import Settings


@pytest.fixture
def dagster(tmp_path, monkeypatch):
    """Three processes that only sleep, over a Postgres that is there or not as `there` says."""
    (tmp_path / "run").mkdir()
    done: list[str] = []
    there = [True]

    def environment(settings, endpoints):
        if not there[0]:
            done.append("Postgres is away")
            raise PostgresUnreachable("Postgres at 127.0.0.1:1/pc: it is still starting up")
        return {}

    def prepare(self, environment):
        assert "daemon" not in self._children, "a daemon could start runs meanwhile"
        done.append("lost runs reported")

    monkeypatch.setattr(ui, "dagster_environment", environment)
    monkeypatch.setattr(ui, "POLL_S", 0.01)
    monkeypatch.setattr(ui, "answers", lambda path: True)
    monkeypatch.setattr(ui.Dagster, "_follow_services", lambda self: None)
    monkeypatch.setattr(ui.Dagster, "_prepare", prepare)
    dagster = ui.Dagster(Settings(home=tmp_path), Endpoints("postgresql://127.0.0.1:1/pc", None), 1)
    monkeypatch.setattr(dagster, "_answers", lambda: len(dagster._children) == 3)
    sleep = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(dagster, "_commands", dict.fromkeys(dagster._commands, sleep))
    return dagster, there, done


class Steps:
    """A request to stop that comes at the end of some steps, one of them at each look at it."""

    def __init__(self, steps):
        self._steps = steps

    def __bool__(self):
        return next(self._steps, True) is True


def ids(dagster):
    return {name: child.pid for name, child in dagster._children.items()}


def all_run(dagster):
    while len(dagster._children) < 3:
        yield "one is missing"


def test_whatever_dies_while_postgres_recovers_runs_again_when_it_is_back(dagster, tmp_path):
    dagster, there, done = dagster
    seen = []

    def steps():
        yield from all_run(dagster)
        seen.append(ids(dagster))
        there[0] = False
        os.kill(seen[0]["code_server"], signal.SIGKILL)
        while done.count("Postgres is away") < 2:
            yield "nothing can be started"
        assert done.count("lost runs reported") == 1, "only when it is there"
        there[0] = True
        yield from all_run(dagster)
        seen.append(ids(dagster))

    dagster.run(Background(tmp_path, "ui"), Steps(steps()))
    before, after = seen
    assert after["webserver"] == before["webserver"]
    assert after["code_server"] != before["code_server"] and after["daemon"] != before["daemon"]
    assert done == ["lost runs reported", "Postgres is away", "Postgres is away", "lost runs reported"]


def test_the_runs_of_a_killed_daemon_go_on(dagster, tmp_path):
    dagster, _, done = dagster
    seen = []

    def steps():
        yield from all_run(dagster)
        seen.append(ids(dagster))
        os.kill(seen[0]["daemon"], signal.SIGKILL)
        while ids(dagster).get("daemon") in (None, seen[0]["daemon"]):
            yield "it is started again"
        seen.append(ids(dagster))

    dagster.run(Background(tmp_path, "ui"), Steps(steps()))
    before, after = seen
    assert after["code_server"] == before["code_server"], "whose children they are"
    assert done == ["lost runs reported"]


def test_services_that_find_no_room_end_nothing(dagster, tmp_path, monkeypatch):
    dagster, _, _ = dagster
    full = [2]

    def follow():
        if full[0]:
            full[0] -= 1
            raise ServiceError("the disk is full")

    monkeypatch.setattr(dagster, "_follow_services", follow)

    def steps():
        yield from all_run(dagster)
        while full[0]:
            yield "they cannot start"
        assert len(ids(dagster)) == 3
        yield "all goes on"

    dagster.run(Background(tmp_path, "ui"), Steps(steps()))
    assert full == [0]


def test_what_asks_the_code_server_waits_for_it(dagster, monkeypatch):
    dagster, _, _ = dagster
    monkeypatch.setattr(ui, "answers", lambda path: False)
    try:
        for _ in range(3):
            assert not dagster._launch_missing()
        assert list(ids(dagster)) == ["code_server"]
        monkeypatch.setattr(ui, "answers", lambda path: True)
        assert dagster._launch_missing()
    finally:
        dagster._stop()
