"""`pc db` in the terminal."""

import json

import pytest
from click.testing import CliRunner

from pc_pipeline.cli.db import db
from pc_pipeline.errors import SchemaOutdated


@pytest.fixture
def pc_db(dsn, redis_url, monkeypatch):
    """Runs `pc db …` against a fresh database with the schema."""
    monkeypatch.setenv("PC_POSTGRES_DSN", dsn)
    monkeypatch.setenv("PC_REDIS_URL", redis_url)
    return lambda *arguments, **options: CliRunner().invoke(db, arguments, **options)


def test_back_and_forward(pc_db):
    newest = [row["migration"] for row in json.loads(pc_db("status", "--json").stdout)][-1]
    back_to = str(int(newest.partition("_")[0]) - 1)
    assert json.loads(pc_db("rollback", "--to", back_to, "--yes", "--json").stdout) == {"rolled_back": [newest]}
    states = [row["state"] for row in json.loads(pc_db("status", "--json").stdout)]
    assert states == ["applied"] * (len(states) - 1) + ["pending"]
    assert isinstance(pc_db("digest").exception, SchemaOutdated)
    assert isinstance(pc_db("check").exception, SchemaOutdated)
    assert pc_db("migrate").stdout == f"applied {newest}\n"
    assert pc_db("migrate").stdout == "the schema is up to date\n"


def test_nothing_is_taken_back_without_a_yes(pc_db):
    assert pc_db("rollback", "--to", "0", input="n\n").exit_code == 1
    assert "pending" not in pc_db("status").stdout


def test_the_digest_is_json_for_machines_and_a_table_for_people(pc_db):
    tables = json.loads(pc_db("digest", "--json").stdout)
    assert tables["detections"]["rows"] == 0
    assert len(tables["detections"]["sha256"]) == 64
    assert pc_db("digest").stdout.splitlines()[0].startswith("videos ")


def test_check_says_what_database_it_is_without_the_password(pc_db, dsn):
    facts = json.loads(pc_db("check", "--json").stdout)
    assert facts["schema"] == "current"
    assert "@" not in facts["database"]
