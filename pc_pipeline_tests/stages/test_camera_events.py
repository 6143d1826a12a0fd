"""What was wrong with the video stands beside the counts: the same events in whatever order the files come."""

import datetime as dt
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pc_pipeline.errors import UnreadableVideo
from pc_pipeline.stages import detecting
from pc_pipeline.stages.fingerprints import CAMERA_EVENTS, RAW_DETECTIONS
from pc_pipeline.store import events, parquet
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.vision.arrays import PictureSignals
from pc_pipeline.vision.picture import PictureWatch
from pc_pipeline_tests import clips
from pc_pipeline_tests.stages.world import FPS, LONDON, across, local

TUESDAY = dt.date(2026, 3, 3)
NINE = local("2026-03-03 09:00:00")
WALK = across(200)
NOBODY = np.full((200, 2), np.nan)


@cache
def signals(what: str = "as ever", seed: int = 0) -> PictureSignals:
    """Twenty seconds of one scene: as ever, turned (shifted by a tenth), sprayed or half black."""
    watch, room = PictureWatch(), clips.room()
    for n, image in enumerate(clips.filmed(room, len(WALK) / FPS, 5, seed=seed)):
        if what == "turned":
            image = np.roll(image, image.shape[1] // 10, axis=1)
        elif what == "sprayed":
            image = np.broadcast_to(image.mean(axis=(0, 1)).astype(np.uint8), image.shape)
        elif what == "half black" and n >= 50:
            image = np.zeros_like(image)
        watch.see(200_000 * n, np.ascontiguousarray(image))
    return watch.signals()


def at(minute: int, second: int = 0) -> dt.datetime:
    return NINE + dt.timedelta(minutes=minute, seconds=second)


def film(world, start, what="as ever", seed=0, path=NOBODY):
    return world.film(start, path, picture=signals(what, seed))


def look(world):
    """Run what these tests are about, in every camera-day, and leave the counting."""
    dates = {date for (date,) in world.rows("SELECT DISTINCT date FROM videos")}
    for stage in (RAW_DETECTIONS, CAMERA_EVENTS):
        for date in sorted(dates):
            world.run(date, (stage,))


def stored(world):
    return world.rows("SELECT kind, started_at, ended_at, value FROM camera_events ORDER BY started_at, kind")


def test_a_black_picture_is_stored_with_its_time_and_what_to_do_and_changes_no_count(world):
    film(world, NINE, "half black", path=WALK)
    world.settle()
    assert stored(world) == [("black", at(0, 10), at(0, 20), 0.0)]
    assert world.rows("SELECT detail FROM camera_events") == [
        ("The picture is black for 10.0 s: see to the camera's lens, its cable and the light.",)
    ]
    # She walks in all the same.
    assert world.rows("SELECT entered, exited, coverage_ms FROM hourly_statistics") == [(1, 0, 20_000)]


def test_a_gap_between_files_is_found_and_goes_when_a_late_file_fills_it(world):
    first, _ = (film(world, at(minute)) for minute in (0, 1))
    look(world)
    assert stored(world) == [("gap", at(0, 20), at(1), 40.0)]
    before = world.ledger()
    film(world, at(0, 20), seed=1)
    look(world)
    assert stored(world) == [("gap", at(0, 40), at(1), 20.0)]
    film(world, at(0, 40), seed=2)
    look(world)
    assert stored(world) == []
    # The later files' events are made again, from what was kept of them; no frame is looked at again.
    after = world.ledger()
    assert {key for key in before if before[key] == after[key]} == {
        (video, stage) for video, stage in before if video == first or stage == RAW_DETECTIONS
    }


def test_a_silence_over_midnight_is_the_later_files(world):
    film(world, local("2026-03-03 23:59:00"))
    film(world, local("2026-03-04 06:00:00"))
    look(world)
    (gap,) = stored(world)
    assert gap == ("gap", local("2026-03-03 23:59:20"), local("2026-03-04 06:00:00"), 6 * 3600 + 40.0)
    by_day = in_transaction(world.machine.dsn, lambda c: events.by_day(events.events(c, LONDON), LONDON))[0]
    assert {date: [event["seconds"] for event in found] for (_, date), found in by_day.items()} == {
        TUESDAY: [40.0],
        TUESDAY + dt.timedelta(days=1): [6 * 3600.0],
    }


def test_files_that_follow_at_once_or_overlap_have_no_gap(world):
    for start in (at(0), at(0, 20), at(0, 38), at(1, 2)):
        film(world, start)
    look(world)
    assert stored(world) == []


def test_any_order_of_arrival_gives_the_same_events(worlds):
    files = [(at(0), "as ever"), (at(1), "turned"), (at(2), "turned"), (at(3), "sprayed"), (at(4), "turned")]
    digests = []
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
        world = worlds()
        for number in order:
            start, what = files[number]
            film(world, start, what, seed=number)
            look(world)
        digests.append(world.digest())
    assert digests[0] == digests[1]
    # Turned between the first two; the third is as the second; the fifth, after one that shows nothing, as well.
    assert [(kind, start) for kind, start, _, _ in stored(world) if kind != "gap"] == [
        ("moved", at(1)),
        ("covered", at(3)),
    ]


def test_across_midnight_a_turned_camera_is_found_and_the_next_day_asked_for(world):
    film(world, local("2026-03-04 00:00:00"), "turned")
    world.settle()
    assert stored(world) == []
    film(world, local("2026-03-03 23:59:40"))
    world.run(TUESDAY)
    assert world.outstanding() == [TUESDAY + dt.timedelta(days=1)]
    world.settle()
    ((kind, start, _, value),) = stored(world)
    assert (kind, start, value) == ("moved", local("2026-03-04 00:00:00"), pytest.approx(0.1, abs=0.02))


def test_another_threshold_needs_no_video(world):
    film(world, NINE, "half black")
    look(world)
    before = world.ledger()
    world.apply(quality={"blind": 15.0})
    look(world)
    assert stored(world) == []
    changed = {stage for video, stage in before if before[video, stage] != world.ledger()[video, stage]}
    assert changed == {CAMERA_EVENTS}


def test_a_camera_configured_before_there_were_such_settings_has_the_usual_ones(world):
    film(world, NINE, "half black")
    look(world)
    before = world.ledger()
    world.execute("UPDATE cameras SET config = config - 'quality'")
    look(world)
    assert world.ledger() == before


def test_a_file_from_before_pictures_were_looked_at_has_its_gap_and_nothing_else(world):
    film(world, NINE)
    world.film(at(1), WALK)
    look(world)
    assert stored(world) == [("gap", at(0, 20), at(1), 40.0)]
    assert world.count("reference_pictures") == 1


def test_what_cannot_be_read_any_more_has_no_events_and_leaves_a_gap(world, monkeypatch):
    film(world, at(0))
    broken = film(world, at(0, 20), "half black")
    film(world, at(0, 40))
    look(world)
    assert [row[0] for row in stored(world)] == ["black"]

    def unreadable(*arguments):
        raise UnreadableVideo("it holds no frame")

    # Its raw detections are lost, and its file is not a video any more.
    world.execute(f"DELETE FROM stage_ledger WHERE video_id = {broken} AND stage = 'raw_detections'")
    monkeypatch.setattr(detecting, "detect", unreadable)
    look(world)
    assert stored(world) == [("gap", at(0, 20), at(0, 40), 20.0)]
    assert world.count("reference_pictures") == 2


def test_frames_missing_within_a_file_and_a_rate_that_is_off(world):
    for number in range(3):
        film(world, at(0, 20 * number), seed=number)
    look(world)
    slow = film(world, at(1), seed=3)
    (path,) = [p for p in world.machine.raw_dir.iterdir() if p.stem not in _named(world)]
    detections, decoded = parquet.read_raw(world.machine.raw_dir, path.stem)
    decoded = replace(decoded, median_step_us=200_000, holes_us=[[4_000_000, 12_000_000]])
    parquet.write_raw(world.machine.raw_dir, path.stem, detections, decoded)
    look(world)
    assert world.rows("SELECT kind, value FROM camera_events WHERE video_id = %s ORDER BY kind", slow) == [
        ("frame_rate", 5.0),
        ("gap", 8.0),
    ]


def _named(world):
    return {name for (name,) in world.rows("SELECT fingerprint FROM stage_ledger WHERE stage = 'raw_detections'")}
