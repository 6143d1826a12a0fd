"""What is erased on request is gone everywhere, and nothing counts it again."""

import datetime as dt
import errno
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from pc_pipeline.errors import ConfigError, UserError
from pc_pipeline.housekeeping import erasure as housekeeping
from pc_pipeline.stages.arrivals import give
from pc_pipeline.store.cache import Cache
from pc_pipeline.store.erasure import Wish
from pc_pipeline_tests import clips
from pc_pipeline_tests.housekeeping.seams import MORNING, OF_ERASURE, erase, erase_and_die, finish, place_of, run
from pc_pipeline_tests.housekeeping.test_archive import archived, load
from pc_pipeline_tests.stages.inbox import SITE, Inbox
from pc_pipeline_tests.stages.world import World, across, local, start

TEN, NOON = local("2026-03-03 10:00:00"), local("2026-03-03 12:00:00")


def film_morning(world: World) -> None:
    """Somebody across two files, who crosses the line."""
    walk = across(60)
    world.film(TEN, walk[:30])
    world.film(TEN + dt.timedelta(seconds=3), walk[30:])


def film_rest(world: World) -> None:
    """At noon of the same day, and the day after."""
    world.film(NOON, across(30))
    world.film(NOON + dt.timedelta(days=1), across(30, 600, 60))


def everything(world: World) -> dict:
    """All results, in the tables and in the archive, and the raw detections there are."""
    files = sorted(path.name for path in world.machine.raw_dir.glob("*.parquet"))
    return {"tables": world.digest(), "archive": archived(world, "detections"), "raw": files}


def test_a_morning_that_was_erased_never_was_though_the_erasure_is_killed_at_every_seam(worlds, redis_url):
    erased, never = worlds(), worlds()
    for world in (erased, never):
        # Without a word on the time between two videos, which tells that there was one.
        world.apply(quality={"gap": 1e9})
        if world is erased:
            film_morning(world)
        film_rest(world)
        world.settle()
        run(world)
    # As a recount does: rows in the table too, and not only in the archive.
    load(erased, erased.rows("SELECT video_id FROM videos WHERE started_at = %s", TEN)[0][0], 5)
    cache = Cache(redis_url)
    cache.cache_track(7, 1, {"seen": "somebody"})
    shown = housekeeping.preview(place_of(erased), MORNING)
    assert [video.started_at for video in shown.videos] == [TEN, TEN + dt.timedelta(seconds=3)]
    assert (shown.rows["tracks"], shown.archives) == (2, 1)

    for seam in OF_ERASURE:
        process = start(erase_and_die, erased, seam)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL, seam
    assert finish(erased, redis_url) == 1
    assert finish(erased) == 0

    assert cache.keys() == []
    assert erased.settle() == 0
    assert everything(erased) == everything(never)
    ((row, deleted),) = erased.rows(
        "SELECT to_jsonb(e) - '{asked_at,finished_at,deleted}'::text[], deleted FROM erasures e"
    )
    assert row == {
        "erasure_id": 1, "asked_by": "me", "reason": "ticket 1", "camera": "door", "with_video_files": False,
        "span_start": "2026-03-03T09:00:00+00:00", "span_end": "2026-03-03T11:00:00+00:00", "state": "done",
        "videos": [], "files": [], "partitions": [],
    }  # fmt: skip
    numbers = {"videos": 2, "detections": 4, "tracks": 2, "track_links": 1, "rows in the archive": 60}
    assert {name: deleted[name] for name in numbers} == numbers


def record(inbox: Inbox, folder: Path, names: Sequence[str]) -> None:
    """Put videos that differ into the watched folder, and register them."""
    for number, name in enumerate(names):
        inbox.put(name, clips.write(folder / f"{number}.mp4", fps=10 + number).read_bytes())
    inbox.settle()


def test_a_file_that_was_erased_is_never_counted_again(inbox, tmp_path):
    names = ("door_20260301_090000.mp4", "door_20260301_100000.mp4")
    record(inbox, tmp_path, names)
    at_nine = Wish("door", local("2026-03-01 09:00:00"), local("2026-03-01 09:30:00"), False)
    erase(inbox.world, at_nine)
    assert inbox.files() == {names[0]: "erased", names[1]: "registered"}
    assert inbox.path(names[0]).exists()
    # Not by the sensor, not with its day, not as a copy under another name or given by hand, and not when it has gone.
    inbox.put("door_20260301_113000.mp4", inbox.path(names[0]).read_bytes())
    assert list(inbox.look().days) == [("door", inbox_day())]
    inbox.settle()
    assert inbox.videos() == [("03-01 10:00", names[1], "present")]
    assert inbox.files()["door_20260301_113000.mp4"] == "erased"
    given = give(inbox.machine, SITE, inbox.path(names[0]), "door", local("2026-03-05 09:00:00"), given=True)
    assert ("door", inbox_day()) in given
    inbox.path(names[0]).unlink()
    assert inbox.look().days == {}
    assert inbox.files()[names[0]] == "erased"


def inbox_day() -> dt.date:
    return dt.date(2026, 3, 1)


def test_video_files_are_deleted_where_that_is_asked_unless_they_are_others_by_now(inbox, tmp_path):
    names = ("door_20260301_090000.mp4", "door_20260301_100000.mp4", "door_20260301_110000.mp4")
    record(inbox, tmp_path, names)
    inbox.put(names[1], b"another recording")
    done = erase(inbox.world, Wish("door", None, None, True))
    assert [inbox.path(name).exists() for name in names] == [False, True, False]
    assert (done.deleted["video files"], done.deleted["video files left"]) == (2, 1)
    assert inbox.world.count("videos") == 0
    assert inbox.look().days == {}


