"""`pc models`: what a user and a script see."""

import json

import pytest
from click.testing import CliRunner

from pc_pipeline.cli.models import models


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("PC_MODELS_DIR", str(tmp_path))
    return lambda *arguments: CliRunner().invoke(models, arguments)


def test_list_shows_what_is_here_and_how_to_get_the_rest(run):
    result = run("list")
    assert result.exit_code == 0
    assert "built in" in result.stdout and "pc models fetch yolo11n" in result.stdout
    rows = json.loads(run("list", "--json").stdout)
    assert {row["name"]: row["state"] for row in rows}["hog"] == "present"
    assert {row["name"]: row["state"] for row in rows}["yolo11n"] == "missing"


def test_verify_fails_for_a_damaged_model_and_for_a_missing_one_that_was_named(run, tmp_path):
    assert run("verify").exit_code == 0
    assert run("verify", "yolo11n").exit_code == 1
    (tmp_path / "mine.onnx").write_bytes(b"no network")
    result = run("verify", "--json")
    assert result.exit_code == 1
    assert [row["state"] for row in json.loads(result.stdout) if row["name"] == "mine"] == ["corrupt"]


@pytest.mark.parametrize("command", ["list", "fetch", "verify"])
def test_every_command_has_examples(run, command):
    assert f"pc models {command}" in run(command, "--help").stdout
