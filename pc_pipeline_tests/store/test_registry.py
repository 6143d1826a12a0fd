"""The site file put in force: cameras, lines and zones, and the time zone that dates hang on."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from pc_pipeline.errors import ConfigError
from pc_pipeline.ingest.site import SiteConfig
from pc_pipeline.store.registry import apply_site
from pc_pipeline.store.rollups import roll_hours
from pc_pipeline_tests.store.recorded import add_recording

UTC, KOLKATA = ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata")
LATE = dt.datetime(2026, 3, 3, 20, tzinfo=dt.UTC)
SILL = {"from": [0.5, 0.0], "to": [0.5, 1.0], "in": "right"}


def site(timezone: str = "Asia/Kolkata", **camera) -> SiteConfig:
    return SiteConfig.model_validate({"timezone": timezone, "cameras": {"door": camera}})


def said(connection, wanted: SiteConfig) -> list[tuple[str, str]]:
    return [(change.action, change.what) for change in apply_site(connection, wanted)]


def test_a_site_applied_twice_changes_nothing_the_second_time(connection):
    wanted = site(lines={"sill": SILL})
    assert said(connection, wanted) == [
        ("added", "time zone, history and name patterns"),
        ("added", "camera door"),
        ("added", "line door/sill"),
    ]
    assert said(connection, wanted) == []


def test_the_same_valid_from_corrects_a_later_one_starts_a_version_and_a_missing_name_goes(connection):
    apply_site(connection, site(lines={"sill": SILL}))
    assert said(connection, site(lines={"sill": SILL | {"in": "left"}})) == [("changed", "line door/sill")]
    later = SILL | {"valid_from": "2026-03-01"}
    assert said(connection, site(lines={"sill": later})) == [("added", "line door/sill")]
    assert said(connection, site(zones={})) == [("removed", "line door/sill")] * 2


def test_what_was_counted_before_there_was_a_site_takes_the_sites_dates_and_its_hours_are_made_anew(connection):
    add_recording(connection, 1, LATE, LATE + dt.timedelta(minutes=5), UTC)
    roll_hours(connection, ["door"], dt.date(2026, 3, 3), UTC)
    apply_site(connection, site())
    cursor = connection.cursor()
    cursor.execute("SELECT date, (SELECT count(*) FROM hourly_statistics) FROM videos")
    assert cursor.fetchall() == [(dt.date(2026, 3, 4), 0)]


def test_the_zone_of_a_site_that_has_videos_stays(connection):
    apply_site(connection, site())
    add_recording(connection, 1, LATE, LATE + dt.timedelta(minutes=5), KOLKATA)
    with pytest.raises(ConfigError, match="cannot become Europe/London"):
        apply_site(connection, site("Europe/London"))
    assert said(connection, site()) == []


def test_cameras_the_file_does_not_name_are_left_as_they_are(connection):
    apply_site(connection, site(lines={"sill": SILL}))
    other = SiteConfig.model_validate({"timezone": "Asia/Kolkata", "cameras": {"gate": {}}})
    assert said(connection, other) == [("added", "camera gate"), ("left", "camera door")]
