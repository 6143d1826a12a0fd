"""`pc alerts` lists, evaluates and tries the channels, and says what would be sent without sending it."""

import json

import pytest
from click.testing import CliRunner

from pc_pipeline.cli.alerts import alerts
from pc_pipeline.defs import partitions
from pc_pipeline.ingest.alerts import AlertsConfig
from pc_pipeline.ingest.site import SiteConfig
from pc_pipeline.store import registry
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline_tests.alerts.servers import webhook_server


@pytest.fixture
def hook(dsn, redis_url, tmp_path, monkeypatch):
    """A site with a channel that is there and one that is not, and an alert that would be opened."""
    with webhook_server() as taken:
        environment = {"PC_HOME": str(tmp_path), "PC_POSTGRES_DSN": dsn, "PC_REDIS_URL": redis_url}
        for name, value in {**environment, "HOOK": f"http://{taken.address}/s3cret"}.items():
            monkeypatch.setenv(name, value)
        for name in ("DAGSTER_HOME", "PC_WATCH_DIR", "PC_MODELS_DIR", "PC_DAGSTER_POSTGRES_URL"):
            monkeypatch.setenv(name, "")
        hooks = {"board": {"url_env": "HOOK"}, "gone": {"url_env": "NOT_SET", "kinds": ["run_failed"]}}
        site = SiteConfig(
            timezone="Europe/London",
            alerts=AlertsConfig.model_validate({"webhooks": hooks, "occupancy": 5}),
            cameras={"door": {}},
        )
        monkeypatch.setattr("pc_pipeline.defs.partitions.site", lambda: site)
        monkeypatch.setattr("pc_pipeline.defs.alerts.assets.site", partitions.site)
        in_transaction(dsn, lambda connection: registry.apply_site(connection, site))
        insert = (
            "INSERT INTO hourly_statistics (camera, hour_start, date, entered, exited, unique_total, unique_male,"
            " unique_female, unique_unknown, peak_occupancy, mean_occupancy, coverage_ms) SELECT 'door',"
            " date_trunc('hour', now()), (now() AT TIME ZONE 'Europe/London')::date, 0, 0, 0, 0, 0, 0, 9, 0, 1000"
        )
        in_transaction(dsn, lambda connection: connection.cursor().execute(insert))
        yield taken


def run(*arguments):
    return CliRunner().invoke(alerts, arguments)


def test_dry_run_evaluate_and_list(hook):
    dry = run("evaluate", "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "would be opened: Too many people: door" in dry.output and "would be sent by webhook board:" in dry.output
    assert '"event": "opened"' in dry.output and hook.bodies == []
    assert run("list").output == "There are no alerts.\n"

    done = json.loads(run("evaluate", "--json").output)
    assert (done["opened"], done["dry_run"], len(hook.bodies)) == (["Too many people: door"], False, 1)
    listed = run("list", "--open", "--camera", "door").output
    assert "Too many people: door  (open)" in listed and "Let nobody in" in listed
    (row,) = json.loads(run("list", "--json").output)
    assert [(one["channel"], one["status"]) for one in row["deliveries"]] == [("webhook board", "delivered")]
    assert run("list", "--camera", "back").output == "There are no alerts.\n"
    for output in (dry.output, listed, json.dumps(done), json.dumps(row)):
        assert "s3cret" not in output


def test_a_channel_that_does_not_take_a_message_makes_the_exit_code(hook):
    hook.answer = 500
    failed = run("evaluate")
    assert failed.exit_code == 1 and "not taken: The webhook answered 500" in failed.output


def test_channels_are_tried_and_each_says_how_it_went(hook):
    tried = run("test")
    assert tried.exit_code == 1
    assert tried.output.splitlines() == [
        "webhook board: taken",
        "webhook gone: The environment variable NOT_SET (url_env) is not set where this runs: set it for the services,"
        " and start them again.",
    ]
    (body,) = hook.bodies
    assert body["events"][0]["event"] == "test"
    one = run("test", "--channel", "webhook board", "--json")
    assert json.loads(one.output) == [{"channel": "webhook board", "delivered": True, "error": None}]
    assert "There is no channel 'slack'" in str(run("test", "--channel", "slack").exception)
