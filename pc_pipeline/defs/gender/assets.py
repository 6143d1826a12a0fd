"""`track_genders` and `run_gender_summary`: apparent gender, where a gender model is configured."""

import dagster as dg

from pc_pipeline.defs import stage
from pc_pipeline.defs.partitions import camera_days
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.stages.fingerprints import CODE_VERSIONS, RUN_GENDER_SUMMARY, TRACK_GENDERS


@dg.asset(
    partitions_def=camera_days,
    deps=["tracks"],
    group_name="vision",
    kinds={"openvino", "postgres"},
    owners=stage.OWNERS,
    code_version=CODE_VERSIONS[TRACK_GENDERS],
)
def track_genders(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """One row a track: male, female, or unknown where it cannot be told. Decodes only the best crops."""
    return stage.materialized(context, pipeline, TRACK_GENDERS)


@dg.asset(
    partitions_def=camera_days,
    deps=["track_genders"],
    group_name="counting",
    kinds={"sql", "postgres"},
    owners=stage.OWNERS,
    code_version=CODE_VERSIONS[RUN_GENDER_SUMMARY],
)
def run_gender_summary(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """A session's people by apparent gender: unique_total, unique_male, unique_female, unique_unknown."""
    return stage.materialized(context, pipeline, RUN_GENDER_SUMMARY)
