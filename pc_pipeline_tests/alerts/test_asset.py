"""The asset, its check and the sensor as Dagster runs them: what an operator sees and may do in the UI."""

import dagster as dg
import pytest

from pc_pipeline.definitions import defs
from pc_pipeline.defs.alerts.jobs import run_failures
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.ingest.site import SiteConfig
from pc_pipeline.store import registry
from pc_pipeline.store.alerts import listed
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline_tests.alerts.servers import webhook_server

SECRET = "s3cret"


@dg.op
def fails() -> None:
    raise dg.Failure("The disk is full: free space.")


@dg.job
def camera_day() -> None:
    fails()


@pytest.fixture
def hook(dsn, monkeypatch):
    """A webhook, in the settings of a site that is in force."""
    with webhook_server() as taken:
        monkeypatch.setenv("HOOK", f"http://{taken.address}/{SECRET}")
        monkeypatch.setenv("PC_POSTGRES_DSN", dsn)
        monkeypatch.setenv("PC_REDIS_URL", "redis://127.0.0.1:1")
        alerts = {"webhooks": {"board": {"url_env": "HOOK"}}}
        site = SiteConfig.model_validate({"timezone": "Europe/London", "alerts": alerts})
        in_transaction(dsn, lambda connection: registry.apply_site(connection, site))
        yield taken


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def evaluate(instance, **config):
    """What a run of the job shows: whether the check passed, and the asset's metadata."""
    job = defs.resolve_job_def("evaluate_alerts")
    run = job.execute_in_process(instance=instance, run_config={"ops": {"alerts": {"config": config}}})
    (check,) = run.get_asset_check_evaluations()
    (event,) = run.get_asset_materialization_events()
    shown = {name: value.value for name, value in event.materialization.metadata.items()}
    assert SECRET not in str(shown) + str(check.description)
    return check.passed, shown


def test_a_failed_run_is_told_at_once_and_ends_with_a_run_that_succeeds(hook, instance, dsn):
    failed = camera_day.execute_in_process(instance=instance, raise_on_error=False)
    ended = dg.build_run_status_sensor_context(
        sensor_name="run_failures",
        dagster_event=failed.get_run_failure_event(),
        dagster_instance=instance,
        dagster_run=failed.dagster_run,
        resources={"pipeline": Pipeline()},
    )
    with ended.for_run_failure() as context:
        for _ in range(2):  # of this run, and of another that fails meanwhile
            run_failures(context)
    ((event,),) = (body["events"] for body in hook.bodies)
    assert (event["event"], event["alert"]["title"]) == ("opened", "Runs fail: camera_day")
    assert "1 run of camera_day failed since" in event["alert"]["says"]
    assert "The disk is full: free space." in event["alert"]["says"]

    instance.delete_run(failed.run_id)
    passed, shown = evaluate(instance)
    assert passed and (shown["resolved"], shown["messages"], shown["dagster/row_count"]) == (1, 1, 0)
    assert [body["events"][0]["event"] for body in hook.bodies] == ["opened", "resolved"]


def test_a_dry_run_in_the_ui_shows_what_would_be_said_and_writes_nothing(hook, instance, dsn):
    camera_day.execute_in_process(instance=instance, raise_on_error=False)
    _, shown = evaluate(instance, dry_run=True)
    assert "nothing was written" in shown["dry run"] and "Runs fail: camera_day" in shown["what was said"]
    assert hook.bodies == [] and in_transaction(dsn, listed)[0] == []


def test_the_check_says_what_waits_for_a_channel_that_takes_nothing(hook, instance):
    camera_day.execute_in_process(instance=instance, raise_on_error=False)
    hook.answer = 500
    passed, shown = evaluate(instance)
    assert not passed and shown["messages not taken"] == 1
    assert "The webhook answered 500" in shown["what was said"] and "Runs fail: camera_day" in shown["open alerts"]
    # That is an alert itself, which goes to the channels that do take something.
    hook.answer = 200
    passed, shown = evaluate(instance)
    assert passed and "Check failed: alerts_are_delivered" in shown["open alerts"]
