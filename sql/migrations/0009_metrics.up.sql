-- How the pipeline runs, and what each minute of video shows. Frames and runs lie in monthly partitions (UTC), which are
-- made when first needed and can be dropped; minutes belong to their video and go with it.

CREATE TABLE frame_metadata (
    video_id bigint NOT NULL,
    ts timestamptz NOT NULL,
    frame_number int NOT NULL,
    detections smallint NOT NULL,
    people smallint NOT NULL,
    processing_ms real NOT NULL,
    PRIMARY KEY (video_id, frame_number, ts),
    CHECK (people BETWEEN 0 AND detections),
    CHECK (processing_ms >= 0)
) PARTITION BY RANGE (ts);
CREATE INDEX ON frame_metadata USING brin (ts);
COMMENT ON TABLE frame_metadata IS 'One row a frame looked at, in monthly partitions (UTC) frame_metadata_YYYY_MM. No foreign keys, as in detections.';
COMMENT ON COLUMN frame_metadata.video_id IS 'The video.';
COMMENT ON COLUMN frame_metadata.ts IS 'The frame''s time: the video''s start and the container''s time stamp.';
COMMENT ON COLUMN frame_metadata.frame_number IS 'The frame''s place in the file, from 0.';
COMMENT ON COLUMN frame_metadata.detections IS 'Boxes in the frame.';
COMMENT ON COLUMN frame_metadata.people IS 'Of those, boxes that a track took.';
COMMENT ON COLUMN frame_metadata.processing_ms IS 'Milliseconds from the end of the frame before to the end of this one while the video was decoded and detected; 0: not measured (raw detections of an earlier version).';

CREATE TABLE system_metrics (
    camera text NOT NULL,
    stage text NOT NULL,
    ts timestamptz NOT NULL,
    run_id text NOT NULL,
    date date NOT NULL,
    videos int NOT NULL CHECK (videos >= 0),
    rows bigint NOT NULL CHECK (rows >= 0),
    frames bigint NOT NULL CHECK (frames >= 0),
    wall_seconds double precision NOT NULL CHECK (wall_seconds >= 0),
    cpu_seconds double precision NOT NULL CHECK (cpu_seconds >= 0),
    cpu_percent real NOT NULL CHECK (cpu_percent >= 0),
    peak_memory_bytes bigint NOT NULL CHECK (peak_memory_bytes >= 0),
    frames_per_s real CHECK (frames_per_s >= 0),
    load_rows bigint NOT NULL CHECK (load_rows >= 0),
    load_latency_p50_ms real CHECK (load_latency_p50_ms >= 0),
    load_latency_p95_ms real CHECK (load_latency_p95_ms >= 0),
    -- In this order it finds a camera's last run of a stage.
    PRIMARY KEY (camera, stage, ts, run_id)
) PARTITION BY RANGE (ts);
COMMENT ON TABLE system_metrics IS 'What each run of a stage took: a row for each run, stage and camera-day that computed something, in monthly partitions (UTC) system_metrics_YYYY_MM.';
COMMENT ON COLUMN system_metrics.camera IS 'The camera.';
COMMENT ON COLUMN system_metrics.stage IS 'The stage of the way: raw_detections, tracks, …';
COMMENT ON COLUMN system_metrics.ts IS 'When the stage ended.';
COMMENT ON COLUMN system_metrics.run_id IS 'The Dagster run. One that does the stage again replaces its row.';
COMMENT ON COLUMN system_metrics.date IS 'The local day of the camera-day.';
COMMENT ON COLUMN system_metrics.videos IS 'Videos computed; those that were up to date are not counted.';
COMMENT ON COLUMN system_metrics.rows IS 'Rows the stage wrote.';
COMMENT ON COLUMN system_metrics.frames IS 'Frames gone through: decoded ones in raw_detections, those looked at in tracks, 0 in the other stages.';
COMMENT ON COLUMN system_metrics.wall_seconds IS 'Seconds the stage took.';
COMMENT ON COLUMN system_metrics.cpu_seconds IS 'Processor seconds of the run''s process in that time; Postgres works in processes of its own.';
COMMENT ON COLUMN system_metrics.cpu_percent IS 'cpu_seconds over wall_seconds: 100 is one core all the time.';
COMMENT ON COLUMN system_metrics.peak_memory_bytes IS 'The most resident memory the run''s process had up to the stage''s end, bytes.';
COMMENT ON COLUMN system_metrics.frames_per_s IS 'frames over wall_seconds; null: the stage goes through no frames.';
COMMENT ON COLUMN system_metrics.load_rows IS 'Rows of the bulk loads among them.';
COMMENT ON COLUMN system_metrics.load_latency_p50_ms IS 'Milliseconds the server took for a batch of rows: the median load''s median; null: nothing was loaded in bulk.';
COMMENT ON COLUMN system_metrics.load_latency_p95_ms IS 'As p50: the worst load''s 95th percentile.';

