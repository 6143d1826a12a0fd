"""Motion gating passes by what shows nobody and nothing new, and never a person who moves."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise, takewhile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pc_pipeline.vision.decode import Frame, read_frames
from pc_pipeline.vision.detect import Boxes, load_detector
from pc_pipeline.vision.detect.gating import ALONE_US, LOOK_EVERY_US, GatedDetector
from pc_pipeline.vision.models import resolve
from pc_pipeline_tests import clips

WIDTH, HEIGHT, STEP_US = 320, 240, 100_000
ROOM = clips.room(WIDTH, HEIGHT).astype(np.float32) * 0.8 + 20
GRAIN = np.random.default_rng(0).normal(0, 1, (8, *ROOM.shape)).astype(np.float32)
NOBODY = Boxes(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int16))
SOMEBODY = Boxes(np.array([[10, 10, 30, 60]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int16))


class Told:
    """Finds somebody in the frames that `sees` says so of, with four frames under way, and notes what it looked at."""

    def __init__(self, sees: Callable[[int], bool], under_way: int = 4) -> None:
        self.sees, self.under_way, self.looked_at = sees, under_way, list[int]()

    def detect(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Boxes]]:
        waiting: list[Frame] = []
        for frame in frames:
            self.looked_at.append(frame.number)
            waiting.append(frame)
            if len(waiting) > self.under_way:
                yield self._found(waiting.pop(0))
        for frame in waiting:
            yield self._found(frame)

    def _found(self, frame: Frame) -> tuple[Frame, Boxes]:
        return frame, SOMEBODY if self.sees(frame.number) else NOBODY


def filmed(
    frames: int,
    noise: float = 2.0,
    flicker: float = 0.01,
    light: float = 1.0,
    person: Callable[[int], float] | None = None,
    contrast: float = 0.0,
    tall: float = 60.0,
) -> Iterator[Frame]:
    """A still room in unsteady light; `person` gives somebody's right edge by frame; they are 0.4 as wide as `tall`."""
    for number in range(frames):
        image = ROOM.copy()
        if person is not None:
            right = person(number)
            left, right = (int(np.clip(edge, 0, WIDTH)) for edge in (right - 0.4 * tall, right))
            image[150 - round(tall) : 150, left:right] += contrast
        image *= light * (1 + flicker * np.sin(2.3 * number))
        image += np.float32(noise) * GRAIN[number * 5 % 8]
        yield Frame(number, number * STEP_US, np.clip(image, 0, 255, out=image).astype(np.uint8))


def gated(detector: Told, frames: Iterable[Frame]) -> list[tuple[int, int]]:
    """The number of each frame that comes out, and how many were found in it."""
    return [(frame.number, len(boxes.boxes)) for frame, boxes in GatedDetector(detector).detect(frames)]


def test_an_empty_room_is_looked_at_once_a_second():
    detector = Told(lambda _: False)
    found = gated(detector, filmed(60))
    assert found == [(number, 0) for number in range(60)]
    assert detector.looked_at == [number for number in range(60) if number * STEP_US % LOOK_EVERY_US == 0]


@pytest.mark.parametrize("light", [0.15, 1.0])
def test_whoever_comes_in_is_seen_at_once_and_until_well_after_they_left(light):
    detector = Told(lambda number: 33 <= number < 60)
    found = gated(detector, filmed(100, 1.0, 0.0, light, lambda number: 6.0 * (number - 30), 60.0))
    assert [number for number, count in found if count] == list(range(33, 60))
    assert set(range(31, 60 + ALONE_US // STEP_US)) <= set(detector.looked_at)
    assert len(detector.looked_at) < 70


def test_somebody_who_stands_still_is_looked_at_in_every_frame():
    detector = Told(lambda number: number % 15 < 5)  # and is not found in every one
    found = gated(detector, filmed(80))
    assert [number for number, count in found if count] == [number for number in range(80) if number % 15 < 5]
    assert detector.looked_at == list(range(80))


def test_what_is_passed_by_does_not_hang_on_how_many_frames_are_under_way():
    for seen in (set(range(20, 30)), {0}, set()):
        looked = []
        for under_way in (0, 7):
            detector = Told(seen.__contains__, under_way)
            assert [number for number, count in gated(detector, filmed(70)) if count] == sorted(seen)
            looked.append(detector.looked_at)
        assert looked[0] == looked[1]


def test_in_noise_that_could_hide_a_person_every_frame_is_looked_at():
    detector = Told(lambda _: False)
    gated(detector, filmed(20, noise=40.0))
    assert detector.looked_at == list(range(20))


def test_light_that_goes_on_is_looked_at():
    detector = Told(lambda _: False)
    bright, dark = list(filmed(30)), list(filmed(30, light=0.5))
    for frame in bright[:15]:
        frame.image[:, :160] = dark[frame.number].image[:, :160]
    gated(detector, bright)
    assert 15 in detector.looked_at


@settings(max_examples=20)
@given(
    tall=st.floats(10, 60),  # of 240 lines; detectors take 640 pixels across, where these are 20 and more
    contrast=st.floats(8, 90),
    darker=st.booleans(),
    noise=st.floats(0, 2),
    speed=st.floats(0.3, 12),  # pixels a frame
    light=st.floats(0.5, 1.0),
)
def test_a_person_who_moved_by_their_width_since_the_last_look_is_never_passed_by(
    tall, contrast, darker, noise, speed, light
):
    contrast = contrast / light + 4 * noise

    def right_edge(number: int) -> float:
        return speed * (number - 12)

    detector = Told(lambda _: False)  # so that nothing but the change itself makes it look
    gated(detector, filmed(40, noise, 0.005, light, right_edge, -contrast if darker else contrast, tall))
    wide = 0.4 * tall
    for last, following in pairwise([*detector.looked_at, 40]):
        for passed in range(last + 1, following):
            edge = right_edge(passed)
            in_view = wide <= edge <= WIDTH
            assert not in_view or edge - right_edge(last) < wide
        assert (following - last) * STEP_US <= LOOK_EVERY_US


def test_where_real_people_walk_every_frame_is_looked_at(samples_dir):
    detector = Told(lambda _: False)  # which finds nobody, so that nothing but change makes it look
    path = samples_dir / "pets2009-s2l1" / "video.avi"
    gated(detector, takewhile(lambda frame: frame.number < 400, read_frames(path)))
    assert detector.looked_at == list(range(400))


def test_the_detector_of_a_gated_camera_is_a_gated_one(tmp_path):
    model = resolve("hog", tmp_path)
    assert isinstance(load_detector(model, 0.25, 0.6, (0,), (64, 48), motion_gate=True), GatedDetector)
    assert not isinstance(load_detector(model, 0.25, 0.6, (0,), (64, 48)), GatedDetector)
