"""Run one stage over a camera-day: only what is outstanding, one video at a time, each in its own transaction."""

import contextlib
import datetime as dt
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg2.extensions import connection as Connection

from pc_pipeline.errors import SourceChanged, UnreadableVideo, UserError
from pc_pipeline.ingest.site import EffectiveCamera
from pc_pipeline.stages import camera_events, detecting, genders, linking, movements, statistics, tracking
from pc_pipeline.stages import fingerprints as fp
from pc_pipeline.stages.machine import Machine
from pc_pipeline.stages.usage import Meter, Usage
from pc_pipeline.stages.written import Written
from pc_pipeline.store import ledger, metrics, registry, sessions
from pc_pipeline.store.load import LoadReport
from pc_pipeline.store.parquet import ParquetCorrupt, ParquetMissing
from pc_pipeline.store.postgres import in_transaction, lock_video, one_connection
from pc_pipeline.store.rollups import day_of, unrolled_days
from pc_pipeline.vision import models

# Files of the neighbouring days may share a chain with this day's: two days reach past any 24-hour file.
_REACH = dt.timedelta(days=2)

Write = Callable[[Connection, Machine, ledger.CameraSpan, ledger.Video, str], Written]

_WRITE: Mapping[str, Write] = {
    fp.RAW_DETECTIONS: detecting.write,
    fp.CAMERA_EVENTS: camera_events.write,
    fp.TRACKS: tracking.write,
    fp.TRACK_GENDERS: genders.write,
    fp.RUN_GENDER_SUMMARY: statistics.write_gender_summary,
    fp.TRACK_LINKS: linking.write,
    fp.PEOPLE_MOVEMENTS: movements.write_movements,
    fp.ZONE_VISITS: movements.write_visits,
    fp.SESSION_STATISTICS: statistics.write_session,
}


@dataclass
class StageReport:
    """What a stage did for a camera-day; `loads` are the bulk loads, one a video and table, `frames` those it went
    through now."""

    computed: int = 0
    skipped: int = 0
    quarantined: list[tuple[str, str]] = field(default_factory=list)
    waiting: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    rows: int = 0
    frames: int = 0
    retries: int = 0
    loads: list[LoadReport] = field(default_factory=list)
    details: dict[str, float] = field(default_factory=dict)
    fingerprint: str = ""
    touched: bool = False
    """A video was outstanding, whatever became of it."""


def model_hashes(config: EffectiveCamera, machine: Machine) -> fp.ModelHashes:
    """Hashes of the models a camera's configuration names.

    Raises:
        ModelMissing: one of them is not on this machine.
    """
    detector = models.resolve(config.detector.model, machine.models_dir)
    gender = models.resolve(config.gender.model, machine.models_dir) if config.gender.model else None
    return fp.ModelHashes(detector.sha256, gender.sha256 if gender else None)


def day_span(connection: Connection, camera: str, date: dt.date) -> ledger.CameraSpan:
    """A camera's state around a date, wide enough for every chain through its videos."""
    return ledger.load_span(connection, camera, date - _REACH, date + _REACH)


def run_stage(stage: str, machine: Machine, camera: str, date: dt.date) -> StageReport:
    """Bring `stage` of a camera-day's videos up to date.

    A video whose file cannot be read is quarantined, one whose file changed meanwhile waits, and the rest go on.

    Raises:
        UserError: what stops every video alike, such as a model that is missing.
    """
    with one_connection():
        return _run_stage(stage, machine, camera, date)


def _run_stage(stage: str, machine: Machine, camera: str, date: dt.date) -> StageReport:
    meter = Meter()
    span, _ = in_transaction(machine.dsn, lambda connection: day_span(connection, camera, date))
    report = StageReport()
    of_day = [video for video in span.videos if video.date == date]
    if of_day:
        hashes = model_hashes(EffectiveCamera.model_validate(span.config), machine)
        for video in of_day:
            _run_video(stage, machine, span, video, hashes, report)
    done = {video.video_id: video.done(stage) for video in of_day}
    if report.touched:
        done, _ = in_transaction(machine.dsn, _closing(stage, machine, camera, date, report, meter.read()))
    report.fingerprint = fp.digest(sorted(done.items()))
    return report


