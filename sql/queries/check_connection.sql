-- Is the database there, with its schema?  psql "$PC_POSTGRES_DSN" -f sql/queries/check_connection.sql
SELECT current_database() AS database, current_user AS "user", current_setting('server_version') AS version,
    pg_size_pretty(pg_database_size(current_database())) AS size, now() AS server_time;

SELECT version, name, applied_at FROM schema_migrations ORDER BY version;

SELECT
    (SELECT count(*) FROM cameras) AS cameras,
    (SELECT count(*) FROM videos) AS videos,
    (SELECT count(*) FROM sessions WHERE status = 'completed') AS sessions_completed,
    (SELECT count(*) FROM tracks) AS tracks,
    (SELECT count(*) FROM people_movements) AS movements,
    (SELECT count(*) FROM pg_inherits WHERE inhparent = 'detections'::regclass) AS detection_partitions;
