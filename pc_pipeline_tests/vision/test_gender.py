"""Gender from whole, large, uncovered people only; everyone else is unknown.

`people.csv` holds what somebody saw in the sample videos: boxes, whether the person in them is whole, cut off or
covered, and the apparent gender.
"""

import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from pc_pipeline.errors import ModelCorrupt
from pc_pipeline.ingest.site import Calibration, GenderConfig
from pc_pipeline.vision.arrays import Track
from pc_pipeline.vision.gender import (
    FEMALE,
    MALE,
    UNKNOWN,
    LooseBoxes,
    SeenBoxes,
    _verdict,
    as_seen,
    choose_sightings,
    classify,
    fit_calibration,
)
from pc_pipeline.vision.models import ModelFile, resolve
from pc_pipeline_tests import clips

FRAME = (640, 480)
CONFIG = GenderConfig()
NO_BOXES = LooseBoxes(np.empty(0, np.int32), np.empty((0, 4), np.float32))
PEOPLE = Path(__file__).with_name("people.csv")


def a_track(
    track_id: int, boxes: list[tuple[float, float, float, float]], interpolated: bool = False, confidence: float = 0.9
) -> Track:
    count = len(boxes)
    return Track(
        track_id,
        np.arange(count, dtype=np.int32),
        np.arange(count, dtype=np.int64) * 100_000,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(count, confidence, np.float32),
        np.full(count, interpolated),
    )


def chosen(*tracks: Track, loose: LooseBoxes = NO_BOXES, config: GenderConfig = CONFIG) -> list[list[int]]:
    return choose_sightings(tracks, loose, config, FRAME)


WHOLE = (200, 100, 260, 300)


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ((3, 100, 63, 300), "cut off at the left"),
        ((577, 100, 637, 300), "cut off at the right"),
        ((200, 276, 260, 476), "the feet are out of the picture"),
        ((200, 1, 260, 201), "the head is out of the picture"),
        ((200, 100, 230, 190), "too small"),
        ((200, 100, 310, 300), "from the head to the hips"),
        ((200, 100, 400, 300), "a bag, an arm or a group"),
    ],
)
def test_unfit_sightings_are_never_shown_to_the_model(box, why):
    assert chosen(a_track(1, [box] * 10)) == [[]], why


def test_a_person_half_hidden_behind_a_desk_is_never_shown_though_the_path_is_whole():
    boxes = np.array([WHOLE] * 20, np.float32)
    boxes[10:, 3] -= 80  # the legs are behind the desk
    seen = SeenBoxes(np.ones(20, np.int32), np.arange(20, dtype=np.int32), boxes)
    (track,) = as_seen([a_track(1, [WHOLE] * 20)], seen)
    assert (track.boxes == boxes).all()
    assert track.interpolated.tolist() == [False] * 10 + [True] * 10
    (picked,) = chosen(track)
    assert picked and max(picked) < 10


def test_a_sighting_without_a_box_is_never_shown():
    seen = SeenBoxes(np.full(3, 2, np.int32), np.arange(3, dtype=np.int32), np.array([WHOLE] * 3, np.float32))
    assert chosen(*as_seen([a_track(1, [WHOLE] * 3)], seen)) == [[]]


def test_guessed_and_unsure_boxes_are_never_shown_to_the_model():
    assert chosen(a_track(1, [WHOLE] * 10, interpolated=True)) == [[]]
    assert chosen(a_track(1, [WHOLE] * 10, confidence=0.4)) == [[]]


def test_people_who_cover_each_other_are_left_out_while_they_do_and_a_moment_before_and_after():
    walks_by = [(200 + 10 * n, 100, 260 + 10 * n, 300) for n in range(20)]
    # From frame 6 on they are apart, and from frame 11 on for more than half a second.
    stands, passes = chosen(a_track(1, [WHOLE] * 20), a_track(2, walks_by))
    assert stands and passes
    assert min(stands + passes) == 11


def test_a_detection_in_no_track_covers_too():
    loose = LooseBoxes(np.array([12], np.int32), np.array([[230, 100, 290, 300]], np.float32))
    (picked,) = chosen(a_track(1, [WHOLE] * 20), loose=loose)
    assert picked and not set(picked) & set(range(7, 18))


