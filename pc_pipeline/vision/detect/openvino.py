"""YOLO exports on OpenVINO directly: uint8 in, conversion inside the compiled model, several requests in flight."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.errors import ConfigError, ModelCorrupt
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
        compiled, self._input_size, narrowed = _compile(model, classes, frame_size)
        # The class number of each score that comes out.
        self._scored = np.array(classes, np.int16) if narrowed else None
        # In one more than run at once, so that the next is ready when one ends. A ring and not an AsyncInferQueue:
        # it keeps the order of the frames and bounds the memory by itself.
        in_flight = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") + 1
        scale = _scale(frame_size, self._input_size)
        shown = (round(frame_size[0] * scale), round(frame_size[1] * scale))
        self._requests = [_Request(compiled, self._input_size, shown) for _ in range(in_flight)]

    def detect(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Boxes]]:
        """Each frame with its boxes, in order; at most as many frames are held as requests are in flight."""
        import cv2

        # OpenCV's own threads spin for a while after each call, and the cores are busy already.
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        free = deque(self._requests)
        running: deque[tuple[Frame, _Request]] = deque()
        try:
            for frame in frames:
                if not free:
                    done, request = running.popleft()
                    yield done, self._boxes(request)
                    free.append(request)
                request = free.popleft()
                request.show(frame.image)
                request.infer.start_async()
                running.append((frame, request))
            while running:
                done, request = running.popleft()
                yield done, self._boxes(request)
        finally:
            for _, request in running:
                request.infer.wait()
            cv2.setNumThreads(threads)

    def _boxes(self, request: "_Request") -> Boxes:
        request.infer.wait()
        output = request.infer.get_output_tensor(0).data[0]
        if self._scored is None:
            boxes, confidence, class_id = decode_output(output, self._confidence, self._classes)
        else:
            boxes, confidence, place = decode_output(output, self._confidence, tuple(range(len(self._scored))))
            class_id = self._scored[place]
        boxes /= _scale(self._frame_size, self._input_size)
        return keep_best(boxes, confidence, class_id, self._iou, self._frame_size)


class _Request:
    """An inference request with its input, which is filled in place: fresh memory for each frame and a copy from there
    take as long as resizing does.

    Args:
        compiled: openvino.CompiledModel.
        input_size: width and height of its input.
        shown: width and height of the picture in it, at the top left; the rest is grey.
    """

    def __init__(self, compiled: Any, input_size: tuple[int, int], shown: tuple[int, int]) -> None:
        from openvino import Tensor

        self._input = np.full((1, input_size[1], input_size[0], 3), GREY, np.uint8)
        self._shown = shown
        self.infer = compiled.create_infer_request()
        self.infer.set_input_tensor(Tensor(self._input, shared_memory=True))

    def show(self, image: NDArray[np.uint8]) -> None:
        """Put a picture (uint8[H, W, 3], BGR) into the input."""
        import cv2

        width, height = self._shown
        cv2.resize(image, self._shown, dst=self._input[0, :height, :width], interpolation=cv2.INTER_LINEAR)


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


def _compile(
    model: ModelFile, classes: tuple[int, ...], frame_size: tuple[int, int]
) -> tuple[Any, tuple[int, int], bool]:
    """The compiled model, the width and height of its input, and whether it scores the wanted classes only.

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
        narrowed = _score_only(network, classes)
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
    return compiled, (width, height), narrowed


