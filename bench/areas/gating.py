"""Motion gating: frames a second with it, against the same detector asked about every frame."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from bench.measure import BenchError, Row, paired, row, seconds
from bench.workbench import Workbench
from pc_pipeline.vision.arrays import Detections
from pc_pipeline.vision.detect import detect_video, load_detector
from pc_pipeline.vision.models import resolve

WEIGHTS = "yolo11n_int8_openvino_model"
SIZE, FPS, FRAMES = (640, 480), 10, 200
# Grey levels of sensor noise, and the share by which the lamps flicker.
NOISE, FLICKER = 3.0, 0.01


def measure(bench: Workbench) -> Iterator[Row]:
    """A corridor with nobody in it: decoding, detection and all, from the file to the boxes."""
    film = bench.folder / "corridor.mp4"
    _film(film)
    model = resolve("yolo11n", bench.weights(WEIGHTS).parent)
    gated = load_detector(model, 0.25, 0.6, (0,), SIZE, motion_gate=True)
    every = load_detector(model, 0.25, 0.6, (0,), SIZE)
    found: list[Detections] = []

    def pace(gate: bool) -> float:
        taken = seconds(lambda: found.append(detect_video(film, gated if gate else every, 0)[0]))
        return FRAMES / taken

    pairs = paired(lambda: pace(True), lambda: pace(False), 3)
    if len({len(detections.boxes) for detections in found}) > 1:
        raise BenchError("with motion gating other boxes were found in the corridor than without")
    yield row("gating", "static corridor with motion gating", "the same without", pairs, "frames/s")


def _film(path: Path) -> None:
    """Twenty seconds of a still picture, in noise and unsteady light, as H.264."""
    import av
    import cv2

    rng = np.random.default_rng(0)
    width, height = SIZE
    corridor = np.full((height, width, 3), 150, np.uint8)
    for depth in range(8):
        inset = (32 * depth, 24 * depth)
        corner = (width - inset[0], height - inset[1])
        cv2.rectangle(corridor, inset, corner, (150 - 9 * depth,) * 3, -1)
        cv2.rectangle(corridor, inset, corner, (90,) * 3, 1)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "g": "20", "bf": "0"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(FRAMES):
            light = 1 + FLICKER * np.sin(2.3 * number)
            image = np.clip(corridor * light + rng.normal(0, NOISE, corridor.shape), 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.time_base, frame.pts = Fraction(1, FPS), number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
