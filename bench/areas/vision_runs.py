"""What bench/areas/vision.py starts as processes of their own: `python -m bench.areas.vision_runs WHAT ARGUMENTS`.

Each prints one line of JSON: `frames`, and `seconds` without the process's start: from the loaded model on.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

CONFIDENCE, IOU = 0.25, 0.6


def ours(video: str, models_dir: str, model: str, every_s: str) -> dict[str, Any]:
    """Decode to tracks, as the pipeline does."""
    from pc_pipeline.ingest.site import TrackerConfig
    from pc_pipeline.vision.decode import probe
    from pc_pipeline.vision.detect import detect_video, load_detector
    from pc_pipeline.vision.models import resolve
    from pc_pipeline.vision.track import track

    facts = probe(Path(video))
    size = (facts.width, facts.height)
    detector = load_detector(resolve(model, Path(models_dir)), CONFIDENCE, IOU, (0,), size)
    started = time.perf_counter()
    detections, _ = detect_video(Path(video), detector, float(every_s))
    detected_s = time.perf_counter() - started
    tracks, _ = track(detections, TrackerConfig(), size)
    seconds = time.perf_counter() - started
    return {
        "frames": len(detections.frame_number),
        "seconds": seconds,
        "detected_s": detected_s,
        "tracks": len(tracks),
    }


def peer(video: str, weights: str) -> dict[str, Any]:
    """`YOLO.track` of Ultralytics, as its documentation shows it."""
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")
    from importlib.util import find_spec
    from types import ModuleType

    if find_spec("lap") is None:
        # It would install it; SciPy's assignment is its own second way.
        stand_in = ModuleType("lap")
        stand_in.__dict__["__version__"] = "none"
        sys.modules["lap"] = stand_in
        from ultralytics.trackers.utils import matching

        matching.linear_assignment.__defaults__ = (False,)
    from ultralytics import YOLO

    model = YOLO(weights, task="detect")
    results = model.track(
        video, stream=True, persist=True, imgsz=640, conf=CONFIDENCE, iou=IOU, classes=[0], verbose=False
    )
    started = time.perf_counter()
    frames = sum(1 for _ in results)
    return {"frames": frames, "seconds": time.perf_counter() - started}


def raw(weights: str, frames: str) -> dict[str, Any]:
    """Inference alone: the same weights and settings, one constant input, nothing decoded and no output read."""
    queue, picture = _queue(weights)
    started = time.perf_counter()
    for _ in range(int(frames)):
        queue.start_async({0: picture}, share_inputs=True)
    queue.wait_all()
    return {"frames": int(frames), "seconds": time.perf_counter() - started}


def overlapped_limit(video: str, weights: str, frames: str) -> dict[str, Any]:
    """What nobody can beat on this machine: every frame of a video grabbed in one thread, none converted, and so many
    frames inferred meanwhile; the time until both are done."""
    import threading

    import cv2

    queue, picture = _queue(weights)
    capture = cv2.VideoCapture(video, cv2.CAP_FFMPEG)

    def grab_all() -> None:
        while capture.grab():
            pass

    grabber = threading.Thread(target=grab_all)
    started = time.perf_counter()
    grabber.start()
    for _ in range(int(frames)):
        queue.start_async({0: picture}, share_inputs=True)
    queue.wait_all()
    grabber.join()
    return {"frames": int(frames), "seconds": time.perf_counter() - started}


def _queue(weights: str) -> tuple[Any, Any]:
    """An AsyncInferQueue of the whole network, and an input for it."""
    import numpy as np
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(next(Path(weights).glob("*.xml"))),
        "CPU",
        {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False},
    )
    # One more than run at once: with OpenVINO's own number, cores wait between requests.
    requests = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") + 1
    return openvino.AsyncInferQueue(compiled, requests), np.zeros(tuple(compiled.inputs[0].shape), np.float32)


def export(folder: str) -> dict[str, Any]:
    """Untrained YOLO11n as OpenVINO IR: `dynamic` fits its input to the video, `static` has 640x640."""
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")
    os.chdir(folder)
    import openvino
    from ultralytics import YOLO

    Path(YOLO("yolo11n.yaml").export(format="openvino", dynamic=True, imgsz=640)).rename("dynamic_openvino_model")
    network = openvino.Core().read_model(next(Path("dynamic_openvino_model").glob("*.xml")))
    network.reshape([1, 3, 640, 640])
    Path("static_openvino_model").mkdir()
    openvino.save_model(network, Path("static_openvino_model/static.xml"))
    return {}


if __name__ == "__main__":
    what = {"ours": ours, "peer": peer, "raw": raw, "limit": overlapped_limit, "export": export}[sys.argv[1]]
    sys.stdout.write(json.dumps(what(*sys.argv[2:])) + "\n")
