"""YOLO exports on OpenVINO directly: uint8 in, conversion inside the compiled model, several requests in flight."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.errors import ModelCorrupt
from pc_pipeline.vision.decode import Frame
from pc_pipeline.vision.detect import Boxes, keep_best
from pc_pipeline.vision.models import ModelFile, openvino_core, read_openvino

STRIDE = 32
LONG_SIDE = 640
GREY = 114


class OpenvinoDetector:
    """A detector with Ultralytics' output: [1, 4 + classes, n] (centre, size, a score a class), or, from models that
    need no NMS, [1, n, 6] (corners, confidence, class)."""

    def __init__(
        self, model: ModelFile, confidence: float, iou: float, classes: tuple[int, ...], frame_size: tuple[int, int]
    ) -> None:
        self._confidence, self._iou, self._classes, self._frame_size = confidence, iou, classes, frame_size
        compiled, self._input_size = _compile(model, frame_size)
        # In one more than run at once, so that the next is ready when one ends. A ring and not an AsyncInferQueue:
        # it keeps the order of the frames and bounds the memory by itself.
        in_flight = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") + 1
        self._requests = [compiled.create_infer_request() for _ in range(in_flight)]

    def detect(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Boxes]]:
        """Each frame with its boxes, in order; at most as many frames are held as requests are in flight."""
        free = deque(self._requests)
        running: deque[tuple[Frame, Any]] = deque()
        try:
            for frame in frames:
                if not free:
                    done, request = running.popleft()
                    yield done, self._boxes(request)
                    free.append(request)
                request = free.popleft()
                request.start_async({0: self._letterbox(frame.image)[None]})
                running.append((frame, request))
            while running:
                done, request = running.popleft()
                yield done, self._boxes(request)
        finally:
            for _, request in running:
                request.wait()

    def _letterbox(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture at the top left of the model's input, in its own proportions, the rest grey."""
        import cv2

        width, height = self._input_size
        if image.shape[:2] == (height, width):
            return image
        scale = _scale(self._frame_size, self._input_size)
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        canvas = np.full((height, width, 3), GREY, np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        return canvas

    def _boxes(self, request: Any) -> Boxes:
        request.wait()
        output = request.get_output_tensor(0).data[0]
        boxes, confidence, class_id = decode_output(output, self._confidence, self._classes)
        boxes /= _scale(self._frame_size, self._input_size)
        return keep_best(boxes, confidence, class_id, self._iou, self._frame_size)


def decode_output(
    output: NDArray[np.float32], confidence: float, classes: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int16]]:
    """Candidates at or above `confidence` whose best class is wanted.

    Args:
        output: float32[4 + classes, n] or float32[n, 6], pixels of the model's input.

    Returns:
        boxes float32[m, 4] x1, y1, x2, y2 in pixels of the model's input, confidence float32[m], class_id int16[m].
    """
    if output.shape[1] == 6:
        wanted = (output[:, 4] >= confidence) & np.isin(output[:, 5].astype(np.int64), classes)
        rows = output[wanted]
        return rows[:, :4].copy(), rows[:, 4].copy(), rows[:, 5].astype(np.int16)
    scores = output[4:]
    # The wanted classes first: looking for the best of 80 in all 8,400 candidates takes longer than everything else.
    columns = np.flatnonzero((scores[list(classes)] >= confidence).any(axis=0))
    candidates = output[:, columns]
    class_id = candidates[4:].argmax(axis=0).astype(np.int16)
    wanted = np.isin(class_id, classes)
    candidates, class_id = candidates[:, wanted], class_id[wanted]
    centre, half = candidates[:2].T, candidates[2:4].T / 2
    best = candidates[4:].max(axis=0) if candidates.size else np.empty(0, np.float32)
    return np.hstack((centre - half, centre + half)), best, class_id


def _scale(frame_size: tuple[int, int], input_size: tuple[int, int]) -> float:
    return min(input_size[0] / frame_size[0], input_size[1] / frame_size[1])


def _fitted(frame_size: tuple[int, int]) -> tuple[int, int]:
    """Input width and height for this video: the long side 640, the other in proportion, up to a multiple of 32."""
    scale = LONG_SIDE / max(frame_size)
    width, height = (max(STRIDE, -(-round(side * scale) // STRIDE) * STRIDE) for side in frame_size)
    return width, height


def _compile(model: ModelFile, frame_size: tuple[int, int]) -> tuple[Any, tuple[int, int]]:
    """The compiled model, and the width and height of its input.

    An input fitted to the video saves the work on grey margins (640x480 against 640x640: a quarter). It needs an
    export with `dynamic=True`; a static one (Ultralytics' int8) cannot be reshaped and keeps its own size.
    """
    network = read_openvino(model)
    shape = network.inputs[0].partial_shape
    if len(shape) != 4 or len(network.outputs) != 1:
        raise ModelCorrupt(
            f"{model.path}: is not a detector of the YOLO family; name another model in the configuration"
        )
    if shape.is_dynamic:
        width, height = _fitted(frame_size)
    else:
        height, width = shape[2].get_length(), shape[3].get_length()
    try:
        network.reshape([1, 3, height, width])
        compiled = openvino_core().compile_model(
            _with_uint8_input(network),
            "CPU",
            {
                "PERFORMANCE_HINT": "THROUGHPUT",
                # Left to itself, OpenVINO computes in bfloat16 where the CPU can: box edges then fall on multiples of
                # 2 to 4 pixels, and another machine counts otherwise.
                "INFERENCE_PRECISION_HINT": "f32",
                # Pinned, two processes on two cores are both tied to the same core.
                "ENABLE_CPU_PINNING": False,
            },
        )
    except RuntimeError as error:
        raise ModelCorrupt(f"{model.path}: OpenVINO cannot load it; delete it and fetch it again") from error
    return compiled, (width, height)


def _with_uint8_input(network: Any) -> Any:
    """The network with BGR uint8[1, H, W, 3] for input; converting to RGB float 0..1 becomes part of the model."""
    from openvino import Layout, Type
    from openvino.preprocess import ColorFormat, PrePostProcessor

    steps = PrePostProcessor(network)
    steps.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC")).set_color_format(ColorFormat.BGR)
    steps.input().preprocess().convert_element_type(Type.f32).convert_color(ColorFormat.RGB).scale(255.0)
    steps.input().model().set_layout(Layout("NCHW"))
    return steps.build()
