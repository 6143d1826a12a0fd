"""What is killed in the middle, apart from the tests: a process that begins with it has little to import."""

import datetime as dt
from pathlib import Path

from pc_pipeline.housekeeping import event_log
from pc_pipeline_tests.stages.world import die


def purge(dsn: str, dagster_home: Path) -> None:
    """Purge two runs at a time, and be killed after some."""
    event_log._TOGETHER, event_log._SAY_EVERY = 2, 4
    event_log.purge(dsn, dagster_home, dt.datetime.now(dt.UTC), log=lambda line: die())
