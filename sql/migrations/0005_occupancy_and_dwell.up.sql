-- Occupancy with its correction, stays that were cut, and zones by hour and day. What is counted already gets its figures
-- when it is counted again, which a newer version of the code asks for by itself.

ALTER TABLE zone_visits
    ADD COLUMN entered_seen boolean NOT NULL DEFAULT false,
    ADD COLUMN exited_seen boolean NOT NULL DEFAULT false;
CREATE INDEX ON zone_visits (entered_at);
COMMENT ON COLUMN zone_visits.entered_seen IS 'The person was seen coming from outside; false: first seen inside, so the stay may be longer.';
COMMENT ON COLUMN zone_visits.exited_seen IS 'The person was seen going outside; false: last seen inside, so the stay may be longer.';

ALTER TABLE session_statistics ADD COLUMN occupancy_correction int NOT NULL DEFAULT 0 CHECK (occupancy_correction >= 0);
ALTER TABLE hourly_statistics
    ADD COLUMN occupancy_correction int NOT NULL DEFAULT 0 CHECK (occupancy_correction >= 0),
    ADD COLUMN by_zone jsonb NOT NULL DEFAULT '{}';
ALTER TABLE daily_statistics
    ADD COLUMN occupancy_correction int NOT NULL DEFAULT 0 CHECK (occupancy_correction >= 0),
    ADD COLUMN occupancy_at_reset int NOT NULL DEFAULT 0 CHECK (occupancy_at_reset >= 0),
    ADD COLUMN by_zone jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN session_statistics.occupancy_correction IS 'People who left in the session without having been seen to come: added to the number inside.';
COMMENT ON COLUMN hourly_statistics.occupancy_correction IS 'People who left in the hour without having been seen to come that day: added to the number inside.';
COMMENT ON COLUMN hourly_statistics.by_zone IS 'Stays and people inside, of each zone anybody was in; hourly_zones has them as columns.';
COMMENT ON COLUMN daily_statistics.occupancy_correction IS 'People who left in the day without having been seen to come: added to the number inside.';
COMMENT ON COLUMN daily_statistics.occupancy_at_reset IS 'Still inside when the day ended: entered - exited + occupancy_correction. Then it begins anew, from nobody.';
COMMENT ON COLUMN daily_statistics.by_zone IS 'Stays and people inside, of each zone anybody was in; daily_zones has them as columns.';

-- Of crossings at one instant those in come first: nobody is added who need not be.
CREATE OR REPLACE FUNCTION calculate_current_people_inside(session bigint) RETURNS int
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    -- The sum of in (+1) and out (-1), lifted by what it ever fell below zero: someone who leaves was inside before.
    SELECT (coalesce(sum(step), 0) - least(0, min(running)))::int
    FROM (
        SELECT step, sum(step) OVER (ORDER BY ts, step DESC ROWS UNBOUNDED PRECEDING) AS running
        FROM (
            SELECT ts, CASE direction WHEN 'in' THEN 1 ELSE -1 END AS step
            FROM people_movements WHERE video_id = session
        ) AS steps
    ) AS sums
$$;

CREATE VIEW occupancy AS
SELECT day.camera, day.date, step.ts, step.people::int AS people, step.added, step.line, step.direction, step.session_id,
    step.track_id
FROM (SELECT DISTINCT camera, date FROM hourly_statistics) AS day
CROSS JOIN (SELECT coalesce((SELECT timezone FROM site), 'UTC') AS timezone) AS local
CROSS JOIN LATERAL (
    SELECT ts, line, direction, session_id, track_id, crossing,
        level - least(0, min(level) OVER (in_order ROWS UNBOUNDED PRECEDING)) AS people,
        (level < least(0, min(level) OVER (in_order ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)))::int AS added
    FROM (
        SELECT m.ts, m.line, m.direction, m.video_id AS session_id, m.track_id, m.crossing,
            sum(CASE m.direction WHEN 'in' THEN 1 ELSE -1 END) OVER (
                ORDER BY m.ts, m.direction, m.video_id, m.track_id, m.line, m.crossing ROWS UNBOUNDED PRECEDING
            ) AS level
        FROM people_movements AS m JOIN sessions AS s ON s.session_id = m.video_id
        WHERE m.camera = day.camera AND s.status = 'completed' AND (m.ts AT TIME ZONE local.timezone)::date = day.date
            -- For the index; a midnight that there is twice lies within the hours around it.
            AND m.ts > day.date::timestamp AT TIME ZONE local.timezone - interval '3 hours'
            AND m.ts < (day.date + 1)::timestamp AT TIME ZONE local.timezone + interval '3 hours'
    ) AS levels
    WINDOW in_order AS (ORDER BY ts, direction, session_id, track_id, line, crossing)
) AS step;
COMMENT ON VIEW occupancy IS 'People inside after each crossing of a camera''s day, from nobody at midnight, corrected for drift: never negative. added: 1 where the one who left was not seen to come.';

