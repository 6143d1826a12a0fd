"""Whatever Ultralytics loads (.pt, TensorRT, ...), in batches. Needs the `ultralytics` extra."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pc_pipeline.errors import ModelCorrupt, ModelMissing
from pc_pipeline.vision.decode import Frame
from pc_pipeline.vision.detect import Boxes
from pc_pipeline.vision.models import ModelFile

# On a processor a batch gains little, and its frames are held in memory: 8 of 1080p are 50 MB.
BATCH = 8
# A GPU needs more at once to be busy. `make bench ONLY=gpu` shows from which size on it is: none was at hand yet.
BATCH_ON_GPU = 16


class UltralyticsDetector:
    """`YOLO.predict` over batches of frames; on a CUDA device in half precision, the next batch decoded meanwhile.

    Args:
        batch: frames at a time; None for what suits the device, or what an engine was built for.

    Raises:
        ModelMissing: the extra is not installed.
        ModelCorrupt: Ultralytics cannot load the file.
    """

    def __init__(
        self, model: ModelFile, confidence: float, iou: float, classes: tuple[int, ...], batch: int | None = None
    ) -> None:
        try:
            import torch
            from ultralytics import YOLO
        except ImportError as error:
            raise ModelMissing(
                f"{model.path}: this format needs Ultralytics (AGPL-3.0) and torch; install them with "
                "`pip install 'pc_pipeline[ultralytics]'`, or put an OpenVINO export beside it"
            ) from error
        try:
            self._yolo = YOLO(str(model.path), task="detect")
        except Exception as error:  # Ultralytics and torch raise anything on a damaged file
            raise ModelCorrupt(f"{model.path}: Ultralytics cannot load it; delete it and fetch it again") from error
        on_gpu = torch.cuda.is_available()
        engine = model.path is not None and model.path.suffix == ".engine"
        self.options: dict[str, Any] = {
            "conf": confidence,
            "iou": iou,
            "classes": list(classes),
            "verbose": False,
            "device": "cuda:0" if on_gpu else "cpu",
        }
        if on_gpu and not engine:  # an engine's precision was settled when it was built
            self.options["half"] = True
        built_for = engine_batch(model.path) if engine and model.path else None
        # An engine takes no fewer frames than it was built for.
        self._fill = engine
        self.batch = batch or built_for or (BATCH_ON_GPU if on_gpu else BATCH)

    def detect(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Boxes]]:
        """Each frame with its boxes, in order, a batch at a time; two batches are held."""
        source = iter(frames)
        with ThreadPoolExecutor(1, "next batch") as ahead:
            waiting = ahead.submit(_take, source, self.batch)
            while batch := waiting.result():
                waiting = ahead.submit(_take, source, self.batch)
                images = [frame.image for frame in batch]
                if self._fill:
                    images += images[-1:] * (self.batch - len(images))
                results = self._yolo.predict(images, **self.options)
                for frame, result in zip(batch, results[: len(batch)], strict=True):
                    found = result.boxes.cpu().numpy()
                    yield (
                        frame,
                        Boxes(
                            found.xyxy.astype(np.float32).reshape(-1, 4),
                            found.conf.astype(np.float32),
                            found.cls.astype(np.int16),
                        ),
                    )


def engine_batch(path: Path) -> int:
    """The batch size a TensorRT engine was built for, by what Ultralytics writes before it: the length of a JSON text
    in four bytes, little endian, and the text. 1 for an engine of another maker."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(4), "little")
        if not 0 < length < 1 << 20:
            return 1
        try:
            built = json.loads(file.read(length))
        except ValueError:
            return 1
    return max(1, int(built.get("batch", 1))) if isinstance(built, dict) else 1


def _take(source: Iterator[Frame], number: int) -> list[Frame]:
    return list(islice(source, number))
