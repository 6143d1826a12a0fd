"""What tracks are read against: ByteTrack at its defaults, and the same boxes perfectly associated."""

import numpy as np
import pytest

from pc_pipeline.evaluation.metrics import scores
from pc_pipeline.evaluation.references import bytetrack, perfect
from pc_pipeline_tests.clips import detections_of
from pc_pipeline_tests.clips import walk as feet
from pc_pipeline_tests.evaluation.people import TALL, walk

FRAMES = range(60)
ONE, OTHER = walk(4, (100, 540), 200, FRAMES), walk(9, (540, 100), 210, FRAMES)
PATHS = [feet((100, 200), (540, 200), 60), feet((540, 210), (100, 210), 60)]


def test_perfect_association_follows_everyone_through_a_crossing_and_over_a_short_gap():
    paths = [path.copy() for path in PATHS]
    paths[0][20:30] = np.nan
    tracks = perfect(detections_of(paths, TALL), [ONE, OTHER])
    assert [track.track_id for track in tracks] == [4, 9]
    found = scores([ONE, OTHER], tracks, np.array(FRAMES))
    assert (found["IDF1"], found["IDSW"], found["recall"]) == (1, 0, 1)
    np.testing.assert_allclose(tracks[0].boxes, ONE.boxes, atol=0.01)
    assert np.flatnonzero(tracks[0].interpolated).tolist() == list(range(20, 30))


def test_perfect_association_leaves_a_long_gap_and_boxes_of_nobody():
    paths = [path.copy() for path in PATHS]
    paths[0][15:45] = np.nan
    nobody = paths[1] + [0, 150]
    (track,) = perfect(detections_of([paths[0], nobody], TALL), [ONE])
    assert track.frame_number.tolist() == [*range(15), *range(45, 60)]
    assert not track.interpolated.any()


def test_bytetrack_gives_its_own_ids_and_fills_nothing():
    apart = [PATHS[0], PATHS[1] + [0, 250]]
    apart[0][20:25] = np.nan
    tracks = bytetrack(detections_of(apart, TALL))
    assert [track.track_id for track in tracks] == [1, 2]
    assert not any(track.interpolated.any() for track in tracks)
    # It is sure of a person at the second sighting.
    assert tracks[1].frame_number.tolist() == list(range(1, 60))
    assert set(tracks[0].frame_number) == {*range(1, 20), *range(25, 60)}


@pytest.mark.parametrize("frames", [1, 3])
def test_a_video_without_detections_has_no_tracks(frames):
    nobody = detections_of([np.full((frames, 2), np.nan)], TALL)
    assert bytetrack(nobody) == perfect(nobody, [ONE]) == []
