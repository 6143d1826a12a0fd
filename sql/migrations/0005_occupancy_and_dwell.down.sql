DROP VIEW daily_analytics;
DROP VIEW hourly_analytics;
DROP VIEW daily_zones;
DROP VIEW hourly_zones;
DROP VIEW occupancy;
CREATE OR REPLACE FUNCTION calculate_current_people_inside(session bigint) RETURNS int
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
ALTER TABLE daily_statistics DROP COLUMN by_zone, DROP COLUMN occupancy_at_reset, DROP COLUMN occupancy_correction;
ALTER TABLE hourly_statistics DROP COLUMN by_zone, DROP COLUMN occupancy_correction;
ALTER TABLE session_statistics DROP COLUMN occupancy_correction;
DROP INDEX zone_visits_entered_at_idx;
ALTER TABLE zone_visits DROP COLUMN exited_seen, DROP COLUMN entered_seen;

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
