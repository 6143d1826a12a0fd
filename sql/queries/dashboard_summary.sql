-- The dashboard's figures.  psql "$PC_POSTGRES_DSN" -f sql/queries/dashboard_summary.sql
-- "Today" is today on the site's clock. All counts are of the days as last rolled up: no track is read, however many there
-- are. Someone whose track goes on from one of the file before is counted once.
WITH today AS (
    SELECT (now() AT TIME ZONE coalesce((SELECT timezone FROM site), 'UTC'))::date AS date
)
SELECT
    (SELECT count(*) FROM sessions WHERE status = 'active') AS active_sessions,
    (SELECT count(*) FROM videos, today WHERE videos.date = today.date) AS sessions_today,
    coalesce(sum(entered) FILTER (WHERE d.date = today.date), 0) AS people_entered_today,
    coalesce(sum(exited) FILTER (WHERE d.date = today.date), 0) AS people_exited_today,
    coalesce(sum(entered), 0) AS entered,
    coalesce(sum(exited), 0) AS exited,
    coalesce(sum(new_total), 0) AS unique_total,
    coalesce(sum(new_male), 0) AS unique_male,
    coalesce(sum(new_female), 0) AS unique_female,
    coalesce(sum(new_total - new_male - new_female), 0) AS unique_unknown,
    round(coalesce(sum(coverage_ms), 0) / 1000.0, 1) AS coverage_seconds
FROM today LEFT JOIN daily_statistics AS d ON true;

SELECT camera, key AS line, sum((value ->> 'in')::int) AS "in", sum((value ->> 'out')::int) AS "out"
FROM daily_statistics CROSS JOIN LATERAL jsonb_each(by_line)
GROUP BY camera, key ORDER BY camera, key;

SELECT ts, camera, line, direction, gender FROM recent_movements LIMIT 10;
