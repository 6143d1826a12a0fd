"""Figures of a site that `bench.year` built: listing, sensing, rolling up, and what the UI asks for on its pages.

`python -m bench.simulation` reads `PC_HOME` and `PC_POSTGRES_DSN` and prints JSON, `{name: [seconds, ...]}`: the first
of each from a process that has looked at nothing yet.
"""

import datetime as dt
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.measure import BenchError, seconds
from bench.year import ZONE
from pc_pipeline.embedded.instance import dagster_environment
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.embedded.ui import _choose_port
from pc_pipeline.settings import CHECKOUT, Settings
from pc_pipeline.store.postgres import connect

if TYPE_CHECKING:
    import dagster as dg

AGAIN = 3
PATIENCE_S = 120.0
# What the UI asks for on an asset's page: its partitions, and how it and its checks stand, which it asks for again and
# again while the page is open.
_PARTITIONS = """query Partitions($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  partitionKeysByDimension { name type partitionKeys }
  assetPartitionStatuses { ... on MultiPartitionStatuses { primaryDimensionName ranges { primaryDimStartKey
    primaryDimEndKey primaryDimStartTime primaryDimEndTime secondaryDim { ... on DefaultPartitionStatuses {
    materializedPartitions materializingPartitions failedPartitions } } } } } } } }"""
_LIVE = """query Live($key: AssetKeyInput!) { assetNodes(assetKeys: [$key], loadMaterializations: true) { id
  assetMaterializations(limit: 1) { timestamp runId stepKey }
  partitionStats { numMaterialized numMaterializing numPartitions numFailed }
  assetChecksOrError { ... on AssetChecks { checks { name
    executionForLatestMaterialization { id runId status timestamp }
    partitionStatuses { ... on AssetCheckMultiPartitionStatuses { primaryDimensionName ranges { primaryDimStartKey
      primaryDimEndKey secondaryDim { ... on AssetCheckDefaultPartitionStatuses { succeededPartitions failedPartitions
      inProgressPartitions skippedPartitions executionFailedPartitions } } } } } } } } } }"""


def measure() -> dict[str, list[float]]:
    """Every figure, in seconds."""
    settings = Settings()
    assert settings.postgres_dsn
    dsn = settings.postgres_dsn.get_secret_value()
    os.environ.update(dagster_environment(settings, Endpoints(dsn, None)))
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        figures = {**_listing(instance), **_sensing(instance), **_rolling(dsn)}
        with _webserver() as url:
            figures |= _pages(url)
        # Last, since it reports events of its own.
        figures |= _automation(instance)
    return figures


def _repeated(work: Callable[[], object], times: int = AGAIN) -> list[float]:
    return [seconds(work) for _ in range(times)]


def _listing(instance: "dg.DagsterInstance") -> dict[str, list[float]]:
    import dagster as dg

    from pc_pipeline.defs.partitions import camera_days

    asset = dg.AssetKey("tracks")
    return {
        "partition keys": _repeated(lambda: camera_days.get_partition_keys(dynamic_partitions_store=instance)),
        "materialized partitions": _repeated(lambda: instance.get_materialized_partitions(asset)),
    }


def _sensing(instance: "dg.DagsterInstance") -> dict[str, list[float]]:
    import dagster as dg

    from pc_pipeline.definitions import defs
    from pc_pipeline.defs.resources import Pipeline
    from pc_pipeline.defs.rollups.schedules import schedules
    from pc_pipeline.defs.videos import sensors

    def tick(sensor: dg.SensorDefinition) -> None:
        with dg.build_sensor_context(instance=instance, resources={"pipeline": Pipeline()}) as context:
            result: Any = sensor(context)
        said = result if isinstance(result, dg.SkipReason) else result.skip_reason
        if said is None or not (said.skip_message or "").startswith(("nothing new", "nothing is outstanding")):
            raise BenchError(f"{sensor.name} found something to do: {said or len(result.run_requests)}")

    def schedule_tick() -> None:
        hourly = next(schedule for schedule in schedules if schedule.name == "hours_every_hour")
        now, resources = dt.datetime.now(dt.UTC), {"pipeline": Pipeline()}
        with dg.build_schedule_context(instance, now, resources, repository_def=defs.get_repository_def()) as context:
            hourly.evaluate_tick(context)

    ticks = {
        sensor.name: _repeated(partial(tick, sensor))
        for sensor in (sensors.video_files, sensors.outstanding_camera_days)
    }
    return {**ticks, "hours_every_hour": _repeated(schedule_tick)}


