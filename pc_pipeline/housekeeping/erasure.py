"""Erasure on request: a camera's or a span's videos with all that was made of them, wherever it stands.

The order in which things go: the videos' rows, a camera-day a transaction, with notes of what is left elsewhere; then
files, the archive, Dagster's runs, Redis. Each note goes when what it names is gone, so a run that is killed is
finished by the next one, and finishing twice changes nothing.
"""

import datetime as dt
import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection

from pc_pipeline.errors import ConfigError, PostgresUnreachable, UserError
from pc_pipeline.housekeeping import archive
from pc_pipeline.housekeeping.archive import LOCK, Place, Say
from pc_pipeline.housekeeping.extent import reaches
from pc_pipeline.ingest.names import NonexistentTime, to_utc
from pc_pipeline.store import erasure as store
from pc_pipeline.store import parquet
from pc_pipeline.store.archive import holding
from pc_pipeline.store.cache import Cache
from pc_pipeline.store.erasure import Erasure, Target, Wish
from pc_pipeline.store.postgres import alone, in_transaction
from pc_pipeline.store.registry import cameras
from pc_pipeline.store.rollups import local_midnight


@dataclass(frozen=True)
class Everywhere:
    """All places where a video leaves something: `place`, the cache, and Dagster's folder."""

    place: Place
    cache: Cache | None
    dagster_home: Path


@dataclass(frozen=True)
class Preview:
    """What an erasure would delete: the videos, rows by table, and files of the archive that would be written anew."""

    videos: list[Target]
    rows: dict[str, int]
    archives: int


@dataclass(frozen=True)
class Finished:
    """How many erasures were finished, and of those that were not, a sentence each with what to do."""

    done: int
    stuck: list[str]

    def require_all(self) -> None:
        """Raise `UserError` where one was not finished."""
        if self.stuck:
            raise UserError(" ".join(self.stuck))


def wished(place: Place, camera: str | None, first: str | None, last: str | None, *, video_files: bool) -> Wish:
    """What is to be erased, as a person says it: `first` and `last` are local days, the last one included, or times.

    Raises:
        ConfigError: there is no such camera, a time is missing or cannot be read, or everything would be erased.
    """
    known, _ = in_transaction(place.dsn, cameras)
    if camera is not None and camera not in known:
        raise ConfigError(f"there is no camera '{camera}'; there are {', '.join(known) or 'none yet'}")
    if (first is None) != (last is None):
        raise ConfigError("the span has one end only: give --from and --to, or neither for all time")
    if camera is None and first is None:
        raise ConfigError("everything would be erased: give --camera, or --from and --to, or both")
    if first is None or last is None:
        return Wish(camera, None, None, video_files)
    zone = ZoneInfo(place.timezone)
    start, end = _moment(first, zone, 0), _moment(last, zone, 1)
    if end <= start:
        raise ConfigError(f"the span's end, {last}, is not after its start, {first}")
    return Wish(camera, start, end, video_files)


def _moment(text: str, zone: ZoneInfo, days: int) -> dt.datetime:
    """A time as UTC; of a day its first instant, `days` later."""
    try:
        if len(text) == len("2026-03-01"):
            return local_midnight(dt.date.fromisoformat(text) + dt.timedelta(days=days), zone)
        moment = dt.datetime.fromisoformat(text)
        return moment.astimezone(dt.UTC) if moment.tzinfo else to_utc(moment, zone)[0]
    except NonexistentTime as error:
        raise ConfigError(f"{text}: {error}; write it with an offset, like 2026-03-01T09:00:00+00:00") from None
    except (ValueError, OverflowError):
        raise ConfigError(f"'{text}' is no day or time: write 2026-03-01 or 2026-03-01T09:00") from None


def preview(place: Place, wish: Wish) -> Preview:
    """What an erasure would delete now; changes nothing."""
    videos = _targets(place, wish)

    def look(connection: Connection) -> Preview:
        rows = dict[str, int]()
        for target in videos:
            for table, count in store.count(connection, target).items():
                rows[table] = rows.get(table, 0) + count
        return Preview(videos, rows, len(holding(connection, [target.video_id for target in videos])))

    return in_transaction(place.dsn, look)[0]


