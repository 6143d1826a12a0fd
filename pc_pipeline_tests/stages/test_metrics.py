"""Frames, minutes and runs are measured beside the counts: with the rows they speak of, the same after any crash."""

import datetime as dt
import signal
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from pc_pipeline.stages.fingerprints import PEOPLE_MOVEMENTS, RAW_DETECTIONS, SESSION_STATISTICS, STAGES, TRACKS
from pc_pipeline.store import metrics, parquet
from pc_pipeline.store.events import CameraEvent, replace_events
from pc_pipeline.store.migrate import migrate, rollback
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.store.registry import remove_video
from pc_pipeline_tests.stages.world import LONDON, SILL, World, across, assert_same_rows, die, local, start

DAY = dt.date(2026, 3, 3)
MINUTES = (
    "SELECT to_char(minute, 'MM-DD HH24:MI'), people_in_view, entered, exited, coverage_ms, state"
    " FROM realtime_metrics ORDER BY minute"
)


def seen_at(*spans: tuple[float, float]) -> np.ndarray:
    """Times of frames, ten a second, in each of these spans of seconds."""
    return np.concatenate([np.arange(first, last, 0.1) for first, last in spans])


def nobody(frames: int) -> np.ndarray:
    return np.full((frames, 2), np.nan)


def test_every_frame_has_its_people_and_a_second_run_writes_the_same(worlds):
    world = worlds()
    came = np.vstack([nobody(20), across(40)])
    world.film(local("2026-03-03 10:00:00"), came, across(60, 540, 100, y=300))
    world.settle()
    frames = world.rows("SELECT frame_number, detections, people, processing_ms FROM frame_metadata ORDER BY 1")
    # Two people, of whom the second comes after two seconds; nobody measured what these frames took.
    assert frames == [(number, 1 + (number >= 20), 1 + (number >= 20), 0.0) for number in range(60)]
    digest = world.digest()
    world.apply(tracker={"min_duration": 60.0})
    world.settle()
    assert world.rows("SELECT sum(detections), sum(people) FROM frame_metadata") == [(100, 0)]
    assert world.rows(MINUTES) == [("03-03 10:00", 0, 0, 0, 6000, "detecting")]
    world.apply(tracker={})
    world.settle()
    assert world.digest() == digest


def test_what_a_frame_took_is_kept_and_is_no_result(world):
    world.film(local("2026-03-03 10:00:00"), across(60))
    (file,) = world.machine.raw_dir.iterdir()
    boxes, decoded = parquet.read_raw(world.machine.raw_dir, file.stem)
    measured = replace(boxes, processing_ms=np.linspace(5, 64, 60, dtype=np.float32))
    parquet.write_raw(world.machine.raw_dir, file.stem, measured, decoded)
    reports = world.run(DAY)
    took = world.rows("SELECT processing_ms FROM frame_metadata ORDER BY frame_number")
    assert [ms for (ms,) in took] == pytest.approx(np.linspace(5, 64, 60))
    assert reports[RAW_DETECTIONS].details["processing_ms"] == pytest.approx(60 * 34.5)
    before = world.digest()
    world.execute("UPDATE frame_metadata SET processing_ms = 1")
    assert world.digest() == before


def test_a_video_that_goes_on_into_the_next_month_is_replaced_and_removed_in_both(world):
    when = local("2026-04-01 00:59:57")  # the last three seconds of March in UTC
    identity = world.film(when, across(60))
    world.run(when.astimezone(LONDON).date(), STAGES[: STAGES.index(TRACKS) + 1])
    sizes = "SELECT (SELECT count(*) FROM frame_metadata_2026_03), (SELECT count(*) FROM frame_metadata_2026_04)"
    assert world.rows(sizes) == [(30, 30)]
    world.film(when, across(45))
    world.run(when.astimezone(LONDON).date(), STAGES[: STAGES.index(TRACKS) + 1])
    assert world.rows(sizes) == [(30, 15)]
    in_transaction(world.machine.dsn, lambda connection: remove_video(connection, identity))
    assert world.rows(sizes) == [(0, 0)]
    assert world.count("realtime_metrics") == 0