def _closing(
    stage: str, machine: Machine, camera: str, date: dt.date, report: StageReport, usage: Usage
) -> Callable[[Connection], dict[int, str | None]]:
    """The transaction that reads what is done now, and notes what it took where something was computed."""
    run = metrics.StageRun(
        camera, stage, date, machine.run_id, report.computed, report.rows, report.frames, report.loads, **vars(usage)
    )

    def close(connection: Connection) -> dict[int, str | None]:
        if report.computed:
            metrics.record_run(connection, run)
        return ledger.done_on(connection, camera, date, stage)

    return close


def _run_video(
    stage: str,
    machine: Machine,
    span: ledger.CameraSpan,
    video: ledger.Video,
    hashes: fp.ModelHashes,
    report: StageReport,
) -> None:
    if stage == fp.RAW_DETECTIONS and detecting.lost(machine, span, video, hashes):
        machine.log(f"{video.path}: its raw detections are missing or damaged on disk and are made again")
        report.touched = True
        in_transaction(machine.dsn, lambda connection: ledger.forget(connection, [(video.video_id, stage)]))
        span, _ = in_transaction(machine.dsn, lambda connection: day_span(connection, video.camera, video.date))
        video = span.video(video.video_id)
    if not fp.outstanding(stage, span, video, hashes):
        report.skipped += 1
        return
    report.touched = True
    fingerprint = fp.expected(stage, span, video, hashes)
    assert fingerprint
    looked_at = True
    try:
        if stage == fp.RAW_DETECTIONS:
            looked_at = detecting.detect(machine, span, video, fingerprint)
        written, retries = in_transaction(machine.dsn, _replacing(stage, machine, span, video, hashes))
    except UnreadableVideo as error:
        in_transaction(machine.dsn, _quarantining(stage, machine, span, video, hashes, str(error)))
        report.quarantined.append((video.path, str(error)))
        machine.log(f"quarantined {video.path}: {error}")
        return
    except SourceChanged as error:
        in_transaction(machine.dsn, lambda connection: sessions.cancel(connection, video.video_id))
        _wait(machine, video, str(error), report)
        return
    except (ParquetMissing, ParquetCorrupt):
        in_transaction(machine.dsn, lambda connection: ledger.forget(connection, [(video.video_id, fp.RAW_DETECTIONS)]))
        _wait(
            machine, video, "Its raw detections are missing or damaged on disk: the next run makes them again.", report
        )
        return
    except BaseException:
        # A full disk, a lost database, a run cancelled in the UI: nobody looks at this video now.
        with contextlib.suppress(UserError):
            in_transaction(machine.dsn, lambda connection: sessions.cancel(connection, video.video_id))
        raise
    report.retries += retries
    if written is None:
        report.skipped += 1
        return
    report.computed += 1
    report.rows += written.rows
    report.frames += written.frames if looked_at else 0
    report.loads += [load.replayed(retries) for load in written.loads]
    report.warnings += [(video.path, warning) for warning in written.warnings]
    for name, value in written.details.items():
        report.details[name] = report.details.get(name, 0) + value


def _wait(machine: Machine, video: ledger.Video, why: str, report: StageReport) -> None:
    report.waiting.append((video.path, why))
    machine.log(f"{video.path} waits: {why}")


