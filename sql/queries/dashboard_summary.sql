-- The dashboard's figures.  psql "$PC_POSTGRES_DSN" -f sql/queries/dashboard_summary.sql
-- "Today" is today on the site's clock. Someone whose track goes on from one of the file before is counted once.
WITH today AS (
    SELECT (now() AT TIME ZONE coalesce((SELECT timezone FROM site), 'UTC'))::date AS date
), people AS (
    SELECT coalesce(g.gender, 0) AS gender
    FROM tracks AS t LEFT JOIN track_genders AS g USING (video_id, track_id)
    WHERE NOT EXISTS (SELECT FROM track_links AS l WHERE (l.video_id, l.track_id) = (t.video_id, t.track_id))
)
SELECT
    (SELECT count(*) FROM sessions WHERE status = 'active') AS active_sessions,
    (SELECT count(*) FROM videos, today WHERE videos.date = today.date) AS sessions_today,
    (SELECT coalesce(sum(entered), 0) FROM daily_statistics, today WHERE daily_statistics.date = today.date) AS people_entered_today,
    (SELECT coalesce(sum(exited), 0) FROM daily_statistics, today WHERE daily_statistics.date = today.date) AS people_exited_today,
    (SELECT count(*) FROM people_movements WHERE direction = 'in') AS entered,
    (SELECT count(*) FROM people_movements WHERE direction = 'out') AS exited,
    (SELECT count(*) FROM people) AS unique_total,
    (SELECT count(*) FROM people WHERE gender = 1) AS unique_male,
    (SELECT count(*) FROM people WHERE gender = 2) AS unique_female,
    (SELECT count(*) FROM people WHERE gender = 0) AS unique_unknown,
    (SELECT round(coalesce(sum(coverage_ms), 0) / 1000.0, 1) FROM session_statistics) AS coverage_seconds;

SELECT camera, line, count(*) FILTER (WHERE direction = 'in') AS "in", count(*) FILTER (WHERE direction = 'out') AS "out"
FROM people_movements GROUP BY camera, line ORDER BY camera, line;

SELECT ts, camera, line, direction, gender FROM recent_movements LIMIT 10;
