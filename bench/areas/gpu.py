"""Frames/s on a CUDA device by batch size; empty where there is none."""

import os
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from bench.measure import NotHere, Row, paired, row
from bench.workbench import Workbench

BATCHES = (1, 8, 16, 32, 64)
FRAMES = 512
# A larger batch counts as faster from here on.
WORTH_IT = 1.05


def measure(bench: Workbench) -> Iterator[Row]:
    """Each batch size against one frame at a time, decoded frames in, boxes out; untrained weights are as fast."""
    try:
        import torch
    except ImportError as error:
        raise NotHere("torch is not installed") from error
    if not torch.cuda.is_available():
        raise NotHere("no CUDA device on this machine")
    os.environ.setdefault("YOLO_CONFIG_DIR", str(bench.folder))
    from ultralytics import YOLO

    weights = bench.folder / "untrained.pt"
    YOLO("yolo11n.yaml").save(str(weights))
    video = bench.sample("pets2009-s2l1/video.avi")
    device = torch.cuda.get_device_name()
    speeds: dict[int, float] = {}
    for batch in BATCHES:
        pairs = paired(lambda batch=batch: _speed(weights, video, batch), lambda: _speed(weights, video, 1), 3)  # type: ignore[misc]
        figures = row("gpu", f"frames detected, batches of {batch}", f"batches of 1, {device}", pairs, "frames/s")
        speeds[batch] = figures.ours
        yield figures
    best = max(speeds.values())
    enough = next(batch for batch in BATCHES if speeds[batch] * WORTH_IT >= best)
    yield row("gpu", "smallest batch that saturates it", "batches of 1", [(enough, 1)], "frames")


def _speed(weights: Path, video: Path, batch: int) -> float:
    from pc_pipeline.vision.decode import read_frames
    from pc_pipeline.vision.detect.ultralytics import UltralyticsDetector
    from pc_pipeline.vision.models import resolve

    detector = UltralyticsDetector(resolve(weights.stem, weights.parent), 0.25, 0.6, (0,), batch)
    pictures = list(islice(read_frames(video), 64))
    for _ in detector.detect(islice(cycle(pictures), 2 * batch)):
        pass
    started = time.perf_counter()
    for _ in detector.detect(islice(cycle(pictures), FRAMES)):
        pass
    return FRAMES / (time.perf_counter() - started)
