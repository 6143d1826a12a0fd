DROP VIEW realtime_camera_status;
DROP TABLE realtime_metrics, system_metrics, frame_metadata;
