"""`pc up`, `pc down`, `pc status`: one command starts it all, one stops it all."""

import json
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result

from pc_pipeline.cli import cli
from pc_pipeline.embedded.process import wait_until


@pytest.fixture
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PC_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "site.yaml").write_text("timezone: Europe/London\n")
    yield
    pc("down")


def pc(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


def status() -> dict[str, Any]:
    return json.loads(pc("status", "--json").stdout)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def codes(about: dict[str, Any]) -> set[int]:
    """The processes that hold the pipeline's code: one, but for a moment while it is loaded anew."""
    children = psutil.Process(about["code_server"]["pid"]).children()
    return {child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE}


@pytest.mark.usefixtures("_home")
def test_up_status_down(tmp_path: Path) -> None:
    assert pc("status").exit_code == 3
    assert not status()["running"]

    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = CliRunner().invoke(cli, ["up", "--port", str(taken.getsockname()[1])])
        assert "taken: name a free one" in str(refused.exception)

    up = pc("up")
    about = status()
    assert about["running"]
    assert about["webserver"]["url"] in up.output
    assert about["watch_dir"] in up.output
    assert "pc down" in up.output
    assert about["postgres"]["embedded"]
    assert about["postgres"]["since"].endswith("+00:00")
    assert answers(about["webserver"]["url"])
    assert pc("status").exit_code == 0
    assert "already up" in pc("up").output

    # A site file that is applied is in force at once, and a killed process with the code is replaced.
    before = codes(about)
    (tmp_path / "new.yaml").write_text("timezone: Europe/London\ncameras: {door: {}}\n")
    assert "The pipeline that runs has read it anew" in pc("config", "apply", str(tmp_path / "new.yaml")).output
    after = codes(about)
    assert len(after - before) == 1
    for pid in after:
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: len(codes(about) - after) == 1, 60, step_s=0.2)

    os.kill(about["webserver"]["pid"], signal.SIGKILL)
    assert wait_until(lambda: status()["webserver"]["pid"] != about["webserver"]["pid"], 10, step_s=0.2)
    assert wait_until(lambda: answers(about["webserver"]["url"]), 60, step_s=0.5), "it was started again"

    assert "stopped" in pc("down").output
    assert not answers(about["webserver"]["url"])
    assert pc("status").exit_code == 3
    assert status()["postgres"] is None
    assert "nothing was running" in pc("down", "--purge").output


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_help_has_examples(command: str) -> None:
    shown = pc(command, "--help")
    assert shown.exit_code == 0
    assert f"pc {command}" in shown.output.partition("Examples:")[2]
