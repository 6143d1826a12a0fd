"""What `pc up` leaves running starts again what dies, also while Postgres recovers from a crash."""

import os
import signal
import sys

import pytest

from pc_pipeline.embedded import ui
from pc_pipeline.embedded.process import Background
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.errors import PostgresUnreachable
from pc_pipeline.settings import Settings


@pytest.fixture
def dagster(tmp_path, monkeypatch):
    """Webserver and daemon that only sleep, over a Postgres that is there or not as `there` says."""
    done: list[str] = []
    there = [True]

    def environment(settings, endpoints):
        if not there[0]:
            done.append("Postgres is away")
            raise PostgresUnreachable("Postgres at 127.0.0.1:1/pc: it is still starting up")
        return {}

    monkeypatch.setattr(ui, "dagster_environment", environment)
    monkeypatch.setattr(ui, "POLL_S", 0.01)
    monkeypatch.setattr(ui.Dagster, "_answers", lambda self: True)
    monkeypatch.setattr(ui.Dagster, "_follow_services", lambda self: None)
    monkeypatch.setattr(ui.Dagster, "_prepare", lambda self, environment: done.append("lost runs reported"))
    dagster = ui.Dagster(Settings(home=tmp_path), Endpoints("postgresql://127.0.0.1:1/pc", None), 1)
    sleep = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(dagster, "_commands", {"webserver": sleep, "daemon": sleep})
    return dagster, there, done


class Steps:
    """A request to stop that comes at the end of some steps, one of them at each look at it."""

    def __init__(self, steps):
        self._steps = steps

    def __bool__(self):
        return next(self._steps, True) is True


def test_whatever_dies_while_postgres_recovers_runs_again_when_it_is_back(dagster, tmp_path):
    dagster, there, done = dagster
    (tmp_path / "run").mkdir()
    me = Background(tmp_path, "ui")
    seen = []

    def about():
        return {name: child.pid for name, child in dagster._children.items()}

    def steps():
        yield "nothing answers yet"
        seen.append(about())
        there[0] = False
        os.kill(seen[0]["daemon"], signal.SIGKILL)
        while done.count("Postgres is away") < 2:
            yield "nothing can be started"
        assert done.count("lost runs reported") == 1, "only when it is there"
        there[0] = True
        while "daemon" not in dagster._children:
            yield "it is back"
        seen.append(about())

    dagster.run(me, Steps(steps()))
    assert seen[1]["webserver"] == seen[0]["webserver"] and seen[1]["daemon"] != seen[0]["daemon"]
    assert done == ["lost runs reported", "Postgres is away", "Postgres is away", "lost runs reported"]
