"""What is wrong with a picture is found, with its time; and nothing where nothing is wrong."""

from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pc_pipeline.ingest.site import QualityConfig
from pc_pipeline.vision.arrays import joined_signals
from pc_pipeline.vision.decode import probe, read_frames
from pc_pipeline.vision.detect import Boxes, detect_video
from pc_pipeline.vision.picture import (
    MOST_REFERENCES,
    PictureWatch,
    Usual,
    compare,
    find_events,
    frame_rate_events,
    hole_events,
    last_reference,
    sharpness,
    small,
)
from pc_pipeline_tests import clips

QUALITY = QualityConfig()
ROOM = clips.room()
HEIGHT, WIDTH = ROOM.shape[:2]


class SeesNothing:
    def detect(self, frames):
        for frame in frames:
            yield frame, Boxes(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int16))


def found(path, usual=None, every=0.1):
    """(kind, from, to, value), in seconds, of what detection keeps of a file."""
    detections, decoded = detect_video(path, SeesNothing(), every)
    facts = probe(path)
    end_us = decoded.last_pts_us + decoded.median_step_us
    events = hole_events(decoded.holes_us, QUALITY.gap)
    events += frame_rate_events(decoded.median_step_us, end_us, facts.nominal_fps, None, QUALITY.frame_rate)
    events += find_events(detections.picture, end_us, usual or Usual(), QUALITY, (facts.width, facts.height))
    return [(event.kind, event.start_us / 1e6, event.end_us / 1e6, event.value) for event in events]


def seen(pictures, fps=10):
    """The signals of pictures that come `fps` a second, and where they end."""
    watch, n = PictureWatch(), -1
    for n, image in enumerate(pictures):
        watch.see(round(1e6 * n / fps), image)
    return watch.signals(), round(1e6 * (n + 1) / fps)


def events_of(pictures, usual=None, fps=10):
    signals, end_us = seen(pictures, fps)
    return find_events(signals, end_us, usual or Usual(), QUALITY, (WIDTH, HEIGHT))


def changed(pictures, first, last, change, fps=10):
    """`pictures`, with `change(picture)` for those from second `first` to second `last`."""
    for n, image in enumerate(pictures):
        yield change(image) if first <= n / fps < last else image


def shift(image, share, down=0.0, degrees=0.0):
    """What a camera sees that was turned: the scene elsewhere, and at the edge what was not in view."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    matrix[:, 2] += (share * width, down * height)
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def black(image):
    return np.random.default_rng(int(image[0, 0, 0])).integers(0, 14, image.shape, np.uint8)


def hand(image):
    """A hand or a bag before the lens: slow shading and the sensor's noise, no edge."""
    down, across = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    noise = np.random.default_rng(int(image[0, 0, 0])).normal(0, 3, image.shape)
    return np.clip((40 + across / 4 + down / 8)[..., None] + noise, 0, 255).astype(np.uint8)


def sprayed(image):
    return cv2.GaussianBlur(image, (0, 0), image.shape[1] / 10)


def test_a_normal_clip_with_walkers_has_no_event(tmp_path):
    assert found(clips.write(tmp_path / "clip.mp4", clips.filmed(ROOM, 40), codec="h264")) == []


@pytest.mark.parametrize(
    ("kind", "change"),
    [("black", black), ("covered", hand), ("covered", sprayed), ("moved", lambda image: shift(image, 0.05))],
)
def test_a_change_of_the_picture_is_found_within_a_second(tmp_path, kind, change):
    last = 40 if kind == "moved" else 17
    pictures = changed(clips.filmed(ROOM, 30), 12, last, change)
    ((name, start, end, value),) = found(clips.write(tmp_path / "clip.mp4", pictures, codec="h264"))
    assert name == kind
    assert (start, end) == pytest.approx((12, min(last, 30)), abs=1.0)
    if kind == "moved":
        assert value == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("codec", ["h264", "mpeg4"])
