"""The unit files in deploy/: systemd accepts them, they limit and restart, and what they start is there."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pc_pipeline.cli import cli
from pc_pipeline.settings import CHECKOUT, Settings

DEPLOY = CHECKOUT / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))


def read(unit: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    return parser


def test_systemd_accepts_every_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    for unit in [*UNITS, DEPLOY / "pc-pipeline.target"]:
        # systemd wants the program to be there; the checkout of this test stands elsewhere.
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/pc_pipeline/.venv/bin/pc", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(map(str, tmp_path.iterdir()))], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_every_unit_is_limited_restarted_and_run_by_nobody_of_importance(unit):
    service = read(unit)["Service"]
    assert service["User"] == "pc"
    assert service["Restart"] == "always"
    for limit in ("MemoryMax", "TasksMax", "LimitNOFILE"):
        assert service[limit]
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "yes"
    # OpenVINO and PyTorch write the code they run.
    assert "MemoryDenyWriteExecute" not in service


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_what_a_unit_starts_is_a_command_of_pc_with_no_secret_in_it(unit):
    service = read(unit)["Service"]
    program, *arguments = service["ExecStart"].split()
    assert program == "/opt/pc_pipeline/.venv/bin/pc"
    helped = CliRunner().invoke(cli, [*arguments, "--help"])
    assert helped.exit_code == 0, helped.output
    assert not any(name.startswith(("Environment", "PassEnvironment")) for name in service if name != "EnvironmentFile")


def test_every_variable_of_the_environment_file_is_one_that_is_read():
    lines = (DEPLOY / "environment").read_text().splitlines()
    names = [line.lstrip("#").split("=")[0] for line in lines if line.lstrip("#").startswith("PC_")]
    fields = {f"PC_{name.upper()}" for name in Settings.model_fields}
    assert set(names) <= fields | {"PC_POSTGRES_DSN_FILE", "PC_REDIS_URL_FILE"}
    assert len(names) == len(set(names))


def test_the_page_names_every_unit_and_every_file_of_deploy():
    page = (CHECKOUT / "docs" / "deployment.md").read_text()
    for unit in UNITS:
        assert f"`{unit.stem}`" in page
    for name in ("deploy/pc ", "deploy/environment", "deploy/*.service", "deploy/*.target"):
        assert name in page
