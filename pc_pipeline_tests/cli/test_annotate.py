"""`pc annotate`: any video, counted or not, becomes one to look at; people are hidden in what is for others."""

import os
from pathlib import Path

import numpy as np
import pytest

from pc_pipeline.errors import UserError
from pc_pipeline.settings import Settings
from pc_pipeline.stages import annotating
from pc_pipeline.vision.decode import read_frames
from pc_pipeline_tests import clips
from pc_pipeline_tests.cli.test_process import Terminal
from pc_pipeline_tests.pictures.figures import FPS, TALL, filmed
from pc_pipeline_tests.stages.conftest import worlds  # noqa: F401 (a fixture)
from pc_pipeline_tests.stages.world import World, local

# Into the picture, through the line `sill` in its middle, and on.
PATH = clips.walk((60, 200), (260, 200), 25)


@pytest.fixture
def terminal(tmp_path, monkeypatch, capsys) -> Terminal:
    """A user's terminal with a new PC_HOME, and no Postgres."""
    monkeypatch.setenv("PC_HOME", str(tmp_path / "home"))
    return Terminal("", tmp_path / "site.yaml", capsys, monkeypatch)


@pytest.fixture
def clip(tmp_path) -> Path:
    return clips.write(tmp_path / "clip.mp4", filmed([PATH]), codec="h264")


@pytest.fixture
def plain(tmp_path) -> Path:
    """A second of 160x120, in which nobody is."""
    return clips.write(tmp_path / "plain.mp4")


def pictures(path: Path) -> list[np.ndarray]:
    return [frame.image for frame in read_frames(path)]


def test_a_video_nobody_registered_needs_no_database(terminal, plain, tmp_path):
    code, out, _ = terminal.pc("annotate", plain, "--out", tmp_path / "seen.mp4", "--model", "hog")
    assert code == 0
    assert "10 frames, H.264. People are hidden, since this lies outside PC_HOME" in out
    assert len(pictures(tmp_path / "seen.mp4")) == 10
    home = tmp_path / "home"
    assert {entry.name for entry in home.iterdir()} == {"raw_detections"}, "no service was started"

    detected = list((home / "raw_detections").iterdir())
    code, out, _ = terminal.pc(
        "annotate", plain, "--out", home / "seen.mp4", "--model", "hog", "--from", 0.5, "--to", 0.8
    )
    assert code == 0 and "4 frames" in out and "People are shown, since this lies in PC_HOME" in out
    assert list((home / "raw_detections").iterdir()) == detected, "what was detected once is not detected again"
    code, out, _ = terminal.pc("annotate", plain, "--out", home / "seen.mp4", "--model", "hog", "--blur", "--force")
    assert code == 0 and "People are hidden, as --blur says" in out


def test_a_mistake_is_one_sentence_and_writes_nothing(terminal, plain, tmp_path):
    seen, hog = tmp_path / "seen.mp4", ("--model", "hog")
    site = tmp_path / "site.yaml"
    site.write_text("timezone: UTC\ncameras: {door: {}, gate: {}}\n")
    before = plain.read_bytes()
    assert "is the video itself" in terminal.refused(2, "annotate", plain, "--out", plain, "--force")
    os.link(plain, tmp_path / "other name.mp4")
    assert "is the video itself" in terminal.refused(2, "annotate", plain, "--out", tmp_path / "other name.mp4")
    (tmp_path / "there.mp4").write_bytes(b"mine")
    assert "is there already" in terminal.refused(2, "annotate", plain, "--out", tmp_path / "there.mp4")
    assert "ends in .mp4" in terminal.refused(2, "annotate", plain, "--out", tmp_path / "seen.avi")
    assert "there is no folder" in terminal.refused(2, "annotate", plain, "--out", tmp_path / "no" / "seen.mp4")
    Settings().watch_dir.mkdir(parents=True)
    assert "taken for a recording" in terminal.refused(2, "annotate", plain, "--out", Settings().watch_dir / "seen.mp4")
    assert "is not after" in terminal.refused(2, "annotate", plain, "--out", seen, "--from", 3, "--to", 2)
    assert "either a VIDEO or" in terminal.refused(2, "annotate", plain, "--video-id", 7, "--out", seen)
    assert "either a VIDEO or" in terminal.refused(2, "annotate", "--out", seen)
    assert "no camera 'porch'. Cameras: door, gate" in terminal.refused(
        2, "annotate", plain, "--out", seen, "--config", site, "--camera", "porch"
    )
    assert "say which with --camera" in terminal.refused(2, "annotate", plain, "--out", seen, "--config", site)
    assert "no such file" in terminal.refused(1, "annotate", tmp_path / "nothing.mp4", "--out", seen)
    # Bars stand above the sentence from here on.
    for words, sentence in (
        ((clips.not_a_video(tmp_path / "text.mp4"), "--out", seen, *hog), "is not a video"),
        ((plain, "--out", seen, "--model", "yolo99z"), "model 'yolo99z' is not in"),
        ((plain, "--out", seen, *hog, "--from", 60), "no frame from 60 s on"),
    ):
        code, out, err = terminal.pc("annotate", *words)
        assert (code, out) == (1, "") and sentence in err.splitlines()[-1]
    assert not seen.exists() and plain.read_bytes() == before and (tmp_path / "there.mp4").read_bytes() == b"mine"
    assert not list(tmp_path.glob(".*")), "no half-written file is left"


