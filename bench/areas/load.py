"""Detections into their real table: how near the server's limit, how long a batch waits, what a replacement costs."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
from psycopg2.extensions import connection as Connection

from bench.history import History, build
from bench.measure import Row, limited, paired, row, seconds
from bench.workbench import Workbench
from pc_pipeline.store.detections import insert_detections
from pc_pipeline.store.load import LoadSettings
from pc_pipeline.store.postgres import connect
from pc_pipeline.store.sessions import clear_results
from pc_pipeline.vision.arrays import Detections

_START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
_MONTH = "detections_2026_03"
_MILLION = 1_000_000
_BOXES = 10  # a frame
_STEP_US = 100_000
# In the server's own folder, where its unprivileged user may write.
_FILE = "/proc/self/cwd/bench_detections.copy"
_LIMIT_MS = 50.0


def measure(bench: Workbench) -> Iterator[Row]:
    """Rows a second and a batch's wait, then a replacement; every figure is of committed rows."""
    with bench.database() as dsn, closing(connect(dsn)) as connection:
        yield from _million(connection)
        for rows, batches in ((200, 1000), (2000, 200)):
            yield _latency(connection, rows, batches)
    with bench.database() as dsn, closing(connect(dsn)) as connection:
        yield _replaced(connection, dsn)


def _million(connection: Connection) -> Iterator[Row]:
    boxes, track_ids = _video(_MILLION)

    def ours() -> float:
        _emptied(connection)
        return _MILLION / seconds(
            lambda: _committed(connection, lambda: _insert(connection, 1, _START, boxes, track_ids))
        )

    def theirs(table: str) -> Callable[[], float]:
        def copied() -> float:
            _emptied(connection)
            text = f"COPY {table} FROM '{_FILE}' (FORMAT binary)"
            return _MILLION / seconds(lambda: _committed(connection, lambda: connection.cursor().execute(text)))

        return copied

    _insert(connection, 1, _START, boxes, track_ids)
    connection.cursor().execute(f"COPY {_MONTH} TO '{_FILE}' (FORMAT binary)")
    connection.commit()
    for work, table in (
        ("1,000,000 detections", "detections"),
        ("1,000,000 detections, straight into the month", _MONTH),
    ):
        yield row("load", work, f"server-side COPY into {table}", paired(ours, theirs(table), 5), "rows/s")


def _latency(connection: Connection, rows: int, batches: int) -> Row:
    boxes, track_ids = _video(rows * batches)
    figures = []
    for _ in range(3):
        _emptied(connection)
        report = insert_detections(connection, 1, _START, boxes, track_ids, LoadSettings(batch_rows=rows))
        connection.commit()
        figures.append(report.latency_p95_ms)
    return limited("load", f"batch of {rows:,}, p95 latency", figures, _LIMIT_MS, "ms")


def _replaced(connection: Connection, dsn: str) -> Row:
    """As the tracking stage does it, video by video, in a month with a million and a half rows of others."""
    build(dsn, History(cameras=1, days=1, last=_START.date(), people=1))
    cursor = connection.cursor()
    cursor.execute("SELECT video_id, started_at FROM videos ORDER BY started_at")
    videos = cursor.fetchall()
    boxes, track_ids = _video(100_000, step_us=_STEP_US // 3)

    def first(video_id: int, start: dt.datetime) -> None:
        _insert(connection, video_id, start, boxes, track_ids)

    def again(video_id: int, start: dt.datetime) -> None:
        clear_results(connection, video_id)
        _insert(connection, video_id, start, boxes, track_ids)

    for video in videos[:15]:
        _committed(connection, lambda video=video: first(*video))
    pairs = []
    for video in videos[15:20]:
        _checkpoint(connection)
        loaded = seconds(lambda video=video: _committed(connection, lambda: first(*video)))
        _checkpoint(connection)
        pairs.append((seconds(lambda video=video: _committed(connection, lambda: again(*video))), loaded))
    return row("load", "replacing a video's rows", "its first load", pairs, "s")


def _video(rows: int, step_us: int = _STEP_US) -> tuple[Detections, np.ndarray]:
    """A video's boxes, and the track that took each."""
    frames = rows // _BOXES
    random = np.random.default_rng(0)
    corner = random.uniform(0, 400, (rows, 2)).astype(np.float32)
    detections = Detections(
        frame_number=np.arange(frames, dtype=np.int32),
        pts_us=np.arange(frames, dtype=np.int64) * step_us,
        offsets=np.arange(frames + 1, dtype=np.int64) * _BOXES,
        boxes=np.hstack((corner, corner + 50)),
        confidence=random.uniform(0.3, 1, rows).astype(np.float32),
        class_id=np.zeros(rows, dtype=np.int16),
    )
    return detections, np.tile(np.arange(_BOXES, dtype=np.int32), frames)


def _insert(
    connection: Connection, video_id: int, start: dt.datetime, boxes: Detections, track_ids: np.ndarray
) -> None:
    insert_detections(connection, video_id, start, boxes, track_ids)


def _committed(connection: Connection, work: Callable[[], object]) -> None:
    work()
    connection.commit()


def _emptied(connection: Connection) -> None:
    """The month without rows, and nothing that the server has still to write."""
    connection.cursor().execute("TRUNCATE detections")
    connection.commit()
    _checkpoint(connection)


def _checkpoint(connection: Connection) -> None:
    connection.commit()
    connection.autocommit = True
    connection.cursor().execute("CHECKPOINT")
    connection.autocommit = False
