"""Whatever a file is called, it is counted, quarantined with a reason or refused; nothing runs or is read outside."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pc_pipeline.ingest.names import one_line
from pc_pipeline_tests import clips
from pc_pipeline_tests.stages.inbox import Inbox

NINE = "door_20260301_090000.mp4"
WORST = [
    b"'; DROP TABLE videos;--.mp4",
    b"door'); DELETE FROM source_files WHERE ('1'='1_20260301_090000.mp4",
    b"$(touch pwned).mp4",
    b"`touch pwned`.mp4",
    b"; touch pwned;.mp4",
    b"| tee pwned |.mp4",
    b"door_20260301_090000.mp4\n.mp4",
    b"door\n_20260301_090000.mp4",
    b"\x1b[2J\x1b]0;owned\x07.mp4",
    b"..mp4",
    b"...mp4",
    b"..%2f..%2fetc%2fpasswd.mp4",
    b"-rf.mp4",
    b"--help.mp4",
    b"%s%n%d.mp4",
    b"%(x)s {0} {camera}.mp4",
    b"\\..\\..\\x.mp4",
    "door_20260301_090000\u202e4pm.mp4".encode(),
    "do\u200bor_20260301_090000.mp4".encode(),
    # Digits that are not 0 to 9, which `int` would read.
    "door_2026\u0660\u0663\u0660\u0661_\u0660\u0669\u0660\u0660\u0660\u0660.mp4".encode(),
    "door_20260301_09\uff10\uff100\uff10.mp4".encode(),
    # A letter that is a k in lower case.
    "door_20260301_090001.m\u212av".encode(),
    b"door\xff\xfe_20260301_090000.mp4",
    b"\xed\xa0\x80.mp4",
    b"<img src=x onerror=alert(1)>.mp4",
    b"[a](javascript:alert(1))|b|.mp4",
    b"![x](http:evil.example).mp4",
    b"concat:a|b.mp4",
    b"a" * 251 + b".mp4",
    b"door_20260301_090000" + b" " * 200 + b".mp4",
    b"door_99999999_999999.mp4",
    b"door_20260301_090000%04d.mp4",
]
hostile_text = st.text(
    st.one_of(
        st.sampled_from("'\";$`|&<>(){}[]*?!#%\\\n\r\t\x1b\u202e\u200b\ufeff\u0661\uff11 .-_:~"), st.characters()
    ),
    max_size=40,
).map(lambda text: text.encode("utf-8", "surrogatepass"))
timed = st.tuples(st.sampled_from([b"door", b"hall"]), st.sampled_from([b"_", b"-", b"/"]), hostile_text).map(
    lambda parts: parts[0] + parts[1].replace(b"/", b"_") + b"20260301_090000" + parts[2]
)
names = (
    st.one_of(st.binary(max_size=60), hostile_text, timed)
    .map(lambda name: name.replace(b"/", b"").replace(b"\0", b"")[:200] + b".mp4")
    .filter(lambda name: not name.startswith(b"."))
)


def put(inbox: Inbox, name: bytes) -> None:
    """A file with a video's ending and no video in it, of long ago."""
    path = inbox.path(os.fsdecode(name))
    path.write_bytes(b"no video")
    os.utime(path, (1, 1))


def rows(inbox: Inbox) -> dict[str, tuple[str, str | None]]:
    """What became of each path (below the watched folder)."""
    found = inbox.world.rows("SELECT path, status, reason FROM source_files")
    return {path[len(str(inbox.machine.watch_dir)) + 1 :]: (status, reason) for path, status, reason in found}


def settle(inbox: Inbox) -> None:
    for camera, date in inbox.look().days:
        assert camera == "door"
        inbox.register(date)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some=st.lists(names, min_size=1, max_size=12, unique=True))
@example(some=WORST)
def test_every_file_gets_a_row_with_a_reason_and_nothing_runs(inbox, some):
    inbox.empty()
    around = [Path.cwd(), inbox.machine.watch_dir.parent]
    before = [{*folder.iterdir()} for folder in around]
    for name in some:
        put(inbox, name)
    settle(inbox)
    found = rows(inbox)
    wanted = {name.decode("utf-8", "surrogateescape").encode("utf-8", "backslashreplace").decode() for name in some}
    assert {name for name in wanted if not name.startswith(".")} == set(found)
    for status, reason in found.values():
        assert status == "quarantined"
        assert reason
        assert reason.isprintable(), "one line, and nothing that could move a cursor or turn a text around"
    assert [{*folder.iterdir()} for folder in around] == before
    assert inbox.look().days == {}, "nothing is asked for without end"


