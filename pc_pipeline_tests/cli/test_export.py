"""`pc export tracks`: what the database holds, in other tools' formats, and read again the same."""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pc_pipeline import cli
from pc_pipeline.evaluation.metrics import scores
from pc_pipeline.evaluation.mot import read_mot
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.store.tracks import bulk_upsert_tracks, load_tracks
from pc_pipeline.vision.arrays import Track
from pc_pipeline_tests.store.samples import START, add_session, some_track

COLUMNS = ["camera", "video_id", "track_id", "ts", "frame_number", "x1", "y1", "x2", "y2", "confidence", "interpolated"]
LATER = START + timedelta(days=1)

Pc = Callable[..., tuple[int, bytes, str]]


@pytest.fixture
def pc(dsn: str, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Pc:
    """Runs `pc export tracks WORDS`: exit code, stdout and stderr. Two videos of two tracks are in the database, one of
    `door` and one, a day later, of `yard`."""

    def add(connection) -> None:
        for video_id, camera, start in ((7, "door", START), (8, "yard", LATER)):
            add_session(connection, video_id, camera, start)
            tracks = [
                some_track(1, seed=video_id),
                replace(some_track(2, seed=9), time_us=np.arange(5) * 40_000 + 120_000),
            ]
            tracks[1] = replace(tracks[1], frame_number=tracks[1].frame_number + np.int32(3))
            bulk_upsert_tracks(connection, video_id, start, tracks)
            connection.cursor().execute(
                "INSERT INTO stage_ledger (video_id, stage, fingerprint, status, code_version)"
                " VALUES (%s, 'tracks', 'f', 'done', '1')",
                (video_id,),
            )

    in_transaction(dsn, add)
    monkeypatch.setenv("PC_POSTGRES_DSN", dsn)
    monkeypatch.setenv("PC_REDIS_URL", "redis://127.0.0.1:1/0")

    def run(*words: str) -> tuple[int, bytes, str]:
        monkeypatch.setattr(sys, "argv", ["pc", "export", "tracks", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfdbinary.readouterr()
        assert b"Traceback" not in out + err
        return int(ended.value.code or 0), out, err.decode()

    return run


@pytest.fixture
def stored(dsn: str, pc: Pc) -> dict[int, list[Track]]:
    return {video: in_transaction(dsn, lambda c, video=video: load_tracks(c, video))[0] for video in (7, 8)}


def test_an_export_in_mot_is_a_perfect_truth_of_its_own_tracks(pc: Pc, stored: dict[int, list[Track]]):
    code, out, _ = pc("--video-id", "7", "--format", "mot")
    assert code == 0
    rows = read_mot(out.decode().splitlines(), "stdout")
    truth = rows.tracks(lambda frames: frames.astype(np.int64) * 40_000)
    assert len(rows.person) == 10  # interpolated sightings too
    found = scores(truth, stored[7], np.arange(8))
    assert (found["IDF1"], found["MOTA"], found["unique_true"]) == (1, 1, 2)


def test_csv_and_parquet_hold_every_column(pc: Pc, stored: dict[int, list[Track]], tmp_path: Path):
    _, text, _ = pc("--format", "csv")
    code, _, err = pc("--format", "parquet", "--out", str(tmp_path / "new" / "t.parquet"))
    assert (code, err) == (0, f"wrote {tmp_path / 'new' / 't.parquet'}\n")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["t.parquet"]
    table = pd.read_parquet(tmp_path / "new" / "t.parquet")
    assert list(table.columns) == COLUMNS
    first = text.decode().splitlines()[:2]
    assert first[0] == ",".join(COLUMNS)
    assert first[1].startswith("door,7,1,2026-03-02T08:30:00.250000Z,0,")
    assert first[1].endswith(",false")
    again = pd.read_csv(io.BytesIO(text), parse_dates=["ts"])
    pd.testing.assert_frame_equal(again, table, check_dtype=False, rtol=1e-6)
    assert table.groupby(["camera", "video_id"]).size().to_dict() == {("door", 7): 10, ("yard", 8): 10}
    sighting = table.query("video_id == 8 and track_id == 2").iloc[1]
    assert sighting.ts == pd.Timestamp(LATER + timedelta(microseconds=160_000))
    assert (sighting.frame_number, sighting.interpolated) == (4, True)
    np.testing.assert_array_equal(sighting[["x1", "y1", "x2", "y2"]].to_numpy(np.float32), stored[8][1].boxes[1])


def test_parquet_through_a_pipe(pc: Pc):
    code, out, _ = pc("--camera", "yard", "--format", "parquet")
    assert code == 0
    assert len(pd.read_parquet(io.BytesIO(out))) == 10


def test_coco_has_an_image_a_frame_and_an_annotation_a_box(pc: Pc, stored: dict[int, list[Track]]):
    code, out, _ = pc("--camera", "door", "--format", "coco")
    assert code == 0
    coco = json.loads(out)
    assert coco["categories"] == [{"id": 1, "name": "person", "supercategory": "person"}]
    assert [(video["id"], video["name"], video["camera"]) for video in coco["videos"]] == [(7, "a.mp4", "door")]
    images = {image["id"]: image for image in coco["images"]}
    assert [image["frame_number"] for image in coco["images"]] == list(range(8))
    assert datetime.fromisoformat(images[1]["date_captured"]) == START.astimezone(UTC)
    assert len({annotation["id"] for annotation in coco["annotations"]}) == 10
    box = coco["annotations"][-1]
    assert (box["track_id"], box["category_id"], images[box["image_id"]]["frame_number"]) == (2, 1, 7)
    x1, y1, x2, y2 = stored[7][1].boxes[-1].tolist()
    assert box["bbox"] == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=0.011)
    assert box["area"] == pytest.approx(box["bbox"][2] * box["bbox"][3], abs=0.02)


def test_several_videos_in_mot_are_a_file_each(pc: Pc, tmp_path: Path):
    code, out, err = pc("--format", "mot")
    assert (code, out) == (2, b"")
    assert "there are 2: say which with --video-id, or give a folder as --out" in err
    assert pc("--format", "mot", "--out", str(tmp_path / "tracks"))[0] == 0
    files = sorted(path.name for path in (tmp_path / "tracks").iterdir())
    assert files == ["door_20260302_083000_7.txt", "yard_20260303_083000_8.txt"]
    assert pc("--format", "mot", "--date", "2026-03-03", "--out", str(tmp_path / "one.txt"))[0] == 0
    assert (tmp_path / "one.txt").read_text() == (tmp_path / "tracks" / files[1]).read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--camera", "gate"), "There is no camera 'gate'. Cameras: door, yard."),
        (("--video-id", "9"), "No tracks of video 9"),
        (("--date", "2026-04-01"), "Nothing was tracked yet"),
        (("--out", "/proc/nowhere/t.csv"), "/proc/nowhere/t.csv cannot be written"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(pc: Pc, words: tuple[str, ...], sentence: str):
    code, out, err = pc("--format", "csv", *words)
    assert (code, out) == (1, b"")
    assert err.startswith(f"pc: {sentence}") and err.count("\n") == 1
