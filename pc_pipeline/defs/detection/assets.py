"""`raw_detections`: decode and detect; nearly all the time of the whole pipeline is spent here."""

import dagster as dg

from pc_pipeline.defs import stage
from pc_pipeline.defs.partitions import camera_days
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.stages.versions import CODE_VERSIONS, RAW_DETECTIONS


@dg.asset(
    partitions_def=camera_days,
    deps=["videos"],
    group_name="vision",
    kinds={"openvino", "parquet"},
    owners=stage.OWNERS,
    code_version=CODE_VERSIONS[RAW_DETECTIONS],
)
def raw_detections(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Every sampled frame's boxes, one Parquet file a video. Made again when a video or the detector changes."""
    return stage.materialized(context, pipeline, RAW_DETECTIONS)
