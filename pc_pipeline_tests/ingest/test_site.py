"""The site file: what it means, and every mistake in it named with its line and what to write."""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_pipeline.errors import ConfigError
from pc_pipeline.ingest.site import SiteConfig, ZoneRow, load_site, valid_from_utc, zone_rows

GOOD = """
timezone: Europe/London
detector: {confidence: 0.3}
counting: {band: 0.1}
cameras:
  campus:
    location: North gate
    tags: [street]
    lines:
      door: {from: [0.5, 0], to: [0.5, 1], in: right}
      gate: {from: [0, 0.5], to: [1, 0.5], in: up, valid_from: 2026-07-01}
    zones:
      table: [[0.1, 0.1], [0.4, 0.1], [0.4, 0.4]]
      shelf: {points: [[0.6, 0.6], [0.9, 0.6], [0.9, 0.9]], valid_from: 2026-07-01T09:00:00+02:00}
    detector: {sample_every: 0.5}
    gender: {model: null}
  7:
  off: {active: no}
"""
DOCS = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def load(tmp_path, text):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return load_site(path)


def complaints(tmp_path, text):
    """The problems of a site file, as `line: sentence`."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return [line.removeprefix(f"{tmp_path}/site.yaml:") for line in str(caught.value).splitlines()]


def test_a_camera_overrides_only_what_it_names(tmp_path):
    site = load(tmp_path, GOOD)
    campus = site.effective("campus")
    assert (campus.detector.confidence, campus.detector.sample_every, campus.counting.band) == (0.3, 0.5, 0.1)
    assert site.effective("7") == site.effective("a camera the file does not name")
    assert site.effective("7").detector.sample_every == 0.1


def test_keys_are_names_whatever_yaml_makes_of_them(tmp_path):
    site = load(tmp_path, GOOD)
    assert list(site.cameras) == ["campus", "7", "off"]
    assert [camera.active for camera in site.cameras.values()] == [True, True, False]


def test_the_configuration_survives_json(tmp_path):
    site = load(tmp_path, GOOD)
    again = SiteConfig.model_validate(site.model_dump(mode="json", by_alias=True))
    assert again.effective("campus") == site.effective("campus")
    assert zone_rows(again) == zone_rows(site)


def test_lines_and_zones_become_rows(tmp_path):
    shelf, table = (0.6, 0.6, 0.9, 0.6, 0.9, 0.9), (0.1, 0.1, 0.4, 0.1, 0.4, 0.4)
    assert zone_rows(load(tmp_path, GOOD)) == [
        ZoneRow("campus", "line", "door", None, (0.5, 0.0, 0.5, 1.0), "right"),
        # A date is the start of that day in the site's zone, which is an hour ahead of UTC in July.
        ZoneRow("campus", "line", "gate", datetime(2026, 6, 30, 23, tzinfo=UTC), (0.0, 0.5, 1.0, 0.5), "up"),
        ZoneRow("campus", "zone", "shelf", datetime(2026, 7, 1, 7, tzinfo=UTC), shelf, None),
        ZoneRow("campus", "zone", "table", None, table, None),
    ]


@given(
    st.dates(date(2009, 1, 1), date(2035, 1, 1)),
    st.sampled_from(["Europe/London", "Asia/Kolkata", "Africa/Cairo", "Asia/Beirut", "America/Havana", "UTC"]),
)
def test_a_date_is_the_first_instant_of_that_day(day, zone_name):
    zone = ZoneInfo(zone_name)
    start = valid_from_utc(day, zone)
    just_before = datetime.fromtimestamp(start.timestamp() - 1, zone)
    assert start.astimezone(zone).date() == day
    assert just_before.date() < day


def test_a_time_without_an_offset_is_the_sites(tmp_path):
    assert valid_from_utc(datetime(2026, 7, 1, 9), ZoneInfo("Asia/Kolkata")) == datetime(2026, 7, 1, 3, 30, tzinfo=UTC)


def test_all_mistakes_are_told_at_once_each_with_its_line(tmp_path):
    text = """\
timezne: Europe/London
timezone: Europe/Londn
detector: {confidence: "0,5", sample_every: 100ms}
cameras:
  bad name: {}
  door:
    location: 12
    tags: street
    lines:
      a: {from: [0.5, 0.1], to: [320, 240], in: no}
      a: {from: [0.5, 0.1], to: [0.5, 0.9], in: left}
      b: {from: [0,5, 0,1], to: [0.5, "0.9"], inn: up}
    counting: {band: -1, anchor: feet}
