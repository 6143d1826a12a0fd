"""What each stage hangs on, as one fingerprint: equal fingerprints mean equal rows.

A stage's fingerprint takes in the fingerprints of the stages before it as the ledger has them, so a change
travels down the way, and only down: a moved line changes `people_movements` and what follows, never a detection.
"""

import datetime as dt
import hashlib
import json
import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from pc_pipeline.ingest.site import QualityConfig
from pc_pipeline.stages.versions import (
    CAMERA_EVENTS,
    CODE_VERSIONS,
    PEOPLE_MOVEMENTS,
    RAW_DETECTIONS,
    RUN_GENDER_SUMMARY,
    SESSION_STATISTICS,
    STAGES,
    TRACK_GENDERS,
    TRACK_LINKS,
    TRACKS,
    ZONE_VISITS,
)
from pc_pipeline.store.ledger import CameraSpan, Video, ZoneVersion

# What is usual of a camera is the median of so many of its videos.
_USUAL_OF = 15
# Within a minute no scene looks like another one only because of the light.
_AT_ONCE = dt.timedelta(minutes=1)


@dataclass(frozen=True)
class ModelHashes:
    """SHA-256 of the model files a camera's configuration resolves to on this machine; gender None where it is off."""

    detector: str
    gender: str | None


def digest(*parts: Any) -> str:
    """32 hex digits of a hash over `parts` as canonical JSON."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def predecessor(span: CameraSpan, video: Video) -> Video | None:
    """The tracked video whose end `video` may go on from: the last to start before it, ending within the link gap."""
    gap = dt.timedelta(seconds=span.config["counting"]["link_gap"])
    before = [v for v in span.videos if v.started_at < video.started_at and v.done(TRACKS) and v.ended_at]
    if before and before[-1].ended_at and abs(video.started_at - before[-1].ended_at) <= gap:
        return before[-1]
    return None


@dataclass(frozen=True)
class Before:
    """What the last few videos before one tell of its camera; None where they tell nothing.

    Attributes:
        reference: the last of them that has a reference picture.
        at_once: the video begins within a minute of that one's end.
        gap_from: the end of the last of them, where that is long enough before the video to be a gap.
        sharpness: their usual one, in steps of a factor of 1.4: a late file seldom changes it.
        fps: their usual frames per second.
    """

    reference: Video | None
    at_once: bool
    gap_from: dt.datetime | None
    sharpness: float | None
    fps: float | None


def before(span: CameraSpan, video: Video) -> Before:
    """What is known of a video's camera from the videos of the span that start before it, whose frames were seen.

    A video whose file is gone counts, though its raw detections may be lost: what was found out about it stays.
    """
    place = bisect_left(span.videos, video.started_at, key=lambda v: v.started_at)
    earlier: list[Video] = []
    while place and len(earlier) < _USUAL_OF:
        place -= 1
        one = span.videos[place]
        if one.ended_at and (one.done(RAW_DETECTIONS) or one.status == "source deleted"):
            earlier.append(one)
    ended = max((v.ended_at for v in earlier if v.ended_at), default=None)
    least = dt.timedelta(seconds=_quality(span).gap)
    reference = next((v for v in earlier if v.sharpness), None)
    sharp = [v.sharpness for v in earlier if v.sharpness]
    rates = [v.fps for v in earlier if v.fps]
    return Before(
        reference=reference,
        at_once=bool(reference and reference.ended_at and abs(video.started_at - reference.ended_at) <= _AT_ONCE),
        gap_from=ended if ended and video.started_at - ended >= max(least, dt.timedelta(microseconds=1)) else None,
        sharpness=2.0 ** (round(2 * math.log2(median(sharp))) / 2) if sharp else None,
        fps=round(median(rates), 1) if rates else None,
    )


def _quality(span: CameraSpan) -> QualityConfig:
    """A camera that was configured before there were these settings has the usual ones."""
    return QualityConfig.model_validate(span.config.get("quality", {}))


def chains(span: CameraSpan) -> list[list[tuple[int, int]]]:
    """Linked tracks as chains of (video id, track id), each in order of time; tracks without a link are not in it."""
    following = {
        (link.previous_video_id, link.previous_track_id): (link.video_id, link.track_id) for link in span.links
    }
    later = set(following.values())
    found = []
    for head in following:
        if head not in later:
            chain = [head]
            while chain[-1] in following:
                chain.append(following[chain[-1]])
            found.append(chain)
    return found


def chained_videos(span: CameraSpan, video: Video) -> list[Video]:
    """Every video that a chain through `video` touches, itself among them, in order of their start."""
    touched = {video.video_id}
    for chain in chains(span):
        members = {video_id for video_id, _ in chain}
        if video.video_id in members:
            touched |= members
    return [v for v in span.videos if v.video_id in touched]


def geometry(span: CameraSpan, kind: str, video: Video) -> list[ZoneVersion]:
    """The lines (`kind` line) or zones (`zone`) in force when `video` starts: of each name the latest version."""
    in_force: dict[str, ZoneVersion] = {}
    for version in span.zones:
        if version.kind == kind and (version.valid_from is None or version.valid_from <= video.started_at):
            in_force[version.name] = version
    return list(in_force.values())


def _raw_inputs(content_hash: str, detector_sha256: str, detector: Mapping[str, Any]) -> list[Any]:
    settings = {key: value for key, value in detector.items() if key != "model"}
    # Off, it is as it was before there was one.
    if not settings.get("motion_gate"):
        settings.pop("motion_gate", None)
    return [content_hash, detector_sha256, settings]


def raw_fingerprint(content_hash: str, detector_sha256: str, detector: Mapping[str, Any]) -> str:
    """The fingerprint of a video's raw detections, which hang on no camera and no day: a content hash, a model and the
    camera's `detector` settings are all it takes."""
    inputs = _raw_inputs(content_hash, detector_sha256, detector)
    return digest(RAW_DETECTIONS, CODE_VERSIONS[RAW_DETECTIONS], inputs)


