"""200 cameras, and so many days that listing, sensing, rolling up and the partition page are no longer small."""

import json
import os
from collections.abc import Iterator

from bench.measure import Row, limited, process
from bench.workbench import Workbench

CAMERAS = 200
# BENCH_DAYS=365 builds a whole year, which takes minutes; docs/scale.md has its figures.
DAYS = int(os.environ.get("BENCH_DAYS", "60"))

# What is measured: its row, and the seconds in which it can be used.
_LIMITS = {
    "materialized partitions": ("materialized partitions of an asset listed", 1.0),
    "video_files": ("tick of video_files, nothing new", 15.0),
    "outstanding_camera_days": ("tick of outstanding_camera_days, nothing to do", 30.0),
    "hours_every_hour": ("tick of the hourly schedule", 30.0),
    "automation, idle": ("tick of the automation, nothing new", 30.0),
    "automation, cameras counted": ("tick of the automation, a third of the cameras counted", 30.0),
    "hours of one day": ("hours of one day, all cameras", 10.0),
    "one day": ("one day, all cameras", 0.5),
    "partition page": ("partitions of an asset in the UI", 5.0),
    "state of an asset": ("an asset and its checks in the UI", 5.0),
}


def measure(bench: Workbench) -> Iterator[Row]:
    """Against the time in which each can be used: a page in 5 s, a tick well within its interval."""
    home = bench.folder / "scale"
    with bench.database() as dsn:
        environment = {
            "PC_HOME": str(home),
            "PC_WATCH_DIR": str(home / "watch"),
            "PC_POSTGRES_DSN": dsn,
            "PC_REDIS_URL": bench.redis_url,
        }
        process(["-m", "bench.year", f"{CAMERAS}", f"{DAYS}"], environment)
        told = process(["-m", "bench.simulation"], environment).printed
    figures = json.loads(told.strip().splitlines()[-1])
    for name, (work, limit) in _LIMITS.items():
        yield limited("scale", work, figures[name], limit, "s")
