"""A person who walks on from one file into the next is one person with one movement, in any order of arrival."""

import datetime as dt

import numpy as np

from pc_pipeline.stages.fingerprints import CAMERA_EVENTS, PEOPLE_MOVEMENTS, STAGES, TRACK_LINKS
from pc_pipeline_tests.stages.world import across, assert_same_rows, local, start

EVENING, NEXT_DAY = dt.date(2026, 3, 3), dt.date(2026, 3, 4)
WALK = across(60)
# She meets the line, in the middle of the picture, between the last frame of one file and the first of the next.
BEFORE_MIDNIGHT = (local("2026-03-03 23:59:57"), WALK[:30])
AFTER_MIDNIGHT = (local("2026-03-04 00:00:00"), WALK[30:])


def people(world):
    """(camera-day's unique people, in, out, coverage in ms) by date, and the movements."""
    days = world.rows("SELECT date, unique_total, entered, exited, coverage_ms FROM daily_statistics ORDER BY date")
    moved = world.rows("SELECT direction, ts FROM people_movements")
    return days, moved


def test_across_two_files_of_a_day(world):
    world.film(local("2026-03-03 09:00:00"), WALK[:30])
    world.film(local("2026-03-03 09:00:03"), WALK[30:])
    world.settle()
    days, moved = people(world)
    assert days == [(EVENING, 1, 1, 0, 6000)]
    # Met between two files, the line is crossed when the later one begins.
    assert moved == [("in", local("2026-03-03 09:00:03"))]
    assert world.count("track_links") == 1
    assert world.count("tracks") == 2


def test_across_two_files_of_different_size(world):
    world.film(local("2026-03-03 09:00:00"), WALK[:30])
    world.film(local("2026-03-03 09:00:03"), WALK[30:], zoom=3)
    world.settle()
    days, moved = people(world)
    assert days == [(EVENING, 1, 1, 0, 6000)]
    assert moved == [("in", local("2026-03-03 09:00:03"))]


def test_a_stay_that_begins_between_two_files_begins_with_the_later_one(world):
    world.apply(zones={"right": [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]})
    world.film(*BEFORE_MIDNIGHT)
    world.film(*AFTER_MIDNIGHT)
    world.settle()
    assert world.rows("SELECT entered_at FROM zone_visits") == [(local("2026-03-04 00:00:00"),)]


def test_across_midnight_the_movement_is_the_next_days(world):
    world.film(*BEFORE_MIDNIGHT)
    world.film(*AFTER_MIDNIGHT)
    world.settle()
    days, moved = people(world)
    assert days == [(EVENING, 1, 0, 0, 3000), (NEXT_DAY, 1, 1, 0, 3000)]
    assert moved == [("in", local("2026-03-04 00:00:00"))]


def test_any_order_of_camera_days_gives_the_same_rows(worlds):
    digests = []
    for order in ((BEFORE_MIDNIGHT, AFTER_MIDNIGHT), (AFTER_MIDNIGHT, BEFORE_MIDNIGHT)):
        world = worlds()
        world.apply(zones={"left": [[0.2, 0.0], [0.6, 0.0], [0.6, 1.0], [0.2, 1.0]]})
        for start_at, path in order:
            world.film(start_at, path)
            world.settle()
        digests.append(world.digest())
        # She is in the zone before midnight and after it, in one stay.
        stays = "SELECT visits, mean_occupancy > 0 FROM daily_zones ORDER BY date"
        assert world.rows(stays) == [(1, True), (0, True)]
    assert digests[0] == digests[1]


def test_a_file_that_arrives_late_makes_its_neighbours_outstanding_and_no_others(world):
    world.film(local("2026-03-01 12:00:00"), across(30))
    world.film(*AFTER_MIDNIGHT)
    world.settle()
    before = world.ledger()
    late = world.film(*BEFORE_MIDNIGHT)
    assert world.outstanding() == [EVENING]
    world.run(EVENING)
    assert world.outstanding() == [NEXT_DAY]
    reports = world.run(NEXT_DAY)
    late_stages = [CAMERA_EVENTS, *STAGES[STAGES.index(TRACK_LINKS) :]]
    assert [stage for stage, report in reports.items() if report.computed] == late_stages
    # Once she is linked, her chain is also the earlier file's.
    assert world.outstanding() == [EVENING]
    world.settle()
    after = world.ledger()
    early_stages = {key: row for key, row in before.items() if key[1] not in late_stages}
    assert early_stages == {key: after[key] for key in early_stages}
    assert after[late, PEOPLE_MOVEMENTS][1] == "done"


def test_three_files_in_two_orders(worlds):
    """Until the one between them arrives, the first and the last are next to each other, and joined."""
    walk = across(54)
    files = [(local(f"2026-03-03 10:00:{n * 1.8:04.1f}"), walk[18 * n : 18 * n + 18]) for n in range(3)]
    digests = []
    for order in (files, [files[2], files[0], files[1]]):
        world = worlds()
        for start_at, path in order:
            world.film(start_at, path)
            world.run(EVENING)
        world.settle()
        digests.append(world.digest())
        assert world.rows("SELECT unique_total, entered FROM daily_statistics") == [(1, 1)]
    assert all(digest == digests[0] for digest in digests)


def test_a_neighbour_that_goes_takes_only_the_link_with_it(worlds):
    alone = worlds()
    alone.film(*AFTER_MIDNIGHT)
    alone.settle()
    world = worlds()
    world.film(*AFTER_MIDNIGHT)
    gone = world.film(*BEFORE_MIDNIGHT)
    world.settle()
    for table in ("detections", "frame_metadata", "videos"):
        world.execute(f"DELETE FROM {table} WHERE video_id = {gone}")
    assert world.outstanding() == [NEXT_DAY]
    world.settle()
    world.execute(f"DELETE FROM hourly_statistics WHERE date = '{EVENING}'")
    world.execute(f"DELETE FROM daily_statistics WHERE date = '{EVENING}'")
    assert_same_rows(world.machine.dsn, alone.machine.dsn)


def test_somebody_who_stands_there_for_days_is_settled(world):
    """A poster taken for a person makes one chain of a week: what a run of a day sees must be what the sensor sees."""
    stood = np.column_stack([np.full(10, 200.0), np.full(10, 400.0)])
    # A frame every few hours of each day-long file, the last one just before the next file's first.
    seconds = np.linspace(0, 86_399.9, 10)
    for day in range(6):
        world.film(dt.datetime(2026, 3, 1 + day, tzinfo=dt.UTC), stood, seconds=seconds)
    world.settle()
    assert world.count("track_links") == 6 - 1
    assert world.rows("SELECT count(*), min(unique_total), max(unique_total) FROM daily_statistics") == [(6, 1, 1)]


def run_day(world, date):
    world.run(date)


def test_two_runs_of_adjoining_days_at_once(worlds):
    quiet = worlds()
    for video in (BEFORE_MIDNIGHT, AFTER_MIDNIGHT):
        quiet.film(*video)
    quiet.settle()
    world = worlds()
    for video in (BEFORE_MIDNIGHT, AFTER_MIDNIGHT):
        world.film(*video)
    runs = [start(run_day, world, date) for date in (EVENING, NEXT_DAY)]
    for process in runs:
        process.join(60)
        assert process.exitcode == 0
    world.settle()
    assert_same_rows(world.machine.dsn, quiet.machine.dsn)
