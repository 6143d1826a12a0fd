"""Bulk loads: binary COPY from NumPy arrays, in batches that a background thread sends while the next are prepared."""

import io
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from queue import Empty, Queue
from statistics import median
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

POSTGRES_EPOCH = np.datetime64("2000-01-01", "us")

# https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format": signature, flags, length of the extension.
_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
# Batches encoded and waiting beside the one being sent: bounds memory, and holds back a caller faster than the server.
_WAITING = 2


@dataclass(frozen=True)
class LoadSettings:
    """When rows are sent: as soon as there are `batch_rows`, or `flush_interval_ms` after the last batch."""

    batch_rows: int = 50_000
    flush_interval_ms: int = 500


@dataclass(frozen=True)
class LoadReport:
    """What a load did.

    Attributes:
        rows, batches: sent and taken.
        failures: attempts that failed; retries: times the whole was replayed after one.
        latency_p50_ms, latency_p95_ms: time the server took for a batch.
        rows_per_s: rows over the whole time from opening to closing.
    """

    rows: int
    batches: int
    failures: int
    retries: int
    latency_p50_ms: float
    latency_p95_ms: float
    rows_per_s: float

    def replayed(self, retries: int) -> "LoadReport":
        """This report of the attempt that succeeded, after `retries` that failed (`in_transaction` says how many)."""
        return replace(self, failures=self.failures + retries, retries=retries)


def latency_ms(loads: Sequence[LoadReport]) -> tuple[float, float]:
    """Of several loads (one at least) the median p50 and the worst p95, in milliseconds."""
    return median(load.latency_p50_ms for load in loads), max(load.latency_p95_ms for load in loads)


