"""`pc process`: what counts, counts; what does not is named in one sentence; the rest of the batch is done."""

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pc_pipeline import cli
from pc_pipeline.defs.partitions import site as applied_site
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline_tests import clips
from pc_pipeline_tests.conftest import SITE

VARIED = [0, 0.1, 0.2, 1.5, 1.6, 4.0]
# Each codec and each container; test_decode reads every pair of them.
CODECS = [("h264", "mp4"), ("h265", "mkv"), ("mjpeg", "avi"), ("mpeg4", "mov"), ("h265", "mp4"), ("mpeg4", "avi")]

# Without the marks of the rollups, which are made again every time.
LEDGER = "SELECT video_id, stage, finished_at FROM stage_ledger WHERE stage NOT LIKE 'hourly%' ORDER BY 1, 2"


@dataclass
class Terminal:
    """A user's terminal with a site and a database of its own."""

    dsn: str
    site_file: Path
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    def pc(self, *words: object) -> tuple[int, str, str]:
        """Run `pc WORDS`; gives exit code, stdout and stderr."""
        self.patch.setattr(sys, "argv", ["pc", *map(str, words)])
        self.capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = self.capture.readouterr()
        assert "Traceback" not in out + err
        return int(ended.value.code or 0), out, err

    def refused(self, code: int, *words: object) -> str:
        """Run a command that is refused with this exit code and one sentence, which is returned."""
        found, out, err = self.pc(*words)
        assert (found, out) == (code, "")
        assert err.startswith("pc: ") and err.count("\n") == 1
        return err

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        def read(connection):
            cursor = connection.cursor()
            cursor.execute(query)
            return cursor.fetchall()

        return in_transaction(self.dsn, read)[0]


@pytest.fixture
def terminal(dsn, redis_url, tmp_path, monkeypatch, capsys):
    before = dict(os.environ)
    monkeypatch.setenv("PC_POSTGRES_DSN", dsn)
    monkeypatch.setenv("PC_REDIS_URL", redis_url)
    site_file = tmp_path / "site.yaml"
    site_file.write_text(SITE)
    yield Terminal(dsn, site_file, capsys, monkeypatch)
    # `pc` puts what Dagster's processes need into the environment.
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> Path:
    """A folder such as a user has: good files of every kind, and bad ones."""
    folder = tmp_path_factory.mktemp("batch")
    for minute, (codec, suffix) in enumerate(CODECS):
        boxes = [(10 + minute, 20, 60 + minute, 100)]
        clips.write(
            folder / f"door_20260301_09{minute:02}00.{suffix}", [clips.picture(160, 120, boxes)] * 4, codec=codec
        )
    clips.write(folder / "door_20260301_100000.mp4", [clips.picture(160, 120)] * 6, codec="h264", times_s=VARIED)
    clips.write(folder / "door_20260301_101000.mp4", [clips.picture(160, 120)] * 4, rotation=90)
    clips.cut_in_the_middle(folder / "door_20260301_102000.mp4")
    shutil.copy(folder / "door_20260301_101000.mp4", folder / "door_20260301_103000.mp4")
    clips.not_a_video(folder / "door_20260301_110000.mp4")
    clips.zero_bytes(folder / "door_20260301_111000.mp4")
    clips.without_moov(folder / "door_20260301_112000.mp4")
    clips.zero_frames(folder / "door_20260301_113000.avi")
    (folder / "door_20260301_114000.mp4").symlink_to("/nowhere")
    clips.write(folder / "holiday's\n[red] \x1b\"ünï.mp4")
    clips.write(folder / "gate_20260301_090000.mp4")
    clips.write(folder / "door_20991231_090000.mp4")
    clips.write(folder / "door_20000101_090000.mp4")
    return folder


def test_a_batch_with_bad_files_counts_every_good_one_and_names_every_bad_one(terminal, batch):
    code, out, err = terminal.pc("process", batch, batch / "nothing.mp4", "--config", terminal.site_file)
    assert code == 1
    expected = {
        "door_20260301_102000.mp4": "warning: .* it is cut off or damaged",
        "door_20260301_103000.mp4": "duplicate: .* byte for byte, as .*door_20260301_101000.mp4",
        "door_20260301_110000.mp4": "quarantined: .* is not a video",
        "door_20260301_111000.mp4": "quarantined: .* is empty",
        "door_20260301_112000.mp4": "quarantined: .* cut off before its index",
        "door_20260301_113000.avi": "quarantined: .* holds no frame",
        "door_20260301_114000.mp4": "refused: .* It is a link",
        r"holiday's\n[red] \x1b\"ünï.mp4".replace('\\"', '"'): "refused: .* does not tell its camera and start",
        "gate_20260301_090000.mp4": "refused: .* Camera 'gate' is not in the site file",
        "door_20991231_090000.mp4": "refused: .* It starts in the future",
        "door_20000101_090000.mp4": "refused: .* before this site's history",
        "nothing.mp4": "refused: .* no such file",
    }
    said = [line for line in err.splitlines() if re.match("warning|duplicate|quarantined|refused|failed", line)]
    assert len(said) == len(expected), said
    for name, sentence in expected.items():
        assert any(f"/{name}: " in line and re.match(sentence, line) for line in said), (name, said)
    assert "Error" not in err and "DEBUG" not in err and "STEP_" not in err, "Dagster is quiet"

    counted = terminal.rows("SELECT input_source, status FROM sessions ORDER BY 1")
    assert len(counted) == len(CODECS) + 3
    assert {status for _, status in counted} == {"completed"}
    about = {
        source: (width, height, round((ended - started).total_seconds(), 1), frames)
        for source, width, height, started, ended, frames in terminal.rows(
            "SELECT input_source, width, height, started_at, ended_at, frames FROM sessions"
        )
    }
    assert about["door_20260301_100000.mp4"] == (160, 120, 4.1, 6), "its own times, and one median step after the last"
    assert about["door_20260301_101000.mp4"] == (120, 160, 0.4, 4), "turned upright"
    assert about["door_20260301_102000.mp4"][3] < 60, "what could be decoded of a hundred frames"
    assert terminal.rows("SELECT count(*) FROM cameras WHERE camera = 'gate'") == [(0,)]

    # Again, while Redis is away: nothing is done anew, and a dashboard that cannot be filled is no failed run.
    done = terminal.rows(LEDGER)
    terminal.patch.setenv("PC_REDIS_URL", "redis://127.0.0.1:1")
    code, out, err = terminal.pc("process", batch / "door_20260301_090000.mp4", "--json")
    assert (code, json.loads(out)["failures"], json.loads(out)["not_counted"]) == (0, [], [])
    assert terminal.rows(LEDGER) == done


