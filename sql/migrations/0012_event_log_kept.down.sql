DELETE FROM retention WHERE name = 'event_log';
COMMENT ON COLUMN retention.name IS 'The table; what hangs on it goes with it. detections: the Parquet files of raw detections too.';
COMMENT ON COLUMN retention.keep IS 'Months that are wholly older than this go; null: kept for ever.';
