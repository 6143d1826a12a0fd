"""Whatever Ultralytics loads (.pt, TensorRT, ...), in batches. Needs the `ultralytics` extra."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from pc_pipeline.errors import ModelCorrupt, ModelMissing
from pc_pipeline.vision.decode import Frame
from pc_pipeline.vision.detect import Boxes
from pc_pipeline.vision.models import ModelFile

BATCH = 8


class UltralyticsDetector:
    """`YOLO.predict` over batches of frames.

    Raises:
        ModelMissing: the extra is not installed.
        ModelCorrupt: Ultralytics cannot load the file.
    """

    def __init__(self, model: ModelFile, confidence: float, iou: float, classes: tuple[int, ...]) -> None:
        try:
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
        self._options = {"conf": confidence, "iou": iou, "classes": list(classes), "verbose": False}
        # An engine's batch size is fixed when it is built, 1 unless asked otherwise.
        self._batch = BATCH if model.path is not None and model.path.suffix == ".pt" else 1

    def detect(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Boxes]]:
        """Each frame with its boxes, in order, a batch at a time."""
        source = iter(frames)
        while batch := list(islice(source, self._batch)):
            results = self._yolo.predict([frame.image for frame in batch], **self._options)
            for frame, result in zip(batch, results, strict=True):
                found = result.boxes.cpu().numpy()
                yield (
                    frame,
                    Boxes(
                        found.xyxy.astype(np.float32).reshape(-1, 4),
                        found.conf.astype(np.float32),
                        found.cls.astype(np.int16),
                    ),
                )
