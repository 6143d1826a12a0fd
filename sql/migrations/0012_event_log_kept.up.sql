-- Dagster's event log is kept as long as the site file says, like all the rest.

INSERT INTO retention (name, keep, archive) VALUES ('event_log', '30 days', false);
COMMENT ON COLUMN retention.name IS 'The table; what hangs on it goes with it. detections: the Parquet files of raw detections too. event_log: what runs said in Dagster''s event log.';
COMMENT ON COLUMN retention.keep IS 'Months that are wholly older than this go, of the event log runs that ended before it; null: kept for ever.';
