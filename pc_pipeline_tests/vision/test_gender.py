"""Gender from whole, large, uncovered people only; everyone else is unknown."""

from types import SimpleNamespace

import numpy as np
import pytest

from pc_pipeline.errors import ModelCorrupt
from pc_pipeline.vision.arrays import Track
from pc_pipeline.vision.decode import read_frames_at
from pc_pipeline.vision.detect import load_detector
from pc_pipeline.vision.gender import FEMALE, MALE, UNKNOWN, _verdict, choose_sightings, classify
from pc_pipeline.vision.models import ModelFile, resolve
from pc_pipeline_tests import clips

FRAME = (640, 480)
CONFIG = SimpleNamespace(min_height_px=80, crops=5, max_overlap=0.2, min_gap=0.3, unknown_below=0.65)


def a_track(track_id: int, boxes: list[tuple[float, float, float, float]], interpolated: bool = False) -> Track:
    count = len(boxes)
    return Track(
        track_id,
        np.arange(count, dtype=np.int32),
        np.arange(count, dtype=np.int64) * 100_000,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(count, 0.9, np.float32),
        np.full(count, interpolated),
    )


WHOLE = (200, 100, 260, 300)


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ((0, 100, 60, 300), "cut off at the left"),
        ((580, 100, 640, 300), "cut off at the right"),
        ((200, 280, 260, 480), "cut off below"),
        ((200, 100, 220, 170), "too small"),
        ((200, 100, 400, 300), "not a standing person"),
    ],
)
def test_unfit_sightings_are_never_shown_to_the_model(box, why):
    assert choose_sightings([a_track(1, [box] * 10)], CONFIG, FRAME) == [[]], why


def test_guessed_boxes_are_never_shown_to_the_model():
    assert choose_sightings([a_track(1, [WHOLE] * 10, interpolated=True)], CONFIG, FRAME) == [[]]


def test_people_who_cover_each_other_are_left_out_while_they_do():
    walks_by = [(200 + 40 * n, 100, 260 + 40 * n, 300) for n in range(8)]
    stands, passes = choose_sightings([a_track(1, [WHOLE] * 8), a_track(2, walks_by)], CONFIG, FRAME)
    assert 0 not in stands + passes and 1 not in stands + passes
    assert stands and passes


def test_the_largest_are_chosen_spread_in_time():
    growing = [(200.0, 100.0, 260.0, 220.0 + 2 * n) for n in range(50)]
    (chosen,) = choose_sightings([a_track(1, growing)], CONFIG, FRAME)
    assert chosen == [49, 46, 43, 40, 37]


@pytest.mark.parametrize(
    ("log_odds", "gender"),
    [([], UNKNOWN), ([0.3, 0.2], UNKNOWN), ([-0.5], UNKNOWN), ([2.0, -0.5], MALE), ([-2.0, -0.1], FEMALE)],
)
def test_the_mean_must_be_clear_of_the_unknown_band(log_odds, gender):
    verdict = _verdict(7, log_odds, CONFIG.unknown_below)
    assert (verdict.track_id, verdict.gender, verdict.crops) == (7, gender, len(log_odds))


def test_every_track_gets_one_row_and_without_a_fit_crop_no_model_is_loaded(tmp_path):
    nowhere = ModelFile("none", "gender", "openvino", tmp_path / "none.xml", "", ())
    tiny = a_track(3, [(10, 10, 20, 40)] * 5)
    assert [row.gender for row in classify(tmp_path / "none.mp4", [tiny], nowhere, CONFIG, FRAME)] == [UNKNOWN]


def test_a_damaged_model_is_called_corrupt(tmp_path):
    broken = tmp_path / "broken.xml"
    broken.write_text("<net")
    path = clips.write(tmp_path / "clip.mp4", [clips.picture(*FRAME)] * 3)
    model = ModelFile("broken", "gender", "openvino", broken, "", ())
    with pytest.raises(ModelCorrupt):
        classify(path, [a_track(1, [WHOLE] * 3)], model, CONFIG, FRAME)


def test_real_people_get_the_same_clear_answer_every_time(samples_dir, models_dir):
    path = samples_dir / "one-by-one/video.mp4"
    model = resolve("person-attributes-recognition-crossroad-0230", models_dir)
    # Half a minute in, one person stands in the picture, whole.
    numbers = np.array([300, 310, 320], np.int32)
    detector = load_detector(resolve("yolo11n", models_dir), 0.5, 0.6, (0,), (768, 432))
    found = [boxes.boxes[0] for _, boxes in detector.detect(read_frames_at(path, numbers))]
    person = Track(
        1, numbers, numbers * np.int64(100_000), np.array(found), np.full(3, 0.9, np.float32), np.zeros(3, bool)
    )
    one, two = (classify(path, [person], model, CONFIG, (768, 432)) for _ in range(2))
    assert one == two
    assert one[0].crops == 3 and one[0].gender != UNKNOWN
