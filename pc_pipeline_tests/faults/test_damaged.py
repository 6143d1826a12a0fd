"""Damaged videos: none stops a run, and what is counted otherwise than the whole clip says so."""

import datetime as dt
import threading
from collections import Counter

import numpy as np
import pytest

from faults.areas.damaged import lay_down, read_outcomes
from faults.damage import DAMAGES, NAMED, damaged, whole_clips
from faults.recordings import FIRST_DAY
from pc_pipeline.ingest.names import SHIPPED
from pc_pipeline.stages.fingerprints import STAGES
from pc_pipeline.stages.registration import register
from pc_pipeline.stages.runner import run_stage
from pc_pipeline.vision.complaints import Complaints
from pc_pipeline.vision.decode import LARGEST_PIXELS, is_cut_off, read_frames
from pc_pipeline.vision.detect import Boxes, detect_video
from pc_pipeline_tests import clips
from pc_pipeline_tests.stages.world import DETECTOR

# They name other files, or claim pictures of gigabytes: whoever believed them would count those.
NEVER_COUNTED = (
    "a playlist that names another file and an address",
    "a list of files to join",
    "the same, not in ASCII",
    "a manifest (DASH), not in ASCII",
    "a picture",
    "every picture claims 65,500 x 65,500 pixels",
    "every picture is 16,000 x 16,000 pixels by its settings",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return whole_clips(tmp_path_factory.mktemp("whole"))


def test_every_kind_of_damage_is_quarantined_warned_of_or_harmless(world, whole):
    world.apply(detector=DETECTOR | {"sample_every": 1.0})
    made, wholes = lay_down(world.machine.watch_dir, whole, len(DAMAGES), seed=5, camera="door")
    for date in (FIRST_DAY + dt.timedelta(days=n) for n in range(3)):
        register(world.machine, list(SHIPPED), "door", date)
        for stage in STAGES:
            run_stage(stage, world.machine, "door", date)
    outcomes = read_outcomes(world.rows, made, wholes)
    assert [(o.damage.whole, o.damage.damage) for o in outcomes if o.what == "unnoticed"] == []
    counts = Counter(outcome.what for outcome in outcomes)
    assert counts["quarantined"] >= 15 and counts["warned"] >= 8 and counts["whole"] >= 4
    assert {o.what for o in outcomes if o.damage.damage in NEVER_COUNTED} == {"quarantined"}
    for outcome in outcomes:
        assert "\n" not in outcome.sentence and "Traceback" not in outcome.sentence
        assert outcome.what == "whole" or len(outcome.sentence) > 20
    assert world.rows("SELECT count(*) FROM sessions WHERE status <> 'completed'") == [(0,)]


def test_the_damage_is_the_same_for_the_same_seed(whole):
    first, second, other = (list(damaged(whole, 40, seed)) for seed in (1, 1, 2))
    assert first == second != other
    assert any(damage.content != whole[damage.whole] for damage in first)


def test_a_list_of_files_in_disguise_opens_none_of_them(whole, tmp_path):
    (tmp_path / NAMED).write_bytes(whole["h264.mp4"])
    disguised = tmp_path / "door.mp4"
    disguised.write_text(f"ffconcat version 1.0\n# Türkamera\nfile {NAMED}\n" + "#\n" * 99)
    with pytest.raises(Exception, match="is not a video"):
        list(read_frames(disguised))


def test_a_picture_as_large_as_an_8k_cameras_is_no_claim():
    assert LARGEST_PIXELS > 7680 * 4320


def test_complaints_of_the_decoder_are_heard_and_printed_nowhere(whole, tmp_path, capfd):
    healthy = clips.write(tmp_path / "healthy.mp4", codec="h264")
    content = bytearray(whole["h264.mp4"])
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content)
    for path, expected in ((healthy, False), (broken, True), (healthy, False)):
        complaints = Complaints()
        assert list(read_frames(path, complaints=complaints))
        assert complaints.heard == expected
    assert capfd.readouterr() == ("", "")


def test_of_two_videos_decoded_at_once_neither_loses_its_complaints(whole, tmp_path):
    content = bytearray(whole["h264.mp4"])
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    (tmp_path / "broken.mp4").write_bytes(content)
    heard = []

    def read() -> None:
        complaints = Complaints()
        list(read_frames(tmp_path / "broken.mp4", complaints=complaints))
        heard.append(complaints.heard)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == [True] * 4


class SeesNobody:
    def detect(self, frames):
        for frame in frames:
            yield frame, Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int16))


def test_pictures_that_decode_without_an_error_but_not_as_they_were_recorded_are_warned_of(whole, tmp_path):
    path = tmp_path / "clip.mkv"
    path.write_bytes(whole["h265.mkv"])
    intact = [frame.image for frame in read_frames(path)]
    assert detect_video(path, SeesNobody(), 0)[1].warnings == []
    content = bytearray(whole["h265.mkv"])
    # The first picture is the largest part of the cluster.
    middle = content.index(b"\x1f\x43\xb6\x75") + 1000
    content[middle : middle + 64] = bytes(byte ^ 0x55 for byte in content[middle : middle + 64])
    path.write_bytes(content)
    complaints = Complaints()
    others = [frame.image for frame in read_frames(path, complaints=complaints)]
    assert len(others) == len(intact) and not np.array_equal(others[-1], intact[-1]) and not complaints.heard
    (warning,) = detect_video(path, SeesNobody(), 0)[1].warnings
    assert "its own checksums" in warning and "copy it again" in warning


def test_an_avi_without_its_end_is_told(tmp_path):
    path = clips.write(tmp_path / "clip.avi", codec="mjpeg")
    assert not is_cut_off(path)
    path.write_bytes(path.read_bytes()[:-100])
    assert is_cut_off(path)
