"""Frames that are jumped to are the frames that decoding from the start gives; where that is not sure, nobody jumps."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pc_pipeline.vision.decode import Frame, probe, read_frames, read_frames_at
from pc_pipeline.vision.seek import Doubtful, pictures_at
from pc_pipeline_tests import clips

OPTIONS = {
    "h264": ("libx264", {"preset": "ultrafast", "g": "10"}),
    "h264 with B-frames": ("libx264", {"preset": "veryfast", "g": "10", "bf": "3"}),
    "h264, open GOPs": ("libx264", {"preset": "veryfast", "bf": "2", "x264-params": "open-gop=1:keyint=10"}),
    "h264, refreshed bit by bit": ("libx264", {"preset": "veryfast", "x264-params": "intra-refresh=1:keyint=10"}),
    "h265, open GOPs": (
        "libx265",
        {"preset": "ultrafast", "x265-params": "log-level=none:keyint=10:min-keyint=10:bframes=3:open-gop=1"},
    ),
    "mjpeg": ("mjpeg", {}),
    "mpeg4": ("mpeg4", {"g": "10"}),
}
IRREGULAR_MS = np.cumsum(np.random.default_rng(1).choice([40, 100, 100, 133, 2000], 40)).tolist()


def scene(coloured: bool = True) -> np.ndarray:
    room = clips.room()
    if coloured:
        room[:, :, 0] //= 2
    return room


def film(
    path: Path,
    kind: str = "h264",
    pictures: Iterable[np.ndarray] | None = None,
    times_ms: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Forty noisy frames of people walking, at ten frames a second or at `times_ms`."""
    import av

    encoder, usual = OPTIONS[kind]
    unit = Fraction(1, 10) if times_ms is None else Fraction(1, 1000)
    with av.open(str(path), "w") as file:
        stream = file.add_stream(encoder, rate=10, options=usual | (options or {}))
        stream.pix_fmt = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = unit
        for number, image in enumerate(clips.filmed(scene(), 4.0) if pictures is None else pictures):
            if not number:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.time_base, frame.pts = unit, number if times_ms is None else times_ms[number]
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def jumped_to(path: Path, every: list[Frame], numbers: list[int]) -> list[np.ndarray]:
    """The pictures as far as they were jumped to."""
    facts = probe(path)
    after = [every[number].pts_us - every[0].pts_us for number in numbers]
    found = []
    try:
        for picture in pictures_at(path, facts.container, numbers, after, every[0].image, facts.rotation):
            found.append(picture)
    except Doubtful:
        pass
    return found


def assert_the_same(path: Path, every: list[Frame], numbers: list[int]) -> None:
    times = np.array([every[number].pts_us for number in numbers])
    some = list(read_frames_at(path, np.array(numbers), times))
    assert [(frame.number, frame.pts_us) for frame in some] == list(zip(numbers, times.tolist(), strict=True))
    assert all(np.array_equal(frame.image, every[frame.number].image) for frame in some)


