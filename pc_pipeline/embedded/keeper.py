"""The keeper: the one process of a `PC_HOME` that runs its PostgreSQL and Redis while somebody needs them.

Whoever needs them holds a shared lock on `run/lease`; a client that dies, by `kill -9` too, lets go of it by that. Once
nobody holds one, the keeper stops the servers and ends. A server that dies while it is needed is started again. The
servers get their stop signal from the kernel when the keeper dies.
"""

import fcntl
import json
import logging
import os
import secrets
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from pc_pipeline.embedded.archive import Archive, archive_folder
from pc_pipeline.embedded.postgres import RESTORED, Postgres
from pc_pipeline.embedded.process import Background, Child, StopRequest, last_line, wait_until, write_private
from pc_pipeline.embedded.programs import find_programs, remove_copies, service_account
from pc_pipeline.embedded.redis import Redis
from pc_pipeline.errors import ServiceError

POLL_S = 0.2
START_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 0.0)
log = logging.getLogger("pc_pipeline.keeper")


class Server(Protocol):
    """What the keeper asks of a server."""

    @property
    def name(self) -> str: ...
    @property
    def log(self) -> Path: ...
    @property
    def stop_patience_s(self) -> float: ...
    def url(self, port: int) -> str: ...
    def prepare(self) -> None: ...
    def launch(self, port: int) -> Child: ...
    def is_ready(self, port: int) -> bool: ...


@dataclass(frozen=True)
class Running:
    """A server as `run/keeper.json` shows it."""

    url: str
    port: int
    pid: int
    started_at: float


def keep(home: Path, needed: set[str]) -> None:
    """Run the servers in `needed` (`postgres`, `redis`) until nobody holds the lease or a signal asks us to stop."""
    me = Background(home, "keeper")
    held = me.hold()
    if held is None:
        return
    stop = StopRequest()
    try:
        _serve(home, needed, me, stop)
    except (ServiceError, OSError) as error:
        log.error("%s", error)
        me.fail(str(error))


def _serve(home: Path, needed: set[str], me: Background, stop: StopRequest) -> None:
    servers_lock = (home / "run" / "servers.lock").open("a")
    _wait_for_earlier_servers(servers_lock.fileno())
    lease = (home / "run" / "lease").open("a")
    children: dict[str, Child] = {}
    running: dict[str, Running] = {}
    ports = _read_ports(home)
    servers = _servers(home, needed, servers_lock.fileno())
    archive = _archive(home, servers, servers_lock.fileno())
    try:
        while not stop and not _nobody_holds(lease.fileno(), children):
            dead = [key for key in servers if key not in children or not children[key].is_running()]
            for key in dead:
                if key in children:
                    log.warning("%s ended; starting it again", servers[key].name)
                child, port = _start(servers[key], ports.get(key), stop)
                children[key], ports[key] = child, port
                running[key] = Running(servers[key].url(port), port, child.pid, child.started_at)
            if dead:
                write_private(home / "services" / "ports.json", json.dumps(ports))
                me.publish({key: asdict(about) for key, about in running.items()})
            if archive:
                archive.tend(running["postgres"].url)
            time.sleep(POLL_S)
    finally:
        me.publish(None)
        for key, child in children.items():
            child.stop(servers[key].stop_patience_s)
        if archive:
            archive.stop()
        remove_copies(home)


def _nobody_holds(lease: int, children: dict[str, Child]) -> bool:
    """Whether no client is left; then the lease is ours, and a new client waits until we have ended."""
    if not children:  # who started us holds it
        return False
    try:
        fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for_earlier_servers(lock: int) -> None:
    """Take the lock that every process of our servers inherits: free once the last one of an earlier keeper is gone."""

    def taken() -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    if not wait_until(taken, 90):
        raise ServiceError("servers of an earlier run of this PC_HOME do not end: find them with `ps` and stop them.")


def _servers(home: Path, needed: set[str], lock: int) -> dict[str, Server]:
    (home / "services").mkdir(mode=0o700, exist_ok=True)
    account = service_account(home)
    programs = find_programs(home, account)
    password = service_password(home)
    data, logs = home / "services", home / "logs"
    backups = archive_folder(home)
    if "postgres" in needed and backups and not any((data / name).exists() for name in ("postgres", RESTORED)):
        # An empty database in its place would look as if nothing had ever been counted.
        raise ServiceError(
            f"PostgreSQL's data in {data / 'postgres'} is gone, and there are backups of it in {backups}: run "
            f"`pc db restore`; or, to begin with nothing, delete {data / 'archive.json'}."
        )
    servers: dict[str, Server] = {
        "postgres": Postgres(
            programs.postgres, data / "postgres", logs / "postgres.log", password, account, inherit=(lock,)
        ),
        "redis": Redis(programs.redis, data / "redis", logs / "redis.log", password, account, inherit=(lock,)),
    }
    return {key: server for key, server in servers.items() if key in needed}


def _archive(home: Path, servers: dict[str, Server], lock: int) -> Archive | None:
    """The receiver of the embedded PostgreSQL's WAL; None where PostgreSQL is another."""
    postgres = servers.get("postgres")
    if not isinstance(postgres, Postgres):
        return None
    return Archive(home, postgres.programs, postgres.password, inherit=(lock,))


def _start(server: Server, port: int | None, stop: StopRequest) -> tuple[Child, int]:
    """Start a server and wait until it is ready, on `port` where that is free.

    Raises:
        ServiceError: it ended again at each of five attempts; the sentence has the last line of its log.
    """
    for pause_s in START_PAUSES_S:
        server.prepare()
        chosen = port if port is not None and _is_free(port) else free_port()
        child = server.launch(chosen)
        while child.is_running() and not stop:
            if server.is_ready(chosen):
                return child, chosen
            time.sleep(0.02)
        if stop:
            child.stop(server.stop_patience_s)
            break
        time.sleep(pause_s)
    raise ServiceError(f"{server.name} does not start: {last_line(server.log)} (its log is {server.log}).")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _read_ports(home: Path) -> dict[str, int]:
    path = home / "services" / "ports.json"
    return json.loads(path.read_text()) if path.exists() else {}


def service_password(home: Path) -> str:
    """The password of both servers of `home`, made at random where there is none yet."""
    path = home / "services" / "password"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text()


if __name__ == "__main__":
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    keep(Path(sys.argv[1]), set(sys.argv[2:]))
