DROP TABLE daily_statistics, hourly_statistics, session_statistics, zone_visits, people_movements, track_links,
    run_gender_summary, track_genders, tracks, detections, stage_ledger, sessions, ai_models, source_files, videos,
    zones, cameras, site;
