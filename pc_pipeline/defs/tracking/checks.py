"""Whether people stay in view as long as they usually do."""

import dagster as dg

from pc_pipeline.defs.judged import read, result
from pc_pipeline.defs.partitions import camera_and_date
from pc_pipeline.defs.resources import Pipeline


@dg.asset_check(
    asset="tracks",
    description="Tracks last as long as on the camera's last 28 days with video (Kolmogorov-Smirnov distance). Short"
    " tracks are broken ones: of a camera that was moved, is dirty or dark, or records fewer frames.",
)
def track_lengths_are_usual(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
    """Fails, without blocking, where the tracks' durations are spread otherwise than on other days."""
    from pc_pipeline.counting.plausibility import track_lengths
    from pc_pipeline.store.checks import track_seconds

    camera, date = camera_and_date(context)
    return result(context, track_lengths(*read(pipeline, lambda connection: track_seconds(connection, camera, date))))
