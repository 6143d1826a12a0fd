"""The faults room keeps what it promises: areas done alone, one table, films that differ, chains across midnight."""

import datetime as dt
import json
from importlib import import_module

from faults.findings import AREAS, Finding, write
from faults.recordings import camera_days
from faults.site import differing

_README = "Ahead.\n<!-- table: written by `make faults` -->\n<!-- end of table -->\nBehind.\n"


def test_an_area_done_again_replaces_its_rows_and_leaves_the_others(tmp_path):
    (tmp_path / "README.md").write_text(_README)
    kill, disk = Finding("kill", "all", 60, "20 green", True), Finding("disk", "full", 3, "a trace", False)
    write([kill, disk], ["kill", "disk"], tmp_path)
    write([Finding("disk", "full", 3, "a sentence", True)], ["disk"], tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    assert [(found["area"], found["found"], found["kept"]) for found in results] == [
        ("disk", "a sentence", True),
        ("kill", "20 green", True),
    ]
    lines = (tmp_path / "README.md").read_text().splitlines()
    assert lines[0] == "Ahead." and lines[-1] == "Behind."
    assert "| kill | all | 60 | 20 green | yes |" in lines


def test_every_area_can_be_done():
    assert all(callable(import_module(f"faults.areas.{area}").find) for area in AREAS)


def test_rows_that_differ_are_named_with_their_numbers():
    same, other = {"rows": 3, "sha256": "a"}, {"rows": 2, "sha256": "b"}
    assert differing({"tracks": same, "videos": same}, {"tracks": other, "videos": same}) == [
        "tracks: 3 rows, 2 without faults"
    ]


def test_a_backfill_is_every_camera_on_every_day():
    days = camera_days(dt.date(2026, 3, 2), 5)
    assert len(set(days)) == 20 and max(date for _, date in days) == dt.date(2026, 3, 6)
