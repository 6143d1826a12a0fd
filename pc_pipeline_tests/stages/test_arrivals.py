"""What the watched folder asks for, and when; and what it can only quarantine."""

import datetime as dt
import os
import shutil

import pytest

from pc_pipeline.errors import UserError
from pc_pipeline.ingest.names import VIDEO_SUFFIXES
from pc_pipeline.ingest.watch import scan
from pc_pipeline.stages.arrivals import WHOLE_ROUND, start_allowed
from pc_pipeline.store import registry
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline_tests.stages.inbox import DAY, NOW, SITE

NINE = "door_20260301_090000.mp4"


def later(seconds: float) -> dt.datetime:
    return NOW + dt.timedelta(seconds=seconds)


def test_each_new_file_asks_for_its_camera_day_once(inbox):
    for name in (NINE, "door_20260301_100000.avi", "door/2026-03-02/09-00-00.MKV"):
        inbox.put(name, b"x")
    assert list(inbox.look().days) == [("door", DAY), ("door", DAY + dt.timedelta(days=1))]
    assert inbox.look().days == inbox.look().days


def test_a_file_that_is_still_growing_waits_until_it_has_stopped(inbox):
    path = inbox.put(NINE, b"x")

    def grow(size: int, seconds: float) -> None:
        path.write_bytes(b"x" * size)
        os.utime(path, (later(seconds).timestamp(),) * 2)

    grow(1, 0)
    first = inbox.look(now=later(1))
    assert first.days == {} and list(first.pending) == [str(path)]
    grow(2, 8)
    second = inbox.look(first.pending, later(9))
    assert second.days == {} and second.pending != first.pending
    third = inbox.look(second.pending, later(16))
    assert third.days == {} and third.pending == second.pending
    fourth = inbox.look(third.pending, later(19.5))
    assert list(fourth.days) == [("door", DAY)] and fourth.pending == {}


def test_a_file_of_long_ago_is_not_waited_for(inbox):
    inbox.put(NINE, b"x")
    assert list(inbox.look().days) == [("door", DAY)]


def test_a_file_from_a_clock_that_is_ahead_is_taken_once_it_stands_still(inbox):
    path = inbox.put(NINE, b"x")
    os.utime(path, (later(86400).timestamp(),) * 2)
    first = inbox.look(now=later(0))
    assert list(inbox.look(first.pending, later(11)).days) == [("door", DAY)]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("holiday.mp4", "does not tell its camera and start"),
        ("door_20260301_250000.mp4", "there is no 2026-03-01 25:00:00"),
        ("door_20260329_013000.mp4", "did not exist in Europe/London"),
        ("gate_20260301_090000.mp4", "Camera 'gate' is not in the site file"),
        ("door_20000101_090000.mp4", "before this site's history (2009-01-01)"),
        ("door_20260321_090000.mp4", "It starts in the future (2026-03-21 09:00 UTC)"),
        ("a'; DROP TABLE videos; --.mp4", "does not tell its camera and start"),
        ('two\nlines "quoted" ünï.mp4', "does not tell its camera and start"),
        ("a|b_20260301_090000.mp4", "does not tell its camera and start"),
    ],
)
def test_a_file_that_can_have_no_partition_is_quarantined_with_one_sentence(inbox, name, sentence):
    inbox.put(name, b"x")
    arrivals = inbox.look()
    assert arrivals.days == {}
    assert inbox.files() == {name: "quarantined"}
    assert sentence in inbox.reason(name)
    assert inbox.look().quarantined == [], "it is told once"
    inbox.path(name).unlink()
    inbox.look()
    assert inbox.files() == {name: "missing"}


def test_a_file_of_an_unknown_camera_counts_once_the_camera_is_configured(inbox):
    inbox.put("gate_20260301_090000.mp4", b"x")
    inbox.look()
    inbox.world.execute("INSERT INTO cameras (camera) VALUES ('gate')")
    assert list(inbox.look().days) == [("gate", DAY)]


