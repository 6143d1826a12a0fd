"""Files become videos: replaced, renamed, deleted, late, doubled, broken."""

import datetime as dt
import os
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pc_pipeline.stages.arrivals import give
from pc_pipeline.stages.registration import register
from pc_pipeline.stages.runner import run_stage
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.store.registry import days_without_daily
from pc_pipeline_tests import clips
from pc_pipeline_tests.stages.inbox import DAY, SITE
from pc_pipeline_tests.stages.world import local

NEXT = DAY + dt.timedelta(days=1)
NINE, TEN, NEXT_NINE = "door_20260301_090000.mp4", "door_20260301_100000.mp4", "door_20260302_090000.mp4"


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> dict[str, bytes]:
    """Small videos that differ, by name."""
    folder = tmp_path_factory.mktemp("content")
    made = {}
    for place, name in enumerate("abc"):
        pictures = [clips.picture(160, 120, [(10 + place * 20, 20, 40 + place * 20, 100)])] * (10 + place)
        made[name] = clips.write(folder / f"{name}.mp4", pictures).read_bytes()
    return made


def test_a_file_becomes_a_video_and_a_second_look_changes_nothing(inbox, content):
    inbox.put(NINE, content["a"])
    report = inbox.settle()[DAY]
    assert (report.new, report.registered, report.not_counted) == (1, [str(inbox.path(NINE))], [])
    assert inbox.videos() == [("03-01 09:00", NINE, "present")]
    again = inbox.register()
    assert (again.new, again.changed, again.content) == (0, [], report.content)


def test_a_replaced_file_is_the_same_video_with_new_content(inbox, content):
    inbox.put(NINE, content["a"])
    before = inbox.settle()[DAY].content
    inbox.put(NINE, content["b"])
    report = inbox.settle()[DAY]
    assert report.content[0][0] == before[0][0]
    assert report.content[0][1] != before[0][1]
    assert report.changed == [(str(inbox.path(NINE)), "replaced: its content is new, and is counted anew")]


def test_a_file_replaced_by_rubbish_keeps_the_results_of_what_it_was(inbox, content):
    inbox.put(NINE, content["a"])
    inbox.settle()
    inbox.put(NINE, b"no video at all" * 20)
    (problem,) = inbox.settle()[DAY].not_counted
    assert problem[1] == "quarantined" and "is not a video" in problem[2]
    assert inbox.videos() == [("03-01 09:00", NINE, "source deleted")]
    inbox.put(NINE, content["a"])
    inbox.settle()
    assert inbox.videos() == [("03-01 09:00", NINE, "present")]


@pytest.mark.parametrize("order", ["gone first", "new first"])
@pytest.mark.parametrize("name", ["door-20260301-090000.mp4", TEN, NEXT_NINE], ids=["same start", "same day", "next"])
def test_a_renamed_file_is_counted_once_under_its_new_name(inbox, content, name, order):
    inbox.put(NINE, content["a"])
    inbox.settle()
    inbox.path(NINE).rename(inbox.path(name))
    days = [date for _, date in inbox.look().days]
    reports = {date: inbox.register(date) for date in (days if order == "gone first" else days[::-1])}
    reports |= inbox.settle()
    assert [video[1:] for video in inbox.videos()] == [(name, "present")]
    assert inbox.files() == {NINE: "missing", name: "registered"}
    assert inbox.reason(NINE) == f"The file is gone; the same recording is counted as {inbox.path(name)}."
    date = NEXT if name == NEXT_NINE else DAY
    assert reports[date].registered == [str(inbox.path(name))]


def test_a_rename_is_told(inbox, content):
    inbox.put(NINE, content["a"])
    inbox.settle()
    inbox.path(NINE).rename(inbox.path(TEN))
    assert inbox.settle()[DAY].changed == [(str(inbox.path(TEN)), f"renamed from {inbox.path(NINE)}")]


def test_a_deleted_file_keeps_its_video_and_may_come_back_again_and_again(inbox, content):
    path = inbox.put(NINE, content["a"])
    inbox.settle()
    for _ in range(2):
        shutil.move(path, path.with_suffix(".away"))
        (problem,) = inbox.settle()[DAY].not_counted
        assert problem[1] == "missing" and "its results, if any, stay" in problem[2]
        assert inbox.videos() == [("03-01 09:00", NINE, "source deleted")]
        # With the time it had: it is the same file.
        shutil.move(path.with_suffix(".away"), path)
        assert inbox.settle()[DAY].changed == [(str(path), "is back")]
        assert inbox.videos() == [("03-01 09:00", NINE, "present")]


def test_a_late_file_is_told(inbox, content):
    inbox.put(NEXT_NINE, content["a"])
    inbox.settle()
    inbox.put(NINE, content["b"])
    ((path, what),) = inbox.settle()[DAY].changed
    assert Path(path).name == NINE and what.startswith("late")


