"""The bench room keeps what it promises: pairs turn by turn, one row a piece of work, areas measured alone."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from bench import table, workbench
from bench.measure import BenchError, Row, paired, process, row
from bench.wanted import AREAS, WANTED
from pc_pipeline.settings import _SECRETS, Settings

_README = "Ahead.\n<!-- table: written by `make bench` -->\n<!-- end of table -->\nBehind.\n"
_WANTED = {("load", "rows"): "≥ 0.9", ("start", "import"): "≤ 1.3", ("gpu", "batch of 8"): ""}


def _row(area: str, work: str, ratio: float) -> Row:
    return row(area, work, "the limit", [(ratio, 1.0)], "s")


def test_whoever_went_first_goes_second_in_the_next_pair():
    turns: list[str] = []
    paired(lambda: turns.append("ours"), lambda: turns.append("theirs"), 3)
    assert turns == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]


def test_the_ratio_is_the_median_of_the_pairs_and_not_of_the_figures():
    found = row("load", "rows", "COPY", [(10.0, 10.0), (90.0, 100.0), (400.0, 200.0)], "rows/s")
    assert (found.ratio, found.ours, found.theirs, found.runs, found.spread) == (1.0, 90.0, 100.0, 3, 1.1)


def test_measuring_one_area_replaces_its_rows_and_leaves_the_others(tmp_path: Path):
    (tmp_path / "README.md").write_text(_README)
    table.write([_row("start", "import", 1.2), _row("load", "rows", 0.8)], ["start", "load"], _WANTED, tmp_path)
    table.write([_row("load", "rows", 0.95)], ["load"], _WANTED, tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    assert [(found["area"], found["ratio"]) for found in results] == [("load", 0.95), ("start", 1.2)]
    assert set(results[0]) == {"area", "work", "against", "ours", "theirs", "ratio", "unit", "runs", "spread"}
    lines = (tmp_path / "README.md").read_text().splitlines()
    assert lines[0] == "Ahead." and lines[-1] == "Behind."
    assert [line for line in lines if "not measured" in line] == [
        "| gpu | batch of 8 | not measured on this machine | | | |  | | |"
    ]


def test_a_process_that_fails_is_one_sentence():
    with pytest.raises(BenchError, match="ended with 3: no room"):
        process(["-c", "print('no room'); raise SystemExit(3)"])


def test_every_area_can_be_measured_and_has_rows():
    assert {area for area, _ in WANTED} == set(AREAS)
    assert all(callable(import_module(f"bench.areas.{area}").measure) for area in AREAS)


def test_a_benchmark_is_led_to_nothing_of_the_site_around_it():
    named = {f"PC_{name.upper()}" for name in Settings.model_fields} | {f"PC_{name.upper()}_FILE" for name in _SECRETS}
    assert named - set(workbench.FOREIGN) == {"PC_HOME", "PC_MODELS_DIR", "PC_SAMPLES_DIR"}, "the first is its own"