def timestamps(started_at: datetime, offset_us: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """datetime64[us] (UTC) of offsets (int64 µs) from an aware start: what `encode_rows` writes as timestamptz."""
    start = np.datetime64(started_at.astimezone(UTC).replace(tzinfo=None), "us")
    return start + offset_us.astype("timedelta64[us]")


def encode_rows(columns: Mapping[str, NDArray[Any]]) -> bytes:
    """Rows in COPY's binary format, without header and trailer.

    Args:
        columns: arrays of one length R, in the order of COPY's column list, without nulls. Their dtypes are the table's
            types: int16, int32, int64, float32, float64, bool, and datetime64[us] for timestamptz. The last may be of
            dtype object and hold each value's `bytes` (for jsonb: a byte 1 and then the text).
    """
    plain = {name: _plain(values) for name, values in columns.items() if values.dtype != object}
    fields: list[tuple[str, Any]] = [("fields", ">i2")]
    for name, values in plain.items():
        fields += [(f"{name} length", ">i4"), (name, values.dtype.newbyteorder(">"))]
    rows = np.empty(len(next(iter(columns.values()))), dtype=fields)
    rows["fields"] = len(columns)
    for name, values in plain.items():
        rows[f"{name} length"] = values.dtype.itemsize
        rows[name] = values
    encoded = rows.tobytes()
    variable = [values for values in columns.values() if values.dtype == object]
    if not variable:
        return encoded
    width = rows.dtype.itemsize
    return b"".join(
        encoded[place * width : (place + 1) * width] + len(value).to_bytes(4, "big") + value
        for place, value in enumerate(variable[0])
    )


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "M":
        return (values.astype("datetime64[us]") - POSTGRES_EPOCH).astype(np.int64)
    return values


class Loader:
    """Sends arrays to one table over one connection, in its transaction; nothing is committed here.

    A background thread sends the batches. Until `close` (or the end of the `with` block) nobody else may use the
    connection. Rows that wait are at most three batches and the one being filled.
    """

    def __init__(self, connection: Connection, table: str, columns: Sequence[str], settings: LoadSettings) -> None:
        self._connection = connection
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        self._copy_sql = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(sql.Identifier(table), names)
        self._settings = settings
        self._filling: list[bytes] = []
        self._filling_rows = 0
        self._lock = threading.Lock()
        self._batches: Queue[tuple[bytes, int] | None] = Queue(maxsize=_WAITING)
        self._latencies_ms: list[float] = []
        self._rows = 0
        self._error: BaseException | None = None
        self._abandoned = False
        self._opened = time.monotonic()
        self._thread = threading.Thread(target=self._send_all, name=f"load {table}", daemon=True)
        self._thread.start()

    def add(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Take rows (see `encode_rows`); waits while the server is behind.

        Raises:
            psycopg2.Error: a batch sent earlier failed.
        """
        rows = len(next(iter(columns.values())))
        start = 0
        while start < rows:
            with self._lock:
                end = min(rows, start + self._settings.batch_rows - self._filling_rows)
                self._filling.append(encode_rows({name: values[start:end] for name, values in columns.items()}))
                self._filling_rows += end - start
                full = self._filling_rows >= self._settings.batch_rows
            start = end
            if full:
                self._batches.put(self._take())
            self._raise()

    def close(self) -> LoadReport:
        """Send what is left, wait for the server, and report.

        Raises:
            psycopg2.Error: a batch failed.
        """
        self._batches.put(self._take())
        self._stop()
        self._raise()
        p50, p95 = np.percentile(self._latencies_ms, (50, 95)) if self._latencies_ms else (0.0, 0.0)
        rate = self._rows / max(time.monotonic() - self._opened, 1e-9)
        return LoadReport(self._rows, len(self._latencies_ms), 0, 0, float(p50), float(p95), rate)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._abandoned = kind is not None
        self._stop()

    def _stop(self) -> None:
        if self._thread.is_alive():
            self._batches.put(None)
            self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _take(self) -> tuple[bytes, int]:
        with self._lock:
            batch = b"".join(self._filling), self._filling_rows
            self._filling, self._filling_rows = [], 0
        return batch

    def _send_all(self) -> None:
        while True:
            try:
                batch = self._batches.get(timeout=self._settings.flush_interval_ms / 1000)
            except Empty:
                batch = self._take()
            if batch is None:
                return
            data, rows = batch
            # After an error the thread goes on taking batches, so that nobody waits for room that never comes.
            if rows and self._error is None and not self._abandoned:
                try:
                    self._send(data, rows)
                except BaseException as error:  # handed to the caller's thread, whatever it is
                    self._error = error

    def _send(self, data: bytes, rows: int) -> None:
        started = time.monotonic()
        with self._connection.cursor() as cursor:
            cursor.copy_expert(self._copy_sql, io.BytesIO(b"".join((_HEADER, data, _TRAILER))), size=1 << 18)
        self._latencies_ms.append(1000 * (time.monotonic() - started))
        self._rows += rows


def fetch_rows(
    connection: Connection, query: str, parameters: Sequence[Any] | Mapping[str, Any], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """A query's rows as a structured array, by binary COPY TO.

    Args:
        query: without nulls and of fixed-width columns only.
        dtype: structured, one field a column in order, of the columns' exact types (datetime64[us] for timestamptz).
    """
    fields: list[tuple[str, Any]] = [("fields", ">i2")]
    for name in dtype.names or ():
        kind = dtype[name]
        fields += [(f"{name} length", ">i4"), (name, ">i8" if kind.kind == "M" else kind.newbyteorder(">"))]
    received = io.BytesIO()
    with connection.cursor() as cursor:
        text = cursor.mogrify(query, parameters).decode()
        cursor.copy_expert(f"COPY ({text}) TO STDOUT (FORMAT binary)", received)
    wire = np.frombuffer(received.getbuffer()[len(_HEADER) : -len(_TRAILER)], dtype=fields)
    rows = np.empty(len(wire), dtype=dtype)
    for name in dtype.names or ():
        if dtype[name].kind == "M":
            rows[name] = POSTGRES_EPOCH + wire[name].astype("timedelta64[us]")
        else:
            rows[name] = wire[name]
    return rows
