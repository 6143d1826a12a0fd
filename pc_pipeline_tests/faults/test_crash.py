"""A video that makes the decoder crash kills one run, and then no more."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from pc_pipeline.stages import detecting
from pc_pipeline.stages.fingerprints import RAW_DETECTIONS
from pc_pipeline.vision.decode import Frame
from pc_pipeline.vision.detect.hog import HogDetector
from pc_pipeline_tests import clips
from pc_pipeline_tests.stages.world import assert_same_rows, die, local, start

NINE, TEN = "2026-03-03 09:00:00", "2026-03-03 10:00:00"


def crash(*arguments):
    os.kill(os.getpid(), signal.SIGSEGV)


def run_and_die(world):
    world.machine = replace(world.machine, progress=lambda path, progress: die())
    world.run(local(NINE).date())


@pytest.fixture
def two_videos(world, tmp_path):
    first = world.add_file(local(NINE), clips.write(tmp_path / "first.mp4"))
    second = world.add_file(local(TEN), clips.write(tmp_path / "second.mp4", codec="h264"))
    process = start(run_and_die, world)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    return first, second


def test_a_video_over_which_two_processes_died_is_quarantined_and_the_rest_goes_on(world, two_videos, monkeypatch):
    monkeypatch.setattr(detecting, "_begin_to_look", crash)
    report = world.run(local(NINE).date())[RAW_DETECTIONS]
    ((path, reason),) = report.quarantined
    assert path.endswith("first.mp4") and "two processes died while they looked at it" in reason
    assert report.computed == 1
    assert world.rows("SELECT status FROM sessions ORDER BY started_at") == [("error",), ("completed",)]
    world.settle()


def test_a_video_whose_run_was_killed_by_somebody_is_counted_like_any_other(worlds, world, two_videos, tmp_path):
    undisturbed = worlds()
    for name, when in (("first", NINE), ("second", TEN)):
        undisturbed.add_file(local(when), tmp_path / f"{name}.mp4")
    undisturbed.settle()
    world.settle()
    assert_same_rows(world.machine.dsn, undisturbed.machine.dsn)


@pytest.mark.parametrize("size", [(16, 16), (32, 48), (48, 47), (640, 30), (20, 300), (32, 56)])
def test_pictures_too_small_for_the_people_detector_hold_nobody(size):
    width, height = size
    frame = Frame(0, 0, np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))
    ((_, boxes),) = HogDetector(0.3, 0.5, (0,), size).detect([frame])
    assert len(boxes.boxes) == 0 or (width, height) == (32, 56)
