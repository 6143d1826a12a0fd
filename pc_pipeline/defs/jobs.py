"""The jobs people and sensors start by name."""

import dagster as dg

# What a run of a camera-day materializes.
CAMERA_DAY = (
    "videos",
    "raw_detections",
    "camera_events",
    "detections",
    "tracks",
    "track_genders",
    "run_gender_summary",
    "track_links",
    "people_movements",
    "zone_visits",
    "session_statistics",
)
camera_day = dg.define_asset_job(
    "camera_day",
    selection=dg.AssetSelection.assets(*CAMERA_DAY),
    description="From video files to counts, for one camera-day: only what is outstanding. The rollups follow.",
)
roll_hours = dg.define_asset_job(
    "roll_hours",
    selection=dg.AssetSelection.assets("hourly_statistics"),
    description="Hourly statistics of one camera-day, from its tracks and movements.",
)
roll_days = dg.define_asset_job(
    "roll_days",
    selection=dg.AssetSelection.assets("daily_statistics"),
    description="Daily statistics of one day, all cameras.",
)
refresh_dashboard_cache = dg.define_asset_job(
    "refresh_dashboard_cache",
    selection=dg.AssetSelection.assets("dashboard_cache"),
    description="Materialize the dashboard's cache from the statistics as they are now.",
)
