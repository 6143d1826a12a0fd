"""What each stage hangs on, as one fingerprint: equal fingerprints mean equal rows.

A stage's fingerprint takes in the fingerprints of the stages before it as the ledger has them, so a change
travels down the way, and only down: a moved line changes `people_movements` and what follows, never a detection.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pc_pipeline.counting import crossings, links, zones
from pc_pipeline.store.ledger import CameraSpan, Video, ZoneVersion
from pc_pipeline.vision import detect, gender, track

RAW_DETECTIONS = "raw_detections"
TRACKS = "tracks"
TRACK_GENDERS = "track_genders"
RUN_GENDER_SUMMARY = "run_gender_summary"
TRACK_LINKS = "track_links"
PEOPLE_MOVEMENTS = "people_movements"
ZONE_VISITS = "zone_visits"
SESSION_STATISTICS = "session_statistics"

# In the order of the way. A version is raised when that code would give other rows for the same input.
CODE_VERSIONS: Mapping[str, str] = {
    RAW_DETECTIONS: detect.CODE_VERSION,
    TRACKS: track.CODE_VERSION,
    TRACK_GENDERS: gender.CODE_VERSION,
    RUN_GENDER_SUMMARY: "1",
    TRACK_LINKS: links.CODE_VERSION,
    PEOPLE_MOVEMENTS: crossings.CODE_VERSION,
    ZONE_VISITS: zones.CODE_VERSION,
    SESSION_STATISTICS: "1",
}
STAGES = tuple(CODE_VERSIONS)


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


def _raw_detections(span: CameraSpan, video: Video, models: ModelHashes) -> list[Any]:
    settings = {key: value for key, value in span.config["detector"].items() if key != "model"}
    return [video.content_hash, models.detector, settings]


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
    has: nothing that needs its frames is outstanding.
    """
    entry = video.ledger.get(stage)
    if video.status == "source deleted" and (stage == RAW_DETECTIONS or (stage == TRACK_GENDERS and entry)):
        return False
    fingerprint = expected(stage, span, video, models)
    return fingerprint is not None and (entry is None or entry.fingerprint != fingerprint)


def later(stage: str) -> tuple[str, ...]:
    """The stages that follow `stage` on the way."""
    return STAGES[STAGES.index(stage) + 1 :]