def _raw_detections(span: CameraSpan, video: Video, models: ModelHashes) -> list[Any]:
    return _raw_inputs(video.content_hash, models.detector, span.config["detector"])


def _camera_events(span: CameraSpan, video: Video, models: ModelHashes) -> list[Any]:
    known = before(span, video)
    reference = known.reference
    return [
        video.done(RAW_DETECTIONS),
        video.started_at,
        video.nominal_fps,
        (reference.video_id, reference.done(RAW_DETECTIONS), known.at_once) if reference else "none",
        (known.gap_from, known.sharpness, known.fps),
        _quality(span).model_dump(),
    ]


def _tracks(span: CameraSpan, video: Video, models: ModelHashes) -> list[Any]:
    return [video.done(RAW_DETECTIONS), span.config["tracker"], video.started_at]


def _track_genders(span: CameraSpan, video: Video, models: ModelHashes) -> list[Any]:
    settings = {key: value for key, value in span.config["gender"].items() if key != "model"}
    return [video.done(TRACKS), models.gender, settings if models.gender else None]


def _run_gender_summary(span: CameraSpan, video: Video, models: ModelHashes) -> list[Any]:
    return [video.done(TRACK_GENDERS)]


def _track_links(span: CameraSpan, video: Video, models: ModelHashes) -> list[Any]:
    before = predecessor(span, video)
    return [
        video.done(TRACKS),
        (before.video_id, before.done(TRACKS)) if before else "none",
        span.config["counting"]["link_gap"],
    ]


def _over_chains(span: CameraSpan, video: Video, kind: str) -> list[Any]:
    touched = [[v.video_id, v.done(TRACKS), v.done(TRACK_LINKS)] for v in chained_videos(span, video)]
    shapes = [[z.name, z.points, z.in_side] for z in geometry(span, kind, video)]
    # Without its own links done, a video's chains are not known.
    return [
        video.done(TRACK_LINKS),
        touched,
        shapes,
        span.config["counting"]["band"],
        span.config["counting"]["anchor"],
    ]


def _people_movements(span: CameraSpan, video: Video, models: ModelHashes) -> list[Any]:
    return _over_chains(span, video, "line")


def _zone_visits(span: CameraSpan, video: Video, models: ModelHashes) -> list[Any]:
    return _over_chains(span, video, "zone")


def _session_statistics(span: CameraSpan, video: Video, models: ModelHashes) -> list[Any]:
    upstream = (PEOPLE_MOVEMENTS, ZONE_VISITS, RUN_GENDER_SUMMARY)
    done = [video.done(stage) for stage in upstream]
    return [None if None in done else done]


_INPUTS: Mapping[str, Callable[[CameraSpan, Video, ModelHashes], list[Any]]] = {
    RAW_DETECTIONS: _raw_detections,
    CAMERA_EVENTS: _camera_events,
    TRACKS: _tracks,
    TRACK_GENDERS: _track_genders,
    RUN_GENDER_SUMMARY: _run_gender_summary,
    TRACK_LINKS: _track_links,
    PEOPLE_MOVEMENTS: _people_movements,
    ZONE_VISITS: _zone_visits,
    SESSION_STATISTICS: _session_statistics,
}


def expected(stage: str, span: CameraSpan, video: Video, models: ModelHashes) -> str | None:
    """The fingerprint `stage` of `video` should have now; None while the stage before it is not done."""
    inputs = _INPUTS[stage](span, video, models)
    return None if inputs[0] is None else digest(stage, CODE_VERSIONS[stage], inputs)


def outstanding(stage: str, span: CameraSpan, video: Video, models: ModelHashes) -> bool:
    """Whether `stage` of `video` has work to do that can be done now.

    A quarantined row with the expected fingerprint is settled. A video whose source is deleted keeps the results it
    has: nothing that needs its frames is outstanding. Nor is what has gone by retention, or needs boxes that have.
    """
    entry = video.ledger.get(stage)
    if video.expired(stage) or (video.expired(RAW_DETECTIONS) and stage in (CAMERA_EVENTS, TRACKS)):
        return False
    if video.status == "source deleted" and stage == RAW_DETECTIONS:
        return False
    if stage == TRACK_GENDERS and entry and (video.status == "source deleted" or video.expired(RAW_DETECTIONS)):
        return False
    fingerprint = expected(stage, span, video, models)
    return fingerprint is not None and (entry is None or entry.fingerprint != fingerprint)


def later(stage: str) -> tuple[str, ...]:
    """The stages that follow `stage` on the way."""
    return STAGES[STAGES.index(stage) + 1 :]