def _rolling(dsn: str) -> dict[str, list[float]]:
    """The hours of every camera as its run rolls them, one by one, and the day of all."""
    from pc_pipeline.store import registry, rollups

    date = dt.datetime.now(ZONE).date() - dt.timedelta(days=1)
    with closing(connect(dsn)) as connection:
        cameras = list(registry.cameras(connection))

        def hours() -> None:
            for name in cameras:
                with connection:
                    rollups.roll_hours(connection, [name], date, ZONE)

        def day() -> None:
            with connection:
                rollups.roll_day(connection, date, ZONE)

        return {"hours of one day": _repeated(hours), "one day": _repeated(day)}


def _automation(instance: "dg.DagsterInstance") -> dict[str, list[float]]:
    """Ticks of the rollups' automation: with nothing new, then after a third of the cameras were counted."""
    import dagster as dg

    from pc_pipeline.definitions import defs
    from pc_pipeline.defs.partitions import camera_day_key, cameras

    selection = dg.AssetSelection.assets("hourly_statistics", "daily_statistics", "dashboard_cache")
    cursor = None
    date = dt.datetime.now(ZONE).date() - dt.timedelta(days=2)
    known = instance.get_dynamic_partitions(cameras.name or "")

    def tick(wanted: int) -> None:
        nonlocal cursor
        result = dg.evaluate_automation_conditions(defs, instance, selection, cursor=cursor)
        cursor = result.cursor
        if result.total_requested != wanted:
            raise BenchError(f"the automation asked for {result.total_requested} runs in place of {wanted}")

    idle = _repeated(lambda: tick(0), 4)
    counted = known[::3]
    busy = []
    for _ in range(AGAIN):
        for name in counted:
            key = str(camera_day_key(name, date))
            instance.report_runless_asset_event(dg.AssetMaterialization("session_statistics", partition=key))
        # The hours of that day, and of the next, of each of them.
        busy.append(seconds(lambda: tick(2 * len(counted))))
        # What comes right after a request counts as answered by it, as far as Dagster's condition goes.
        tick(0)
    return {"automation, idle": idle[1:], "automation, cameras counted": busy}


@contextmanager
def _webserver() -> Iterator[str]:
    """Dagster's webserver with its code beside it; the URL of its GraphQL."""
    port = _choose_port(None)
    command = ["dagster_webserver", "--host", "127.0.0.1", "--port", f"{port}", "-m", "pc_pipeline.definitions"]
    server = subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=CHECKOUT
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(int(PATIENCE_S * 10)):
            with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"{url}/server_info", timeout=5):
                break
            if server.poll() is not None:
                raise BenchError("Dagster's webserver does not start")
            time.sleep(0.1)
        yield f"{url}/graphql"
    finally:
        server.terminate()
        server.wait(30)


def _pages(url: str) -> dict[str, list[float]]:
    def ask(query: str, asset: str) -> None:
        body = json.dumps({"query": query, "variables": {"key": {"path": [asset]}}}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            found = json.load(answer)
        if "errors" in found:
            raise BenchError(f"the webserver answers: {found['errors'][0]['message']}")

    return {
        "partition page": _repeated(lambda: ask(_PARTITIONS, "tracks")),
        "state of an asset": _repeated(lambda: ask(_LIVE, "tracks")),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()) + "\n")
