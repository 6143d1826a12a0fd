-- A version before this knows no erased files: quarantined, they wait until somebody looks at them.
UPDATE source_files SET status = 'quarantined' WHERE status = 'erased';
ALTER TABLE source_files DROP CONSTRAINT source_files_status_check,
    ADD CONSTRAINT source_files_status_check CHECK (status IN ('registered', 'quarantined', 'duplicate', 'missing'));
COMMENT ON COLUMN source_files.status IS 'registered (counted), quarantined (see reason), duplicate, or missing (gone since).';
DROP TABLE erasures, archives, retention;
