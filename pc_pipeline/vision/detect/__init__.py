"""Detectors behind one protocol: frames in, boxes out, in frame order, with bounded memory."""

import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.errors import UnreadableVideo
from pc_pipeline.vision.arrays import Detections, PictureSignals, VideoFacts, joined
from pc_pipeline.vision.checksums import changed_clusters
from pc_pipeline.vision.colours import strip_colours
from pc_pipeline.vision.complaints import Complaints
from pc_pipeline.vision.decode import USUAL_STEP_US, Frame, is_cut_off, probe, read_frames
from pc_pipeline.vision.models import ModelFile
from pc_pipeline.vision.picture import PictureWatch, holes

PROGRESS_EVERY_S = 0.2
# A piece is handed on with so many sampled frames: a megabyte or two, where a day of video would be hundreds.
PIECE_FRAMES = 1000
# Some recorders declare twice the frames they write: they count fields.
LEAST_DECODED = 0.45
# No camera of a site films so fast.
SHORTEST_STEP_US = 1_000


class Boxes(NamedTuple):
    """One frame's detections, best first.

    Attributes:
        boxes: float32[n, 4], x1, y1, x2, y2 in pixels of the frame, inside it.
        confidence: float32[n], 0..1.
        class_id: int16[n].
    """

    boxes: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int16]


class Detector(Protocol):
    """Frames in, boxes out."""

    def detect(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Boxes]]:
        """Each frame with its boxes, in the order of the frames, holding no more than a few frames at a time."""
        ...


@dataclass(frozen=True)
class Progress:
    """How far a video is: frames sampled so far, seconds of video done and in all (0.0 where the file does not say),
    frames detected a second, and seconds left (None where unknown)."""

    done_frames: int
    done_s: float
    total_s: float
    fps: float
    eta_s: float | None


@dataclass(frozen=True)
class DecodeReport:
    """What was decoded. `last_pts_us + median_step_us` is where the video ends.

    Attributes:
        frames_decoded: every frame, sampled or not.
        frames_sampled: frames handed to the detector.
        first_pts_us, last_pts_us: of all decoded frames, µs from the video's start.
        median_step_us: the median time between decoded frames; one over the nominal rate for a single frame.
        warnings: one sentence each, such as a file that is cut off.
        holes_us: [from, to] of the stretches in which the file has no frame, µs from the video's start.
        references_us: times of the small pictures that are kept of the whole video, µs; None: all that are there.
    """

    frames_decoded: int
    frames_sampled: int
    first_pts_us: int
    last_pts_us: int
    median_step_us: int
    warnings: list[str]
    holes_us: list[list[int]] = field(default_factory=list)
    references_us: list[int] | None = None


def load_detector(
    model: ModelFile,
    confidence: float,
    iou: float,
    classes: tuple[int, ...],
    frame_size: tuple[int, int],
    motion_gate: bool = False,
) -> Detector:
    """The detector for a model's backend.

    Args:
        model: from `vision.models.resolve`.
        confidence: 0..1, boxes below are not reported.
        iou: 0..1, of two boxes of a class that overlap more than this the weaker is dropped.
        classes: the model's class numbers wanted; HOG knows only 0, person.
        frame_size: width and height of the upright frames, pixels.
        motion_gate: pass by frames in which nothing moved (`detect.gating`).

    Raises:
        ModelCorrupt: the files are there and cannot be loaded.
        ModelMissing: the backend's package is not installed.
    """
    if motion_gate:
        from pc_pipeline.vision.detect.gating import GatedDetector

        return GatedDetector(load_detector(model, confidence, iou, classes, frame_size))
    if model.backend == "hog":
        from pc_pipeline.vision.detect.hog import HogDetector

        return HogDetector(confidence, iou, classes, frame_size)
    if model.backend == "openvino":
        from pc_pipeline.vision.detect.openvino import OpenvinoDetector

        return OpenvinoDetector(model, confidence, iou, classes, frame_size)
    from pc_pipeline.vision.detect.ultralytics import UltralyticsDetector

    return UltralyticsDetector(model, confidence, iou, classes)