@pytest.mark.parametrize("copy", [TEN, NEXT_NINE], ids=["same day", "next day"])
def test_a_duplicate_counts_once_its_original_is_gone(inbox, content, copy):
    inbox.put(NINE, content["a"])
    inbox.put(copy, content["a"])
    inbox.settle()
    assert inbox.files() == {NINE: "registered", copy: "duplicate"}
    assert NINE in inbox.reason(copy)
    inbox.path(NINE).unlink()
    inbox.settle()
    assert inbox.files() == {NINE: "missing", copy: "registered"}
    assert [video[1:] for video in inbox.videos()] == [(copy, "present")]


def test_a_duplicate_counts_once_its_original_holds_something_else(inbox, content):
    inbox.put(NINE, content["a"])
    inbox.put(NEXT_NINE, content["a"])
    inbox.settle()
    inbox.put(NINE, content["b"])
    inbox.settle()
    assert inbox.files() == {NINE: "registered", NEXT_NINE: "registered"}


def test_files_in_any_order_of_arrival_and_of_runs_end_alike(inbox, content):
    files = {
        NINE: "a",
        "door-20260301-090000.mp4": "b",
        TEN: "b",
        NEXT_NINE: "a",
        "door_20260302_100000.mp4": "c",
        "door_20260228_090000.mp4": "c",
    }
    ends = set()
    for seed in range(6):
        rng = random.Random(seed)
        for name in rng.sample(list(files), len(files)):
            inbox.put(name, content[files[name]])
            if rng.random() < 0.6:
                inbox.settle(rng)
        inbox.settle(rng)
        ends.add((*sorted(inbox.files().items()), *inbox.videos()))
        inbox.empty()
    assert len(ends) == 1


def test_of_two_files_with_one_start_the_second_counts_when_the_first_turns_out_a_copy(inbox, content):
    first, second = "door-20260301-090000.mp4", NINE
    assert first < second
    inbox.put(first, content["a"])
    inbox.put(second, content["b"])
    inbox.settle()
    assert inbox.files() == {first: "registered", second: "quarantined"}
    inbox.put("door_20260228_090000.mp4", content["a"])
    inbox.settle()
    assert inbox.files()[first] == "duplicate"
    assert inbox.files()[second] == "registered"


def test_a_broken_file_is_quarantined_with_one_sentence_and_the_rest_goes_on(inbox, content):
    broken = {
        "door_20260301_110000.mp4": (clips.not_a_video, "is not a video"),
        "door_20260301_111000.mp4": (clips.zero_bytes, "is empty (0 bytes)"),
        "door_20260301_112000.mp4": (clips.without_moov, "cut off before its index"),
        "door_20260301_113000.avi": (clips.zero_frames, "holds no frame"),
    }
    for name, (make, _) in broken.items():
        make(inbox.path(name))
        os.utime(inbox.path(name), (1, 1))
    inbox.put(NINE, content["a"])
    report = inbox.settle()[DAY]
    assert report.registered == [str(inbox.path(NINE))]
    assert [Path(path).name for path, *_ in report.not_counted] == sorted(broken)
    for path, status, reason in report.not_counted:
        assert status == "quarantined" and broken[Path(path).name][1] in reason
        assert "\n" not in reason and "Traceback" not in reason


def test_two_empty_files_are_no_duplicates_of_one_another(inbox):
    for name in (NINE, TEN):
        clips.zero_bytes(inbox.path(name))
        os.utime(inbox.path(name), (1, 1))
    inbox.settle()
    assert inbox.files() == {NINE: "quarantined", TEN: "quarantined"}


def test_a_name_in_the_hour_that_comes_twice_is_told(inbox, content):
    name = "door_20251026_013000.mp4"
    inbox.put(name, content["a"])
    ((path, warning),) = inbox.settle()[dt.date(2025, 10, 26)].warnings
    assert Path(path).name == name and "which the clocks showed twice that night" in warning


@pytest.mark.parametrize(("camera", "day"), [("door", NEXT), ("gate", DAY)])
def test_a_file_given_a_wrong_start_or_camera_and_then_the_right_one_counts_once(inbox, content, tmp_path, camera, day):
    path = tmp_path / "export.mp4"
    path.write_bytes(content["a"])
    inbox.world.execute("INSERT INTO cameras (camera) VALUES ('gate')")
    given = give(inbox.machine, SITE, path, "door", local("2026-03-01 09:00:00"), given=True)
    assert given == {("door", DAY)}
    inbox.register(DAY)
    given = give(inbox.machine, SITE, path, camera, local(f"{day} 09:00:00"), given=True)
    assert given == {("door", DAY), (camera, day)}, "where it was counted, the hours change"
    register(inbox.machine, [], camera, day)
    assert inbox.world.rows("SELECT camera, date FROM videos") == [(camera, day)]


