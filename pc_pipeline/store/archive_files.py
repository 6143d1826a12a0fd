"""The archive's files: a query's rows as Parquet, bit for bit what Postgres sent, in pieces whatever their number.

Rows come by binary COPY. Their bytes are hashed as they come; the file is then read back and made into such bytes
again, and the two hashes must be one.
"""

import contextlib
import hashlib
import os
import struct
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pc_pipeline.errors import UserError
from pc_pipeline.store.parquet import fsync_folder, told_when_full

if TYPE_CHECKING:
    import pyarrow as pa

# Signature, flags, length of the extension; the end is a count of fields of -1.
_HEADER_BYTES = 19
_TRAILER = b"\xff\xff"
# Bytes of COPY that become a row group.
_PIECE = 8 * 2**20
_POSTGRES_EPOCH_US = 946_684_800_000_000
_POSTGRES_EPOCH_DAYS = 10_957
# Types that go over as they are: the wire's, and what is added to make it Arrow's.
_FIXED = {
    "smallint": (">i2", 0),
    "integer": (">i4", 0),
    "bigint": (">i8", 0),
    "real": (">f4", 0),
    "double precision": (">f8", 0),
    "timestamp with time zone": (">i8", _POSTGRES_EPOCH_US),
    "date": (">i4", _POSTGRES_EPOCH_DAYS),
    "boolean": (">i1", 0),
}


@dataclass(frozen=True)
class Column:
    """A column of a table: its type as Postgres names it, and whether it may be null."""

    name: str
    type: str
    nullable: bool

    @property
    def fixed(self) -> tuple[str, int] | None:
        """The wire's dtype and what is added to a value; None: its text goes over."""
        return _FIXED.get(self.type)

    @property
    def expression(self) -> sql.Composable:
        """As it is selected."""
        name = sql.Identifier(self.name)
        return name if self.fixed or self.type == "text" else sql.SQL("{}::text").format(name)

    @property
    def arrow(self) -> "pa.DataType":
        """Its type in the file."""
        import pyarrow as pa

        kinds = {
            "smallint": pa.int16(), "integer": pa.int32(), "bigint": pa.int64(), "real": pa.float32(),
            "double precision": pa.float64(), "timestamp with time zone": pa.timestamp("us", "UTC"),
            "date": pa.date32(), "boolean": pa.bool_(),
        }  # fmt: skip
        return kinds.get(self.type, pa.string())


@dataclass(frozen=True)
class Written:
    """A file that was written: rows, bytes, SHA-256 (hex) of its bytes, and the videos it has rows of, in order."""

    rows: int
    bytes: int
    sha256: str
    videos: list[int]


def columns_of(connection: Connection, table: str) -> list[Column]:
    """The columns of a table, in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname, format_type(atttypid, NULL), NOT attnotnull FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (table,),
        )
        return [Column(*row) for row in cursor]


def export(
    connection: Connection, columns: list[Column], rows: sql.Composable, path: Path, heard: Callable[[int], None]
) -> Written:
    """Write the rows that `FROM … WHERE …` gives to a Parquet file: beside its place first, read back, then renamed.

    Args:
        rows: what follows the columns' names in the SELECT.
        heard: told now and then how many rows have come.

    Raises:
        UserError: the disk is full, or what was read back is not what was sent.
    """
    names = sql.SQL(", ").join(column.expression for column in columns)
    with _beside(path) as temporary, contextlib.closing(_Writer(temporary, columns, heard)) as writer:
        with connection.cursor() as cursor:
            copy = sql.SQL("COPY (SELECT {} {}) TO STDOUT (FORMAT binary)").format(names, rows)
            cursor.copy_expert(copy, writer)  # type: ignore[arg-type]
        writer.finish()
    if _hash_of(temporary, columns) != writer.sent.hexdigest():
        temporary.unlink()
        raise UserError(
            f"{path} was read back and is not what Postgres sent: the disk may be failing. Nothing was deleted."
        )
    return _in_place(temporary, path, writer.rows, writer.videos)


def rewrite(old: Path, path: Path, without: Collection[int]) -> Written | None:
    """Write a file of `old`'s rows less those of these videos; None, and no file, where none is left.

    Raises:
        UserError: the disk is full, or the file is missing.
    """
    require(old)
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows, videos, gone = 0, set[int](), pa.array(sorted(without), pa.int64())
    with _beside(path) as temporary, pq.ParquetFile(old) as source, temporary.open("wb") as file:
        with pq.ParquetWriter(file, source.schema_arrow, compression="zstd", write_page_checksum=True) as target:
            for group in range(source.num_row_groups):
                table = source.read_row_group(group, use_threads=False)
                table = table.filter(pc.invert(pc.is_in(table["video_id"], gone)))
                if len(table):
                    target.write_table(table)
                    rows += len(table)
                    videos.update(pc.unique(table["video_id"]).to_pylist())
        file.flush()
        os.fsync(file.fileno())
    if not rows:
        temporary.unlink()
        return None
    return _in_place(temporary, path, rows, videos)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """The temporary file beside a file's place; gone at once where writing it fails, for a full disk needs the room."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with told_when_full(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def require(path: Path) -> None:
    """Say what to do where a file of the archive is missing.

    Raises:
        UserError: it is.
    """
    if not path.exists():
        raise UserError(
            f"{path} is missing, and the archive should have it: bring it back from a backup of that folder, or point"
            " PC_ARCHIVE_DIR at where it is. If it is lost for good, delete its row in the table `archives`."
        )


