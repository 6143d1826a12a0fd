"""`pc config` says what is wrong and changes nothing, or puts a file in force and says what that changed."""

import json

import pytest
from click.testing import CliRunner

from pc_pipeline.cli.config import config
from pc_pipeline.errors import ConfigError
from pc_pipeline.settings import Settings

GOOD = """
timezone: Europe/London
cameras:
  campus:
    location: North gate
    lines: {door: {from: [0.5, 0], to: [0.5, 1], in: right, valid_from: 2026-07-01}}
    detector: {sample_every: 0.5}
"""
BAD = GOOD.replace("in: right", "in: no").replace("location: North gate", "location: 7")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PC_HOME", str(tmp_path / "home"))
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(config, [str(argument) for argument in arguments])


def in_force(text):
    site_file = Settings().site_file
    site_file.parent.mkdir()
    site_file.write_text(text)
    return site_file


def test_a_good_file_is_said_to_be_good(home):
    result = run("check", home / "good.yaml")
    assert result.exit_code == 0
    assert result.output == f"{home}/good.yaml: good. 1 camera, 1 line, 0 zones; time zone Europe/London.\n"


def test_every_problem_is_one_line_that_an_editor_can_jump_to(home):
    result = run("check", home / "bad.yaml")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"{home}/bad.yaml:5: 'location' must be text, not 7: put it in quotes",
        f"{home}/bad.yaml:6: 'in' must be right, left, up or down, not the text 'no'",
        f"2 problems in {home}/bad.yaml; nothing was changed.",
    ]


def test_problems_as_json(home):
    result = run("check", home / "bad.yaml", "--json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert (report["ok"], [problem["line"] for problem in report["problems"]]) == (False, [5, 6])
    assert json.loads(run("check", home / "good.yaml", "--json").stdout)["ok"]


def test_without_a_file_the_one_in_force_is_checked(home):
    with pytest.raises(ConfigError, match="no site file is in force yet"):
        CliRunner().invoke(config, ["check"], catch_exceptions=False)
    site_file = in_force(GOOD)
    assert run("check").output.startswith(f"{site_file}: good.")


def test_a_file_with_a_mistake_is_not_applied(home):
    site_file = in_force(GOOD)
    with pytest.raises(ConfigError, match=r"bad.yaml:5: .*\n.*bad.yaml:6: "):
        CliRunner().invoke(config, ["apply", str(home / "bad.yaml")], catch_exceptions=False)
    assert site_file.read_text() == GOOD


def test_show_says_what_is_in_force(home):
    in_force(GOOD)
    assert run("show").output.splitlines()[1:] == [
        "",
        "campus, North gate",
        "  line door: in: right, (0.5, 0.0) to (0.5, 1.0), from 2026-07-01 00:00 BST",
        "  detector.sample_every: 0.5",
    ]
    shown = json.loads(run("show", "--json").stdout)
    assert shown["effective"]["campus"]["detector"]["sample_every"] == 0.5
    assert shown["site"]["cameras"]["campus"]["lines"]["door"]["in"] == "right"
