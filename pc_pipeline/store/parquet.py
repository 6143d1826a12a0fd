"""Raw detections as Parquet, one file a fingerprint: one row a sampled frame, the frame's boxes in lists.

Where the picture was looked at, the row has its figures too, and now and then the small grey picture itself. Files are
written and read a piece at a time, so that a day of video takes no more memory than a minute.
"""

import contextlib
import dataclasses
import errno
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from pc_pipeline.errors import UserError
from pc_pipeline.vision.arrays import Detections, PictureSignals, joined_signals
from pc_pipeline.vision.colours import CHANNELS
from pc_pipeline.vision.detect import PIECE_FRAMES, DecodeReport
from pc_pipeline.vision.picture import HEIGHT, WIDTH

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# A file is written before the ledger names it: younger ones may belong to a run at work.
SWEEP_AFTER_S = 24 * 3600.0
_DECODED = b"decode_report"


class ParquetMissing(Exception):
    """No file of this fingerprint: the stage is outstanding."""


class ParquetCorrupt(Exception):
    """The file cannot be read whole: the stage is outstanding."""


class RawFile:
    """A `<fingerprint>.parquet` that is being written, from `new_raw`: `add` its pieces, then `finish`."""

    def __init__(self, path: Path, temporary: Path, file: BinaryIO) -> None:
        self._path, self._temporary, self._file = path, temporary, file
        self._writer: pq.ParquetWriter | None = None

    def add(self, piece: Detections) -> None:
        """Write the frames that follow those before, a row group of their own.

        Raises:
            UserError: the disk is full.
        """
        import pyarrow.parquet as pq

        table = _table(piece)
        with told_when_full(self._path):
            if self._writer is None:
                self._writer = pq.ParquetWriter(self._file, table.schema, compression="zstd", write_page_checksum=True)
            self._writer.write_table(table, row_group_size=max(len(table), 1))

    def finish(self, decoded: DecodeReport) -> Path:
        """Put the file in its place, whole and on the disk, and return its path. What decoding found out stands in its
        metadata, as JSON.

        Raises:
            UserError: the disk is full.
        """
        assert self._writer, "a file of one piece at least"
        with told_when_full(self._path):
            self._writer.add_key_value_metadata({_DECODED: json.dumps(dataclasses.asdict(decoded))})
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._temporary.rename(self._path)
            fsync_folder(self._path.parent)
        return self._path

    def close(self) -> None:
        """Leave nothing behind where it is not finished; what went wrong before is told, not what goes wrong now."""
        with contextlib.suppress(OSError):
            if self._writer:
                self._writer.close()
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(FileNotFoundError):
            self._temporary.unlink()


@contextlib.contextmanager
def new_raw(directory: Path, fingerprint: str) -> Iterator[RawFile]:
    """A new file of a fingerprint: there whole once it is finished, and not at all before, or where that never comes.

    Raises:
        UserError: the disk is full.
    """
    path = raw_path(directory, fingerprint)
    with told_when_full(path):
        directory.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{fingerprint}.", suffix=".tmp", dir=directory)
    with contextlib.closing(RawFile(path, Path(name), os.fdopen(handle, "wb"))) as new:
        yield new


def write_raw(directory: Path, fingerprint: str, detections: Detections, decoded: DecodeReport) -> Path:
    """Write `<fingerprint>.parquet` of detections that are in memory whole; see `new_raw`."""
    with new_raw(directory, fingerprint) as new:
        new.add(detections)
        return new.finish(decoded)


def _table(piece: Detections) -> "pa.Table":
    import pyarrow as pa

    offsets = piece.offsets.astype(np.int32)
    return pa.table(
        {
            "frame_number": pa.array(piece.frame_number, pa.int32()),
            "pts_us": pa.array(piece.pts_us, pa.int64()),
            "box": pa.ListArray.from_arrays(pa.array(4 * offsets), pa.array(piece.boxes.ravel(), pa.float32())),
            "confidence": pa.ListArray.from_arrays(pa.array(offsets), pa.array(piece.confidence, pa.float32())),
            "class_id": pa.ListArray.from_arrays(pa.array(offsets), pa.array(piece.class_id, pa.int16())),
            **_colour_column(offsets, piece.colours),
            **({} if piece.processing_ms is None else {"processing_ms": pa.array(piece.processing_ms, pa.float32())}),
            **_picture_columns(piece.pts_us, piece.picture),
        }
    )


