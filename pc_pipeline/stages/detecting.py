"""The `raw_detections` stage: decode, detect, and keep every sampled frame's boxes in a Parquet file."""

import datetime as dt
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from pathlib import Path

from psycopg2.extensions import connection as Connection

from pc_pipeline.errors import SourceChanged, UnreadableVideo
from pc_pipeline.ingest.site import DetectorConfig, EffectiveCamera
from pc_pipeline.stages.fingerprints import (
    CAMERA_EVENTS,
    RAW_DETECTIONS,
    SESSION_STATISTICS,
    TRACKS,
    ModelHashes,
    outstanding,
    raw_fingerprint,
)
from pc_pipeline.stages.machine import Machine
from pc_pipeline.stages.registration import content_hash
from pc_pipeline.stages.written import Written
from pc_pipeline.store import events, ledger, parquet, sessions
from pc_pipeline.store.ledger import CameraSpan, Video, named_fingerprints
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.vision import models, picture
from pc_pipeline.vision.arrays import Detections
from pc_pipeline.vision.detect import DecodeReport, Detector, Progress, detect_in_pieces, load_detector
from pc_pipeline.vision.models import ModelFile

# Twenty-four files of a day share one compiled model.
_load_detector = lru_cache(maxsize=2)(load_detector)


def lost(machine: Machine, span: CameraSpan, video: Video, hashes: ModelHashes) -> bool:
    """Whether a stage that reads it now finds the Parquet file that the ledger names missing or damaged.

    Where none does, it is left so: tracks and all that follows stand without it, and after the loss of a disk it would
    be months of detection for nothing.
    """
    fingerprint = video.done(RAW_DETECTIONS)
    if fingerprint is None or video.status == "source deleted" or video.expired(RAW_DETECTIONS):
        return False
    read_now = any(outstanding(stage, span, video, hashes) for stage in (CAMERA_EVENTS, TRACKS))
    return read_now and not parquet.readable(machine.raw_dir, fingerprint)


def _detector(model: ModelFile, config: EffectiveCamera, video: Video) -> Detector:
    detector = config.detector
    return _load_detector(
        model,
        detector.confidence,
        detector.iou,
        tuple(detector.classes),
        (video.width, video.height),
        detector.motion_gate,
    )


def detect(machine: Machine, span: CameraSpan, video: Video, fingerprint: str) -> bool:
    """Look at a video's frames and write `<fingerprint>.parquet`; the session shows as active meanwhile.

    Nothing is decoded where that file is there: a run died before it could note it, or the configuration went back.
    Returns whether it was decoded.

    Raises:
        UnreadableVideo: no frame could be decoded.
        SourceChanged: the file is not the one that was registered.
    """
    if parquet.readable(machine.raw_dir, fingerprint):
        return False
    config = EffectiveCamera.model_validate(span.config)
    path = Path(video.path)
    check_unchanged(path, video)
    model = models.resolve(config.detector.model, machine.models_dir)

    def begin(connection: Connection) -> bool:
        died = sessions.is_active(connection, video.video_id)
        sessions.save_model(connection, model)
        sessions.begin(connection, _session(config, video, model.sha256, None))
        # Whatever becomes of this, the session's statistics close it again.
        ledger.forget(connection, [(video.video_id, SESSION_STATISTICS)])
        return died

    detector = _detector(model, config, video)
    report = machine.progress
    if in_transaction(machine.dsn, begin)[0]:
        machine.log(f"{video.path}: a run died over it; this time another process looks at it")
        _look_apart(machine, config, video, model, fingerprint)
    else:
        on_progress = (lambda p: report(video.path, p)) if report else None
        _look(machine.raw_dir, config, video, detector, fingerprint, on_progress)
    return True


