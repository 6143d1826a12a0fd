"""`pc demo`, the whole way, in a PC_HOME of its own."""

import json
import os
import subprocess
import sys

import pytest

from pc_pipeline_tests import clips


def pc_demo(home, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", "from pc_pipeline.cli import main; main()", "demo", *arguments],
        env=os.environ | {"PC_HOME": str(home)} | environment,
        capture_output=True,
        text=True,
        timeout=220,
    )


def test_another_site_is_left_alone(tmp_path):
    (tmp_path / "site.yaml").write_text("timezone: Asia/Kolkata\n")
    refused = pc_demo(tmp_path)
    assert refused.returncode == 2
    assert "PC_HOME=" in refused.stderr and "Traceback" not in refused.stderr
    assert (tmp_path / "site.yaml").read_text() == "timezone: Asia/Kolkata\n"


@pytest.mark.skipif(
    not clips.photographs_present(), reason="the photographs that ultralytics carries are not installed"
)
def test_the_counts_are_the_truth_and_a_second_call_skips_what_is_done(tmp_path, models_dir):
    first = pc_demo(tmp_path, "--json", PC_MODELS_DIR=str(models_dir))
    assert first.returncode == 0, first.stdout + first.stderr
    result = json.loads(first.stdout)
    assert result["agree"]
    assert {hour["hour"][11:13]: hour["postgres"] for hour in result["hours"] if hour["truth"]} == {
        "08": [3, 1],
        "12": [1, 1],
        "14": [1, 2],
        "16": [0, 2],
        "17": [1, 1],
    }
    second = pc_demo(tmp_path, "--json", PC_MODELS_DIR=str(models_dir))
    assert second.returncode == 0, second.stdout + second.stderr
    assert json.loads(second.stdout)["hours"] == result["hours"]
    assert "skipped rendering" in second.stderr
    assert json.loads(second.stdout)["seconds"] < result["seconds"]