def test_a_camera_that_is_switched_off_keeps_what_was_counted_and_takes_nothing_new(inbox):
    inbox.put(NINE, b"x")
    inbox.register()
    inbox.world.execute("UPDATE cameras SET active = false")
    inbox.world.execute("UPDATE source_files SET status = 'registered', reason = NULL")
    inbox.put("door_20260301_100000.mp4", b"x")
    assert inbox.look().days == {}
    assert inbox.files() == {NINE: "registered", "door_20260301_100000.mp4": "quarantined"}
    assert "is switched off: set `active: true`" in inbox.reason("door_20260301_100000.mp4")
    inbox.world.execute("UPDATE cameras SET active = true")
    assert list(inbox.look().days) == [("door", DAY)]


def test_today_in_the_sites_zone_is_the_last_day_that_has_a_partition():
    midnight = dt.datetime(2026, 7, 1, 23, 30, tzinfo=dt.UTC)
    assert start_allowed(midnight, SITE, midnight) is None
    assert start_allowed(midnight - dt.timedelta(hours=1), SITE, midnight - dt.timedelta(hours=1)) is None
    assert "future" in (start_allowed(midnight, SITE, midnight - dt.timedelta(hours=1)) or "")


def test_a_file_that_went_and_came_back_as_it_was_asks_again(inbox):
    path = inbox.put(NINE, b"x")
    first = inbox.look().days
    inbox.register()
    assert inbox.look().days == {}
    shutil.move(path, path.with_suffix(".away"))
    gone = inbox.look().days
    inbox.register()
    shutil.move(path.with_suffix(".away"), path)
    back = inbox.look().days
    assert list(first) == list(gone) == list(back) == [("door", DAY)]
    assert len({*first.values(), *gone.values(), *back.values()}) == 3


# -------------------------------------------------------------------------------------------- one look after another

TUESDAY_NINE, TUESDAY_TEN = "door/2026-03-03/09-00-00.mp4", "door/2026-03-03/10-00-00.mp4"
TUESDAY = dt.date(2026, 3, 3)


@pytest.fixture
def rested(inbox):
    """A folder for each of two days, long untouched, and the look after which both rest."""
    for name in (TUESDAY_NINE, "door/2026-03-04/09-00-00.mp4"):
        inbox.put(name, b"x")
    for date in (TUESDAY, TUESDAY + dt.timedelta(days=1)):
        inbox.register(date)
    # What registration makes of a file that is none of video.
    inbox.world.execute("UPDATE source_files SET status = 'registered', reason = NULL")
    return inbox, inbox.look(now=dt.datetime.now(dt.UTC) + dt.timedelta(hours=2))


def test_what_rests_is_not_listed_but_what_comes_or_goes_there_is_seen_at_once(rested, monkeypatch):
    inbox, before = rested
    now = before.memory.at + dt.timedelta(seconds=1)
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    inbox.put(TUESDAY_TEN, b"x")
    looked = inbox.look(now=now, after=before)
    assert list(looked.days) == [("door", TUESDAY)]
    assert str(inbox.path("door/2026-03-04")) not in listed
    inbox.path("door/2026-03-04/09-00-00.mp4").unlink()
    assert list(inbox.look(now=now, after=looked).days) == [("door", TUESDAY), ("door", dt.date(2026, 3, 4))]


def test_a_file_that_changes_in_place_in_a_folder_that_rests_is_seen_within_a_round(rested):
    inbox, looked = rested
    folder = inbox.path(TUESDAY_NINE).parent
    inbox.path(TUESDAY_NINE).write_bytes(b"longer")
    os.utime(inbox.path(TUESDAY_NINE), (1, 1))
    untouched = folder.stat().st_mtime_ns
    seen = []
    for _ in range(25):
        looked = inbox.look(now=looked.memory.at + WHOLE_ROUND / 20, after=looked)
        seen += looked.days
    assert folder.stat().st_mtime_ns == untouched
    assert set(seen) == {("door", TUESDAY)}


def test_files_gone_with_their_folder_are_asked_for_until_that_is_noted(rested):
    inbox, looked = rested
    shutil.rmtree(inbox.path(TUESDAY_NINE).parent)
    for _ in range(3):
        looked = inbox.look(now=looked.memory.at + dt.timedelta(seconds=1), after=looked)
        assert list(looked.days) == [("door", TUESDAY)]
    inbox.register(TUESDAY)
    looked = inbox.look(now=looked.memory.at + dt.timedelta(seconds=1), after=looked)
    assert looked.days == {}
    assert inbox.files()[TUESDAY_NINE] == "missing"


