"""Scenes for the tracker's tests: people who walk, and what a detector says of them.

A person is float64[F, 4]: the box in each frame, NaN where nothing is seen. Bodies are 100 pixels tall.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.ingest.site import TrackerConfig
from pc_pipeline.vision.arrays import Detections, Track
from pc_pipeline.vision.colours import CHANNELS
from pc_pipeline.vision.track import track
from pc_pipeline.vision.track.sightings import Rows

Person = NDArray[np.float64]

FRAME = (1280, 720)
BODY = 100.0
SETTINGS = TrackerConfig()
RED, BLUE = (80, 190, 170), (60, 150, 70)


def times(seconds: float, fps: float) -> NDArray[np.float64]:
    """The times of the frames, float64[F], seconds."""
    return np.arange(round(seconds * fps) + 1) / fps


def boxes_at(feet: NDArray[np.float64], tall: float = BODY) -> Person:
    """Boxes that stand on `feet` (float64[F, 2], pixels)."""
    x, y = feet.T
    return np.column_stack((x - 0.2 * tall, y - tall, x + 0.2 * tall, y))


def walker(
    time: NDArray[np.float64], at: Sequence[float], velocity: Sequence[float], when: float = 0.0, tall: float = BODY
) -> Person:
    """Somebody whose feet are `at` (pixels) at the time `when` and who keeps a velocity (body heights a second)."""
    return boxes_at(np.array(at) + (time - when)[:, None] * np.array(velocity) * tall, tall)


def unseen(person: Person, where: NDArray[np.bool_]) -> Person:
    """The person, hidden in some frames."""
    return np.where(where[:, None], np.nan, person)


def seen(
    people: Sequence[Person],
    time: NDArray[np.float64],
    *,
    colours: Sequence[Sequence[int]] | None = None,
    confidence: float = 0.9,
    noise: float = 0.0,
    seed: int = 0,
) -> tuple[Detections, NDArray[np.intp]]:
    """What a detector says, and who each box is (intp[N], the place in `people`).

    Args:
        people: boxes outside the picture are not seen.
        time: of the frames, seconds.
        colours: of each person's clothes, L, a, b as bytes; None where nobody looked.
        noise: body heights by which each corner errs.
        seed: of the noise in places and colours.
    """
    random = np.random.default_rng(seed)
    every = np.stack(people, axis=1)
    whole = (every[..., 0] >= 0) & (every[..., 1] >= 0) & (every[..., 2] <= FRAME[0]) & (every[..., 3] <= FRAME[1])
    frames, owner = np.nonzero(whole)
    boxes = every[frames, owner] + random.normal(0, noise * BODY, (len(frames), 4)) * (noise > 0)
    worn = None
    if colours is not None:
        strips = np.tile(np.asarray(colours), CHANNELS // 3)[owner]
        worn = np.clip(strips + random.normal(0, 6, strips.shape), 0, 255).astype(np.uint8)
    detections = Detections(
        frame_number=np.arange(len(time), dtype=np.int32),
        pts_us=np.round(time * 1e6).astype(np.int64),
        offsets=np.searchsorted(frames, np.arange(len(time) + 1)).astype(np.int64),
        boxes=boxes.astype(np.float32),
        confidence=np.full(len(boxes), confidence, np.float32),
        class_id=np.zeros(len(boxes), np.int16),
        colours=worn,
    )
    return detections, owner


def tracked(detections: Detections, settings: TrackerConfig = SETTINGS) -> tuple[list[Track], Rows]:
    """`track` in the scenes' picture."""
    return track(detections, settings, FRAME)


def parts(track_ids: NDArray[np.int32]) -> set[frozenset[int]]:
    """The boxes of each track, whatever its number."""
    return {frozenset(np.flatnonzero(track_ids == one).tolist()) for one in np.unique(track_ids[track_ids > 0])}