def _targets(place: Place, wish: Wish) -> list[Target]:
    """The videos with a part in the span, by camera and start.

    One that is not counted yet and begins before the span has one, unless its file tells that it ends before.
    """

    def ends_before(target: Target) -> bool:
        if wish.start is None or target.ended_at or target.started_at >= wish.start:
            return False
        length = reaches(Path(target.path), target.size_bytes, target.mtime_ns)
        return length is not None and target.started_at + length <= wish.start

    found, _ = in_transaction(place.dsn, lambda c: store.targets(c, wish))
    return [target for target in found if not ends_before(target)]


def erase(everywhere: Everywhere, wish: Wish, asked_by: str, reason: str, now: dt.datetime, say: Say) -> Erasure:
    """Erase what is wished, and whatever earlier erasures left unfinished; returns the audit row.

    Raises:
        UserError: a run of Dagster is at work on it, Redis does not answer, or a file may not be deleted, of this
            erasure or of an earlier one; what is left is done by the next run.
    """
    erasure_id, _ = in_transaction(everywhere.place.dsn, lambda c: store.begin(c, wish, asked_by, reason))
    finish_all(everywhere, now, say).require_all()
    return in_transaction(everywhere.place.dsn, lambda c: store.erasures(c, erasure_id))[0][0]


def finish_all(everywhere: Everywhere, now: dt.datetime, say: Say) -> Finished:
    """Finish every erasure that is not done. One that cannot be finished now keeps no other from it.

    Raises:
        PostgresUnreachable: no connection, or it was lost.
    """
    dsn = everywhere.place.dsn
    done, stuck = 0, list[str]()
    with alone(dsn, LOCK, say):
        archive.tidy(everywhere.place)
        running = [one for one in in_transaction(dsn, store.erasures)[0] if one.state == "running"]
        for one in running:
            say(f"erasure {one.erasure_id}: {_words(one.wish)}")
            try:
                _finish(everywhere, one, now, say)
                done += 1
            except PostgresUnreachable:
                raise
            except UserError as error:
                stuck.append(f"erasure {one.erasure_id} is not finished: {error}")
    return Finished(done, stuck)


def _finish(everywhere: Everywhere, one: Erasure, now: dt.datetime, say: Say) -> None:
    _videos(everywhere.place, one, now, say)
    stuck = _files(everywhere.place, one)
    _archive(everywhere.place, one)
    _dagster(everywhere, one)
    _redis(everywhere, one)
    if stuck:
        raise UserError(f"{stuck}. Delete it by hand, or let this user do so; then run `pc erase --finish`.")
    in_transaction(everywhere.place.dsn, partial(store.finish, erasure_id=one.erasure_id))


def _words(wish: Wish) -> str:
    camera = f"camera {wish.camera}" if wish.camera else "all cameras"
    return camera + (f", {wish.start:%Y-%m-%d %H:%M} to {wish.end:%Y-%m-%d %H:%M} UTC" if wish.start else ", all time")


def _videos(place: Place, one: Erasure, now: dt.datetime, say: Say) -> None:
    zone = ZoneInfo(place.timezone)
    reason = f"What it shows was erased on request (erasure {one.erasure_id}): it is never counted again."
    today = now.astimezone(zone).date()
    by_day = sorted(_targets(place, one.wish), key=lambda target: (target.camera, target.date, target.started_at))
    for (camera, date), day in groupby(by_day, lambda target: (target.camera, target.date)):
        videos = list(day)
        say(f"{camera} {date}: {len(videos)} videos")
        in_transaction(
            place.dsn,
            partial(store.erase_day, erasure=one, day=videos, reason=reason, zone=zone, today=today),
        )

    def rest(connection: Connection) -> None:
        store.erase_other_files(connection, one, reason)
        store.add(connection, one.erasure_id, {"alert_logs": store.delete_alerts(connection, one.wish)})

    in_transaction(place.dsn, rest)