CREATE TABLE realtime_metrics (
    video_id bigint NOT NULL REFERENCES sessions (video_id) ON DELETE CASCADE,
    minute timestamptz NOT NULL,
    people_in_view int NOT NULL CHECK (people_in_view >= 0),
    entered int CHECK (entered >= 0),
    exited int CHECK (exited >= 0),
    coverage_ms int NOT NULL CHECK (coverage_ms BETWEEN 0 AND 60000),
    state text NOT NULL CHECK (state IN ('detecting', 'tracking', 'waiting')),
    PRIMARY KEY (video_id, minute)
);
COMMENT ON TABLE realtime_metrics IS 'One row a minute of video: every minute of the clock that a tracked video touches.';
COMMENT ON COLUMN realtime_metrics.video_id IS 'The video.';
COMMENT ON COLUMN realtime_metrics.minute IS 'When the minute begins; two files that meet within a minute have a row each.';
COMMENT ON COLUMN realtime_metrics.people_in_view IS 'Most people (tracks) in view at once in the minute.';
COMMENT ON COLUMN realtime_metrics.entered IS 'Crossings in, in the minute, over all lines; null: the video is not counted yet.';
COMMENT ON COLUMN realtime_metrics.exited IS 'Crossings out, likewise.';
COMMENT ON COLUMN realtime_metrics.coverage_ms IS 'Milliseconds of the minute that lie in the video.';
COMMENT ON COLUMN realtime_metrics.state IS 'tracking: somebody was followed; detecting: frames were looked at and nobody was in view; waiting: there was no frame to look at.';

