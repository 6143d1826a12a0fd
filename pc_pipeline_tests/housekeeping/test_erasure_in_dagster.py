"""Dagster keeps no run, picture or check of what was erased."""

import datetime as dt

import dagster as dg

from pc_pipeline.defs.partitions import camera_day_key, camera_days
from pc_pipeline.embedded.instance import dagster_environment
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.housekeeping.archive import Place
from pc_pipeline.housekeeping.erasure import Everywhere, finish_all
from pc_pipeline.settings import Settings
from pc_pipeline.store import erasure as store
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline_tests.housekeeping.seams import MORNING, NOVEMBER
from pc_pipeline_tests.stages.world import LONDON


def test_dagster_forgets_the_runs_and_pictures_of_erased_camera_days(dsn, tmp_path, monkeypatch):
    monkeypatch.setenv("PC_HOME", str(tmp_path))
    for name, value in dagster_environment(Settings(), Endpoints(dsn, None)).items():
        monkeypatch.setenv(name, value)
    keys = [camera_day_key("door", dt.date(2026, 3, day)) for day in (3, 4)]

    @dg.asset(partitions_def=camera_days)
    def pictured(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"heat map": f"picture of {context.partition_key}"})

    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("cameras", ["door"])
        runs = [dg.materialize([pictured], instance=instance, partition_key=key).run_id for key in keys]
        place = Place(dsn, tmp_path / "archive", tmp_path / "raw", LONDON.key)
        in_transaction(dsn, lambda c: store.begin(c, MORNING, "me", "ticket 1"))
        in_transaction(dsn, lambda c: store._note(c, 1, [], [], ["door|2026-03-03"]))
        finish_all(Everywhere(place, None, tmp_path / "dagster"), NOVEMBER, lambda line: None).require_all()
        assert [instance.get_run_by_id(run) is not None for run in runs] == [False, True]
        materialized = instance.get_materialized_partitions(pictured.key)
        assert materialized == {keys[1]}
        last = instance.get_latest_materialization_event(pictured.key)
        assert last.asset_materialization.metadata["heat map"].value == f"picture of {keys[1]}"
    ((left,),) = rows(dsn, "SELECT count(*) FROM dagster.event_logs WHERE event LIKE '%picture of door|2026-03-03%'")
    assert left == 0
    ((left,),) = rows(
        dsn, "SELECT count(*) FROM dagster.asset_keys WHERE last_materialization LIKE '%picture of door|2026-03-03%'"
    )
    assert left == 0


def rows(dsn: str, query: str) -> list[tuple]:
    def read(connection):
        cursor = connection.cursor()
        cursor.execute(query)
        return cursor.fetchall()

    return in_transaction(dsn, read)[0]
