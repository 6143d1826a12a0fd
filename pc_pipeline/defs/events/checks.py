"""Whether the camera showed what it should."""

import dagster as dg

from pc_pipeline.defs.judged import read, result
from pc_pipeline.defs.partitions import camera_and_date, site
from pc_pipeline.defs.resources import Pipeline


@dg.asset_check(
    asset="camera_events",
    description="At no time of the day the picture was frozen, black, covered or moved, or the frame rate off. Gaps are"
    " shown and not judged here: a camera may rest at night, and `coverage_is_usual` knows its habits.",
)
def picture_is_sound(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
    """Fails, without blocking, where counts are in doubt for what the camera showed."""
    from pc_pipeline.counting.plausibility import picture
    from pc_pipeline.store.events import events

    camera, date = camera_and_date(context)
    found = read(pipeline, lambda connection: events(connection, site().zone_info, camera, date))
    return result(context, picture([(event["kind"], event["seconds"], event["detail"]) for event in found]))
