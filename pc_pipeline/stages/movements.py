"""The `people_movements` and `zone_visits` stages: whole visits against the lines and zones in force."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from psycopg2.extensions import connection as Connection

from pc_pipeline.counting.crossings import Crossing, line_crossings
from pc_pipeline.counting.geometry import Floats, Line, Side
from pc_pipeline.counting.zones import zone_visits
from pc_pipeline.ingest.site import CountingConfig, EffectiveCamera
from pc_pipeline.stages.fingerprints import chained_videos, chains, geometry
from pc_pipeline.stages.machine import Machine
from pc_pipeline.stages.written import Written
from pc_pipeline.store import counts
from pc_pipeline.store.ledger import CameraSpan, Video, ZoneVersion
from pc_pipeline.store.tracks import each_track, load_tracks
from pc_pipeline.vision.arrays import Track

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


@dataclass(frozen=True)
class Visit:
    """One person while in view: the tracks of a chain end to end, in pixels of the video that is counted.

    time_us int64[S] (µs since 1970), points float64[S, 2] (the anchor), heights float64[S]; `source[i]` says which
    video, track and sighting in it the i-th one is.
    """

    time_us: np.ndarray
    points: np.ndarray
    heights: np.ndarray
    source: list[tuple[Video, Track, int]]


def visits(connection: Connection, span: CameraSpan, video: Video, config: CountingConfig) -> Iterator[Visit]:
    """Every visit that touches `video`, one at a time: each of its tracks with those around it in its chain."""
    videos = {v.video_id: v for v in chained_videos(span, video)}
    chain_of = {member: chain for chain in chains(span) for member in chain}
    for track in each_track(connection, video.video_id):
        me = (video.video_id, track.track_id)
        chain = chain_of.get(me, [me])
        if me != next(member for member in chain if member[0] == video.video_id):
            continue  # given with the first of its tracks in this video
        others = {(v, t): one for v, t in chain if (v, t) != me for one in load_tracks(connection, v, [t])}
        yield _visit([(videos[v], {me: track, **others}[v, t]) for v, t in chain], video, config)


def _visit(members: list[tuple[Video, Track]], counted: Video, config: CountingConfig) -> Visit:
    times, points, heights = [], [], []
    source: list[tuple[Video, Track, int]] = []
    for video, track in members:
        # Files of one camera may differ in size; the picture they show is the same.
        scale = np.array([counted.width / video.width, counted.height / video.height])
        points.append(track.anchor(config.anchor) * scale)
        heights.append(track.height * scale[1])
        times.append(track.time_us + (video.started_at - _EPOCH) // _MICROSECOND)
        source += [(video, track, index) for index in range(len(track.time_us))]
    time_us = np.concatenate(times)
    order = np.argsort(time_us, kind="stable")
    return Visit(
        time_us[order], np.concatenate(points)[order], np.concatenate(heights)[order], [source[i] for i in order]
    )


def write_movements(
    connection: Connection, machine: Machine, span: CameraSpan, video: Video, fingerprint: str
) -> Written:
    """Write one row a crossing, for the crossings whose first sighting at or after the line is in this video."""
    config = EffectiveCamera.model_validate(span.config).counting
    lines = [(zone.name, line_of(zone)) for zone in geometry(span, "line", video)]
    rows = []
    for visit in visits(connection, span, video, config):
        for name, line in lines:
            for crossing in line_crossings(
                visit.time_us, visit.points, visit.heights, line, (video.width, video.height), config.band
            ):
                where, track, sighting = visit.source[crossing.sighting]
                if where.video_id == video.video_id:
                    rows.append(_movement(name, crossing, video, track, sighting))
    counts.replace_movements(connection, video.video_id, video.camera, rows)
    entered = sum(row.direction == "in" for row in rows)
    return Written(rows=len(rows), details={"in": entered, "out": len(rows) - entered, "lines": len(lines)})


def line_of(zone: ZoneVersion) -> Line:
    """A stored line."""
    x1, y1, x2, y2 = zone.points
    return Line((x1, y1), (x2, y2), cast(Side, zone.in_side))


def corners_of(zone: ZoneVersion) -> Floats:
    """A stored zone's corners, float64[K, 2], 0..1."""
    return np.array(zone.points, np.float64).reshape(-1, 2)


def _movement(line: str, crossing: Crossing, video: Video, track: Track, sighting: int) -> counts.Movement:
    # Met between two files, the line is crossed when the later one begins: a movement lies in its video.
    ts = max(_EPOCH + crossing.time_us * _MICROSECOND, video.started_at)
    return counts.Movement(
        track_id=track.track_id,
        line=line,
        direction=crossing.direction,
        ts=ts,
        centroid=crossing.point,
        box=tuple(track.boxes[sighting].tolist()),
        confidence=float(track.confidence[sighting]),
        frame_number=int(track.frame_number[sighting]),
    )


def write_visits(connection: Connection, machine: Machine, span: CameraSpan, video: Video, fingerprint: str) -> Written:
    """Write one row a stay in a zone, for the stays that begin in this video."""
    config = EffectiveCamera.model_validate(span.config).counting
    zones = [(zone.name, corners_of(zone)) for zone in geometry(span, "zone", video)]
    rows = []
    for visit in visits(connection, span, video, config):
        for name, polygon in zones:
            for stay in zone_visits(
                visit.time_us, visit.points, visit.heights, polygon, (video.width, video.height), config.band
            ):
                where, track, _ = visit.source[stay.entered_sighting]
                if where.video_id == video.video_id:
                    entered, exited = (_EPOCH + int(t) * _MICROSECOND for t in (stay.entered_us, stay.exited_us))
                    # As a movement, a stay lies in its video.
                    entered = max(entered, video.started_at)
                    seen = (stay.entered_seen, stay.exited_seen)
                    rows.append(counts.ZoneVisit(track.track_id, name, entered, exited, *seen))
    counts.replace_zone_visits(connection, video.video_id, video.camera, rows)
    return Written(rows=len(rows), details={"visits": len(rows), "zones": len(zones)})