def test_a_video_file_that_cannot_be_deleted_is_named_and_the_erasure_waits_for_it(inbox, tmp_path, monkeypatch):
    names = ("door_20260301_090000.mp4", "door_20260301_100000.mp4")
    record(inbox, tmp_path, names)
    unlink = Path.unlink

    def of_a_read_only_folder(self: Path, missing_ok: bool = False) -> None:
        if self.name == names[0]:
            raise OSError(errno.EROFS, "Read-only file system")
        unlink(self, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", of_a_read_only_folder)
        with pytest.raises(UserError, match=f"{names[0]} cannot be deleted .Read-only file system."):
            erase(inbox.world, Wish("door", None, None, True))
    assert [inbox.path(name).exists() for name in names] == [True, False]
    last = "FROM erasures ORDER BY erasure_id DESC LIMIT 1"
    assert inbox.world.rows(f"SELECT state, videos, partitions {last}") == [("running", [], [])]
    assert finish(inbox.world) == 1
    assert not inbox.path(names[0]).exists()
    assert inbox.world.rows(f"SELECT state, files, deleted -> 'video files' {last}") == [("done", [], 2)]


def test_an_erasure_that_cannot_be_finished_keeps_no_other_from_it(inbox, tmp_path, monkeypatch):
    record(inbox, tmp_path, ("door_20260301_090000.mp4",))
    with monkeypatch.context() as patch:
        patch.setattr(housekeeping, "_remove_video", read_only)
        for wish in (Wish("door", local("2026-03-01 08:00"), local("2026-03-01 10:00"), True), MORNING):
            with pytest.raises(UserError, match=r"^erasure \d+ is not finished: .*090000.mp4 cannot be deleted"):
                erase(inbox.world, wish)
    last = "SELECT state FROM erasures ORDER BY erasure_id DESC LIMIT 2"
    assert inbox.world.rows(last) == [("done",), ("running",)]
    assert finish(inbox.world) == 1


def read_only(place, path: Path) -> bool:
    raise OSError(errno.EROFS, "Read-only file system")


def test_an_uncounted_video_goes_where_its_frames_can_lie_in_the_span(inbox, tmp_path):
    def put(name: str, **of_clip) -> str:
        inbox.put(name, clips.write(tmp_path / name, **of_clip).read_bytes())
        return name

    two = [clips.picture(160, 120)] * 2
    over = put("door_20260301_071500.mp4", fps=9)
    reaching = put("door_20260301_081500.mp4", pictures=two, times_s=[0, 2760])
    not_telling = put("door_20260301_083000.ts", codec="h264")
    changed = put("door_20260301_084500.mp4", fps=8)
    inside = put("door_20260301_090500.mp4", fps=7)
    after = put("door_20260301_093000.mp4", fps=6)
    inbox.settle()
    inbox.put(changed, b"written over since")
    nine = Wish("door", local("2026-03-01 09:00:00"), local("2026-03-01 09:30:00"), False)
    going = [Path(video.path).name for video in housekeeping.preview(place_of(inbox.world), nine).videos]
    assert going == [reaching, not_telling, changed, inside]
    erase(inbox.world, nine)
    assert [name for _, name, _ in inbox.videos()] == [over, after]


def test_hours_that_cannot_be_made_again_are_deleted(world):
    film_morning(world)
    film_rest(world)
    world.settle()
    run(world, dt.datetime(2032, 1, 1, tzinfo=dt.UTC))
    erase(world, MORNING)
    assert [
        hour.hour for (hour,) in world.rows("SELECT hour_start FROM hourly_statistics WHERE date = '2026-03-03'")
    ] == [12]
    assert world.rows("SELECT date::text FROM daily_statistics") == [("2026-03-04",)]
    left = {video for (video,) in world.rows("SELECT video_id FROM videos")}
    assert {row[0] for row in archived(world, "tracks")} == left
    assert len(left) == 2


def test_redis_that_is_away_leaves_the_erasure_to_the_next_run(world):
    film_morning(world)
    with pytest.raises(UserError, match="Redis does not answer"):
        erase(world, MORNING, "redis://127.0.0.1:1")
    assert world.rows("SELECT state FROM erasures") == [("running",)]
    assert finish(world) == 1


@pytest.mark.parametrize(
    ("camera", "first", "last", "says"),
    [
        (None, None, None, "everything would be erased"),
        ("gate", None, None, "there is no camera 'gate'; there are door"),
        ("door", "2026-03-01", None, "one end only"),
        ("door", "1 March", "2026-03-02", "'1 March' is no day or time"),
        ("door", "2026-03-02T10:00", "2026-03-02T10:00", "is not after its start"),
    ],
)
def test_what_cannot_be_meant_is_refused(world, camera, first, last, says):
    with pytest.raises(ConfigError, match=says):
        housekeeping.wished(place_of(world), camera, first, last, video_files=False)


def test_days_are_local_and_the_last_one_is_included(world):
    wish = housekeeping.wished(place_of(world), None, "2026-03-28", "2026-03-29", video_files=False)
    assert (wish.start, wish.end) == (local("2026-03-28 00:00"), local("2026-03-30 00:00"))
    assert wish.end - wish.start == dt.timedelta(hours=47)
