"""The rendered scene: the same every time, whole files only, and people whom a real detector sees and counts right."""

from dataclasses import replace

import numpy as np
import pytest

from pc_pipeline.demo import photographs
from pc_pipeline.demo.photographs import cut_out_people
from pc_pipeline.demo.record import record, video_path
from pc_pipeline.demo.scene import Clip, Walker, render
from pc_pipeline.demo.script import CAMERA, CLIPS, LINE_X
from pc_pipeline.demo.truth import crossings, mot_rows
from pc_pipeline.errors import UserError
from pc_pipeline_tests import clips

needs_photographs = pytest.mark.skipif(
    not clips.photographs_present(), reason="the photographs that ultralytics carries are not installed"
)
CLIP = Clip(1.0, 3, [Walker(1, ((0.0, 0.3, 0.85), (1.0, 0.5, 0.85)))])


@pytest.fixture(scope="module")
def people():
    return cut_out_people()


def test_without_the_photographs_a_sentence_says_how_to_get_them(monkeypatch):
    monkeypatch.setattr(photographs, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install --no-deps ultralytics"):
        cut_out_people()


@needs_photographs
def test_two_whole_people_are_cut_out(people):
    for person in people:
        height, width = person.alpha.shape
        assert 430 < height < 530 and 100 < width < 220
        assert person.colour.shape == (height, width, 3)
        assert 0.4 < person.alpha.mean() < 0.75


@needs_photographs
def test_the_same_clip_gives_the_same_pictures(people):
    first, again = (np.stack(list(render(CLIP, people))) for _ in range(2))
    assert first.shape == (10, 480, 640, 3) and first.dtype == np.uint8
    assert (first == again).all()


@needs_photographs
def test_the_truths_boxes_hold_the_people(people):
    """Where somebody stands the picture differs from the empty one, and elsewhere hardly."""
    (empty, there) = (next(render(Clip(0.1, 3, walkers), people)).astype(int) for walkers in ([], CLIP.walkers))
    _, _, left, top, width, height, *_ = mot_rows(CLIP, people)[0]
    changed = np.abs(there - empty).max(2) > 40
    rows, columns = np.nonzero(changed)
    assert abs(columns.min() - left) < 8 and abs(columns.max() - left - width) < 8
    assert abs(rows.min() - top) < 8 and abs(rows.max() - top - height) < 8


@needs_photographs
def test_a_video_appears_whole_and_is_not_rendered_twice(tmp_path, people):
    started_at = CLIPS[0][0]
    video, truth = video_path(tmp_path / "watch", CAMERA, started_at), tmp_path / "truth.txt"
    assert video.relative_to(tmp_path).as_posix() == "watch/entrance/2025-06-18/08-15-00.mp4"
    seen = []
    assert record(video, truth, CLIP, people, lambda: seen.append(video.exists()))
    assert seen == [False] * 10
    content = video.read_bytes()
    assert not record(video, truth, CLIP, people, lambda: None)
    video.unlink()
    assert record(video, truth, CLIP, people, lambda: None)
    assert video.read_bytes() == content
    assert [path.name for path in video.parent.iterdir()] == [video.name]


@needs_photographs
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, people):
    (tmp_path / "watch").write_text("a file, not a folder")
    with pytest.raises(UserError, match="cannot be written"):
        record(tmp_path / "watch" / "a.mp4", tmp_path / "a.txt", CLIP, people, lambda: None)


@needs_photographs
def test_hog_sees_and_counts_the_people(tmp_path, people):
    """Two people pass one another, and one hides the other for a moment."""
    from pc_pipeline.counting.crossings import line_crossings
    from pc_pipeline.counting.geometry import Line
    from pc_pipeline.ingest.site import CountingConfig, DetectorConfig, TrackerConfig
    from pc_pipeline.vision.detect import detect_video, load_detector
    from pc_pipeline.vision.models import resolve
    from pc_pipeline.vision.track import track

    _, noon = CLIPS[1]
    clip = replace(noon, duration_s=6.0, walkers=noon.walkers[:2])
    video = tmp_path / "noon.mp4"
    record(video, tmp_path / "noon.txt", clip, people, lambda: None)
    config, size = DetectorConfig(), (640, 480)
    detector = load_detector(resolve("hog", tmp_path), config.confidence, config.iou, (0,), size)
    detections, report = detect_video(video, detector, config.sample_every)
    assert report.frames_decoded == clip.frames
    tracks, _ = track(detections, TrackerConfig(), size)
    door = Line((LINE_X, 0.0), (LINE_X, 1.0), "right")
    found = sorted(
        crossing.direction
        for one in tracks
        for crossing in line_crossings(one.time_us, one.foot, one.height, door, size, CountingConfig().band)
    )
    assert found == sorted(way for walker in clip.walkers for _, way in crossings(walker, LINE_X)) == ["in", "out"]
