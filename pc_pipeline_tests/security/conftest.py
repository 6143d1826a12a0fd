"""A watched folder of its own, with something secret beside it."""

from pathlib import Path

import pytest

from pc_pipeline_tests.stages.inbox import Inbox
from pc_pipeline_tests.stages.world import new_world


@pytest.fixture
def inbox(dsn: str, tmp_path: Path) -> Inbox:
    """A watched folder and its database, both empty."""
    inbox = Inbox(new_world(dsn, tmp_path / "world"))
    inbox.machine.watch_dir.mkdir(parents=True)
    return inbox
