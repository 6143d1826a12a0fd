"""Raw detections as Parquet, one file a fingerprint: one row a sampled frame, the frame's boxes in lists.

Where the picture was looked at, the row has its figures too, and now and then the small grey picture itself.
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
from typing import Any

import numpy as np

from pc_pipeline.errors import UserError
from pc_pipeline.vision.arrays import Detections, PictureSignals
from pc_pipeline.vision.colours import CHANNELS
from pc_pipeline.vision.detect import DecodeReport
from pc_pipeline.vision.picture import HEIGHT, WIDTH

# A file is written before the ledger names it: younger ones may belong to a run at work.
SWEEP_AFTER_S = 24 * 3600.0
_DECODED = b"decode_report"


class ParquetMissing(Exception):
    """No file of this fingerprint: the stage is outstanding."""


class ParquetCorrupt(Exception):
    """The file cannot be read whole: the stage is outstanding."""


def write_raw(directory: Path, fingerprint: str, detections: Detections, decoded: DecodeReport) -> Path:
    """Write `<fingerprint>.parquet` so that it is either whole and on the disk, or not there; returns its path.

    What decoding found out stands in the file's metadata, as JSON.

    Raises:
        UserError: the disk is full.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    offsets = detections.offsets.astype(np.int32)
    table = pa.table(
        {
            "frame_number": pa.array(detections.frame_number, pa.int32()),
            "pts_us": pa.array(detections.pts_us, pa.int64()),
            "box": pa.ListArray.from_arrays(pa.array(4 * offsets), pa.array(detections.boxes.ravel(), pa.float32())),
            "confidence": pa.ListArray.from_arrays(pa.array(offsets), pa.array(detections.confidence, pa.float32())),
            "class_id": pa.ListArray.from_arrays(pa.array(offsets), pa.array(detections.class_id, pa.int16())),
            **_colour_column(offsets, detections.colours),
            **_picture_columns(detections.pts_us, detections.picture),
        }
    ).replace_schema_metadata({_DECODED: json.dumps(dataclasses.asdict(decoded))})
    path = raw_path(directory, fingerprint)
    with _told_when_full(path):
        directory.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{fingerprint}.", suffix=".tmp", dir=directory)
        try:
            with os.fdopen(handle, "wb") as file:
                pq.write_table(table, file, compression="zstd", write_page_checksum=True)
                file.flush()
                os.fsync(file.fileno())
            Path(name).rename(path)
            _fsync(directory)
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
    return path


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


def _picture(columns: Mapping[str, Any]) -> PictureSignals | None:
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
    return PictureSignals(
        pts_us=pts_us[seen], reference_us=pts_us[kept], reference=whole.reshape(-1, HEIGHT, WIDTH), **figures
    )


@contextlib.contextmanager
def _told_when_full(path: Path) -> Iterator[None]:
    """A full disk as one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"no space left for {path}: free some there, then run this again") from error
        raise


def exists(directory: Path, fingerprint: str) -> bool:
    """Whether there is a file of this fingerprint: one look at the folder."""
    return raw_path(directory, fingerprint).exists()


def readable(directory: Path, fingerprint: str) -> bool:
    """Whether the file is there and whole: reads all of it."""
    try:
        read_raw(directory, fingerprint)
    except (ParquetMissing, ParquetCorrupt):
        return False
    return True


def read_raw(directory: Path, fingerprint: str) -> tuple[Detections, DecodeReport]:
    """The detections written under a fingerprint, and what decoding found out.

    Raises:
        ParquetMissing: no such file.
        ParquetCorrupt: it is not whole, or a page's checksum is wrong.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = raw_path(directory, fingerprint)
    if not path.exists():
        raise ParquetMissing(f"{path} is missing")
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        columns = {name: table.column(name).combine_chunks() for name in table.column_names}
        counts = columns["confidence"].value_lengths().to_numpy(zero_copy_only=False)
        detections = Detections(
            frame_number=columns["frame_number"].to_numpy(zero_copy_only=False),
            pts_us=columns["pts_us"].to_numpy(zero_copy_only=False),
            offsets=np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int64),
            boxes=columns["box"].flatten().to_numpy(zero_copy_only=False).reshape(-1, 4),
            confidence=columns["confidence"].flatten().to_numpy(zero_copy_only=False),
            class_id=columns["class_id"].flatten().to_numpy(zero_copy_only=False),
            colours=_colours(columns),
            picture=_picture(columns),
        )
        return detections, DecodeReport(**json.loads(table.schema.metadata[_DECODED]))
    except (pa.ArrowException, OSError, LookupError, TypeError, ValueError) as error:
        raise ParquetCorrupt(f"{path} cannot be read: {error}") from error


def sweep(directory: Path, named: set[str], older_than_s: float = SWEEP_AFTER_S) -> list[Path]:
    """Remove files that no fingerprint of `named` owns, and left-over temporary ones; returns what was removed."""
    removed = []
    for path in sorted(directory.glob("*.parquet")) + sorted(directory.glob(".*.tmp")):
        with contextlib.suppress(FileNotFoundError):  # swept by another at the same time
            if path.stem not in named and time.time() - path.stat().st_mtime >= older_than_s:
                path.unlink()
                removed.append(path)
    return removed


def raw_path(directory: Path, fingerprint: str) -> Path:
    """Where a fingerprint's file stands."""
    return directory / f"{fingerprint}.parquet"


def _fsync(directory: Path) -> None:
    """Make a rename in a folder last."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
