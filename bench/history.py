"""A site's history, made up, in its real tables: cameras, videos, people, movements, stays, boxes, the ledger."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from psycopg2.extensions import connection as Connection

from pc_pipeline.store.load import Loader, LoadSettings, fetch_rows
from pc_pipeline.store.months import ensure_partitions
from pc_pipeline.store.postgres import connect

_STEP_US = 100_000  # between two sampled frames
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class History:
    """What is made up. All days are of UTC.

    Attributes:
        cameras: named `camera-001` and so on.
        days, last: so many days, the last of which is `last`.
        people: tracks a camera-day, most of them around noon; every one crosses a line, three in ten stay in a zone,
            and some go on from the file before.
        videos: files a camera-day, which cover it whole but for a second a file.
        boxes: detections a track, 100 ms apart; 0: none are stored.
        sightings: length of a track's stored trajectory.
        stages: the ledger has a row a video for each of them.
    """

    cameras: int
    days: int
    last: dt.date
    people: int = 100
    videos: int = 24
    boxes: int = 0
    sightings: int = 2
    stages: tuple[str, ...] = ("session_statistics", "hourly_statistics", "hourly_statistics of the next day")

    @property
    def first(self) -> dt.date:
        """The first day."""
        return self.last - dt.timedelta(days=self.days - 1)


# `random()` starts from one seed in one process: the same history gives the same rows.
_SITE = """
INSERT INTO site (timezone, history_from) VALUES ('UTC', %(first)s)
ON CONFLICT (singleton) DO UPDATE SET history_from = least(site.history_from, excluded.history_from);
INSERT INTO ai_models (sha256, name, kind, backend) VALUES ('m', 'yolo11n', 'detector', 'openvino')
ON CONFLICT DO NOTHING;
INSERT INTO cameras (camera, location)
SELECT to_char(n, '"camera-"FM000'), 'floor ' || n %% 5 FROM generate_series(1, %(cameras)s) AS n
ON CONFLICT DO NOTHING;
INSERT INTO zones (camera, kind, name, points, in_side)
SELECT camera, 'line', line, '{0.5,0,0.5,1}'::float8[], 'right' FROM cameras, unnest(ARRAY['door', 'gate']) AS line
 UNION ALL SELECT camera, 'zone', 'hall', '{0,0,1,0,1,1}', NULL FROM cameras ON CONFLICT DO NOTHING;
"""
_VIDEOS = """
CREATE TEMP TABLE made_videos ON COMMIT DROP AS
SELECT hashtextextended(camera || started_at, 0) & 9223372036854775807 AS video_id, camera, started_at,
       started_at + length - interval '1 second' AS ended_at, day::date AS date
  FROM generate_series(%(first)s::timestamp, %(last)s::timestamp, '1 day') AS day, cameras,
       LATERAL (SELECT interval '1 day' / %(videos)s AS length) AS l,
       LATERAL (SELECT day AT TIME ZONE 'UTC' + place * length AS started_at
                  FROM generate_series(0, %(videos)s - 1) AS place) AS v
 ORDER BY day, camera, started_at;
CREATE TEMP TABLE made_tracks ON COMMIT DROP AS
SELECT v.video_id, row_number() OVER (PARTITION BY v.video_id ORDER BY p.since)::int AS track_id, v.camera,
       v.started_at AS video_start, p.since AS started_at, least(p.since + p.stay, v.ended_at) AS ended_at
  FROM (SELECT camera, interval '1 second' * (5 + 55 * random()) AS stay,
               date::timestamp AT TIME ZONE 'UTC' + interval '1 day' * (0.5 + 0.35 * (random() + random() - 1)) AS since
          FROM (SELECT DISTINCT camera, date FROM made_videos) AS d, generate_series(1, %(people)s)) AS p
  JOIN made_videos v ON v.camera = p.camera
   AND v.started_at = date_bin(interval '1 day' / %(videos)s, p.since, '2000-01-01 00:00+00')
 WHERE p.since < v.ended_at
 ORDER BY v.date, v.camera, p.since;
ANALYZE made_videos, made_tracks;
INSERT INTO videos (video_id, camera, started_at, date, path, content_hash, size_bytes, mtime_ns, width, height,
                    nominal_fps, codec, container)
SELECT video_id, camera, started_at, date, camera || '/' || started_at || '.mp4', md5(video_id::text), 1000000, 0,
       640, 480, 25, 'h264', 'mov' FROM made_videos;
INSERT INTO sessions (session_id, video_id, camera, name, input_source, status, confidence_threshold, sample_every_s,
                      fps, frames, frames_sampled, width, height, started_at, ended_at, model_sha256)
SELECT video_id, video_id, camera, camera, camera || '.mp4', 'completed', 0.3, 0.1, 25, 90000, 36000, 640, 480,
       started_at, ended_at, 'm' FROM made_videos;
INSERT INTO stage_ledger (video_id, stage, fingerprint, status, code_version)
SELECT video_id, stage, md5(video_id::text), 'done', '1' FROM made_videos, unnest(%(stages)s::text[]) AS stage;
INSERT INTO tracks (video_id, track_id, started_at, ended_at, detection_count, mean_confidence, trajectory)
SELECT video_id, track_id, started_at, ended_at, %(boxes)s, 0.7,
       (SELECT jsonb_build_object('frame', jsonb_agg(n), 't_us', jsonb_agg(n * 100000),
                                  'confidence', jsonb_agg(700 + n %% 90),
                                  'box', jsonb_agg(1000 + 7 * n) || jsonb_agg(2000 + n)
                                         || jsonb_agg(1500 + 7 * n) || jsonb_agg(3500 + n), 'interpolated', '[]'::jsonb)
          FROM generate_series(1, %(sightings)s) AS n)
  FROM made_tracks;