def test_a_picture_that_repeats_is_frozen(tmp_path, codec):
    room = clips.room(320, 240)
    live = list(clips.filmed(room, 8))
    pictures = live[:50] + [live[50]] * 320 + live[50:]
    ((kind, start, end, value),) = found(clips.write(tmp_path / "clip.mkv", pictures, codec=codec))
    assert kind == "frozen"
    assert (start, end, value) == pytest.approx((5, 37, 32), abs=1.0)


def test_frames_that_are_missing_are_a_gap_within_the_file(tmp_path):
    times = [n / 10 for n in range(200) if not 80 <= n < 155]
    path = clips.write(tmp_path / "clip.mkv", clips.filmed(ROOM, 12.5), codec="h264", times_s=times)
    ((start, end, seconds),) = [event[1:] for event in found(path) if event[0] == "gap"]
    assert (start, end, seconds) == pytest.approx((8.0, 15.5, 7.5), abs=0.1)


def test_a_quiet_scene_seldom_looked_at_is_not_frozen():
    """Between two looks a minute apart, an empty room looks much the same; its noise does not."""
    assert events_of(clips.filmed(ROOM, 600, fps=1, people=0, noise=1.0), fps=1) == []


def test_a_still_scene_whose_noise_an_encoder_draws_only_at_key_frames_is_not_frozen():
    moments = (next(clips.filmed(ROOM, 1, people=0, noise=2.0, seed=seed)) for seed in range(8))
    assert events_of((image for image in moments for _ in range(50)), fps=5) == []


def test_a_black_picture_is_not_frozen_too():
    pictures = changed(clips.filmed(ROOM, 60), 10, 55, np.zeros_like)
    assert [event.kind for event in events_of(pictures)] == ["black"]


def test_a_camera_covered_from_the_first_picture_is_found_by_what_is_usual():
    usual = Usual(sharpness=sharpness(seen(clips.filmed(ROOM, 4))[0]))
    assert [event.kind for event in events_of(map(sprayed, clips.filmed(ROOM, 10)), usual)] == ["covered"]
    assert events_of(clips.filmed(ROOM, 10), usual) == []


def test_an_empty_corridor_at_night_is_not_covered():
    dim = np.clip(ROOM * 0.12, 0, 255).astype(np.uint8)
    usual = Usual(sharpness=sharpness(seen(clips.filmed(ROOM, 4))[0]))
    assert events_of(clips.filmed(dim, 10, people=0), usual) == []


@settings(max_examples=15)
@given(
    gain=st.floats(0.3, 1.4),
    offset=st.integers(-10, 40),
    at=st.integers(2, 18),
    people=st.integers(0, 4),
    seed=st.integers(0, 5),
)
def test_neither_light_nor_people_move_a_camera(gain, offset, at, people, seed):
    def light(image):
        return np.clip(image * gain + offset, 0, 255).astype(np.uint8)

    filmed = clips.filmed(clips.room(seed=seed), 20, fps=5, people=people, seed=seed)
    assert [e for e in events_of(changed(filmed, at, 99, light, fps=5), fps=5) if e.kind == "moved"] == []