def test_an_export_written_over_with_another_recording_keeps_what_was_counted(inbox, content, tmp_path):
    path = tmp_path / "export.mp4"
    path.write_bytes(content["a"])
    give(inbox.machine, SITE, path, "door", local("2026-03-01 09:00:00"), given=True)
    inbox.register(DAY)
    path.write_bytes(content["b"])
    give(inbox.machine, SITE, path, "door", local("2026-03-02 09:00:00"), given=True)
    inbox.register(NEXT)
    inbox.register(DAY)
    assert inbox.videos() == [
        ("03-01 09:00", "export.mp4", "source deleted"),
        ("03-02 09:00", "export.mp4", "present"),
    ]


def test_what_was_given_by_hand_stays_where_it_was_put_whatever_the_name_says(inbox, content):
    path = inbox.put(NINE, content["a"])
    give(inbox.machine, SITE, path, "door", local("2026-03-02 15:00:00"), given=True)
    inbox.register(NEXT)
    assert inbox.register(DAY).registered == []
    assert inbox.look().days == {}
    assert inbox.videos() == [("03-02 15:00", NINE, "present")]


# Root may read everything: an ordinary user looks.
_AS_NOBODY = """
import os, sys
import cv2
from pathlib import Path
from pc_pipeline.stages import registration
from pc_pipeline.store.registry import FileRow
os.setgroups([]); os.setgid(65534); os.setuid(65534)
row = registration._look(FileRow(sys.argv[1], "door", None, None, -1, -1, "quarantined"), Path("/")).row
print(row.status, row.mtime_ns, row.reason)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_file_that_may_not_be_read_says_so(content, tmp_path_factory):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / NINE
        path.write_bytes(content["a"])
        path.chmod(0o600)
        found = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, str(path)], capture_output=True, text=True, check=True
        ).stdout
    assert found.startswith("quarantined -1 The file cannot be read (Permission denied): check its permissions")


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory) -> bytes:
    """Long enough that something can happen while it is looked at."""
    rng = np.random.default_rng(1)
    pictures = (rng.integers(0, 255, (120, 160, 3), np.uint8) for _ in range(60))
    return clips.write(tmp_path_factory.mktemp("long") / "long.mkv", pictures).read_bytes()


@pytest.mark.parametrize("event", ["shrinks", "vanishes", "is replaced"])
def test_a_file_that_changes_while_it_is_read_waits_and_is_counted_when_it_is_whole(
    inbox, long_clip, event, monkeypatch
):
    monkeypatch.setattr("pc_pipeline.vision.detect.PROGRESS_EVERY_S", 0)
    name = "door_20260301_090000.mkv"
    path = inbox.put(name, long_clip)
    inbox.settle()
    seen = []

    def interfere(_, progress):
        seen.append(progress.done_s)
        if len(seen) != 5:
            return
        if event == "shrinks":
            os.truncate(path, 1000)
        else:
            path.unlink()
        if event == "is replaced":
            path.write_bytes(long_clip + b"\0")

    report = run_stage("raw_detections", replace(inbox.machine, progress=interfere), "door", DAY)
    assert seen[4] < 1, "it was to happen in the middle of the video"
    assert report.computed == 0
    ((at, why),) = report.waiting
    assert at == str(path) and "again later" in why and "\n" not in why
    assert inbox.world.rows("SELECT status FROM sessions") == [("cancelled",)]
    inbox.settle()
    inbox.put(name, long_clip)
    inbox.settle()
    assert run_stage("raw_detections", inbox.machine, "door", DAY).computed == 1
    assert inbox.world.rows("SELECT frames, status FROM sessions") == [(60, "active")]


def test_what_a_removed_video_leaves_is_rolled_up_again(inbox, content):
    """Two videos of a day; one turns out to be a copy of an older one: its hour goes, and the day is made anew."""
    for name, hold in ((NINE, "a"), (TEN, "b")):
        inbox.put(name, content[hold])
    inbox.settle()
    inbox.world.settle()
    assert inbox.world.count("hourly_statistics") == 2
    inbox.put("door_20260228_100000.mp4", content["b"])
    inbox.settle()
    assert inbox.world.count("daily_statistics") == 0
    days, _ = in_transaction(inbox.machine.dsn, lambda connection: days_without_daily(connection, "door"))
    assert days == {DAY}
    inbox.world.settle()
    assert inbox.world.rows("SELECT date FROM daily_statistics ORDER BY 1") == [(DAY - dt.timedelta(days=1),), (DAY,)]
    assert inbox.world.count("hourly_statistics") == 2