def _again(place: Place, one: Erasure) -> Erasure:
    """The audit row as it is now."""
    return in_transaction(place.dsn, lambda c: store.erasures(c, one.erasure_id))[0][0]


def _files(place: Place, one: Erasure) -> str | None:
    """Remove raw detections and, where that was asked for, the video files; says of which it was not allowed."""
    files = [name.partition(" ")[::2] for name in _again(place, one).files]
    named, _ = in_transaction(place.dsn, store.raw_still_named)
    raw = {fingerprint for kind, fingerprint in files if kind == "raw"} - named
    gone, stuck = list[bool](), dict[str, str]()
    for fingerprint in raw:
        path = parquet.raw_path(place.raw_dir, fingerprint)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            stuck[f"raw {fingerprint}"] = f"{path} cannot be deleted ({error.strerror})"
    for path in [Path(path) for kind, path in files if kind == "video"]:
        try:
            gone.append(_remove_video(place, path))
        except OSError as error:
            stuck[f"video {path}"] = f"{path} cannot be deleted ({error.strerror})"

    def note(connection: Connection) -> None:
        counts = {
            "raw detection files": sum(f"raw {fingerprint}" not in stuck for fingerprint in raw),
            "video files": sum(gone),
            "video files left": len(gone) - sum(gone),
        }
        store.add(connection, one.erasure_id, counts)
        store.done_with(connection, one.erasure_id, "files", list(stuck))

    if files:
        in_transaction(place.dsn, note)
    more = f" and {len(stuck) - 1} more files" if len(stuck) > 1 else ""
    return next(iter(stuck.values())) + more if stuck else None


def _remove_video(place: Place, path: Path) -> bool:
    """Remove a video's file, unless it is another than was registered; whether it is gone."""
    known, _ = in_transaction(place.dsn, lambda c: store.as_registered(c, str(path)))
    with suppress(FileNotFoundError):
        facts = path.lstat()
        if (facts.st_size, facts.st_mtime_ns) != known:
            return False
        path.unlink()
    return True


def _archive(place: Place, one: Erasure) -> None:
    def note(connection: Connection, rows: int) -> None:
        store.add(connection, one.erasure_id, {"rows in the archive": rows, "files of the archive": 1})

    archive.without_videos(place, _again(place, one).videos, note)
    in_transaction(place.dsn, lambda c: store.done_with(c, one.erasure_id, "videos"))


def _dagster(everywhere: Everywhere, one: Erasure) -> None:
    """Delete the runs of the camera-days and days: with them their plots, pictures, checks and output."""
    dsn = everywhere.place.dsn
    camera_days = _again(everywhere.place, one).partitions
    partitions = sorted({*camera_days, *(name.rpartition("|")[2] for name in camera_days)})
    if partitions and in_transaction(dsn, store.has_dagster)[0]:
        at_work, _ = in_transaction(dsn, lambda c: store.unfinished_runs(c, partitions))
        if at_work:
            raise UserError(
                f"run {at_work[0][:8]} of Dagster is at work on what is erased. Wait until it ends, or terminate it,"
                " then run `pc erase --finish`."
            )
        runs, _ = in_transaction(dsn, lambda c: store.runs_of(c, partitions))
        for run in runs:
            shutil.rmtree(everywhere.dagster_home / "storage" / run, ignore_errors=True)

        def delete(connection: Connection) -> None:
            deleted = store.delete_runs(connection, runs, partitions)
            store.add(connection, one.erasure_id, {"runs and events of Dagster": deleted})
            store.done_with(connection, one.erasure_id, "partitions")

        in_transaction(dsn, delete)
    in_transaction(dsn, lambda c: store.done_with(c, one.erasure_id, "partitions"))


def _redis(everywhere: Everywhere, one: Erasure) -> None:
    if everywhere.cache is None:
        return
    dropped = everywhere.cache.drop()
    if dropped is None:
        raise UserError(
            "Redis does not answer, and may hold figures of it for a day. Start it, then run `pc erase --finish`."
        )
    in_transaction(everywhere.place.dsn, lambda c: store.add(c, one.erasure_id, {"keys of Redis": dropped}))
