"""What `pc up` leaves running: Dagster's code server, webserver and daemon, over the services of `PC_HOME`."""

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from pc_pipeline.embedded.code_server import SOCKET_VARIABLE, answers, code_server_command, socket_path
from pc_pipeline.embedded.instance import daemon_command, dagster_environment, webserver_command
from pc_pipeline.embedded.process import Background, Child, StopRequest, disk_full, last_line, open_log
from pc_pipeline.embedded.services import Endpoints, embedded, endpoints, ensure_running, services
from pc_pipeline.errors import ServiceError, UserError
from pc_pipeline.settings import Settings

FIRST_PORT = 3000
POLL_S = 0.5
START_PATIENCE_S = 300.0
STOP_PATIENCE_S = 30.0
# Stands in the environment of every process that Dagster starts under `pc up`, with its PC_HOME.
MARK = "PC_UP_HOME"
log = logging.getLogger("pc_pipeline.ui")


def start(settings: Settings, port: int | None) -> dict[str, Any]:
    """Start Dagster where it does not run, wait until the UI answers, and return `run/ui.json`.

    Args:
        settings: of this machine.
        port: where the UI shall answer on 127.0.0.1; None takes 3000 or the next free one.

    Raises:
        ServiceError: one of them, or an embedded server, does not start, or a daemon of `pc serve` runs already.
    """
    for folder in (settings.home / "run", settings.watch_dir):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ServiceError(
                f"the folder {folder} cannot be made: {error.strerror}. Set PC_HOME and PC_WATCH_DIR to others."
            ) from error
    served = Background(settings.home, "daemon").pid()
    if served is not None:
        raise ServiceError(f"`pc serve daemon` runs here (process {served}): two daemons would start every run twice.")
    arguments = [] if port is None else [str(port)]
    return Background(settings.home, "ui").ensure("pc_pipeline.embedded.ui", arguments, START_PATIENCE_S)


def stop(settings: Settings) -> bool:
    """Stop Dagster, then the embedded servers: True where anything ran.

    Raises:
        ServiceError: something does not end.
    """
    processes = [Background(settings.home, name) for name in ("ui", "keeper")]
    ran = any(process.pid() is not None for process in processes)
    for process in processes:
        if not process.stop(patience_s=120):
            raise ServiceError(f"{process.name} (process {process.pid()}) does not end: see {process.log}.")
    return ran


def run(settings: Settings, port: int | None) -> None:
    """Be the process that `pc up` starts: run Dagster until asked to stop; start again what dies."""
    me = Background(settings.home, "ui")
    held = me.hold()
    if held is None:
        return
    asked = StopRequest()
    try:
        with services(settings) as found:
            Dagster(settings, found, _choose_port(port)).run(me, asked)
    except (UserError, OSError) as error:
        log.error("%s", error)
        me.fail(str(error))


