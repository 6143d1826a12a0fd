"""How long what is kept, from the site file to the table; and the commands and jobs."""

import datetime as dt
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pc_pipeline.cli import cli
from pc_pipeline.definitions import defs
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.errors import ConfigError, UserError
from pc_pipeline.ingest.site import SiteConfig, load_site
from pc_pipeline.store import archive, registry
from pc_pipeline.store import erasure as erasures
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.store.retention import rules
from pc_pipeline_tests.housekeeping.test_archive import in_table
from pc_pipeline_tests.stages.world import World, across, local

NOW = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
NOBODY = erasures.Wish("door", NOW, NOW + dt.timedelta(hours=1), False)


def site_of(text: str, folder: Path) -> SiteConfig:
    path = folder / "site.yaml"
    path.write_text(f"timezone: Europe/London\nretention:\n{text}")
    return load_site(path)


def starts(dsn: str) -> dict[str, tuple[str, bool]]:
    """From which month on each table is kept, and whether it is archived."""
    found, _ = in_transaction(dsn, lambda connection: rules(connection, NOW))
    return {name: (f"{rule.until:%Y-%m}", rule.archive) for name, rule in found.items()}


def test_what_the_site_file_does_not_say_is_kept_as_long_as_is_usual(dsn):
    usual = {
        "alert_logs": ("2026-04", True),
        "detections": ("2026-04", True),
        "frame_metadata": ("2026-01", True),
        "people_movements": ("2021-07", True),
        "system_metrics": ("2025-07", True),
        "tracks": ("2021-07", True),
    }
    assert starts(dsn) == usual
    site = SiteConfig.model_validate({"timezone": "UTC"})
    changes, _ = in_transaction(dsn, lambda connection: registry.apply_site(connection, site))
    assert not [change for change in changes if "retention" in change.what]
    assert starts(dsn) == usual


def test_the_site_file_says_how_long(dsn, tmp_path):
    site = site_of(
        "  detections: {keep: 10 days, archive: false}\n  system_metrics: forever\n"
        "  people_movements: 1 year\n  tracks: 2 years\n",
        tmp_path,
    )
    in_transaction(dsn, lambda connection: registry.apply_site(connection, site))
    now = starts(dsn)
    assert (now["detections"], now["people_movements"], now["tracks"]) == (
        ("2026-06", False),
        ("2025-07", True),
        ("2024-07", True),
    )
    assert "system_metrics" not in now


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("  detections: 3 weeks\n", "'3 weeks' is no time to keep rows"),
        ("  detections: 0 days\n", "'0 days' is no time"),
        ("  detection: 3 months\n", "detection"),
        ("  alert_logs: 13 days\n", "alert_logs are kept too short (13 days) to know what was told already"),
        (
            "  tracks: 1 year\n",
            "people_movements cannot be kept longer (5 years) than the tracks they hang on (1 year)",
        ),
    ],
)
def test_a_mistake_is_named_with_what_to_write(tmp_path, text, says):
    with pytest.raises(ConfigError) as error:
        site_of(text, tmp_path)
    assert says in str(error.value)


@pytest.fixture
def here(dsn, tmp_path, monkeypatch) -> World:
    """A world that commands and jobs find: a video of January 2020, counted."""
    from pc_pipeline_tests.stages.world import new_world

    monkeypatch.setenv("PC_POSTGRES_DSN", dsn)
    monkeypatch.setenv("PC_REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("PC_HOME", str(tmp_path))
    (tmp_path / "site.yaml").write_text("timezone: Europe/London\n")
    world = new_world(dsn, tmp_path, raw_dir=tmp_path / "raw_detections")
    world.film(local("2026-01-03 10:00:00"), across(30))
    world.settle()
    return world


def call(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_the_commands_and_jobs_archive_query_and_erase(here):
    assert json.loads(call("archive", "run", "--dry-run", "--json"))["gone"][0]["rows"] == 30
    pipeline = {"pipeline": Pipeline(redis=False)}
    made = defs.resolve_job_def("make_partitions").execute_in_process(resources=pipeline)
    done = defs.resolve_job_def("archive_old_rows").execute_in_process(resources=pipeline)
    assert made.success and done.success
    assert in_table(here) == []
    assert here.settle() == 0
    assert call("db", "partitions") == "all months are there\n"
    assert "30 rows" in call("archive", "list")
    assert call("archive", "query", "SELECT count(*) AS n, min(ts) AS t FROM detections", "--csv").splitlines() == [
        "n,t",
        "30,2026-01-03 10:00:00+00:00",
    ]
    assert json.loads(call("archive", "query", "SELECT 1 AS one", "--json")) == [{"one": 1}]
    recount = json.loads(call("archive", "recount", "--camera", "door", "--from", "2026-01-03", "--json"))
    assert recount == {"videos": 1, "files_gone": 0}

    span = ("--camera", "door", "--from", "2026-01-03", "--to", "2026-01-03")
    assert "would go: 1 videos" in call("erase", *span, "--dry-run")
    asked = {"camera": "door", "first": "2026-01-03", "last": "2026-01-03", "reason": "ticket", "asked_by": "me"}
    erased = defs.resolve_job_def("erase").execute_in_process(
        resources=pipeline, run_config={"ops": {"erase_on_request": {"config": asked}}}
    )
    assert erased.success
    assert here.count("videos") == 0
    assert in_transaction(here.machine.dsn, archive.files)[0] == []
    (row,) = json.loads(call("erase", "--list", "--json"))
    assert (row["state"], row["deleted"]["videos"], row["asked_by"]) == ("done", 1, "me")


def test_an_erasure_that_cannot_be_finished_fails_the_nights_run_and_the_archive_is_made(here):
    """Redis, of which the erasure knows, is away."""
    in_transaction(here.machine.dsn, lambda c: erasures.begin(c, NOBODY, "me", "ticket 1"))
    done = defs.resolve_job_def("archive_old_rows").execute_in_process(
        resources={"pipeline": Pipeline()}, raise_on_error=False
    )
    (failure,) = [event.step_failure_data for event in done.all_events if event.is_step_failure]
    assert "erasure 1 is not finished: Redis does not answer" in failure.error_display_string
    shown = failure.user_failure_data.metadata
    assert (shown["rows gone"].value, shown["erasures not finished"].value) == (60, 1), "boxes and frames"
    assert in_table(here) == []
    refused = CliRunner().invoke(cli, ["archive", "run"])
    assert "nothing is past its time" in refused.stdout
    assert isinstance(refused.exception, UserError)


def test_every_job_of_the_house_says_what_it_is_for_and_erasure_has_no_schedule():
    jobs = {"make_partitions", "archive_old_rows", "erase"}
    assert all(defs.resolve_job_def(job).description for job in jobs)
    scheduled = {schedule.job_name for schedule in defs.get_repository_def().schedule_defs}
    assert jobs & scheduled == {"make_partitions", "archive_old_rows"}
