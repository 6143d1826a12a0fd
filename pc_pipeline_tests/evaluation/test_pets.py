"""What was promised, on real video with real weights: every third frame, the quickest and the hardest."""

import json

import pytest
from click.testing import CliRunner

from pc_pipeline.cli.evaluate import evaluate


@pytest.fixture(scope="module")
def measured(samples_dir, models_dir, tmp_path_factory):
    """`pc evaluate --json` of PETS 2009 S2.L1."""
    clip = samples_dir / "pets2009-s2l1"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PC_HOME", str(tmp_path_factory.mktemp("home")))
        options = ["--truth-scale", "0.625", "--sample-every", "0.3", "--json"]
        done = CliRunner().invoke(evaluate, [str(clip / "video.avi"), "--truth", str(clip / "gt.txt"), *options])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_people_keep_their_identity(measured):
    assert measured["IDF1"] >= 0.90
    assert measured["HOTA"] >= 0.68
    assert measured["MOTA"] >= 0.88
    assert measured["unique_true"] == 19
    assert 18 <= measured["unique_found"] <= 22


def test_lines_are_right_to_within_one(measured):
    assert measured["lines"].keys() == {"vertical", "horizontal"}
    for line in measured["lines"].values():
        for direction in line.values():
            assert abs(direction["found"] - direction["true"]) <= 1
    assert measured["lines"]["vertical"]["in"]["true"] == 14 and measured["lines"]["vertical"]["out"]["true"] == 18
    assert measured["lines"]["horizontal"]["in"]["true"] == 13 and measured["lines"]["horizontal"]["out"]["true"] == 19


def test_random_lines_err_less_than_half_as_much_as_an_online_trackers(measured):
    assert measured["random_lines"]["n"] == 100
    assert measured["random_lines"]["mae"] <= 0.5 * measured["bytetrack"]["random_lines"]["mae"]
    assert measured["random_lines"]["mae"] <= measured["perfect"]["random_lines"]["mae"]
