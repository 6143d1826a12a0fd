"""The site file is data: nothing in it runs, grows without bound or reaches the database as anything but text."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pc_pipeline.errors import ConfigError
from pc_pipeline.ingest.names import SHIPPED, parse_name
from pc_pipeline.ingest.site import SiteConfig, load_site
from pc_pipeline.ingest.yaml_lines import SiteFileError
from pc_pipeline.store import registry
from pc_pipeline.store.postgres import in_transaction

SITE = "timezone: Europe/London\ncameras:\n  door:\n"


def refused(tmp_path: Path, text: str) -> str:
    """What is said of a site file that is wrong."""
    file = tmp_path / "site.yaml"
    file.write_text(text)
    with pytest.raises(SiteFileError) as caught:
        load_site(file)
    return str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        '!!python/object/apply:os.system ["touch pwned"]',
        '!!python/object/new:os.system ["touch pwned"]',
        '!!python/name:os.system ""',
        "!!binary aGVsbG8=",
        "!include /etc/passwd",
    ],
)
def test_a_tag_makes_nothing_happen(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refused(tmp_path, f"timezone: {value}\n")
    assert "there is no time zone" in said or "'timezone' must be text" in said
    assert not (tmp_path / "pwned").exists()


def test_aliases_that_multiply_are_refused_before_they_fill_the_memory(tmp_path):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    assert "more than 50,000 values" in refused(tmp_path, f"{bomb}timezone: Europe/London\n")


@pytest.mark.parametrize("text", ["[" * 600, "a: " + "{a: " * 600, "- " * 600])
def test_what_is_nested_without_end_is_one_sentence(text, tmp_path):
    assert "nested too deeply" in refused(tmp_path, text)


@pytest.mark.parametrize("text", ['"a\\0b"', '"\\uD800"', '"\\e[2J"', '"two\\nlines"', '"\\u202Eevil"', "x" * 201])
@pytest.mark.parametrize("key", ["location: {}", "zone: {}", "tags: [{}]"])
def test_text_that_cannot_be_stored_or_shown_is_refused(key, text, tmp_path):
    said = refused(tmp_path, f"{SITE}    {key.format(text)}\n")
    assert "write up to 200 characters that can be seen" in said
    assert said.isprintable()


HOSTILE = [
    "'; DROP TABLE cameras;--",
    "$(touch pwned)",
    "%s%(x)s{0}",
    "<script>alert(1)</script>",
    "a|b|c",
    "\\",
    '"',
    "ё人",
]


def test_hostile_names_stand_in_the_database_as_they_are_written(dsn):
    lines = {name: {"from": [0.5, 0], "to": [0.5, 1], "in": "right"} for name in HOSTILE}
    zones = {name: [[0.1, 0.1], [0.4, 0.1], [0.4, 0.4]] for name in HOSTILE}
    camera = {"location": HOSTILE[0], "zone": HOSTILE[1], "tags": HOSTILE, "lines": lines, "zones": zones}
    site = SiteConfig.model_validate({"timezone": "Europe/London", "cameras": {"door": camera}})
    assert in_transaction(dsn, lambda connection: registry.apply_site(connection, site))[0]
    assert in_transaction(dsn, lambda connection: registry.apply_site(connection, site))[0] == [], "nothing is changed"

    def read(connection):
        cursor = connection.cursor()
        cursor.execute("SELECT name, count(*) FROM zones GROUP BY 1")
        found = dict(cursor.fetchall())
        cursor.execute("SELECT location, zone, tags FROM cameras")
        return found, cursor.fetchone()

    found, about = in_transaction(dsn, read)[0]
    assert found == dict.fromkeys(HOSTILE, 2)
    assert about == (HOSTILE[0], HOSTILE[1], HOSTILE)


@settings(max_examples=40)
@given(name=st.text(min_size=1, max_size=80))
def test_a_camera_s_name_is_letters_digits_and_few_signs_or_refused(name):
    try:
        SiteConfig.model_validate({"timezone": "UTC", "cameras": {name: {}}})
    except ValueError as error:
        assert "cannot be used" in str(error)
    else:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name)


def test_what_is_said_of_a_file_cannot_move_a_terminal_s_cursor(tmp_path):
    said = refused(tmp_path, 'timezone: "\\e[2JLondon"\ncameras: {"\\e[1Adoor": {}}\n')
    assert all(line.isprintable() for line in said.splitlines())
    assert "\\x1b[1Adoor" in said


@settings(max_examples=40)
@given(scalar=st.one_of(st.text("0123456789abcdefox_+-.eE", max_size=400), st.integers().map(str)))
def test_any_number_is_a_value_or_a_sentence(scalar, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "number.yaml"
    file.write_text(f"{SITE}    counting: {{band: {scalar}}}\n    tracker: {{min_sightings: {scalar}}}\n")
    try:
        load_site(file)
    except ConfigError as error:
        assert str(error)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$ {camera}_{iso}",
        "{camera}.*.*.*.*.*{iso}",
        "{camera}" + "_" * 60 + "{iso}",
        "[{camera}]*{iso}|",
        "(?P<x>{camera}){iso}",
    ],
)
def test_a_pattern_is_no_expression_and_never_takes_long(pattern):
    """The worst name for it: as long as a path may be, and wrong at its end."""
    site = SiteConfig.model_validate({"timezone": "UTC", "name_patterns": [pattern, *SHIPPED]})
    name = "/".join(["a" * 250 + "_" * 4] * 16)
    began = time.process_time()
    with pytest.raises(Exception, match="does not tell its camera"):
        parse_name(f"{name}!.mp4", site.name_patterns, site.zone_info)
    # A second of processor time stands for an expression that would take years.
    assert time.process_time() - began < 1
