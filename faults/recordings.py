"""What the cameras of the fault site record: short films in which people walk past midnight, two files a camera-day."""

import datetime as dt
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np

from pc_pipeline_tests import clips

CAMERAS = ("hall", "gate", "yard", "shop")
FIRST_DAY = dt.date(2026, 3, 2)
WIDTH, HEIGHT, FPS, SECONDS = 320, 240, 10, 12
HALF = SECONDS * FPS // 2
SITE = """\
timezone: Europe/London
history_from: 2025-06-01
detector: {model: hog, confidence: 0.3, sample_every: 0.3}
cameras:
""" + "".join(
    f"""\
  {camera}:
    lines: {{sill: {{from: [0.5, 0.0], to: [0.5, 1.0], in: right}}}}
    zones: {{floor: [[0.4, 0.0], [1.0, 0.0], [1.0, 1.0], [0.4, 1.0]]}}
"""
    for camera in CAMERAS
)

CameraDay = tuple[str, dt.date]


def camera_days(first: dt.date, days: int, cameras: Iterable[str] = CAMERAS) -> list[CameraDay]:
    """These cameras on so many days."""
    return [(camera, first + dt.timedelta(days=n)) for camera in cameras for n in range(days)]


def record(folder: Path, wanted: Iterable[CameraDay]) -> list[Path]:
    """Write the two files of each camera-day: its first seconds and its last. Who is in the picture at midnight is in
    the last file of one day and the first of the next."""
    return [path for camera, date in wanted for path in (_first(folder, camera, date), _last(folder, camera, date))]


def _first(folder: Path, camera: str, date: dt.date) -> Path:
    before = date - dt.timedelta(days=1)
    return _write(folder / f"{camera}_{date:%Y%m%d}_000000.mp4", camera, before, slice(HALF, 2 * HALF))


def _last(folder: Path, camera: str, date: dt.date) -> Path:
    return _write(folder / f"{camera}_{date:%Y%m%d}_235954.mp4", camera, date, slice(0, HALF))


def _write(path: Path, camera: str, night: dt.date, part: slice) -> Path:
    """One night's film begins before midnight and ends after it; each is a little lighter or darker than the others."""
    scene = _film(CAMERAS.index(camera) % 2)[part]
    shade = (night.toordinal() * len(CAMERAS) + CAMERAS.index(camera)) % 40
    hidden = path.with_name(f".{path.name}")
    clips.write(hidden.with_suffix(".writing.mp4"), (np.maximum(image, shade) - shade // 2 for image in scene), fps=FPS)
    hidden.with_suffix(".writing.mp4").rename(path)
    # As if it had been there for long: nobody waits for it to stop growing.
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


@cache
def _film(number: int) -> list[np.ndarray]:
    """Twelve seconds: uint8[240,320,3]. People from a photograph where this machine has them, else rectangles."""
    import cv2

    if not clips.photographs_present():
        return list(clips.filmed(clips.room(WIDTH, HEIGHT, number), SECONDS, FPS, seed=number))
    from pc_pipeline.demo.photographs import cut_out_people
    from pc_pipeline.demo.scene import Clip, Walker, render

    walkers = [
        Walker(person=0, waypoints=((0.5, 0.1, 0.85), (4.5, 0.9, 0.85))),
        Walker(person=1, waypoints=((3.5, 0.9, 0.95), (9.0, 0.1, 0.95))),
        Walker(person=0, waypoints=((7.0, 0.05, 0.9), (11.5, 0.9, 0.9))),
    ]
    film = render(Clip(SECONDS, number, walkers[number:] if number else walkers), cut_out_people())
    return [cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for image in film]
