"""`pc hourly`, `pc daily` and `pc events`: no video is never shown as nobody."""

import datetime as dt
import json

import pytest
from click.testing import CliRunner

from pc_pipeline.cli import report
from pc_pipeline.defs.partitions import site
from pc_pipeline.store import events, rollups
from pc_pipeline.store.events import CameraEvent
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline_tests.stages.world import LONDON
from pc_pipeline_tests.store.recorded import add_recording

MONDAY = dt.date(2026, 3, 2)
NINE = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def pc(dsn, monkeypatch):
    """An hour of video with somebody who came in, four hours of none, an hour with a camera that was covered in it."""
    site.cache_clear()

    def write(connection):
        person = [(NINE, NINE + HOUR / 4, 0)]
        add_recording(connection, 1, NINE, NINE + HOUR, LONDON, person, [(NINE + HOUR / 8, 1, "in")])
        add_recording(connection, 2, NINE + 5 * HOUR, NINE + 6 * HOUR, LONDON)
        add_recording(connection, 3, NINE + 48 * HOUR, NINE + 49 * HOUR, LONDON)
        connection.cursor().execute("INSERT INTO site (timezone, history_from) VALUES ('Europe/London', '2026-01-01')")
        found = [
            CameraEvent("gap", NINE + HOUR, NINE + 5 * HOUR, 14400.0, "No video for 14400.0 s: see to the network."),
            CameraEvent("covered", NINE + 5.5 * HOUR, NINE + 5.75 * HOUR, 0.1, "The picture shows hardly an edge."),
        ]
        events.replace_events(connection, 2, "door", found)
        for day in (0, 2):
            date = MONDAY + dt.timedelta(days=day)
            rollups.roll_hours(connection, ["door"], date, LONDON)
            rollups.roll_day(connection, date, LONDON)

    in_transaction(dsn, write)
    monkeypatch.setenv("PC_POSTGRES_DSN", dsn)

    def run(command, *options):
        result = CliRunner().invoke(command, options)
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def test_hours_without_video_say_no_data_and_events_stand_beside_the_counts(pc):
    lines = {line.split()[2]: line for line in pc(report.hourly, "--date", "2026-03-02").splitlines() if ":00 " in line}
    assert len(lines) == 24
    assert "no data" not in lines["09:00"] and "gap" not in lines["09:00"]
    assert "no data" in lines["12:00"] and lines["12:00"].rstrip().endswith("gap 1.0 h")
    assert lines["14:00"].rstrip().endswith("covered 15.0 min")
    rows = {row["hour_start"][11:13]: row for row in json.loads(pc(report.hourly, "--date", "2026-03-02", "--json"))}
    assert (rows["09"]["no_data"], rows["09"]["entered"], rows["09"]["coverage_seconds"]) == (False, 1, 3600.0)
    assert (rows["12"]["no_data"], rows["12"]["coverage_seconds"]) == (True, 0.0)
    assert "entered" not in rows["12"], "no count, rather than a count of nobody"
    assert [event["kind"] for event in rows["14"]["events"]] == ["covered"]


def test_days_without_video_say_no_data(pc):
    rows = json.loads(pc(report.daily, "--json"))
    assert [(row["date"], row["no_data"], row["coverage_seconds"]) for row in rows] == [
        ("2026-03-02", False, 7200.0),
        ("2026-03-03", True, 0.0),
        ("2026-03-04", False, 3600.0),
    ]
    monday, tuesday, _ = (line for line in pc(report.daily).splitlines() if "2026-03-0" in line)
    assert "covered 15.0 min, gap 4.0 h" in monday and "no data" not in monday
    assert "no data" in tuesday


def test_events_are_listed_with_what_to_do_and_summed_up(pc):
    shown = pc(report.events)
    assert "No video for 14400.0 s: see to the network." in shown and "4.0 h" in shown
    assert [row["kind"] for row in json.loads(pc(report.events, "--json"))] == ["gap", "covered"]
    assert "Nothing was wrong" in pc(report.events, "--date", "2026-03-04")
    assert "1 covered, 1 gap" in pc(report.summary)
    assert json.loads(pc(report.summary, "--json"))["camera_events"] == {"gap": 1, "covered": 1}
    assert json.loads(pc(report.summary, "--date", "2026-03-04", "--json"))["camera_events"] == {}


def test_how_far_occupancy_was_corrected_stands_beside_it(pc, dsn):
    def leave(connection):
        add_recording(
            connection, 4, NINE + 6 * HOUR, NINE + 7 * HOUR, LONDON, [(NINE + 6 * HOUR, NINE + 6.5 * HOUR, 0)],
            [(NINE + 6.2 * HOUR, 1, "out"), (NINE + 6.4 * HOUR, 1, "out")],
        )  # fmt: skip
        rollups.roll_hours(connection, ["door"], MONDAY, LONDON)
        rollups.roll_day(connection, MONDAY, LONDON)

    in_transaction(dsn, leave)
    monday = next(line for line in pc(report.daily).splitlines() if "2026-03-02" in line)
    # In, out, people, their genders, most and mean inside, and the one who left without having been seen to come.
    assert monday.split()[2:5] == ["1", "2", "2"] and monday.split()[8] == "1"
