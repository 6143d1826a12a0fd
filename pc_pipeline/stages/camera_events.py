"""The `camera_events` stage: what was wrong with a video's picture, its frame rate, and the time before it."""

import datetime as dt
from collections import Counter

from psycopg2.extensions import connection as Connection

from pc_pipeline.ingest.site import EffectiveCamera
from pc_pipeline.stages.fingerprints import RAW_DETECTIONS, Before, before
from pc_pipeline.stages.machine import Machine
from pc_pipeline.stages.written import Written
from pc_pipeline.store import events, parquet
from pc_pipeline.store.events import CameraEvent
from pc_pipeline.store.ledger import CameraSpan, Video
from pc_pipeline.vision.picture import PictureEvent, Usual, find_events, frame_rate_events, hole_events


def write(connection: Connection, machine: Machine, span: CameraSpan, video: Video, fingerprint: str) -> Written:
    """Replace a video's events: from what was stored beside its boxes, and from the camera's videos before it."""
    raw = video.done(RAW_DETECTIONS)
    assert raw
    settings = EffectiveCamera.model_validate(span.config).quality
    known = before(span, video)
    looks = parquet.read_looks(machine.raw_dir, raw)
    decoded = looks.decoded
    end_us = decoded.last_pts_us + decoded.median_step_us
    found: list[PictureEvent] = hole_events(decoded.holes_us, settings.gap)
    found += frame_rate_events(decoded.median_step_us, end_us, video.nominal_fps, known.fps, settings.frame_rate)
    if looks.picture:
        usual = Usual(
            events.reference_picture(connection, known.reference.video_id) if known.reference else None,
            known.at_once,
            known.sharpness,
        )
        found += find_events(looks.picture, end_us, usual, settings, (video.width, video.height))
    rows = _gap_before(known, video) + [_in_time(event, video) for event in found]
    events.replace_events(connection, video.video_id, video.camera, rows)
    return Written(rows=len(rows), details=dict(Counter(f"{row.kind} events" for row in rows)))


def _in_time(event: PictureEvent, video: Video) -> CameraEvent:
    start, end = (video.started_at + dt.timedelta(microseconds=us) for us in (event.start_us, event.end_us))
    return CameraEvent(event.kind, start, end, event.value, event.detail)


def _gap_before(known: Before, video: Video) -> list[CameraEvent]:
    if known.gap_from is None:
        return []
    seconds = (video.started_at - known.gap_from).total_seconds()
    lasted = f"{seconds:.1f} s" if seconds < 120 else f"{dt.timedelta(seconds=round(seconds))} (h:mm:ss)"
    sentence = f"No video for {lasted}: see to the camera's power and network, and the recorder's schedule."
    return [CameraEvent("gap", known.gap_from, video.started_at, round(seconds, 3), sentence)]
