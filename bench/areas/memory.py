"""Memory that does not grow with a video: detecting it, and tracking to statistics of its stored boxes."""

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from bench.clips import cuts
from bench.measure import Row, process, row
from bench.workbench import Workbench
from pc_pipeline.ingest.registry import video_id
from pc_pipeline.ingest.site import EffectiveCamera, SiteConfig
from pc_pipeline.stages import versions
from pc_pipeline.stages.fingerprints import expected
from pc_pipeline.stages.machine import Machine
from pc_pipeline.stages.runner import day_span, model_hashes, run_stage
from pc_pipeline.store import parquet, registry
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.vision.arrays import Detections, PictureSignals
from pc_pipeline.vision.colours import CHANNELS
from pc_pipeline.vision.detect import PIECE_FRAMES, DecodeReport
from pc_pipeline.vision.picture import HEIGHT, MOST_REFERENCES, WIDTH

# 12 hours take three minutes and more; `make bench` has time for three hours.
HOURS = int(os.environ.get("BENCH_HOURS", "3"))
SHORT_S = 600
DETECTED_EVERY_S = 0.5
FPS, FRAME, TALL = 10, (1280, 720), 150.0
# People come again and again as in this stretch, in which one minute is empty: some windows end where somebody is in
# view, others do not.
LOOP_S, EMPTY_S = 1500, (780, 840)
DAY = dt.date(2026, 3, 3)

# As a camera-day's run does, in a process that has done nothing else.
_STAGES = """
import datetime as dt, os, sys
from pathlib import Path
from zoneinfo import ZoneInfo
from pc_pipeline.stages.machine import Machine
from pc_pipeline.stages.runner import run_stage
from pc_pipeline.stages.versions import STAGES
folder = Path(sys.argv[1])
machine = Machine(os.environ["PC_POSTGRES_DSN"], ZoneInfo("UTC"), folder / "models", folder, folder)
for stage in STAGES[STAGES.index("tracks"):]:
    assert run_stage(stage, machine, "door", dt.date.fromisoformat(sys.argv[2])).computed == 1, stage
"""
_DETECT = """
import sys
from pathlib import Path
from pc_pipeline.ingest.site import DetectorConfig
from pc_pipeline.stages import detecting
from pc_pipeline.store import parquet
from pc_pipeline.vision import models
from pc_pipeline.vision.detect import detect_in_pieces, load_detector
video, folder, weights, every_s, width, height = sys.argv[1:]
config = DetectorConfig()
model = models.resolve(config.model, Path(weights))
detector = load_detector(model, config.confidence, config.iou, tuple(config.classes), (int(width), int(height)))
with parquet.new_raw(Path(folder), Path(video).stem) as new:
    new.finish(detect_in_pieces(Path(video), detector, float(every_s), new.add))
"""


