-- What was wrong with a camera's video, and the view that shows it beside the hours it touches.

CREATE TABLE reference_pictures (
    video_id bigint PRIMARY KEY REFERENCES videos ON DELETE CASCADE,
    sharpness real NOT NULL CHECK (sharpness > 0),
    picture bytea NOT NULL CHECK (octet_length(picture) = 128 * 96)
);
COMMENT ON TABLE reference_pictures IS 'What a video shows at its end: the camera''s next video is compared with it. None for a video that shows nothing.';
COMMENT ON COLUMN reference_pictures.video_id IS 'The video.';
COMMENT ON COLUMN reference_pictures.sharpness IS 'How strong its edges are over its mean grey level: much the same by day and by night.';
COMMENT ON COLUMN reference_pictures.picture IS 'Grey levels, 128 wide and 96 high, by rows; the median of a few pictures, so without most people.';

CREATE TABLE camera_events (
    video_id bigint NOT NULL REFERENCES videos ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('gap', 'frozen', 'black', 'covered', 'moved', 'frame_rate')),
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL CHECK (ended_at >= started_at),
    camera text NOT NULL REFERENCES cameras,
    value double precision NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (video_id, kind, started_at)
);
CREATE INDEX ON camera_events (camera, started_at);
COMMENT ON TABLE camera_events IS 'Times in which a camera gave no video, or none to count people in. They stand beside the counts and change none.';
COMMENT ON COLUMN camera_events.video_id IS 'The video it lies in; of a gap between two files, the later one.';
COMMENT ON COLUMN camera_events.kind IS 'gap (no video), frozen (one picture repeated), black, covered (hardly an edge), moved (the scene shifted) or frame_rate.';
COMMENT ON COLUMN camera_events.started_at IS 'From when.';
COMMENT ON COLUMN camera_events.ended_at IS 'Until when.';
COMMENT ON COLUMN camera_events.camera IS 'The video''s camera.';
COMMENT ON COLUMN camera_events.value IS 'gap, frozen: seconds; black: grey level, 0..255; covered: sharpness as a share of the usual; moved: shift as a share of the picture''s width, 1 for another scene; frame_rate: frames per second.';
COMMENT ON COLUMN camera_events.detail IS 'What, and what to do, in a sentence.';

CREATE VIEW hourly_coverage AS
WITH zone AS (
    SELECT coalesce((SELECT timezone FROM site), 'UTC') AS name
), day AS (
    SELECT DISTINCT camera, date FROM hourly_statistics
), hour AS (
    -- From the local midnight on, as `hourly_statistics` counts them: 23, 24 or 25 of them, as far as they have begun.
    SELECT camera, date, hour_start,
           least(hour_start + interval '1 hour', (date + 1)::timestamp AT TIME ZONE name) AS hour_end
      FROM day, zone, generate_series(date::timestamp AT TIME ZONE name,
                                      ((date + 1)::timestamp AT TIME ZONE name) - interval '1 microsecond',
                                      interval '1 hour') AS hour_start
     WHERE hour_start < now()
)
SELECT h.camera, h.date, h.hour_start, (coalesce(s.coverage_ms, 0) / 1000.0)::double precision AS coverage_seconds,
       s.camera IS NULL AS no_data, e.events
  FROM hour AS h
  LEFT JOIN hourly_statistics AS s ON s.camera = h.camera AND s.hour_start = h.hour_start
 CROSS JOIN LATERAL (
       SELECT coalesce(jsonb_agg(jsonb_build_object(
                  'kind', kind, 'started_at', started_at, 'ended_at', ended_at, 'value', value, 'detail', detail,
                  'seconds', extract(epoch FROM least(ended_at, h.hour_end) - greatest(started_at, h.hour_start)))
                  ORDER BY started_at, kind, video_id), '[]') AS events
         FROM camera_events
        WHERE camera = h.camera AND started_at < h.hour_end AND ended_at > h.hour_start) AS e;
COMMENT ON VIEW hourly_coverage IS 'Every hour of the days that have video: seconds of video (no_data: none), and the camera events that touch it, with their seconds in it.';
