"""`pc status --detailed`: what is wrong comes first and in plain words, and a healthy system fits a screen."""

import copy
import datetime as dt
import json
from typing import Any

import pytest
from click.testing import CliRunner

from pc_pipeline.cli import cli
from pc_pipeline.cli.health import page
from pc_pipeline.housekeeping.health import age, attention, size

NOW = dt.datetime(2026, 3, 20, 12, tzinfo=dt.UTC)
HOURS = dt.timedelta(hours=1)
SERVER = {"embedded": True, "place": "127.0.0.1:5432/pc_pipeline", "since": "2026-03-19T12:00:00+00:00"}
JOB = {"job": "camera_day", "last_success": NOW - HOURS, "last_failure": NOW - 9 * HOURS, "running": 1, "queued": 3}
RUN = {"run_id": "12345678-90", "job": "camera_day", "partition": "door|2026-03-20", "since": NOW - HOURS}
TICK = {
    "name": "outstanding_camera_days", "kind": "sensor", "status": "skipped", "at": NOW, "runs": 0,
    "says": "nothing is outstanding", "stopped": False,
}  # fmt: skip
HEALTHY: dict[str, Any] = {
    "at": NOW,
    "services": {
        "running": True, "webserver": {"url": "http://127.0.0.1:3000"}, "daemon": {}, "postgres": SERVER,
        "redis": SERVER, "watch_dir": "/videos",
    },
    "disks": [{"folders": {"state": "/pc", "videos": "/videos"}, "free_bytes": 6e11, "total_bytes": 1e12}],
    "backup": {"name": "b", "kind": "base", "ended_at": NOW - 9 * HOURS, "bytes": 3e9, "backups": 14},
    "backup_problems": [],
    "cache": True,
    "problem": None,
    "results": {
        "unread": {},
        "database": {
            "size_bytes": 4e10, "connections": 14, "max_connections": 97, "oldest_transaction": None,
            "transaction_age": 0.2, "invalid_indexes": [], "slow_now": 0,
        },
        "largest": [
            {"schema_name": "public", "table_name": "d", "partition_name": f"d_{n}", "total_bytes": 1e9}
            for n in range(5)
        ],
        "months": {"detections": "2026-06", "frame_metadata": "2026-06"},
        "queue": {"waiting": 3, "oldest": NOW - HOURS / 60},
        "running": [RUN],
        "jobs": [{**JOB, "job": f"job_{n}"} for n in range(14)],
        "ticks": [TICK],
        "daemons": [{"name": "SENSOR", "at": NOW}],
        "files": {"registered": 24_000, "quarantined": 7},
        "alerts": [],
    },
}  # fmt: skip


def unwell(path: str, value: Any) -> dict[str, Any]:
    """A healthy system in which one fact is another."""
    about = copy.deepcopy(HEALTHY)
    *way, last = path.split(".")
    place = about
    for step in way:
        place = place[step]
    place[last] = value
    return about


