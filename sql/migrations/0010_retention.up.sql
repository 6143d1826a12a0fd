-- How long rows are kept, what was written to the archive, and what was erased on request.

CREATE TABLE retention (
    name text PRIMARY KEY,
    keep interval CHECK (keep >= interval '1 day'),
    archive boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE retention IS 'How long rows are kept: from the site file''s `retention:`, written by `pc config apply`.';
COMMENT ON COLUMN retention.name IS 'The table; what hangs on it goes with it. detections: the Parquet files of raw detections too.';
COMMENT ON COLUMN retention.keep IS 'Months that are wholly older than this go; null: kept for ever.';
COMMENT ON COLUMN retention.archive IS 'Whether rows are written to the archive before they are deleted.';
INSERT INTO retention (name, keep) VALUES
    ('detections', '3 months'),
    ('frame_metadata', '6 months'),
    ('system_metrics', '12 months'),
    ('tracks', '5 years'),
    ('people_movements', '5 years'),
    ('alert_logs', '90 days');

CREATE TABLE archives (
    archive_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    month date NOT NULL,
    camera text,
    path text NOT NULL UNIQUE,
    rows bigint NOT NULL DEFAULT 0 CHECK (rows >= 0),
    bytes bigint NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    sha256 text,
    videos bigint[] NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'writing' CHECK (state IN ('writing', 'kept', 'replaced')),
    written_at timestamptz NOT NULL DEFAULT now(),
    CHECK (state = 'writing' OR sha256 IS NOT NULL)
);
CREATE INDEX ON archives (table_name, month);
COMMENT ON TABLE archives IS 'The files of the archive (Parquet). A row stands before its file does; the rows of a kept file are in no table any more.';
COMMENT ON COLUMN archives.archive_id IS 'Number of the file.';
COMMENT ON COLUMN archives.table_name IS 'The table its rows were in.';
COMMENT ON COLUMN archives.month IS 'The first day of the month (UTC) its rows are of; of tracks, movements and what hangs on them, the month their video starts in.';
COMMENT ON COLUMN archives.camera IS 'The camera, where a file holds one camera''s rows; null: all cameras.';
COMMENT ON COLUMN archives.path IS 'The file, in the archive''s folder.';
COMMENT ON COLUMN archives.rows IS 'Rows in it.';
COMMENT ON COLUMN archives.bytes IS 'Its size in bytes.';
COMMENT ON COLUMN archives.sha256 IS 'SHA-256 (hex) of its bytes; null while it is being written.';
COMMENT ON COLUMN archives.videos IS 'The videos that it has rows of, in order; empty where rows belong to none.';
COMMENT ON COLUMN archives.state IS 'writing (what was begun and not finished is removed by the next run), kept, or replaced (about to be removed).';
COMMENT ON COLUMN archives.written_at IS 'When it was begun.';

CREATE TABLE erasures (
    erasure_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asked_at timestamptz NOT NULL DEFAULT now(),
    asked_by text NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    camera text,
    span_start timestamptz,
    span_end timestamptz,
    with_video_files boolean NOT NULL,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done')),
    finished_at timestamptz,
    deleted jsonb NOT NULL DEFAULT '{}',
    videos bigint[] NOT NULL DEFAULT '{}',
    files text[] NOT NULL DEFAULT '{}',
    partitions text[] NOT NULL DEFAULT '{}',
    CHECK (camera IS NOT NULL OR span_start IS NOT NULL),
    CHECK ((span_start IS NULL) = (span_end IS NULL) AND (span_end > span_start) IS NOT FALSE),
    CHECK (state = 'running' OR (finished_at IS NOT NULL AND videos = '{}' AND files = '{}' AND partitions = '{}'))
);
COMMENT ON TABLE erasures IS 'What was erased on request: who asked, why, of what, and how much it was. It holds nothing of what was erased.';
COMMENT ON COLUMN erasures.erasure_id IS 'Number of the erasure.';
COMMENT ON COLUMN erasures.asked_at IS 'When it was asked for.';
COMMENT ON COLUMN erasures.asked_by IS 'The operator who asked for it.';
COMMENT ON COLUMN erasures.reason IS 'Why, in the operator''s words: a ticket number, never a person''s name.';
COMMENT ON COLUMN erasures.camera IS 'The camera; null: all cameras.';
COMMENT ON COLUMN erasures.span_start IS 'From when; null: all time.';
COMMENT ON COLUMN erasures.span_end IS 'Until when; every video with a part in between goes whole.';
COMMENT ON COLUMN erasures.with_video_files IS 'Whether the video files were deleted too; else they are left alone and never counted again.';
COMMENT ON COLUMN erasures.state IS 'running (the next run of erasure or archive finishes it) or done.';
COMMENT ON COLUMN erasures.finished_at IS 'When all of it was gone.';
COMMENT ON COLUMN erasures.deleted IS 'What was deleted, in numbers: rows by table, files, runs of Dagster, keys of Redis.';
COMMENT ON COLUMN erasures.videos IS 'While it runs: the videos deleted so far, whose rows are looked for in the archive. Emptied at the end.';
COMMENT ON COLUMN erasures.files IS 'While it runs: files still to be removed. Emptied at the end.';
COMMENT ON COLUMN erasures.partitions IS 'While it runs: camera-days (camera|date) that Dagster still has runs of. Emptied at the end.';

ALTER TABLE source_files DROP CONSTRAINT source_files_status_check,
    ADD CONSTRAINT source_files_status_check
        CHECK (status IN ('registered', 'quarantined', 'duplicate', 'missing', 'erased'));
COMMENT ON COLUMN source_files.status IS 'registered (counted), quarantined (see reason), duplicate, missing (gone since), or erased (on request: never counted again).';
