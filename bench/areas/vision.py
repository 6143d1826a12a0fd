"""Video to boxes and tracks: against Ultralytics with the same weights, and against what this machine can do at all."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.measure import BenchError, Row, Usage, paired, process, row, seconds
from bench.workbench import Workbench

AREA = "vision"
MODEL = "yolo11n"
WEIGHTS = "yolo11n_int8_openvino_model"
CLIP = "pets2009-s2l1/video.avi"
FRAMES = 795
FULL_HD = (1920, 1080)
HD_FRAMES, HD_FPS, HD_SAMPLED_FPS = 600, 30, 10
SHORT_FRAMES = 250


def measure(bench: Workbench) -> Iterator[Row]:
    """Whole processes first, then what a long video pays a frame."""
    video, weights = bench.sample(CLIP), bench.weights(WEIGHTS)
    yield from _whole_process(video, weights)
    yield from _sampled(bench.folder, video, weights)
    yield from _two_at_once(bench.folder, video, weights)
    yield from _shaped(bench.folder, video)


def _whole_process(video: Path, weights: Path) -> Iterator[Row]:
    turns = []
    for turn in range(2):
        runs: list[Callable[[], Usage]] = [
            lambda: _run("ours", video, weights.parent, MODEL, 0),
            lambda: _run("peer", video, weights),
            lambda: _run("raw", weights, FRAMES),
        ]
        order = (0, 1, 2) if turn % 2 == 0 else (2, 1, 0)
        done = {place: runs[place]() for place in order}
        turns.append((done[0], done[1], done[2]))
    work = "decode to tracks, 640x640"
    peer = "YOLO.track, same weights"
    speeds = [tuple(_frames(usage) / usage.wall_s for usage in turn) for turn in turns]
    steady = [tuple(_frames(usage) / _figure(usage, "seconds") for usage in turn) for turn in turns]
    detected = [(FRAMES / _figure(ours, "detected_s"), FRAMES / _figure(raw, "seconds")) for ours, _, raw in turns]
    memory = [(ours.peak_mb, theirs.peak_mb) for ours, theirs, _ in turns]
    alone = "inference alone"
    yield row(AREA, f"{work}, whole process", peer, [(one[0], one[1]) for one in speeds], "frames/s")
    yield row(AREA, f"{work}, peak memory", peer, memory, "MB")
    yield row(AREA, f"{work}, of raw inference", f"{alone}, whole process", [(s[0], s[2]) for s in speeds], "frames/s")
    yield row(AREA, f"{work}, after process start", alone, [(one[0], one[2]) for one in steady], "frames/s")
    yield row(AREA, "decode to boxes, 640x640, after process start", alone, detected, "frames/s")


def _sampled(folder: Path, video: Path, weights: Path) -> Iterator[Row]:
    full_hd = folder / "full_hd.mp4"
    _encode(video, full_hd, FULL_HD, HD_FPS, HD_FRAMES)
    sampled = HD_FRAMES * HD_SAMPLED_FPS // HD_FPS
    runs = paired(
        lambda: _run("ours", full_hd, weights.parent, MODEL, 1 / HD_SAMPLED_FPS),
        lambda: _run("limit", full_hd, weights, sampled),
        2,
    )
    if any(_frames(ours) != sampled for ours, _ in runs):
        raise BenchError(f"{sampled} frames should be sampled, and {_frames(runs[0][0])} were")
    yield row(
        AREA,
        "1080p H.264 sampled at 10 of 30 frames/s",
        "grab alone and inference alone, at once",
        [(sampled / _figure(ours, "detected_s"), sampled / _figure(limit, "seconds")) for ours, limit in runs],
        "frames/s",
    )


def _two_at_once(folder: Path, video: Path, weights: Path) -> Iterator[Row]:
    short = folder / "short.mp4"
    _encode(video, short, (480, 360), 10, SHORT_FRAMES)

    def one() -> None:
        _run("ours", short, weights.parent, MODEL, 0)

    def at_once() -> None:
        errors: list[BaseException] = []

        def guarded() -> None:
            try:
                one()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=guarded) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def in_turn() -> None:
        one()
        one()

    pairs = paired(lambda: _speed(at_once, 2 * SHORT_FRAMES), lambda: _speed(in_turn, 2 * SHORT_FRAMES), 2)
    yield row(AREA, "two videos at once", "one after the other, whole processes", pairs, "frames/s")


def _shaped(folder: Path, video: Path) -> Iterator[Row]:
    export = folder / "export"
    export.mkdir()
    process(["-m", "bench.areas.vision_runs", "export", str(export)], {"YOLO_CONFIG_DIR": str(export)})
    short = folder / "short.mp4"

    def speed(model: str) -> float:
        usage = _run("ours", short, export, model, 0)
        return SHORT_FRAMES / _figure(usage, "detected_s")

    pairs = paired(lambda: speed("dynamic"), lambda: speed("static"), 2)
    yield row(AREA, "input shaped to the video", "640x640; both untrained weights, float32", pairs, "frames/s")


def _speed(work: Callable[[], None], frames: int) -> float:
    return frames / seconds(work)


def _run(what: str, *arguments: object) -> Usage:
    return process(["-m", "bench.areas.vision_runs", what, *map(str, arguments)])


def _figure(usage: Usage, name: str) -> float:
    return float(json.loads(usage.printed.strip().splitlines()[-1])[name])


def _frames(usage: Usage) -> float:
    return _figure(usage, "frames")


def _encode(video: Path, path: Path, size: tuple[int, int], fps: int, frames: int) -> None:
    """The first frames of a video as H.264, in another size and at another rate."""
    from contextlib import closing
    from itertools import islice

    import cv2

    from pc_pipeline.pictures.encode import VideoFile
    from pc_pipeline.vision.decode import read_frames

    with VideoFile(path, size, fps) as file, closing(read_frames(video)) as source:
        for number, frame in enumerate(islice(source, frames)):
            file.write(cv2.resize(frame.image, size), round(number * 1e6 / fps))
