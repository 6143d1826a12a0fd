-- How the database and Dagster are, as views: sizes, index use, slow queries, connections, and Dagster's queue and jobs.
-- Dagster makes its tables later than this, and a server without Dagster has none: what reads them is a function, whose
-- statements Postgres looks at only when they run. They run as their owner, for pc_reader has no business in that schema.

CREATE VIEW partition_sizes AS
SELECT s.schemaname::text AS schema_name, coalesce(parent.relname, s.relname)::text AS table_name,
    s.relname::text AS partition_name, pg_get_expr(c.relpartbound, c.oid) AS bounds,
    greatest(c.reltuples, 0)::bigint AS rows_estimate, s.n_dead_tup AS dead_rows,
    pg_table_size(c.oid) AS table_bytes, pg_indexes_size(c.oid) AS index_bytes, pg_total_relation_size(c.oid) AS total_bytes,
    greatest(s.last_vacuum, s.last_autovacuum) AS last_vacuum, greatest(s.last_analyze, s.last_autoanalyze) AS last_analyze
FROM pg_stat_user_tables AS s JOIN pg_class AS c ON c.oid = s.relid
LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid LEFT JOIN pg_class AS parent ON parent.oid = i.inhparent
WHERE c.relkind = 'r';
COMMENT ON VIEW partition_sizes IS 'How large each month of a table is, and each table that has no months, Dagster''s too.';
COMMENT ON COLUMN partition_sizes.schema_name IS 'public: results; dagster: Dagster''s own tables.';
COMMENT ON COLUMN partition_sizes.table_name IS 'The table a partition is part of; the table itself where it has none.';
COMMENT ON COLUMN partition_sizes.partition_name IS 'The partition, such as detections_2026_03; the table itself where it has none.';
COMMENT ON COLUMN partition_sizes.bounds IS 'From when to when its rows are (UTC); null: no partition.';
COMMENT ON COLUMN partition_sizes.rows_estimate IS 'Rows at the last VACUUM or ANALYZE; 0 where there was none.';
COMMENT ON COLUMN partition_sizes.dead_rows IS 'Rows that were deleted or replaced and still take space, as Postgres counted along.';
COMMENT ON COLUMN partition_sizes.table_bytes IS 'Bytes on disk of the rows, with what Postgres keeps beside them (TOAST).';
COMMENT ON COLUMN partition_sizes.index_bytes IS 'Bytes on disk of its indexes.';
COMMENT ON COLUMN partition_sizes.total_bytes IS 'Both together.';
COMMENT ON COLUMN partition_sizes.last_vacuum IS 'When VACUUM last ran, by hand or by itself; null: not since the statistics began.';
COMMENT ON COLUMN partition_sizes.last_analyze IS 'When ANALYZE last ran, by hand or by itself; null: not since the statistics began.';

CREATE VIEW index_use AS
SELECT s.schemaname::text AS schema_name, s.relname::text AS table_name, s.indexrelname::text AS index_name,
    m.amname::text AS kind, s.idx_scan AS scans, s.idx_tup_read AS rows_read, pg_relation_size(s.indexrelid) AS bytes,
    i.indisunique AS is_unique, i.indisvalid AS is_valid
FROM pg_stat_user_indexes AS s JOIN pg_index AS i ON i.indexrelid = s.indexrelid
JOIN pg_class AS c ON c.oid = s.indexrelid JOIN pg_am AS m ON m.oid = c.relam;
COMMENT ON VIEW index_use IS 'How often each index was used since the server''s statistics began, and what it takes on disk.';
COMMENT ON COLUMN index_use.schema_name IS 'public: results; dagster: Dagster''s own tables.';
COMMENT ON COLUMN index_use.table_name IS 'The table or partition it is on.';
COMMENT ON COLUMN index_use.index_name IS 'Its name.';
COMMENT ON COLUMN index_use.kind IS 'btree, brin and so on.';
COMMENT ON COLUMN index_use.scans IS 'Queries that used it; an index that is unique works for its uniqueness even at 0.';
COMMENT ON COLUMN index_use.rows_read IS 'Entries those queries read.';
COMMENT ON COLUMN index_use.bytes IS 'Bytes on disk.';
COMMENT ON COLUMN index_use.is_unique IS 'True: it also forbids duplicates.';
COMMENT ON COLUMN index_use.is_valid IS 'False: left half made by a REINDEX that was interrupted; upkeep removes it.';

