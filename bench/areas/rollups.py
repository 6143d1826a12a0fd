"""Hours and days from a month of a hundred cameras, and from a year: what a longer history costs."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import cycle
from statistics import median
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection

from bench.history import History, build
from bench.measure import Row, limited, row, seconds
from bench.workbench import Workbench
from pc_pipeline.store.postgres import connect
from pc_pipeline.store.rollups import roll_day, roll_hours

HISTORY = History(
    cameras=100, days=30, last=dt.date(2026, 3, 30), boxes=33, sightings=10,
    stages=(
        "raw_detections", "tracks", "track_genders", "track_links", "people_movements", "zone_visits",
        "session_statistics", "hourly_statistics", "hourly_statistics of the next day",
    ),
)  # fmt: skip
_DAY = HISTORY.last
_CAMERAS = [f"camera-{number:03d}" for number in range(1, HISTORY.cameras + 1)]
_UTC = ZoneInfo("UTC")
_RUNS = 7


def measure(bench: Workbench) -> Iterator[Row]:
    """Each roll is a transaction, commit included, on a connection that stands; the day was rolled before."""
    with bench.database() as dsn:
        build(dsn, HISTORY)
        month = _measured(dsn)
        named = {
            "hourly, one camera-day": 100,
            "hourly, one day, 100 cameras": 100,
            "daily, one day, 100 cameras": 500,
        }
        for work, limit_ms in named.items():
            yield limited("rollups", f"{work}, 30 days of history", month[work], limit_ms, "ms")
        # The eleven months before: as many people, with short trajectories, which no roll reads.
        before = HISTORY.first - dt.timedelta(days=1)
        build(dsn, replace(HISTORY, days=330, last=before, boxes=0, sightings=2, stages=("session_statistics",)))
        year = _measured(dsn)
        for work, against in (
            ("hourly, one camera-day", "hourly, one camera-day"),
            ("hourly", "hourly, one day, 100 cameras"),
            ("daily", "daily, one day, 100 cameras"),
        ):
            # The one history became the other, so these are not turn by turn: against the month's median.
            pairs = [(figure, median(month[against])) for figure in year[against]]
            yield row("rollups", f"{work} with 360 days of tracks and movements", "30 days", pairs, "ms")


def _measured(dsn: str) -> dict[str, list[float]]:
    """Milliseconds of each roll, turn by turn; the first turn warms the cache and does not count."""
    figures: dict[str, list[float]] = {}
    cameras = cycle(_CAMERAS)
    with closing(connect(dsn)) as connection:
        work: dict[str, Callable[[], object]] = {
            "hourly, one camera-day": lambda: roll_hours(connection, [next(cameras)], _DAY, _UTC),
            "hourly, one day, 100 cameras": lambda: roll_hours(connection, _CAMERAS, _DAY, _UTC),
            "daily, one day, 100 cameras": lambda: roll_day(connection, _DAY, _UTC),
        }
        for turn in range(_RUNS + 2):
            for name, roll in work.items():
                figure = 1000 * seconds(lambda roll=roll: _committed(connection, roll))
                if turn > 1:
                    figures.setdefault(name, []).append(figure)
    return figures


def _committed(connection: Connection, roll: Callable[[], object]) -> None:
    roll()
    connection.commit()
