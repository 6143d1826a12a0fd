"""`camera_events`: what was wrong with the video itself. No video is decoded here."""

import dagster as dg

from pc_pipeline.defs import columns, stage
from pc_pipeline.defs.partitions import camera_and_date, camera_days, site, this_day_and_the_day_before
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.stages.versions import CAMERA_EVENTS, CODE_VERSIONS


@dg.asset(
    partitions_def=camera_days,
    deps=[dg.AssetDep("raw_detections", partition_mapping=this_day_and_the_day_before)],
    group_name="vision",
    kinds={"python", "postgres"},
    owners=stage.OWNERS,
    metadata=columns.of_table("camera_events"),
    code_version=CODE_VERSIONS[CAMERA_EVENTS],
)
def camera_events(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Gaps, and a picture that is frozen, black, covered, moved or at another frame rate. They change no count: they
    say which ones to doubt."""
    from pc_pipeline.store import events
    from pc_pipeline.store.postgres import in_transaction

    report, shown = stage.run(context, pipeline, CAMERA_EVENTS)
    camera, date = camera_and_date(context)
    zone = site().zone_info
    found, _ = in_transaction(pipeline.dsn(), lambda connection: events.events(connection, zone, camera, date))
    if found:
        shown["events"] = stage.table(
            ("from", "to", "seconds", "kind", "value", "what it is, and what to do"),
            [
                (
                    f"{event['started_at'].astimezone(zone):%Y-%m-%d %H:%M:%S}",
                    f"{event['ended_at'].astimezone(zone):%Y-%m-%d %H:%M:%S}",
                    round(event["seconds"], 1), event["kind"], event["value"], event["detail"],
                )
                for event in found
            ],
        )  # fmt: skip
    return dg.MaterializeResult(metadata=shown, data_version=dg.DataVersion(report.fingerprint))