def measure(bench: Workbench) -> Iterator[Row]:
    """Peaks of whole processes, in which the video is the only one."""
    folder = bench.folder / "memory"
    of_hours, of_minutes = (_stages_peak(bench, folder, seconds) for seconds in (HOURS * 3600, SHORT_S))
    against = f"10 minutes (ours: {HOURS} hours)"
    yield row("memory", "tracking to statistics of many hours of boxes", against, [(of_hours, of_minutes)], "MB")
    weights = bench.weights("yolo11n_int8_openvino_model").parent
    long, short = folder / "long.mp4", folder / "short.mp4"
    for path, seconds in ((long, SHORT_S), (short, SHORT_S // 10)):
        cuts(bench.sample("pets2009-s2l1/video.avi"), seconds * FPS, [path])
    peaks = [(_detect_peak(long, folder, weights), _detect_peak(short, folder, weights))]
    yield row("memory", "detecting, 10 minutes of video", "1 minute of video", peaks, "MB")


def _detect_peak(video: Path, folder: Path, weights: Path) -> float:
    arguments = [str(video), str(folder), str(weights), str(DETECTED_EVERY_S), "480", "360"]
    return process(["-c", _DETECT, *arguments]).peak_mb


def _stages_peak(bench: Workbench, folder: Path, seconds: int) -> float:
    """Peak memory, MB, of the stages after detection over a video of so many seconds of boxes."""
    with bench.database() as dsn:
        machine = Machine(dsn, ZoneInfo("UTC"), folder / "models", folder, folder)
        store_boxes(machine, seconds)
        return process(["-c", _STAGES, str(folder), DAY.isoformat()], {"PC_POSTGRES_DSN": dsn}).peak_mb


def store_boxes(machine: Machine, seconds: int) -> None:
    """A registered video without a file, whose detection is done: people before the camera for so many seconds."""
    line = {"from": [0.5, 0.0], "to": [0.5, 1.0], "in": "right"}
    hall = [[0, 0], [0.4, 0], [0.4, 1], [0, 1]]
    door = {"lines": {"gate": line}, "zones": {"hall": hall}, "detector": {"model": "hog"}}
    site = SiteConfig.model_validate({"timezone": "UTC", "cameras": {"door": door}})
    start = dt.datetime.combine(DAY, dt.time(8), dt.UTC)
    identity = video_id("door", start)
    video = registry.VideoRow(
        identity, "door", start, DAY, "/nowhere/door.mp4", "0" * 64, 1, 1, *FRAME, float(FPS), "h264", "mov", 0
    )
    in_transaction(machine.dsn, lambda connection: registry.apply_site(connection, site))
    in_transaction(machine.dsn, lambda connection: registry.save_video(connection, video))
    span, _ = in_transaction(machine.dsn, lambda connection: day_span(connection, "door", DAY))
    hashes = model_hashes(EffectiveCamera.model_validate(span.config), machine)
    fingerprint = expected(versions.RAW_DETECTIONS, span, span.video(identity), hashes)
    assert fingerprint
    frames, step_us = seconds * FPS, 1_000_000 // FPS
    every_us = max(2_000_000, 1_000_000 * seconds // MOST_REFERENCES)
    with parquet.new_raw(machine.raw_dir, fingerprint) as new:
        loop = people()
        for first in range(0, frames, PIECE_FRAMES):
            new.add(_piece(loop, np.arange(first, min(first + PIECE_FRAMES, frames)), step_us, every_us))
        new.finish(DecodeReport(frames, frames, 0, (frames - 1) * step_us, step_us, []))
    for stage in (versions.RAW_DETECTIONS, versions.CAMERA_EVENTS):
        run_stage(stage, machine, "door", DAY)


def people() -> Detections:
    """A stretch of `LOOP_S` that can be shown over and over: three to five people in view at a time, who walk through
    the picture to and fro; boxes that err by 2 % and are missed now and then, clothes of many colours."""
    random = np.random.default_rng(0)
    frames = LOOP_S * FPS
    found = [_walk(random, begin, frames) for begin in range(0, frames, 32)]
    frame, boxes, colours = (np.concatenate([part[place] for part in found]) for place in range(3))
    shown = (random.random(len(frame)) > 0.03) & ~((frame >= EMPTY_S[0] * FPS) & (frame < EMPTY_S[1] * FPS))
    order = np.flatnonzero(shown)[np.argsort(frame[shown], kind="stable")]
    return Detections(
        frame_number=np.arange(frames, dtype=np.int32),
        pts_us=np.zeros(frames, np.int64),
        offsets=np.searchsorted(frame[order], np.arange(frames + 1)).astype(np.int64),
        boxes=boxes[order],
        confidence=random.uniform(0.4, 0.95, len(order)).astype(np.float32),
        class_id=np.zeros(len(order), np.int16),
        colours=colours[order],
    )


def _walk(
    random: np.random.Generator, begin: int, frames: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.uint8]]:
    """Somebody's frames (of a loop), boxes and colours, from one side of the picture to the other."""
    width, height = FRAME
    pace = random.uniform(0.4, 0.9) * TALL / FPS
    x = np.arange(0.25 * TALL, width - 0.25 * TALL, pace)
    y = random.uniform(0.35, 0.95) * height + np.cumsum(random.normal(0, 0.4, len(x)))
    feet = np.column_stack((x[:: random.choice([1, -1])], np.clip(y, TALL, height)))
    body = np.column_stack((feet - [0.2 * TALL, TALL], feet + [0.2 * TALL, 0]))
    boxes = np.clip(body + random.normal(0, 0.02 * TALL, body.shape), 0, (*FRAME, *FRAME)).astype(np.float32)
    worn = random.integers(40, 215, CHANNELS)
    colours = np.clip(worn + random.normal(0, 6, (len(x), CHANNELS)), 0, 255).astype(np.uint8)
    return (begin + np.arange(len(x))) % frames, boxes, colours


def _piece(loop: Detections, frames: NDArray[np.int64], step_us: int, every_us: int) -> Detections:
    """The loop at these frames of a video, and what the frames looked like: a figure each 0.2 s, a picture now and
    then."""
    places = frames % len(loop.frame_number)
    counts = np.diff(loop.offsets)[places]
    offsets = np.concatenate(([0], np.cumsum(counts)))
    rows = np.arange(offsets[-1]) + np.repeat(loop.offsets[places] - offsets[:-1], counts)
    pts_us = frames * step_us
    looked = pts_us[pts_us % 200_000 == 0]
    whole = looked[np.diff(looked // every_us, prepend=(looked[0] - 1) // every_us) > 0]
    random = np.random.default_rng(int(frames[0]))
    mean, detail = random.uniform(90, 110, len(looked)), random.uniform(20, 22, len(looked))
    assert loop.colours is not None
    return Detections(
        frame_number=frames.astype(np.int32),
        pts_us=pts_us,
        offsets=offsets,
        boxes=loop.boxes[rows],
        confidence=loop.confidence[rows],
        class_id=loop.class_id[rows],
        colours=loop.colours[rows],
        picture=PictureSignals(
            pts_us=looked,
            mean=mean.astype(np.float32),
            spread=np.full(len(looked), 40, np.float32),
            detail=detail.astype(np.float32),
            change=np.full(len(looked), 1.5, np.float32),
            shown=(looked // 200_000).astype(np.int32),
            reference_us=whole,
            reference=random.integers(0, 255, (len(whole), HEIGHT, WIDTH), np.uint8),
        ),
    )