def _replacing(
    stage: str, machine: Machine, span: ledger.CameraSpan, video: ledger.Video, hashes: fp.ModelHashes
) -> Callable[[Connection], Written | None]:
    """The transaction that replaces a stage's rows of one video, and its ledger row with them.

    Locks are taken in order of the videos' start, so that two camera-days never wait for one another in a ring, and
    the state is read again behind them: what another run did meanwhile is skipped.
    """
    before = fp.predecessor(span, video)
    to_lock = {v.video_id: v for v in [*fp.chained_videos(span, video), *([before] if before else []), video]}

    def write(connection: Connection) -> Written | None:
        for locked in sorted(to_lock.values(), key=lambda v: v.started_at):
            lock_video(connection, locked.video_id)
        fresh = day_span(connection, video.camera, video.date)
        now = next((v for v in fresh.videos if v.video_id == video.video_id), None)
        if now is None or not fp.outstanding(stage, fresh, now, hashes):
            return None
        fingerprint = fp.expected(stage, fresh, now, hashes)
        assert fingerprint
        written = _WRITE[stage](connection, machine, fresh, now, fingerprint)
        ledger.record(
            connection,
            video.video_id,
            stage,
            ledger.Entry(fingerprint, "done"),
            code_version=fp.CODE_VERSIONS[stage],
            run_id=machine.run_id,
            rows=written.rows,
            details=written.details,
        )
        return written

    return write


def _quarantining(
    stage: str, machine: Machine, span: ledger.CameraSpan, video: ledger.Video, hashes: fp.ModelHashes, reason: str
) -> Callable[[Connection], None]:
    fingerprint = fp.expected(stage, span, video, hashes)
    assert fingerprint

    def quarantine(connection: Connection) -> None:
        lock_video(connection, video.video_id)
        detecting.write_unreadable(connection, span, video, hashes.detector)
        ledger.forget(connection, [(video.video_id, later) for later in fp.later(stage)])
        ledger.record(
            connection,
            video.video_id,
            stage,
            ledger.Entry(fingerprint, "quarantined", reason),
            code_version=fp.CODE_VERSIONS[stage],
            run_id=machine.run_id,
        )

    return quarantine


def outstanding_days(machine: Machine, camera: str, *, rollups: bool = True) -> dict[dt.date, str]:
    """The local dates of a camera that have work to do, over all its history, each with a hash of that work.

    With `rollups`, also those whose hours are not made from the sessions as they are counted.

    Raises:
        ModelMissing: a model its configuration names is not on this machine.
    """
    work = _examine(machine, camera, "").work
    return _with_rollups(work, _unrolled(machine, camera) if rollups else ())


@dataclass(frozen=True)
class Examined:
    """What is outstanding in a camera's history: a hash for each date that has work in it.

    Attributes:
        state: the history's hash (`ledger.states`) from before it was read.
        config: the camera's configuration; None where it has no videos.
        hashes: of the models it named then.
    """

    state: str
    config: EffectiveCamera | None
    hashes: fp.ModelHashes | None
    work: Mapping[dt.date, str]

    def holds(self, machine: Machine, state: str) -> bool:
        """Whether nothing has changed since, in the database or among the models."""
        return self.state == state and self.hashes == (model_hashes(self.config, machine) if self.config else None)