def test_a_healthy_system_wants_nothing_and_fits_a_screen():
    assert attention(HEALTHY) == []
    lines = list(page({"attention": [], **HEALTHY}))
    assert lines[0] == "all is well"
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    text = "\n".join(lines)
    for said in ("600 GB free of 1.0 TB (60%): state, videos", "14 of 97 connections", "24,000 registered, 7 quar",
                 "1 running, 3 waiting, the oldest for 60 s", "camera_day door|2026-03-20 for 60 min", "2026-06",
                 "nothing is outstanding (0 s ago)", "9 h ago, 3.0 GB (base); 14 kept"):  # fmt: skip
        assert said in text


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("services.running", False, "Start it with `pc up`"),
        ("problem", "nothing answers there", "cannot be read: nothing answers there"),
        ("results", None, "The database is not running"),
        ("disks", [{**HEALTHY["disks"][0], "free_bytes": 4e10}], "state and videos is nearly full: 40 GB are free"),
        ("disks", [{**HEALTHY["disks"][0], "total_bytes": 2e10, "free_bytes": 4e9}], "4.0 GB are free"),
        ("results.database.connections", 78, "78 of 97 connections"),
        ("results.database.transaction_age", 0.9, "at 90% of the age"),
        ("results.database.invalid_indexes", ["a_ccnew"], "Half-made indexes: a_ccnew"),
        ("results.database.oldest_transaction", NOW - 7 * HOURS, "open for 7 h"),
        ("results.jobs", [{**JOB, "last_failure": NOW}], "Job camera_day failed 0 s ago (last succeeded 60 min ago)"),
        ("results.jobs", [{**JOB, "last_success": None}], "never succeeded"),
        ("results.queue.oldest", NOW - 3 * HOURS, "3 runs wait, the oldest for 3 h"),
        ("results.running", [{**RUN, "since": NOW - 13 * HOURS}], "Run 12345678 of camera_day"),
        ("results.ticks", [{**TICK, "status": "failure", "says": "Boom\nat"}], "failed 0 s ago: Boom. See"),
        ("results.ticks", [{**TICK, "stopped": True}], "outstanding_camera_days is stopped"),
        ("results.ticks", [{**TICK, "at": NOW - HOURS}], "last looked 60 min ago"),
        ("results.daemons", [{"name": "SENSOR", "at": NOW - HOURS}], "silent for long: sensor"),
        ("results.alerts", [{"title": "Nobody at door", "since": NOW}], "1 alert open, the newest: Nobody at door"),
        (
            "results.unread",
            {"files": "it took too long", "jobs": "it took too long"},
            "Not known: files, jobs. It took",
        ),
        ("backup", None, "There is no backup yet"),
        ("backup_problems", ["the backup b cannot be read"], "The backup b cannot be read."),
        ("backup.ended_at", NOW - 80 * HOURS, "The last backup is 3 days old"),
        ("cache", False, "Redis does not answer"),
    ],
)
def test_what_is_wrong_comes_first_and_says_what_to_do(path, value, says):
    about = unwell(path, value)
    wrong = attention(about)
    assert len(wrong) == 1
    assert says in wrong[0]
    assert list(page({"attention": wrong, **about}))[:2] == ["1 thing wants attention:", f"  ! {wrong[0]}"]


def test_of_a_system_that_is_down_nothing_is_said_of_what_cannot_tick():
    about = unwell("results.ticks", [{**TICK, "at": NOW - HOURS}])
    about["services"]["running"] = False
    assert len(attention(about)) == 1


def test_spans_and_sizes_are_said_as_people_say_them():
    assert [age(dt.timedelta(seconds=s)) for s in (-5, 119, 120, 7199, 7200, 172_799, 172_800)] == [
        "0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days",
    ]  # fmt: skip
    assert [size(b) for b in (0, 999, 1000, 9_900, 12e6, 1.4e9, 2e12)] == [
        "0 B", "999 B", "1.0 kB", "9.9 kB", "12 MB", "1.4 GB", "2.0 TB",
    ]  # fmt: skip


def test_the_command_tells_it_all_of_a_real_database_and_exits_as_status_does(dsn, redis_url, tmp_path, monkeypatch):
    monkeypatch.setenv("PC_HOME", str(tmp_path))
    monkeypatch.setenv("PC_POSTGRES_DSN", dsn)
    monkeypatch.setenv("PC_REDIS_URL", redis_url)
    shown = CliRunner().invoke(cli, ["status", "--detailed"])
    assert shown.exit_code == 3
    assert "things want attention:\n  ! Dagster is not running" in shown.stdout
    told = json.loads(CliRunner().invoke(cli, ["status", "--detailed", "--json"]).stdout)
    # How full this machine's disk is, is its own affair.
    dagster, backup = [sentence for sentence in told["attention"] if not sentence.startswith("The disk with")]
    assert "Dagster is not running" in dagster and "backup" in backup
    assert told["results"]["unread"] == {}
    assert told["results"]["database"]["max_connections"] > 90
    assert len(told["results"]["largest"]) == 5
    assert told["cache"] is True
    # A database of an earlier version: what to do, in one sentence.
    from pc_pipeline.store.migrate import rollback

    rollback(dsn, 10)
    assert "run `pc db migrate`" in CliRunner().invoke(cli, ["status", "--detailed"]).stdout
