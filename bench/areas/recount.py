"""A line moved: movements and statistics again, against the first run of the same camera-days."""

import datetime as dt
from collections.abc import Iterator, Sequence

from psycopg2.extensions import connection as Connection

from bench.clips import cuts
from bench.measure import Row, row, seconds
from bench.workbench import Workbench
from pc_pipeline.ingest.site import SiteConfig
from pc_pipeline.settings import Settings
from pc_pipeline.stages.machine import Machine
from pc_pipeline.stages.registration import register
from pc_pipeline.stages.runner import run_stage
from pc_pipeline.stages.versions import STAGES
from pc_pipeline.store.postgres import in_transaction, one_connection
from pc_pipeline.store.registry import apply_site
from pc_pipeline.store.rollups import roll_day, roll_hours

DAYS, FRAMES = 30, 200
FIRST = dt.date(2026, 3, 2)
PATTERN = "{camera}_{YYYYMMDD}_{HHMMSS}.mp4"
# Where the line stands first, and where it is moved to, in shares of the picture's width.
PLACES = (0.5, 0.4, 0.6, 0.3, 0.7, 0.45)


def measure(bench: Workbench) -> Iterator[Row]:
    """Every recount is of all the camera-days, from the stages' own functions; so is the first run."""
    watch = bench.folder / "recount"
    dates = [FIRST + dt.timedelta(days=n) for n in range(DAYS)]
    cuts(bench.sample("pets2009-s2l1/video.avi"), FRAMES, [watch / f"door_{date:%Y%m%d}_090000.mp4" for date in dates])
    bench.weights("yolo11n_int8_openvino_model")
    with bench.database() as dsn:
        machine = Machine(
            dsn=dsn,
            zone=_site(PLACES[0]).zone_info,
            models_dir=Settings().models_dir,
            raw_dir=bench.folder / "recount_raw",
            watch_dir=watch,
        )
        _move_line(machine, PLACES[0])
        first = seconds(lambda: _first_run(machine, dates))
        again = []
        for place in PLACES[1:]:
            _move_line(machine, place)
            again.append(seconds(lambda: _run(machine, dates)))
        yield row("recount", "a line moved, 30 camera-days", "the first run", [(took, first) for took in again], "s")


def _site(place: float) -> SiteConfig:
    line = {"from": [place, 0.0], "to": [place, 1.0], "in": "right"}
    return SiteConfig.model_validate(
        {
            "timezone": "Europe/London",
            "name_patterns": [PATTERN],
            "cameras": {"door": {"lines": {"gate": line}, "zones": {"hall": [[0, 0], [0.4, 0], [0.4, 1], [0, 1]]}}},
        }
    )


def _move_line(machine: Machine, place: float) -> None:
    in_transaction(machine.dsn, lambda connection: apply_site(connection, _site(place)))


def _first_run(machine: Machine, dates: Sequence[dt.date]) -> None:
    for date in dates:
        register(machine, [PATTERN], "door", date)
    _run(machine, dates)


def _run(machine: Machine, dates: Sequence[dt.date]) -> None:
    """What camera-days' runs do, from registration on, and the rollups of these days and the one after."""

    def roll(connection: Connection) -> None:
        for date in (*dates, dates[-1] + dt.timedelta(days=1)):
            roll_hours(connection, ["door"], date, machine.zone)
            roll_day(connection, date, machine.zone)

    with one_connection():
        for date in dates:
            for stage in STAGES:
                run_stage(stage, machine, "door", date)
        in_transaction(machine.dsn, roll)