@settings(max_examples=15)
@given(
    across=st.floats(-0.2, 0.2),
    down=st.floats(-0.15, 0.15),
    degrees=st.floats(-4, 4),
    gain=st.floats(0.5, 1.2),
    seed=st.integers(0, 5),
)
def test_a_shift_is_measured_whatever_the_light(across, down, degrees, gain, seed):
    wide = clips.room(2 * WIDTH, 2 * HEIGHT, seed)
    turned = np.clip(shift(wide, across / 2, down / 2, degrees) * gain, 0, 255).astype(np.uint8)
    middle = np.s_[HEIGHT // 2 : -(HEIGHT // 2), WIDTH // 2 : -(WIDTH // 2)]
    found = compare(small(np.ascontiguousarray(wide[middle])), small(np.ascontiguousarray(turned[middle])))
    corners = np.array([(x, y) for x in (-0.5, 0, 0.5) for y in (-0.5, 0, 0.5)]) * (WIDTH, HEIGHT)
    angle = -np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = corners @ rotation.T + (across * WIDTH, down * HEIGHT) - corners
    true = np.hypot(*moved.T).mean() / WIDTH
    if true >= 0.04:
        assert found.shift == pytest.approx(true, rel=0.15, abs=0.01)
    elif true < 0.02:
        assert found.shift < QUALITY.moved


def test_a_camera_turned_between_two_files_is_found_and_one_turned_back_ends_it():
    before = last_reference(seen(clips.filmed(ROOM, 20))[0])
    turned = changed(clips.filmed(ROOM, 40, seed=1), 0, 20, lambda image: shift(image, 0.1, 0.05))
    (event,) = events_of(turned, Usual(before, at_once=True))
    assert (event.kind, event.start_us) == ("moved", 0)
    assert event.end_us == pytest.approx(20e6, abs=1e6)
    assert events_of(clips.filmed(ROOM, 20, seed=2), Usual(before, at_once=True)) == []


def test_another_scene_counts_as_moved_only_where_the_light_cannot_have_changed():
    before = last_reference(seen(clips.filmed(clips.room(seed=7), 20))[0])
    ((kind, value),) = [(e.kind, e.value) for e in events_of(clips.filmed(ROOM, 20), Usual(before, at_once=True))]
    assert (kind, value) == ("moved", 1.0)
    assert events_of(clips.filmed(ROOM, 20), Usual(before, at_once=False)) == []


def test_a_rate_that_is_off_says_by_how_much():
    assert frame_rate_events(100_000, 10**7, 10.0, 10.0, 0.2) == []
    assert frame_rate_events(100_000, 10**7, 0.0, None, 0.2) == []
    (declared,) = frame_rate_events(40_000, 10**7, 50.0, None, 0.2)
    assert (declared.kind, declared.value, declared.end_us) == ("frame_rate", 25.0, 10**7)
    (usual,) = frame_rate_events(200_000, 10**7, 5.0, 25.0, 0.2)
    assert "5 frames/s where the camera's files usually have 25" in usual.detail


def test_a_day_of_video_needs_little_memory():
    watch = PictureWatch()
    for second in range(0, 24 * 3600, 40):
        watch.see(second * 1_000_000, ROOM)
    signals = watch.signals()
    assert MOST_REFERENCES / 2 <= len(signals.reference) <= MOST_REFERENCES
    steps = np.diff(signals.reference_us)
    assert steps.max() - steps.min() <= 40e6
    figures = sum(getattr(signals, field.name).nbytes for field in fields(signals)) - signals.reference.nbytes
    # With five pictures a second instead of one in forty.
    assert signals.reference.nbytes + 200 * figures < 20e6


@pytest.mark.parametrize("fetched_every_s", [40, 640, 6000])
def test_signals_fetched_now_and_then_are_those_of_the_whole(fetched_every_s):
    whole, watch, pieces = PictureWatch(), PictureWatch(), []
    for second in range(0, 15 * 3600, 40):
        image = np.full_like(ROOM, second % 200) if second % 3 else ROOM
        for one in (whole, watch):
            one.see(second * 1_000_000, image)
        if not second % fetched_every_s:
            pieces.append(watch.signals())
    found = joined_signals([*pieces, watch.signals()]).keeping(watch.references_us)
    expected = whole.signals()
    assert len(found.reference) > MOST_REFERENCES / 2
    assert all(np.array_equal(getattr(found, f.name), getattr(expected, f.name)) for f in fields(found))


def test_frames_that_come_faster_are_passed_over(tmp_path):
    signals, _ = seen(clips.filmed(ROOM, 4, fps=25), fps=25)
    steps = [b - a for a, b in pairwise(signals.pts_us.tolist())]
    assert min(steps) == 200_000 and len(signals.pts_us) == 20


@pytest.mark.parametrize("name", ["pets2009-s2l1/video.avi", "one-by-one/video.mp4"])
def test_real_video_has_no_event(samples_dir: Path, name: str):
    path = samples_dir / name
    facts = probe(path)
    watch, pts_us = PictureWatch(), 0
    for frame in read_frames(path, 0.2):
        watch.see(frame.pts_us, frame.image)
        pts_us = frame.pts_us
    assert find_events(watch.signals(), pts_us + 200_000, Usual(), QUALITY, (facts.width, facts.height)) == []
