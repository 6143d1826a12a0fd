"""Connections, replayed transactions, and errors a user can read."""

import socket
from urllib.parse import quote

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, make_dsn
from sqlalchemy.engine import make_url

from pc_pipeline.errors import PostgresUnreachable, UserError
from pc_pipeline.store.postgres import (
    FIRST_WAIT_S,
    RECONNECT_WAIT_S,
    connect,
    in_transaction,
    lock_video,
    one_connection,
    place,
    refuse_password,
    sqlalchemy_url,
)

SECRET = "s3cr3t"


def kill(dsn: str, pid: int) -> None:
    """Take a connection away, as a restarting server does."""
    killer = connect(dsn)
    killer.cursor().execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    killer.close()


def test_a_connection_speaks_utc_and_has_a_name(connection):
    cursor = connection.cursor()
    cursor.execute("SELECT current_setting('TimeZone'), current_setting('application_name')")
    assert cursor.fetchone() == ("UTC", "pc_pipeline")


def test_options_in_the_dsn_are_kept(dsn):
    cursor = connect(make_dsn(dsn, options="-c statement_timeout=77s")).cursor()
    cursor.execute("SHOW statement_timeout")
    assert cursor.fetchone() == ("77s",)


def test_a_lost_connection_replays_the_whole_transaction(dsn):
    seen = []

    def work(connection):
        connection.cursor().execute("INSERT INTO cameras (camera) VALUES ('a')")
        seen.append(connection.info.backend_pid)
        if len(seen) <= 2:
            kill(dsn, seen[-1])
        connection.cursor().execute("INSERT INTO cameras (camera) VALUES ('b')")
        return "done"

    assert in_transaction(dsn, work) == ("done", 2)
    cursor = connect(dsn).cursor()
    cursor.execute("SELECT count(*) FROM cameras")
    assert cursor.fetchone() == (2,)


def test_a_connection_lost_each_time_is_one_sentence(dsn):
    def work(connection):
        kill(dsn, connection.info.backend_pid)
        connection.cursor().execute("SELECT 1")

    with pytest.raises(PostgresUnreachable, match="the connection was lost 2 times"):
        in_transaction(dsn, work, attempts=2)


def server_process(connection) -> int:
    return connection.info.backend_pid


def test_transactions_that_follow_one_another_go_over_one_connection(dsn):
    with one_connection():
        first, _ = in_transaction(dsn, server_process)
        with one_connection():
            assert in_transaction(dsn, server_process) == (first, 0)
        assert in_transaction(dsn, server_process) == (first, 0)
    assert in_transaction(dsn, server_process)[0] != first
    cursor = connect(dsn).cursor()
    cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (first,))
    assert cursor.fetchone() == (0,)


def test_a_connection_lost_between_two_transactions_is_replaced_without_a_replay(dsn):
    with one_connection():
        first, _ = in_transaction(dsn, server_process)
        kill(dsn, first)
        second, replayed = in_transaction(dsn, server_process)
    assert (second != first, replayed) == (True, 0)


def test_a_server_that_was_there_a_moment_ago_is_waited_for_longer_than_one_nobody_has_seen(dsn, monkeypatch):
    waits = []

    def patient(dsn, wait_s):
        waits.append(wait_s)
        return connect(dsn, wait_s)

    monkeypatch.setattr("pc_pipeline.store.postgres.connect", patient)
    with one_connection():
        first, _ = in_transaction(dsn, server_process)
        kill(dsn, first)
        in_transaction(dsn, server_process)
    assert waits == [FIRST_WAIT_S, RECONNECT_WAIT_S]


def test_a_kept_connection_that_somebody_closed_is_replaced(dsn):
    used = []
    with one_connection():
        in_transaction(dsn, used.append)
        used[0].close()
        assert in_transaction(dsn, lambda connection: not connection.closed) == (True, 0)


def test_a_transaction_within_a_transaction_neither_ends_nor_sees_the_other(dsn):
    def outer(connection):
        connection.cursor().execute("INSERT INTO cameras (camera) VALUES ('a')")
        return in_transaction(dsn, cameras)[0]

    def cameras(connection):
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM cameras")
        return cursor.fetchone()[0]

    with one_connection():
        in_transaction(dsn, cameras)
        assert in_transaction(dsn, outer)[0] == 0
        assert in_transaction(dsn, cameras)[0] == 1


