"""Stored boxes to tracks: one a person, the same every time, with gaps filled and ghosts dropped."""

from types import SimpleNamespace

import numpy as np
import pytest

from pc_pipeline.vision.arrays import Detections
from pc_pipeline.vision.track import track
from pc_pipeline_tests.clips import detections_of, walk

FRAME = (640, 480)


def settings(**changes):
    defaults = dict(
        high_confidence=0.5, new_track_confidence=0.6, min_iou=0.1, lost_after=2.0, min_duration=0.5, min_sightings=3
    )
    return SimpleNamespace(**{**defaults, **changes})


def test_two_people_are_two_tracks_in_order_of_appearance():
    late = walk((600, 300), (100, 300), 40)
    late[:10] = np.nan
    detections = detections_of([late, walk((50, 450), (550, 450), 40)], tall=150)
    tracks, track_ids = track(detections, settings(), FRAME)
    assert [one.track_id for one in tracks] == [1, 2]
    assert [one.time_us[0] for one in tracks] == [0, 1_000_000]
    assert (track_ids > 0).all()
    assert tracks[0].foot[:, 1] == pytest.approx(450)
    # The first sighting is taken back, though ByteTrack numbers a track at its second only.
    assert len(tracks[0].frame_number) == 40 and len(tracks[1].frame_number) == 30


def test_a_person_unseen_for_a_moment_is_filled_in_and_flagged():
    path = walk((50, 400), (550, 400), 40)
    hidden = path.copy()
    hidden[18:24] = np.nan
    tracks, track_ids = track(detections_of([hidden], tall=150), settings(), FRAME)
    assert len(tracks) == 1
    assert np.flatnonzero(tracks[0].interpolated).tolist() == list(range(18, 24))
    assert tracks[0].foot == pytest.approx(path, abs=0.01)
    assert len(track_ids) == 34


def test_a_person_away_for_longer_than_lost_after_is_a_new_track():
    path = walk((50, 400), (200, 400), 60)
    path[15:45] = np.nan
    together, _ = track(detections_of([path], tall=150), settings(lost_after=4.0), FRAME)
    apart, _ = track(detections_of([path], tall=150), settings(lost_after=1.0), FRAME)
    assert (len(together), len(apart)) == (1, 2)


@pytest.mark.parametrize("fps", [5, 10, 25])
def test_lost_after_is_in_seconds_at_any_frame_rate(fps):
    path = walk((50, 400), (150, 400), 8 * fps)
    path[2 * fps : 5 * fps] = np.nan
    assert len(track(detections_of([path], tall=150, fps=fps), settings(lost_after=4.0), FRAME)[0]) == 1
    assert len(track(detections_of([path], tall=150, fps=fps), settings(lost_after=2.0), FRAME)[0]) == 2


def test_ghosts_are_dropped_by_length_and_by_confidence():
    blink = walk((50, 400), (60, 400), 30)
    blink[3:] = np.nan
    assert track(detections_of([blink], tall=150), settings(), FRAME)[0] == []
    weak = detections_of([walk((50, 400), (550, 400), 30)], tall=150, confidence=0.4)
    tracks, track_ids = track(weak, settings(), FRAME)
    assert tracks == [] and (track_ids == 0).all()


def test_nothing_in_nothing_out():
    empty = Detections(
        np.arange(5, dtype=np.int32),
        np.arange(5, dtype=np.int64) * 100_000,
        np.zeros(6, np.int64),
        np.empty((0, 4), np.float32),
        np.empty(0, np.float32),
        np.empty(0, np.int16),
    )
    tracks, track_ids = track(empty, settings(), FRAME)
    assert tracks == [] and track_ids.shape == (0,)


def test_the_same_boxes_give_the_same_tracks():
    rng = np.random.default_rng(3)
    paths = [walk(rng.uniform(50, 450, 2), rng.uniform(50, 450, 2), 60) + rng.normal(0, 3, (60, 2)) for _ in range(6)]
    detections = detections_of(paths, tall=120)
    (one, ids_one), (two, ids_two) = (track(detections, settings(), FRAME) for _ in range(2))
    assert np.array_equal(ids_one, ids_two)
    for first, second in zip(one, two, strict=True):
        assert all(np.array_equal(getattr(first, name), getattr(second, name)) for name in vars(first))


def test_every_detection_of_a_track_is_a_sighting_of_it():
    rng = np.random.default_rng(4)
    paths = [walk(rng.uniform(50, 450, 2), rng.uniform(50, 450, 2), 60) for _ in range(6)]
    detections = detections_of(paths, tall=120)
    tracks, track_ids = track(detections, settings(), FRAME)
    for one in tracks:
        rows = np.flatnonzero(track_ids == one.track_id)
        assert np.array_equal(
            detections.frame_number[detections.frame_index[rows]], one.frame_number[~one.interpolated]
        )
        assert np.array_equal(detections.boxes[rows], one.boxes[~one.interpolated])
