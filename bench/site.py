"""A site on a database of its own: what the environment tells the product, and its Dagster instance."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from bench.workbench import Workbench
from pc_pipeline.embedded.instance import dagster_environment, prepare_instance
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.local_run import dagster_instance
from pc_pipeline.settings import Settings


@contextmanager
def site_on(bench: Workbench, dsn: str, home: Path) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of a site in `home` whose results go to the database `dsn`, without a site file: in UTC.

    For as long as the block runs, the environment names this site; its watched folder is `home/watch`.
    """
    before = dict(os.environ)
    (home / "watch").mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "PC_HOME": str(home),
        "PC_WATCH_DIR": str(home / "watch"),
        "PC_POSTGRES_DSN": dsn,
        "PC_REDIS_URL": bench.redis_url,
    }
    endpoints = Endpoints(dsn, bench.redis_url)
    os.environ |= dagster_environment(Settings(), endpoints)
    try:
        prepare_instance()
        with dagster_instance(Settings(), endpoints) as instance:
            yield instance
    finally:
        os.environ.clear()
        os.environ |= before
