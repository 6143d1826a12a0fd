-- What people and dashboards read.

CREATE FUNCTION calculate_current_people_inside(session bigint) RETURNS int
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    -- The sum of in (+1) and out (-1), lifted by what it ever fell below zero: someone who leaves was inside before.
    SELECT (coalesce(sum(step), 0) - least(0, min(running)))::int
    FROM (
        SELECT step, sum(step) OVER (ORDER BY ts, track_id, line, crossing ROWS UNBOUNDED PRECEDING) AS running
        FROM (
            SELECT ts, track_id, line, crossing, CASE direction WHEN 'in' THEN 1 ELSE -1 END AS step
            FROM people_movements WHERE video_id = session
        ) AS steps
    ) AS sums
$$;
COMMENT ON FUNCTION calculate_current_people_inside(bigint) IS 'People inside at a session''s end: entered less exited, corrected for drift, never negative.';

CREATE VIEW detections_with_gender AS
SELECT d.*, (ARRAY['unknown', 'male', 'female'])[1 + coalesce(g.gender, 0)] AS gender
FROM detections AS d LEFT JOIN track_genders AS g USING (video_id, track_id);
COMMENT ON VIEW detections_with_gender IS 'Detections with their track''s apparent gender.';

CREATE VIEW current_session_overview AS
SELECT s.session_id, s.name, s.camera, c.location, s.input_source, s.status, s.started_at, s.ended_at,
    s.frames, s.fps, s.confidence_threshold,
    coalesce(t.entered, 0) AS entered, coalesce(t.exited, 0) AS exited,
    calculate_current_people_inside(s.session_id) AS people_inside,
    coalesce(t.unique_total, 0) AS unique_total, coalesce(t.unique_male, 0) AS unique_male,
    coalesce(t.unique_female, 0) AS unique_female, coalesce(t.unique_unknown, 0) AS unique_unknown,
    t.peak_occupancy, t.mean_occupancy, t.coverage_ms / 1000.0 AS coverage_s
FROM sessions AS s JOIN cameras AS c USING (camera) LEFT JOIN session_statistics AS t USING (session_id);
COMMENT ON VIEW current_session_overview IS 'Every session with its counts; coverage_s null: not counted yet.';

CREATE VIEW recent_movements AS
SELECT m.ts, m.camera, c.location, m.line, m.crossing, m.direction,
    (ARRAY['unknown', 'male', 'female'])[1 + coalesce(g.gender, 0)] AS gender,
    m.video_id AS session_id, m.track_id, m.frame_number, m.centroid_x, m.centroid_y, m.x1, m.y1, m.x2, m.y2, m.confidence
FROM (SELECT * FROM people_movements ORDER BY ts DESC, video_id, track_id, line, crossing LIMIT 100) AS m
JOIN cameras AS c USING (camera) LEFT JOIN track_genders AS g USING (video_id, track_id)
ORDER BY m.ts DESC, m.video_id, m.track_id, m.line, m.crossing;
COMMENT ON VIEW recent_movements IS 'The last 100 line crossings, newest first.';

CREATE VIEW hourly_analytics AS
SELECT h.camera, c.location, h.date, h.hour_start,
    h.hour_start AT TIME ZONE coalesce((SELECT timezone FROM site), 'UTC') AS local_hour,
    h.entered, h.exited, h.entered - h.exited AS net,
    h.unique_total, h.unique_male, h.unique_female, h.unique_unknown, h.peak_occupancy, h.mean_occupancy,
    h.coverage_ms / 1000.0 AS coverage_s, h.by_line
FROM hourly_statistics AS h JOIN cameras AS c USING (camera);
COMMENT ON VIEW hourly_analytics IS 'Hourly counts with the hour on the site''s clock; a missing hour had no video.';

CREATE VIEW daily_analytics AS
SELECT d.camera, c.location, d.date, to_char(d.date, 'Dy') AS weekday, d.entered, d.exited, d.entered - d.exited AS net,
    d.unique_total, d.unique_male, d.unique_female, d.unique_unknown, d.peak_occupancy, d.mean_occupancy,
    d.coverage_ms / 1000.0 AS coverage_s, busiest.hour_start AS busiest_hour, busiest.entered AS busiest_hour_entered, d.by_line
FROM daily_statistics AS d JOIN cameras AS c USING (camera)
LEFT JOIN LATERAL (
    SELECT h.hour_start, h.entered FROM hourly_statistics AS h
    WHERE h.camera = d.camera AND h.date = d.date AND h.entered > 0 ORDER BY h.entered DESC, h.hour_start LIMIT 1
) AS busiest ON true;
COMMENT ON VIEW daily_analytics IS 'Daily counts with the hour in which most came in; a missing day had no video.';