CREATE FUNCTION slow_statements()
RETURNS TABLE (source text, query text, calls bigint, total_s double precision, mean_s double precision, longest_s double precision)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    place text := (SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
                    WHERE extname = 'pg_stat_statements');
BEGIN
    RETURN QUERY
    SELECT 'running now', a.query, 1::bigint, age.s, age.s, age.s
    FROM pg_stat_activity AS a, LATERAL (SELECT extract(epoch FROM clock_timestamp() - a.query_start)::double precision) AS age (s)
    WHERE a.state = 'active' AND a.backend_type = 'client backend' AND a.datname = current_database()
      AND a.pid <> pg_backend_pid() AND age.s > 1;
    IF place IS NOT NULL THEN
        BEGIN
            RETURN QUERY EXECUTE
                'SELECT ''pg_stat_statements'', s.query, s.calls, s.total_exec_time / 1000, s.mean_exec_time / 1000,'
                ' s.max_exec_time / 1000 FROM ' || place || '.pg_stat_statements AS s'
                ' WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.mean_exec_time > 100'
                ' ORDER BY s.total_exec_time DESC LIMIT 100';
        EXCEPTION WHEN object_not_in_prerequisite_state OR undefined_column OR insufficient_privilege THEN
            NULL;  -- It is installed and not loaded (shared_preload_libraries), or not for this user.
        END;
    END IF;
END $$;
COMMENT ON FUNCTION slow_statements IS 'What the view slow_queries shows; reads pg_stat_statements only where the server has it.';

CREATE VIEW slow_queries AS SELECT * FROM slow_statements();
COMMENT ON VIEW slow_queries IS
    'What runs for more than a second now; where pg_stat_statements is loaded, also the 100 statements that took longest in all, of those with a mean above 0.1 s. Without it the log has them: log_min_duration_statement.';
COMMENT ON COLUMN slow_queries.source IS 'running now, or pg_stat_statements: everything since its counters began.';
COMMENT ON COLUMN slow_queries.query IS 'The statement; another user''s is hidden from who may not see it.';
COMMENT ON COLUMN slow_queries.calls IS 'How often it ran.';
COMMENT ON COLUMN slow_queries.total_s IS 'Seconds of all its runs together.';
COMMENT ON COLUMN slow_queries.mean_s IS 'Seconds a run.';
COMMENT ON COLUMN slow_queries.longest_s IS 'Seconds of the longest run.';

CREATE VIEW connections AS
SELECT a.pid, a.datname::text AS database, a.usename::text AS user_name, a.application_name AS application,
    coalesce(host(a.client_addr), 'local') AS client, a.state, a.backend_start AS connected_at, a.state_change AS state_since,
    a.xact_start AS transaction_since, a.wait_event_type || ': ' || a.wait_event AS waits_for, pg_blocking_pids(a.pid) AS blocked_by
-- Of another user's connections a reader is shown who and where, and nothing else.
FROM pg_stat_activity AS a WHERE a.usename IS NOT NULL AND coalesce(a.backend_type, 'client backend') = 'client backend';
COMMENT ON VIEW connections IS 'Every connection to the server; `SHOW max_connections` says how many there may be.';
COMMENT ON COLUMN connections.pid IS 'The server process; `SELECT pg_terminate_backend(pid)` ends it.';
COMMENT ON COLUMN connections.database IS 'The database it is connected to.';
COMMENT ON COLUMN connections.user_name IS 'Who is connected.';
COMMENT ON COLUMN connections.application IS 'What it calls itself: pc_pipeline is a stage or `pc`.';
COMMENT ON COLUMN connections.client IS 'The address it comes from; local: a socket of the server''s machine, or not shown to this user.';
COMMENT ON COLUMN connections.state IS 'active: it works; idle; idle in transaction: it keeps what it has locked; null: not shown to this user.';
COMMENT ON COLUMN connections.connected_at IS 'When it connected.';
COMMENT ON COLUMN connections.state_since IS 'Since when it is in that state.';
COMMENT ON COLUMN connections.transaction_since IS 'When its transaction began; null: none.';
COMMENT ON COLUMN connections.waits_for IS 'What it waits for; null: nothing.';
COMMENT ON COLUMN connections.blocked_by IS 'The processes whose locks it waits for.';

