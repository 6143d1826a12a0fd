-- A look at the watched folder reads the rows of the folders it lists, and those whose files must be looked at anew.

CREATE INDEX source_files_folder ON source_files (regexp_replace(path, '/[^/]*$', ''));
CREATE INDEX source_files_unknown ON source_files (path) WHERE size_bytes < 0;
