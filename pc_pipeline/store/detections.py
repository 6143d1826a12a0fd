"""The `detections` table: boxes in frames, in monthly partitions (UTC) that are made when first needed."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg2.extensions import connection as Connection

from pc_pipeline.store.load import Loader, LoadReport, LoadSettings, fetch_rows, timestamps
from pc_pipeline.store.months import ensure_partitions, hold_months
from pc_pipeline.vision.arrays import Detections
from pc_pipeline.vision.crops import SeenBoxes

# A row as `query_detections_by_time` returns it.
DETECTION = np.dtype(
    [
        ("video_id", "i8"),
        ("ts", "M8[us]"),
        ("frame_number", "i4"),
        ("track_id", "i4"),
        ("x1", "f4"),
        ("y1", "f4"),
        ("x2", "f4"),
        ("y2", "f4"),
        ("confidence", "f4"),
        ("detection_index", "i2"),
        ("class_id", "i2"),
    ]
)
_COLUMNS = DETECTION.names or ()
_PIECE_FRAMES = 2000
_AT_ONCE = 20_000


def insert_detections(
    connection: Connection,
    video_id: int,
    started_at: datetime,
    detections: Detections,
    track_ids: NDArray[np.int32],
    load: LoadSettings = LoadSettings(),  # noqa: B008 (frozen)
) -> LoadReport:
    """Add one video's detections in the connection's transaction; missing partitions are made (and stay) beside it.

    Args:
        started_at: aware time of the video's first frame; a row's `ts` is this and its frame's PTS.
        track_ids: int32[N], the track that took each box, 0 for none.
    """
    if not len(detections.boxes):
        return Loader(connection, "detections", [], load).close()
    last_us = int(detections.pts_us[-1])
    return insert_pieces(connection, video_id, started_at, last_us, _pieces(detections, track_ids), load)


def insert_pieces(
    connection: Connection,
    video_id: int,
    started_at: datetime,
    last_us: int,
    pieces: Iterable[tuple[Detections, NDArray[np.int32]]],
    load: LoadSettings = LoadSettings(),  # noqa: B008 (frozen)
) -> LoadReport:
    """As `insert_detections`, of a video that comes in pieces. While they are made, nobody else may use the connection.

    Args:
        last_us: µs from the video's start, of its last frame.
    """
    first, last = timestamps(started_at, np.array([0, last_us], np.int64))
    months = ensure_partitions(connection, "detections", first.item(), last.item())
    # Straight into the month where it is one: a sixth faster than through the parent, which must route each row.
    table = months[0] if len(months) == 1 else "detections"
    with Loader(connection, table, _COLUMNS, load) as loader:
        for piece, track_ids in pieces:
            loader.add(_columns(video_id, started_at, piece, track_ids))
        return loader.close()


def _pieces(detections: Detections, track_ids: NDArray[np.int32]) -> Iterator[tuple[Detections, NDArray[np.int32]]]:
    """The detections in pieces, so that the server is busy with one while the next is prepared."""
    for first in range(0, len(detections.frame_number), _PIECE_FRAMES):
        end = min(first + _PIECE_FRAMES, len(detections.frame_number))
        yield detections.frames(first, end), track_ids[detections.offsets[first] : detections.offsets[end]]


def _columns(
    video_id: int, started_at: datetime, piece: Detections, track_ids: NDArray[np.int32]
) -> dict[str, NDArray[Any]]:
    """The columns `_COLUMNS` of a piece's rows."""
    moments = timestamps(started_at, piece.pts_us)
    values = (
        np.broadcast_to(np.int64(video_id), len(piece.boxes)),
        moments[piece.frame_index],
        piece.frame_number[piece.frame_index],
        track_ids.astype(np.int32, copy=False),
        *piece.boxes.T,
        piece.confidence,
        piece.detection_index,
        piece.class_id,
    )
    return dict(zip(_COLUMNS, values, strict=True))


def delete_detections(connection: Connection, video_id: int, started_at: datetime) -> int:
    """Delete one video's detections; returns how many. Its start keeps the search to the partitions it can be in."""
    # No video is longer than a day, whatever it was when these were loaded.
    until = started_at + timedelta(hours=25)
    hold_months(connection, "detections", started_at, until)
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM detections WHERE video_id = %s AND ts >= %s AND ts < %s", (video_id, started_at, until)
        )
        return cursor.rowcount


def query_detections_by_time(
    connection: Connection, start: datetime, end: datetime, camera: str | None = None
) -> NDArray[Any]:
    """Detections with start <= ts < end (aware times), by time, video and frame: an array of dtype `DETECTION`.

    `pandas.DataFrame(rows)` makes a table of it. Times are datetime64[us] in UTC.
    """
    columns = ", ".join(f"d.{name}" for name in DETECTION.names or ())
    of_camera = "" if camera is None else " AND d.video_id IN (SELECT video_id FROM videos WHERE camera = %s)"
    return fetch_rows(
        connection,
        f"SELECT {columns} FROM detections AS d WHERE d.ts >= %s AND d.ts < %s{of_camera} "
        "ORDER BY d.ts, d.video_id, d.frame_number, d.detection_index",
        (start, end) if camera is None else (start, end, camera),
        DETECTION,
    )


def seen_boxes(
    connection: Connection, video_id: int, started_at: datetime, at_once: int = _AT_ONCE
) -> Iterator[SeenBoxes]:
    """One video's detections in order of frames, with the track that took each; at most `at_once` are in memory."""
    edges = ("x1", "y1", "x2", "y2")
    kinds = [("track_id", "i4"), ("frame_number", "i4"), ("detection_index", "i2"), *((edge, "f4") for edge in edges)]
    dtype = np.dtype(kinds)
    last, found = (-1, 0), at_once
    while found == at_once:
        # The primary key's order, from where the piece before ended: nothing is read twice, nothing is sorted.
        rows = fetch_rows(
            connection,
            f"SELECT {', '.join(dtype.names or ())} FROM detections WHERE video_id = %s AND ts >= %s AND ts < %s"
            " AND (frame_number, detection_index) > (%s, %s) ORDER BY frame_number, detection_index LIMIT %s",
            (video_id, started_at, started_at + timedelta(hours=25), *last, at_once),
            dtype,
        )
        yield SeenBoxes(rows["track_id"], rows["frame_number"], np.column_stack([rows[edge] for edge in edges]))
        found = len(rows)
        if found:
            last = int(rows["frame_number"][-1]), int(rows["detection_index"][-1])
