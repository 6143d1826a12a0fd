"""A password is seen by nobody: not in Dagster's tables or files, its instance page, a sentence or a stack trace."""

import json
import subprocess
import sys
from contextlib import closing
from uuid import uuid4

import pytest
from psycopg2.extensions import make_dsn

from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.errors import PostgresUnreachable
from pc_pipeline.settings import CHECKOUT, Settings
from pc_pipeline.store.cache import Cache
from pc_pipeline.store.postgres import connect, in_transaction

CANARY = f"canary{uuid4().hex}"


@pytest.fixture
def own_server(dsn, redis_url, monkeypatch, tmp_path):
    """A Postgres and a Redis of one's own, whose passwords are the canary (the latter's is wrong); gives the DSN."""
    role = f"pc_{uuid4().hex}"
    with closing(connect(dsn)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{CANARY}'")
        theirs = make_dsn(dsn, user=role, password=CANARY)
        monkeypatch.setenv("PC_HOME", str(tmp_path))
        monkeypatch.setenv("PC_POSTGRES_DSN", theirs)
        monkeypatch.setenv("PC_REDIS_URL", f"redis://:{CANARY}@127.0.0.1:{redis_url.rpartition(':')[2]}")
        yield theirs
        cursor.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}")


def texts_of_dagster(connection) -> dict[str, str]:
    """Every row of every table of Dagster's, as text."""
    cursor = connection.cursor()
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'dagster'")
    found = {}
    for (table,) in cursor.fetchall():
        cursor.execute(f"SELECT string_agg(t::text, '\n') FROM dagster.{table} t")
        found[table] = cursor.fetchone()[0] or ""
    return found


def test_runs_that_end_well_and_badly_leave_no_password_anywhere(own_server, tmp_path, caplog):
    from pc_pipeline import local_run
    from pc_pipeline.definitions import defs
    from pc_pipeline.defs.resources import Pipeline

    said: list[str] = []
    settings = Settings()
    with local_run.dagster_instance(settings, Endpoints(own_server, None)) as instance:
        instance.add_dynamic_partitions("cameras", ["door"])

        def run(job: str, key: str | None) -> str | None:
            return local_run.execute(instance, defs.resolve_job_def(job), key, Pipeline(), said.append)

        def sql(statement: str) -> None:
            in_transaction(own_server, lambda connection: connection.cursor().execute(statement))

        assert run("roll_hours", "door|2026-03-01") is None
        assert run("refresh_dashboard_cache", None) is None, "Redis refuses the password, which is a warning"
        sql("ALTER TABLE daily_statistics RENAME TO gone")
        said.append(str(run("roll_days", "2026-03-01")))
        sql("ALTER TABLE gone RENAME TO daily_statistics")
        said.append(instance.info_str())
        said.append(json.dumps(instance.get_ref().to_dict()))
        assert "PC_DAGSTER_POSTGRES_URL" in said[-1], "the name of the variable, not what is in it"
        with closing(connect(own_server)) as connection:
            tables = texts_of_dagster(connection)
    assert "a table is missing there" in tables["event_logs"], "the run that failed left its reason"
    leaks = [table for table, text in tables.items() if CANARY in text]
    leaks += [
        str(path) for path in tmp_path.rglob("*") if path.is_file() and CANARY in path.read_text(errors="replace")
    ]
    assert leaks == []
    assert CANARY not in "\n".join(said) + caplog.text


def test_no_repr_of_what_carries_a_password_shows_it(own_server):
    from pc_pipeline.defs.resources import Pipeline

    shown = [
        Settings(),
        Endpoints(own_server, own_server),
        Pipeline(),
        Pipeline().machine(),
        Cache(f"redis://:{CANARY}@h"),
    ]
    assert CANARY not in "".join(map(repr, shown))


def test_a_wrong_password_and_a_server_that_is_gone_are_said_without_it(own_server, caplog):
    for wrong in (make_dsn(own_server, password=f"x{CANARY}"), make_dsn(own_server, port=1)):
        with pytest.raises(PostgresUnreachable) as caught:
            connect(wrong, wait_s=0.1)
        assert CANARY not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"
    assert Cache(f"redis://:{CANARY}@127.0.0.1:1").get_json("summary") is None
    assert CANARY not in caplog.text


@pytest.mark.parametrize("words", [["status", "--json"], ["db", "check"]])
def test_what_a_command_prints_and_its_process_shows_hold_no_password(own_server, words):
    program = [sys.executable, "-c", "from pc_pipeline.cli import main; main()"]
    done = subprocess.run([*program, *words], capture_output=True, text=True, cwd=CHECKOUT)
    assert done.stdout
    assert CANARY not in done.stdout + done.stderr
