"""Video files to frames with their container time. Headers are hints: only what decodes counts.

Time is `CAP_PROP_POS_MSEC` read after `grab()`, which is exact on variable frame rates where frame number over fps is
wrong by seconds.
"""

import os
import queue
import threading
from array import array
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.errors import UnreadableVideo
from pc_pipeline.vision.arrays import VideoFacts
from pc_pipeline.vision.complaints import Complaints
from pc_pipeline.vision.seek import Doubtful, pictures_at

if TYPE_CHECKING:
    import cv2

LONGEST_S = 24 * 3600
# Twice a picture of 8K. A header may claim what takes gigabytes to decode.
LARGEST_PIXELS = 70_000_000
FRAMES_AHEAD = 8
# Where nothing tells the frame rate.
USUAL_STEP_US = 40_000
ROUNDING_US = 5_000
# The same codec goes by several fourccs, one a container or encoder.
CODECS = {
    **dict.fromkeys(("avc1", "avc3", "h264", "x264"), "h264"),
    **dict.fromkeys(("hvc1", "hev1", "hevc", "h265", "x265"), "hevc"),
    **dict.fromkeys(("mjpg", "jpeg", "mjpa", "mjpeg"), "mjpeg"),
    **dict.fromkeys(("fmp4", "mp4v", "xvid", "divx", "dx50", "mpg4"), "mpeg4"),
}


@dataclass(frozen=True)
class Frame:
    """One decoded picture.

    Attributes:
        number: index in the container, from 0.
        pts_us: microseconds from the video's start.
        image: uint8[H, W, 3], BGR, upright.
    """

    number: int
    pts_us: int
    image: NDArray[np.uint8]


def probe(path: Path) -> VideoFacts:
    """What the file says of itself, after its first frame was decoded.

    Raises:
        UnreadableVideo: no frame can be decoded, or the video is over 24 hours long.
    """
    with Complaints().listening():
        return _probe(path)


def _probe(path: Path) -> VideoFacts:
    import cv2

    container = _container(path)
    capture = _open(path, container)
    try:
        if not capture.grab():
            raise UnreadableVideo(f"{path}: holds no frame that can be decoded; record or copy it again")
        decoded, image = capture.retrieve()
        if not decoded:
            raise UnreadableVideo(f"{path}: its first frame cannot be decoded; record or copy it again")
        fps = capture.get(cv2.CAP_PROP_FPS)
        fps = fps if np.isfinite(fps) and 0 < fps <= 1000 else 0.0
        declared = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        declared = int(declared) if np.isfinite(declared) and 0 < declared < 2**31 else 0
        duration_s = declared / fps if fps else 0.0
        if duration_s > LONGEST_S and _last_packet_s(path) > LONGEST_S:
            raise UnreadableVideo(_too_long(path))
        fourcc = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        codec = fourcc.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ").lower()
        return VideoFacts(
            width=image.shape[1],
            height=image.shape[0],
            nominal_fps=fps,
            frames_declared=declared,
            duration_declared_s=duration_s,
            codec=CODECS.get(codec, codec),
            container=container,
            rotation=int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360,
        )
    finally:
        capture.release()


