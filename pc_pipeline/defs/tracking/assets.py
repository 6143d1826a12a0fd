"""`detections` and `tracks`: stored boxes become people while in view. No video is decoded here."""

from collections.abc import Iterator

import dagster as dg

from pc_pipeline.defs import columns, stage
from pc_pipeline.defs.partitions import camera_days
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.stages.versions import CODE_VERSIONS, TRACKS


@dg.multi_asset(
    name="tracking",
    partitions_def=camera_days,
    specs=[
        dg.AssetSpec(
            "detections",
            deps=["raw_detections"],
            description="Boxes in Postgres, each with the track that took it (0: none), partitioned by month.",
            kinds={"postgres"},
            owners=stage.OWNERS,
            metadata=columns.of_table("detections"),
            group_name="vision",
            code_version=CODE_VERSIONS[TRACKS],
        ),
        dg.AssetSpec(
            "tracks",
            deps=["raw_detections"],
            description="One row a person while in view, with every sighting. Made again when the tracker changes.",
            kinds={"python", "postgres"},
            owners=stage.OWNERS,
            metadata=columns.of_table("tracks"),
            group_name="vision",
            code_version=CODE_VERSIONS[TRACKS],
        ),
    ],
)
def tracking(context: dg.AssetExecutionContext, pipeline: Pipeline) -> Iterator[dg.MaterializeResult]:
    """Track the stored boxes of a camera-day and load detections and tracks."""
    report, shown = stage.run(context, pipeline, TRACKS)
    for name in ("detections", "tracks"):
        rows = int(report.details.get(name, 0))
        yield dg.MaterializeResult(
            asset_key=name,
            metadata={**shown, "dagster/row_count": rows},
            data_version=dg.DataVersion(report.fingerprint),
        )