@pytest.fixture
def counted(worlds, clip) -> World:  # noqa: F811 (the fixture)
    """The clip, counted: its person goes in through `sill` and stands in `mat` at the end."""
    world = worlds()
    world.apply(zones={"mat": [[0.6, 0.5], [1.0, 0.5], [1.0, 1.0], [0.6, 1.0]]})
    identity = world.add_file(local("2026-03-02 09:00:00"), clip)
    world.detected(identity, clips.detections_of([PATH], TALL, FPS))
    assert world.run(local("2026-03-02 09:00:00").date())["session_statistics"].rows == 1
    return world


def test_a_counted_video_is_drawn_as_it_was_counted(terminal, counted, clip, tmp_path):
    terminal.patch.setenv("PC_POSTGRES_DSN", counted.machine.dsn)
    terminal.patch.setenv("PC_REDIS_URL", "redis://127.0.0.1:1")
    terminal.patch.setattr(annotating, "looked_at", None)
    code, out, err = terminal.pc("annotate", clip, "--out", tmp_path / "shown.mp4", "--no-blur")
    assert code == 0 and "is drawn from what is stored" in err and "warning" not in err
    (identity,) = counted.rows("SELECT video_id FROM videos")
    code, *_ = terminal.pc("annotate", "--video-id", *identity, "--out", tmp_path / "hidden.mp4")
    assert code == 0
    assert "There is no video 8" in terminal.refused(1, "annotate", "--video-id", 8, "--out", tmp_path / "x.mp4")

    original, shown, hidden = (pictures(path) for path in (clip, tmp_path / "shown.mp4", tmp_path / "hidden.mp4"))
    assert len(original) == len(shown) == len(hidden)
    x1, y1, x2, y2 = (round(value) for value in clips.box_at(PATH[5], TALL))
    torso = np.s_[y1 + 12 : y2 - 12, x1 + 8 : x2 - 8]
    assert np.abs(shown[5][torso].astype(int) - original[5][torso]).mean() < 12
    assert hidden[5][torso].std() < 10 < 40 < original[5][torso].std()

    told = annotating.stored(counted.machine.dsn, clip)
    assert told and [(crossed.line, crossed.direction) for crossed in told.story.crossings] == [("sill", "in")]
    assert [stay.zone for stay in told.story.stays] == ["mat"]
    assert told.story.stays[0].entered_us < told.story.stays[0].exited_us == 2_400_000
    # Its file replaced by another: what is stored does not belong to that.
    clip.write_bytes(clip.read_bytes() + b" ")
    said = terminal.refused(1, "annotate", "--video-id", *identity, "--out", tmp_path / "x.mp4")
    assert "not the file that was counted" in said
    assert annotating.stored(counted.machine.dsn, clip) is None
    # Once the boxes no track took are gone, nobody can promise that everyone is hidden.
    counted.execute("DELETE FROM detections")
    clip.write_bytes(clip.read_bytes()[:-1])
    told = annotating.stored(counted.machine.dsn, clip)
    with pytest.raises(UserError, match="not kept any more"):
        annotating.draw(told, tmp_path / "late.mp4", blur=True)
    assert not (tmp_path / "late.mp4").exists()