-- What is tracked already gets its minutes here. Whether the frames of a minute were looked at, only its gap tells.
INSERT INTO realtime_metrics (video_id, minute, people_in_view, entered, exited, coverage_ms, state)
WITH session AS (
    SELECT video_id, started_at, ended_at, fps,
           EXISTS (SELECT FROM session_statistics AS t WHERE t.session_id = s.session_id) AS counted
      FROM sessions AS s
     WHERE ended_at IS NOT NULL AND EXISTS (
           SELECT FROM stage_ledger AS l WHERE l.video_id = s.video_id AND l.stage = 'tracks' AND l.status = 'done')
), minute AS (
    SELECT video_id, minute, greatest(minute, started_at) AS since, least(minute + interval '1 minute', ended_at) AS until,
           fps, counted
      FROM session,
           generate_series(date_trunc('minute', started_at, 'UTC'), ended_at - interval '1 microsecond', '1 minute') AS minute
), event AS (
    SELECT video_id, t.started_at AS ts, 1 AS step FROM tracks AS t JOIN session USING (video_id)
     UNION ALL SELECT video_id, t.ended_at, -1 FROM tracks AS t JOIN session USING (video_id)
     UNION ALL SELECT video_id, minute, 0 FROM minute
), running AS (
    SELECT video_id, date_trunc('minute', ts, 'UTC') AS minute,
           sum(step) OVER (PARTITION BY video_id ORDER BY ts, step DESC ROWS UNBOUNDED PRECEDING) AS people FROM event
), peak AS (
    SELECT video_id, minute, max(people)::int AS people FROM running GROUP BY video_id, minute
), moved AS (
    SELECT video_id, date_trunc('minute', ts, 'UTC') AS minute, count(*) FILTER (WHERE direction = 'in')::int AS entered,
           count(*) FILTER (WHERE direction = 'out')::int AS exited
      FROM people_movements GROUP BY 1, 2
)
SELECT video_id, minute, p.people, CASE WHEN counted THEN coalesce(m.entered, 0) END,
       CASE WHEN counted THEN coalesce(m.exited, 0) END, round(extract(epoch FROM until - since) * 1000)::int,
       CASE WHEN p.people > 0 THEN 'tracking'
            WHEN fps > 0 AND EXISTS (
                 SELECT FROM camera_events AS e
                  WHERE e.video_id = minute.video_id AND e.kind = 'gap'
                    AND e.started_at - interval '1 second' / fps < since AND e.ended_at >= until) THEN 'waiting'
            ELSE 'detecting' END
  FROM minute JOIN peak AS p USING (video_id, minute) LEFT JOIN moved AS m USING (video_id, minute);

CREATE VIEW realtime_camera_status AS
SELECT c.camera, c.location, c.active,
    CASE WHEN now() - last.until <= last.length + interval '15 minutes' THEN 'streaming'
         WHEN now() - last.until <= interval '1 day' THEN 'recent'
         ELSE 'stale' END AS status,
    CASE WHEN work.detecting THEN 'detecting' WHEN work.videos > 0 THEN 'tracking' ELSE 'waiting' END AS state,
    work.videos::int AS videos_in_progress, last.until AS last_video_until, shown.minute, shown.people_in_view,
    shown.entered, shown.exited
FROM cameras AS c
LEFT JOIN LATERAL (
    -- A file that is registered and not yet looked at: the camera records, how long is not known.
    SELECT greatest(s.ended_at, v.started_at) AS until, coalesce(s.ended_at - s.started_at, interval '0') AS length
      FROM (SELECT started_at FROM videos WHERE camera = c.camera ORDER BY started_at DESC LIMIT 1) AS v
      LEFT JOIN LATERAL (SELECT started_at, ended_at FROM sessions WHERE camera = c.camera AND ended_at IS NOT NULL
                          ORDER BY started_at DESC LIMIT 1) AS s ON true
) AS last ON true
CROSS JOIN LATERAL (
    -- The last stage before the statistics is still there of the count before: the frames are being looked at anew.
    SELECT count(*) AS videos, bool_or(raw.video_id IS NULL OR zones.video_id IS NOT NULL) AS detecting
      FROM sessions AS s
      LEFT JOIN stage_ledger AS raw ON raw.video_id = s.video_id AND raw.stage = 'raw_detections'
      LEFT JOIN stage_ledger AS zones ON zones.video_id = s.video_id AND zones.stage = 'zone_visits'
     WHERE s.camera = c.camera AND s.status = 'active'
) AS work
LEFT JOIN LATERAL (
    SELECT r.minute, r.people_in_view, r.entered, r.exited FROM sessions AS s JOIN realtime_metrics AS r USING (video_id)
     WHERE s.camera = c.camera ORDER BY s.started_at DESC, r.minute DESC LIMIT 1
) AS shown ON true;
COMMENT ON VIEW realtime_camera_status IS 'Each camera now. status: streaming (its last video ended no longer ago than it is long and 15 minutes more: the next one cannot be here sooner), recent (within 24 hours), stale (longer ago, or no video yet). state: what is done with its videos at this moment: detecting, tracking (boxes become tracks and counts), or waiting. minute, people_in_view, entered, exited: the last minute of video that was tracked.';