def _colour_column(offsets: np.ndarray, colours: np.ndarray | None) -> dict[str, Any]:
    import pyarrow as pa

    return (
        {} if colours is None else {"colours": pa.ListArray.from_arrays(CHANNELS * offsets, pa.array(colours.ravel()))}
    )


def _colours(columns: Mapping[str, Any]) -> np.ndarray | None:
    if "colours" not in columns:
        return None
    return columns["colours"].flatten().to_numpy(zero_copy_only=False).reshape(-1, CHANNELS)


_FIGURES = {"mean": np.float32, "spread": np.float32, "detail": np.float32, "change": np.float32, "shown": np.int32}


def _picture_columns(pts_us: np.ndarray, picture: PictureSignals | None) -> dict[str, Any]:
    """The picture's figures as columns, null at the frames that have none, and the pictures kept whole as bytes."""
    if picture is None:
        return {}
    import pyarrow as pa

    rows, kept = np.searchsorted(pts_us, picture.pts_us), np.searchsorted(pts_us, picture.reference_us)
    none = np.ones(len(pts_us), np.bool_)
    none[rows] = False
    columns = {}
    for name, kind in _FIGURES.items():
        values = np.zeros(len(pts_us), kind)
        values[rows] = getattr(picture, name)
        columns[f"picture_{name}"] = pa.array(values, mask=none)
    # As many offsets as frames, and bytes for those only that have a picture.
    sizes = np.zeros(len(pts_us) + 1, np.int32)
    sizes[kept + 1] = picture.reference[0].size if len(kept) else 0
    offsets = np.cumsum(sizes, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(picture.reference))]
    columns["picture"] = pa.Array.from_buffers(pa.binary(), len(pts_us), buffers)
    return columns


def _picture(columns: Mapping[str, Any], decoded: DecodeReport) -> PictureSignals | None:
    if "picture" not in columns:
        return None
    import pyarrow.compute as pc

    seen = columns["picture_mean"].is_valid().to_numpy(zero_copy_only=False)
    pts_us = columns["pts_us"].to_numpy(zero_copy_only=False)
    figures = {
        name: columns[f"picture_{name}"].drop_null().to_numpy(zero_copy_only=False).astype(kind, copy=False)
        for name, kind in _FIGURES.items()
    }
    pictures = columns["picture"]
    kept = pc.binary_length(pictures).to_numpy(zero_copy_only=False) > 0
    whole = np.frombuffer(b"".join(pictures.filter(kept).to_pylist()), np.uint8)
    found = PictureSignals(
        pts_us=pts_us[seen], reference_us=pts_us[kept], reference=whole.reshape(-1, HEIGHT, WIDTH), **figures
    )
    return found if decoded.references_us is None else found.keeping(decoded.references_us)


@contextlib.contextmanager
def told_when_full(path: Path) -> Iterator[None]:
    """A full disk as one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"no space left for {path}: free some there, then run this again") from error
        raise


def readable(directory: Path, fingerprint: str) -> bool:
    """Whether the file is there and whole: reads all of it, a few frames at a time."""
    try:
        with _opened(directory, fingerprint) as file:
            for batch in _batches(file, PIECE_FRAMES, file.schema_arrow.names):
                _detections(batch)
            _decoded(file)
    except (ParquetMissing, ParquetCorrupt):
        return False
    return True


def read_raw(directory: Path, fingerprint: str) -> tuple[Detections, DecodeReport]:
    """The detections of a fingerprint, in memory whole, and what decoding found out.

    Raises:
        ParquetMissing: there is no such file.
        ParquetCorrupt: it is truncated, damaged or of another layout.
    """
    with _opened(directory, fingerprint) as file:
        table, decoded = file.read(), _decoded(file)
        return _detections(table, decoded), decoded


def read_boxes(directory: Path, fingerprint: str, frames: int = PIECE_FRAMES) -> Iterator[Detections]:
    """The detections of a fingerprint, at most `frames` frames at a time, without what the frames looked like.

    Raises:
        ParquetMissing, ParquetCorrupt: as `read_raw`; what came before the damage was given.
    """
    with _opened(directory, fingerprint) as file:
        names = [name for name in file.schema_arrow.names if not name.startswith("picture")]
        for batch in _batches(file, frames, names):
            yield _detections(batch)


@dataclasses.dataclass(frozen=True)
class Looks:
    """What the frames of a video looked like, how many boxes are in them, and what decoding found out.

    `processing_ms` is the sum over the frames; 0.0 where nobody measured.
    """

    picture: PictureSignals | None
    boxes: int
    decoded: DecodeReport
    processing_ms: float


def read_looks(directory: Path, fingerprint: str) -> Looks:
    """What stands beside the boxes of a fingerprint.

    Raises:
        ParquetMissing, ParquetCorrupt: as `read_raw`.
    """
    with _opened(directory, fingerprint) as file:
        decoded, boxes, processing_ms, pictures = _decoded(file), 0, 0.0, []
        wanted = ("pts_us", "class_id", "processing_ms")
        names = [name for name in file.schema_arrow.names if name in wanted or name[:7] == "picture"]
        for batch in _batches(file, PIECE_FRAMES, names):
            columns = _columns(batch)
            boxes += len(columns["class_id"].flatten())
            measured = _processing_ms(columns)
            processing_ms += 0.0 if measured is None else float(measured.sum(dtype=np.float64))
            seen = _picture(columns, decoded)
            if seen:
                pictures.append(seen)
        return Looks(joined_signals(pictures) if pictures else None, boxes, decoded, processing_ms)


@contextlib.contextmanager
def _opened(directory: Path, fingerprint: str) -> "Iterator[pq.ParquetFile]":
    """The file of a fingerprint; whatever shows that it is damaged is ParquetCorrupt."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = raw_path(directory, fingerprint)
    if not path.exists():
        raise ParquetMissing(f"{path} is missing")
    # PyArrow's own pool keeps tens of megabytes that it does not use; the system's gives them back.
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowException, OSError, LookupError, TypeError, ValueError) as error:
        raise ParquetCorrupt(f"{path} cannot be read: {error}") from error


