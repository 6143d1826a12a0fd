"""A run and Postgres killed in the middle of two camera-days: the next run finishes them, as if nothing had been."""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from pc_pipeline.embedded.process import Background, wait_until
from pc_pipeline.embedded.services import endpoints, lease
from pc_pipeline.settings import Settings
from pc_pipeline.store.postgres import connect
from pc_pipeline_tests import clips
from pc_pipeline_tests.stages.world import DETECTOR, LONDON, SILL, assert_same_rows

FILES = ("door_20260302_235959.mp4", "door_20260303_000000.mp4", "door_20260303_120000.mp4")
SITE = {"timezone": LONDON.key, "cameras": {"door": {"lines": {"sill": SILL}, "detector": DETECTOR}}}
PC = [sys.executable, "-c", "from pc_pipeline.cli import main; main()"]


@pytest.fixture
def home(monkeypatch):
    """A PC_HOME of its own, whose servers are there to be killed."""
    folder = Path(tempfile.mkdtemp(prefix="pc_killed_"))
    (folder / "in.yaml").write_text(json.dumps(SITE))
    monkeypatch.setenv("PC_HOME", str(folder))
    with lease(folder):
        yield folder


@pytest.fixture
def videos(tmp_path):
    for place, name in enumerate(FILES):
        boxes = [(10 + place * 20, 20, 40 + place * 20, 100)]
        clips.write(tmp_path / name, [clips.picture(160, 120, boxes)] * (10 + place))
    return tmp_path


def test_a_killed_run_and_a_killed_postgres_leave_nothing_half_done(home, videos, world):
    command = [*PC, "process", str(videos), "--config", str(home / "in.yaml"), "--json"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def somebody_is_at_it() -> bool:
        found = endpoints(Settings(home=home))
        if found is None:
            return False
        try:
            with closing(connect(found.postgres_dsn, wait_s=0)) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM sessions LIMIT 1")
                return cursor.fetchone() is not None
        except Exception:
            return False  # there is no such table yet

    assert wait_until(somebody_is_at_it, 60, step_s=0.01)
    first.kill()
    first.wait()
    postgres = Background(home, "keeper").state()
    assert postgres
    os.kill(postgres["postgres"]["pid"], signal.SIGKILL)

    again = subprocess.run(command, capture_output=True, text=True)
    assert (again.returncode, json.loads(again.stdout)["failures"]) == (0, []), again.stderr
    killed = endpoints(Settings(home=home))
    assert killed
    with closing(connect(killed.postgres_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT status, count(*) FROM dagster.runs WHERE status <> 'SUCCESS' GROUP BY 1")
        assert cursor.fetchall() == [("FAILURE", 1)], "the killed run is told as such"

    for name in FILES:
        start = dt.datetime.strptime(name, "door_%Y%m%d_%H%M%S.mp4").replace(tzinfo=LONDON)
        world.add_file(start.astimezone(dt.UTC), videos / name)
    world.settle()
    assert_same_rows(killed.postgres_dsn, world.machine.dsn)
