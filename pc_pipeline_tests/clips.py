"""Tiny videos for tests, made on the spot: any codec and container, variable frame rate, rotated, cut off, broken.

Every helper returns the path that it wrote, with the folders above it made. Pictures are uint8[H,W,3], BGR.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from pc_pipeline.vision.arrays import Detections

Point = tuple[float, float]

# FFmpeg's encoder by the name a user would know the codec by.
ENCODERS = {"h264": "libx264", "h265": "libx265", "mjpeg": "mjpeg", "mpeg4": "mpeg4"}
FAST = {"libx264": {"preset": "ultrafast"}, "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"}}
GREY = 190


def picture(width: int, height: int, boxes: Iterable[tuple[float, float, float, float]] = ()) -> np.ndarray:
    """A plain grey picture with a dark filled rectangle for each box (x1, y1, x2, y2 in pixels)."""
    import cv2

    image = np.full((height, width, 3), GREY, np.uint8)
    for box in boxes:
        x1, y1, x2, y2 = (round(value) for value in box)
        cv2.rectangle(image, (x1, y1), (x2, y2), (60, 40, 30), -1)
    return image


def walk(start: Point, end: Point, frames: int) -> np.ndarray:
    """Foot points of a straight walk at an even pace: float64[frames,2], pixels."""
    return np.linspace(start, end, frames)


def box_at(foot: Sequence[float], height: float, aspect: float = 0.4) -> tuple[float, float, float, float]:
    """The box (x1, y1, x2, y2) whose bottom centre is `foot`; `aspect` is width over height."""
    x, y = foot
    return x - height * aspect / 2, y - height, x + height * aspect / 2, y


def walkers(paths: Sequence[np.ndarray], width: int = 160, height: int = 120, tall: float = 50) -> Iterator[np.ndarray]:
    """Pictures of rectangles walking: each of `paths` is float64[F,2] foot points, all of one length."""
    for feet in zip(*paths, strict=True):
        yield picture(width, height, [box_at(foot, tall) for foot in feet])


def room(width: int = 160, height: int = 120, seed: int = 0) -> np.ndarray:
    """A scene with things in it: a picture of many rectangles in greys."""
    import cv2

    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), GREY, np.uint8)
    for _ in range(40):
        (x, y), grey = rng.integers(0, (width, height)), int(rng.integers(40, 220))
        cv2.rectangle(image, (x, y), (x + int(rng.integers(8, 40)), y + int(rng.integers(8, 40))), (grey,) * 3, -1)
    return image


def filmed(
    scene: np.ndarray, seconds: float, fps: int = 10, people: int = 2, noise: float = 3.0, seed: int = 0
) -> Iterator[np.ndarray]:
    """Pictures of a camera that sees `scene`: people walk to and fro before it, and its sensor adds noise."""
    import cv2

    height, width = scene.shape[:2]
    rng = np.random.default_rng(seed)
    grain = rng.normal(0, noise, (8, *scene.shape))
    pace, phase = rng.uniform(0.2, 0.5, people), rng.uniform(0, 6, people)
    for n in range(round(seconds * fps)):
        image = scene.copy()
        for x, y in zip(
            width * (0.5 + 0.6 * np.sin(pace * n / fps + phase)), height * (0.7 + 0.1 * phase), strict=True
        ):
            x1, y1, x2, y2 = (round(value) for value in box_at((float(x), float(y)), height * 0.45))
            cv2.rectangle(image, (x1, y1), (x2, y2), (60, 40, 30), -1)
        yield np.clip(image + grain[rng.integers(len(grain))], 0, 255).astype(np.uint8)


def write(
    path: Path,
    pictures: Iterable[np.ndarray] | None = None,
    *,
    codec: str = "mpeg4",
    fps: int = 10,
    times_s: Sequence[float] | None = None,
    rotation: int = 0,
) -> Path:
    """Encode `pictures` (default: ten frames of one rectangle crossing 160x120) to `path`; its suffix is the container.

    Args:
        codec: `h264`, `h265`, `mjpeg` or `mpeg4`.
        times_s: a time for every picture, in seconds, for a variable frame rate (mp4, mov and mkv keep it).
        rotation: clockwise degrees (0, 90, 180, 270) a player must turn the pictures by, as metadata (mp4 and mov).
    """
    import av

    if pictures is None:
        pictures = walkers([walk((10, 110), (150, 110), 10)])
    path.parent.mkdir(parents=True, exist_ok=True)
    encoder = ENCODERS[codec]
    # A millisecond is exact enough for any time a test asks for, and Matroska keeps no finer one.
    time_base = Fraction(1, fps) if times_s is None else Fraction(1, 1000)
    with av.open(path, "w") as container:
        stream = container.add_stream(encoder, rate=fps, options=FAST.get(encoder, {}))
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = time_base
        for number, image in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.time_base = time_base
            frame.pts = number if times_s is None else round(times_s[number] * 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if rotation:
        _set_rotation(path, rotation)
    return path


def _set_rotation(path: Path, clockwise: int) -> None:
    """Write the display matrix of an mp4's or mov's one track (ISO/IEC 14496-12, `tkhd`, version 0)."""
    content = bytearray(path.read_bytes())
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[clockwise]
    one = 1 << 16
    matrix = struct.pack(">9i", cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 1 << 30)
    at = content.index(b"tkhd") + 4 + 40
    content[at : at + len(matrix)] = matrix
    path.write_bytes(content)


def without_moov(path: Path) -> Path:
    """An mp4 whose recorder lost power: the pictures are there, the index that makes them readable is not."""
    write(path, walkers([walk((10, 110), (150, 110), 40)]))
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moov") - 4])
    return path


def cut_in_the_middle(path: Path, frames: int = 100, kept: float = 0.5) -> Path:
    """A video that declares `frames` frames and holds about the share `kept` of them.

    An mp4 has its index in front (`faststart`), so that the header still declares the whole length; the other
    containers are simply cut.
    """
    import av

    # Fresh noise in every frame, so that each takes its share of the file.
    rng = np.random.default_rng(0)
    plain = walkers([walk((10, 110), (150, 110), frames)])
    pictures = (image - rng.integers(0, 30, image.shape, np.uint8) for image in plain)
    write(path, pictures, codec="h264")
    if path.suffix in (".mp4", ".mov"):
        whole = path.with_name(f"whole-{path.name}")
        path.rename(whole)
        with av.open(whole) as source, av.open(path, "w", options={"movflags": "faststart"}) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
        whole.unlink()
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    return path


def zero_bytes(path: Path) -> Path:
    """A file with nothing in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def not_a_video(path: Path) -> Path:
    """A text file with a video's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("This is a shopping list: milk, bread, a camera.\n" * 20)
    return path


def zero_frames(path: Path) -> Path:
    """A header, a video stream, and no picture: as .avi it opens and has no frame; .mp4 and .mkv do not open."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream(ENCODERS["mpeg4"], rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        container.start_encoding()
    return path