def _look(
    raw_dir: Path,
    config: EffectiveCamera,
    video: Video,
    detector: Detector,
    fingerprint: str,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    path = Path(video.path)
    with parquet.new_raw(raw_dir, fingerprint) as new:
        decoded = detect_in_pieces(path, detector, config.detector.sample_every, new.add, on_progress)
        check_unchanged(path, video)
        new.finish(decoded)


def _look_apart(machine: Machine, config: EffectiveCamera, video: Video, model: ModelFile, fingerprint: str) -> None:
    """The same in a process of its own: if the video kills it, nothing else dies, and it is known which one did.

    Raises:
        UnreadableVideo: it killed the process.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        try:
            processes.submit(_begin_to_look, machine.raw_dir, config, video, model, fingerprint).result()
        except BrokenProcessPool:
            raise UnreadableVideo(
                f"{video.path}: two processes died while they looked at it: it makes the decoder or detector crash, or"
                " takes more memory than this machine has; copy it again, or replace it"
            ) from None


def _begin_to_look(raw_dir: Path, config: EffectiveCamera, video: Video, model: ModelFile, fingerprint: str) -> None:
    _look(raw_dir, config, video, _detector(model, config, video), fingerprint, None)


def check_unchanged(path: Path, video: Video) -> None:
    """Compare a file's size and time with what was registered.

    Raises:
        SourceChanged: they differ, or it is gone.
    """
    try:
        facts = path.stat()
    except OSError as error:
        raise SourceChanged(
            f"The file could not be read any more ({error.strerror}); it is looked at again later."
        ) from error
    if (facts.st_size, facts.st_mtime_ns) != (video.size_bytes, video.mtime_ns):
        raise SourceChanged("The file changed after it was registered; it is registered and counted again later.")


def write(connection: Connection, machine: Machine, span: CameraSpan, video: Video, fingerprint: str) -> Written:
    """Write what detection found out about the session, and its reference picture; the boxes stay in Parquet."""
    config = EffectiveCamera.model_validate(span.config)
    looks = parquet.read_looks(machine.raw_dir, fingerprint)
    decoded, seen = looks.decoded, looks.picture
    model = models.resolve(config.detector.model, machine.models_dir)
    sessions.save_model(connection, model)
    sessions.save(connection, _session(config, video, model.sha256, decoded))
    reference = (picture.last_reference(seen), picture.sharpness(seen)) if seen else (None, None)
    events.replace_reference(connection, video.video_id, *reference)
    ledger.forget(connection, [(video.video_id, SESSION_STATISTICS)])
    return Written(
        rows=looks.boxes,
        details={
            "frames": decoded.frames_decoded,
            "frames_sampled": decoded.frames_sampled,
            "processing_ms": round(looks.processing_ms, 3),
        },
        warnings=tuple(decoded.warnings),
        frames=decoded.frames_decoded,
    )


def write_unreadable(connection: Connection, span: CameraSpan, video: Video, model_sha256: str) -> None:
    """Clear what was counted of a video whose file can no longer be read: its session is in error."""
    sessions.clear_results(connection, video.video_id)
    events.clear(connection, video.video_id)
    config = EffectiveCamera.model_validate(span.config)
    sessions.save(connection, _session(config, video, model_sha256, None))
    sessions.set_status(connection, video.video_id, "error")


def _session(
    config: EffectiveCamera, video: Video, model_sha256: str, decoded: DecodeReport | None
) -> sessions.SessionRow:
    """The session's row, before (`decoded` None) and after its frames were looked at."""
    length = dt.timedelta(microseconds=int(decoded.last_pts_us + decoded.median_step_us)) if decoded else None
    return sessions.SessionRow(
        session_id=video.video_id,
        camera=video.camera,
        name=f"{video.camera} {video.started_at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}Z",
        input_source=Path(video.path).name,
        confidence_threshold=config.detector.confidence,
        sample_every_s=config.detector.sample_every,
        fps=round(1e6 / decoded.median_step_us, 3) if decoded else 0.0,
        frames=decoded.frames_decoded if decoded else 0,
        frames_sampled=decoded.frames_sampled if decoded else 0,
        width=video.width,
        height=video.height,
        started_at=video.started_at,
        ended_at=video.started_at + length if length else None,
        model_sha256=model_sha256,
        warnings=decoded.warnings if decoded else [],
    )


def sweep(machine: Machine) -> int:
    """Remove the Parquet files no ledger row names, but for those of the last day; returns how many."""
    named, _ = in_transaction(machine.dsn, lambda connection: named_fingerprints(connection, RAW_DETECTIONS))
    return len(parquet.sweep(machine.raw_dir, named))


def detect_file(
    path: Path,
    config: DetectorConfig,
    models_dir: Path,
    raw_dir: Path,
    frame_size: tuple[int, int],
    progress: Callable[[Progress], None] | None = None,
) -> tuple[Detections, DecodeReport]:
    """The detections of a file that need not be registered: those stored under the pipeline's own fingerprint, else
    made now and stored for the next time.

    Args:
        raw_dir: where raw detections (Parquet) are kept.
        frame_size: width and height of the upright frames, pixels.

    Raises:
        UnreadableVideo: no frame could be decoded.
        ModelMissing: the detector is not on this machine.
    """
    model = models.resolve(config.model, models_dir)
    fingerprint = raw_fingerprint(content_hash(path), model.sha256, config.model_dump(mode="json"))
    if not parquet.readable(raw_dir, fingerprint):
        classes = tuple(config.classes)
        detector = _load_detector(model, config.confidence, config.iou, classes, frame_size, config.motion_gate)
        with parquet.new_raw(raw_dir, fingerprint) as new:
            new.finish(detect_in_pieces(path, detector, config.sample_every, new.add, progress))
    return parquet.read_raw(raw_dir, fingerprint)
