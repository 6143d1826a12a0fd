"""The heat map and the flow picture of a camera-day: small, the same every time, and seen in Dagster."""

import base64
import re
from types import SimpleNamespace

import dagster as dg
import pytest

from pc_pipeline.defs.counting.assets import session_statistics
from pc_pipeline.defs.partitions import camera_day_key
from pc_pipeline.pictures.png import LARGEST
from pc_pipeline.stages import day_pictures as stage
from pc_pipeline_tests.stages.world import HEIGHT, WIDTH, World, across, local

MORNING, NOON = local("2026-03-02 09:00:00"), local("2026-03-02 12:00:00")
DAY = MORNING.date()


@pytest.fixture
def walked(world: World) -> World:
    """Two videos of one day, the second in twice the pixels: two people in, one out again."""
    world.apply(zones={"mat": [[0.6, 0.5], [1.0, 0.5], [1.0, 1.0], [0.6, 1.0]]})
    world.film(MORNING, across(40))
    world.film(NOON, across(40), across(40, first=540, last=100, y=300), zoom=2)
    world.run(DAY)
    return world


def test_they_are_of_the_whole_day_whatever_the_size_of_its_videos(walked, monkeypatch):
    drawn = {}
    monkeypatch.setattr(stage.heat, "heat_map", lambda seconds, plan: drawn.update(seconds=seconds, plan=plan))
    monkeypatch.setattr(stage.flows, "flow_picture", lambda moved, plan: drawn.update(moved=moved))
    monkeypatch.setattr(stage, "png", lambda picture: b"")
    assert stage.day_pictures(walked.machine, "door", DAY)
    assert drawn["plan"].aspect == HEIGHT / WIDTH
    assert drawn["plan"].counts == {"sill": (2, 1)}
    assert list(drawn["plan"].zones) == ["mat"]
    # One way was walked twice, in two sizes of picture, the other once.
    people = drawn["moved"].people
    row = int(400 / HEIGHT * len(people))
    assert people[row].sum(axis=-1).max() == pytest.approx(2)
    assert people[int(300 / HEIGHT * len(people))].sum(axis=-1).max() == pytest.approx(1)


def test_a_day_without_people_has_none(walked):
    assert stage.day_pictures(walked.machine, "door", DAY.replace(day=3)) is None
    assert stage.day_pictures(walked.machine, "gate", DAY) is None


def test_they_stand_in_the_metadata_of_the_sessions(walked):
    pipeline = SimpleNamespace(machine=lambda context: walked.machine, dsn=lambda: walked.machine.dsn)
    shown = []
    for _ in range(2):
        with dg.build_asset_context(partition_key=camera_day_key("door", DAY)) as context:
            result = session_statistics(context, pipeline=pipeline)
        for name in ("where people were", "where people went"):
            (encoded,) = re.findall(r"!\[.+\]\(data:image/png;base64,(.+)\)", result.metadata[name].value)
            picture = base64.b64decode(encoded)
            assert picture.startswith(b"\x89PNG") and len(picture) < LARGEST
            shown.append(picture)
    assert shown[:2] == shown[2:], "the same every time"
