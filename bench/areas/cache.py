"""A dashboard's summary, from Redis and from Postgres, over a month of a hundred cameras."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import closing
from zoneinfo import ZoneInfo

import numpy as np

from bench.history import History, build
from bench.measure import BenchError, Row, limited, seconds
from bench.workbench import Workbench
from pc_pipeline.store import figures
from pc_pipeline.store.cache import Cache
from pc_pipeline.store.postgres import connect
from pc_pipeline.store.rollups import roll_day

_HISTORY = History(cameras=100, days=30, last=dt.date(2026, 3, 30))
_UTC = ZoneInfo("UTC")


def measure(bench: Workbench) -> Iterator[Row]:
    """The summary over all data, read again and again over a connection that stands."""
    cache = Cache(bench.redis_url)
    with bench.database() as dsn, closing(connect(dsn)) as connection:
        build(dsn, _HISTORY)
        for day in (_HISTORY.first + dt.timedelta(days=number) for number in range(_HISTORY.days)):
            roll_day(connection, day, _UTC)
            connection.commit()
        connection.autocommit = True
        connection.cursor().execute("VACUUM ANALYZE daily_statistics")
        summary = figures.summary(connection, _UTC, _HISTORY.last)
        if not cache.set_json("summary", value=summary):
            raise BenchError("the embedded Redis does not answer")
        yield _p95("Redis", lambda: cache.get_json("summary"), 500, 2)
        yield _p95("Postgres", lambda: figures.summary(connection, _UTC, _HISTORY.last), 40, 20)


def _p95(source: str, read: Callable[[], object], times: int, limit_ms: float) -> Row:
    figures_ms = [float(np.percentile([1000 * seconds(read) for _ in range(times)], 95)) for _ in range(3)]
    return limited("cache", f"dashboard summary from {source}, p95", figures_ms, limit_ms, "ms")
