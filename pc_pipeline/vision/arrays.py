"""What vision hands on: flat NumPy arrays with their units. Times are container PTS, never frame number over fps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class VideoFacts:
    """What a file says of itself, after its first frame could be decoded. No header is trusted further than that.

    Attributes:
        width, height: pixels of the upright frame (rotation metadata applied).
        nominal_fps: frames per second by the header, 0.0 where it says nothing usable.
        frames_declared: frames by the header, 0 where it says nothing.
        duration_declared_s: seconds by the header, 0.0 where it says nothing.
        codec: fourcc in lower case, such as `h264`, `hevc`, `mjpg`, `fmp4`.
        container: FFmpeg's name of the container, such as `avi`, `matroska`, `mov`.
        rotation: degrees clockwise the picture was turned by to stand upright: 0, 90, 180 or 270.
    """

    width: int
    height: int
    nominal_fps: float
    frames_declared: int
    duration_declared_s: float
    codec: str
    container: str
    rotation: int


@dataclass(frozen=True)
class PictureSignals:
    """What the pictures of one video were like, at some of its sampled frames: enough to judge them without decoding.

    All come from a small grey picture, 128 pixels wide and 96 high whatever the video's size. Grey levels are 0..255.

    Attributes:
        pts_us: int64[S], microseconds from the video's start, strictly increasing; each is a sampled frame's.
        mean: float32[S], mean grey level.
        spread: float32[S], standard deviation of the grey levels.
        detail: float32[S], grey levels; how strong the picture's edges are (`vision.picture.detail`).
        change: float32[S], grey levels; mean difference to the picture before, 0 for the first.
        shown: int32[S], number of the picture shown, from 0; the next one differs by 0.7 grey levels on average.
        reference_us: int64[R], times of the pictures kept whole, a subset of `pts_us`.
        reference: uint8[R, 96, 128], those pictures.
    """

    pts_us: NDArray[np.int64]
    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    detail: NDArray[np.float32]
    change: NDArray[np.float32]
    shown: NDArray[np.int32]
    reference_us: NDArray[np.int64]
    reference: NDArray[np.uint8]

    def keeping(self, reference_us: Sequence[int]) -> "PictureSignals":
        """These signals with no other pictures kept whole than those of `reference_us`."""
        kept = np.isin(self.reference_us, np.array(reference_us, np.int64))
        return replace(self, reference_us=self.reference_us[kept], reference=self.reference[kept])


@dataclass(frozen=True)
class Detections:
    """Sampled frames of one video, all of them or a piece, flat: frame i's boxes are rows `offsets[i]:offsets[i + 1]`.

    Attributes:
        frame_number: int32[F], index in the container, from 0.
        pts_us: int64[F], microseconds from the video's start, strictly increasing.
        offsets: int64[F + 1].
        boxes: float32[N, 4], x1, y1, x2, y2 in pixels of the upright frame.
        confidence: float32[N], 0..1.
        class_id: int16[N], the model's own class numbers.
        colours: uint8[N, 18], of each box's strips (`vision.colours`); None where nobody looked.
        picture: what the frames looked like; None where nobody looked (a file from before this was kept).
        processing_ms: float32[F], milliseconds from the end of the frame before to the end of this one, decoding and
            detecting; None where nobody measured. A clock: no result.
    """

    frame_number: NDArray[np.int32]
    pts_us: NDArray[np.int64]
    offsets: NDArray[np.int64]
    boxes: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int16]
    picture: PictureSignals | None = None
    colours: NDArray[np.uint8] | None = None
    processing_ms: NDArray[np.float32] | None = None

    @property
    def frame_index(self) -> NDArray[np.int64]:
        """int64[N]: the place in `frame_number` of each box's frame."""
        return np.repeat(np.arange(len(self.frame_number), dtype=np.int64), np.diff(self.offsets))

    @property
    def detection_index(self) -> NDArray[np.int16]:
        """int16[N]: each box's place in its frame, from 0."""
        place = np.arange(len(self.boxes), dtype=np.int64) - np.repeat(self.offsets[:-1], np.diff(self.offsets))
        return place.astype(np.int16)

    def frames(self, first: int, end: int) -> "Detections":
        """The frames from `first` to before `end`, without what they looked like."""
        low, high = int(self.offsets[first]), int(self.offsets[end])
        return Detections(
            frame_number=self.frame_number[first:end],
            pts_us=self.pts_us[first:end],
            offsets=self.offsets[first : end + 1] - low,
            boxes=self.boxes[low:high],
            confidence=self.confidence[low:high],
            class_id=self.class_id[low:high],
            colours=None if self.colours is None else self.colours[low:high],
            processing_ms=None if self.processing_ms is None else self.processing_ms[first:end],
        )


def joined(pieces: Sequence[Detections]) -> Detections:
    """Pieces that follow one another in a video (one at least), as one."""
    starts = np.cumsum([0, *(len(piece.boxes) for piece in pieces[:-1])])
    offsets = [piece.offsets[:-1] + start for piece, start in zip(pieces, starts, strict=True)]
    colours = [piece.colours for piece in pieces if piece.colours is not None]
    pictures = [piece.picture for piece in pieces if piece.picture is not None]
    measured = [piece.processing_ms for piece in pieces if piece.processing_ms is not None]
    return Detections(
        frame_number=np.concatenate([piece.frame_number for piece in pieces]),
        pts_us=np.concatenate([piece.pts_us for piece in pieces]),
        offsets=np.append(np.concatenate(offsets), starts[-1] + len(pieces[-1].boxes)),
        boxes=np.concatenate([piece.boxes for piece in pieces]),
        confidence=np.concatenate([piece.confidence for piece in pieces]),
        class_id=np.concatenate([piece.class_id for piece in pieces]),
        colours=np.concatenate(colours) if colours else None,
        picture=joined_signals(pictures) if pictures else None,
        processing_ms=np.concatenate(measured) if measured else None,
    )


def joined_signals(pieces: Sequence[PictureSignals]) -> PictureSignals:
    """Signals of pieces that follow one another in a video (one at least), as one."""
    return PictureSignals(*(np.concatenate([getattr(piece, name) for piece in pieces]) for name in vars(pieces[0])))


@dataclass(frozen=True)
class Track:
    """One person while in view: S sightings in time order.

    Attributes:
        track_id: 1, 2, ... in order of first sighting within the video.
        frame_number: int32[S].
        time_us: int64[S], microseconds from the video's start, strictly increasing.
        boxes: float32[S, 4], x1, y1, x2, y2 in pixels of the upright frame.
        confidence: float32[S], 0..1.
        interpolated: bool[S], True where the box was filled in, not seen.
    """

    track_id: int
    frame_number: NDArray[np.int32]
    time_us: NDArray[np.int64]
    boxes: NDArray[np.float32]
    confidence: NDArray[np.float32]
    interpolated: NDArray[np.bool_]

    @property
    def foot(self) -> NDArray[np.float64]:
        """float64[S, 2]: bottom centre of each box, pixels."""
        boxes = self.boxes.astype(np.float64)
        return np.column_stack(((boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]))

    def anchor(self, point: Literal["foot", "center"]) -> NDArray[np.float64]:
        """float64[S, 2]: the point of the person that crosses lines, pixels."""
        if point == "foot":
            return self.foot
        boxes = self.boxes.astype(np.float64)
        return (boxes[:, :2] + boxes[:, 2:]) / 2

    @property
    def height(self) -> NDArray[np.float64]:
        """float64[S]: height of each box, pixels."""
        boxes = self.boxes.astype(np.float64)
        return boxes[:, 3] - boxes[:, 1]
