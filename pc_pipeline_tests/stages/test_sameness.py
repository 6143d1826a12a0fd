"""A camera-day run again, in any order, after any crash, gives the same rows."""

import datetime as dt
import os
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pc_pipeline.embedded.process import Background, wait_until
from pc_pipeline.embedded.services import services
from pc_pipeline.errors import UnreadableVideo, UserError
from pc_pipeline.settings import Settings
from pc_pipeline.stages import detecting
from pc_pipeline.stages.fingerprints import RAW_DETECTIONS, STAGES, TRACKS
from pc_pipeline.store import counts, dashboard, ledger, load, parquet, rollups
from pc_pipeline.store.cache import Cache
from pc_pipeline.store.load import LoadSettings
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.store.registry import mark_source_deleted
from pc_pipeline_tests import clips
from pc_pipeline_tests.stages.world import (
    DETECTOR,
    LONDON,
    SILL,
    across,
    assert_same_rows,
    die,
    local,
    new_world,
    start,
)

DAY = dt.date(2026, 3, 3)
STRICT = DETECTOR | {"confidence": 0.9}
needs_photographs = pytest.mark.skipif(not clips.photographs_present(), reason="ultralytics' photographs are not here")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Three seconds of a person who walks through the middle of the picture, from left to right."""
    return clips.walking_person(tmp_path_factory.mktemp("clips") / "walk.mp4")


def film_two(world):
    """A person across two files, and one who comes back."""
    walk = across(60)
    world.film(local("2026-03-03 10:00:00"), walk[:30])
    world.film(local("2026-03-03 10:00:03"), walk[30:], across(30, 600, 60))


@contextmanager
def no_decoding(monkeypatch):
    """Any attempt to open a video fails."""
    import cv2

    def refuse(*arguments):
        raise AssertionError("a video was opened")

    with monkeypatch.context() as patch:
        patch.setattr(cv2, "VideoCapture", refuse)
        yield


@needs_photographs
def test_a_second_run_computes_nothing(world, clip, monkeypatch):
    world.add_file(local("2026-03-03 09:00:00"), clip)
    film_two(world)
    first = world.run(DAY)
    assert [first[stage].computed for stage in STAGES] == [3] * len(STAGES)
    world.roll()
    digest, noted = world.digest(), world.ledger()
    assert world.rows("SELECT entered, exited, unique_total FROM daily_statistics") == [(2, 1, 3)]
    with no_decoding(monkeypatch):
        second = world.run(DAY)
        world.roll()
    assert [(second[stage].computed, second[stage].skipped) for stage in STAGES] == [(0, 3)] * len(STAGES)
    assert [second[stage].fingerprint for stage in STAGES] == [first[stage].fingerprint for stage in STAGES]
    assert world.digest() == digest
    assert world.ledger() == noted


def dying(place, name, monkeypatch, *, calls=1, after=False):
    """Make a function of the product end its process by SIGKILL at its n-th call, before or after its work."""
    work = getattr(place, name)
    left = [calls]

    def deadly(*arguments, **options):
        left[0] -= 1
        if left[0] == 0 and not after:
            die()
        result = work(*arguments, **options)
        if left[0] == 0:
            die()
        return result

    monkeypatch.setattr(place, name, deadly)


def run_and_die(world, point):
    with pytest.MonkeyPatch.context() as patch:
        if point == "while decoding":
            world.machine = replace(world.machine, progress=lambda path, progress: die())
        elif point == "the Parquet file is written, its ledger row is not":
            # A run died over this video before: another process looks at it.
            dying(detecting, "_look_apart", patch, after=True)
        elif point == "in the middle of the load of detections":
            world.machine = replace(world.machine, load=LoadSettings(batch_rows=10))
            dying(load.Loader, "_send", patch, calls=2)
        elif point == "the tracks are written, their ledger row is not":
            dying(ledger, "record", patch)
        elif point == "the old movements are deleted, the new not written":
            # Genders of three videos and a link come before them.
            dying(counts, "execute_values", patch, calls=5)
        elif point == "the old hours are deleted, the new not written":
            dying(rollups, "_roll", patch, calls=2)
        world.settle()


# Each where the one before it ended: (where, stages of the first video that are done then).
POINTS = (
    ("while decoding", 0),
    ("the Parquet file is written, its ledger row is not", 0),
    ("in the middle of the load of detections", 2),
    ("the tracks are written, their ledger row is not", 2),
    ("the old movements are deleted, the new not written", 6),
    ("the old hours are deleted, the new not written", len(STAGES)),
)


@needs_photographs
def test_killed_at_every_point(worlds, clip, monkeypatch):
    undisturbed, killed = worlds(), worlds()
    for world in (undisturbed, killed):
        first = world.add_file(local("2026-03-03 09:00:00"), clip)
        film_two(world)
    undisturbed.settle()
    for point, done in POINTS:
        process = start(run_and_die, killed, point)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL, point
        assert len([stage for video, stage in killed.ledger() if video == first]) == done, point
        if done == 2:
            assert killed.count("detections") == killed.count("tracks") == 0, point
    with no_decoding(monkeypatch):  # what was detected before the kills is kept
        killed.settle()
    assert_same_rows(killed.machine.dsn, undisturbed.machine.dsn)
    assert killed.rows("SELECT DISTINCT status FROM sessions") == [("completed",)]


def test_raw_detections_that_are_lost_are_made_again(world, tmp_path):
    identity = world.add_file(local("2026-03-03 09:00:00"), clips.write(tmp_path / "short.mp4"))
    world.settle()
    digest = world.digest()
    (raw,) = world.machine.raw_dir.glob("*.parquet")
    raw.unlink()
    world.apply(lines={})
    assert world.run(DAY)[RAW_DETECTIONS].computed == 0
    assert not raw.exists(), "recounting reads tracks alone"
    # They are missed when tracking needs them: when it is configured anew, or asked for alone. So are damaged ones.
    world.apply(lines={"sill": SILL}, tracker={"min_sightings": 4})
    world.settle()
    assert parquet.readable(world.machine.raw_dir, raw.stem)
    raw.write_bytes(raw.read_bytes()[:-200])
    world.apply(tracker={"min_sightings": 5})
    waiting = world.run(DAY, [TRACKS])[TRACKS].waiting
    assert "missing or damaged" in waiting[0][1]
    assert (identity, RAW_DETECTIONS) not in world.ledger()
    world.apply(tracker={})
    world.settle()
    assert parquet.readable(world.machine.raw_dir, raw.stem)
    assert world.digest() == digest


@needs_photographs
def test_a_detector_that_is_changed_and_changed_back(world, clip, monkeypatch):
    world.add_file(local("2026-03-03 09:00:00"), clip)
    world.settle()
    digest = world.digest()
    world.apply(detector=STRICT)
    world.settle()
    assert world.digest() != digest
    world.apply(detector=DETECTOR)
    with no_decoding(monkeypatch):  # what it found then is still there
        world.settle()
    assert world.digest() == digest


@needs_photographs
def test_a_recount_given_up_half_way_leaves_the_first_results_whole(world, clip):
    world.add_file(local("2026-03-03 09:00:00"), clip)
    world.settle()
    digest = world.digest()
    for point in ("while decoding", "in the middle of the load of detections"):
        world.apply(detector=STRICT)
        process = start(run_and_die, world, point)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        world.apply(detector=DETECTOR)
        world.settle()
        assert world.digest() == digest, point


def test_a_file_that_vanishes_while_it_is_looked_at_keeps_its_results(world, tmp_path):
    clips.write(tmp_path / "short.mp4")
    identity = world.add_file(local("2026-03-03 09:00:00"), tmp_path / "short.mp4")
    world.settle()
    before = world.digest()
    world.apply(detector=STRICT)
    vanish = lambda path, progress: (tmp_path / "short.mp4").unlink(missing_ok=True)  # noqa: E731
    usual, world.machine = world.machine, replace(world.machine, progress=vanish)
    assert "it is looked at again later" in world.run(DAY)[RAW_DETECTIONS].waiting[0][1]
    world.machine = usual
    in_transaction(world.machine.dsn, lambda connection: mark_source_deleted(connection, identity))
    world.settle()
    after = world.digest()
    assert after.pop("videos") != before.pop("videos")  # its status
    assert after == before


def test_a_replaced_file_replaces_its_rows_whole(worlds):
    fresh, world = worlds(), worlds()
    when = local("2026-03-03 09:00:00")
    world.film(when, across(60), across(60, 540, 100, y=300))
    world.settle()
    for place in (world, fresh):
        place.film(when, across(30, 540, 100))
        place.settle()
    assert_same_rows(world.machine.dsn, fresh.machine.dsn)
    assert world.rows("SELECT entered, exited, coverage_ms FROM daily_statistics") == [(0, 1, 3000)]


def test_a_video_that_cannot_be_read_any_more_leaves_nothing_behind(worlds, monkeypatch):
    fresh, world = worlds(), worlds()
    walk = across(60)
    when, after = local("2026-03-03 10:00:00"), local("2026-03-03 10:00:03")
    world.film(when, walk[:30])
    world.film(after, walk[30:])
    world.settle()

    def unreadable(*arguments):
        raise UnreadableVideo("no frame can be decoded")

    monkeypatch.setattr(detecting, "check_unchanged", lambda path, video: None)
    monkeypatch.setattr(detecting, "detect_in_pieces", unreadable)
    for place in (world, fresh):
        place.film(when, walk[:29])
        for raw in place.machine.raw_dir.glob("*.parquet"):
            raw.unlink()
        place.film(after, walk[30:])
        reports = place.run(DAY)
        assert [why for _, why in reports[RAW_DETECTIONS].quarantined] == ["no frame can be decoded"]
        place.settle()
    assert_same_rows(world.machine.dsn, fresh.machine.dsn)
    assert world.rows("SELECT status FROM sessions ORDER BY started_at") == [("error",), ("completed",)]
    assert world.count("track_links") == 0
    assert world.settle() == 0


@pytest.fixture
def own_services():
    """PostgreSQL and Redis of our own, to be killed."""
    home = Path(tempfile.mkdtemp(prefix="pc_killed_"))
    with services(Settings(home=home)) as endpoints:
        yield home, endpoints


def test_postgres_and_redis_killed_in_the_middle(own_services, worlds, tmp_path, monkeypatch, caplog):
    home, endpoints = own_services
    undisturbed, world = worlds(), new_world(endpoints.postgres_dsn, tmp_path)
    for place in (undisturbed, world):
        film_two(place)
    undisturbed.settle()

    def pid(server):
        return Background(home, "keeper").state()[server]["pid"]

    send, kills = load.Loader._send, [1]

    def kill_and_send(self, data, rows):
        send(self, data, rows)
        if kills:
            kills.pop()
            os.kill(pid("postgres"), signal.SIGKILL)
            time.sleep(0.5)

    with monkeypatch.context() as patch:
        patch.setattr(load.Loader, "_send", kill_and_send)
        reports = world.run(DAY)
    assert reports[TRACKS].retries >= 1
    world.settle()
    assert_same_rows(world.machine.dsn, undisturbed.machine.dsn)

    def warm(cache):
        return in_transaction(world.machine.dsn, lambda c: dashboard.warm_summary(c, cache, LONDON, DAY))[0]

    assert warm(Cache(endpoints.redis_url)).missed == 0
    keeper = Background(home, "keeper").pid()
    os.kill(keeper, signal.SIGSTOP)  # or it has started Redis again before we look
    try:
        os.kill(pid("redis"), signal.SIGKILL)
        assert warm(Cache(endpoints.redis_url)).missed > 0
    finally:
        os.kill(keeper, signal.SIGCONT)
    assert "Redis does not answer" in caplog.text
    assert wait_until(lambda: Cache(endpoints.redis_url).available, 20)


@needs_photographs
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_one_sentence_leaves_no_session_active_and_is_finished_later(world, clip):
    raw_dir = world.machine.raw_dir
    identity = world.add_file(local("2026-03-03 10:00"), clip)
    raw_dir.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=1", "tmpfs", raw_dir]).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    try:
        with pytest.raises(UserError, match="no space left"):
            world.run(DAY)
    finally:
        subprocess.run(["umount", raw_dir], check=True)
    assert world.rows("SELECT status FROM sessions WHERE session_id = %s", identity) == [("cancelled",)]

    world.settle()

    assert world.rows("SELECT status FROM sessions WHERE session_id = %s", identity) == [("completed",)]