def _batches(file: "pq.ParquetFile", frames: int, names: list[str]) -> "Iterator[pa.RecordBatch]":
    """These columns, at most so many rows at a time."""
    # Group by group: read on through several, PyArrow keeps something of each one until the end.
    for group in range(file.num_row_groups):
        yield from file.iter_batches(frames, row_groups=[group], columns=names, use_threads=False)


def _decoded(file: "pq.ParquetFile") -> DecodeReport:
    return DecodeReport(**json.loads(file.metadata.metadata[_DECODED]))


def _columns(rows: "pa.Table | pa.RecordBatch") -> dict[str, Any]:
    import pyarrow as pa

    columns = {name: rows.column(name) for name in rows.schema.names}
    if isinstance(rows, pa.Table):
        return {name: column.combine_chunks() for name, column in columns.items()}
    return columns


def _detections(rows: "pa.Table | pa.RecordBatch", decoded: DecodeReport | None = None) -> Detections:
    """The detections of these rows; `decoded` says which of the pictures beside them count."""
    columns = _columns(rows)
    counts = columns["confidence"].value_lengths().to_numpy(zero_copy_only=False)
    return Detections(
        frame_number=columns["frame_number"].to_numpy(zero_copy_only=False),
        pts_us=columns["pts_us"].to_numpy(zero_copy_only=False),
        offsets=np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int64),
        boxes=columns["box"].flatten().to_numpy(zero_copy_only=False).reshape(-1, 4),
        confidence=columns["confidence"].flatten().to_numpy(zero_copy_only=False),
        class_id=columns["class_id"].flatten().to_numpy(zero_copy_only=False),
        colours=_colours(columns),
        picture=_picture(columns, decoded) if decoded else None,
        processing_ms=_processing_ms(columns),
    )


def _processing_ms(columns: Mapping[str, Any]) -> np.ndarray | None:
    return columns["processing_ms"].to_numpy(zero_copy_only=False) if "processing_ms" in columns else None


def sweep(directory: Path, named: set[str], older_than_s: float = SWEEP_AFTER_S) -> list[Path]:
    """Remove files that no fingerprint of `named` owns, and left-over temporary ones; returns what was removed."""
    removed = []
    for path in sorted(directory.glob("*.parquet")) + sorted(directory.glob(".*.tmp")):
        with contextlib.suppress(FileNotFoundError):  # swept by another at the same time
            if path.stem not in named and time.time() - path.stat().st_mtime >= older_than_s:
                path.unlink()
                removed.append(path)
    return removed


def raw_files(directory: Path) -> list[Path]:
    """The files there are, one a fingerprint."""
    return list(directory.glob("*.parquet"))


def raw_path(directory: Path, fingerprint: str) -> Path:
    """Where a fingerprint's file stands."""
    return directory / f"{fingerprint}.parquet"


def fsync_folder(directory: Path) -> None:
    """Make a rename in a folder last."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