@pytest.mark.parametrize("times_ms", [None, IRREGULAR_MS], ids=["steady", "variable frame rate"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("kind", [kind for kind in OPTIONS if kind not in ("mjpeg", "mpeg4")])
def test_a_frame_that_is_jumped_to_is_the_very_frame(tmp_path, kind, suffix, times_ms):
    path = film(tmp_path / f"clip.{suffix}", kind, times_ms=times_ms)
    every = list(read_frames(path))
    numbers = [3, 12, 19, 20, 34]
    assert len(every) == 40
    for picture, number in zip(jumped_to(path, every, numbers), numbers, strict=True):
        assert np.array_equal(picture, every[number].image)
    assert_the_same(path, every, numbers)


@pytest.mark.parametrize(("kind", "suffix"), [("mjpeg", "avi"), ("mjpeg", "mov")])
def test_pictures_that_depend_on_no_other_are_jumped_to_in_any_container(tmp_path, kind, suffix):
    path = film(tmp_path / f"clip.{suffix}", kind)
    every = list(read_frames(path))
    (picture,) = jumped_to(path, every, [30])
    assert np.array_equal(picture, every[30].image)


@pytest.mark.parametrize(
    ("kind", "suffix"), [("mpeg4", "mp4"), ("mpeg4", "avi"), ("h264", "avi"), ("h264 with B-frames", "avi")]
)
def test_where_packets_do_not_tell_which_frame_they_are_all_is_decoded(tmp_path, kind, suffix):
    path = film(tmp_path / f"clip.{suffix}", kind)
    every = list(read_frames(path))
    assert jumped_to(path, every, [12, 35]) == []
    assert_the_same(path, every, [12, 35])


def test_frames_that_lie_near_each_other_are_not_jumped_to(tmp_path):
    path = film(tmp_path / "clip.mp4")
    every = list(read_frames(path))
    assert jumped_to(path, every, list(range(1, 36))) == []
    assert_the_same(path, every, list(range(1, 36)))


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_pictures_stored_on_their_side_stand_upright(tmp_path, rotation):
    path = film(tmp_path / "clip.mp4")
    clips._set_rotation(path, rotation)
    every = list(read_frames(path))
    (picture,) = jumped_to(path, every, [34])
    assert np.array_equal(picture, every[34].image)


def test_numbers_whose_times_are_others_are_decoded_from_the_start(tmp_path):
    path = film(tmp_path / "clip.mp4")
    every = list(read_frames(path))
    shifted = [*every[:1], *every[2:]]
    assert jumped_to(path, shifted, [12, 35]) == []
    some = read_frames_at(path, np.array([12, 35]), np.array([1_300_000, 3_600_000]))
    assert all(np.array_equal(frame.image, every[frame.number].image) for frame in some)


def test_colours_that_the_first_frame_does_not_show_are_not_taken_on_trust(tmp_path):
    grey = list(clips.filmed(scene(coloured=False), 2.0, people=0))
    path = film(tmp_path / "clip.mp4", pictures=[*grey, *clips.filmed(scene(), 2.0)])
    every = list(read_frames(path))
    assert len(jumped_to(path, every, [12, 35])) == 1
    assert_the_same(path, every, [12, 35])


def test_a_recorder_that_changes_the_resolution_is_decoded_from_the_start(tmp_path):
    small = film(tmp_path / "small.ts", times_ms=[100 * n for n in range(40)])
    large = film(
        tmp_path / "large.ts",
        pictures=clips.filmed(clips.room(320, 240), 4.0),
        times_ms=[100 * n for n in range(40, 80)],
    )
    path = tmp_path / "clip.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    every = list(read_frames(path))
    assert len(every) > 60 and {frame.image.shape for frame in every} == {(120, 160, 3)}
    assert jumped_to(path, every, [12, 35, 60]) == []
    assert_the_same(path, every, [12, 35, 60])
    (late,) = read_frames_at(path, np.array([60]))
    assert np.array_equal(late.image, every[60].image), "the first frame's size, though that one was not asked for"


def test_the_stretch_of_a_cut_off_file_that_is_there_is_jumped_about_in(tmp_path):
    path = clips.cut_in_the_middle(tmp_path / "clip.mp4")
    every = list(read_frames(path))
    assert_the_same(path, every, [1, len(every) - 3])


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(["mp4", "mkv", "ts"]),
    key_every=st.integers(1, 25),
    between=st.integers(0, 4),
    steps=st.lists(st.sampled_from([33, 40, 100, 1500]), min_size=24, max_size=24),
    numbers=st.sets(st.integers(0, 23), min_size=1, max_size=6),
)
def test_any_frames_of_any_film_are_the_same_as_when_all_are_read(tmp_path, suffix, key_every, between, steps, numbers):
    path = film(
        tmp_path / f"clip.{suffix}",
        pictures=clips.filmed(scene(), 2.4),
        times_ms=np.cumsum(steps).tolist(),
        options={"g": str(key_every), "bf": str(between)},
    )
    assert_the_same(path, list(read_frames(path)), sorted(numbers))


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    return film(tmp_path_factory.mktemp("sound") / "clip.mp4")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_in_a_damaged_film_a_jump_gives_what_was_decoded_or_what_was_filmed(tmp_path, sound, data):
    """After an error FFmpeg's threads spoil sound pictures too, and not the same ones each time: a jump spares them."""
    content = bytearray(sound.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(1000, len(content) - 3000))
        spoilt = data.draw(st.binary(min_size=1, max_size=40))
        content[at : at + len(spoilt)] = spoilt
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    every = list(read_frames(path))
    filmed = {frame.pts_us: frame.image for frame in read_frames(sound)}
    numbers = [number for number in (3, 12, 19, 20, 34) if number < len(every)]
    jumped = jumped_to(path, every, numbers) if numbers else []
    for picture, number in zip(jumped, numbers, strict=False):
        frame = every[number]
        assert np.array_equal(picture, frame.image) or np.array_equal(picture, filmed.get(frame.pts_us, 0))


@pytest.mark.parametrize("name", ["one-by-one/video.mp4", "pets2009-s2l1/video.avi"])
def test_of_real_films_the_very_frames_are_found(samples_dir, name):
    path = samples_dir / name
    every = [(frame.pts_us, frame.image if frame.number % 29 == 5 else None) for frame in read_frames(path)]
    numbers = np.arange(5, len(every), 29)
    some = list(read_frames_at(path, numbers, np.array([every[number][0] for number in numbers])))
    assert len(some) == len(numbers)
    for frame in some:
        pts_us, image = every[frame.number]
        assert frame.pts_us == pts_us and np.array_equal(frame.image, image)
