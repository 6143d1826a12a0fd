"""The backend that needs torch: weights of Ultralytics' own architecture, untrained: trained ones are not here."""

import os
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from pc_pipeline.vision import models
from pc_pipeline.vision.decode import read_frames
from pc_pipeline.vision.detect import load_detector
from pc_pipeline_tests import clips

pytest.importorskip("torch", reason="the extra `ultralytics` is not installed")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `tiny.pt`."""
    folder = tmp_path_factory.mktemp("models")
    os.environ.setdefault("YOLO_CONFIG_DIR", str(folder))
    from ultralytics import YOLO

    YOLO("yolo11n.yaml").save(str(folder / "tiny.pt"))
    return folder


def test_weights_of_ultralytics_find_boxes_inside_every_frame(weights: Path, tmp_path: Path) -> None:
    model = models.resolve("tiny", weights)
    video = clips.write(tmp_path / "clip.avi")
    detector = load_detector(model, 1e-6, 0.6, (0,), (160, 120))
    with closing(read_frames(video)) as frames:
        found = list(islice(detector.detect(frames), 3))
    assert model.backend == "ultralytics"
    assert [frame.number for frame, _ in found] == [0, 1, 2]
    for _, boxes in found:
        assert boxes.boxes.shape == (len(boxes.confidence), 4)
        assert (boxes.boxes[:, 0::2] <= 160).all() and (boxes.boxes[:, 1::2] <= 120).all() and (boxes.boxes >= 0).all()


def test_the_export_that_fetch_makes_runs_without_torch_and_in_the_videos_own_shape(
    weights: Path, tmp_path: Path
) -> None:
    exported = models._export_yolo("tiny", weights)
    model = models.resolve("tiny", weights)
    assert (exported.name, model.backend) == ("tiny_openvino_model", "openvino")
    detector = load_detector(model, 1e-6, 0.6, (0,), (160, 120))
    with closing(read_frames(clips.write(tmp_path / "clip.avi"))) as frames:
        assert [frame.number for frame, _ in detector.detect(frames)] == list(range(10))
