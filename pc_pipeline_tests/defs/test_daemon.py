"""A real daemon over a watched folder: files become counts, hours, days and a warm cache, and nobody does anything.

It differs from `pc up` in two things, for the time they take: sensors tick every other second, and runs are executed in
the daemon's own process, one after the other.
"""

import datetime as dt
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.run_request import InstigatorType
from psycopg2.extensions import make_dsn

from pc_pipeline.embedded.instance import dagster_environment
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.ingest.site import load_site
from pc_pipeline.settings import Settings
from pc_pipeline.store import figures
from pc_pipeline.store.cache import Cache
from pc_pipeline.store.postgres import connect, in_transaction
from pc_pipeline.store.registry import apply_site
from pc_pipeline_tests.clips import room, write

OLD, NEXT = dt.date(2026, 3, 2), dt.date(2026, 3, 3)
PATIENCE_S = 240.0


@dataclass
class Running:
    """A daemon, and what it works on."""

    instance: dg.DagsterInstance
    dsn: str
    redis_url: str
    watch_dir: Path
    process: "subprocess.Popen[bytes]"

    def put(self, name: str, shade: int) -> None:
        """A video of a second in which nobody is seen; each shade another content. It came a while ago."""
        path = write(self.watch_dir.with_name("arriving.mp4"), [room(seed=shade)] * 10)
        os.utime(path, (time.time() - 3600,) * 2)
        path.rename(self.watch_dir / name)

    def runs(self) -> Counter[str]:
        """How often what was run of which partition, such as `hourly_statistics door|2026-03-02`."""
        return Counter(
            f"{_what(run)} {run.tags.get('dagster/partition', '')}".strip() for run in self.instance.get_runs()
        )

    def until(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done():
            assert self.process.poll() is None, "the daemon ended"
            assert time.monotonic() < end, f"{what}: {self.runs()}"
            time.sleep(0.1)

    def until_it_rests(self) -> None:
        """No run waits or goes, and each sensor has ticked twice without asking for any."""
        while True:
            before, runs = self._ticks(), self.instance.get_runs_count()
            rested = {name: ticks + 2 for name, ticks in before.items()}
            self.until(lambda rested=rested: all(self._ticks()[name] >= n for name, n in rested.items()), "it rests")
            unfinished = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED])
            if self.instance.get_runs_count() == runs and not self.instance.get_runs_count(unfinished):
                return

    def _ticks(self) -> dict[str, int]:
        sensors = self.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        return {
            state.instigator_name: len(self.instance.get_ticks(state.instigator_origin_id, state.selector_id))
            for state in sensors
        }

    def rows(self, date: dt.date) -> list[tuple[str, int, float]]:
        return in_transaction(
            self.dsn,
            lambda c: [(r["camera"], r["entered"], r["coverage_seconds"]) for r in figures.daily(c, None, date)],
        )[0]


def _what(run: dg.DagsterRun) -> str:
    return " ".join(sorted(key.to_user_string() for key in run.asset_selection or ())) or run.job_name


@pytest.fixture(scope="module")
def running(endpoints, _template, tmp_path_factory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("daemon")
    (home / "watch").mkdir()
    with closing(connect(endpoints.postgres_dsn)) as admin, pytest.MonkeyPatch.context() as patch:
        admin.autocommit = True
        admin.cursor().execute(f"CREATE DATABASE by_itself TEMPLATE {_template} STRATEGY FILE_COPY")
        dsn = make_dsn(endpoints.postgres_dsn, dbname="by_itself")
        seldom = {"detector": {"model": "hog", "sample_every": 1.0}}
        (home / "site.yaml").write_text(yaml.safe_dump({"timezone": "Europe/London", "cameras": {"door": seldom}}))
        applied = load_site(home / "site.yaml")
        in_transaction(dsn, lambda connection: apply_site(connection, applied))
        patch.setenv("PC_HOME", str(home))
        patch.setenv("PC_WATCH_DIR", str(home / "watch"))
        patch.setenv("PC_POSTGRES_DSN", dsn)
        patch.setenv("PC_REDIS_URL", endpoints.redis_url or "")
        for name, value in dagster_environment(Settings(), Endpoints(dsn, endpoints.redis_url)).items():
            patch.setenv(name, value)
        _launch_in_the_daemon(home / "dagster" / "dagster.yaml")
        log = (home / "daemon.log").open("wb")
        arguments = ["run", "-m", "pc_pipeline_tests.defs.daemon_definitions"]
        with dg.DagsterInstance.get() as instance:
            instance.optimize_for_webserver(statement_timeout=0, pool_recycle=60, max_overflow=20)
            process = subprocess.Popen([sys.executable, "-m", "dagster._daemon", *arguments], stdout=log, stderr=log)
            try:
                yield Running(instance, dsn, endpoints.redis_url or "", home / "watch", process)
            finally:
                process.terminate()
                process.wait(30)
        admin.cursor().execute("DROP DATABASE by_itself WITH (FORCE)")


def _launch_in_the_daemon(file: Path) -> None:
    """A process a run takes seconds each: have runs executed where they are launched."""
    config = yaml.safe_load(file.read_text())
    config["run_launcher"] = {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher", "class": "SyncInMemoryRunLauncher",
    }  # fmt: skip
    file.write_text(yaml.safe_dump(config))


def test_files_old_and_late_become_hours_days_and_a_warm_cache_and_nobody_does_anything(running: Running) -> None:
    running.put("door_20260302_090000.mp4", 1)
    running.until(lambda: running.rows(OLD) == [("door", 0, 1.0)], "the day is there")
    running.put("door_20260302_150000.mp4", 2)
    running.until(lambda: running.rows(OLD) == [("door", 0, 2.0)], "the day has the late file too")
    running.until_it_rests()
    (cached,) = Cache(running.redis_url).get_json("daily", OLD)
    assert cached["coverage_seconds"] == 2.0
    shared = ("dashboard_cache", "alerts", "alerts dashboard_cache")
    rolled = {what: times for what, times in running.runs().items() if what not in shared}
    # What hangs on the two files and nothing else, and none of it more often than a file came. The next day hangs on
    # them too: it may begin with somebody who was there.
    assert rolled.keys() == {
        f"camera_day door|{OLD}",
        f"hourly_statistics door|{OLD}",
        f"hourly_statistics door|{NEXT}",
        f"daily_statistics {OLD}",
        f"daily_statistics {NEXT}",
    }
    assert rolled[f"camera_day door|{OLD}"] == 2
    assert max(rolled.values()) == 2