@dataclass
class Outstanding:
    """Camera-days with work to do, each with a hash of that work.

    Attributes:
        problems: of cameras that could not be examined, a sentence each.
        examined: for the next time: a camera whose history did not change is not gone through again.
        left: cameras for which there was no time.
    """

    days: dict[tuple[str, dt.date], str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    examined: dict[str, Examined] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def outstanding(
    machine: Machine, cameras: Iterable[str], before: Mapping[str, Examined] | None = None, within_s: float = math.inf
) -> Outstanding:
    """What `outstanding_days` says of each of these cameras.

    Args:
        before: `examined` of an earlier call. Without it nothing else is found; it only takes longer.
        within_s: after so many seconds no further history is gone through; those gone through longest ago come first.
    """
    found, known = Outstanding(), before or {}
    end = time.monotonic() + within_s
    wanted = set(cameras)
    with one_connection():
        states, _ = in_transaction(machine.dsn, ledger.states)
        for camera in [*sorted(wanted - known.keys()), *(camera for camera in known if camera in wanted)]:
            try:
                one, state = known.get(camera), states.get(camera, "")
                if one is None or not one.holds(machine, state):
                    if time.monotonic() > end:
                        found.left.append(camera)
                        continue
                    one = _examine(machine, camera, state)
                found.examined[camera] = one
                days = _with_rollups(one.work, _unrolled(machine, camera))
                found.days |= {(camera, date): asked for date, asked in days.items()}
            except UserError as error:
                found.problems.append(f"{camera}: {error}")
    # Those gone through now come last the next time.
    found.examined = dict(sorted(found.examined.items(), key=lambda item: item[1] is not known.get(item[0])))
    return found


def _examine(machine: Machine, camera: str, state: str) -> Examined:
    history, _ = in_transaction(machine.dsn, lambda c: ledger.load_span(c, camera, dt.date.min, dt.date.max))
    if not history.videos:
        return Examined(state, None, None, {})
    config = EffectiveCamera.model_validate(history.config)
    hashes = model_hashes(config, machine)
    work: dict[dt.date, list[Any]] = defaultdict(list)
    for date, span in _day_spans(history):
        for video in span.videos:
            for stage in fp.STAGES if video.date == date else ():
                if fp.outstanding(stage, span, video, hashes):
                    work[date].append((video.video_id, stage, fp.expected(stage, span, video, hashes)))
    return Examined(state, config, hashes, {date: fp.digest(items) for date, items in work.items()})


def _unrolled(machine: Machine, camera: str) -> set[dt.date]:
    return in_transaction(machine.dsn, lambda connection: unrolled_days(connection, camera, machine.zone))[0]


def _with_rollups(work: Mapping[dt.date, str], unrolled: Iterable[dt.date]) -> dict[dt.date, str]:
    return {**work, **{date: fp.digest("rollups", work.get(date)) for date in unrolled}}


def _day_spans(history: ledger.CameraSpan) -> Iterator[tuple[dt.date, ledger.CameraSpan]]:
    """Each date that has videos, with what a run of it sees (`day_span`), from one reading of the whole history."""
    videos: dict[dt.date, list[ledger.Video]] = defaultdict(list)
    links: dict[dt.date, list[ledger.Link]] = defaultdict(list)
    date_of = {video.video_id: video.date for video in history.videos}
    for video in history.videos:
        videos[video.date].append(video)
    for link in history.links:
        links[date_of[link.video_id]].append(link)
    for date in videos:
        near = [date + dt.timedelta(days=n) for n in range(-_REACH.days, _REACH.days + 1)]
        seen = tuple(video for day in near for video in videos.get(day, ()))
        first = near[0]
        inside = (link for day in near for link in links.get(day, ()) if date_of[link.previous_video_id] >= first)
        yield date, replace(history, videos=seen, links=tuple(inside))


def not_counted(machine: Machine, camera: str, date: dt.date) -> list[tuple[str, str, str]]:
    """(path, status, why) of a camera-day's files that are not counted, or not from what is configured now."""
    files, _ = in_transaction(machine.dsn, lambda connection: registry.files_of_day(connection, camera, date))
    problems = [(row.path, row.status, row.reason or "") for row in files if row.status != "registered"]
    span, _ = in_transaction(machine.dsn, lambda connection: day_span(connection, camera, date))
    of_day = [video for video in span.videos if video.date == date]
    if of_day:
        hashes = model_hashes(EffectiveCamera.model_validate(span.config), machine)
        for video in of_day:
            problems += [
                (video.path, entry.status, entry.reason or "")
                for entry in video.ledger.values()
                if entry.status == "quarantined"
            ]
            stale = [stage for stage in fp.STAGES if fp.outstanding(stage, span, video, hashes)]
            if stale:
                problems.append((video.path, "stale", f"{', '.join(stale)}: materialize this camera-day"))
    return problems


def orphan_detections(machine: Machine, date: dt.date) -> int:
    """Detections of a local date whose video is not registered."""
    start, end = day_of(date, machine.zone)
    return in_transaction(machine.dsn, lambda connection: sessions.orphan_detections(connection, start, end))[0]