def test_a_camera_or_file_that_looks_like_sql_counts_as_what_it_is(inbox):
    clips.write(inbox.path("door';--_x/door_20260301_090000.mp4"))
    os.utime(inbox.path("door';--_x/door_20260301_090000.mp4"), (1, 1))
    settle(inbox)
    assert inbox.videos() == [("03-01 09:00", "door_20260301_090000.mp4", "present")]


# ------------------------------------------------------------------------------------------------------ what is no file


@contextmanager
def listening(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # the path of a socket may be no longer than 107 bytes
        server.bind(path.name)
        os.chdir(here)
        yield


def test_pipes_sockets_and_devices_are_told_and_never_opened(inbox):
    os.mkfifo(inbox.path(NINE))
    with listening(inbox.path("door_20260301_100000.mp4")):
        if os.geteuid() == 0:
            os.mknod(inbox.path("door_20260301_110000.mp4"), 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
        assert inbox.look().days == {}
        inbox.register()
        assert set(inbox.files().values()) == {"quarantined"}
        assert len(inbox.files()) == (3 if os.geteuid() == 0 else 2)
        assert inbox.reason(NINE).startswith("It is no plain file")


def become_a_pipe(inbox: Inbox, path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def become_a_link(inbox: Inbox, path: Path) -> None:
    path.replace(inbox.machine.watch_dir.parent / "outside.mp4")
    path.symlink_to(inbox.machine.watch_dir.parent / "outside.mp4")


def stand_behind_a_link(inbox: Inbox, path: Path) -> None:
    path.parent.replace(inbox.machine.watch_dir.parent / "outside")
    path.parent.symlink_to(inbox.machine.watch_dir.parent / "outside")


@pytest.mark.parametrize("become", [become_a_pipe, become_a_link, stand_behind_a_link])
def test_a_known_file_that_becomes_something_else_is_not_opened_by_a_run_that_comes_first(inbox, become, monkeypatch):
    """Somebody who may write to the watched folder swaps a counted file for a way to another, then a run starts."""
    from pc_pipeline.stages import registration

    path = clips.write(inbox.path("door/2026-03-01/09-00-00.mp4"))
    os.utime(path, (1, 1))
    settle(inbox)
    assert inbox.files() == {"door/2026-03-01/09-00-00.mp4": "registered"}
    become(inbox, path)
    monkeypatch.setattr(registration, "probe", lambda path: pytest.fail(f"opened {path}"))
    found = inbox.register()
    assert [status for _, status, _ in found.not_counted] == ["quarantined"]
    assert found.registered == []
    assert inbox.videos()[0][2] == "source deleted", "its results stay"


def test_a_watched_folder_that_is_itself_behind_a_link_is_watched(inbox):
    real = inbox.machine.watch_dir.with_name("disk")
    inbox.machine.watch_dir.rename(real)
    inbox.machine.watch_dir.symlink_to(real)
    clips.write(inbox.path(NINE))
    os.utime(inbox.path(NINE), (1, 1))
    settle(inbox)
    assert inbox.files() == {NINE: "registered"}


def test_links_in_a_circle_end(inbox):
    inbox.path("door").mkdir()
    inbox.path("door/again").symlink_to(inbox.machine.watch_dir)
    inbox.path("self.mp4").symlink_to("self.mp4")
    assert inbox.look().days == {}
    assert inbox.files() == {"door/again": "quarantined", "self.mp4": "quarantined"}


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{outside}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{outside}'\n",
        "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    ],
    ids=["playlist", "list of files", "session description"],
)
def test_a_list_of_files_in_disguise_opens_none_of_them(inbox, content):
    outside = clips.write(inbox.machine.watch_dir.parent / "outside.ts", codec="mpeg4")
    inbox.put(NINE, content.format(outside=outside).encode())
    settle(inbox)
    assert inbox.files() == {NINE: "quarantined"}


@given(text=st.text())
def test_one_line_shows_everything_and_does_nothing(text):
    shown = one_line(text)
    assert shown.isprintable()
    assert one_line(shown) == shown


def test_a_start_is_read_from_digits_alone(inbox):
    """Arabic or full-width digits read as numbers; the search for a day's files would never find such a name again."""
    put(inbox, "door_\u0662\u0660260301_090000.mp4".encode())
    assert inbox.look().days == {}
    assert "does not tell its camera and start" in next(iter(rows(inbox).values()))[1]
