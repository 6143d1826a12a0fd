"""A whole site to harm: its own `PC_HOME`, `pc up`, backfills through the webserver, and how everything ended."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bench.measure import BenchError
from faults.recordings import CAMERAS, SITE, CameraDay, record
from pc_pipeline.defs.jobs import CAMERA_DAY
from pc_pipeline.embedded.instance import dagster_environment
from pc_pipeline.embedded.process import Background, wait_until
from pc_pipeline.embedded.services import endpoints
from pc_pipeline.settings import Settings
from pc_pipeline.store.digest import TableDigest, digest
from pc_pipeline.store.postgres import in_transaction

T = TypeVar("T")
CHECKOUT = Path(__file__).resolve().parent.parent
_BACKFILL = """
mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
_ADD = """
mutation($selector: RepositorySelector!, $key: String!) {
    addDynamicPartition(repositorySelector: $selector, partitionsDefName: "cameras", partitionKey: $key)
    { __typename } }
"""
_LOCATIONS = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
# How a process of each kind is told by its command line.
KINDS: dict[str, Callable[[str], bool]] = {
    "run worker": lambda command: "multiprocessing.spawn" in command or "multiprocessing.forkserver" in command,
    "daemon": lambda command: "dagster._daemon" in command,
    "webserver": lambda command: "dagster_webserver" in command,
    "code server": lambda command: "embedded.code_server" in command or "dagster api grpc" in command,
}
SERVERS = ("postgres", "redis")
# Longer than the longest that Dagster waits for a run to start.
STANDSTILL_S = 420.0
LONGEST_S = 1800.0


@dataclass(frozen=True)
class Extent:
    """How much is done: kills of each kind of process, and days of each camera in the backfill meanwhile."""

    times: int
    days: int


@dataclass
class Standing:
    """How camera-days stand after all has come to rest.

    Attributes:
        seconds: from the last fault until then.
        green: camera-days all of whose assets are materialized.
        told: camera-days that are not, with the reason that stands in the UI.
        untold: camera-days that are neither.
        hanging: runs that neither ended nor go on.
        outstanding: camera-days the ledger still calls outstanding.
    """

    seconds: float
    green: int = 0
    told: dict[str, str] = field(default_factory=dict)
    untold: list[str] = field(default_factory=list)
    hanging: list[str] = field(default_factory=list)
    outstanding: list[str] = field(default_factory=list)
    failed_runs: int = 0


