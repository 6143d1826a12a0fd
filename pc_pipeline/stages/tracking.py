"""The `detections` and `tracks` stage: stored boxes become tracks, and both go to Postgres."""

from psycopg2.extensions import connection as Connection

from pc_pipeline.ingest.site import EffectiveCamera
from pc_pipeline.stages.fingerprints import RAW_DETECTIONS, TRACK_LINKS, TRACKS, later
from pc_pipeline.stages.machine import Machine
from pc_pipeline.stages.written import Written
from pc_pipeline.store import ledger, parquet, sessions
from pc_pipeline.store.detections import insert_detections
from pc_pipeline.store.ledger import CameraSpan, Video
from pc_pipeline.store.tracks import bulk_upsert_tracks
from pc_pipeline.vision.track import track


def write(connection: Connection, machine: Machine, span: CameraSpan, video: Video, fingerprint: str) -> Written:
    """Track a video's stored boxes and replace its detections and tracks.

    What hung on the tracks before goes with them, so the ledger forgets it: also the links of a following file.
    """
    raw = video.done(RAW_DETECTIONS)
    assert raw
    detections, _ = parquet.read_raw(machine.raw_dir, raw)
    config = EffectiveCamera.model_validate(span.config)
    tracks, track_ids = track(detections, config.tracker, (video.width, video.height))
    linked = sessions.clear_results(connection, video.video_id)
    ledger.forget(
        connection,
        [(video.video_id, stage) for stage in later(TRACKS)] + [(other, TRACK_LINKS) for other in linked],
    )
    loads = (
        insert_detections(connection, video.video_id, video.started_at, detections, track_ids, machine.load),
        bulk_upsert_tracks(connection, video.video_id, video.started_at, tracks, machine.load),
    )
    return Written(
        rows=len(detections.boxes),
        details={
            "detections": len(detections.boxes),
            "tracks": len(tracks),
            "detections_in_a_track": int((track_ids > 0).sum()),
        },
        loads=loads,
    )
