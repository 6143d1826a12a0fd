"""Raw detections on disk are whole or not there, and what no ledger row names is swept."""

import os
import time
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from pc_pipeline.store.parquet import (
    ParquetCorrupt,
    ParquetMissing,
    exists,
    raw_path,
    read_raw,
    readable,
    sweep,
    write_raw,
)
from pc_pipeline.vision.colours import CHANNELS
from pc_pipeline.vision.detect import DecodeReport
from pc_pipeline_tests.store.samples import some_detections, some_picture

DECODED = DecodeReport(100, 40, 0, 3_960_000, 40_000, ["the file is cut off"])


@pytest.mark.parametrize(("frames", "boxes"), [(40, 3), (1, 1), (7, 0), (0, 0)])
def test_every_sampled_frame_comes_back_with_its_boxes_or_without(tmp_path, frames, boxes):
    given = some_detections(frames, boxes)
    assert write_raw(tmp_path / "raw", "f1", given, DECODED) == raw_path(tmp_path / "raw", "f1")
    found, decoded = read_raw(tmp_path / "raw", "f1")
    assert_same(given, found)
    assert decoded == DECODED
    assert [file.name for file in (tmp_path / "raw").iterdir()] == ["f1.parquet"]


def assert_same(given, found):
    """Every array, to its type; and the picture's, where there is one."""
    assert type(given) is type(found)
    for field in fields(given) if is_dataclass(given) else ():
        one, other = getattr(given, field.name), getattr(found, field.name)
        if isinstance(one, np.ndarray):
            assert np.array_equal(one, other) and one.dtype == other.dtype, field.name
        else:
            assert_same(one, other)


@pytest.mark.parametrize("frames", [1, 2, 40])
def test_what_the_picture_was_like_comes_back_beside_the_boxes(tmp_path, frames):
    boxes = some_detections(frames)
    given = replace(boxes, picture=some_picture(boxes))
    decoded = replace(DECODED, holes_us=[[1_000_000, 9_000_000]])
    write_raw(tmp_path, "f1", given, decoded)
    found, decoded_found = read_raw(tmp_path, "f1")
    assert_same(given, found)
    assert decoded_found == decoded


@pytest.mark.parametrize(("frames", "boxes"), [(40, 3), (1, 1), (7, 0), (0, 0)])
def test_the_colours_of_every_box_come_back_with_it(tmp_path, frames, boxes):
    plain = some_detections(frames, boxes)
    random = np.random.default_rng(0)
    given = replace(plain, colours=random.integers(0, 256, (len(plain.boxes), CHANNELS), np.uint8))
    write_raw(tmp_path, "f1", given, DECODED)
    assert_same(given, read_raw(tmp_path, "f1")[0])
    write_raw(tmp_path, "f1", plain, DECODED)
    assert read_raw(tmp_path, "f1")[0].colours is None


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    assert not exists(tmp_path, "f1") and not readable(tmp_path, "f1")
    with pytest.raises(ParquetMissing):
        read_raw(tmp_path, "f1")


@pytest.mark.parametrize("damage", ["truncated", "empty", "a bit flipped", "another file"])
def test_a_damaged_file_is_never_read_as_results(tmp_path, damage):
    path = write_raw(tmp_path, "f1", some_detections(400), DECODED)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 4
    damaged = {"truncated": whole[:-100], "empty": b"", "a bit flipped": flipped, "another file": b"x" * 500}
    path.write_bytes(damaged[damage])
    assert exists(tmp_path, "f1") and not readable(tmp_path, "f1")
    with pytest.raises(ParquetCorrupt):
        read_raw(tmp_path, "f1")


def test_only_old_files_that_nobody_names_are_swept(tmp_path):
    for fingerprint in ("named", "old", "young"):
        write_raw(tmp_path, fingerprint, some_detections(), DECODED)
    left_over = tmp_path / ".old.x.tmp"
    left_over.touch()
    two_days_ago = time.time() - 2 * 24 * 3600
    for path in (raw_path(tmp_path, "named"), raw_path(tmp_path, "old"), left_over):
        os.utime(path, (two_days_ago, two_days_ago))
    assert sweep(tmp_path, {"named"}) == [raw_path(tmp_path, "old"), left_over]
    assert exists(tmp_path, "named") and exists(tmp_path, "young")