class Site:
    """A `PC_HOME` of four cameras, and beside it one in which nothing goes wrong."""

    def __init__(self, folder: Path, port: int, seed: int, say: Callable[[str], None]) -> None:
        self.home, self.calm_home, self.port, self.say = folder / "home", folder / "calm", port, say
        self.rng = random.Random(seed)
        self.watch_dir = folder / "watch"
        self.site_file = folder / "site.yaml"
        self.days: list[CameraDay] = []
        self.extra: dict[str, str] = {}
        self.watch_dir.mkdir(parents=True)
        self.site_file.write_text(SITE)
        self._backfills: list[str] = []

    def settings(self) -> Settings:
        return Settings(home=self.home, watch_dir=self.watch_dir)

    def pc(self, *arguments: str, home: Path | None = None, check: bool = True) -> str:
        """Run `pc ARGUMENTS`; returns what it printed.

        Raises:
            BenchError: it failed.
        """
        done = self.run(*arguments, home=home)
        if check and done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise BenchError(f"`pc {' '.join(arguments)}` ended with {done.returncode}: {''.join(last)}")
        return done.stdout

    def run(self, *arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run `pc ARGUMENTS`, whatever comes of it."""
        return subprocess.run(
            self.command(*arguments), env=self.environment(home), cwd=CHECKOUT, capture_output=True, text=True
        )

    def command(self, *arguments: str) -> list[str]:
        """`pc ARGUMENTS` of this checkout, as a command line."""
        return [sys.executable, "-c", "from pc_pipeline.cli import main; main()", *arguments]

    def environment(self, home: Path | None = None) -> dict[str, str]:
        """What the site's processes get; `home` in place of its own."""
        where = {"PC_HOME": str(home or self.home), "PC_WATCH_DIR": str(self.watch_dir), "PYTHONPATH": str(CHECKOUT)}
        return {**os.environ, **where, **({} if home else self.extra)}

    # What happens

    @contextmanager
    def up(self) -> Iterator[None]:
        """The site with its services, daemon and UI, as `pc up` starts them."""
        self.pc("config", "apply", str(self.site_file))
        self.pc("up", "--port", str(self.port))
        try:
            selector = self._selector()
            for camera in CAMERAS:
                self.ask(_ADD, selector=selector, key=camera)
            yield
        finally:
            self.pc("down", check=False)

    def backfill(self, days: Sequence[CameraDay]) -> None:
        """Record these camera-days and ask for all of them in one backfill, as somebody does in the UI."""
        record(self.watch_dir, days)
        self.days += days
        params = {
            "assetSelection": [{"path": [asset]} for asset in CAMERA_DAY],
            # The dimensions of a multi-partition key in the order of their names: camera, date.
            "partitionNames": [f"{camera}|{date}" for camera, date in days],
        }
        answer = self.ask(_BACKFILL, params=params)["launchPartitionBackfill"]
        if "backfillId" not in answer:
            raise BenchError(f"the backfill was refused: {answer}")
        self._backfills.append(answer["backfillId"])

    def ask(self, query: str, **variables: Any) -> Any:
        """What the webserver answers to a GraphQL query; a webserver that starts is waited for."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        deadline = time.monotonic() + 180
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    found = json.load(answer)
            except (urllib.error.URLError, OSError, json.JSONDecodeError) as error:
                failure = str(error)
            else:
                if found.get("data"):
                    return found["data"]
                failure = str(found)[:500]
            if time.monotonic() > deadline:
                raise BenchError(f"the webserver does not answer: {failure}")
            time.sleep(1)

    def _selector(self) -> dict[str, str]:
        (node, *_) = self.ask(_LOCATIONS)["repositoriesOrError"]["nodes"]
        return {"repositoryName": node["name"], "repositoryLocationName": node["location"]["name"]}

    # Processes

    def processes(self, kind: str) -> list[int]:
        """The ids of this site's processes of a kind."""
        if kind in SERVERS:
            about = (Background(self.home, "keeper").state() or {}).get(kind)
            return [about["pid"]] if about and Path(f"/proc/{about['pid']}").exists() else []
        mark, found = os.fsencode(f"PC_UP_HOME={self.home}"), []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if KINDS[kind](command) and mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return sorted(found)

    def kill(self, kind: str, patience_s: float = 60) -> bool:
        """`kill -9` of one process of a kind, of its next one where none is there now: False where none comes."""
        found: list[int] = []

        def is_there() -> bool:
            found[:] = self.processes(kind)
            return bool(found)

        if not wait_until(is_there, patience_s, step_s=0.1):
            return False
        with suppress(ProcessLookupError):
            os.kill(self.rng.choice(found), signal.SIGKILL)
        return True

    # How it ends

    def dsn(self) -> str:
        """The results database; a server that starts is waited for."""
        found = []

        def answers() -> bool:
            found[:] = [endpoints(Settings(home=self.home))]
            return found[0] is not None

        if not wait_until(answers, 120, step_s=0.2):
            raise BenchError("Postgres did not come back in two minutes")
        return found[0].postgres_dsn

    @contextmanager
    def instance(self) -> Iterator[Any]:
        """The Dagster instance of the site."""
        environment = dagster_environment(self.settings(), endpoints(self.settings()) or _none())
        os.environ.update(environment)
        import dagster as dg

        with dg.DagsterInstance.get() as instance:
            yield instance

    def at_rest(self) -> tuple[list[str], list[str]]:
        """What still goes on: unfinished runs and backfills, and what is outstanding (camera-days, days)."""
        import dagster as dg
        from dagster._core.execution.backfill import BulkActionStatus

        unfinished = [
            status for status in dg.DagsterRunStatus if status not in dg._core.storage.dagster_run.FINISHED_STATUSES
        ]  # type: ignore[attr-defined]
        with self.instance() as instance:
            going = [
                f"{run.job_name} {run.tags.get('dagster/partition', '')}: {run.status.value}"
                for run in instance.get_runs(dg.RunsFilter(statuses=unfinished))
            ]
            going += [
                f"backfill {backfill.backfill_id}: {backfill.status.value}"
                for backfill in instance.get_backfills()
                if backfill.status in (BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING)
            ]
        return going, outstanding(self.dsn(), self.home, self.watch_dir)

    def settle(self) -> Standing:
        """Wait until nothing goes on and nothing is outstanding, at two looks; then how every camera-day stands.

        How long that takes is the machine's affair; that for `STANDSTILL_S` nothing changes is ours.
        """
        started, quiet, last = time.monotonic(), 0, (["everything"], ["everything"])
        changed = started
        while quiet < 2 and time.monotonic() - changed < STANDSTILL_S and time.monotonic() - started < LONGEST_S:
            time.sleep(3)
            now = patiently(self.at_rest)
            changed, last = (changed, last) if now == last else (time.monotonic(), now)
            quiet = 0 if any(now) else quiet + 1
        going, left = last
        standing = Standing(time.monotonic() - started, hanging=going, outstanding=left)
        patiently(lambda: self._stand(standing))
        return standing

    def _stand(self, standing: Standing) -> None:
        import dagster as dg

        standing.green, standing.told, standing.untold = 0, {}, []
        with self.instance() as instance:
            missing: dict[str, str] = {}
            for asset in (*CAMERA_DAY, "hourly_statistics"):
                key = dg.AssetKey(asset)
                done = instance.get_materialized_partitions(key)
                later = _tried_in_vain(instance, key)
                for camera, date in self.days:
                    name = f"{camera}|{date}"
                    if name not in done or name in later:
                        missing[name] = later.get(name, ("", 0))[0]
            for camera, date in self.days:
                name = f"{camera}|{date}"
                if name not in missing:
                    standing.green += 1
                elif reason := _reason(instance, missing[name]):
                    standing.told[name] = reason
                else:
                    standing.untold.append(name)
            standing.failed_runs = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))

    def digest(self) -> dict[str, TableDigest]:
        return digest(self.dsn())

    def undisturbed(self) -> dict[str, TableDigest]:
        """The digest of the same files, counted by `pc process` in a home of its own in which nothing goes wrong."""
        folder, site_file = str(self.watch_dir), str(self.site_file)
        self.pc("process", folder, "--config", site_file, "--json", home=self.calm_home, check=False)
        return json.loads(self.pc("db", "digest", "--json", home=self.calm_home))

    def query(self, statement: str, dsn: str | None = None) -> list[tuple[Any, ...]]:
        """Rows of a query on the results."""

        def read(connection: Any) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()

        return in_transaction(dsn or self.dsn(), read)[0]


