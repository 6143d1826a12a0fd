"""Detectors behind one protocol: same frames, same boxes, in order, whatever the backend."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pc_pipeline.errors import ModelCorrupt, ModelMissing
from pc_pipeline.ingest.site import TrackerConfig
from pc_pipeline.vision.arrays import joined
from pc_pipeline.vision.decode import Frame, probe
from pc_pipeline.vision.detect import Boxes, Progress, detect_in_pieces, detect_video, keep_best, load_detector
from pc_pipeline.vision.detect.hog import HogDetector, picture_scale, search
from pc_pipeline.vision.detect.openvino import decode_output
from pc_pipeline.vision.models import ModelFile, resolve
from pc_pipeline_tests import clips

# 768x576 in the ground truth, 480x360 in the video.
PETS_SCALE = 0.625


def _overlaps(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    corner = np.maximum(one[:, None, :2], two[None, :, :2])
    shared = np.maximum(np.minimum(one[:, None, 2:], two[None, :, 2:]) - corner, 0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, two)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def _f1(detections, truth: np.ndarray, least_iou: float = 0.5) -> float:
    from scipy.optimize import linear_sum_assignment

    hits = true_boxes = 0
    for index, number in enumerate(detections.frame_number):
        rows = truth[truth[:, 0] == number + 1]
        corners = rows[:, 2:4] * PETS_SCALE
        expected = np.hstack((corners, corners + rows[:, 4:6] * PETS_SCALE))
        found = detections.boxes[detections.offsets[index] : detections.offsets[index + 1]]
        overlap = _overlaps(expected, found)
        hits += (overlap[linear_sum_assignment(overlap, maximize=True)] >= least_iou).sum()
        true_boxes += len(expected)
    return 2 * hits / (true_boxes + len(detections.boxes))


@pytest.mark.parametrize(("model", "every", "least"), [("yolo11n", 1.0, 0.88), ("hog", 8.0, 0.6)])
def test_people_are_found_on_real_video(samples_dir, models_dir, model, every, least):
    path = samples_dir / "pets2009-s2l1/video.avi"
    truth = np.loadtxt(samples_dir / "pets2009-s2l1/gt.txt", delimiter=",")
    facts = probe(path)
    detector = load_detector(resolve(model, models_dir), 0.25, 0.6, (0,), (facts.width, facts.height))
    seen: list[Progress] = []
    detections, report = detect_video(path, detector, every, seen.append)
    assert _f1(detections, truth) >= least
    assert report.frames_decoded == 795 and report.warnings == []
    assert seen[-1].done_frames == report.frames_sampled and seen[-1].eta_s == 0


def test_two_runs_find_the_same_to_the_last_bit(samples_dir, models_dir):
    path = samples_dir / "pets2009-s2l1/video.avi"
    detector = load_detector(resolve("yolo11n", models_dir), 0.25, 0.6, (0,), (480, 360))
    one, two = (detect_video(path, detector, 4.0)[0] for _ in range(2))
    for first, second in ((one, two), (one.picture, two.picture)):
        arrays = {name: value for name, value in vars(first).items() if isinstance(value, np.ndarray)}
        arrays.pop("processing_ms", None)  # a clock
        assert len(arrays) >= 7
        assert all(np.array_equal(value, getattr(second, name)) for name, value in arrays.items())


class SeesTheWholePicture:
    def detect(self, frames):
        for frame in frames:
            height, width = frame.image.shape[:2]
            boxes = np.array([[0, 0, width, height]] * (frame.number % 3), np.float32).reshape(-1, 4)
            yield frame, Boxes(boxes, np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), np.int16))


@pytest.mark.parametrize("frames", [1, 3, 5, 10, 99])
def test_a_video_handed_on_in_pieces_is_the_same_as_in_one(tmp_path, monkeypatch, frames):
    path = clips.write(tmp_path / "clip.mp4")
    whole, expected = detect_video(path, SeesTheWholePicture(), 0)
    monkeypatch.setattr("pc_pipeline.vision.detect.PIECE_FRAMES", frames)
    pieces = []
    report = detect_in_pieces(path, SeesTheWholePicture(), 0, pieces.append)
    assert report == expected
    assert [len(piece.pts_us) for piece in pieces[:-1]] == [frames] * (len(pieces) - 1)
    assert 0 < len(pieces[-1].pts_us) <= frames
    found = joined(pieces)
    for first, second in ((whole, found), (whole.picture, found.picture)):
        arrays = {name: value for name, value in vars(first).items() if isinstance(value, np.ndarray)}
        arrays.pop("processing_ms", None)  # a clock
        assert len(arrays) >= 7
        assert all(np.array_equal(value, getattr(second, name)) for name, value in arrays.items())


def test_what_each_frame_took_is_measured_without_the_time_to_hand_it_on(tmp_path, monkeypatch):
    """By a clock that a frame moves on by its number in milliseconds, and handing on a piece by an hour."""
    clock = [0.0]

    class Detector(SeesTheWholePicture):
        def detect(self, frames):
            for frame, boxes in super().detect(frames):
                clock[0] += frame.number / 1000
                yield frame, boxes

    def take(piece):
        pieces.append(piece)
        clock[0] += 3600

    pieces = []
    monkeypatch.setattr("pc_pipeline.vision.detect.PIECE_FRAMES", 3)
    monkeypatch.setattr("pc_pipeline.vision.detect.time", SimpleNamespace(monotonic=lambda: clock[0]))
    report = detect_in_pieces(clips.write(tmp_path / "clip.mp4"), Detector(), 0, take)
    assert len(pieces) > 2
    # Of clocks an hour apart, the difference is a little less exact.
    assert joined(pieces).processing_ms == pytest.approx(np.arange(report.frames_sampled), abs=1e-3)


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("frame_size", [(480, 360), (1000, 700), (360, 640), (1920, 1080)])
def test_boxes_come_back_in_the_pixels_of_the_frame(tmp_path, dynamic, frame_size):
    """A network that answers with one box around the picture within its input, whatever shape that has."""
    detector = load_detector(_network(tmp_path, frame_size, dynamic), 0.25, 0.6, (0,), frame_size)
    width, height = frame_size
    frames = [Frame(number, number * 100_000, np.zeros((height, width, 3), np.uint8)) for number in range(7)]
    found = list(detector.detect(iter(frames)))
    assert [frame.number for frame, _ in found] == list(range(7))
    for _, boxes in found:
        assert boxes.boxes == pytest.approx(np.array([[0, 0, width, height]]), abs=1)
        assert boxes.confidence == pytest.approx([0.9])


def _network(folder: Path, frame_size: tuple[int, int], dynamic: bool, mean: bool = False) -> ModelFile:
    """One box around the picture, with confidence 0.9, or the mean of the input."""
    import openvino
    from openvino import opset13 as ops

    shape = [1, 3, -1, -1] if dynamic else [1, 3, 640, 640]
    image = ops.parameter(shape, np.float32, name="images")
    confident = np.array([[[0, 0, 0, 0, 1, 0]] * 2], np.float32) * mean
    pictures = ops.reshape(ops.reduce_mean(image, np.array([1, 2, 3]), keep_dims=False), np.array([1, 1, 1]), False)
    longest = max(frame_size)
    width, height = (side * 640 / longest for side in frame_size)
    sure = 0 if mean else 0.9
    row = np.array([[[0, 0, width, height, sure, 0], [0, 0, width, height, sure, 7]]], np.float32)
    network = openvino.Model([ops.add(row, ops.multiply(pictures, confident))], [image], "one_box")
    path = folder / "one_box.xml"
    openvino.save_model(network, path, compress_to_fp16=False)
    return ModelFile("one_box", "detector", "openvino", path, "", ("one_box.xml", "one_box.bin"))


@pytest.mark.parametrize("frame_size", [(480, 360), (360, 640), (1920, 1080), (640, 640)])
def test_the_picture_fills_the_input_but_for_grey_margins_frame_after_frame(tmp_path, frame_size):
    """A network whose confidence is its input's mean: white and black pictures in turn, through the same requests."""
    detector = load_detector(_network(tmp_path, frame_size, dynamic=False, mean=True), 0.01, 0.6, (0,), frame_size)
    width, height = frame_size
    frames = [Frame(number, number, np.full((height, width, 3), 255 * (number % 2), np.uint8)) for number in range(8)]
    margin = 1 - min(frame_size) / max(frame_size)
    for frame, boxes in detector.detect(iter(frames)):
        white = frame.number % 2 * (1 - margin)
        assert boxes.confidence == pytest.approx([white + margin * 114 / 255] if white or margin else [], abs=1e-3)