class Dagster:
    """The code server, and the webserver and the daemon that ask it."""

    def __init__(self, settings: Settings, found: Endpoints, port: int) -> None:
        self._settings = settings
        self._found = found
        self._url = f"http://127.0.0.1:{port}"
        self._socket = socket_path(settings)
        self._commands = {
            "code_server": code_server_command(self._socket),
            "webserver": webserver_command(port),
            "daemon": daemon_command(),
        }
        self._mark = str(settings.home)
        self._children: dict[str, Child] = {}

    def run(self, me: Background, asked: StopRequest) -> None:
        """Run until asked to stop.

        Raises:
            ServiceError: one of them ends before the UI answers.
        """
        try:
            _end_leftovers(self._mark)
            while not asked and not self._answers():
                self._require_running()
                self._launch_missing()
                time.sleep(POLL_S / 5)
            me.publish(self._about())
            while not asked:
                try:
                    self._follow_services()
                    if self._launch_missing():
                        me.publish(self._about())
                except (UserError, OSError) as error:
                    # Such as Postgres that recovers from a crash, or a full disk: no reason to give up all that runs.
                    log.warning("not started again yet: %s", error)
                time.sleep(POLL_S)
        finally:
            me.publish(None)
            self._stop()

    def _environment(self) -> dict[str, str]:
        own = {MARK: self._mark, SOCKET_VARIABLE: str(self._socket)}
        return {**os.environ, **dagster_environment(self._settings, self._found), **own}

    def _log(self, name: str) -> Path:
        return self._settings.home / "logs" / f"{name}.log"

    def _prepare(self, environment: dict[str, str]) -> None:
        # In a process of its own, for this one stays small without Dagster.
        with open_log(self._log("code_server")) as output:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "pc_pipeline.embedded.instance"],
                env=environment,
                stdout=output,
                stderr=output,
            )
        if done.returncode != 0:
            why = f"Dagster's tables cannot be made: {last_line(self._log('code_server'))}"
            raise ServiceError(disk_full(self._settings.home) or why)

    def _launch_missing(self) -> bool:
        """Start what does not run: whether all is started now. What asks the code server waits until it answers.

        Raises:
            UserError: Postgres does not answer, or Dagster's tables cannot be made. The next call tries again.
        """
        for name in [name for name, child in self._children.items() if not child.is_running()]:
            log.warning("the %s ended; starting it again", name.replace("_", " "))
            self._children.pop(name).stop(STOP_PATIENCE_S)
        missing = [name for name in self._commands if name not in self._children]
        if "code_server" in missing:
            # Its runs have ended with it, and they are looked for while no daemon starts others.
            if daemon := self._children.pop("daemon", None):
                daemon.stop(STOP_PATIENCE_S)
            missing = ["code_server"]
        elif not missing or not answers(self._socket):
            return False
        environment = self._environment()
        if "code_server" in missing:
            self._socket.unlink(missing_ok=True)
            self._prepare(environment)
        for name in missing:
            self._children[name] = Child(
                self._commands[name], self._log(name), cwd=self._settings.home, env=environment, own_session=True
            )
        return len(self._children) == len(self._commands)

    def _require_running(self) -> None:
        for name, child in self._children.items():
            if not child.is_running():
                named, written = name.replace("_", " "), self._log(name)
                raise ServiceError(f"Dagster's {named} does not start: {last_line(written)} (see {written}).")

    def _follow_services(self) -> None:
        """Start the keeper again if it died; where a server had to take another port, start Dagster again with that."""
        if not embedded(self._settings):
            return
        ensure_running(self._settings)
        found = endpoints(self._settings)
        if found is not None and found != self._found:
            log.warning("the services moved; starting Dagster again")
            self._found = found
            self._stop()

    def _answers(self) -> bool:
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"{self._url}/server_info", timeout=5):
            return True
        return False

    def _about(self) -> dict[str, Any]:
        return {
            "url": self._url,
            "watch_dir": str(self._settings.watch_dir),
            "models_dir": str(self._settings.models_dir),
            **{name: {"pid": child.pid, "started_at": child.started_at} for name, child in self._children.items()},
        }

    def _stop(self) -> None:
        for child in reversed(self._children.values()):
            child.stop(STOP_PATIENCE_S)


def _end_leftovers(mark: str) -> None:
    """End what a killed predecessor left: code servers and runs, which no signal from the kernel reaches."""
    wanted = os.fsencode(f"{MARK}={mark}")
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile, or is another user's
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)


def _choose_port(port: int | None) -> int:
    """The port asked for, or 3000 or the next free one.

    Raises:
        ServiceError: the port asked for is taken or not ours to take, or none is free.
    """
    for candidate in [port] if port is not None else range(FIRST_PORT, FIRST_PORT + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
            else:
                return candidate
    wanted = f"port {port} is" if port is not None else f"the ports {FIRST_PORT} to {FIRST_PORT + 99} are"
    raise ServiceError(f"{wanted} taken: name a free one with `pc up --port`.")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    run(Settings(), int(sys.argv[1]) if len(sys.argv) > 1 else None)
