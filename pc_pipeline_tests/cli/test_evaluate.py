"""`pc evaluate`: the pipeline's own detections, one JSON for machines, and one sentence for a wrong option."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pc_pipeline import cli
from pc_pipeline.ingest.site import SiteConfig
from pc_pipeline.settings import Settings
from pc_pipeline.stages import fingerprints as fp
from pc_pipeline.stages.registration import content_hash
from pc_pipeline.store import parquet
from pc_pipeline.vision import models
from pc_pipeline.vision.detect import DecodeReport
from pc_pipeline_tests import clips
from pc_pipeline_tests.clips import box_at, detections_of, walk
from pc_pipeline_tests.stages.test_fingerprints import span, video

WIDTH, HEIGHT, TALL, FRAMES = 160, 120, 50.0, 30
PATH = walk((20, 110), (140, 110), FRAMES)
SCORES = {
    "HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDSW", "precision", "recall", "unique_true", "unique_found", "lines",
    "random_lines",
}  # fmt: skip
FACTS = {
    "video", "truth", "model", "sample_every", "fps", "frames", "frames_sampled", "width", "height", "detections",
    "truth_boxes", "warnings",
}  # fmt: skip
SITE = """\
timezone: UTC
detector: {model: hog, confidence: 0.2, sample_every: 0.1}
cameras:
  door: {lines: {sill: {from: [0.25, 0.0], to: [0.25, 1.0], in: left}}}
  hall: {}
"""

Pc = Callable[..., tuple[int, str, str]]


def truth_text(scale: float = 1.0, shift: float = 0.0) -> str:
    """The walker as MOTChallenge text, in pixels of a picture so many times as large."""
    corners = [np.array(box_at(foot, TALL)) * scale + shift for foot in PATH]
    rows = [f"{n},7,{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},1,-1,-1,-1" for n, (x1, y1, x2, y2) in
            enumerate(corners, 1)]  # fmt: skip
    return "\n".join(rows) + "\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip of one walker, its truth, a site file, and no database."""
    monkeypatch.setenv("PC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PC_POSTGRES_DSN", "postgresql://127.0.0.1:1/nowhere")
    clips.write(tmp_path / "clip.mp4", clips.walkers([PATH], WIDTH, HEIGHT, TALL))
    (tmp_path / "gt.txt").write_text(truth_text())
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "bare.yaml").write_text("timezone: UTC\n")
    return tmp_path


