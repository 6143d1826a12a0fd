"""Raw detections on disk are whole or not there, and what no ledger row names is swept."""

import json
import os
import tempfile
import time
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from pc_pipeline.errors import UserError
from pc_pipeline.store.parquet import (
    ParquetCorrupt,
    ParquetMissing,
    new_raw,
    raw_path,
    read_boxes,
    read_looks,
    read_raw,
    readable,
    sweep,
    write_raw,
)
from pc_pipeline.vision.arrays import joined
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


@pytest.mark.parametrize(("frames", "cancelled"), [(5, False), (5000, False), (5, True)])
def test_a_full_disk_is_a_sentence_and_hides_no_other_ending(tmp_path, monkeypatch, frames, cancelled):
    def on_a_full_disk(prefix, suffix, dir):
        name = dir / f"{prefix}x{suffix}"
        name.touch()
        return os.open("/dev/full", os.O_WRONLY), str(name)

    monkeypatch.setattr(tempfile, "mkstemp", on_a_full_disk)
    ends, said = (KeyboardInterrupt, None) if cancelled else (UserError, "no space left")
    with pytest.raises(ends, match=said), new_raw(tmp_path, "f1") as new:
        new.add(some_detections(frames))
        if cancelled:
            raise KeyboardInterrupt
        new.finish(DECODED)
    assert list(tmp_path.iterdir()) == []


def assert_same(given, found):
    """Every array, to its type; and the picture's, where there is one."""
    assert type(given) is type(found)
    for field in fields(given) if is_dataclass(given) else ():
        one, other = getattr(given, field.name), getattr(found, field.name)
        if isinstance(one, np.ndarray):
            assert np.array_equal(one, other) and one.dtype == other.dtype, field.name
        else:
            assert_same(one, other)


def test_what_the_frames_took_comes_back_and_older_files_have_none(tmp_path):
    boxes = some_detections(2500)
    measured = replace(boxes, processing_ms=np.linspace(0.5, 40, 2500, dtype=np.float32))
    write_raw(tmp_path, "old", boxes, DECODED)
    write_raw(tmp_path, "new", measured, DECODED)
    assert_same(boxes, read_raw(tmp_path, "old")[0])
    assert_same(measured, read_raw(tmp_path, "new")[0])
    assert_same(measured, joined(list(read_boxes(tmp_path, "new"))))
    assert [one.processing_ms for one in read_boxes(tmp_path, "old")] == [None] * 3
    assert read_looks(tmp_path, "old").processing_ms == 0
    assert read_looks(tmp_path, "new").processing_ms == pytest.approx(float(measured.processing_ms.sum()))


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


@pytest.mark.parametrize("each", [1, 7, 40, 100])
def test_written_and_read_in_pieces_of_any_size_it_is_the_same_file(tmp_path, each):
    boxes = some_detections(40)
    random = np.random.default_rng(0)
    boxes = replace(boxes, colours=random.integers(0, 256, (len(boxes.boxes), CHANNELS), np.uint8))
    pictures = some_picture(boxes)
    with new_raw(tmp_path, "f1") as new:
        for first in range(0, 40, each):
            piece = boxes.frames(first, min(first + each, 40))
            inside = np.isin(pictures.pts_us, piece.pts_us)
            seen = replace(pictures, **{name: getattr(pictures, name)[inside] for name in FIGURES})
            new.add(replace(piece, picture=seen.keeping(piece.pts_us.tolist())))
        assert not raw_path(tmp_path, "f1").exists()
        new.finish(DECODED)
    assert_same(replace(boxes, picture=pictures), read_raw(tmp_path, "f1")[0])
    assert_same(boxes, joined(list(read_boxes(tmp_path, "f1", frames=each))))
    looks = read_looks(tmp_path, "f1")
    assert_same(pictures, looks.picture)
    assert (looks.boxes, looks.decoded) == (len(boxes.boxes), DECODED)
    assert readable(tmp_path, "f1")


FIGURES = ("pts_us", "mean", "spread", "detail", "change", "shown")


def test_of_the_pictures_in_a_file_those_count_that_are_kept_of_the_whole_video(tmp_path):
    boxes = some_detections(40)
    pictures = some_picture(boxes)
    kept = pictures.reference_us[::2].tolist()
    write_raw(tmp_path, "f1", replace(boxes, picture=pictures), replace(DECODED, references_us=kept))
    for found in (read_raw(tmp_path, "f1")[0].picture, read_looks(tmp_path, "f1").picture):
        assert found.reference_us.tolist() == kept
        assert np.array_equal(found.reference, pictures.reference[::2])


def test_a_file_written_before_there_were_pieces_is_read_as_ever(tmp_path):
    """One row group, and a report that names no pictures."""
    import pyarrow.parquet as pq

    boxes = some_detections(40)
    given = replace(boxes, picture=some_picture(boxes))
    path = write_raw(tmp_path, "f1", given, DECODED)
    report = {name: value for name, value in vars(DECODED).items() if name != "references_us"}
    table = pq.read_table(path).replace_schema_metadata({"decode_report": json.dumps(report)})
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)
    found, decoded = read_raw(tmp_path, "f1")
    assert_same(given, found)
    assert decoded == DECODED == read_looks(tmp_path, "f1").decoded
    assert_same(boxes, joined(list(read_boxes(tmp_path, "f1", frames=7))))


def test_a_file_that_is_never_finished_is_not_there(tmp_path):
    with pytest.raises(ZeroDivisionError), new_raw(tmp_path, "f1") as new:
        new.add(some_detections())
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    assert not raw_path(tmp_path, "f1").exists() and not readable(tmp_path, "f1")
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
    assert raw_path(tmp_path, "f1").exists() and not readable(tmp_path, "f1")
    with pytest.raises(ParquetCorrupt):
        read_raw(tmp_path, "f1")
    with pytest.raises(ParquetCorrupt):
        list(read_boxes(tmp_path, "f1"))


def test_only_old_files_that_nobody_names_are_swept(tmp_path):
    for fingerprint in ("named", "old", "young"):
        write_raw(tmp_path, fingerprint, some_detections(), DECODED)
    left_over = tmp_path / ".old.x.tmp"
    left_over.touch()
    two_days_ago = time.time() - 2 * 24 * 3600
    for path in (raw_path(tmp_path, "named"), raw_path(tmp_path, "old"), left_over):
        os.utime(path, (two_days_ago, two_days_ago))
    assert sweep(tmp_path, {"named"}) == [raw_path(tmp_path, "old"), left_over]
    assert raw_path(tmp_path, "named").exists() and raw_path(tmp_path, "young").exists()
