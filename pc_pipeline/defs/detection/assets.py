"""`raw_detections`: decode and detect; nearly all the time of the whole pipeline is spent here."""

import dagster as dg

from pc_pipeline.defs import columns, stage
from pc_pipeline.defs.partitions import camera_days
from pc_pipeline.defs.pools import INFERENCE
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.stages.versions import CODE_VERSIONS, RAW_DETECTIONS

COLUMNS = {
    "frame_number": ("int32", "The frame, from 0, of all that were decoded."),
    "pts_us": ("int64", "When it is shown, microseconds from the video's start."),
    "box": ("list<float>", "Its boxes, four numbers each: x1, y1, x2, y2, pixels of the upright picture."),
    "confidence": ("list<float>", "Of each box, 0 to 1."),
    "class_id": ("list<int16>", "Of each box: 0 is a person."),
    "colours": ("list<uint8>", "Of each box, its clothing's colours in steps."),
    "processing_ms": ("float", "How long the frame took."),
    "picture_mean": ("float", "Now and then: mean grey level of the picture, 0 to 255."),
    "picture_spread": ("float", "Standard deviation of its grey levels."),
    "picture_detail": ("float", "How strong its edges are, grey levels."),
    "picture_change": ("float", "Mean difference to the picture before, grey levels."),
    "picture_shown": ("int32", "Number of the picture shown: equal ones show a frozen camera."),
    "picture": ("binary", "Rarely: the grey picture itself, 128 x 96, which others are compared with."),
}


@dg.asset(
    partitions_def=camera_days,
    deps=["videos"],
    group_name="vision",
    kinds={"openvino", "parquet"},
    owners=stage.OWNERS,
    metadata=columns.of_file(COLUMNS),
    code_version=CODE_VERSIONS[RAW_DETECTIONS],
    pool=INFERENCE,
)
def raw_detections(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Every sampled frame's boxes, one Parquet file a video. Made again when a video or the detector changes."""
    return stage.materialized(context, pipeline, RAW_DETECTIONS)