@pytest.fixture
def pc(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> Pc:
    """Runs `pc WORDS` in the folder: exit code, stdout and stderr."""
    monkeypatch.chdir(folder)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pc", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return int(ended.value.code or 0), out, err

    return run


def lay_down(folder: Path) -> None:
    """What the pipeline's own detection of the clip would have left under the fingerprint that its ledger has."""
    config = SiteConfig.model_validate({"timezone": "UTC", "detector": {"model": "hog", "confidence": 0.2}})
    hashes = fp.ModelHashes(models.resolve("hog", folder).sha256, None)
    registered = video(1, content_hash=content_hash(folder / "clip.mp4"))
    fingerprint = fp.expected(
        fp.RAW_DETECTIONS, span(registered, detector=config.detector.model_dump()), registered, hashes
    )
    assert fingerprint
    decoded = DecodeReport(FRAMES, FRAMES, 0, 100_000 * (FRAMES - 1), 100_000, [])
    parquet.write_raw(Settings().raw_detections_dir, fingerprint, detections_of([PATH], TALL), decoded)


def test_json_from_the_detections_the_pipeline_left(folder: Path, pc: Pc):
    lay_down(folder)
    code, out, err = pc(
        "evaluate", "clip.mp4", "--truth", "gt.txt", "--config", "site.yaml", "--camera", "door", "--json"
    )
    assert (code, err) == (0, "")  # no bar: nothing was decoded
    done = json.loads(out)
    assert set(done) == SCORES | FACTS | {"bytetrack", "perfect"}
    assert set(done["bytetrack"]) == set(done["perfect"]) == SCORES
    assert set(done["random_lines"]) == {"n", "mae", "ci95"}
    assert done["lines"] == {"sill": {"in": {"true": 0, "found": 0}, "out": {"true": 1, "found": 1}}}
    assert (done["unique_true"], done["unique_found"], done["IDF1"]) == (1, 1, pytest.approx(1, abs=0.02))
    assert done["perfect"]["IDF1"] == 1
    assert (done["frames"], done["fps"], done["model"]) == (FRAMES, 10, "hog")


def test_options_over_the_file_and_the_usual_lines(folder: Path, pc: Pc):
    """A camera without lines has the usual two; the truth may be drawn on pictures of another size; HOG sees nobody in
    rectangles, which is no error."""
    (folder / "gt.txt").write_text(truth_text(scale=2))
    words = ("--config", "site.yaml", "--camera", "hall", "--truth-scale", "0.5", "--sample-every", "1")
    code, out, err = pc("evaluate", "clip.mp4", "--truth", "gt.txt", *words, "--json")
    assert code == 0 and "clip.mp4" in err
    done = json.loads(out)
    assert done["lines"]["vertical"] == {"in": {"true": 1, "found": 0}, "out": {"true": 0, "found": 0}}
    assert set(done["lines"]) == {"vertical", "horizontal"}
    assert (done["frames_sampled"], done["frames"], done["recall"], done["unique_true"]) == (3, FRAMES, 0, 1)


def test_a_person_reads_a_table_and_a_report(folder: Path, pc: Pc):
    lay_down(folder)
    words = ("--config", "site.yaml", "--camera", "door", "--report", "seen")
    code, out, err = pc("evaluate", "clip.mp4", "--truth", "gt.txt", *words)
    assert code == 0
    assert "ByteTrack" in out and "people (1 true)" in out and "sill" in out
    assert "seen/index.html" in err
    assert (folder / "seen/index.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--truth", "none.txt"), 2, "none.txt cannot be read"),
        (("--truth", "clip.mp4"), 2, "clip.mp4 is no text file"),
        (("--truth", "site.yaml"), 2, "site.yaml:1: this is no line of MOTChallenge text"),
        (("--truth", "gt.txt", "--truth-scale", "3"), 2, "of the boxes lie outside the picture, which is 160x120"),
        (("--truth", "gt.txt", "--camera", "door"), 2, "give that with --config"),
        (("--truth", "gt.txt", "--config", "site.yaml"), 2, "say which with --camera (door, hall)"),
        (
            ("--truth", "gt.txt", "--config", "site.yaml", "--camera", "gate"),
            2,
            "no camera 'gate'. Cameras: door, hall",
        ),
        (("--truth", "gt.txt", "--config", "bare.yaml", "--camera", "door"), 2, "no camera 'door'. Cameras: none"),
        (("--truth", "gt.txt", "--model", "yolo99"), 1, "model 'yolo99' is not in"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(pc: Pc, words: tuple[str, ...], code: int, sentence: str):
    found, out, err = pc("evaluate", "clip.mp4", *words)
    assert (found, out) == (code, "")
    assert sentence in err and err.startswith("pc: ") and err.count("\n") == 1


def test_truth_after_the_end_of_the_video_is_left_out_and_said(folder: Path, pc: Pc):
    lay_down(folder)
    (folder / "gt.txt").write_text(truth_text() + "31,7,0,0,20,50,1\n")
    code, out, err = pc("evaluate", "clip.mp4", "--truth", "gt.txt", "--config", "site.yaml", "--camera", "door")
    assert code == 0 and "IDF1" in out
    assert err == "warning: clip.mp4: the truth goes on after the last of 30 frames: boxes left out: 1\n"


def test_a_truth_of_another_video_is_one_sentence(folder: Path, pc: Pc):
    lay_down(folder)
    (folder / "gt.txt").write_text("31,1,0,0,20,50,1\n")
    code, out, err = pc("evaluate", "clip.mp4", "--truth", "gt.txt", "--config", "site.yaml", "--camera", "door")
    assert (code, out) == (1, "")
    assert "nobody in the 30 frames of clip.mp4" in err


def test_no_video_is_one_sentence(pc: Pc):
    code, _, err = pc("evaluate", "none.mp4", "--truth", "gt.txt")
    assert (code, err) == (1, "pc: none.mp4: there is no such file\n")