def read_frames(
    path: Path,
    sample_every_s: float = 0.0,
    pts_seen: "array[int] | None" = None,
    complaints: Complaints | None = None,
) -> Generator[Frame]:
    """The frames of a video in order, decoded ahead in a thread of their own.

    Args:
        path: the video.
        sample_every_s: seconds between the frames wanted, 0 for every frame. Frames between are decoded and dropped.
        pts_seen: an `array("q")` to which the PTS of every decoded frame, wanted or not, is appended.
        complaints: hears, by the end, whether the decoder met errors.

    Yields:
        Frames, until decoding ends: a file cut off, shrunk or removed meanwhile ends early and without an error.

    Raises:
        UnreadableVideo: the file cannot be opened, or goes on for more than 24 hours.
    """
    frames: queue.Queue[Frame | BaseException | None] = queue.Queue(FRAMES_AHEAD)
    closed = threading.Event()

    def hand_over(item: Frame | BaseException | None) -> bool:
        while not closed.is_set():
            try:
                frames.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def decode() -> None:
        try:
            decoded = _decode(path, sample_every_s, pts_seen)
            with (complaints or Complaints()).listening(), closing(decoded):
                for frame in decoded:
                    if not hand_over(frame):
                        return
            hand_over(None)
        except BaseException as error:  # whatever it is belongs to the reader, not to this thread
            hand_over(error)

    thread = threading.Thread(target=decode, name=f"decode {path.name}", daemon=True)
    thread.start()
    try:
        while (item := frames.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        thread.join()


def read_frames_at(
    path: Path, frame_numbers: NDArray[np.integer], pts_us: NDArray[np.integer] | None = None
) -> Iterator[Frame]:
    """The frames with these numbers (sorted, distinct), as far as the file goes; no other is converted.

    Args:
        path: the video.
        frame_numbers: int[N], as `read_frames` counts.
        pts_us: int[N], their times as `read_frames` gave them. With these, what lies between is not even decoded where
            that is sure to give the same pictures (`vision.seek`).

    Raises:
        UnreadableVideo: the file cannot be opened.
    """
    if not len(frame_numbers):
        return
    with Complaints().listening():
        yield from _read_frames_at(path, frame_numbers, pts_us)


def _read_frames_at(
    path: Path, frame_numbers: NDArray[np.integer], pts_us: NDArray[np.integer] | None
) -> Iterator[Frame]:
    import cv2

    container = _container(path)
    capture = _open(path, container)
    try:
        left = deque(frame_numbers.tolist())
        grabbed = _grab(path, capture, container)
        first_us = next(grabbed, None)
        if first_us is None:
            return
        shape = None
        decoded, image = capture.retrieve()
        if decoded:
            first = np.asarray(image, np.uint8)
            shape = first.shape
            if pts_us is not None:
                after_us = (pts_us.astype(np.int64) - first_us).tolist()
                rotation = int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360
                with suppress(Doubtful):
                    pictures = pictures_at(path, container, list(left), after_us, first, rotation)
                    for picture, at_us in zip(pictures, pts_us.tolist(), strict=True):
                        yield Frame(left.popleft(), at_us, picture)
        for number, at_us in enumerate(chain((first_us,), grabbed)):
            if not left:
                return
            if number != left[0]:
                continue
            left.popleft()
            decoded, image = capture.retrieve()
            if decoded:
                shape = shape or image.shape
                yield Frame(number, at_us, _fit(np.asarray(image, np.uint8), shape))
    finally:
        capture.release()


def is_cut_off(path: Path) -> bool:
    """Whether an MP4's last box, or the one chunk of an AVI, runs past the end of the file. False for other containers,
    which do not tell."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(12)
            kind = _kind(head)
            if kind == "avi":
                return 8 + int.from_bytes(head[4:8], "little") > size
            return kind == "mov" and _mp4_boxes(file, size)[1]
    except OSError:
        return False


def _decode(path: Path, sample_every_s: float, pts_seen: "array[int] | None") -> Generator[Frame]:
    every_us = round(sample_every_s * 1e6)
    # Containers round times to the millisecond or worse; a frame that much early is still the one wanted.
    early_us = min(ROUNDING_US, every_us // 10)
    due_us = 0
    shape = None
    container = _container(path)
    capture = _open(path, container, _threads_beside_inference())
    try:
        for number, pts_us in enumerate(_grab(path, capture, container)):
            if pts_seen is not None:
                pts_seen.append(pts_us)
            if every_us:
                if pts_us + early_us < due_us:
                    continue
                due_us = ((pts_us + early_us) // every_us + 1) * every_us
            decoded, image = capture.retrieve()
            if decoded:
                shape = shape or image.shape
                yield Frame(number, pts_us, _fit(np.asarray(image, np.uint8), shape))
    finally:
        capture.release()


def _grab(path: Path, capture: "cv2.VideoCapture", container: str) -> Iterator[int]:
    """Grabs frame after frame, yielding each one's PTS in µs, strictly increasing."""
    import cv2

    last, first = -1, 0
    steps: list[int] = []
    while capture.grab():
        pts = round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1000)
        if last < 0 and container == "avi":
            # AVI stores no presentation times: with B-frames the decoder starts at its delay and ends with zeros.
            first = pts
        pts -= first
        if pts <= last:
            pts = last + (round(median(steps)) if steps else USUAL_STEP_US)
        elif last >= 0 and len(steps) < 1000:
            steps.append(pts - last)
        last = max(pts, 0)
        if last > LONGEST_S * 1_000_000:
            raise UnreadableVideo(_too_long(path))
        yield last


