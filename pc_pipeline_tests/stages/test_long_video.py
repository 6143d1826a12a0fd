"""A video longer than a window of tracking: its rows are those of one video, each track and each box once."""

import datetime as dt

import numpy as np

from pc_pipeline.stages.versions import RAW_DETECTIONS, STAGES, TRACKS
from pc_pipeline.vision.detect import PIECE_FRAMES
from pc_pipeline.vision.track.windows import WINDOW_S
from pc_pipeline_tests.stages.world import across, local

SECONDS, FPS = 700, 5


def walks(begins, y):
    """One after the other from left to right, each for six seconds, in a video of `SECONDS`."""
    path = np.full((SECONDS * FPS, 2), np.nan)
    for begin in begins:
        path[begin * FPS : (begin + 6) * FPS] = across(6 * FPS, y=y)
    return path


def test_a_long_video_has_its_tracks_and_detections_once_and_in_order(world):
    assert SECONDS > WINDOW_S and SECONDS * FPS > 3 * PIECE_FRAMES
    sitter = np.tile([200.0, 250.0], (SECONDS * FPS, 1))
    begins = range(14, SECONDS - 10, 20)
    # One of them walks while the first window ends.
    assert any(begin < WINDOW_S - 23 < begin + 6 for begin in begins)
    world.film(local("2026-03-03 09:00:00"), sitter, walks(begins, 420), seconds=np.arange(SECONDS * FPS) / FPS)
    reports = world.run(dt.date(2026, 3, 3), STAGES)
    assert reports[RAW_DETECTIONS].rows == reports[TRACKS].rows == world.count("detections")
    tracks = world.rows(
        "SELECT track_id, (trajectory->'t_us'->>0)::bigint / 1000000, detection_count FROM tracks ORDER BY track_id"
    )
    expected = [(1, 0, SECONDS * FPS), *((number, begin, 6 * FPS) for number, begin in enumerate(begins, start=2))]
    assert tracks == expected
    assert world.rows("SELECT track_id, count(*) FROM detections GROUP BY track_id ORDER BY track_id") == [
        (number, count) for number, _, count in expected
    ]
    assert world.rows("SELECT entered, exited, unique_total FROM session_statistics") == [
        (len(begins), 0, len(begins) + 1)
    ]
