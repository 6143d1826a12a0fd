"""A video with its story drawn over: of a counted one as it was counted, of another detected and tracked now."""

import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from psycopg2.extensions import connection as Connection

from pc_pipeline.counting.crossings import line_crossings
from pc_pipeline.counting.geometry import Floats, Line
from pc_pipeline.counting.zones import zone_visits
from pc_pipeline.errors import SourceChanged, UserError
from pc_pipeline.ingest.site import EffectiveCamera
from pc_pipeline.pictures.annotate import Crossed, Overlay, Stay, Story
from pc_pipeline.pictures.blur import hidden, hide
from pc_pipeline.pictures.encode import VideoFile
from pc_pipeline.stages import fingerprints as fp
from pc_pipeline.stages.detecting import check_unchanged, detect_file
from pc_pipeline.stages.movements import corners_of, line_of
from pc_pipeline.stages.registration import content_hash
from pc_pipeline.stages.runner import day_span
from pc_pipeline.store import shown
from pc_pipeline.store.ledger import CameraSpan, Video
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.store.tracks import load_tracks
from pc_pipeline.vision.decode import probe, read_frames
from pc_pipeline.vision.detect import PROGRESS_EVERY_S, Progress
from pc_pipeline.vision.track import track

_MICROSECOND = dt.timedelta(microseconds=1)
# The geometry's own stages hang on no model.
_NO_MODELS = fp.ModelHashes("", None)


@dataclass(frozen=True)
class Told:
    """A video and its story.

    Attributes:
        path: the file.
        story: what is drawn.
        untracked_us: int64[N], µs from the video's start, of the boxes no track took; None where they are not kept
            any more.
        untracked: float32[N, 4], those boxes, pixels.
        sample_every_s: seconds between the frames people were looked for in, 0 for every frame.
        started_at: when the video starts; None where that is not known.
        warnings: one sentence each.
    """

    path: Path
    story: Story
    untracked_us: NDArray[np.int64] | None
    untracked: NDArray[np.float32]
    sample_every_s: float
    started_at: dt.datetime | None = None
    warnings: tuple[str, ...] = ()


def stored(dsn: str, path: Path) -> Told | None:
    """The story of a file as it was counted, found by its content; None where it is not counted yet."""
    digest = content_hash(path)
    known, _ = in_transaction(dsn, lambda connection: shown.videos_with(connection, digest))
    if not known:
        return None
    # Several cameras may hold the same file.
    place = next((place for where, place in known if where == str(path)), known[0][1])
    return in_transaction(dsn, lambda connection: _counted(connection, place, path))[0]


def stored_as(dsn: str, video_id: int) -> Told:
    """The story of a counted video by its number.

    Raises:
        UserError: there is none, it is not counted yet, or its file is gone or another.
    """

    def read(connection: Connection) -> Told:
        place = shown.place_of(connection, video_id)
        if place is None:
            raise UserError(f"There is no video {video_id}: `pc tracks` shows the numbers of the sessions.")
        told = _counted(connection, place, None)
        if told is None:
            raise UserError(f"Video {video_id} is not counted yet: materialize its camera-day, or run `pc process`.")
        return told

    return in_transaction(dsn, read)[0]