INSERT INTO track_genders (video_id, track_id, gender, log_odds, crops)
SELECT video_id, track_id, floor(3 * random())::smallint, 0, 3 FROM made_tracks;
INSERT INTO track_links (video_id, track_id, previous_video_id, previous_track_id)
SELECT v.video_id, 1, v.previous, p.last
  FROM (SELECT video_id, lag(video_id) OVER (PARTITION BY camera ORDER BY started_at) AS previous FROM made_videos) AS v
  JOIN (SELECT video_id, max(track_id) AS last FROM made_tracks GROUP BY 1) AS p ON p.video_id = v.previous
  JOIN (SELECT DISTINCT video_id FROM made_tracks) AS t ON t.video_id = v.video_id
 WHERE random() < 0.2;
INSERT INTO people_movements (video_id, track_id, line, crossing, direction, ts, centroid_x, centroid_y, x1, y1, x2, y2,
                              confidence, frame_number, camera)
SELECT video_id, track_id, CASE WHEN random() < 0.7 THEN 'door' ELSE 'gate' END, 1,
       CASE WHEN random() < 0.5 THEN 'in' ELSE 'out' END, started_at + (ended_at - started_at) / 2,
       320, 240, 300, 200, 340, 280, 0.7, 100, camera FROM made_tracks;
INSERT INTO zone_visits (video_id, track_id, zone, visit, camera, entered_at, exited_at, entered_seen, exited_seen)
SELECT video_id, track_id, 'hall', 1, camera, started_at, ended_at, true, true FROM made_tracks WHERE random() < 0.3;
INSERT INTO session_statistics (session_id, camera, entered, exited, unique_total, unique_male, unique_female,
                                unique_unknown, peak_occupancy, mean_occupancy, coverage_ms, by_line)
SELECT v.video_id, v.camera, coalesce(m.entered, 0), coalesce(m.exited, 0), coalesce(m.people, 0), 0, 0,
       coalesce(m.people, 0), 1, 0.5, extract(epoch FROM v.ended_at - v.started_at) * 1000, '{}'
  FROM made_videos v LEFT JOIN (
       SELECT video_id, count(*) AS people, count(*) FILTER (WHERE track_id %% 2 = 0) AS entered,
              count(*) FILTER (WHERE track_id %% 2 = 1) AS exited FROM made_tracks GROUP BY 1) AS m USING (video_id);
"""
# Of those tables: the indexes that no key and no reference hangs on.
_PLAIN_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
 WHERE NOT indisunique AND indrelid IN (
       'videos'::regclass, 'sessions'::regclass, 'tracks'::regclass, 'people_movements'::regclass,
       'zone_visits'::regclass)
"""
_TRACK = np.dtype([("video_id", "i8"), ("track_id", "i4"), ("video_start", "M8[us]"), ("started_at", "M8[us]")])


def build(dsn: str, history: History) -> None:
    """Write the history beside what is there, then VACUUM ANALYZE: the tables as they are on a quiet evening.

    As fast as the server takes it: two connections, no foreign key is checked (superuser only), indexes are made at the
    end, and a crash may lose it.
    """
    with closing(connect(dsn)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(_SITE, {"first": history.first, "cameras": history.cameras})
        ensure_partitions(
            connection, "detections", _midnight(history.first), _midnight(history.last + dt.timedelta(days=2))
        )
        cursor.execute(_PLAIN_INDEXES)
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        with ThreadPoolExecutor(2) as pool:
            half = history.days // 2
            parts = [
                replace(history, days=half),
                replace(history, days=history.days - half, last=history.last - half * _DAY),
            ]
            list(pool.map(partial(_write, dsn), [part for part in parts if part.days]))
        cursor.execute("SET maintenance_work_mem = '256MB'")
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute("VACUUM ANALYZE")


def _write(dsn: str, history: History) -> None:
    with closing(connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; SET synchronous_commit = off; SET work_mem = '128MB'")
        cursor.execute("SET max_parallel_workers_per_gather = 0; SELECT setseed(0.5)")
        cursor.execute(_VIDEOS, {**vars(history), "first": history.first, "stages": list(history.stages)})
        if history.boxes:
            _load_detections(connection, history)


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def _load_detections(connection: Connection, history: History) -> None:
    query = (
        "SELECT video_id, track_id, video_start, started_at FROM made_tracks"
        " WHERE video_start >= %s AND video_start < %s"
    )
    for day in range(history.days):
        start = _midnight(history.first + day * _DAY)
        columns = _boxes(fetch_rows(connection, query, (start, start + _DAY), _TRACK), history.boxes)
        with Loader(connection, "detections", list(columns), LoadSettings()) as loader:
            loader.add(columns)
            loader.close()


def _boxes(tracks: np.ndarray[Any, Any], boxes: int) -> dict[str, np.ndarray[Any, Any]]:
    """A row of `detections` for each of a track's sightings."""
    row = np.repeat(tracks, boxes)
    place = np.tile(np.arange(boxes), len(tracks))
    first = np.ceil((row["started_at"] - row["video_start"]) / np.timedelta64(_STEP_US, "us")).astype(np.int32)
    edge = (np.arange(len(row)) % 400).astype(np.float32)
    frame = (first + place).astype(np.int32)
    return {
        "video_id": row["video_id"],
        "ts": row["video_start"] + (frame.astype(np.int64) * _STEP_US).astype("m8[us]"),
        "frame_number": frame,
        "track_id": row["track_id"],
        "x1": edge,
        "y1": edge,
        "x2": edge + 30,
        "y2": edge + 80,
        "confidence": np.full(len(row), 0.7, dtype=np.float32),
        "detection_index": row["track_id"].astype(np.int16),
        "class_id": np.zeros(len(row), dtype=np.int16),
    }
