"""`track_genders` and `run_gender_summary`: apparent gender, where a gender model is configured."""

import dagster as dg

from pc_pipeline.defs import columns, stage
from pc_pipeline.defs.judged import read
from pc_pipeline.defs.partitions import camera_and_date, camera_days
from pc_pipeline.defs.pools import INFERENCE
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.stages.versions import CODE_VERSIONS, RUN_GENDER_SUMMARY, TRACK_GENDERS


@dg.asset(
    partitions_def=camera_days,
    deps=["tracks"],
    group_name="vision",
    kinds={"openvino", "postgres"},
    owners=stage.OWNERS,
    metadata=columns.of_table("track_genders"),
    code_version=CODE_VERSIONS[TRACK_GENDERS],
    pool=INFERENCE,
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
    metadata=columns.of_table("run_gender_summary"),
    code_version=CODE_VERSIONS[RUN_GENDER_SUMMARY],
)
def run_gender_summary(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """A session's people by apparent gender: unique_total, unique_male, unique_female, unique_unknown."""
    from pc_pipeline.counting.plausibility import unknown_share
    from pc_pipeline.store.checks import unknown_people

    report, shown = stage.run(context, pipeline, RUN_GENDER_SUMMARY)
    camera, date = camera_and_date(context)
    # Of all videos of the day: what the stage reports is of those it computed now.
    of_day, _ = read(pipeline, lambda connection: unknown_people(connection, camera, date))
    shown |= {f"{name} (day)": value for name, value in unknown_share(of_day, []).figures.items() if name != "limit"}
    return dg.MaterializeResult(metadata=shown, data_version=dg.DataVersion(report.fingerprint))
