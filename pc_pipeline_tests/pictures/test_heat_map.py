"""The heat map counts seconds, whatever the frame rate, and shows them where they were."""

import numpy as np

from pc_pipeline.counting.geometry import Line
from pc_pipeline.pictures.heat_map import CELL, heat_map, lasting, presence, spoken
from pc_pipeline.pictures.plan import Plan
from pc_pipeline.pictures.png import LARGEST, png
from pc_pipeline_tests.clips import walk
from pc_pipeline_tests.pictures.figures import HEIGHT, WIDTH, track_of

SIZE = (WIDTH, HEIGHT)
PLAN = Plan(HEIGHT / WIDTH, {"door": Line((0.5, 0), (0.5, 1), "right")}, {}, {"door": (14, 18)})
CELLS = PLAN.cells(CELL)


def stands(x: float, y: float, seconds: float = 10.0, fps: int = 10, tall: float = 80.0):
    return track_of(np.full((round(seconds * fps) + 1, 2), (x, y)), fps=fps, tall=tall)


def test_who_stands_ten_seconds_on_a_spot_gives_ten_seconds_there_and_none_two_steps_away():
    for tall in (80.0, 30.0):
        seconds = presence([stands(100, 120, tall=tall)], SIZE, CELLS)
        assert np.isclose(seconds.max(), 10.0, rtol=0.01)
        row, column = np.unravel_index(seconds.argmax(), seconds.shape)
        assert abs(column / CELLS[1] - 100 / WIDTH) < 0.02 and abs(row / CELLS[0] - 120 / HEIGHT) < 0.02
        step = round(0.7 * tall / WIDTH * CELLS[1])
        assert seconds[row, column + step] < 0.01


def test_the_frame_rate_changes_nothing():
    path = np.vstack([walk((50, 150), (250, 150), 60), walk((250, 150), (60, 200), 61)])
    every, third = (presence([track_of(path, every=n)], SIZE, CELLS) for n in (1, 3))
    assert np.isclose(every.sum(), third.sum(), rtol=0.01)
    assert np.abs(every - third).max() < 0.15 * every.max()


def test_mirrored_people_give_the_mirrored_map_and_videos_add_up():
    path = walk((60.5, 150.5), (250.5, 180.5), 40)
    mirrored = np.column_stack([WIDTH - path[:, 0], path[:, 1]])
    one, other = (presence([track_of(p)], SIZE, CELLS) for p in (path, mirrored))
    assert np.allclose(one, other[:, ::-1], atol=1e-6)
    assert np.allclose(presence([track_of(path), track_of(mirrored, track_id=2)], SIZE, CELLS), one + other)


def test_sightings_last_as_long_as_their_track():
    times = np.array([0, 100_000, 150_000, 1_000_000])
    assert lasting(times).tolist() == [50_000, 75_000, 450_000, 425_000]
    assert lasting(times[:1]).tolist() == [0]


def test_the_picture_is_small_darkest_where_people_were_longest_and_shows_the_lines():
    seconds = presence([stands(60, 120, 60), stands(250, 200, 5)], SIZE, CELLS)
    picture = heat_map(seconds, PLAN)
    width, height = PLAN.size
    grey = picture.mean(axis=2)

    def at(x, y):
        return grey[round(y / HEIGHT * height), round(x / WIDTH * width)]

    assert at(60, 120) < 60 < at(250, 200) < at(200, 60) - 20
    without = heat_map(seconds, Plan(HEIGHT / WIDTH))
    assert (picture != without).any(axis=2)[height // 2, width // 2]
    assert png(picture).startswith(b"\x89PNG") and len(png(picture)) < LARGEST


def test_durations_are_spoken_shortly():
    assert [spoken(s) for s in (0.3, 100, 300, 3600, 30000)] == ["0.3 s", "100 s", "5 min", "60 min", "8 h"]