def detections_of(paths: Sequence[np.ndarray], tall: float, fps: float = 10, confidence: float = 0.9) -> Detections:
    """What a perfect detector would say of `walkers(paths, tall=tall)`; a NaN foot is a person not in that frame."""
    frames = len(paths[0])
    boxes = [[box_at(path[n], tall) for path in paths if not np.isnan(path[n]).any()] for n in range(frames)]
    flat = [box for frame in boxes for box in frame]
    numbers = np.arange(frames)
    return Detections(
        frame_number=numbers.astype(np.int32),
        pts_us=np.round(numbers * 1e6 / fps).astype(np.int64),
        offsets=np.concatenate([[0], np.cumsum([len(frame) for frame in boxes])]).astype(np.int64),
        boxes=np.asarray(flat, np.float32).reshape(-1, 4),
        confidence=np.full(len(flat), confidence, np.float32),
        class_id=np.zeros(len(flat), np.int16),
    )


def photographs_present() -> bool:
    """Whether ultralytics, and with it the photographs that `walking_person` is made from, is on this machine."""
    from pc_pipeline.demo.photographs import photographs_dir

    return photographs_dir() is not None


def walking_person(path: Path) -> Path:
    """Three seconds of one real person (from a photograph) walking from left to right: 640x480, 10 frames/s, 31 frames.

    The feet pass the middle of the picture at 1.5 s. Ask `photographs_present()` before.
    """
    from pc_pipeline.demo.photographs import cut_out_people
    from pc_pipeline.demo.scene import Clip, Walker, render

    clip = Clip(duration_s=3.1, seed=1, walkers=[Walker(person=0, waypoints=((0.0, 0.2, 0.9), (3.0, 0.8, 0.9)))])
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, render(clip, cut_out_people()))