CREATE VIEW hourly_zones AS
SELECT h.camera, h.date, h.hour_start, h.hour_start AT TIME ZONE coalesce((SELECT timezone FROM site), 'UTC') AS local_hour,
    zone.key AS zone, z.visits, z.cut, z.dwell_mean_ms, z.dwell_p50_ms, z.dwell_p90_ms, z.dwell_p95_ms, z.dwell_longest_ms,
    z.peak_occupancy, z.mean_occupancy
FROM hourly_statistics AS h
CROSS JOIN LATERAL jsonb_each(h.by_zone) AS zone
CROSS JOIN LATERAL jsonb_to_record(zone.value) AS z (
    visits int, cut int, dwell_mean_ms bigint, dwell_p50_ms bigint, dwell_p90_ms bigint, dwell_p95_ms bigint,
    dwell_longest_ms bigint, peak_occupancy int, mean_occupancy double precision
);
COMMENT ON VIEW hourly_zones IS 'Stays that begin in the hour, by zone, with percentiles of their dwell, and people inside; no row: nobody, or no video.';

CREATE VIEW daily_zones AS
SELECT d.camera, d.date, zone.key AS zone, z.visits, z.cut, z.dwell_mean_ms, z.dwell_p50_ms, z.dwell_p90_ms, z.dwell_p95_ms,
    z.dwell_longest_ms, z.peak_occupancy, z.mean_occupancy
FROM daily_statistics AS d
CROSS JOIN LATERAL jsonb_each(d.by_zone) AS zone
CROSS JOIN LATERAL jsonb_to_record(zone.value) AS z (
    visits int, cut int, dwell_mean_ms bigint, dwell_p50_ms bigint, dwell_p90_ms bigint, dwell_p95_ms bigint,
    dwell_longest_ms bigint, peak_occupancy int, mean_occupancy double precision
);
COMMENT ON VIEW daily_zones IS 'Stays that begin in the day, by zone, with percentiles of their dwell (of the whole day, not of its hours), and people inside.';

CREATE OR REPLACE VIEW hourly_analytics AS
SELECT h.camera, c.location, h.date, h.hour_start,
    h.hour_start AT TIME ZONE coalesce((SELECT timezone FROM site), 'UTC') AS local_hour,
    h.entered, h.exited, h.entered - h.exited AS net,
    h.unique_total, h.unique_male, h.unique_female, h.unique_unknown, h.peak_occupancy, h.mean_occupancy,
    h.coverage_ms / 1000.0 AS coverage_s, h.by_line, h.occupancy_correction
FROM hourly_statistics AS h JOIN cameras AS c USING (camera);

CREATE OR REPLACE VIEW daily_analytics AS
SELECT d.camera, c.location, d.date, to_char(d.date, 'Dy') AS weekday, d.entered, d.exited, d.entered - d.exited AS net,
    d.unique_total, d.unique_male, d.unique_female, d.unique_unknown, d.peak_occupancy, d.mean_occupancy,
    d.coverage_ms / 1000.0 AS coverage_s, busiest.hour_start AS busiest_hour, busiest.entered AS busiest_hour_entered, d.by_line,
    d.occupancy_correction, d.occupancy_at_reset
FROM daily_statistics AS d JOIN cameras AS c USING (camera)
LEFT JOIN LATERAL (
    SELECT h.hour_start, h.entered FROM hourly_statistics AS h
    WHERE h.camera = d.camera AND h.date = d.date AND h.entered > 0 ORDER BY h.entered DESC, h.hour_start LIMIT 1
) AS busiest ON true;
