"""What Dagster adds: a camera-day through its jobs, against the same functions called one after the other."""

import datetime as dt
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg

from bench.clips import cuts
from bench.measure import BenchError, Row, paired, row, seconds
from bench.site import site_on
from bench.workbench import Workbench
from pc_pipeline.ingest.site import SiteConfig
from pc_pipeline.store.postgres import in_transaction, one_connection
from pc_pipeline.store.registry import apply_site

CAMERA, DATE = "door", dt.date(2026, 3, 2)
VIDEOS, FRAMES, PAIRS = 24, 50, 2
SITE = {"cameras": {CAMERA: {"lines": {"gate": {"from": [0.5, 0.0], "to": [0.5, 1.0], "in": "right"}}}}}


def measure(bench: Workbench) -> Iterator[Row]:
    """Each time with a database and a folder of its own. Both decode, detect, count, roll up, check and draw."""
    bench.weights("yolo11n_int8_openvino_model")
    made = bench.folder / "orchestration"
    videos = [made / f"{CAMERA}_{DATE:%Y%m%d}_{hour:02}0000.mp4" for hour in range(VIDEOS)]
    cuts(bench.sample("pets2009-s2l1/video.avi"), FRAMES, videos)
    numbers = count()

    def timed(work: Callable[[dg.DagsterInstance], None], some: list[Path]) -> float:
        home = made / str(next(numbers))
        with bench.database() as dsn, site_on(bench, dsn, home) as instance:
            for video in some:
                os.link(video, home / "watch" / video.name)
            site = SiteConfig.model_validate({"timezone": "UTC", **SITE})
            in_transaction(dsn, lambda connection: apply_site(connection, site))
            return seconds(lambda: work(instance))

    # Whichever comes first loads OpenVINO, matplotlib and the rest.
    timed(_through_dagster, videos[:1])
    timed(_called_directly, videos[:1])
    pairs = paired(lambda: timed(_through_dagster, videos), lambda: timed(_called_directly, videos), PAIRS)
    work, against = "a camera-day of 24 short videos through Dagster", "the same functions called directly"
    yield row("orchestration", work, against, pairs, "s")


def _through_dagster(instance: dg.DagsterInstance) -> None:
    """As `pc process` does it, in this process."""
    from pc_pipeline.definitions import defs
    from pc_pipeline.defs.partitions import camera_day_key
    from pc_pipeline.defs.resources import Pipeline
    from pc_pipeline.local_run import execute

    instance.add_dynamic_partitions("cameras", [CAMERA])
    day = camera_day_key(CAMERA, DATE)
    for job, key in (("camera_day", day), ("roll_hours", day), ("roll_days", DATE.isoformat())):
        failure = execute(instance, defs.resolve_job_def(job), key, Pipeline(), _unheard)
        if failure:
            raise BenchError(f"{job}: {failure}")


def _called_directly(_: dg.DagsterInstance) -> None:
    """What the assets and their checks call, in the same order, one connection as in a run."""
    from pc_pipeline.counting import plausibility as judge
    from pc_pipeline.defs import plots
    from pc_pipeline.defs.partitions import site
    from pc_pipeline.defs.resources import Pipeline
    from pc_pipeline.stages.day_pictures import day_pictures
    from pc_pipeline.stages.registration import register
    from pc_pipeline.stages.runner import not_counted, orphan_detections, run_stage
    from pc_pipeline.stages.versions import STAGES
    from pc_pipeline.store import checks, events, figures, rollups

    machine, zone = Pipeline().machine(), site().zone_info

    def read(query: Callable[..., Any], *arguments: Any) -> Any:
        return in_transaction(machine.dsn, lambda connection: query(connection, *arguments))[0]

    with one_connection():
        register(machine, list(site().name_patterns), CAMERA, DATE)
        for stage in STAGES:
            run_stage(stage, machine, CAMERA, DATE)
        day_pictures(machine, CAMERA, DATE)
        if not_counted(machine, CAMERA, DATE) or orphan_detections(machine, DATE):
            raise BenchError("not every video was counted")
        found = read(events.events, zone, CAMERA, DATE)
        judge.picture([(event["kind"], event["seconds"], event["detail"]) for event in found])
        judge.track_lengths(*read(checks.track_seconds, CAMERA, DATE))
        judge.unknown_share(*read(checks.unknown_people, CAMERA, DATE))
        judge.balance(*read(checks.crossings_by_line, CAMERA, DATE))
        judge.agreement(["movements", "sessions"], read(checks.session_totals, CAMERA, DATE), "")
        read(rollups.roll_hours, [CAMERA], DATE, zone)
        hours, steps = read(figures.hourly, CAMERA, DATE), read(figures.occupancy, CAMERA, DATE)
        plots.in_and_out([f"{hour['hour_start']:%H:%M}" for hour in hours], hours)
        plots.inside(hours, steps, zone)
        judge.coverage(*read(checks.covered_hours, CAMERA, DATE, zone), judged_before=None)
        judge.agreement(["movements", "hours"], read(checks.hour_totals, CAMERA, DATE, zone), "")
        read(rollups.roll_day, DATE, zone)
        days = read(figures.daily, None, DATE)
        plots.in_and_out([f"{day['camera']} {day['date']}" for day in days], days)
        judge.agreement(["movements", "hours", "day"], read(checks.day_totals, DATE, zone), "")


def _unheard(_: str) -> None:
    pass
