"""What Dagster shows of the hours and days: people inside with the correction, dwell by zone."""

import datetime as dt
from contextlib import closing

import dagster as dg
import pytest

from pc_pipeline.defs.partitions import camera_day_key
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.defs.rollups.assets import daily_statistics, hourly_statistics
from pc_pipeline.store.postgres import connect
from pc_pipeline_tests.stages.world import LONDON, local
from pc_pipeline_tests.store.recorded import add_recording

DAY = dt.date(2026, 3, 3)
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def shown(dsn, monkeypatch):
    """Materializes a rollup of the day: the metadata that Dagster shows of it."""
    monkeypatch.setenv("PC_POSTGRES_DSN", dsn)

    def materialize(asset, key):
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("cameras", ["door"])
            run = dg.materialize([asset], partition_key=key, instance=instance, resources={"pipeline": Pipeline()})
            (event,) = run.get_asset_materialization_events()
            return {name: value.value for name, value in event.materialization.metadata.items()}

    return materialize


def test_hours_and_days_show_people_inside_the_correction_and_dwell(dsn, shown):
    nine = local(f"{DAY} 09:00:00")
    with closing(connect(dsn)) as connection, connection:
        connection.cursor().execute("INSERT INTO site (timezone, history_from) VALUES ('Europe/London', '2020-01-01')")
        moved = [(nine + MINUTE, 1, "out"), (nine + 2 * MINUTE, 1, "in")]
        stays = [(nine, nine + n * MINUTE, 1, "hall") for n in (1, 2, 6)]
        add_recording(connection, 1, nine, nine + 60 * MINUTE, LONDON, [(nine, nine, 0)], moved, stays=stays)

    hours = shown(hourly_statistics, camera_day_key("door", DAY))
    assert hours["added to the people inside"] == 1
    assert hours["people inside"].startswith("![people inside](<data:image/svg+xml,")
    dwell = "| hall | 3 | 0 | 180.0 | 120.0 | 360.0 | 360.0 | 360.0 | 3 | 0.15 |"
    assert f"| 09:00 {dwell}" in hours["dwell by zone"]

    days = shown(daily_statistics, DAY.isoformat())
    assert (days["added to the people inside"], days["still inside at midnight"]) == (1, 1)
    assert f"| 2026-03-03 door {dwell}" in days["dwell by zone"]


def test_a_day_without_video_shows_noughts_and_no_plot(shown):
    hours = shown(hourly_statistics, camera_day_key("door", DAY))
    assert (hours["dagster/row_count"], hours["added to the people inside"]) == (0, 0)
    assert not {"people inside", "dwell by zone"} & hours.keys()
