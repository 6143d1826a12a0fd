"""What really happens in the demo's clips, from their script: the movements, and a box for everyone in every frame."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from pc_pipeline.demo.photographs import CutOut
from pc_pipeline.demo.scene import HEIGHT, WIDTH, Clip, Walker, boxes

# A part of the picture's width.
ON_THE_LINE = 0.02


def crossings(walker: Walker, line_x: float) -> list[tuple[float, str]]:
    """When (seconds into the clip) and which way somebody crosses the upright line at `line_x`, `in` to the right.

    Who is nearer to the line than `ON_THE_LINE` at a waypoint has not changed sides yet: who stands on the line, or
    turns round at it, crosses nothing. The time is that of the last step across before the other side is reached.
    """
    found = []
    steps = list(zip(walker.waypoints, walker.waypoints[1:], strict=False))
    side, last_time = 0, 0.0
    for (t0, x0, _), (t1, x1, _) in [(walker.waypoints[0],) * 2, *steps]:
        if (x0 < line_x) != (x1 < line_x):
            last_time = t0 + (t1 - t0) * (line_x - x0) / (x1 - x0)
        if abs(x1 - line_x) > ON_THE_LINE:
            reached = 1 if x1 > line_x else -1
            if side and reached != side:
                found.append((last_time, "in" if reached > 0 else "out"))
            side = reached
    return found


def hourly(clips: Sequence[tuple[datetime, Clip]], line_x: float) -> dict[datetime, dict[str, int]]:
    """`entered` and `exited` by the start of each hour in which a clip shows anything, in order.

    Args:
        clips: each with its start, aware; hours are those of the start's own zone.
    """
    hours: dict[datetime, dict[str, int]] = {}
    for started_at, clip in sorted(clips, key=lambda pair: pair[0]):
        for moment in (started_at, started_at + timedelta(seconds=clip.duration_s)):
            hours.setdefault(_hour(moment), {"entered": 0, "exited": 0})
        for walker in clip.walkers:
            for time_s, direction in crossings(walker, line_x):
                hour = hours[_hour(started_at + timedelta(seconds=time_s))]
                hour["entered" if direction == "in" else "exited"] += 1
    return hours


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def mot_rows(clip: Clip, people: Sequence[CutOut]) -> np.ndarray:
    """The clip's ground truth as MOTChallenge rows: frame, id (both from 1), left, top, width, height, 1, -1, -1, -1.

    Returns:
        float64[N,10] in pixels; nobody wholly beyond the picture's edge; who is partly beyond has the whole box.
    """
    rows = []
    for frame in range(clip.frames):
        for walker, (x1, y1, x2, y2) in boxes(clip, people, frame):
            if x2 > 0 and x1 < WIDTH and y1 < HEIGHT:
                rows.append((frame + 1, walker + 1, x1, y1, x2 - x1, y2 - y1, 1, -1, -1, -1))
    return np.asarray(rows, np.float64).reshape(-1, 10)
