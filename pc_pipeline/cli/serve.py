"""`pc serve`: the three long-lived processes one by one, for systemd or whatever else starts and restarts them."""

import os
import sys
import time
from typing import NoReturn, TextIO

import click

from pc_pipeline.embedded.code_server import SOCKET_VARIABLE, code_server_command, socket_path
from pc_pipeline.embedded.process import Background
from pc_pipeline.errors import ServiceError
from pc_pipeline.settings import Settings


@click.group(
    epilog="Examples:\n\n\b\n  pc serve code\n  pc serve webserver --port 3000\n  pc serve daemon\n\n"
    "The units in deploy/ start these; docs/deployment.md shows how."
)
def serve() -> None:
    """Run the code server, the webserver or the daemon in the foreground, over servers of your own.

    The command becomes Dagster's process: it ends when that does, logs to standard error, and stops at SIGTERM. `pc up`
    is the way for a machine without Postgres.
    """


@serve.command(epilog="Example:\n\n\b\n  pc serve code")
def code() -> None:
    """Load the pipeline's code and start its runs. Start this first, and stop it last.

    Before, the Dagster instance is prepared, and runs that an earlier code server took with it are reported as failed:
    they are tried once more. At SIGTERM it waits for the runs that go on.
    """
    settings = Settings()
    lock = _hold(settings, "code", {})
    environment = _environment(settings)
    from pc_pipeline.embedded.instance import prepare_instance
    from pc_pipeline.store.migrate import require_current

    require_current(_dsn(settings))
    os.environ.update(environment)
    lost = prepare_instance()
    if lost:
        click.echo(f"{lost} runs had ended with an earlier code server: reported as failed", err=True)
    _become(code_server_command(socket_path(settings)), environment, lock)


@serve.command(epilog="Example:\n\n\b\n  pc serve webserver --port 3000")
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="On 127.0.0.1.")
def webserver(port: int) -> None:
    """Serve the Dagster UI on loopback. It has no login: let a proxy with one, or an SSH tunnel, lead to it."""
    from pc_pipeline.embedded.instance import webserver_command

    settings = Settings()
    lock = _hold(settings, "webserver", {"url": f"http://127.0.0.1:{port}"})
    environment = _environment(settings)
    _become(webserver_command(port), environment, lock)


@serve.command(epilog="Example:\n\n\b\n  pc serve daemon")
def daemon() -> None:
    """Run the schedules, the sensors and the queue of runs. One daemon a site."""
    from pc_pipeline.embedded.instance import daemon_command

    settings = Settings()
    lock = _hold(settings, "daemon", {})
    environment = _environment(settings)
    _become(daemon_command(), environment, lock)


def _dsn(settings: Settings) -> str:
    """The DSN of the server that the environment names.

    Raises:
        ServiceError: it names none.
    """
    if settings.postgres_dsn is None:
        raise ServiceError(
            "`pc serve` needs a Postgres of your own: set PC_POSTGRES_DSN or PC_POSTGRES_DSN_FILE (docs/deployment.md),"
            " or use `pc up`, which brings one."
        )
    return settings.postgres_dsn.get_secret_value()


def _environment(settings: Settings) -> dict[str, str]:
    """The whole environment of a process of Dagster; its DAGSTER_HOME is there afterwards.

    Raises:
        ServiceError: there is no Postgres of the user's own, or PC_HOME is too long a path.
        PostgresUnreachable: Postgres does not answer, or lets us not make Dagster's schema.
    """
    from pc_pipeline.embedded.instance import dagster_environment
    from pc_pipeline.embedded.services import Endpoints

    dsn, socket = _dsn(settings), str(socket_path(settings))
    return {**os.environ, **dagster_environment(settings, Endpoints(dsn, None)), SOCKET_VARIABLE: socket}


def _hold(settings: Settings, name: str, about: dict[str, str]) -> TextIO:
    """Be the one process of this name while the file that is returned is open, through exec too; `pc status` shows it.

    Raises:
        ServiceError: another one runs, or `pc up` does, or PC_HOME cannot be written.
    """
    folder = settings.home / "run"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceError(f"the folder {folder} cannot be made: {error.strerror}. Check PC_HOME.") from None
    for other in ("ui", name):
        pid = Background(settings.home, other).pid()
        if pid is not None:
            what = "`pc up` runs here" if other == "ui" else f"the {name} runs already"
            raise ServiceError(f"{what} (process {pid}, PC_HOME {settings.home}): stop it first.")
    me = Background(settings.home, name)
    held = me.hold()
    if held is None:
        raise ServiceError(f"another {name} is just starting in PC_HOME {settings.home}.")
    me.publish({"pid": os.getpid(), "started_at": time.time(), **about})
    # The lock goes through exec with the open file; closing the file would let go of it.
    os.set_inheritable(held.fileno(), True)
    return held


def _become(argv: list[str], environment: dict[str, str], lock: TextIO) -> NoReturn:
    """Become the process `argv`, which keeps `lock`."""
    sys.stderr.flush()
    assert os.get_inheritable(lock.fileno())
    os.execve(argv[0], argv, environment)
