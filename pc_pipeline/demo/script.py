"""The demo's day at the camera `entrance`: four clips, who walks through them, and the site file that counts them."""

from datetime import datetime
from zoneinfo import ZoneInfo

from pc_pipeline.demo.scene import Clip, Walker

CAMERA = "entrance"
LINE_X = 0.5
ZONE = ZoneInfo("Europe/London")

# Gains of blue, green and red that make a third and a fourth person of the two in the photograph.
OLIVE = (0.75, 0.95, 0.85)
BLUISH = (1.2, 1.0, 0.85)


def _through(start_s: float, rightward: bool, y: float, seconds: float = 5.5) -> tuple[tuple[float, float, float], ...]:
    """Straight from beyond one side of the picture to beyond the other."""
    ends = (-0.12, 1.12) if rightward else (1.12, -0.12)
    return (start_s, ends[0], y), (start_s + seconds, ends[1], y)


MORNING = Clip(
    duration_s=16,
    seed=8,
    light=(1.02, 0.98, 0.94),
    walkers=(
        Walker(0, _through(0.3, True, 0.84)),
        Walker(1, _through(3.4, True, 0.80), tall=1.03),
        Walker(1, _through(6.6, True, 0.86), tint=OLIVE),
        Walker(0, _through(10.0, False, 0.82), tall=0.96, tint=BLUISH),
    ),
)
# Two people pass one another, one hidden by the other for a moment; one waits on the line and goes back.
NOON = Clip(
    duration_s=18,
    seed=12,
    light=(1.06, 1.06, 1.06),
    walkers=(
        Walker(0, _through(0.2, True, 0.88)),
        Walker(1, _through(0.8, False, 0.76)),
        Walker(
            1,
            ((6.5, -0.12, 0.76), (9.2, 0.488, 0.76), (10.0, 0.494, 0.76), (10.8, 0.487, 0.76), (11.6, 0.495, 0.76),
             (12.4, 0.488, 0.76), (15.2, -0.12, 0.76)),
            tint=OLIVE,
        ),
    ),
)  # fmt: skip
# Somebody comes in and leaves again: once in, once out. Somebody turns round just before the line: nothing.
AFTERNOON = Clip(
    duration_s=18,
    seed=15,
    light=(0.94, 1.0, 1.06),
    walkers=(
        Walker(0, ((0.2, -0.12, 0.83), (3.7, 0.72, 0.83), (4.3, 0.72, 0.83), (7.8, -0.12, 0.83)), tint=BLUISH),
        Walker(1, ((8.4, -0.12, 0.80), (11.0, 0.44, 0.80), (11.6, 0.44, 0.80), (14.2, -0.12, 0.80))),
        Walker(0, _through(11.8, False, 0.85), tall=0.97),
    ),
)
# Across the full hour: the first leaves before it, the others after it.
EVENING = Clip(
    duration_s=20,
    seed=17,
    light=(0.74, 0.78, 0.84),
    walkers=(
        Walker(1, _through(0.5, False, 0.84)),
        Walker(0, _through(4.0, False, 0.80)),
        Walker(1, _through(9.8, False, 0.86), tint=OLIVE),
        Walker(0, _through(13.2, True, 0.82), tint=BLUISH),
    ),
)

CLIPS: tuple[tuple[datetime, Clip], ...] = (
    (datetime(2025, 6, 18, 8, 15, 0, tzinfo=ZONE), MORNING),
    (datetime(2025, 6, 18, 12, 30, 0, tzinfo=ZONE), NOON),
    (datetime(2025, 6, 18, 14, 5, 0, tzinfo=ZONE), AFTERNOON),
    (datetime(2025, 6, 18, 16, 59, 50, tzinfo=ZONE), EVENING),
)
DAY = CLIPS[0][0].date()


def site_yaml(detector: str) -> str:
    """The site file of the demo, with the detector of that name."""
    return f"""\
# The site of `pc demo`. Change it and run `pc config check` and `pc config apply`.
timezone: {ZONE.key}
detector:
  model: {detector}
cameras:
  {CAMERA}:
    location: the demo's lobby
    lines:
      door: {{from: [{LINE_X}, 0.0], to: [{LINE_X}, 1.0], in: right}}
    zones:
      mat: [[0.35, 0.6], [0.65, 0.6], [0.65, 1.0], [0.35, 1.0]]
"""
