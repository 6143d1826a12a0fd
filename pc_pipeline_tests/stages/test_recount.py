"""Move a line and only what hangs on it is computed again, without a video."""

import cv2
import pytest

from pc_pipeline.stages.fingerprints import (
    PEOPLE_MOVEMENTS,
    SESSION_STATISTICS,
    STAGES,
    TRACK_LINKS,
    TRACKS,
    ZONE_VISITS,
    ModelHashes,
)
from pc_pipeline.stages.runner import outstanding
from pc_pipeline_tests.stages.world import SILL, across, local

HALL = [[0.6, 0.0], [1.0, 0.0], [1.0, 1.0], [0.6, 1.0]]
FAR_LINE = {"from": [0.75, 0.0], "to": [0.75, 1.0], "in": "right"}
OUT = {**SILL, "in": "left"}
TUESDAY, WEDNESDAY = local("2026-03-03 09:00:00"), local("2026-03-04 09:00:00")


@pytest.fixture
def counted(world, monkeypatch):
    """Two days, counted: one walks in on each; on Tuesday another walks on to 400 pixels only. No file exists."""

    def refuse(*arguments):
        raise AssertionError("a video was opened")

    monkeypatch.setattr(cv2, "VideoCapture", refuse)
    world.apply(zones={"hall": HALL})
    world.film(TUESDAY, across(40), across(40, 80, 400, y=300))
    world.film(WEDNESDAY, across(40))
    world.settle()
    return world


def totals(world):
    return world.rows("SELECT entered, exited FROM daily_statistics ORDER BY date")


def changed_stages(before, after):
    assert before.keys() == after.keys()
    return {stage for video, stage in before if before[video, stage] != after[video, stage]}


def test_moving_a_line_computes_its_movements_and_statistics_and_nothing_else(counted):
    assert totals(counted) == [(2, 0), (1, 0)]
    before = counted.ledger()
    raw = {path: path.stat().st_mtime_ns for path in counted.machine.raw_dir.iterdir()}
    counted.apply(lines={"sill": FAR_LINE})
    counted.settle()
    assert totals(counted) == [(1, 0), (1, 0)]
    assert changed_stages(before, counted.ledger()) == {PEOPLE_MOVEMENTS, SESSION_STATISTICS}
    assert {path: path.stat().st_mtime_ns for path in counted.machine.raw_dir.iterdir()} == raw


def test_changing_a_zone_leaves_the_movements(counted):
    before = counted.ledger()
    assert counted.rows("SELECT entered_seen, exited_seen FROM zone_visits") == [(True, False)] * 3
    counted.apply(zones={"hall": [[0.8, 0.0], *HALL[1:3], [0.8, 1.0]]})
    counted.settle()
    assert counted.count("zone_visits") == 2
    assert changed_stages(before, counted.ledger()) == {ZONE_VISITS, SESSION_STATISTICS}


def test_under_the_same_valid_from_history_is_corrected_under_a_later_one_it_stays(counted):
    first = counted.digest()
    counted.apply(lines={"sill": OUT})
    counted.settle()
    assert totals(counted) == [(0, 2), (0, 1)]
    # Nobody was seen to come who now leaves.
    assert counted.rows("SELECT occupancy_correction FROM session_statistics ORDER BY 1") == [(1,), (2,)]
    counted.apply(lines={"sill": SILL})
    counted.settle()
    assert counted.digest() == first
    before = counted.ledger()
    counted.apply(lines={"sill": {**OUT, "valid_from": "2026-03-04"}})
    counted.settle()
    assert totals(counted) == [(2, 0), (0, 1)]
    after = counted.ledger()
    assert {video for video, stage in before if before[video, stage] != after[video, stage]} == {
        counted.rows("SELECT video_id FROM videos WHERE started_at = %s", WEDNESDAY)[0][0]
    }


def test_another_tracker_tracks_again_from_the_stored_boxes(counted):
    first, before = counted.digest(), counted.ledger()
    counted.apply(tracker={"min_duration": 60.0})
    counted.settle()
    assert counted.count("tracks") == 0
    assert counted.rows("SELECT count(*), max(track_id) FROM detections") == [(120, 0)]
    assert totals(counted) == [(0, 0), (0, 0)]
    assert changed_stages(before, counted.ledger()) == set(STAGES[STAGES.index(TRACKS) :])
    counted.apply(tracker={})
    counted.settle()
    assert counted.digest() == first


def test_what_is_outstanding_is_found_from_what_was_examined_before_as_from_nothing(counted):
    """A camera in which nothing changed is not gone through again; a line, a video, a file or a model that changes is
    seen."""
    machine = counted.machine

    def fresh() -> dict:
        return outstanding(machine, ["door", "gone"]).days

    before = outstanding(machine, ["door", "gone"])
    again = outstanding(machine, ["door", "gone"], before.examined, within_s=0)
    assert again.days == before.days == {}
    assert again.examined["door"] is before.examined["door"]
    for change in (
        lambda: counted.apply(lines={"sill": FAR_LINE}),
        lambda: counted.film(local("2026-03-05 09:00:00"), across(40)),
        lambda: counted.execute("DELETE FROM stage_ledger WHERE stage = 'tracks'"),
        lambda: counted.execute("UPDATE videos SET status = 'source deleted'"),
    ):
        change()
        late = outstanding(machine, ["door", "gone"], before.examined, within_s=-1)
        assert (late.days, late.left) == ({}, ["door"]), "no time: it is examined the next time"
        after = outstanding(machine, ["door", "gone"], late.examined)
        assert after.days == fresh()
        assert after.examined["door"] != before.examined["door"]
        before = after
    assert before.days


def test_another_model_makes_every_video_outstanding(counted, monkeypatch):
    before = outstanding(counted.machine, ["door"])
    retrained = lambda config, machine: ModelHashes("another", None)  # noqa: E731
    monkeypatch.setattr("pc_pipeline.stages.runner.model_hashes", retrained)
    after = outstanding(counted.machine, ["door"], before.examined)
    assert {day for _, day in after.days} == {TUESDAY.date(), WEDNESDAY.date()}


def test_every_setting_of_counting_is_taken_in(counted):
    """`link_gap` decides links, `band` and `anchor` what is counted."""
    for setting, first in (
        ({"link_gap": 3.0}, TRACK_LINKS),
        ({"band": 0.2}, PEOPLE_MOVEMENTS),
        ({"anchor": "center"}, PEOPLE_MOVEMENTS),
    ):
        before = counted.ledger()
        counted.apply(counting=setting)
        counted.settle()
        assert first in changed_stages(before, counted.ledger()) <= set(STAGES[STAGES.index(TRACK_LINKS) :])
