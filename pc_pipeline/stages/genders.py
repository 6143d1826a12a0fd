"""The `track_genders` stage: apparent gender from each track's best crops, where a gender model is configured."""

from pathlib import Path

from psycopg2.extensions import connection as Connection

from pc_pipeline.errors import SourceChanged, UnreadableVideo
from pc_pipeline.ingest.site import EffectiveCamera
from pc_pipeline.stages.detecting import check_unchanged
from pc_pipeline.stages.machine import Machine
from pc_pipeline.stages.written import Written
from pc_pipeline.store import counts, sessions
from pc_pipeline.store.detections import seen_boxes
from pc_pipeline.store.ledger import CameraSpan, Video
from pc_pipeline.store.tracks import each_track, track_numbers
from pc_pipeline.vision import models
from pc_pipeline.vision.crops import choose_crops
from pc_pipeline.vision.gender import UNKNOWN, TrackGender, judge_crops


def write(connection: Connection, machine: Machine, span: CameraSpan, video: Video, fingerprint: str) -> Written:
    """Write one row a track: `unknown` where gender is off, cannot be told, or the video's file is gone.

    Raises:
        SourceChanged: the file is not the one that was registered, or can no longer be read.
    """
    config = EffectiveCamera.model_validate(span.config)
    if config.gender.model and video.status == "present":
        model = models.resolve(config.gender.model, machine.models_dir)
        sessions.save_model(connection, model)
        tracks = each_track(connection, video.video_id)
        seen = seen_boxes(connection, video.video_id, video.started_at)
        crops = choose_crops(tracks, seen, config.gender, (video.width, video.height))
        path = Path(video.path)
        check_unchanged(path, video)
        try:
            genders = judge_crops(path, crops, model, config.gender)
        except UnreadableVideo as error:
            raise SourceChanged(f"{error}; its genders are told later") from error
        check_unchanged(path, video)
    else:
        genders = [TrackGender(number, UNKNOWN, 0.0, 0) for number in track_numbers(connection, video.video_id)]
    counts.replace_genders(connection, video.video_id, genders)
    return Written(
        rows=len(genders),
        details={"tracks": len(genders), "unknown": sum(gender.gender == UNKNOWN for gender in genders)},
    )
