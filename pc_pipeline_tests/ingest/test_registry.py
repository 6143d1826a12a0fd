"""Which of a camera's files count: the same answer in whatever order they came."""

import datetime as dt
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from pc_pipeline.ingest.registry import SourceFile, decide, video_id

NINE = dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)
TEN = NINE + dt.timedelta(hours=1)

files = st.lists(
    st.builds(
        SourceFile,
        path=st.sampled_from([f"/watch/{name}.mp4" for name in "abcdefgh"]),
        started_at=st.sampled_from([NINE, TEN, TEN + dt.timedelta(hours=1)]),
        content_hash=st.sampled_from(["00", "11", "22", "33"]),
    ),
    unique_by=lambda file: file.path,
)


def statuses(*found: SourceFile) -> dict[str, str]:
    return {path: decision.status for path, decision in decide(list(found)).items()}


@given(files, st.randoms())
def test_any_order_of_files_gives_the_same_decisions(found, random):
    shuffled = random.sample(found, len(found))
    assert decide(shuffled) == decide(found)


@given(files)
def test_every_file_is_decided_and_no_recording_or_start_counts_twice(found):
    decisions = decide(found)
    assert set(decisions) == {file.path for file in found}
    counted = [file for file in found if decisions[file.path].status == "registered"]
    assert len({file.content_hash for file in counted}) == len({file.started_at for file in counted}) == len(counted)
    assert all(bool(decision.reason) == (decision.status != "registered") for decision in decisions.values())


@given(files)
def test_no_recording_is_lost_but_where_another_holds_each_of_its_starts(found):
    decisions = decide(found)
    counted = {file.content_hash for file in found if decisions[file.path].status == "registered"}
    taken = {file.started_at for file in found if decisions[file.path].status == "registered"}
    starts = defaultdict(set)
    for file in found:
        starts[file.content_hash].add(file.started_at)
    assert all(content in counted or starts[content] <= taken for content in starts)


def test_of_identical_files_the_earliest_start_then_the_first_path_counts():
    decisions = decide(
        [SourceFile("a.mp4", TEN, "same"), SourceFile("c.mp4", NINE, "same"), SourceFile("b.mp4", NINE, "same")]
    )
    assert {path: decision.status for path, decision in decisions.items()} == {
        "b.mp4": "registered",
        "c.mp4": "duplicate",
        "a.mp4": "duplicate",
    }
    assert "b.mp4" in decisions["a.mp4"].reason


def test_of_different_files_with_one_start_the_first_path_counts_and_the_other_says_why():
    decisions = decide([SourceFile("b.mp4", NINE, "one"), SourceFile("a.mp4", NINE, "two")])
    assert decisions["a.mp4"].status == "registered"
    assert decisions["b.mp4"].status == "quarantined"
    assert "a.mp4 claims the same camera and start (2026-03-01 09:00:00 UTC)" in decisions["b.mp4"].reason


def test_a_recording_whose_first_name_loses_its_start_to_another_counts_under_its_second():
    found = (SourceFile("a.mp4", NINE, "one"), SourceFile("b.mp4", NINE, "two"), SourceFile("c.mp4", TEN, "two"))
    assert statuses(*found) == {"a.mp4": "registered", "b.mp4": "quarantined", "c.mp4": "registered"}


@given(st.text(min_size=1, max_size=20), st.datetimes(timezones=st.timezones()))
def test_a_videos_id_is_63_bits_of_camera_and_instant_whatever_the_zone(camera, start):
    identity = video_id(camera, start)
    assert 0 < identity < 2**63
    assert identity == video_id(camera, start.astimezone(dt.UTC))


def test_another_camera_or_microsecond_is_another_video():
    ids = {video_id("door", NINE), video_id("gate", NINE), video_id("door", NINE + dt.timedelta(microseconds=1))}
    assert len(ids) == 3
    # Stored for ever: it may not change from one version to the next.
    assert video_id("door", NINE) == 3198456138222460450
