"""People by hand: tracks and detections whose metrics can be told without a program."""

import numpy as np

from pc_pipeline.evaluation.evaluate import Scene
from pc_pipeline.evaluation.lines import USUAL_LINES
from pc_pipeline.vision.arrays import Track
from pc_pipeline_tests.clips import box_at

SIZE = (640, 480)
TALL = 100.0


def walk(track_id: int, x: tuple[float, float], y: float, frames: range) -> Track:
    """A track walking evenly from x[0] to x[1], feet at `y`, ten frames a second."""
    feet = np.linspace(*x, len(frames))
    return Track(
        track_id=track_id,
        frame_number=np.array(frames, np.int32),
        time_us=np.array(frames, np.int64) * 100_000,
        boxes=np.array([box_at((foot, y), TALL) for foot in feet], np.float32).reshape(-1, 4),
        confidence=np.full(len(frames), 0.9, np.float32),
        interpolated=np.zeros(len(frames), np.bool_),
    )


def part(track: Track, start: int, end: int, track_id: int | None = None) -> Track:
    """The sightings start:end of a track, under another id if one is given."""
    return Track(
        track.track_id if track_id is None else track_id,
        track.frame_number[start:end],
        track.time_us[start:end],
        track.boxes[start:end],
        track.confidence[start:end],
        track.interpolated[start:end],
    )


def joined(first: Track, second: Track) -> Track:
    """One track that follows `first`, then `second`."""
    pairs = [(getattr(first, name), getattr(second, name)) for name in list(vars(first))[1:]]
    return Track(first.track_id, *(np.concatenate(pair) for pair in pairs))


def scene(*truth: Track, frames: range = range(40)) -> Scene:
    """These people as the truth, with the two usual lines, every one of `frames` sampled."""
    numbers = np.array(frames, np.int32)
    return Scene(list(truth), numbers, numbers.astype(np.int64) * 100_000, SIZE, USUAL_LINES, 0.05, "foot")