"""
    assert complaints(tmp_path, text) == [
        "1: unknown key 'timezne': did you mean 'timezone'?",
        "2: there is no time zone 'Europe/Londn': did you mean 'Europe/London'?",
        "3: 'confidence' must be a number, not the text '0,5': write 0.5, without quotes",
        "3: 'sample_every' must be a number, not the text '100ms': write 0.1, the number alone",
        "5: the camera name 'bad name' cannot be used: write 1 to 64 of the letters A to Z, digits, '.', '_' and '-', "
        "starting with a letter or digit",
        "7: 'location' must be text, not 12: put it in quotes",
        "8: 'tags' must be a list such as [a, b], not the text 'street'",
        "10: the coordinate 320 is outside the picture, which runs from 0 to 1 from its top left: this looks like "
        "pixels, divide x by the picture's width and y by its height",
        "10: 'in' must be right, left, up or down, not the text 'no'",
        "11: 'a' stands here for the second time (first on line 10): rename or delete it",
        "12: a point is two numbers from 0 to 1, such as [0.5, 0.25], not [0, 5, 0, 1] "
        "(decimals take a point, not a comma: 0.5)",
        "12: a coordinate is a number from 0 to 1, not the text '0.9': write 0.9, without quotes",
        "12: 'cameras.door.lines.b' has no 'in': add 'in: right'",
        "12: unknown key 'inn' in 'cameras.door.lines.b': did you mean 'in'?",
        "13: 'band' must be at least 0, not -1",
        "13: 'anchor' must be foot or center, not the text 'feet'",
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{from: [0.5, 0.1], to: [0.5, 0.9], in: up}", "nobody can cross this line towards 'up', since it runs up and"),
        ("{from: [0.1, 0.5], to: [0.9, 0.5], in: left}", "write 'in: up' or 'in: down'"),
        ("{from: [0.5, 0.5], to: [0.5, 0.5], in: up}", "the line has no length"),
        ("{from: [0.5, 0], to: [0.5, 1], in: up, valid_from: soon}", "'soon' is no time: write a date such as"),
        ("{from: [0.5, 0], to: [0.5, 1], in: left, valid_from: 2026-03-29T01:30:00}", "did not exist in Europe/London"),
        ("{from: [0.5, .nan], to: [0.5, 1], in: left}", "the coordinate nan is outside the picture"),
        ("{from: [0.5, true], to: [0.5, 1], in: left}", "a coordinate is a number from 0 to 1, not true"),
        ("", "'cameras.door.lines.x' has no 'from': add 'from: [0.5, 0.1]'"),
    ],
)
def test_a_line_nobody_could_cross(tmp_path, line, sentence):
    text = f"timezone: Europe/London\ncameras:\n  door:\n    lines:\n      x: {line}\n"
    found = complaints(tmp_path, text)
    assert found[0].startswith("5: ") and sentence in found[0]


@pytest.mark.parametrize(
    ("zone", "sentence"),
    [
        ("[[0, 0], [1, 1]]", "a zone needs at least 3 points around it, and this one has 2"),
        ("[[0, 0], [1, 1], [1, 0], [0, 1]]", "the zone's outline crosses itself"),
        ("[[0, 0], [1, 0], [1, 0], [0, 1]]", "the zone's outline crosses itself"),
        ("[[0, 0], [0.5, 0.5], [1, 1]]", "the zone's outline crosses itself"),
        ("3", "'x' must hold keys of its own"),
    ],
)
def test_a_zone_that_encloses_nothing(tmp_path, zone, sentence):
    text = f"timezone: Europe/London\ncameras:\n  door:\n    zones:\n      x: {zone}\n"
    found = complaints(tmp_path, text)
    assert found[0].startswith("5: ") and sentence in found[0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "1: the file is empty"),
        ("# nothing yet\n", "1: the file is empty"),
        ("- a\n", "1: the file must be keys and values"),
        ("cameras: {}\n", "1: the file has no 'timezone': add 'timezone: Europe/London'"),
        ("timezone:\n", "1: 'timezone' is empty"),
        ("timezone: Lisbon\n", "1: there is no time zone 'Lisbon': did you mean 'Europe/Lisbon'?"),
        ("timezone: UTC\ncameras:\n\tdoor: {}\n", "3: a tab stands here: YAML is indented with spaces"),
        ("timezone: UTC\ncameras:\n  a: {}\n b: {}\n", "4: this line is indented differently"),
        ("timezone: UTC\ncameras: {a: {}\n", "2: the bracket that opens here is not closed, or a ',' is missing in it"),
        ('timezone: "UTC\n', "1: a bracket or quote that opens here is never closed"),
        ("timezone UTC\ncameras: {}\n", "2: this ':' cannot stand here"),
        ("timezone: *zone\n", "1: undefined alias 'zone'"),
        ("timezone: @a\n", "1: put this text in quotes"),
        ("timezone: UTC\ntimezone: UTC\n", "2: 'timezone' stands here for the second time (first on line 1)"),
        ("timezone: UTC\n---\ntimezone: UTC\n", "2: '---' begins a second document here"),
        ("timezone: UTC\ncameras: &a {x: *a}\n", "2: an alias (*) stands inside the very thing it names"),
        ("timezone: \x01\n", "1: there is a control character here"),
    ],
)
def test_what_is_not_yaml_or_not_a_site(tmp_path, text, complaint):
    assert complaints(tmp_path, text)[0].startswith(complaint)


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(ConfigError, match="there is no site file .*site.yaml: write one"):
        load_site(tmp_path / "site.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_site(tmp_path)
    (tmp_path / "site.yaml").write_bytes("timezone: UTC\n# café\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="site.yaml:2: this is not UTF-8 text"):
        load_site(tmp_path / "site.yaml")


@given(st.text(max_size=200))
def test_no_text_whatever_brings_a_stack_trace(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "ignore"))
    with pytest.raises(ConfigError):
        load_site(path)


def test_the_example_in_the_manual_is_good(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    site = load(tmp_path, example)
    assert site.cameras
    # It writes the defaults out: they must be the defaults.
    plain = SiteConfig(timezone=site.timezone)
    for part in ("detector", "tracker", "gender", "counting", "alerts"):
        written = getattr(site, part)
        assert written == getattr(plain, part)
        assert written.model_fields_set == set(type(written).model_fields)
    assert site.history_from == plain.history_from