def _none() -> Any:
    raise BenchError("the services are not there")


def _tried_in_vain(instance: Any, asset: Any) -> dict[str, tuple[str, int]]:
    """The partitions whose last materialization was begun and did not come: run and event of each."""
    storage = instance.event_log_storage
    return storage.get_latest_asset_partition_materialization_attempts_without_materializations(asset)


def _reason(instance: Any, run_id: str) -> str | None:
    """The sentence with which a run failed."""
    import dagster as dg

    if not run_id:
        return None
    failures = [dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_CANCELED]
    for kind in failures:
        for entry in instance.all_logs(run_id, of_type=kind):
            event = entry.dagster_event
            data = event.step_failure_data if kind == dg.DagsterEventType.STEP_FAILURE else None
            if data and data.user_failure_data and data.user_failure_data.description:
                return str(data.user_failure_data.description)
            if data and data.error:
                return str((data.error.cause or data.error).message).strip()
            if event.message:
                return str(event.message)
    return None


def outstanding(dsn: str, home: Path, watch_dir: Path) -> list[str]:
    """What the ledger calls outstanding, and the days that lack their daily statistics, in words."""
    from pc_pipeline.ingest.site import load_site
    from pc_pipeline.stages import runner
    from pc_pipeline.stages.machine import Machine
    from pc_pipeline.store.registry import days_without_daily

    settings = Settings(home=home, watch_dir=watch_dir)
    zone = load_site(settings.site_file).zone_info
    machine = Machine(
        dsn=dsn,
        zone=zone,
        models_dir=settings.models_dir,
        raw_dir=settings.raw_detections_dir,
        watch_dir=watch_dir,
    )
    left = [f"{camera} {date}" for camera in CAMERAS for date in runner.outstanding_days(machine, camera)]
    for camera in CAMERAS:
        dates, _ = in_transaction(dsn, lambda connection, camera=camera: days_without_daily(connection, camera))
        left += [f"the day {date} of {camera}" for date in dates]
    return left


def patiently(work: Callable[[], T], patience_s: float = 120) -> T:
    """Do it again while a server is away."""
    import psycopg2
    from sqlalchemy.exc import DBAPIError

    from pc_pipeline.errors import UserError

    deadline = time.monotonic() + patience_s
    while True:
        try:
            return work()
        except (UserError, BenchError, DBAPIError, psycopg2.Error) as error:
            if time.monotonic() > deadline:
                raise BenchError(f"no answer for {patience_s:.0f} s: {error}") from error
            time.sleep(1)


def differing(found: dict[str, TableDigest], wanted: dict[str, TableDigest]) -> list[str]:
    """Tables whose rows differ, with how many rows each has."""
    names: Iterable[str] = sorted({*found, *wanted})
    return [
        f"{name}: {found[name]['rows']} rows, {wanted[name]['rows']} without faults"
        for name in names
        if found.get(name) != wanted.get(name)
    ]