def test_a_mistake_leaves_nothing_for_the_next_transaction(dsn):
    def wrong(connection):
        connection.cursor().execute("INSERT INTO cameras (camera) VALUES ('a')")
        raise KeyError("mistake")

    with one_connection():
        in_transaction(dsn, server_process)
        with pytest.raises(KeyError):
            in_transaction(dsn, wrong)
        assert in_transaction(dsn, lambda c: c.info.transaction_status)[0] == TRANSACTION_STATUS_IDLE


def test_a_mistake_in_the_work_is_raised_and_nothing_is_kept(dsn):
    def work(connection):
        connection.cursor().execute("INSERT INTO cameras (camera) VALUES ('a')")
        raise KeyError("mistake")

    with pytest.raises(KeyError):
        in_transaction(dsn, work)
    cursor = connect(dsn).cursor()
    cursor.execute("SELECT count(*) FROM cameras")
    assert cursor.fetchone() == (0,)


def test_a_full_disk_is_said_at_once_and_not_tried_again(dsn):
    runs = []

    def work(connection):
        runs.append(1)
        connection.cursor().execute("DO $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$")

    with pytest.raises(UserError, match="its disk is full: free space"):
        in_transaction(dsn, work)
    assert len(runs) == 1


def test_a_wrong_password_is_said_without_it(dsn):
    with pytest.raises(PostgresUnreachable, match="refuses this user's password") as caught:
        connect(make_dsn(dsn, password=SECRET))
    assert SECRET not in str(caught.value)


def test_a_missing_database_is_said(dsn):
    with pytest.raises(PostgresUnreachable, match="/nowhere: that database or user does not exist"):
        connect(make_dsn(dsn, dbname="nowhere"))


def test_nothing_listening_is_said_with_what_to_do():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(PostgresUnreachable, match=f"127.0.0.1:{port}/x: nothing answers there: start it"):
        connect(f"postgresql://u:{SECRET}@127.0.0.1:{port}/x", wait_s=0.2)


@pytest.mark.parametrize(
    "dsn", [f"postgresql://u:{SECRET}@x@host/db", f"postgresql://u:a/{SECRET}@host/db", f"{SECRET} x"]
)
def test_a_dsn_that_cannot_be_read_never_shows_the_password(dsn):
    with pytest.raises(PostgresUnreachable, match="cannot be read") as caught:
        connect(dsn)
    assert SECRET not in str(caught.value)


def test_a_password_in_an_argument_is_refused_with_advice():
    with pytest.raises(UserError, match="PGPASSWORD") as caught:
        refuse_password(f"postgresql://u:{SECRET}@host/db")
    assert SECRET not in str(caught.value)
    refuse_password("postgresql://u@host/db")


@given(password=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1))
def test_any_password_survives_in_the_url_for_sqlalchemy(password):
    url = make_url(sqlalchemy_url(f"postgresql://u:{quote(password, safe='')}@host:5433/db?sslmode=require", "dagster"))
    assert (url.drivername, url.username, url.password) == ("postgresql+psycopg2", "u", password)
    assert (url.host, url.port, url.database) == ("host", 5433, "db")
    assert url.query == {"sslmode": "require", "options": "-c search_path=dagster"}


def test_the_url_for_sqlalchemy_connects(dsn):
    from sqlalchemy import create_engine, text

    with create_engine(sqlalchemy_url(dsn, "pg_catalog")).connect() as connection:
        assert connection.execute(text("SHOW search_path")).scalar() == "pg_catalog"


def test_place_names_the_server_only():
    assert place(f"host=db.example user=u password={SECRET} dbname=people") == "db.example:5432/people"


def test_one_transaction_at_a_time_works_on_a_video(dsn):
    first, second = connect(dsn), connect(dsn)
    lock_video(first, 7)
    lock_video(second, 8)
    second.cursor().execute("SET lock_timeout = '50ms'")
    with pytest.raises(psycopg2.errors.LockNotAvailable):
        lock_video(second, 7)
    second.rollback()
    first.rollback()
    lock_video(second, 7)
