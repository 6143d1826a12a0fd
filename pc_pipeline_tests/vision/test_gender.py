"""A track's crops vote on its gender; where they are few, or cannot agree, it is unknown."""

from collections import Counter

import numpy as np
import pytest

from pc_pipeline.errors import ModelCorrupt
from pc_pipeline.ingest.site import Calibration, GenderConfig
from pc_pipeline.vision.crops import Crops, choose_crops
from pc_pipeline.vision.gender import FEMALE, MALE, UNKNOWN, _verdict, fit_calibration, judge_crops
from pc_pipeline.vision.models import ModelFile, resolve
from pc_pipeline_tests import clips
from pc_pipeline_tests.vision.people import labelled, seen_of

CONFIG = GenderConfig()


@pytest.mark.parametrize(
    ("log_odds", "gender"),
    [
        ([], UNKNOWN),
        ([4.0, 4.0], UNKNOWN),  # two crops are no vote
        ([0.3, 0.2, 0.4], UNKNOWN),  # within the band
        ([-0.6, -0.6, -0.6], UNKNOWN),
        ([-0.7, -0.7, -0.7], FEMALE),
        ([2.0, 1.5, 2.5], MALE),
        ([4.0, -3.0, 2.0], UNKNOWN),  # clear of it in the mean, but they contradict each other
        ([4.0, 2.0, 3.5, -1.0, 4.0], MALE),
    ],
)
def test_the_mean_must_be_clear_of_the_unknown_band_by_more_than_the_crops_disagree(log_odds, gender):
    verdict = _verdict(7, log_odds, CONFIG)
    assert (verdict.track_id, verdict.gender, verdict.crops) == (7, gender, len(log_odds))


def test_calibration_comes_before_the_band_and_the_stored_log_odds_stay_the_models():
    def calibrated(slope: float, offset: float):
        return _verdict(1, [-1.0, -1.0, -1.0], GenderConfig(calibration=Calibration(slope=slope, offset=offset)))

    verdicts = [calibrated(1, 0), calibrated(0.5, 0), calibrated(1, 1), calibrated(1, 2)]
    assert [verdict.gender for verdict in verdicts] == [FEMALE, UNKNOWN, UNKNOWN, MALE]
    assert {verdict.log_odds for verdict in verdicts} == {-1.0}


def test_a_fitted_calibration_finds_the_slope_and_offset_the_labels_were_drawn_with():
    random = np.random.default_rng(5)
    log_odds = random.uniform(-4, 4, 20_000)
    male = random.random(20_000) < 1 / (1 + np.exp(-(0.6 * log_odds + 0.8)))
    assert fit_calibration(log_odds, male) == pytest.approx((0.6, 0.8), abs=0.05)


def test_labels_without_a_mistake_give_a_slope_that_can_be_used_and_one_gender_alone_none():
    slope, offset = fit_calibration(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([False, False, True, True]))
    assert 0.5 < slope < 3 and offset == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="both genders"):
        fit_calibration(np.array([1.0, 2.0]), np.array([True, True]))


def crops_of(tracks: int, *rows: tuple[int, int, tuple[float, float, float, float]]) -> Crops:
    """So many tracks and (track, frame, box) of the crops, ten frames a second."""
    places, frames, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    numbers = np.array(frames, np.int32)
    return Crops(
        np.arange(1, tracks + 1, dtype=np.int32),
        np.array(places, np.int32),
        numbers,
        numbers * np.int64(100_000),
        np.array(boxes, np.float32).reshape(-1, 4),
    )


def test_every_track_gets_one_row_and_without_a_crop_no_model_is_loaded(tmp_path):
    nowhere = ModelFile("none", "gender", "openvino", tmp_path / "none.xml", "", ())
    rows = judge_crops(tmp_path / "none.mp4", crops_of(3), nowhere, CONFIG)
    assert [(row.track_id, row.gender) for row in rows] == [(1, UNKNOWN), (2, UNKNOWN), (3, UNKNOWN)]


def test_each_crop_counts_for_its_own_track_and_those_after_the_end_of_the_file_for_none(tmp_path, models_dir):
    path = clips.write(tmp_path / "clip.mp4", [clips.picture(320, 240)] * 20)
    # More than a batch, two in each frame, and the last frames are not there.
    rows = [(place, number, (100, 20, 180, 220)) for place in (0, 2) for number in range(8, 28)]
    model = resolve("person-attributes-recognition-crossroad-0230", models_dir)
    told = judge_crops(path, crops_of(4, *rows), model, CONFIG)
    assert [(row.track_id, row.crops) for row in told] == [(1, 12), (2, 0), (3, 12), (4, 0)]
    assert told[0].log_odds == told[2].log_odds != 0


def test_a_damaged_model_is_called_corrupt(tmp_path):
    broken = tmp_path / "broken.xml"
    broken.write_text("<net")
    path = clips.write(tmp_path / "clip.mp4")
    model = ModelFile("broken", "gender", "openvino", broken, "", ())
    with pytest.raises(ModelCorrupt):
        judge_crops(path, crops_of(1, (0, 3, (10, 10, 50, 110))), model, CONFIG)


@pytest.mark.parametrize(
    ("video", "size", "least_px", "correct", "wrong"),
    [
        ("one-by-one", (768, 432), 100, 4, 0),
        ("pets2009-s2l1", (480, 360), 100, 0, 0),
        ("pets2009-s2l1", (480, 360), 60, 6, 1),
    ],
)
def test_agreement_with_labels_by_hand(samples_dir, models_dir, video, size, least_px, correct, wrong):
    tracks, labels, loose, _ = labelled(video)
    (path,) = (samples_dir / video).glob("video.*")
    model = resolve("person-attributes-recognition-crossroad-0230", models_dir)
    config = GenderConfig(min_height_px=least_px)
    crops = choose_crops(tracks, [seen_of(tracks, loose)], config, size)
    told = judge_crops(path, crops, model, config)
    assert judge_crops(path, crops, model, config) == told, "another time"
    names = {UNKNOWN: "unknown", MALE: "male", FEMALE: "female"}
    pairs = Counter((label, names[row.gender]) for label, row in zip(labels, told, strict=True) if label != "unclear")
    agreed = sum(count for (label, gender), count in pairs.items() if label == gender)
    unknown = sum(count for (_, gender), count in pairs.items() if gender == "unknown")
    assert (agreed, sum(pairs.values()) - agreed - unknown) == (correct, wrong), pairs