def _score_only(network: Any, classes: tuple[int, ...]) -> bool:
    """Rewrite the end of a YOLO head so that it gives [1, 4 + wanted, n]: of each place the box, and the score of each
    wanted class where no class scores higher, else -1. Whether the head is one that is known; others stay as they are.

    Moving 80 classes' scores about takes a twentieth of the whole inference, and one is wanted. What is left computes
    the same numbers: sigmoid rises, so the best logit is the best score.

    Raises:
        ConfigError: a class is wanted that this model has not.
    """
    from openvino import opset13 as ops

    head = _head(network) if classes else None
    if head is None:
        return False
    known = head.logits[0].get_shape()[1]
    if max(classes) >= known:
        raise ConfigError(f"classes: there is no class {max(classes)}; this detector's are 0 to {known - 1}")
    # Convolutions leave their channels last in memory; taken so, nothing has to be moved.
    places = [
        ops.reshape(ops.transpose(each, [0, 2, 3, 1]), [1, -1, known], special_zero=False) for each in head.logits
    ]
    wanted = ops.concat([ops.gather(each, list(classes), 2) for each in places], 1)
    best = ops.concat([ops.reduce_max(each, [2], keep_dims=True) for each in places], 1)
    scores = ops.select(ops.greater_equal(wanted, best), ops.sigmoid(wanted), np.float32(-1))
    head.scores.replace_source_output(ops.transpose(scores, [0, 2, 1]).output(0))
    if head.joined_sides:
        flat = [ops.reshape(each, [1, each.get_shape()[1], -1], special_zero=False) for each in head.sides]
        sides = ops.concat(flat, 2)
        for use in head.joined_sides.get_target_inputs():
            use.replace_source_output(sides.output(0))
    network.validate_nodes_and_infer_types()
    return True


class _Head(NamedTuple):
    """The end of a YOLO network.

    Attributes:
        scores: the input of the output's concatenation that the scores enter.
        logits: of each level, [1, classes, h, w].
        sides: of each level, what boxes are decoded from, [1, 64, h, w]; none where they are joined by themselves.
        joined_sides: where they leave, [1, 64, n], having been joined with the logits; None where they were not.
    """

    scores: Any
    logits: list[Any]
    sides: list[Any]
    joined_sides: Any


def _head(network: Any) -> _Head | None:
    """The head of YOLO 8 and 11; None where it is built in another way.

    As Ultralytics exports it now, and as it did before:

        logits of a level -> reshape -> concat -> sigmoid -> concat (with boxes) -> output
        concat(sides, logits) of a level -> reshape -> concat -> split -> sigmoid -> concat (with boxes) -> output
                                                                   +----> sides ... boxes
    """
    output = _source(network.outputs[0].get_node(), 0, "Concat")
    sigmoid = output and output.get_input_size() == 2 and _source(output, 1, "Sigmoid")
    if not sigmoid:
        return None
    split = _source(sigmoid, 0, "VariadicSplit")
    joined = _source(split or sigmoid, 0, "Concat")
    reshaped = [_source(joined, place, "Reshape") for place in range(joined.get_input_size())] if joined else []
    if not reshaped or not all(reshaped):
        return None
    maps = [each.input_value(0) for each in reshaped]
    if any(len(each.get_shape()) != 4 for each in maps):
        return None
    if not split:
        return _Head(output.input(1), maps, [], None)
    levels = [each.get_node() for each in maps]
    channels = [each.get_shape()[1] for each in split.outputs()]
    for level in levels:
        if level.get_type_name() != "Concat" or [each.get_shape()[1] for each in level.input_values()] != channels:
            return None
    sides, logits = ([level.input_value(place) for level in levels] for place in (0, 1))
    return _Head(output.input(1), logits, sides, split.output(0))


def _source(node: Any, place: int, kind: str) -> Any:
    """The node that feeds an input, if it is of this kind."""
    source = node.input_value(place).get_node()
    return source if source.get_type_name() == kind else None


def _with_uint8_input(network: Any) -> Any:
    """The network with BGR uint8[1, H, W, 3] for input; converting to RGB float 0..1 becomes part of the model."""
    from openvino import Layout, Type
    from openvino.preprocess import ColorFormat, PrePostProcessor

    steps = PrePostProcessor(network)
    steps.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC")).set_color_format(ColorFormat.BGR)
    steps.input().preprocess().convert_element_type(Type.f32).convert_color(ColorFormat.RGB).scale(255.0)
    steps.input().model().set_layout(Layout("NCHW"))
    return steps.build()
