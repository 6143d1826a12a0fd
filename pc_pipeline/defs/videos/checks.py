"""What a green partition does not show: videos that are quarantined or stale, and boxes of no video."""

from pathlib import PurePath

import dagster as dg

from pc_pipeline.defs.judged import of_partition, says
from pc_pipeline.defs.partitions import camera_and_date
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.defs.stage import table


@dg.asset_check(
    asset="session_statistics",
    description="Every file of the camera-day is counted, and from what is configured now.",
)
def every_video_counted(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
    """Fails, without blocking, while a file is quarantined or a stage is stale."""
    from pc_pipeline.stages.runner import not_counted

    camera, date = camera_and_date(context)
    problems = not_counted(pipeline.machine(context), camera, date)
    sentence = "every file is counted, from what is configured now."
    if problems:
        path, status, why = problems[0]
        more = f" And {len(problems) - 1} more: see the table." if len(problems) > 1 else ""
        sentence = f"{PurePath(path).name} is {status}: {why.removeprefix(f'{path}: ').rstrip('.')}.{more}"
    return dg.AssetCheckResult(
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        description=says(context, sentence),
        metadata=of_partition(context)
        | ({"not counted": table(("file", "status", "why"), problems)} if problems else {}),
    )


@dg.asset_check(
    asset="detections",
    description="Every detection of the day belongs to a video that is registered (there is no foreign key).",
)
def no_orphan_detections(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
    """Fails, without blocking, where detections lie in the table whose video is gone."""
    from pc_pipeline.stages.runner import orphan_detections

    _, date = camera_and_date(context)
    orphans = orphan_detections(pipeline.machine(context), date)
    return dg.AssetCheckResult(
        passed=orphans == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=says(
            context,
            f"{orphans} detections of this date belong to no video: report a defect."
            if orphans
            else "every detection belongs to a video.",
        ),
        metadata={**of_partition(context), "orphans": orphans},
    )