def test_a_file_that_vanishes_while_it_is_read_is_named_and_the_camera_given_is_registered(terminal, tmp_path):
    gone = clips.write(tmp_path / "in" / "gate_20260301_090000.mp4")
    stays = clips.write(tmp_path / "in" / "gate_20260301_100000.avi")
    showing = Pipeline.showing

    def interfere(self, show):
        def watched(path, progress):
            gone.unlink(missing_ok=True)
            show(path, progress)

        return showing(self, watched)

    terminal.patch.setattr(Pipeline, "showing", interfere)
    terminal.patch.setattr("pc_pipeline.vision.detect.PROGRESS_EVERY_S", 0)
    code, _, err = terminal.pc("process", tmp_path / "in", "--camera", "gate", "--config", terminal.site_file)
    assert code == 1
    assert f"missing: {gone}: The file is gone" in err
    assert terminal.rows("SELECT input_source, status FROM sessions ORDER BY 1") == [
        (gone.name, "cancelled"),
        (stays.name, "completed"),
    ]
    assert terminal.rows("SELECT count(*) FROM zones WHERE camera = 'gate'") == [(0,)]


def test_a_video_given_to_another_camera_leaves_nothing_with_the_first(terminal, tmp_path):
    clip = clips.write(tmp_path / "export.mp4")
    where = ("--start", "2026-03-01T09:00:00+00:00", "--config", terminal.site_file, "--json")
    assert terminal.pc("process", clip, "--camera", "gate", *where)[0] == 0
    code, out, _ = terminal.pc("process", clip, "--camera", "door", *where)
    assert code == 0
    assert {day["camera"] for day in json.loads(out)["camera_days"]} == {"door", "gate"}
    for table in ("videos", "hourly_statistics", "daily_statistics"):
        assert terminal.rows(f"SELECT DISTINCT camera FROM {table}") == [("door",)], table


def test_a_mistake_in_the_command_is_one_sentence_and_changes_nothing(terminal, tmp_path):
    clip = clips.write(tmp_path / "clip.mp4")
    other = clips.write(tmp_path / "other.mp4")
    nine = ("--start", "2026-03-01T09:00")
    assert "there are 2: leave it out" in terminal.refused(2, "process", clip, other, *nine)
    assert "is not a time" in terminal.refused(2, "process", clip, "--camera", "door", "--start", "yesterday")
    assert "is not a time" in terminal.refused(
        2, "process", clip, "--camera", "door", "--start", "0001-01-01T00:00+05:00"
    )
    jumped = terminal.refused(2, "process", clip, "--camera", "door", "--start", "2026-03-29T01:30")
    assert "the clocks jumped over it" in jumped
    for camera in ("../x", "a|b", "x'; drop table cameras", " ", "x" * 65, "a\nb"):
        assert "cannot be a camera's name" in terminal.refused(2, "process", clip, "--camera", camera, *nine)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("timezone: Europe/London\ncamers: {}\n")
    assert "wrong.yaml:2: unknown key 'camers'" in terminal.refused(2, "process", clip, "--config", wrong)
    assert "password" in terminal.refused(2, "process", clip, "--db-dsn", "postgresql://me:secret@localhost/x")
    assert terminal.rows("SELECT count(*) FROM source_files") == [(0,)]


def test_a_model_that_is_missing_is_one_sentence_and_changes_nothing(terminal, tmp_path):
    clip = clips.write(tmp_path / "door_20260301_090000.mp4")
    site = tmp_path / "other.yaml"
    try:
        site.write_text(SITE.replace("model: hog", "model: yolo99z"))
        applied_site.cache_clear()
        said = terminal.refused(1, "process", clip, "--config", site)
        assert "model 'yolo99z' is not in" in said
        assert terminal.rows("SELECT count(*) FROM source_files") == [(0,)]
        assert terminal.rows("SELECT count(*) FROM sessions") == [(0,)]
    finally:
        Path(os.environ["PC_HOME"], "site.yaml").write_text(SITE)
        applied_site.cache_clear()


def test_a_database_that_is_not_there_is_one_sentence(terminal, tmp_path):
    clip = clips.write(tmp_path / "door_20260301_090000.mp4")
    terminal.patch.setenv("PC_POSTGRES_DSN", "postgresql://me:secret@127.0.0.1:1/x")
    said = terminal.refused(1, "process", clip)
    assert "Postgres at 127.0.0.1:1/x: nothing answers there" in said and "secret" not in said
