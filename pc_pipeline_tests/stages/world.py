"""A camera, its videos and its database, small enough that a whole way through the stages takes a second."""

import datetime as dt
import hashlib
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from pc_pipeline.ingest.registry import video_id
from pc_pipeline.ingest.site import SiteConfig
from pc_pipeline.stages import fingerprints as fp
from pc_pipeline.stages.machine import Machine
from pc_pipeline.stages.runner import StageReport, day_span, model_hashes, outstanding_days, run_stage
from pc_pipeline.store import parquet, registry, rollups
from pc_pipeline.store.digest import TABLES, TableDigest, digest
from pc_pipeline.store.postgres import connect, in_transaction
from pc_pipeline.vision.arrays import Detections, PictureSignals, VideoFacts
from pc_pipeline.vision.decode import probe
from pc_pipeline.vision.detect import DecodeReport
from pc_pipeline_tests.clips import detections_of

WIDTH, HEIGHT, TALL, FPS = 640, 480, 200.0, 10
LONDON = ZoneInfo("Europe/London")
DETECTOR: dict[str, Any] = {"model": "hog", "confidence": 0.3, "sample_every": 0.2}
SILL: dict[str, Any] = {"from": [0.5, 0.0], "to": [0.5, 1.0], "in": "right"}


@dataclass
class World:
    """One camera, `door`, with a line in the middle of its picture, in London."""

    machine: Machine
    lines: dict[str, Any] = field(default_factory=lambda: {"sill": SILL})
    zones: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=lambda: {"detector": DETECTOR})

    def __post_init__(self) -> None:
        self.apply()

    def apply(self, **changes: Any) -> None:
        """Change `lines`, `zones` or settings (`detector`, `tracker`, …) and apply them, as `pc config apply` does."""
        for name, value in changes.items():
            if name in ("lines", "zones"):
                setattr(self, name, value)
            else:
                self.settings[name] = value
        camera = {"lines": self.lines, "zones": self.zones, **self.settings}
        site = SiteConfig.model_validate({"timezone": LONDON.key, "cameras": {"door": camera}})
        in_transaction(self.machine.dsn, lambda connection: registry.apply_site(connection, site))

    def film(
        self,
        start: dt.datetime,
        *paths: np.ndarray,
        seconds: np.ndarray | None = None,
        zoom: int = 1,
        picture: PictureSignals | None = None,
    ) -> int:
        """A video that shows people on these paths (foot points), ten frames a second or at these `seconds`.

        There is no file: its detections lie in Parquet. With `zoom` the same is shown in so many times the pixels.
        """
        detections = detections_of(paths, TALL, FPS)
        detections = replace(detections, boxes=detections.boxes * np.float32(zoom), picture=picture)
        if seconds is not None:
            detections = replace(detections, pts_us=np.round(seconds * 1e6).astype(np.int64))
        content = hashlib.sha256(pickle.dumps(detections)).hexdigest()
        facts = VideoFacts(WIDTH * zoom, HEIGHT * zoom, float(FPS), 0, 0.0, "h264", "mov", 0)
        identity = self._register(start, Path(f"/nowhere/{start:%Y%m%d_%H%M%S}.mp4"), content, (1, 1), facts)
        self.detected(identity, detections)
        return identity

    def detected(self, identity: int, detections: Detections) -> None:
        """Lay down what detection would write under the configuration as it is now."""
        span = in_transaction(self.machine.dsn, lambda c: registry_span(c, identity))[0]
        hashes = fp.ModelHashes(model_hashes(_effective(span), self.machine).detector, None)
        fingerprint = fp.expected(fp.RAW_DETECTIONS, span, span.video(identity), hashes)
        assert fingerprint
        frames, step = len(detections.frame_number), 1_000_000 // FPS
        decoded = DecodeReport(frames, frames, 0, int(detections.pts_us[-1]), step, [])
        parquet.write_raw(self.machine.raw_dir, fingerprint, detections, decoded)

    def add_file(self, start: dt.datetime, path: Path) -> int:
        """A video whose file is there."""
        facts, about = probe(path), path.stat()
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._register(start, path, content, (about.st_size, about.st_mtime_ns), facts)

    def _register(self, start: dt.datetime, path: Path, content: str, stat: tuple[int, int], facts: VideoFacts) -> int:
        date = start.astimezone(LONDON).date()
        identity = video_id("door", start)
        size = (facts.width, facts.height, facts.nominal_fps)
        told = (facts.codec, facts.container, facts.rotation)
        row = registry.VideoRow(identity, "door", start, date, str(path), content, *stat, *size, *told)
        in_transaction(self.machine.dsn, lambda connection: registry.save_video(connection, row))
        return identity

    def run(self, date: dt.date, stages: Sequence[str] = fp.STAGES) -> dict[str, StageReport]:
        """A camera-day's run: its stages one after the other."""
        return {stage: run_stage(stage, self.machine, "door", date) for stage in stages}

    def outstanding(self) -> list[dt.date]:
        return sorted(outstanding_days(self.machine, "door", rollups=False))

    def settle(self) -> int:
        """Run camera-days until none is outstanding, then roll up; returns how many stages of videos were computed."""
        computed = 0
        for _ in range(5):
            for date in self.outstanding():
                computed += sum(report.computed for report in self.run(date).values())
        assert not self.outstanding()
        self.roll()
        return computed

    def roll(self) -> None:
        """Roll up the hours and days of every date that has a video, and of the one after."""
        dates = {date for (date,) in self.rows("SELECT DISTINCT date FROM videos")}
        for date in sorted(dates | {date + dt.timedelta(days=1) for date in dates}):
            in_transaction(self.machine.dsn, lambda c, date=date: rollups.roll_hours(c, ["door"], date, LONDON))
            in_transaction(self.machine.dsn, lambda c, date=date: rollups.roll_day(c, date, LONDON))

    def digest(self) -> dict[str, TableDigest]:
        return digest(self.machine.dsn)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(connect(self.machine.dsn)) as connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()

    def execute(self, statement: str) -> None:
        in_transaction(self.machine.dsn, lambda connection: connection.cursor().execute(statement))

    def ledger(self) -> dict[tuple[int, str], tuple[Any, ...]]:
        """(fingerprint, status, when) of each (video, stage); without the marks that its hours and day were rolled."""
        found = self.rows(
            "SELECT video_id, stage, fingerprint, status, finished_at FROM stage_ledger"
            " WHERE stage !~ '^(hourly|daily)_statistics'"
        )
        return {(video, stage): rest for video, stage, *rest in found}

    def count(self, table: str) -> int:
        return self.rows(f"SELECT count(*) FROM {table}")[0][0]