def test_the_largest_are_chosen_spread_in_time():
    growing = [(200.0, 100.0, 260.0, 220.0 + 2 * n) for n in range(50)]
    # Apart by half of the ten that five would be apart at most: neighbouring frames show one pose.
    assert chosen(a_track(1, growing)) == [[49, 44, 39, 34, 29]]
    assert chosen(a_track(1, growing), config=GenderConfig(min_gap=1.0)) == [[49, 39, 29, 19, 9]]


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


def test_every_track_gets_one_row_and_without_a_fit_crop_no_model_is_loaded(tmp_path):
    nowhere = ModelFile("none", "gender", "openvino", tmp_path / "none.xml", "", ())
    tiny = a_track(3, [(10, 10, 20, 40)] * 5)
    rows = classify(tmp_path / "none.mp4", [tiny], NO_BOXES, nowhere, CONFIG, FRAME)
    assert [(row.track_id, row.gender) for row in rows] == [(3, UNKNOWN)]


def test_a_damaged_model_is_called_corrupt(tmp_path):
    broken = tmp_path / "broken.xml"
    broken.write_text("<net")
    path = clips.write(tmp_path / "clip.mp4", [clips.picture(*FRAME)] * 3)
    model = ModelFile("broken", "gender", "openvino", broken, "", ())
    with pytest.raises(ModelCorrupt):
        classify(path, [a_track(1, [WHOLE] * 3)], NO_BOXES, model, CONFIG, FRAME)


def labelled(video: str) -> tuple[list[Track], list[str], LooseBoxes, list[list[str]]]:
    """The people of a sample video as tracks, their labels, the boxes beside them, and how whole each sighting is."""
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in csv.DictReader(PEOPLE.open()):
        if row["video"] == video:
            rows[row["person"]].append(row)
    loose = rows.pop("loose", [])

    def boxes(people: list[dict[str, str]]) -> np.ndarray:
        return np.array([[row[edge] for edge in ("x1", "y1", "x2", "y2")] for row in people], np.float32).reshape(-1, 4)

    tracks = []
    for track_id, sightings in enumerate(rows.values(), 1):
        numbers = np.array([row["frame"] for row in sightings], np.int32)
        confidence = np.array([row["confidence"] for row in sightings], np.float32)
        seen = np.zeros(len(sightings), bool)
        tracks.append(Track(track_id, numbers, numbers * np.int64(100_000), boxes(sightings), confidence, seen))
    beside = LooseBoxes(np.array([row["frame"] for row in loose], np.int32), boxes(loose))
    views = [[row["view"] for row in sightings] for sightings in rows.values()]
    return tracks, [sightings[0]["label"] for sightings in rows.values()], beside, views


@pytest.mark.parametrize(("video", "size"), [("one-by-one", (768, 432)), ("pets2009-s2l1", (480, 360))])
def test_of_real_people_only_whole_ones_in_full_view_are_shown_to_the_model(video, size):
    tracks, _, loose, views = labelled(video)
    config = GenderConfig(min_height_px=60, crops=50, min_gap=0.0)
    picked = choose_sightings(tracks, loose, config, size)
    assert {view for of_track in views for view in of_track} > {"whole"}
    assert {of_track[index] for of_track, best in zip(views, picked, strict=True) for index in best} == {"whole"}


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
    told = classify(path, tracks, loose, model, GenderConfig(min_height_px=least_px), size)
    assert classify(path, tracks, loose, model, GenderConfig(min_height_px=least_px), size) == told, "another time"
    names = {UNKNOWN: "unknown", MALE: "male", FEMALE: "female"}
    pairs = Counter((label, names[row.gender]) for label, row in zip(labels, told, strict=True) if label != "unclear")
    agreed = sum(count for (label, gender), count in pairs.items() if label == gender)
    unknown = sum(count for (_, gender), count in pairs.items() if gender == "unknown")
    assert (agreed, sum(pairs.values()) - agreed - unknown) == (correct, wrong), pairs