def test_a_minute_has_the_most_people_at_once_and_who_came_and_went(world):
    """Two files that meet within a minute; one person goes on from the first into the second."""
    walk = across(90, 100, 540)
    first = local("2026-03-03 10:00:56")
    world.film(first, walk[:60], across(60, 540, 100, y=300))
    world.film(first + dt.timedelta(seconds=6), walk[60:], nobody(30))
    world.settle()
    rows = world.rows("SELECT minute, people_in_view, entered, exited, coverage_ms, state FROM realtime_metrics r"
                      " JOIN sessions s USING (video_id) ORDER BY started_at, minute")  # fmt: skip
    ten, one = local("2026-03-03 10:00"), local("2026-03-03 10:01")
    # He goes in at the 45th frame, half a second after 10:01; the other goes out at the 30th.
    assert [(row[0], *row[1:]) for row in rows] == [
        (ten, 2, 0, 1, 4000, "tracking"),
        (one, 2, 1, 0, 2000, "tracking"),
        (one, 1, 0, 0, 3000, "tracking"),
    ]
    assert world.rows("SELECT sum(entered), sum(exited) FROM realtime_metrics") == world.rows(
        "SELECT sum(entered), sum(exited) FROM session_statistics"
    )


def test_minutes_without_people_were_looked_at_and_minutes_without_frames_were_not(world):
    # 10:00:30 to 10:04:40: frames of one person, of nobody, none for a minute and more, of the person again.
    seconds = seen_at((0, 3), (60, 63), (200, 203), (247, 250))
    world.film(local("2026-03-03 10:00:30"), np.vstack([across(30), nobody(60), across(30)]), seconds=seconds)
    world.settle()
    assert [(row[0][-2:], row[1], row[4], row[5]) for row in world.rows(MINUTES)] == [
        ("00", 1, 30000, "tracking"),
        ("01", 0, 60000, "detecting"),
        ("02", 0, 60000, "waiting"),
        ("03", 0, 60000, "detecting"),
        ("04", 1, 40000, "tracking"),
    ]


def test_minutes_follow_one_another_where_the_clocks_change(world):
    # In March an hour is left out, in October one comes twice.
    for begins, clock in (("2026-03-29 00:59:57", ["00:59", "02:00"]), ("2026-10-25 01:59:57", ["01:59", "01:00"])):
        identity = world.film(local(begins), across(60))
        world.run(dt.date.fromisoformat(begins[:10]))
        rows = world.rows("SELECT minute, entered FROM realtime_metrics WHERE video_id = %s ORDER BY minute", identity)
        assert [f"{minute.astimezone(LONDON):%H:%M}" for minute, _ in rows] == clock
        assert rows[1][0] - rows[0][0] == dt.timedelta(minutes=1)
        assert sum(entered for _, entered in rows) == 1


def test_a_moved_line_is_counted_again_in_the_minutes(world):
    world.film(local("2026-03-03 10:00:58"), across(60))
    world.run(DAY, STAGES[: STAGES.index(SESSION_STATISTICS)])
    # Tracked and not counted: no count, rather than a count of nobody.
    assert [row[1:4] for row in world.rows(MINUTES)] == [(1, None, None)] * 2
    world.settle()
    assert [row[2:4] for row in world.rows(MINUTES)] == [(0, 0), (1, 0)]
    before = world.digest()
    early = {"from": [0.3, 0.0], "to": [0.3, 1.0], "in": "left"}
    world.apply(lines={"sill": early})
    world.settle()
    assert [row[2:4] for row in world.rows(MINUTES)] == [(0, 1), (0, 0)]
    world.apply(lines={"sill": SILL})
    world.settle()
    assert world.digest() == before


def run_and_die(world: World, name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, name, lambda *arguments: die())
        world.run(DAY)


