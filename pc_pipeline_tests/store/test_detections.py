"""Detections go to monthly partitions, whole or not at all, and come back by time."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import numpy as np
import pytest

from pc_pipeline.store.detections import (
    delete_detections,
    insert_detections,
    query_detections_by_time,
    seen_boxes,
)
from pc_pipeline.store.digest import digest
from pc_pipeline.store.load import LoadSettings
from pc_pipeline.store.months import ensure_partitions
from pc_pipeline.store.postgres import connect, in_transaction
from pc_pipeline.store.tracks import upsert_track
from pc_pipeline_tests.store.samples import START, add_session, some_detections, some_track

FOREVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def partitions(connection) -> list[str]:
    cursor = connection.cursor()
    cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'detections'::regclass")
    return sorted(name for (name,) in cursor)


@pytest.mark.parametrize("at_once", [1, 7, 96, 1000])
def test_the_boxes_of_a_video_come_in_order_a_few_at_a_time(connection, at_once):
    boxes = some_detections(frames=40)
    assert len(boxes.boxes) == 96
    track_ids = np.arange(len(boxes.boxes), dtype=np.int32) % 3
    # Over the end of a month, and not in the order in which they lie in the table.
    start = datetime(2026, 3, 31, 23, 59, 58, tzinfo=UTC)
    for first, end in ((15, 40), (0, 15)):
        rows = slice(boxes.offsets[first], boxes.offsets[end])
        insert_detections(connection, 7, start, boxes.frames(first, end), track_ids[rows])
    insert_detections(connection, 8, start, boxes, np.zeros_like(track_ids))
    pieces = list(seen_boxes(connection, 7, start, at_once))
    assert max(len(piece.boxes) for piece in pieces) == min(at_once, 96)
    assert (np.concatenate([piece.track_id for piece in pieces]) == track_ids).all()
    assert (np.concatenate([piece.boxes for piece in pieces]) == boxes.boxes).all()
    frames = boxes.frame_number[boxes.frame_index]
    assert (np.concatenate([piece.frame_number for piece in pieces]) == frames).all()
    assert not any(len(piece.boxes) for piece in seen_boxes(connection, 9, start))


def test_every_box_is_a_row_at_its_frames_time(connection):
    boxes = some_detections(frames=20)
    track_ids = np.arange(len(boxes.boxes), dtype=np.int32)
    report = insert_detections(connection, 7, START, boxes, track_ids, LoadSettings(batch_rows=10))
    assert (report.rows, report.batches) == (len(boxes.boxes), -(-len(boxes.boxes) // 10))

    rows = query_detections_by_time(connection, *FOREVER)
    start = np.datetime64(START.replace(tzinfo=None), "us")
    assert (rows["ts"] == start + boxes.pts_us[boxes.frame_index].astype("m8[us]")).all()
    assert (rows["frame_number"] == boxes.frame_number[boxes.frame_index]).all()
    assert (rows["detection_index"] == boxes.detection_index).all()
    assert (rows["track_id"] == track_ids).all()
    assert (np.column_stack([rows[edge] for edge in ("x1", "y1", "x2", "y2")]) == boxes.boxes).all()
    assert (rows["confidence"] == boxes.confidence).all()


def test_a_video_without_anybody_is_no_row(connection):
    nobody = some_detections(boxes=0)
    assert insert_detections(connection, 7, START, nobody, np.zeros(0, np.int32)).rows == 0
    assert partitions(connection) == []


@pytest.mark.parametrize(
    ("start", "months"),
    [
        (datetime(2026, 3, 31, 23, 59, 59, 999_999, tzinfo=UTC), ["detections_2026_03", "detections_2026_04"]),
        (datetime(2026, 4, 1, tzinfo=UTC), ["detections_2026_04"]),
        (datetime(2025, 12, 31, 23, 59, 58, tzinfo=UTC), ["detections_2025_12", "detections_2026_01"]),
    ],
)
def test_a_video_over_the_end_of_a_month_lies_in_both(connection, start, months):
    boxes = some_detections(frames=40)
    insert_detections(connection, 7, start, boxes, np.zeros(len(boxes.boxes), np.int32))
    assert partitions(connection) == months
    assert len(query_detections_by_time(connection, *FOREVER)) == len(boxes.boxes)


def test_many_who_need_the_same_months_at_once_make_them_once(dsn):
    start, together = datetime(2024, 1, 5, tzinfo=UTC), Barrier(6)

    def create(_):
        with connect(dsn) as own:
            together.wait()
            return ensure_partitions(own, "detections", start, start + timedelta(days=330))

    with ThreadPoolExecutor(6) as pool:
        names = list(pool.map(create, range(6)))
    assert names == [[f"detections_2024_{month:02d}" for month in range(1, 12)]] * 6
    with connect(dsn) as own:
        assert partitions(own) == names[0]


def test_a_new_month_waits_for_no_reader_or_writer(dsn):
    boxes = some_detections()
    track_ids = np.zeros(len(boxes.boxes), np.int32)
    reader, writer, other = connect(dsn), connect(dsn), connect(dsn)
    query_detections_by_time(reader, *FOREVER)
    insert_detections(writer, 7, START, boxes, track_ids)
    delete_detections(other, 8, START)
    other.cursor().execute("SET lock_timeout = '1s'")
    insert_detections(other, 8, START + timedelta(days=31), boxes, track_ids)
    for open_transaction in (writer, other, reader):
        open_transaction.commit()
    assert len(query_detections_by_time(reader, *FOREVER)) == 2 * len(boxes.boxes)


def test_a_partition_is_indexed_and_checked_as_the_whole(connection):
    ensure_partitions(connection, "detections", START, START)
    cursor = connection.cursor()
    cursor.execute("SELECT count(*) FROM pg_index WHERE indrelid = 'detections_2026_03'::regclass")
    assert cursor.fetchone() == (2,)
    cursor.execute(
        "SELECT count(*) FROM pg_constraint WHERE conrelid = 'detections_2026_03'::regclass AND contype = 'c'"
    )
    assert cursor.fetchone() == (2,)


def test_replacing_a_video_twice_gives_equal_digests(dsn):
    def replace(connection):
        boxes = some_detections()
        delete_detections(connection, 7, START)
        return insert_detections(connection, 7, START, boxes, np.zeros(len(boxes.boxes), np.int32))

    in_transaction(dsn, replace)
    first = digest(dsn)
    assert first["detections"]["rows"] == len(some_detections().boxes)
    in_transaction(dsn, replace)
    assert digest(dsn) == first


def test_only_the_one_videos_rows_are_deleted(connection):
    boxes = some_detections()
    for video_id in (7, 8):
        insert_detections(connection, video_id, START, boxes, np.zeros(len(boxes.boxes), np.int32))
    assert delete_detections(connection, 7, START) == len(boxes.boxes)
    assert set(query_detections_by_time(connection, *FOREVER)["video_id"].tolist()) == {8}


def test_a_query_takes_a_half_open_time_and_a_camera(connection):
    boxes = some_detections(frames=10)
    for video_id, camera in ((7, "door"), (8, "gate")):
        add_session(connection, video_id, camera)
        insert_detections(connection, video_id, START, boxes, np.zeros(len(boxes.boxes), np.int32))
    a_second_in = START + timedelta(microseconds=300_000)
    rows = query_detections_by_time(connection, START, a_second_in, camera="gate")
    assert set(rows["video_id"].tolist()) == {8}
    assert set(rows["frame_number"].tolist()) == {0, 3, 6}


def test_the_view_adds_the_tracks_gender(connection):
    add_session(connection)
    boxes = some_detections(frames=1, boxes=2)
    upsert_track(connection, 7, START, some_track(track_id=1))
    cursor = connection.cursor()
    cursor.execute("INSERT INTO track_genders VALUES (7, 1, 2, -1.5, 3)")
    insert_detections(connection, 7, START, boxes, np.array([1, 0], np.int32))
    cursor.execute("SELECT track_id, gender FROM detections_with_gender ORDER BY track_id")
    assert cursor.fetchall() == [(0, "unknown"), (1, "female")]
