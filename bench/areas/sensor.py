"""A tick of the sensor `video_files`: 100,000 files that are known, and 100 that came since the last tick."""

import datetime as dt
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import dagster as dg
from psycopg2.extras import execute_values

from bench.measure import BenchError, Row, limited, paired, row, seconds
from bench.site import site_on
from bench.workbench import Workbench
from pc_pipeline.ingest.registry import video_id
from pc_pipeline.store.postgres import connect

CAMERAS = [f"camera-{n:03}" for n in range(100)]
FIRST = dt.date(2026, 1, 1)
DAYS, FILES_A_DAY = 40, 25
TICKS = 5


def measure(bench: Workbench) -> Iterator[Row]:
    """Against a second, and against listing and looking at as many files with nothing else done."""
    from pc_pipeline.defs.resources import Pipeline
    from pc_pipeline.defs.videos import sensors

    home = bench.folder / "sensor"
    with bench.database() as dsn, site_on(bench, dsn, home) as instance:
        known = [_put(home / "watch", *place) for place in product(CAMERAS, range(DAYS), range(FILES_A_DAY))]
        for folder in (home / "watch").glob("*/*"):
            os.utime(folder, (dt.datetime.now().timestamp() - 86400,) * 2)
        _register(dsn, known)
        instance.add_dynamic_partitions("cameras", CAMERAS)
        pipeline = Pipeline()

        def tick() -> list[dg.RunRequest]:
            with dg.build_sensor_context(instance=instance, cursor="{}", resources={"pipeline": pipeline}) as context:
                result = sensors.video_files(context)
            if not isinstance(result, dg.SensorResult):
                raise BenchError(f"the sensor says: {result}")
            return list(result.run_requests or [])

        def first_tick() -> float:
            sensors.Last.look = None
            return seconds(tick)

        firsts = paired(first_tick, lambda: seconds(lambda: _look_at(home / "watch")), 3)
        yield row("sensor", "the first tick after a start", "listing and looking at 100,000 files", firsts, "s")
        took = []
        for turn in range(TICKS):
            new = [_put(home / "watch", camera, DAYS, turn) for camera in CAMERAS]
            requests: list[dg.RunRequest] = []
            _wait_for_the_next_tick(sensors.Last)
            took.append(seconds(lambda found=requests: found.extend(tick())))  # type: ignore[misc]
            if len(requests) != len(new):
                raise BenchError(f"{len(requests)} camera-days were asked for in place of {len(new)}")
            _register(dsn, new)
            for request in requests:
                _run(instance, request)
        yield limited("sensor", "a tick with 100,000 known files and 100 new", took, 1.0, "s")


def _put(watch: Path, camera: str, day: int, number: int) -> tuple[str, str, dt.datetime, os.stat_result]:
    """A file as a camera records it: in a folder for the camera and one for the day."""
    start = dt.datetime.combine(FIRST, dt.time(), dt.UTC) + dt.timedelta(days=day, minutes=57 * number)
    folder = watch / camera / f"{start:%Y-%m-%d}"
    if number == 0:
        folder.mkdir(parents=True)
    path = f"{folder}/{start:%H-%M-%S}.mp4"
    with open(path, "wb") as file:  # noqa: PTH123 (a hundred thousand times)
        os.truncate(file.fileno(), 1_000_000)
        # Written long before a tick: none of them is waited for.
        os.utime(file.fileno(), (start.timestamp(),) * 2)
        return camera, path, start, os.fstat(file.fileno())


def _register(dsn: str, files: Sequence[tuple[str, str, dt.datetime, os.stat_result]]) -> None:
    """The rows that registration leaves of these files."""
    rows: list[tuple[Any, ...]] = [
        (video_id(camera, start), camera, start, start.date(), path, f"{abs(hash(path)):064x}", facts.st_size,
         facts.st_mtime_ns) for camera, path, start, facts in files
    ]  # fmt: skip
    with closing(connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        cursor.execute("INSERT INTO cameras (camera) SELECT unnest(%s) ON CONFLICT DO NOTHING", (CAMERAS,))
        execute_values(
            cursor,
            "INSERT INTO videos (video_id, camera, started_at, date, path, content_hash, size_bytes, mtime_ns, width,"
            " height, nominal_fps, codec, container) SELECT v.*, 640, 480, 25, 'h264', 'mov'"
            " FROM (VALUES %s) AS v (video_id, camera, started_at, date, path, hash, size_bytes, mtime_ns)",
            rows,
            page_size=5000,
        )
        cursor.execute(
            "INSERT INTO source_files (path, camera, started_at, date, size_bytes, mtime_ns, status, content_hash,"
            " video_id) SELECT path, camera, started_at, date, size_bytes, mtime_ns, 'registered', content_hash,"
            " video_id FROM videos WHERE NOT EXISTS (SELECT FROM source_files f WHERE f.path = videos.path)"
        )
    with closing(connect(dsn)) as connection:
        connection.autocommit = True
        connection.cursor().execute("ANALYZE source_files")


def _wait_for_the_next_tick(last: Any) -> None:
    """As if the 15 seconds between two ticks had gone by: so many folders are due to be listed in turn."""
    last.look = replace(last.look, at=last.look.at - dt.timedelta(seconds=15))


def _run(instance: dg.DagsterInstance, request: dg.RunRequest) -> None:
    """What the daemon makes of a request, once it has ended well."""
    tags = {**request.tags, "dagster/partition": str(request.partition_key)}
    instance.create_run_for_job(_nothing, tags=tags, status=dg.DagsterRunStatus.SUCCESS)


@dg.op
def _do_nothing() -> None:
    pass


@dg.job
def _nothing() -> None:
    _do_nothing()


def _look_at(folder: Path) -> int:
    """The limit: every folder below is listed and every file looked at, in no more Python than that takes."""
    found, pending = 0, [os.fspath(folder)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    pending.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)
                    found += 1
    return found