def assert_same_rows(dsn: str, expected: str) -> None:
    """Two databases have the same results; where not, it is told which rows of which tables differ, and in what."""
    found, wanted = digest(dsn), digest(expected)
    differing = [table for table in TABLES if found[table] != wanted[table]]
    assert not differing, "\n".join(line for table in differing for line in _difference(table, dsn, expected))


def _difference(table: str, dsn: str, expected: str) -> list[str]:
    """The first rows of a table that only one of two databases has, without the columns that are no results."""
    without = ", ".join(f"'{column}'" for column in TABLES[table])
    query = f"SELECT (to_jsonb(t) - ARRAY[{without}]::text[])::text FROM {table} t ORDER BY 1"
    rows = []
    for one in (dsn, expected):
        with closing(connect(one)) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            rows.append([row for (row,) in cursor.fetchall()])
    only = [sorted(set(mine) - set(other)) for mine, other in (rows, rows[::-1])]
    told = [f"{table}: {len(rows[0])} rows, {len(rows[1])} expected"]
    for name, lines in zip(("found   ", "expected"), only, strict=True):
        told += [f"  {name} {line[:500]}" for line in lines[:3]] + [f"  {name} ... {len(lines)} such"] * (
            len(lines) > 3
        )
    return told


def registry_span(connection: Any, identity: int) -> Any:
    """The span of the day that a video belongs to."""
    cursor = connection.cursor()
    cursor.execute("SELECT camera, date FROM videos WHERE video_id = %s", (identity,))
    return day_span(connection, *cursor.fetchone())


def _effective(span: Any) -> Any:
    from pc_pipeline.ingest.site import EffectiveCamera

    return EffectiveCamera.model_validate(span.config)


def new_world(dsn: str, folder: Path, **settings: Any) -> World:
    """A world of its own folder and database."""
    machine = Machine(
        dsn=dsn, zone=LONDON, models_dir=folder / "models", raw_dir=folder / "raw", watch_dir=folder / "watch"
    )
    return World(replace(machine, **settings))


def local(text: str) -> dt.datetime:
    """A London time as UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=LONDON).astimezone(dt.UTC)


def across(frames: int, first: float = 100.0, last: float = 540.0, y: float = 400.0) -> np.ndarray:
    """Feet of somebody who walks from left to right (or back) in so many frames."""
    return np.column_stack([np.linspace(first, last, frames), np.full(frames, y)])


# A new process that has imported all this and started no thread: a run forked from it begins in a moment.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["pc_pipeline_tests.stages.preload"])


def start(work: Callable[..., Any], *arguments: Any) -> Any:
    """Begin `work(*arguments)` in a process of its own."""
    process = _processes.Process(target=work, args=arguments)
    process.start()
    return process


def die() -> None:
    """`kill -9` of this process."""
    os.kill(os.getpid(), signal.SIGKILL)