def _fit(image: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Some recorders change the resolution within a stream: the first frame's holds for the whole video."""
    if image.shape == shape:
        return image
    import cv2

    return cv2.resize(image, (shape[1], shape[0])).astype(np.uint8, copy=False)


def _threads_beside_inference() -> int:
    """How many threads decode while a detector keeps all cores busy: one for each, as FFmpeg has it, costs a fifth more
    than one in all, and is no faster where none is idle."""
    return max(1, (os.cpu_count() or 1) // 2)


def _open(path: Path, container: str, threads: int | None = None) -> "cv2.VideoCapture":
    """A video at its beginning; None for as many threads as FFmpeg thinks fit."""
    import cv2

    settings = [] if threads is None else [cv2.CAP_PROP_N_THREADS, threads]
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG, settings)
    if capture.isOpened():
        width, height = (int(capture.get(size)) for size in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height <= LARGEST_PIXELS:
            return capture
        capture.release()
        raise UnreadableVideo(
            f"{path}: says that its pictures are {width} x {height} pixels, which none of a camera's are; it is"
            " damaged: copy it again"
        )
    if container == "mov":
        with path.open("rb") as file:
            if "moov" not in _mp4_boxes(file, path.stat().st_size)[0]:
                raise UnreadableVideo(
                    f"{path}: is cut off before its index (the MP4 'moov' box), as when a recorder loses power; "
                    "copy it again, or repair it with the recorder's own tool"
                )
    if container == "unknown":
        raise UnreadableVideo(f"{path}: is not a video; remove it from the folder, or copy it again")
    raise UnreadableVideo(f"{path}: holds no video that can be decoded (damaged, or cut off near its start)")


def _container(path: Path) -> str:
    """FFmpeg's name of the container, by the file's first bytes; the suffix of a name proves nothing."""
    if not path.exists():
        raise UnreadableVideo(f"{path}: there is no such file")
    if not path.is_file():
        raise UnreadableVideo(f"{path}: is not a file")
    try:
        with path.open("rb") as file:
            head = file.read(189)
    except OSError as error:
        raise UnreadableVideo(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if not head:
        raise UnreadableVideo(f"{path}: is empty (0 bytes); copy it again")
    # FFmpeg would film the text. No video begins with so many letters.
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        raise UnreadableVideo(f"{path}: is not a video but a text file; give the recording itself")
    return _kind(head)


def _kind(head: bytes) -> str:
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot"):
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    if head[:4] == b"\0\0\1\xba":
        return "mpeg"
    if head[:1] == b"G" and head[188:189] in (b"G", b""):
        return "mpegts"
    return "unknown"


def _mp4_boxes(file: BinaryIO, size: int) -> tuple[set[str], bool]:
    """The names of an MP4's outermost boxes, and whether the last one runs past the end of the file."""
    names: set[str] = set()
    at = 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:
            length = size - at
        if length < 8 or at + length > size:
            return names, True
        names.add(header[4:8].decode("latin-1"))
        at += length
    return names, at != size


def _last_packet_s(path: Path) -> float:
    """The time of the last packet, in seconds, without decoding: what a header claims of a day must be seen."""
    import cv2

    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    last = 0.0
    while capture.grab() and last <= LONGEST_S:
        last = max(last, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    capture.release()
    return last


def _too_long(path: Path) -> str:
    return f"{path}: is over 24 hours long; cut it into files of a day or less"
