DROP VIEW daily_analytics, hourly_analytics, recent_movements, current_session_overview, detections_with_gender;
DROP FUNCTION calculate_current_people_inside(bigint);
