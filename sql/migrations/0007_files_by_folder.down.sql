DROP INDEX source_files_folder, source_files_unknown;