def _counted(connection: Connection, place: shown.Place, path: Path | None) -> Told | None:
    video_id, camera, date = place
    span = day_span(connection, camera, date)
    video = span.video(video_id)
    if video.ended_at is None or not all(map(video.done, (fp.TRACKS, fp.PEOPLE_MOVEMENTS, fp.ZONE_VISITS))):
        return None
    if path is None:
        path = Path(video.path)
        try:
            check_unchanged(path, video)
        except SourceChanged:
            raise UserError(
                f"{path} is gone, or not the file that was counted: give a copy of that one as VIDEO."
            ) from None
    tracks = load_tracks(connection, video_id)
    story = Story(
        tracks=tracks,
        lines={zone.name: line_of(zone) for zone in fp.geometry(span, "line", video)},
        zones={zone.name: corners_of(zone) for zone in fp.geometry(span, "zone", video)},
        crossings=[
            Crossed((ts - video.started_at) // _MICROSECOND, line, "in" if direction == "in" else "out", (x, y))
            for ts, line, direction, x, y in shown.crossings(connection, video_id)
        ],
        stays=[
            Stay(zone, (entered - video.started_at) // _MICROSECOND, (exited - video.started_at) // _MICROSECOND)
            for zone, entered, exited in shown.stays(connection, camera, video.started_at, video.ended_at)
        ],
    )
    kept = shown.has_detections(connection, video_id, video.started_at, video.ended_at) or not tracks
    untracked_us, untracked = shown.untracked(connection, video_id, video.started_at, video.ended_at)
    sampled = shown.sample_every_s(connection, video_id)
    doubts = tuple(_doubts(span, video))
    return Told(path, story, untracked_us if kept else None, untracked, sampled, video.started_at, doubts)


def _doubts(span: CameraSpan, video: Video) -> Iterable[str]:
    if any(fp.outstanding(stage, span, video, _NO_MODELS) for stage in (fp.PEOPLE_MOVEMENTS, fp.ZONE_VISITS)):
        yield "the counts shown are older than what is configured now: run `pc process` on it, then this again"


def looked_at(
    path: Path,
    config: EffectiveCamera,
    lines: Mapping[str, Line],
    zones: Mapping[str, Floats],
    models_dir: Path,
    raw_dir: Path,
    progress: Callable[[Progress], None] | None = None,
) -> Told:
    """The story of a file that is detected, tracked and counted now; only its raw detections are kept.

    Args:
        zones: float64[K, 2] each, corners in 0..1.
        models_dir, raw_dir: folders of model weights and of raw detections.

    Raises:
        UnreadableVideo, ModelMissing: in one sentence.
    """
    facts = probe(path)
    frame_size = (facts.width, facts.height)
    detections, decoded = detect_file(path, config.detector, models_dir, raw_dir, frame_size, progress)
    tracks, track_ids = track(detections, config.tracker, frame_size)
    crossings, stays = [], []
    for person in tracks:
        times, points, heights = person.time_us, person.anchor(config.counting.anchor), person.height
        for name, line in lines.items():
            found = line_crossings(times, points, heights, line, frame_size, config.counting.band)
            crossings += [Crossed(crossing.time_us, name, crossing.direction, crossing.point) for crossing in found]
        for name, corners in zones.items():
            visits = zone_visits(times, points, heights, corners, frame_size, config.counting.band)
            stays += [Stay(name, visit.entered_us, visit.exited_us) for visit in visits]
    free = track_ids == 0
    return Told(
        path,
        Story(tracks, lines, zones, crossings, stays),
        detections.pts_us[detections.frame_index[free]],
        detections.boxes[free],
        config.detector.sample_every,
        warnings=tuple(decoded.warnings),
    )


@dataclass(frozen=True)
class Drawn:
    """What was written: frames, and the codec in words."""

    frames: int
    codec: str
    plays_in_browsers: bool


def draw(
    told: Told,
    out: Path,
    *,
    blur: bool,
    zone: ZoneInfo | None = None,
    from_s: float = 0.0,
    to_s: float | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Drawn:
    """Write the video with its story drawn over; `out` is there whole, or not at all.

    Args:
        blur: hide every person.
        zone: the site's; with it and a known start the clock shows local time, else time since the video's start.
        from_s, to_s: the part of the video to write, seconds from its start.

    Raises:
        UserError: people are to be hidden and not all boxes are kept, no frame lies in that part, or `out` cannot be
            written.
    """
    facts = probe(told.path)
    frame_size = (facts.width, facts.height)
    overlay = Overlay(told.story, frame_size)
    if blur and told.untracked_us is None:
        raise UserError(
            f"The detections of {told.path} are not kept any more, so nobody can say that everyone would be hidden:"
            " give --model to detect people anew."
        )
    veil = None
    if blur and told.untracked_us is not None:
        every_us = round(told.sample_every_s * 1e6)
        veil = hidden(told.story.tracks, told.untracked_us, told.untracked, frame_size, every_us)
    end_s = min(facts.duration_declared_s or float("inf"), to_s if to_s is not None else float("inf"))
    count, first_us, clock = 0, 0, _Clock(told.started_at, zone)
    meter = _Meter(progress, from_s, end_s)
    with VideoFile(out, frame_size, facts.nominal_fps) as file, closing(read_frames(told.path)) as frames:
        for frame in frames:
            if frame.pts_us < from_s * 1e6:
                continue
            if to_s is not None and frame.pts_us > to_s * 1e6:
                break
            first_us = first_us if count else frame.pts_us
            count += 1
            if veil:
                rows = veil.at(frame.pts_us)
                hide(frame.image, veil.boxes[rows], veil.cells[rows])
            overlay.draw(frame.image, frame.pts_us, clock.reads(frame.pts_us))
            file.write(frame.image, frame.pts_us - first_us)
            meter.show(count, frame.pts_us / 1e6)
        if not count:
            raise UserError(
                f"{told.path} holds no frame from {from_s:g} s on: it lasts {facts.duration_declared_s:g} s."
            )
    meter.end(count)
    return Drawn(count, file.codec, file.plays_in_browsers)


class _Clock:
    """Writes a frame's time: the site's local time where it is known, else the time since the video's start."""

    def __init__(self, started_at: dt.datetime | None, zone: ZoneInfo | None) -> None:
        self._start = started_at.astimezone(zone) if started_at and zone else None
        self._zone = zone

    def reads(self, time_us: int) -> str:
        since = dt.timedelta(microseconds=time_us // 100_000 * 100_000)
        if self._start is None:
            minutes, seconds = divmod(since.total_seconds(), 60)
            return f"{int(minutes // 60)}:{int(minutes % 60):02}:{seconds:04.1f}"
        # Through UTC, since clocks may change while the video runs.
        now = (self._start.astimezone(dt.UTC) + since).astimezone(self._zone)
        return f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 100_000} {now:%Z}"


class _Meter:
    """Tells how far the drawing is, a few times a second."""

    def __init__(self, progress: Callable[[Progress], None] | None, from_s: float, end_s: float) -> None:
        self._progress, self._from_s = progress, from_s
        self._total_s = end_s - from_s if end_s < float("inf") else 0.0
        self._started = self._shown = time.monotonic()

    def show(self, frames: int, now_s: float) -> None:
        now = time.monotonic()
        if self._progress and now - self._shown >= PROGRESS_EVERY_S:
            self._shown = now
            self._progress(Progress(frames, now_s - self._from_s, self._total_s, self._rate(frames), None))

    def end(self, frames: int) -> None:
        if self._progress:
            whole_s = self._total_s or 1.0
            self._progress(Progress(frames, whole_s, whole_s, self._rate(frames), None))

    def _rate(self, frames: int) -> float:
        return frames / max(time.monotonic() - self._started, 1e-9)
