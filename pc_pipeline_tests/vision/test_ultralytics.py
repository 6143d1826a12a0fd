"""The backend that needs torch: weights of Ultralytics' own architecture, untrained: trained ones are not here."""

import os
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pc_pipeline.errors import ConfigError, UnreadableVideo
from pc_pipeline.vision import models
from pc_pipeline.vision.decode import Frame, read_frames
from pc_pipeline.vision.detect import load_detector
from pc_pipeline.vision.detect import openvino as openvino_backend
from pc_pipeline.vision.detect.openvino import OpenvinoDetector
from pc_pipeline.vision.detect.ultralytics import BATCH, BATCH_ON_GPU, UltralyticsDetector, engine_batch
from pc_pipeline_tests import clips

# Only looked for: imported here, torch would take seconds of every worker that collects this file.
pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="the extra `ultralytics` is not installed")


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


def test_batches_come_in_order_and_decoding_stays_at_most_two_batches_ahead(weights: Path, tmp_path: Path) -> None:
    detector = UltralyticsDetector(models.resolve("tiny", weights), 0.25, 0.6, (0,), batch=3)
    handed_out: list[int] = []

    def decoded() -> Iterator[Frame]:
        for frame in read_frames(clips.write(tmp_path / "clip.avi")):
            handed_out.append(frame.number)
            yield frame

    seen = []
    for frame, _ in detector.detect(decoded()):
        seen.append(frame.number)
        assert len(handed_out) <= 6 + 3 * ((len(seen) - 1) // 3)
    assert seen == list(range(10))


def test_what_fails_while_the_next_batch_is_decoded_reaches_the_caller(weights: Path) -> None:
    def damaged() -> Iterator[Frame]:
        for number in range(2):
            yield Frame(number, number, np.zeros((64, 64, 3), np.uint8))
        raise UnreadableVideo("it ends here")

    detector = UltralyticsDetector(models.resolve("tiny", weights), 0.25, 0.6, (0,), batch=2)
    with pytest.raises(UnreadableVideo, match="it ends here"):
        list(detector.detect(damaged()))


def test_a_gpu_computes_in_half_precision_and_larger_batches(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    model = models.resolve("tiny", weights)
    on_cpu = UltralyticsDetector(model, 0.25, 0.6, (0,))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    on_gpu = UltralyticsDetector(model, 0.25, 0.6, (0,))
    assert (on_cpu.options["device"], "half" in on_cpu.options, on_cpu.batch) == ("cpu", False, BATCH)
    assert (on_gpu.options["device"], on_gpu.options["half"], on_gpu.batch) == ("cuda:0", True, BATCH_ON_GPU)


@pytest.mark.parametrize(
    ("before_the_engine", "batch"),
    [(b'{"batch": 16, "imgsz": [640, 640]}', 16), (b'{"imgsz": [640, 640]}', 1), (b"no JSON", 1), (b"", 1)],
)
def test_an_engine_is_given_the_batch_it_was_built_for(tmp_path: Path, before_the_engine: bytes, batch: int) -> None:
    path = tmp_path / "tiny.engine"
    path.write_bytes(len(before_the_engine).to_bytes(4, "little") + before_the_engine + bytes(100))
    assert engine_batch(path) == batch


def test_an_engine_gets_full_batches_to_the_end(weights: Path) -> None:
    detector = UltralyticsDetector(models.resolve("tiny", weights), 0.25, 0.6, (0,), batch=4)
    detector._fill, given = True, []
    predict = detector._yolo.predict
    detector._yolo.predict = lambda images, **options: given.append(len(images)) or predict(images, **options)
    frames = [Frame(number, number, np.zeros((64, 64, 3), np.uint8)) for number in range(6)]
    assert [frame.number for frame, _ in detector.detect(frames)] == list(range(6))
    assert given == [4, 4]


def test_the_export_that_fetch_makes_runs_without_torch_and_in_the_videos_own_shape(
    weights: Path, tmp_path: Path
) -> None:
    exported = models._export_yolo("tiny", weights)
    model = models.resolve("tiny", weights)
    assert (exported.name, model.backend) == ("tiny_openvino_model", "openvino")
    detector = load_detector(model, 1e-6, 0.6, (0,), (160, 120))
    with closing(read_frames(clips.write(tmp_path / "clip.avi"))) as frames:
        assert [frame.number for frame, _ in detector.detect(frames)] == list(range(10))


def test_scoring_only_the_wanted_classes_finds_what_the_whole_output_finds(weights: Path, tmp_path: Path) -> None:
    model = models.resolve("tiny", weights)
    if model.backend != "openvino":
        models._export_yolo("tiny", weights)
        model = models.resolve("tiny", weights)
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    pictures = [Frame(0, 0, noise), Frame(1, 1, clips.picture(160, 120, [clips.box_at((80, 110), 90)]))]
    classes = (0, 7, 33)
    narrowed = OpenvinoDetector(model, 1e-6, 0.6, classes, (160, 120))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino_backend, "_score_only", lambda network, classes: False)
        whole = OpenvinoDetector(model, 1e-6, 0.6, classes, (160, 120))
    count = 0
    for (_, one), (_, other) in zip(narrowed.detect(pictures), whole.detect(pictures), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        count += len(one.boxes)
    assert count > 0
    with pytest.raises(ConfigError, match="there is no class 80"):
        OpenvinoDetector(model, 1e-6, 0.6, (0, 80), (160, 120))
