"""The second pass over a video, for the crops that tell gender: only the frames needed, against all of them."""

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.measure import BenchError, Row, paired, row, seconds
from bench.workbench import Workbench
from pc_pipeline.ingest.site import GenderConfig
from pc_pipeline.vision.arrays import Track
from pc_pipeline.vision.crops import SeenBoxes, choose_crops
from pc_pipeline.vision.decode import read_frames, read_frames_at
from pc_pipeline.vision.gender import judge_crops
from pc_pipeline.vision.models import resolve

MODEL = "person-attributes-recognition-crossroad-0230"
SIZE, FPS, SECONDS = (1920, 1080), 30, 60
# As cameras code: a key frame a second, no B-frames.
KEY_EVERY = FPS
# So much is filmed and coded; the minute is the same packets again and again.
FILMED = 4 * KEY_EVERY
# Ten people cross the picture in the minute, each in sight for twelve seconds.
PEOPLE, IN_SIGHT_S, TALL = 10, 12, 400


def measure(bench: Workbench) -> Iterator[Row]:
    """Frames of the video gone through a second, against decoding and converting each up to the last one needed."""
    film, tracks = bench.folder / "1080p.mp4", _tracks()
    _film(film)
    model, config = resolve(MODEL, bench.weights(MODEL).parent), GenderConfig(model=MODEL)
    seen = [_seen(tracks)]
    crops = choose_crops(tracks, seen, config, SIZE)
    times = dict(zip(crops.frame_number.tolist(), crops.time_us.tolist(), strict=True))
    last = max(times)

    def judged() -> float:
        return (last + 1) / seconds(lambda: judge_crops(film, choose_crops(tracks, seen, config, SIZE), model, config))

    turns = paired(lambda: (_needed(film, times), judged()), lambda: (_all(film, last),), 2)
    against = "every frame up to the last one needed"
    decoding = [(ours[0], theirs[0]) for ours, theirs in turns]
    yield row("genders", "second pass, only the frames needed", against, decoding, "frames/s")
    judging = [(ours[1], theirs[0]) for ours, theirs in turns]
    yield row("genders", "second pass with the model, 1080p", "every frame decoded, nobody judged", judging, "frames/s")
    real = bench.sample("one-by-one/video.mp4")
    some = {frame.number: frame.pts_us for frame in read_frames(real) if frame.number % 46 == 14}
    pairs = paired(lambda: _needed(real, some), lambda: _all(real, max(some)), 3)
    yield row("genders", "second pass, a real clip of two minutes", against, pairs, "frames/s")


def _needed(film: Path, times: Mapping[int, int]) -> float:
    """Frames a second of a pass that needs the frames with these numbers and times (µs)."""
    numbers, times_us = (np.array(values) for values in zip(*sorted(times.items()), strict=True))
    found: list[int] = []
    taken = seconds(lambda: found.extend(frame.number for frame in read_frames_at(film, numbers, times_us)))
    if found != numbers.tolist():
        raise BenchError(f"{film.name}: of {len(numbers)} frames {len(found)} were found")
    return float(numbers[-1] + 1) / taken


def _all(film: Path, last: int) -> float:
    """Frames a second of OpenCV, with all threads it wants, up to the frame `last`."""
    import cv2

    def decode() -> None:
        capture = cv2.VideoCapture(str(film))
        for _ in range(last + 1):
            if not capture.read()[0]:
                raise BenchError(f"{film.name}: OpenCV reads fewer than {last + 1} frames")
        capture.release()

    return (last + 1) / seconds(decode)


def _tracks() -> list[Track]:
    """Where the people are, sampled ten times a second: one comes in every few seconds, from the left."""
    tracks = []
    for person in range(PEOPLE):
        start = round(person * (SECONDS - IN_SIGHT_S - 1) / (PEOPLE - 1) * 10) * FPS // 10
        numbers = np.arange(start, start + IN_SIGHT_S * FPS, FPS // 10, dtype=np.int32)
        left = np.linspace(100, SIZE[0] - 300, len(numbers)) + 40 * person
        tall = TALL + np.linspace(0, 100, len(numbers))
        top = np.full(len(numbers), 80.0 + 45 * person)
        boxes = np.column_stack((left, top, left + 0.4 * tall, top + tall)).astype(np.float32)
        times = np.rint(numbers * (1e6 / FPS)).astype(np.int64)
        confidence, seen = np.full(len(numbers), 0.9, np.float32), np.zeros(len(numbers), np.bool_)
        tracks.append(Track(person + 1, numbers, times, boxes, confidence, seen))
    return tracks


def _seen(tracks: list[Track]) -> SeenBoxes:
    """The detector's boxes: just those of the tracks."""
    frame_number = np.concatenate([one.frame_number for one in tracks])
    order = np.argsort(frame_number, kind="stable")
    ids = np.concatenate([np.full(len(one.frame_number), one.track_id, np.int32) for one in tracks])
    return SeenBoxes(ids[order], frame_number[order], np.concatenate([one.boxes for one in tracks])[order])


def _film(path: Path) -> None:
    """A minute of 1080p H.264, some 4 Mbit/s: people walk before a wall full of things, and the sensor adds noise."""
    import av

    options = {"preset": "veryfast", "g": str(KEY_EVERY), "bf": "0", "sc_threshold": "0", "b": "4M"}
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        draw = _scene()
        packets = []
        for number in range(FILMED):
            frame = av.VideoFrame.from_ndarray(draw(number), format="bgr24")
            frame.time_base, frame.pts = Fraction(1, FPS), number
            packets += stream.encode(frame)
        packets += stream.encode(None)
        unit = packets[0].time_base
        step = round(1 / (FPS * unit))
        content = [(bytes(packet), packet.pts, packet.is_keyframe) for packet in packets]
        for again in range(0, SECONDS * FPS, FILMED):
            for data, pts, key in content[: SECONDS * FPS - again]:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = stream, unit, key
                packet.pts = packet.dts = (pts or 0) + again * step
                file.mux(packet)


def _scene() -> Callable[[int], NDArray[np.uint8]]:
    import cv2

    rng = np.random.default_rng(0)
    width, height = SIZE
    wall = cv2.resize(rng.integers(60, 200, (68, 120, 3), np.uint8), SIZE, interpolation=cv2.INTER_CUBIC)
    grain = np.rint(rng.normal(0, 4, (height + 64, width + 64, 3))).astype(np.int16)

    def draw(number: int) -> NDArray[np.uint8]:
        image = wall.copy()
        for person in range(4):
            x, y = (number * 6 + 500 * person) % (width + 200) - 200, 120 + 60 * person
            cv2.rectangle(image, (x, y + 80), (x + 160, y + TALL), (60, 40, 30), -1)
            cv2.circle(image, (x + 80, y + 50), 50, (120, 150, 190), -1)
        down, across = rng.integers(0, 64, 2)
        noisy = cv2.add(image, grain[down : down + height, across : across + width], dtype=cv2.CV_8U)
        return np.asarray(noisy, np.uint8)

    return draw