CREATE FUNCTION dagster_queue() RETURNS TABLE (status text, runs bigint, oldest timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF to_regclass('dagster.runs') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT r.status::text, count(*), min(r.create_timestamp) AT TIME ZONE 'UTC' FROM dagster.runs AS r
    WHERE r.status IN ('QUEUED', 'NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING') GROUP BY 1;
END $$;
COMMENT ON FUNCTION dagster_queue IS 'What the view queue_length shows; no row where Dagster has no tables here.';

CREATE VIEW queue_length AS SELECT * FROM dagster_queue();
COMMENT ON VIEW queue_length IS 'Dagster''s runs that are not finished, by status. No row: nothing waits and nothing runs.';
COMMENT ON COLUMN queue_length.status IS 'QUEUED waits its turn; NOT_STARTED and STARTING begin; STARTED runs; CANCELING is being stopped.';
COMMENT ON COLUMN queue_length.runs IS 'How many runs.';
COMMENT ON COLUMN queue_length.oldest IS 'When the oldest of them was asked for.';

CREATE FUNCTION dagster_jobs()
RETURNS TABLE (job text, last_success timestamptz, last_failure timestamptz, running bigint, queued bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF to_regclass('dagster.runs') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    -- From one job's name to the next by the index: most runs succeed, so that each job's last success is near its end.
    WITH RECURSIVE name AS (
        (SELECT r.pipeline_name FROM dagster.runs AS r ORDER BY 1 LIMIT 1)
        UNION ALL
        SELECT (SELECT r.pipeline_name FROM dagster.runs AS r WHERE r.pipeline_name > name.pipeline_name ORDER BY 1 LIMIT 1)
        FROM name WHERE name.pipeline_name IS NOT NULL
    ), failed AS (
        SELECT r.pipeline_name, max(r.end_time) AS at FROM dagster.runs AS r WHERE r.status = 'FAILURE' GROUP BY 1
    ), unfinished AS (
        SELECT r.pipeline_name, count(*) FILTER (WHERE r.status IN ('STARTED', 'CANCELING')) AS running,
            count(*) FILTER (WHERE r.status IN ('QUEUED', 'NOT_STARTED', 'STARTING')) AS queued
        FROM dagster.runs AS r
        WHERE r.status IN ('QUEUED', 'NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING') GROUP BY 1
    )
    SELECT n.pipeline_name,
        (SELECT to_timestamp(r.end_time) FROM dagster.runs AS r
          WHERE r.pipeline_name = n.pipeline_name AND r.status = 'SUCCESS' ORDER BY r.id DESC LIMIT 1),
        to_timestamp(f.at), coalesce(u.running, 0), coalesce(u.queued, 0)
    FROM name AS n LEFT JOIN failed AS f USING (pipeline_name) LEFT JOIN unfinished AS u USING (pipeline_name)
    WHERE n.pipeline_name IS NOT NULL;
END $$;
COMMENT ON FUNCTION dagster_jobs IS 'What the view job_success shows; no row where Dagster has no tables here.';

CREATE VIEW job_success AS SELECT * FROM dagster_jobs();
COMMENT ON VIEW job_success IS 'Every job that ever ran: when it last succeeded and failed, and what of it runs or waits now.';
COMMENT ON COLUMN job_success.job IS 'The job; __ASSET_JOB is what people materialize in the UI by hand.';
COMMENT ON COLUMN job_success.last_success IS 'When the newest run that succeeded ended; null: none did.';
COMMENT ON COLUMN job_success.last_failure IS 'When the last run that failed ended; null: none did.';
COMMENT ON COLUMN job_success.running IS 'Its runs that run now.';
COMMENT ON COLUMN job_success.queued IS 'Its runs that wait or are starting.';

-- Whoever may read the views may call what they are made of, and nobody else.
REVOKE EXECUTE ON FUNCTION dagster_queue(), dagster_jobs() FROM PUBLIC;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'pc_reader') THEN
        GRANT EXECUTE ON FUNCTION dagster_queue(), dagster_jobs() TO pc_reader;
    END IF;
END $$;
