"""What Dagster's own storage says: the checks and runs that failed of late and were not made good, and no others."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg
import pytest

from pc_pipeline.defs.alerts.observed import observe
from pc_pipeline.defs.partitions import camera_day_key, camera_days
from pc_pipeline.errors import UserError
from pc_pipeline_tests.stages.world import LONDON

NOW = dt.datetime.now(dt.UTC)
TODAY = NOW.astimezone(LONDON).date()
RECENT = NOW - dt.timedelta(days=2)
LONG_AGO = dt.date(2026, 3, 2)
SOUND = dg.AssetCheckKey(dg.AssetKey("pictures"), "picture_is_sound")


class Told:
    """What the job's next run does."""

    passes, error, retry = True, None, False


@dg.asset(partitions_def=camera_days)
def pictures(context: dg.AssetExecutionContext) -> None:
    if Told.error:
        raise Told.error


@dg.asset_check(asset=pictures)
def picture_is_sound(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=Told.passes, description="Clean the lens.", metadata={"partition": context.partition_key}
    )


JOB = dg.Definitions(
    assets=[pictures], asset_checks=[picture_is_sound], jobs=[dg.define_asset_job("camera_day", [pictures])]
).resolve_job_def("camera_day")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    Told.passes, Told.error = True, None
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("cameras", ["back", "door"])
        yield made


def run(instance, camera="door", date=TODAY, *, passes=True, error=None, tags=None):
    Told.passes, Told.error = passes, error
    key = camera_day_key(camera, date)
    return JOB.execute_in_process(instance=instance, partition_key=key, raise_on_error=False, tags=tags or {})


def failing(instance):
    return observe(instance, [SOUND], LONDON, RECENT).checks


def failed_runs(instance):
    return observe(instance, [], LONDON, RECENT).runs


def test_a_check_fails_until_the_same_partition_passes_whatever_others_do(instance):
    run(instance, passes=False)
    run(instance, "back")
    (failed,) = failing(instance)
    assert (failed.name, failed.camera, failed.partition) == ("picture_is_sound", "door", f"door {TODAY}")
    assert failed.says == "Clean the lens." and abs(failed.at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)
    run(instance)
    assert failing(instance) == []
    run(instance, "back", passes=False)
    run(instance)
    run(instance, passes=False)
    assert sorted(failed.camera for failed in failing(instance)) == ["back", "door"]


def test_a_day_of_long_ago_that_a_backfill_judges_now_is_history(instance):
    run(instance, date=LONG_AGO, passes=False)
    assert failing(instance) == []


def test_a_check_that_has_a_kind_of_alert_of_its_own_is_left_to_it(instance):
    run(instance, passes=False)
    own = [dg.AssetCheckKey(SOUND.asset_key, name) for name in ("coverage_is_usual", "unknown_share_is_usual")]
    assert observe(instance, own, LONDON, RECENT).checks == []


def test_a_run_fails_until_a_later_one_makes_the_same_partition(instance):
    full = dg.Failure("The disk is full: free space.")
    failed = run(instance, date=LONG_AGO, error=full)
    run(instance, "back")
    (found,) = failed_runs(instance)
    assert (found.job, found.partition, found.run_id) == ("camera_day", f"door|{LONG_AGO}", failed.run_id)
    assert found.says == "The disk is full: free space."
    run(instance, date=LONG_AGO)
    assert failed_runs(instance) == []


def test_a_run_that_dagster_tries_again_by_itself_has_not_failed_yet(instance):
    run(instance, error=UserError("x"), tags={"dagster/will_retry": "true"})
    assert failed_runs(instance) == []


def test_what_an_error_holds_may_be_anything_and_is_not_repeated(instance):
    run(instance, error=RuntimeError("password=hunter2"))
    (found,) = failed_runs(instance)
    assert found.says == "RuntimeError in pictures; see the run's log."


def test_what_failed_before_the_time_looked_at_is_not_found(instance):
    run(instance, passes=False)
    run(instance, error=UserError("x"))
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
    seen = observe(instance, [SOUND], LONDON, later)
    assert (seen.checks, seen.runs) == ([], [])
