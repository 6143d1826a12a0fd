"""The one Definitions object: it only puts together what `defs` holds."""

import dagster as dg

from pc_pipeline.defs import jobs
from pc_pipeline.defs.alerts import assets as alerts
from pc_pipeline.defs.alerts import jobs as alert_jobs
from pc_pipeline.defs.counting import assets as counting
from pc_pipeline.defs.counting import checks as counting_checks
from pc_pipeline.defs.dashboard import assets as dashboard
from pc_pipeline.defs.detection import assets as detection
from pc_pipeline.defs.detection import jobs as detection_jobs
from pc_pipeline.defs.events import assets as events
from pc_pipeline.defs.events import checks as event_checks
from pc_pipeline.defs.gender import assets as gender
from pc_pipeline.defs.gender import checks as gender_checks
from pc_pipeline.defs.housekeeping import archive as archive_jobs
from pc_pipeline.defs.housekeeping import backups
from pc_pipeline.defs.housekeeping import erasure as erasure_jobs
from pc_pipeline.defs.housekeeping import event_log as event_log_jobs
from pc_pipeline.defs.housekeeping import months as month_jobs
from pc_pipeline.defs.housekeeping import upkeep as upkeep_jobs
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.defs.rollups import assets as rollups
from pc_pipeline.defs.rollups import checks as rollup_checks
from pc_pipeline.defs.rollups.schedules import schedules
from pc_pipeline.defs.tracking import assets as tracking
from pc_pipeline.defs.tracking import checks as tracking_checks
from pc_pipeline.defs.videos import assets as videos
from pc_pipeline.defs.videos import checks as video_checks
from pc_pipeline.defs.videos import sensors

_assets = dg.load_assets_from_modules(
    [videos, detection, events, tracking, gender, counting, rollups, dashboard, alerts]
)

defs = dg.Definitions(
    assets=_assets,
    asset_checks=dg.load_asset_checks_from_modules(
        [video_checks, event_checks, tracking_checks, gender_checks, counting_checks, rollup_checks, alerts]
    ),
    jobs=[
        jobs.camera_day,
        jobs.roll_hours,
        jobs.roll_days,
        jobs.refresh_dashboard_cache,
        dashboard.warm_dashboard_cache,
        detection_jobs.sweep_raw_detections,
        alert_jobs.evaluate_alerts,
        backups.back_up,
        month_jobs.make_partitions,
        archive_jobs.archive_old_rows,
        erasure_jobs.erase,
        event_log_jobs.purge_event_log,
        upkeep_jobs.upkeep,
    ],
    schedules=[
        *schedules,
        alert_jobs.alerts_every_hour,
        detection_jobs.sweep_every_night,
        backups.back_up_every_night,
        month_jobs.make_partitions_every_night,
        archive_jobs.archive_every_night,
        event_log_jobs.purge_every_night,
        upkeep_jobs.upkeep_every_night,
    ],
    sensors=[
        sensors.video_files,
        sensors.outstanding_camera_days,
        alert_jobs.run_failures,
        dg.AutomationConditionSensorDefinition(
            "rollups_follow_counts",
            target=dg.AssetSelection.assets("hourly_statistics", "daily_statistics", "dashboard_cache", "alerts"),
            default_status=dg.DefaultSensorStatus.RUNNING,
            description="Rolls up the hours and days of what was (re)counted, however old, warms the cache and"
            " evaluates the alerts.",
            # Runs one by one: of those that would wait twice the queue keeps one, which a backfill would call failed.
            emit_backfills=False,
        ),
    ],
    resources={"pipeline": Pipeline()},
    # Nine small assets take 0.6 s in one process and 15 s in nine.
    executor=dg.in_process_executor,
)
