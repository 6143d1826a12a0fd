"""The checksums in a Matroska file: changed pictures are told, whole ones never, whoever wrote the file."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pc_pipeline.vision.checksums import changed_clusters
from pc_pipeline_tests import clips

CLUSTER, CUES = b"\x1f\x43\xb6\x75", b"\x1c\x53\xbb\x6b"


def remuxed(source: Path, target: Path, **options: str) -> Path:
    """The same pictures, written by FFmpeg's muxer with these options."""
    import av

    with av.open(source) as before, av.open(target, "w", options=options) as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        for packet in before.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                after.mux(packet)
    return target


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Eight seconds in four clusters, and beside it a file to damage."""
    folder = tmp_path_factory.mktemp("checksums")
    film = clips.write(folder / "film.mp4", clips.filmed(clips.room(), 8), codec="h264")
    return remuxed(film, folder / "recording.mkv", cluster_time_limit="2000")


def flipped(recording: Path, places: list[int]) -> Path:
    content = bytearray(recording.read_bytes())
    for place in places:
        content[place] ^= 0x10
    damaged = recording.with_name("damaged.mkv")
    damaged.write_bytes(content)
    return damaged


def clusters(content: bytes) -> list[int]:
    """Where each cluster starts."""
    starts, at = [], content.find(CLUSTER)
    while at >= 0:
        starts.append(at)
        at = content.find(CLUSTER, at + 1)
    return starts


@pytest.mark.parametrize(
    "name", ["h264.mkv", "h265.mkv", "mpeg4.mkv", "mjpeg.mkv", "h264.mp4", "h264.mov", "mjpeg.avi", "h265.ts"]
)
def test_of_a_whole_file_nothing_is_told(tmp_path, name):
    assert changed_clusters(clips.write(tmp_path / name, codec=name.partition(".")[0])) == 0


def test_of_real_recordings_nothing_is_told_in_matroska_either(samples_dir, tmp_path):
    for name in ("pets2009-s2l1/video.avi", "one-by-one/video.mp4"):
        assert changed_clusters(samples_dir / name) == 0
        copied = remuxed(samples_dir / name, tmp_path / "copied.mkv")
        assert changed_clusters(copied) == 0


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_byte_changed_behind_a_clusters_checksum_is_told(recording, data):
    content = recording.read_bytes()
    # Id, length of three bytes, id and length of the checksum.
    first = clusters(content)[0] + 4 + 3 + 2
    place = data.draw(st.integers(first, clusters(content)[1] - 1))
    assert changed_clusters(flipped(recording, [place])) == 1


def test_each_changed_cluster_counts_once(recording):
    starts = clusters(recording.read_bytes())
    assert len(starts) == 4
    assert changed_clusters(flipped(recording, [starts[1] + 200, starts[1] + 300, starts[3] + 200])) == 2


def test_clusters_without_a_checksum_count_as_whole(recording):
    plain = remuxed(recording, recording.with_name("plain.mkv"), write_crc32="0")
    assert changed_clusters(flipped(plain, [plain.stat().st_size // 2])) == 0


def test_a_stream_written_as_it_came_is_judged_alike(recording):
    live = remuxed(recording, recording.with_name("live.mkv"), live="1")
    content = live.read_bytes()
    assert content[content.index(b"\x18\x53\x80\x67") + 4 :].startswith(b"\x01" + b"\xff" * 7)
    assert changed_clusters(live) == 0
    assert changed_clusters(flipped(live, [clusters(content)[2] + 200])) == 1


def test_a_cluster_without_a_length_counts_as_whole(recording):
    content = bytearray(recording.read_bytes())
    start = clusters(content)[1]
    # As long a number as a length of 127 would need.
    content[start + 4 : start + 7] = b"\xff"
    live = recording.with_name("live.mkv")
    live.write_bytes(content)
    assert changed_clusters(live) == 0


def test_what_other_tools_change_in_place_is_not_told(recording):
    content = recording.read_bytes()
    duration = content.index(b"\x44\x89\x88")
    assert changed_clusters(flipped(recording, [duration + 8, content.rindex(CUES) + 12])) == 0


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_of_a_file_cut_off_only_whole_clusters_are_judged(recording, kept):
    content = recording.read_bytes()
    cut = recording.with_name("damaged.mkv")
    cut.write_bytes(content[: int(len(content) * kept)])
    assert changed_clusters(cut) == 0


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80), st.booleans())
def test_noise_is_no_error(recording, noise, begins_well):
    path = recording.with_name("damaged.mkv")
    path.write_bytes((b"\x1aE\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7 if begins_well else b"") + noise)
    assert changed_clusters(path) == 0


def test_a_file_that_is_gone_is_no_error(tmp_path):
    assert changed_clusters(tmp_path / "gone.mkv") == 0