@pytest.mark.parametrize(
    ("statement", "asked"),
    [
        ("UPDATE source_files SET size_bytes = -1 WHERE path LIKE '%03-03/%'", {("door", TUESDAY)}),
        ("INSERT INTO cameras (camera) VALUES ('gate')", {("gate", DAY)}),
    ],
)
def test_what_changes_in_the_database_is_seen_in_a_folder_that_rests(rested, statement, asked):
    inbox, looked = rested
    inbox.put("gate_20260301_090000.mp4", b"x")
    now = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
    looked = inbox.look(now=now, after=looked)
    assert looked.days == {}
    looked = inbox.look(now=now, after=looked)
    inbox.world.execute(statement)
    assert set(inbox.look(now=now, after=looked).days) == asked


def test_files_of_folders_long_gone_are_asked_for_again_after_the_database_was_restored(rested):
    inbox, looked = rested
    folder, dsn = inbox.path(TUESDAY_NINE).parent, inbox.machine.dsn
    before, _ = in_transaction(dsn, lambda connection: registry.files_in(connection, [str(folder)]))
    shutil.rmtree(folder)
    now = looked.memory.at
    for _ in range(2):
        now += dt.timedelta(seconds=15)
        looked = inbox.look(now=now, after=looked)
        inbox.register(TUESDAY)
    assert looked.days == {}
    in_transaction(dsn, lambda connection: registry.save_files(connection, list(before.values())))
    assert list(inbox.look(now=now + WHOLE_ROUND, after=looked).days) == [("door", TUESDAY)]


def test_a_folder_in_which_a_file_was_written_lately_does_not_rest(rested):
    inbox, looked = rested
    path = inbox.path(TUESDAY_NINE)
    lately = looked.memory.at.timestamp() - 600
    os.utime(path, (lately, lately))
    inbox.world.execute(f"UPDATE source_files SET mtime_ns = {path.stat().st_mtime_ns} WHERE path LIKE '%03-03/%'")
    looked = inbox.look(now=looked.memory.at)
    assert not looked.memory.folders[str(path.parent)].rests
    assert looked.memory.folders[str(inbox.path("door/2026-03-04"))].rests


def test_a_watched_folder_that_is_not_there_deletes_nothing(inbox):
    inbox.put(NINE, b"x")
    inbox.register()
    shutil.rmtree(inbox.machine.watch_dir)
    with pytest.raises(UserError, match="is not there: mount or create it"):
        inbox.look()
    assert inbox.files() == {NINE: "quarantined"}


def test_links_and_names_that_cannot_be_stored_are_told_and_hidden_files_passed_over(inbox):
    inbox.put(NINE, b"x")
    inbox.path("door_20260301_100000.mp4").symlink_to(inbox.path(NINE))
    inbox.path("elsewhere").symlink_to("/")
    inbox.put(".door_20260301_110000.mp4", b"x")
    inbox.put("notes.txt", b"x")
    (inbox.machine.watch_dir / os.fsdecode(b"caf\xe9_20260301_090000.mp4")).write_bytes(b"x")
    assert list(inbox.look().days) == [("door", DAY)]
    assert inbox.files() == {
        "door_20260301_100000.mp4": "quarantined",
        "elsewhere": "quarantined",
        "caf\\udce9_20260301_090000.mp4": "quarantined",
    }
    assert inbox.reason("elsewhere").startswith("It is a link")
    assert "not in UTF-8" in inbox.reason("caf\\udce9_20260301_090000.mp4")
    assert inbox.look().quarantined == []


def test_a_folder_named_like_a_video_is_a_folder(tmp_path):
    (tmp_path / NINE).mkdir()
    (tmp_path / NINE / "inside.mp4").write_bytes(b"x")
    assert [file.relative for file in scan(tmp_path)] == [f"{NINE}/inside.mp4"]


def test_every_ending_of_a_video_is_seen(tmp_path):
    for suffix in VIDEO_SUFFIXES:
        (tmp_path / f"clip{suffix.upper()}").write_bytes(b"x")
    assert len(list(scan(tmp_path))) == len(VIDEO_SUFFIXES)