def detect_video(
    path: Path,
    detector: Detector,
    sample_every_s: float,
    on_progress: Callable[[Progress], None] | None = None,
) -> tuple[Detections, DecodeReport]:
    """The detections of a whole video in memory; see `detect_in_pieces`."""
    pieces: list[Detections] = []
    report = detect_in_pieces(path, detector, sample_every_s, pieces.append, on_progress)
    whole = joined(pieces)
    assert whole.picture and report.references_us is not None
    return replace(whole, picture=whole.picture.keeping(report.references_us)), report


def detect_in_pieces(
    path: Path,
    detector: Detector,
    sample_every_s: float,
    take: Callable[[Detections], None],
    on_progress: Callable[[Progress], None] | None = None,
) -> DecodeReport:
    """Detect people in a video, frame by frame; memory does not grow with its length.

    Args:
        path: the video.
        detector: from `load_detector`.
        sample_every_s: seconds between the frames looked at, 0 for every frame.
        take: is given the detections of `PIECE_FRAMES` frames after those of the frames before; the last piece is
            shorter. Of the small pictures in them those count that the report names.
        on_progress: called at most five times a second, and once at the end.

    Raises:
        UnreadableVideo: no frame can be decoded. A file that ends early is no error: what was decoded is taken and
            the report warns.
    """
    facts = probe(path)
    pts_seen: array[int] = array("q")
    piece, watch, done = _Piece(), PictureWatch(), 0
    started = reported = frame_began = time.monotonic()
    complaints = Complaints()
    with closing(read_frames(path, sample_every_s, pts_seen, complaints)) as frames:
        for frame, boxes in detector.detect(frames):
            piece.add(frame, boxes)
            watch.see(frame.pts_us, frame.image)
            done += 1
            now = time.monotonic()
            piece.took_s.append(now - frame_began)
            frame_began = now
            if len(piece.numbers) == PIECE_FRAMES:
                take(piece.detections(watch.signals()))
                piece = _Piece()
                frame_began = time.monotonic()
            if on_progress and now - reported >= PROGRESS_EVERY_S:
                reported = now
                on_progress(_progress(done, frame.pts_us / 1e6, facts.duration_declared_s, now - started))
    if not done:
        raise UnreadableVideo(f"{path}: holds no frame that can be decoded; record or copy it again")
    if piece.numbers:
        take(piece.detections(watch.signals()))
    report = _report(path, facts, pts_seen, done, watch.references_us, complaints.heard)
    if on_progress:
        end_s = (report.last_pts_us + report.median_step_us) / 1e6
        on_progress(_progress(done, end_s, end_s, time.monotonic() - started))
    return report


@dataclass
class _Piece:
    """What was seen in the frames since the last piece."""

    numbers: "array[int]" = field(default_factory=lambda: array("i"))
    pts_us: "array[int]" = field(default_factory=lambda: array("q"))
    took_s: "array[float]" = field(default_factory=lambda: array("d"))
    found: list[Boxes] = field(default_factory=list)
    colours: list[NDArray[np.uint8]] = field(default_factory=list)

    def add(self, frame: Frame, boxes: Boxes) -> None:
        self.numbers.append(frame.number)
        self.pts_us.append(frame.pts_us)
        self.found.append(boxes)
        self.colours.append(strip_colours(frame.image, boxes.boxes))

    def detections(self, picture: PictureSignals) -> Detections:
        counts = np.array([len(boxes.boxes) for boxes in self.found], np.int64)
        return Detections(
            frame_number=np.array(self.numbers, np.int32),
            pts_us=np.array(self.pts_us, np.int64),
            offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
            boxes=np.concatenate([boxes.boxes for boxes in self.found]).astype(np.float32, copy=False),
            confidence=np.concatenate([boxes.confidence for boxes in self.found]).astype(np.float32, copy=False),
            class_id=np.concatenate([boxes.class_id for boxes in self.found]).astype(np.int16, copy=False),
            colours=np.concatenate(self.colours),
            picture=picture,
            processing_ms=(1000 * np.array(self.took_s)).astype(np.float32),
        )


