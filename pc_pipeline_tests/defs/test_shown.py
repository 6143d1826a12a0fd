"""What every asset shows in the UI: columns as the database has them, plots that stay small, tables that end."""

import datetime as dt
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from pc_pipeline.definitions import defs
from pc_pipeline.defs import plots
from pc_pipeline.defs.detection.assets import COLUMNS
from pc_pipeline.defs.stage import table
from pc_pipeline.store import catalog
from pc_pipeline.store.of_day import by_hour
from pc_pipeline.store.parquet import _table as as_parquet
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline_tests.clips import detections_of
from pc_pipeline_tests.stages.world import LONDON, across, local

# What Dagster shows at once; longer Markdown is behind a click.
AT_ONCE = 1000
WITHOUT_ROWS = {"dashboard_cache"}


def drawn(value) -> ElementTree.Element:
    text = value.value
    return ElementTree.fromstring(unquote(text[text.index(",") + 1 : -2]))


def test_the_columns_written_down_are_those_of_the_database(dsn):
    found = catalog.as_text(in_transaction(dsn, catalog.described)[0])
    assert found == catalog.FILE.read_text(), "a migration changed a table: python -m pc_pipeline.store.catalog"
    assert all(says for table in catalog.written_down().values() for *_, says in table["columns"])


def test_every_asset_says_its_columns_and_what_it_is():
    for spec in defs.resolve_all_asset_specs():
        name = spec.key.to_user_string()
        assert spec.description and spec.owners and spec.kinds and spec.group_name, name
        assert name in WITHOUT_ROWS or spec.metadata["dagster/column_schema"].columns, name
    for started in [*(defs.jobs or []), *(defs.schedules or []), *(defs.sensors or [])]:
        assert started.description, started.name


def test_the_columns_of_raw_detections_are_those_of_its_files():
    written = set(as_parquet(detections_of([across(30)], 200.0)).schema.names)
    assert written <= set(COLUMNS) and {"box", "confidence", "class_id"} <= written


@pytest.mark.parametrize("seen", [0, 1, 99999])
def test_a_day_of_hours_is_a_picture_that_is_shown_at_once(seen):
    rows = [{"entered": seen, "exited": seen // 2} for _ in range(25)]
    plot = plots.in_and_out([f"{n:02}:00" for n in range(25)], rows)
    assert len(plot.value) < AT_ONCE
    bars = [path for path in drawn(plot).iter() if path.get("stroke-width")]
    assert [path.get("d", "").count("M") for path in bars] == [25 * (seen > 0), 25 * (seen // 2 > 0)]


def test_people_of_any_colour_vision_tell_in_from_out():
    picture = drawn(plots.in_and_out(["09:00"], [{"entered": 2, "exited": 1}]))
    assert "in (blue), most 2; out (orange), most 1" in "".join(picture.itertext())
    strokes = [path.get("stroke") for path in picture.iter() if path.get("stroke-width")]
    assert strokes == ["#0072b2", "#d55e00"], "of Okabe and Ito's palette"


def test_a_busy_day_inside_stays_small_and_shows_what_was_added():
    start = local("2026-03-10 08:00:00")
    hours = [{"hour_start": start + n * dt.timedelta(hours=1)} for n in (0, 1, 5)]
    steps = [
        {"ts": start + n * dt.timedelta(seconds=2), "people": n % 40, "added": int(n % 500 == 0)} for n in range(10000)
    ]
    plot = plots.inside(hours, steps, LONDON)
    assert len(plot.value) < 15000
    assert "most 39; orange: added by the correction" in "".join(drawn(plot).itertext())


def test_names_cannot_leave_the_picture():
    assert "".join(drawn(plots.bars("x", ["<b>&'"], ("'><script>", [1]))).itertext()).startswith("'><script>")


def test_a_long_table_ends_and_says_how_much_more_there_is():
    lines = table(("n",), [(n,) for n in range(60)]).value.splitlines()
    assert lines[-1] == "and 12 more" and lines[-3] == "| 47 |"


@pytest.mark.parametrize(("date", "hours"), [("2026-03-28", 24), ("2026-03-29", 23), ("2026-10-25", 25)])
def test_a_days_hours_are_as_many_as_the_clock_has(date, hours):
    day = dt.date.fromisoformat(date)
    found = by_hour([(local(f"{date} 00:30:00"), 2), (local(f"{date} 23:59:00"), 1)], day, LONDON)
    assert len(found) == hours and list(found.values())[0] == 2 and list(found.values())[-1] == 1
    assert ("01:00+" in found) == (hours == 25)
