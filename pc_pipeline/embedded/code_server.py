"""Dagster's code server of a `PC_HOME`: one process that holds the pipeline's code, for webserver and daemon alike.

    webserver ─┐
               ├─ run/code.sock ─ this process ─ a process with the code loaded ─ the runs
    daemon  ───┘

Reload puts a new process with the code beside the old one, which ends when its runs have. Should the inner process be
killed, Dagster's server would answer with errors from then on; so this one looks after it.
"""

import logging
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from pc_pipeline.errors import ServiceError
from pc_pipeline.settings import Settings

# Names the socket to Dagster's processes: workspace.yaml reads it.
SOCKET_VARIABLE = "PC_CODE_SOCKET"
# What fits into the kernel's address of a Unix socket.
_LONGEST_PATH = 107
_LOOK_S = 2.0
# Code that cannot be loaded is not tried without a pause.
_PAUSE_S = 30.0
_LOAD_PATIENCE_S = 120
# Dagster sets up where this one's lines go.
log = logging.getLogger("dagster.code_server")


def socket_path(settings: Settings) -> Path:
    """Where the code server answers: in a folder of its user alone, for whoever reaches it can start runs.

    Raises:
        ServiceError: PC_HOME is too long a path for a socket.
    """
    path = settings.home / "run" / "code.sock"
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise ServiceError(f"PC_HOME is too long a path for the socket {path}: choose a shorter one.")
    return path


def code_server_command(path: Path) -> list[str]:
    """The code server on the socket `path`. Its environment is that of `dagster_environment`."""
    return [sys.executable, "-P", "-m", "pc_pipeline.embedded.code_server", str(path)]


def answers(path: Path) -> bool:
    """Whether a code server that has loaded its code is there."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(path))
        return True
    return False


def reload(path: Path) -> None:
    """Have the code and the site file loaded anew, and return when it is done. Runs that go on end with what they have.

    Raises:
        ServiceError: the code server does not do it.
    """
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    try:
        DagsterGrpcClient(socket=str(path)).reload_code(timeout=_LOAD_PATIENCE_S)
    except DagsterUserCodeUnreachableError as error:
        raise ServiceError(
            f"the code server did not load the code anew: {error}. Press Reload under Deployment in the UI."
        ) from error


def _look_after_code(path: Path) -> None:
    """Have the code loaded again whenever no process holds it any more, until this process ends."""
    import psutil

    me = psutil.Process()
    while True:
        time.sleep(_LOOK_S)
        if not answers(path) or any(child.status() != psutil.STATUS_ZOMBIE for child in me.children()):
            continue
        log.warning("the process with the code ended; starting it again")
        # Dagster also wants the old one to shut down, and complains that it does not answer.
        with suppress(ServiceError):
            reload(path)
        time.sleep(_PAUSE_S)


def _serve(path: Path) -> None:
    from dagster._cli.code_server import start_command

    path.unlink(missing_ok=True)
    threading.Thread(target=_look_after_code, args=(path,), daemon=True).start()
    module = ["-m", "pc_pipeline.definitions", "--location-name", "pc_pipeline"]
    start_command.main(["--socket", str(path), *module], prog_name="code server")


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
