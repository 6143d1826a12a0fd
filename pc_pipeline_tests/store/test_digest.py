"""Equal results give equal digests, and only they."""

from datetime import timedelta

import numpy as np

from pc_pipeline.store.detections import insert_detections
from pc_pipeline.store.digest import TABLES, digest
from pc_pipeline.store.postgres import in_transaction, one_connection
from pc_pipeline.store.tracks import bulk_upsert_tracks
from pc_pipeline_tests.store.samples import START, add_session, some_detections, some_track


def fill(connection, video_ids) -> None:
    for video_id in video_ids:
        start = START + timedelta(hours=video_id)
        add_session(connection, video_id, started_at=start)
        boxes = some_detections(seed=video_id)
        insert_detections(connection, video_id, start, boxes, np.ones(len(boxes.boxes), np.int32))
        bulk_upsert_tracks(connection, video_id, start, [some_track(n, seed=video_id) for n in (2, 1)])
    connection.commit()


def test_a_digest_leaves_the_connection_as_it_was(dsn):
    with one_connection():
        digest(dsn)
        in_transaction(dsn, lambda connection: connection.cursor().execute("DELETE FROM cameras"))


def test_the_order_in_which_results_came_does_not_matter(connection, dsn):
    fill(connection, [1, 2, 3])
    first = digest(dsn)
    connection.cursor().execute("DELETE FROM videos; DELETE FROM detections")
    fill(connection, [3, 1, 2])
    assert digest(dsn) == first
    assert list(first) == list(TABLES)
    assert {table: first[table]["rows"] for table in ("videos", "sessions", "tracks")} == {
        "videos": 3,
        "sessions": 3,
        "tracks": 6,
    }


CHANGES = (
    ("UPDATE tracks SET trajectory = jsonb_set(trajectory, '{t_us,1}', '1') WHERE video_id = 2", {"tracks"}),
    ("UPDATE detections SET confidence = confidence / 2 WHERE video_id = 1 AND frame_number = 3", {"detections"}),
    ("UPDATE videos SET path = 'elsewhere.mp4', mtime_ns = 5", set()),
    ("UPDATE videos SET content_hash = 'other' WHERE video_id = 1", {"videos"}),
    (
        "INSERT INTO stage_ledger (video_id, stage, fingerprint, status, code_version)"
        " VALUES (1, 'tracks', 'f', 'done', '1')",
        set(),
    ),
)


def test_it_changes_with_a_result_and_with_nothing_else(connection, dsn):
    fill(connection, [1, 2])
    before = digest(dsn)
    for change, changed in CHANGES:
        connection.cursor().execute(change)
        connection.commit()
        after = digest(dsn)
        assert {table for table in TABLES if after[table] != before[table]} == changed, change
        before = after