def test_a_damaged_model_is_called_corrupt(tmp_path):
    model = _network(tmp_path, (640, 480), dynamic=True)
    assert model.path is not None
    model.path.write_bytes(model.path.read_bytes()[:500])
    with pytest.raises(ModelCorrupt, match="OpenVINO cannot read it"):
        load_detector(model, 0.25, 0.6, (0,), (640, 480))


def test_weights_that_need_torch_say_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ultralytics", None)
    (tmp_path / "mine.pt").write_bytes(b"weights")
    model = resolve("mine", tmp_path)
    assert model.backend == "ultralytics"
    with pytest.raises(ModelMissing, match=r"pip install 'pc_pipeline\[ultralytics\]'"):
        load_detector(model, 0.25, 0.6, (0,), (640, 480))


def test_only_wanted_classes_above_the_confidence_are_candidates():
    output = np.zeros((4 + 3, 4), np.float32)
    output[:4] = np.array([[50, 60, 20, 40]] * 4).T
    output[4:] = np.array([[0.9, 0, 0], [0.2, 0, 0], [0.4, 0.6, 0], [0, 0, 0.8]]).T
    boxes, confidence, class_id = decode_output(output, 0.25, (0, 2))
    assert boxes.tolist() == [[40, 40, 60, 80], [40, 40, 60, 80]]
    assert confidence.tolist() == pytest.approx([0.9, 0.8])
    assert class_id.tolist() == [0, 2]
    assert [part.shape for part in decode_output(output, 0.95, (0,))] == [(0, 4), (0,), (0,)]