def _in_place(temporary: Path, path: Path, rows: int, videos: set[int]) -> Written:
    with temporary.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = temporary.stat().st_size
    temporary.rename(path)
    fsync_folder(path.parent)
    return Written(rows, size, digest, sorted(videos))


class _Writer:
    """Takes COPY's binary stream and writes its rows, a row group at a time."""

    def __init__(self, path: Path, columns: list[Column], heard: Callable[[int], None]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pa.set_memory_pool(pa.system_memory_pool())
        self.rows = 0
        self.videos: set[int] = set()
        self.sent = hashlib.sha256()
        self._columns, self._heard = columns, heard
        self._decode = _Fixed(columns).decode if _all_fixed(columns) else _Mixed(columns).decode
        self._buffer = bytearray()
        self._begun = False
        self._file = path.open("wb")
        self._parquet = pq.ParquetWriter(self._file, _schema(columns), compression="zstd", write_page_checksum=True)

    def write(self, data: bytes) -> int:
        """Take a piece of the stream, wherever it is cut."""
        self._buffer += data
        if len(self._buffer) >= _PIECE:
            self._send()
        return len(data)

    def finish(self) -> None:
        """Write what is left; then the file is whole and on the disk."""
        self._send()
        if bytes(self._buffer) != _TRAILER:
            raise UserError("Postgres ended the export in the middle of a row: run this again")
        self._parquet.close()
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._parquet.close()
        self._file.close()

    def _send(self) -> None:
        if not self._begun:
            del self._buffer[:_HEADER_BYTES]
            self._begun = True
        table, taken = self._decode(self._buffer)
        if not taken:
            return
        self.sent.update(memoryview(self._buffer)[:taken])
        del self._buffer[:taken]
        self._parquet.write_table(table, row_group_size=max(len(table), 1))
        self.rows += len(table)
        if "video_id" in table.schema.names:
            self.videos.update(table["video_id"].unique().to_pylist())
        self._heard(self.rows)


def _schema(columns: list[Column]) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([pa.field(column.name, column.arrow, column.nullable) for column in columns])


def _hash_of(path: Path, columns: list[Column]) -> str:
    """SHA-256 (hex) of a file's rows as COPY sends them, without its header and end."""
    import pyarrow.parquet as pq

    encode = _Fixed(columns).encode if _all_fixed(columns) else _Mixed(columns).encode
    hashed = hashlib.sha256()
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        for group in range(file.num_row_groups):
            hashed.update(encode(file.read_row_group(group, use_threads=False)))
    return hashed.hexdigest()


def _all_fixed(columns: list[Column]) -> bool:
    return all(column.fixed and not column.nullable for column in columns)


class _Fixed:
    """Rows of one width: a structured array is the wire format."""

    def __init__(self, columns: list[Column]) -> None:
        fields: list[tuple[str, Any]] = [("fields", ">i2")]
        for column in columns:
            assert column.fixed
            fields += [(f"{column.name} length", ">i4"), (column.name, column.fixed[0])]
        self._columns, self._dtype = columns, np.dtype(fields)

    def decode(self, buffer: bytearray) -> "tuple[pa.Table, int]":
        """The whole rows of a buffer, and how many bytes they take."""
        import pyarrow as pa

        count = len(buffer) // self._dtype.itemsize
        wire = np.frombuffer(bytes(buffer[: count * self._dtype.itemsize]), self._dtype)
        arrays = [_arrow(wire[column.name], column) for column in self._columns]
        return pa.Table.from_arrays(arrays, schema=_schema(self._columns)), count * self._dtype.itemsize

    def encode(self, table: "pa.Table") -> bytes:
        """The rows as COPY sends them."""
        rows = np.empty(len(table), self._dtype)
        rows["fields"] = len(self._columns)
        for column in self._columns:
            rows[f"{column.name} length"] = self._dtype[column.name].itemsize
            rows[column.name] = _wire(table[column.name], column)
        return rows.tobytes()


class _Mixed:
    """Rows with texts and nulls, value by value."""

    def __init__(self, columns: list[Column]) -> None:
        self._columns = columns

    def decode(self, buffer: bytearray) -> "tuple[pa.Table, int]":
        """As `_Fixed.decode`."""
        import pyarrow as pa

        values: list[list[bytes | None]] = [[] for _ in self._columns]
        rows, taken = 0, 0
        for place, row in _tuples(bytes(buffer), len(self._columns)):
            for value, column in zip(row, values, strict=True):
                column.append(value)
            rows, taken = rows + 1, place
        arrays = [_mixed_arrow(found, column) for found, column in zip(values, self._columns, strict=True)]
        return pa.Table.from_arrays(arrays, schema=_schema(self._columns)), taken

    def encode(self, table: "pa.Table") -> bytes:
        """As `_Fixed.encode`."""
        columns = [_mixed_wire(table[column.name], column) for column in self._columns]
        head = struct.pack(">h", len(self._columns))
        return b"".join(
            head + b"".join(struct.pack(">i", -1) if v is None else struct.pack(">i", len(v)) + v for v in row)
            for row in zip(*columns, strict=True)
        )


def _tuples(buffer: bytes, fields: int) -> Iterator[tuple[int, list[bytes | None]]]:
    """Each whole row in a buffer, with the place behind it."""
    place, end = 0, len(buffer)
    while place + 2 <= end and buffer[place : place + 2] != _TRAILER:
        row: list[bytes | None] = []
        at = place + 2
        while len(row) < fields:
            if at + 4 > end:
                return
            (length,) = struct.unpack_from(">i", buffer, at)
            at += 4
            if at + max(length, 0) > end:
                return
            row.append(None if length < 0 else buffer[at : at + length])
            at += max(length, 0)
        yield at, row
        place = at


def _mixed_arrow(values: list[bytes | None], column: Column) -> "pa.Array":
    import pyarrow as pa

    if column.fixed is None:
        return pa.array([None if value is None else value.decode() for value in values], pa.string())
    kind = np.dtype(column.fixed[0])
    null = bytes(kind.itemsize)
    wire = np.frombuffer(b"".join(null if value is None else value for value in values), kind)
    return _arrow(wire, column, np.array([value is None for value in values], np.bool_))


def _mixed_wire(array: "pa.ChunkedArray", column: Column) -> list[bytes | None]:
    if column.fixed is None:
        return [None if value is None else value.encode() for value in array.to_pylist()]
    width = np.dtype(column.fixed[0]).itemsize
    wire = _wire(array.fill_null(False) if column.type == "boolean" else array, column).tobytes()
    valid = array.is_valid().to_pylist()
    return [wire[n * width : (n + 1) * width] if valid[n] else None for n in range(len(array))]


def _arrow(wire: NDArray[Any], column: Column, null: NDArray[np.bool_] | None = None) -> "pa.Array":
    """Values of the wire as an array of the file."""
    import pyarrow as pa

    assert column.fixed
    kind, added = column.fixed
    native = wire.astype(np.dtype(kind).newbyteorder("="))
    if column.type == "boolean":
        return pa.array(native.astype(np.bool_), mask=null)
    whole = pa.array(native + native.dtype.type(added) if added else native, mask=null)
    return whole.cast(column.arrow)


def _wire(array: "pa.ChunkedArray", column: Column) -> NDArray[Any]:
    """An array of the file as values of the wire; a null is anything."""
    import pyarrow as pa

    assert column.fixed
    kind, added = column.fixed
    if column.type == "boolean":
        return array.to_numpy().astype(kind)
    if added:
        array = array.cast(pa.int64() if column.type != "date" else pa.int32())
    if array.null_count:
        array = array.fill_null(0)
    native = array.to_numpy()
    return (native - native.dtype.type(added) if added else native).astype(kind)