def keep_best(
    boxes: NDArray[np.float32],
    confidence: NDArray[np.float32],
    class_id: NDArray[np.int16],
    iou: float,
    frame_size: tuple[int, int],
) -> Boxes:
    """Non-maximum suppression within each class, best first, clipped to the frame.

    Args:
        boxes: float32[n, 4] x1, y1, x2, y2 pixels. confidence: float32[n]. class_id: int16[n].
        iou: overlap above which the weaker of two boxes is dropped.
        frame_size: width and height, pixels.
    """
    import cv2

    # A full order first, so that the same candidates give the same boxes whatever order threads found them in.
    order = np.lexsort((boxes[:, 3], boxes[:, 2], boxes[:, 1], boxes[:, 0], class_id, -confidence))
    boxes, confidence, class_id = boxes[order], confidence[order], class_id[order]
    if len(boxes):
        corner_and_size = np.column_stack((boxes[:, :2], boxes[:, 2:] - boxes[:, :2])).astype(float)
        survivors = cv2.dnn.NMSBoxesBatched(corner_and_size.tolist(), confidence.tolist(), class_id.tolist(), 0.0, iou)
        kept = np.sort(np.asarray(survivors, np.int64))
        boxes, confidence, class_id = boxes[kept], confidence[kept], class_id[kept]
    clipped = np.clip(boxes, 0, np.array(frame_size * 2, np.float32))
    return Boxes(clipped.astype(np.float32), confidence.astype(np.float32), class_id.astype(np.int16))


def _progress(done_frames: int, done_s: float, total_s: float, elapsed_s: float) -> Progress:
    left = elapsed_s * (total_s - done_s) / done_s if total_s > 0 and done_s > 0 else None
    if left is not None:
        left = max(left, 0.0)
    return Progress(done_frames, done_s, total_s, done_frames / max(elapsed_s, 1e-9), left)


def _doubts(facts: VideoFacts, step_us: int) -> list[str]:
    """Sentences on the times of a video's frames, where they cannot be what a camera recorded."""
    if facts.container == "unknown" or (facts.container == "avi" and not facts.nominal_fps):
        return ["the file tells no times for its frames: they are taken to follow one another evenly"]
    if step_us < SHORTEST_STEP_US:
        return [f"its frames follow one another after {step_us} µs: the times in the file are wrong"]
    return []


def _report(
    path: Path,
    facts: VideoFacts,
    pts_seen: "array[int]",
    sampled: int,
    references_us: list[int],
    complained: bool,
) -> DecodeReport:
    pts = np.array(pts_seen, np.int64)
    nominal_us = 1e6 / facts.nominal_fps if facts.nominal_fps else USUAL_STEP_US
    step_us = round(float(np.median(np.diff(pts))) if len(pts) > 1 else nominal_us)
    end_s = (pts[-1] + step_us) / 1e6
    declared_s = facts.duration_declared_s
    warnings = []
    if end_s < declared_s - max(1.0, 0.02 * declared_s):
        warnings.append(f"the file says {declared_s:.1f} s, {end_s:.1f} s could be decoded: it is cut off or damaged")
    elif is_cut_off(path):
        warnings.append(f"the file ends in the middle, {end_s:.1f} s could be decoded: it is cut off")
    elif len(pts) < LEAST_DECODED * facts.frames_declared:
        warnings.append(f"the file says {facts.frames_declared} frames, {len(pts)} could be decoded: it is damaged")
    warnings += _doubts(facts, step_us)
    if complained and not warnings:
        warnings.append("the decoder met errors: some of its pictures may be damaged or missing")
    elif not warnings and (changed := changed_clusters(path)):
        warnings.append(
            f"by its own checksums the file is no longer what was recorded (Matroska clusters changed: {changed}): some"
            " of its pictures may be damaged; copy it again"
        )
    return DecodeReport(
        len(pts), sampled, int(pts[0]), int(pts[-1]), step_us, warnings, holes(pts, step_us), references_us
    )
