"""The demo's camera: clips written into the watched folder as a recorder would, with their ground truth aside."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from pc_pipeline.demo.photographs import CutOut
from pc_pipeline.demo.scene import FPS, HEIGHT, WIDTH, Clip, render
from pc_pipeline.demo.truth import mot_rows
from pc_pipeline.errors import UserError


def video_path(watch_dir: Path, camera: str, started_at: datetime) -> Path:
    """Where a clip lies in the watched folder: `{camera}/{YYYY-MM-DD}/{HH-MM-SS}.mp4`, local time."""
    return watch_dir / camera / f"{started_at:%Y-%m-%d}" / f"{started_at:%H-%M-%S}.mp4"


def record(video: Path, truth: Path, clip: Clip, people: Sequence[CutOut], on_frame: Callable[[], object]) -> bool:
    """Render a clip to `video` and its MOTChallenge rows to `truth`, unless both are there and are this clip's.

    A sensor never sees half a video: it is written under a hidden name and then renamed.

    Args:
        on_frame: called after each picture.

    Returns:
        Whether anything was written.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    rows = "".join(",".join(f"{value:g}" for value in row) + "\n" for row in mot_rows(clip, people))
    if video.is_file() and truth.is_file() and truth.read_text() == rows:
        return False
    part = video.with_name(f".{video.name}")
    try:
        for folder in (video.parent, truth.parent):
            folder.mkdir(parents=True, exist_ok=True)
        _encode(part, clip, _counted(render(clip, people), on_frame))
        # The truth last: with it, both are whole.
        truth.unlink(missing_ok=True)
        part.replace(video)
        truth.write_text(rows)
    except OSError as error:
        raise UserError(f"The demo's video cannot be written to {video.parent}: {error.strerror}.") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return True


def _counted(pictures: Iterator, on_frame: Callable[[], object]) -> Iterator:
    for picture in pictures:
        yield picture
        on_frame()


def _encode(path: Path, clip: Clip, pictures: Iterator) -> None:
    """MPEG-4 by OpenCV, which every OpenCV can write."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    for picture in pictures:
        writer.write(picture)
    writer.release()
    # OpenCV says nothing of a full disk; such a file has no index, or fewer frames.
    written = cv2.VideoCapture(str(path))
    frames = int(written.get(cv2.CAP_PROP_FRAME_COUNT))
    written.release()
    if frames != clip.frames:
        raise UserError(f"The demo's video could not be written whole to {path.parent}: is the disk full?")
