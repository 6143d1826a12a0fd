DROP VIEW hourly_coverage;
DROP TABLE camera_events, reference_pictures;