def test_killed_between_frames_and_minutes_and_before_the_count(worlds):
    undisturbed, killed = worlds(), worlds()
    for world in (undisturbed, killed):
        world.film(local("2026-03-03 10:00:57"), across(60), across(60, 540, 100, y=300))
    undisturbed.settle()
    for name, frames, minutes in (("insert_minutes", 0, 0), ("count_minutes", 60, 2)):
        process = start(run_and_die, killed, name)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        assert (killed.count("frame_metadata"), killed.count("realtime_metrics")) == (frames, minutes), name
    killed.settle()
    assert_same_rows(killed.machine.dsn, undisturbed.machine.dsn)


def test_a_row_a_run_and_stage_that_computed_something(world):
    world.machine = replace(world.machine, run_id="first")
    world.film(local("2026-03-03 10:00:00"), across(60))
    world.film(local("2026-03-03 11:00:00"), across(60))
    world.settle()
    columns = (
        "run_id, date, videos, rows, frames, frames_per_s > 0, load_rows, load_latency_p95_ms >= load_latency_p50_ms"
    )
    rows = {stage: rest for stage, *rest in world.rows(f"SELECT stage, {columns} FROM system_metrics")}
    assert rows.keys() == set(STAGES)
    assert rows[TRACKS] == ["first", DAY, 2, 120, 120, True, 120 + 2 + 120, True]
    # The boxes lay in Parquet already: nothing was decoded.
    assert rows[RAW_DETECTIONS] == ["first", DAY, 2, 120, 0, None, 0, None]
    used = world.rows("SELECT wall_seconds, cpu_seconds, cpu_percent, peak_memory_bytes FROM system_metrics")
    for wall, cpu, percent, peak in used:
        assert wall > 0 and percent == pytest.approx(100 * cpu / wall, rel=1e-4) and peak > 10_000_000

    world.run(DAY)
    assert world.count("system_metrics") == len(STAGES), "nothing was computed"

    latest = "SELECT run_id, max(ts) FROM system_metrics WHERE stage = 'people_movements' GROUP BY 1 ORDER BY 1"
    ((_, before),) = world.rows(latest)
    for place, run_id in ((0.3, "first"), (0.4, "second")):
        world.machine = replace(world.machine, run_id=run_id)
        world.apply(lines={"sill": SILL | {"from": [place, 0.0], "to": [place, 1.0]}})
        world.run(DAY, [PEOPLE_MOVEMENTS])
    (_, again), (other, _) = world.rows(latest)
    assert again > before and other == "second"
    assert world.rows("SELECT count(*) FROM system_metrics WHERE stage = 'people_movements'") == [(2,)]


@pytest.fixture
def upgraded(world) -> Iterator[World]:
    """Videos that are counted, tracked only, and not looked at, with the schema of before there were metrics."""
    hole = seen_at((0, 3), (200, 203))
    gap = world.film(local("2026-03-03 10:00:30"), np.vstack([across(30), nobody(30)]), seconds=hole)
    world.film(local("2026-03-03 11:00:57"), across(60), across(60, 540, 100, y=300))
    world.film(local("2026-03-03 12:00:00"), nobody(60))
    world.settle()
    world.film(local("2026-03-04 10:00:57"), across(60))
    world.run(dt.date(2026, 3, 4), STAGES[: STAGES.index(TRACKS) + 1])
    world.film(local("2026-03-05 10:00:00"), across(60))
    world.run(dt.date(2026, 3, 5), [RAW_DETECTIONS])
    event = CameraEvent("gap", local("2026-03-03 10:00:33"), local("2026-03-03 10:03:50"), 197.0, "no frame")
    in_transaction(world.machine.dsn, lambda connection: replace_events(connection, gap, "door", [event]))
    yield world


def test_what_was_counted_before_gets_its_minutes_when_the_database_is_upgraded(upgraded):
    before = upgraded.digest()["realtime_metrics"]
    states = [state for *_, state in upgraded.rows(MINUTES)]
    assert (
        states
        == ["tracking", "waiting", "waiting", "detecting", "tracking", "tracking", "detecting"] + ["tracking"] * 2
    )
    rollback(upgraded.machine.dsn, 8)
    migrate(upgraded.machine.dsn)
    assert upgraded.digest()["realtime_metrics"] == before