coordinates = st.floats(-50, 700, width=32)
candidates = st.integers(0, 12).flatmap(
    lambda n: st.tuples(
        arrays(np.float32, (n, 4), elements=coordinates),
        arrays(np.float32, n, elements=st.floats(0.0625, 1, width=32)),
        arrays(np.int16, n, elements=st.integers(0, 2)),
        st.permutations(range(n)),
    )
)


@given(candidates)
def test_the_best_boxes_are_kept_whatever_order_they_come_in(given_candidates):
    boxes, confidence, class_id, order = given_candidates
    boxes = np.hstack((np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:]) + 1))
    kept = keep_best(boxes, confidence, class_id, 0.5, (640, 480))
    shuffled = keep_best(boxes[order], confidence[order], class_id[order], 0.5, (640, 480))
    assert all(np.array_equal(one, two) for one, two in zip(kept, shuffled, strict=True))
    assert (np.diff(kept.confidence) <= 0).all()
    assert (kept.boxes >= 0).all() and (kept.boxes <= [640, 480, 640, 480]).all()
    if len(boxes):
        assert kept.confidence[0] == confidence.max()


@pytest.mark.parametrize(
    ("size", "scale"), [((480, 360), 2), ((640, 480), 1), ((1280, 720), 1), ((1920, 1080), 720 / 1080)]
)
def test_hog_looks_at_small_pictures_enlarged_and_large_ones_reduced(size, scale):
    assert picture_scale(size) == scale


@pytest.mark.parametrize("size", [(640, 480), (200, 300), (96, 160), (64, 128), (65, 127), (48, 112), (201, 129)])
def test_hog_weighs_the_windows_that_opencvs_own_search_weighs_on_one_thread(size):
    import cv2

    width, height = size
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector(), np.float32))
    with ThreadPoolExecutor(8) as threads:
        windows, weights = search(hog, image, -3.0, threads)
    usual = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        expected, confident = hog.detectMultiScale(
            image, hitThreshold=-3.0, winStride=(8, 8), padding=(8, 8), scale=1.05, groupThreshold=0
        )
    finally:
        cv2.setNumThreads(usual)
    assert np.array_equal(windows, np.reshape(expected, (-1, 4)))
    assert np.array_equal(weights, np.ravel(confident))
    assert len(windows) or min(size) < 100


def test_hog_gives_every_window_its_own_weight_where_opencvs_search_mixes_them_up(monkeypatch):
    """On several threads OpenCV may put the weights in another order than the windows: here it does so every time."""
    import cv2

    descriptor = cv2.HOGDescriptor

    class MixesUp:
        """No subclass: one of OpenCV's classes crashes Python when it is collected."""

        getDefaultPeopleDetector = staticmethod(descriptor.getDefaultPeopleDetector)

        def __init__(self) -> None:
            self._hog = descriptor()

        def __getattr__(self, name):
            return getattr(self._hog, name)

        def detectMultiScale(self, *arguments, **named):
            windows, weights = self._hog.detectMultiScale(*arguments, **named)
            return windows, np.roll(weights, 1, axis=0)

    image = np.random.default_rng(0).integers(0, 255, (160, 96, 3), np.uint8)

    def found() -> Boxes:
        ((_, boxes),) = HogDetector(0.001, 0.6, (0,), (96, 160)).detect([Frame(0, 0, image)])
        return boxes

    right = found()
    monkeypatch.setattr(cv2, "HOGDescriptor", MixesUp)
    assert len(right.boxes) > 1
    assert all(np.array_equal(one, two) for one, two in zip(right, found(), strict=True))


def test_hog_knows_people_only(tmp_path):
    path = clips.write(tmp_path / "clip.mp4")
    detector = load_detector(resolve("hog", tmp_path), 0.25, 0.6, (2,), (160, 120))
    assert len(detect_video(path, detector, 0)[0].boxes) == 0


@pytest.mark.skipif(not clips.photographs_present(), reason="ultralytics' photographs are not on this machine")
def test_hog_follows_a_real_person_across_the_picture(tmp_path):
    from pc_pipeline.vision.track import track

    path = clips.walking_person(tmp_path / "clip.mp4")
    detector = load_detector(resolve("hog", tmp_path), 0.25, 0.6, (0,), (640, 480))
    tracks, _ = track(detect_video(path, detector, 0.1)[0], TrackerConfig(), (640, 480))
    assert len(tracks) == 1
    assert tracks[0].foot[0, 0] < 200 and tracks[0].foot[-1, 0] > 440
