"""Binary COPY from arrays: exact, bounded, and loud about failure."""

import threading
import time
from datetime import UTC, datetime

import numpy as np
import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pc_pipeline.store.load import Loader, LoadSettings, fetch_rows, timestamps
from pc_pipeline.store.postgres import connect, in_transaction

DTYPE = np.dtype([("a", "i2"), ("b", "i4"), ("c", "i8"), ("d", "f4"), ("e", "f8"), ("f", "?"), ("g", "M8[us]")])
ROW = st.tuples(
    st.integers(-(2**15), 2**15 - 1),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(width=32, allow_nan=False),
    st.floats(allow_nan=False),
    st.booleans(),
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)).map(lambda moment: np.datetime64(moment, "us")),
)


@pytest.fixture
def table(connection):
    connection.cursor().execute(
        "CREATE TABLE plain (a int2, b int4, c int8, d float4, e float8, f bool, g timestamptz)"
    )
    connection.commit()
    return "plain"


def numbers(start: int, end: int) -> dict[str, np.ndarray]:
    return {"b": np.arange(start, end, dtype=np.int32)}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, max_size=30), batch_rows=st.integers(1, 40))
def test_every_value_comes_back_as_it_went(connection, table, rows, batch_rows):
    connection.cursor().execute("TRUNCATE plain")
    given_rows = np.array(rows, dtype=DTYPE)
    with Loader(connection, table, DTYPE.names, LoadSettings(batch_rows)) as loader:
        loader.add({name: given_rows[name] for name in DTYPE.names})
        assert loader.close().rows == len(rows)
    found = fetch_rows(connection, "SELECT * FROM plain WHERE %s", (True,), DTYPE)
    assert sorted(found.tolist()) == sorted(given_rows.tolist())


def test_text_of_any_length_may_stand_last(connection):
    connection.cursor().execute("CREATE TEMP TABLE texts (a int4, t jsonb)")
    texts = ['{"a": 1}', "[]", '"' + "é" * 5000 + '"']
    with Loader(connection, "texts", ("a", "t"), LoadSettings(2)) as loader:
        encoded = np.array([b"\x01" + text.encode() for text in texts], dtype=object)
        loader.add({"a": np.arange(3, dtype=np.int32), "t": encoded})
        loader.close()
    cursor = connection.cursor()
    cursor.execute("SELECT t FROM texts ORDER BY a")
    assert cursor.fetchall() == [({"a": 1},), ([],), ("é" * 5000,)]


def test_time_is_counted_in_whole_microseconds():
    moment = datetime(2262, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    assert timestamps(moment, np.array([2]))[0] == np.datetime64("2262-01-01T00:00:00.000003")


def test_rows_are_sent_in_batches_and_reported(connection, table):
    with Loader(connection, table, ("b",), LoadSettings(batch_rows=100)) as loader:
        for start in range(0, 250, 50):
            loader.add(numbers(start, start + 50))
        report = loader.close()
    assert (report.rows, report.batches, report.failures, report.retries) == (250, 3, 0, 0)
    assert 0 < report.latency_p50_ms <= report.latency_p95_ms
    assert report.rows_per_s > 0


def test_a_part_of_a_batch_is_sent_when_its_time_is_up(connection, dsn, table):
    with Loader(connection, table, ("b",), LoadSettings(batch_rows=1000, flush_interval_ms=20)) as loader:
        loader.add(numbers(0, 10))
        time.sleep(0.3)
        with connect(dsn) as other, other.cursor() as cursor:
            # Unseen as it is before the commit, the row has locked its table.
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE relation = 'plain'::regclass AND mode = 'RowExclusiveLock'"
            )
            assert cursor.fetchone() == (1,)
        loader.add(numbers(10, 15))
        report = loader.close()
    assert (report.rows, report.batches) == (15, 2)


def test_a_slow_server_holds_its_caller_back(connection, dsn, table):
    blocker = connect(dsn)
    blocker.cursor().execute("LOCK TABLE plain")
    added = []
    with Loader(connection, table, ("b",), LoadSettings(batch_rows=10)) as loader:

        def add_all():
            for start in range(0, 200, 10):
                loader.add(numbers(start, start + 10))
                added.append(start)

        caller = threading.Thread(target=add_all)
        caller.start()
        caller.join(0.3)
        waiting = len(added)
        blocker.rollback()
        caller.join()
        assert loader.close().rows == 200
    assert waiting <= 3


def test_an_error_of_the_server_is_raised_to_the_caller(connection, table):
    connection.cursor().execute("ALTER TABLE plain ADD CHECK (b < 100)")
    small = LoadSettings(batch_rows=10)
    with pytest.raises(psycopg2.errors.CheckViolation), Loader(connection, table, ("b",), small) as loader:
        for start in range(0, 1000, 10):
            loader.add(numbers(start, start + 10))
        loader.close()
    assert not any(thread.name == "load plain" for thread in threading.enumerate())


def test_a_load_that_is_given_up_sends_no_more(connection, table):
    with pytest.raises(KeyError), Loader(connection, table, ("b",), LoadSettings(batch_rows=1000)) as loader:
        loader.add(numbers(0, 10))
        raise KeyError
    cursor = connection.cursor()
    cursor.execute("SELECT count(*) FROM plain")
    assert cursor.fetchone() == (0,)


def test_a_connection_lost_in_the_middle_loads_every_row_once(connection, dsn, table):
    attempts = []

    def work(own):
        attempts.append(own.info.backend_pid)
        with Loader(own, table, ("b",), LoadSettings(batch_rows=1000, flush_interval_ms=10)) as loader:
            for start in range(0, 20_000, 500):
                if start == 10_000 and len(attempts) == 1:
                    with connect(dsn) as killer:
                        killer.cursor().execute("SELECT pg_terminate_backend(%s, 5000)", (attempts[0],))
                loader.add(numbers(start, start + 500))
            return loader.close()

    report, retries = in_transaction(dsn, work)
    report = report.replayed(retries)
    assert (report.rows, report.retries, report.failures) == (20_000, 1, 1)
    cursor = connection.cursor()
    cursor.execute("SELECT count(*), count(DISTINCT b) FROM plain")
    assert cursor.fetchone() == (20_000, 20_000)
