"""People drawn well enough to be recognised by a comparison of pixels, on a floor with a pattern."""

from collections.abc import Sequence

import numpy as np

from pc_pipeline.vision.arrays import Track
from pc_pipeline_tests.clips import box_at

WIDTH, HEIGHT, TALL, FPS = 320, 240, 80.0, 10


def floor() -> np.ndarray:
    """uint8[240, 320, 3], with something to see everywhere."""
    return np.random.default_rng(1).integers(120, 200, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def filmed(paths: Sequence[np.ndarray], tall: float = TALL) -> list[np.ndarray]:
    """A picture a row of the paths, float64[F, 2] foot points each: a figure with a face, a striped shirt, trousers."""
    import cv2

    pictures = []
    for feet in zip(*paths, strict=True):
        picture = floor()
        for x, y in feet:
            if np.isnan(x):
                continue
            at = lambda across, down, x=x, y=y: (round(x + across * tall), round(y - tall + down * tall))  # noqa: E731
            cv2.rectangle(picture, at(-0.15, 0.2), at(0.15, 0.55), (230, 230, 235), -1)
            for stripe in np.arange(0.24, 0.55, 0.1):
                cv2.rectangle(picture, at(-0.15, stripe), at(0.15, stripe + 0.04), (60, 60, 190), -1)
            cv2.rectangle(picture, at(-0.13, 0.55), at(0.13, 1.0), (60, 40, 30), -1)
            cv2.circle(picture, at(0, 0.1), round(0.1 * tall), (150, 180, 220), -1)
            for eye in (-0.04, 0.04):
                cv2.circle(picture, at(eye, 0.08), max(1, round(0.015 * tall)), (20, 20, 20), -1)
        pictures.append(picture)
    return pictures


def track_of(path: np.ndarray, *, every: int = 1, track_id: int = 1, tall: float = TALL, fps: float = FPS) -> Track:
    """The track of one who walks on `path`, seen in every so many frames; NaN is a frame without them."""
    frames = np.flatnonzero(~np.isnan(path[:, 0]))
    frames = frames[frames % every == 0]
    return Track(
        track_id=track_id,
        frame_number=frames.astype(np.int32),
        time_us=np.round(frames * 1e6 / fps).astype(np.int64),
        boxes=np.array([box_at(path[frame], tall) for frame in frames], np.float32),
        confidence=np.full(len(frames), 0.9, np.float32),
        interpolated=np.zeros(len(frames), np.bool_),
    )
