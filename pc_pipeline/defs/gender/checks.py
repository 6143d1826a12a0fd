"""Whether the figures by gender speak for enough people."""

from typing import Any

import dagster as dg

from pc_pipeline.defs.judged import read, result
from pc_pipeline.defs.partitions import camera_and_date
from pc_pipeline.defs.resources import Pipeline


@dg.asset_check(
    asset="run_gender_summary",
    description="No more people than usual, and fewer than half, are of unknown gender. Only where a gender model is"
    " configured; against the camera's last 28 days with video.",
)
def unknown_share_is_usual(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
    """Fails, without blocking, where the figures by gender speak for too few."""
    from pc_pipeline.counting.plausibility import Judgement, unknown_share
    from pc_pipeline.store import checks

    camera, date = camera_and_date(context)

    def judge(connection: Any) -> Judgement:
        if not checks.gender_is_on(connection, camera):
            return Judgement(True, "No gender model is configured for this camera: everyone is unknown.", {})
        return unknown_share(*checks.unknown_people(connection, camera, date))

    return result(context, read(pipeline, judge))
