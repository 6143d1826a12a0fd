"""Frames and their times out of any container, and one clear sentence for what is no video."""

import threading
from array import array
from pathlib import Path

import numpy as np
import pytest

from pc_pipeline.errors import UnreadableVideo
from pc_pipeline.vision.decode import probe, read_frames, read_frames_at
from pc_pipeline.vision.detect import Boxes, detect_video
from pc_pipeline_tests import clips


class SeesNothing:
    def detect(self, frames):
        for frame in frames:
            yield frame, Boxes(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int16))


# FFmpeg writes no H.265 into AVI.
@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        (codec, suffix)
        for codec in ("h264", "h265", "mjpeg", "mpeg4")
        for suffix in ("mp4", "mov", "mkv", "avi")
        if (codec, suffix) != ("h265", "avi")
    ],
)
def test_every_codec_in_every_container_gives_every_frame_at_its_time(tmp_path, codec, suffix):
    path = clips.write(tmp_path / f"clip.{suffix}", codec=codec)
    frames = list(read_frames(path))
    assert [frame.number for frame in frames] == list(range(10))
    assert [frame.pts_us for frame in frames] == [100_000 * number for number in range(10)]
    assert all(frame.image.shape == (120, 160, 3) and frame.image.dtype == np.uint8 for frame in frames)
    facts = probe(path)
    assert (facts.width, facts.height, facts.codec) == (160, 120, {"h265": "hevc"}.get(codec, codec))
    assert facts.container == {"mp4": "mov", "mkv": "matroska"}.get(suffix, suffix)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_a_variable_frame_rate_keeps_its_own_times(tmp_path, suffix):
    times = [0, 0.1, 0.2, 1.5, 1.6, 4.0, 4.04, 4.08, 9.0, 9.5]
    path = clips.write(tmp_path / f"clip.{suffix}", codec="h264", times_s=times)
    assert [frame.pts_us for frame in read_frames(path)] == pytest.approx([1e6 * time for time in times], abs=1000)


def test_a_picture_stored_on_its_side_stands_upright(tmp_path):
    marked = clips.picture(160, 120, [(0, 0, 40, 30)])
    path = clips.write(tmp_path / "clip.mp4", [marked] * 5, rotation=90)
    facts = probe(path)
    assert (facts.width, facts.height, facts.rotation) == (120, 160, 90)
    first = next(iter(read_frames(path))).image
    assert first.shape == (160, 120, 3)
    # Turned clockwise, what was top left is top right.
    assert first[10, 110].mean() < 100 < first[10, 10].mean()


def test_sampling_is_in_seconds_and_counts_every_decoded_frame(tmp_path):
    path = clips.write(tmp_path / "clip.mkv", [clips.picture(160, 120)] * 75, fps=25)
    seen = array("q")
    sampled = [frame.pts_us for frame in read_frames(path, 0.5, seen)]
    assert sampled == pytest.approx([0, 500_000, 1_000_000, 1_500_000, 2_000_000, 2_500_000], abs=20_000)
    assert len(seen) == 75


def test_named_frames_are_the_same_as_when_all_are_read(tmp_path):
    path = clips.write(tmp_path / "clip.mp4", codec="h264")
    every = {frame.number: frame for frame in read_frames(path)}
    some = list(read_frames_at(path, np.array([2, 3, 8, 50])))
    assert [frame.number for frame in some] == [2, 3, 8]
    assert all(np.array_equal(frame.image, every[frame.number].image) for frame in some)
    assert list(read_frames_at(path, np.array([], np.int64))) == []


def test_a_reader_that_stops_early_stops_the_decoder(tmp_path):
    path = clips.write(tmp_path / "clip.mp4", [clips.picture(160, 120)] * 100)
    frames = read_frames(path)
    next(frames)
    frames.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "decode clip.mp4"]


def ground_truth(path):
    path.write_text("1,9,499,158,31,75,1\n" * 40)
    return path


@pytest.mark.parametrize(
    ("make", "name", "sentence"),
    [
        (clips.zero_bytes, "clip.mp4", "is empty"),
        (clips.not_a_video, "clip.mp4", "is not a video"),
        (ground_truth, "gt.txt", "is not a video but a text file"),
        (clips.without_moov, "clip.mp4", "cut off before its index"),
        (clips.zero_frames, "clip.avi", "holds no frame that can be decoded"),
        (clips.zero_frames, "clip.mkv", "holds no"),
        (lambda path: path, "gone.mp4", "there is no such file"),
        (lambda path: path.parent, "clip.mp4", "is not a file"),
    ],
)
def test_what_cannot_be_read_gets_one_sentence_and_no_noise(tmp_path, capfd, make, name, sentence):
    path = make(tmp_path / name)
    with pytest.raises(UnreadableVideo) as raised:
        probe(path)
    message = str(raised.value)
    assert message.startswith(str(path)) and sentence in message and "\n" not in message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi"])
def test_a_video_cut_in_the_middle_is_counted_as_far_as_it_goes_with_a_warning(tmp_path, capfd, name):
    path = clips.cut_in_the_middle(tmp_path / name)
    detections, report = detect_video(path, SeesNothing(), 0)
    assert 30 <= report.frames_decoded <= 70
    assert len(report.warnings) == 1 and "cut off" in report.warnings[0]
    assert len(detections.frame_number) == report.frames_decoded
    assert (np.diff(detections.pts_us) > 0).all()
    assert capfd.readouterr().err == ""


def test_a_whole_video_warns_of_nothing(tmp_path):
    _, report = detect_video(clips.write(tmp_path / "clip.mp4"), SeesNothing(), 0)
    assert report.warnings == []
    assert (report.first_pts_us, report.last_pts_us, report.median_step_us) == (0, 900_000, 100_000)


def test_a_file_that_shrinks_while_it_is_read_ends_early(tmp_path):
    rng = np.random.default_rng(1)
    noise = [rng.integers(0, 255, (120, 160, 3), np.uint8) for _ in range(200)]
    path = clips.write(tmp_path / "clip.avi", noise, codec="mjpeg")
    frames = read_frames(path)
    next(frames)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 3)
    assert len(list(frames)) < 150


def test_a_file_that_vanishes_while_it_is_read_ends_without_an_error(tmp_path):
    path = clips.write(tmp_path / "clip.mp4")
    frames = read_frames(path)
    next(frames)
    path.unlink()
    list(frames)


def _claims_a_day_and_more(path: Path) -> Path:
    """An AVI whose header claims a hundred times the frames it holds, at a hundredth of the rate."""
    clips.write(path, codec="mjpeg")
    content = bytearray(path.read_bytes())
    strh = content.index(b"strh") + 8
    content[strh + 32 : strh + 36] = (2_000_000).to_bytes(4, "little")
    avih = content.index(b"avih") + 8
    content[avih + 16 : avih + 20] = (2_000_000).to_bytes(4, "little")
    path.write_bytes(content)
    return path


def test_a_header_that_claims_days_is_not_believed(tmp_path):
    path = _claims_a_day_and_more(tmp_path / "clip.avi")
    assert probe(path).duration_declared_s >= 24 * 3600
    assert len(list(read_frames(path))) == 10


def test_a_video_of_more_than_a_day_is_refused(tmp_path):
    times = [0, 40_000, 80_000, 90_000]
    path = clips.write(tmp_path / "clip.mkv", [clips.picture(160, 120)] * 4, times_s=times)
    with pytest.raises(UnreadableVideo, match="over 24 hours"):
        probe(path)
    with pytest.raises(UnreadableVideo, match="over 24 hours"):
        list(read_frames(path))
