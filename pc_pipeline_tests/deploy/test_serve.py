"""`pc serve`: one process of each name in a PC_HOME, over servers of one's own, with no secret among its arguments."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pc_pipeline.cli import cli
from pc_pipeline.cli.services import describe
from pc_pipeline.embedded import ui
from pc_pipeline.embedded.process import Background, wait_until
from pc_pipeline.errors import ServiceError
from pc_pipeline.settings import Settings


@pytest.fixture
def home(dsn, tmp_path, monkeypatch) -> Path:
    """A PC_HOME of its own, and a Postgres of one's own whose DSN stands in a file."""
    (tmp_path / "dsn").write_text(f"{dsn}\n")
    for name, value in {"PC_HOME": tmp_path, "PC_POSTGRES_DSN_FILE": tmp_path / "dsn", "PC_REDIS_URL": ""}.items():
        monkeypatch.setenv(name, str(value))
    return tmp_path


@contextmanager
def served(home: Path, name: str) -> Iterator[int]:
    """A process that is `pc serve NAME` as far as the others can see; gives its id."""
    program = (
        "from pc_pipeline.cli.serve import _become, _hold; from pc_pipeline.settings import Settings; import os;"
        f"lock = _hold(Settings(), {name!r}, {{'url': 'http://127.0.0.1:1'}});"
        "_become(['/bin/sleep', '60'], dict(os.environ), lock)"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        cmdline = Path(f"/proc/{process.pid}/cmdline")
        try:
            assert wait_until(lambda: cmdline.read_bytes().startswith(b"/bin/sleep"), 20)
            yield process.pid
        finally:
            process.kill()


def test_each_becomes_dagsters_process_and_shows_no_secret(home, dsn, monkeypatch):
    became: dict[str, tuple[list[str], dict[str, str]]] = {}

    def execve(program: str, argv: list[str], environment: dict[str, str]) -> Any:
        became[name] = argv, environment
        raise SystemExit(0)

    monkeypatch.setattr(os, "execve", execve)
    for name in ("code", "webserver", "daemon"):
        before = dict(os.environ)
        done = CliRunner().invoke(cli, ["serve", name], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        os.environ.clear()
        os.environ.update(before)
    socket = str(home / "run" / "code.sock")
    assert socket in became["code"][0]
    assert became["webserver"][0][3:7] == ["--host", "127.0.0.1", "--port", "3000"]
    for argv, environment in became.values():
        assert dsn not in " ".join(argv)
        assert environment["PC_CODE_SOCKET"] == socket
        assert environment["DAGSTER_HOME"] == str(home / "dagster")
        assert (home / "dagster" / "dagster.yaml").is_file()
    assert (home / "run").stat().st_mode & 0o077 == 0, "whoever reaches the socket could start runs"


def test_one_of_each_name_through_exec_and_status_tells(home):
    settings = Settings()
    assert not describe(settings)["running"]
    with served(home, "code"), served(home, "daemon") as daemon, served(home, "webserver"):
        assert Background(home, "daemon").pid() == daemon
        again = CliRunner().invoke(cli, ["serve", "daemon"])
        assert isinstance(again.exception, ServiceError)
        assert f"the daemon runs already (process {daemon}" in str(again.exception)
        with pytest.raises(ServiceError, match=f"`pc serve daemon` runs here .process {daemon}"):
            ui.start(settings, None)
        about = describe(settings)
        assert about["running"]
        assert about["daemon"]["pid"] == daemon
        assert about["webserver"]["url"] == "http://127.0.0.1:1"
    assert Background(home, "daemon").pid() is None, "a killed one lets go"


def test_it_wants_a_postgres_of_one_s_own(home, monkeypatch):
    monkeypatch.delenv("PC_POSTGRES_DSN_FILE")
    done = CliRunner().invoke(cli, ["serve", "daemon"])
    assert isinstance(done.exception, ServiceError)
    assert "set PC_POSTGRES_DSN or PC_POSTGRES_DSN_FILE" in str(done.exception)


def test_the_code_server_does_not_start_over_another_schema(home, dsn):
    from pc_pipeline.errors import SchemaOutdated
    from pc_pipeline.store.postgres import in_transaction

    last = "DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations)"
    in_transaction(dsn, lambda connection: connection.cursor().execute(last))
    done = CliRunner().invoke(cli, ["serve", "code"])
    assert isinstance(done.exception, SchemaOutdated)
    assert "pc db migrate" in str(done.exception)


def test_a_path_too_long_for_a_socket_is_one_sentence(home, monkeypatch):
    monkeypatch.setenv("PC_HOME", str(home / ("x" * 100)))
    done = CliRunner().invoke(cli, ["serve", "code"])
    assert isinstance(done.exception, ServiceError)
    assert "choose a shorter one" in str(done.exception)
