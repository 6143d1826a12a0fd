"""Short videos of their own content, cut from a real one."""

from collections.abc import Sequence
from pathlib import Path


def cuts(source: Path, frames: int, paths: Sequence[Path]) -> None:
    """Write to each of `paths` so many frames of `source`, from another frame on, at its own rate, as MPEG-4."""
    import cv2

    reader = cv2.VideoCapture(str(source))
    pictures = []
    while (read := reader.read())[0]:
        pictures.append(read[1])
    height, width = pictures[0].shape[:2]
    step = max((len(pictures) - frames) // len(paths), 1)
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(
            str(path), cv2.VideoWriter.fourcc(*"mp4v"), reader.get(cv2.CAP_PROP_FPS), (width, height)
        )
        for place in range(number * step, number * step + frames):
            writer.write(pictures[place % len(pictures)])
        writer.release()
