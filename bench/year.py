"""A year of a large site, built in moments: one camera-day goes through the product for real, and the rows it leaves
are copied for the others, in the results and in Dagster's own tables.

`python -m bench.year CAMERAS DAYS` fills `PC_HOME` and the migrated database of `PC_POSTGRES_DSN`, and prints
what it built as JSON. Left out, since none of the figures looks at them: detections, pictures in metadata, and the
events of steps (the event log holds what it holds after a purge that keeps materializations and checks).
"""

import datetime as dt
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import numpy as np
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from pc_pipeline.embedded.instance import SCHEMA, dagster_environment, prepare_instance
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.ingest.registry import video_id
from pc_pipeline.settings import Settings
from pc_pipeline.store.postgres import connect

if TYPE_CHECKING:
    import dagster as dg

ZONE = ZoneInfo("Europe/London")
# A camera has video on every third day, as one that records only what moves, or is often off.
EVERY = 3
WIDTH, HEIGHT, FPS, FRAMES, PEOPLE = 640, 480, 10, 300, 4
# Copies get lower numbers than the camera-day they are copies of, which is the last: ids are in order of time.
_RESERVED_IDS = 50_000_000
_RESULTS = (
    "videos", "source_files", "sessions", "reference_pictures", "tracks", "track_genders", "run_gender_summary",
    "people_movements", "zone_visits", "session_statistics", "hourly_statistics", "daily_statistics",
)  # fmt: skip
CameraDay = tuple[str, dt.date]


def camera(number: int) -> str:
    """The name of a camera by its number, from 0."""
    return f"cam{number:03d}"


def starts_at(date: dt.date) -> dt.datetime:
    """When the one video of a camera-day starts (UTC): 12:30 of the site's clocks."""
    return dt.datetime.combine(date, dt.time(12, 30), ZONE).astimezone(dt.UTC)


def with_video(cameras: int, days: int, today: dt.date) -> list[CameraDay]:
    """The camera-days with video among the `days` days before today, in order of time; a third a day."""
    dates = [today - dt.timedelta(days=ago) for ago in range(days, 0, -1)]
    return [(camera(c), date) for date in dates for c in range(cameras) if (c + date.toordinal()) % EVERY == 0]


def build(cameras: int, days: int) -> dict[str, float]:
    """Fill the database and `PC_HOME`; returns how many camera-days, events and files there are, and the seconds."""
    began = time.perf_counter()
    settings = Settings()
    assert settings.postgres_dsn
    dsn = settings.postgres_dsn.get_secret_value()
    today = dt.datetime.now(ZONE).date()
    _configure(settings, dsn, cameras, today - dt.timedelta(days=days))
    os.environ.update(dagster_environment(settings, Endpoints(dsn, None)))
    prepare_instance()
    *others, last = with_video(cameras, days, today)
    import dagster as dg

    with dg.DagsterInstance.get() as instance, closing(connect(dsn)) as connection:
        instance.add_dynamic_partitions("cameras", [camera(number) for number in range(cameras)])
        with connection, connection.cursor() as cursor:
            for table in ("event_logs", "runs"):
                cursor.execute(f"ALTER SEQUENCE {SCHEMA}.{table}_id_seq RESTART WITH {_RESERVED_IDS}")
        runs = _count(instance, settings, *last)
        with connection, connection.cursor() as cursor:
            _copy_results(cursor, settings, last, others)
            _copy_runs(cursor, runs, last, others)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
            cursor.execute(f"SELECT count(*) FROM {SCHEMA}.event_logs")
            (events,) = cursor.fetchone() or (0,)
    counts = {"cameras": cameras, "days": days, "camera_days": len(others) + 1, "events": events}
    return {**counts, "seconds": round(time.perf_counter() - began, 1)}


def _configure(settings: Settings, dsn: str, cameras: int, history_from: dt.date) -> None:
    """Write and apply the site file, before anything imports the partitions made of it."""
    from pc_pipeline.ingest.site import load_site
    from pc_pipeline.store.postgres import in_transaction
    from pc_pipeline.store.registry import apply_site

    shape = "lines: {sill: {from: [0.5, 0.0], to: [0.5, 1.0], in: right}}, zones: {hall: [[0.5, 0], [1, 0], [1, 1]]}"
    text = [
        f"timezone: {ZONE.key}",
        f"history_from: {history_from}",
        "detector: {model: hog, sample_every: 0.1}",
        "cameras:",
        *(f"  {camera(number)}: {{{shape}}}" for number in range(cameras)),
    ]
    settings.site_file.parent.mkdir(parents=True, exist_ok=True)
    settings.site_file.write_text("\n".join(text) + "\n")
    site = load_site(settings.site_file)
    in_transaction(dsn, lambda connection: apply_site(connection, site))


# ------------------------------------------------------------------------------------------------- one camera-day


def _video_path(settings: Settings, name: str, date: dt.date) -> Path:
    return settings.watch_dir / name / f"{date}" / "12-30-00.mp4"


def _count(instance: "dg.DagsterInstance", settings: Settings, name: str, date: dt.date) -> dict[str, str]:
    """Count one camera-day by the product's jobs, from a real file; the run id of each job.

    Detection finds the boxes of `PEOPLE` people there already, as after a crash between Parquet and ledger: what HOG
    would say of the grey picture is of no use here.
    """
    from pc_pipeline.definitions import defs
    from pc_pipeline.defs.partitions import camera_day_key

    path = _video_path(settings, name, date)
    _film(path)
    _lay_down_boxes(settings, path)
    key = camera_day_key(name, date)
    runs = {}
    for job, partition in (("camera_day", key), ("roll_hours", key), ("roll_days", date.isoformat())):
        result = defs.resolve_job_def(job).execute_in_process(
            instance=instance,
            partition_key=partition,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            tags={"dagster/pc_asked": "0" * 32, "dagster/pc_asked_by": "video_files"},
        )
        runs[job] = result.run_id
    return runs


def _film(path: Path) -> None:
    """A still picture for `FRAMES` frames, last changed an hour ago."""
    import cv2

    path.parent.mkdir(parents=True)
    blocks = np.random.default_rng(0).integers(40, 220, (HEIGHT // 40, WIDTH // 40, 3), np.uint8)
    picture = blocks.repeat(40, axis=0).repeat(40, axis=1)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    for _ in range(FRAMES):
        writer.write(picture)
    writer.release()
    os.utime(path, (time.time() - 3600,) * 2)


def _lay_down_boxes(settings: Settings, path: Path) -> None:
    """The Parquet file that detection would write for `path`: people who cross the line one after another."""
    from pc_pipeline.ingest.site import load_site
    from pc_pipeline.stages.fingerprints import raw_fingerprint
    from pc_pipeline.stages.registration import content_hash
    from pc_pipeline.store.parquet import write_raw
    from pc_pipeline.vision import models
    from pc_pipeline.vision.arrays import Detections
    from pc_pipeline.vision.detect import DecodeReport

    each = FRAMES // PEOPLE - 10
    seen = np.zeros(FRAMES, bool)
    feet = np.zeros((FRAMES, 2), np.float32)
    for person in range(PEOPLE):
        frames = slice(person * (each + 10), person * (each + 10) + each)
        seen[frames] = True
        feet[frames] = np.column_stack([np.linspace(120, 520, each), np.full(each, 430.0)])
    boxes = (feet[:, [0, 1, 0, 1]] + np.array([-40, -200, 40, 0], np.float32))[seen].astype(np.float32)
    numbers = np.arange(FRAMES)
    detections = Detections(
        frame_number=numbers.astype(np.int32),
        pts_us=(numbers * (1_000_000 // FPS)).astype(np.int64),
        offsets=np.concatenate([[0], np.cumsum(seen)]).astype(np.int64),
        boxes=boxes,
        confidence=np.full(len(boxes), 0.9, np.float32),
        class_id=np.zeros(len(boxes), np.int16),
    )
    config = load_site(settings.site_file).effective(camera(0))
    model = models.resolve(config.detector.model, settings.models_dir)
    fingerprint = raw_fingerprint(content_hash(path), model.sha256, config.model_dump(mode="json")["detector"])
    step = 1_000_000 // FPS
    settings.raw_detections_dir.mkdir(parents=True, exist_ok=True)
    write_raw(
        settings.raw_detections_dir,
        fingerprint,
        detections,
        DecodeReport(FRAMES, FRAMES, 0, int(detections.pts_us[-1]), step, []),
    )


# ---------------------------------------------------------------------------------------------------- its copies


@dataclass(frozen=True)
class _Column:
    name: str
    type: str


def _columns(cursor: Cursor, schema: str, table: str) -> list[_Column]:
    cursor.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position",
        (schema, table),
    )
    return [_Column(*row) for row in cursor.fetchall()]


def _copy_results(cursor: Cursor, settings: Settings, last: CameraDay, others: Sequence[CameraDay]) -> None:
    """Every other camera-day gets a link to the file, its rows in the results, and its ledger as the product has it."""
    source = _video_path(settings, *last)
    targets = []
    for name, date in others:
        path = _video_path(settings, name, date)
        path.parent.mkdir(parents=True)
        path.hardlink_to(source)
        start = starts_at(date)
        content = hashlib.sha256(str(path).encode()).hexdigest()
        targets.append((name, date, video_id(name, start), str(path), content, start - starts_at(last[1])))
    cursor.execute(
        "CREATE TEMP TABLE target"
        " (camera text, date date, video_id bigint, path text, content_hash text, shift interval) ON COMMIT DROP"
    )
    execute_values(cursor, "INSERT INTO target VALUES %s", targets, page_size=5000)
    known = {"camera", "date", "video_id", "path", "content_hash"}
    for table in _RESULTS:
        columns = _columns(cursor, "public", table)
        values = [
            f"target.{column.name}"
            if column.name in known
            else "target.video_id"
            if column.name == "session_id"
            else f"model.{column.name} + target.shift"
            if column.type == "timestamp with time zone"
            else f"model.{column.name}"
            for column in columns
        ]
        names = ", ".join(column.name for column in columns)
        # Joined as it stands before this statement: the one camera-day.
        cursor.execute(f"INSERT INTO {table} ({names}) SELECT {', '.join(values)} FROM target, {table} AS model")
    _copy_ledger(cursor, last, others, targets)


def _copy_ledger(cursor: Cursor, last: CameraDay, others: Sequence[CameraDay], targets: Sequence[Any]) -> None:
    """Fingerprints are those the product expects: to its sensor nothing is outstanding."""
    from pc_pipeline.ingest.site import EffectiveCamera
    from pc_pipeline.stages import fingerprints as fp
    from pc_pipeline.store import ledger
    from pc_pipeline.vision import models

    span = ledger.load_span(cursor.connection, last[0], last[1], last[1])
    (video,) = span.videos
    config = EffectiveCamera.model_validate(span.config)
    hashes = fp.ModelHashes(models.resolve(config.detector.model, Settings().models_dir).sha256, None)
    rows = []
    for name, date, identity, path, content, shift in targets:
        entries: dict[str, ledger.Entry] = {}
        copy = replace(
            video,
            video_id=identity,
            camera=name,
            started_at=video.started_at + shift,
            ended_at=video.ended_at + shift if video.ended_at else None,
            date=date,
            path=path,
            content_hash=content,
            ledger=entries,
        )
        alone = replace(span, camera=name, videos=(copy,), links=())
        for stage in fp.STAGES:
            fingerprint = fp.expected(stage, alone, copy, hashes)
            assert fingerprint
            entries[stage] = ledger.Entry(fingerprint, "done")
            rows.append((identity, stage, fingerprint))
        rows += [
            (identity, mark, entries[fp.SESSION_STATISTICS].fingerprint)
            for mark in video.ledger
            if mark not in fp.STAGES
        ]
    cursor.execute("CREATE TEMP TABLE done (video_id bigint, stage text, fingerprint text) ON COMMIT DROP")
    execute_values(cursor, "INSERT INTO done VALUES %s", rows, page_size=10000)
    cursor.execute(
        "INSERT INTO stage_ledger (video_id, stage, fingerprint, status, rows, details, code_version, finished_at)"
        " SELECT done.video_id, done.stage, done.fingerprint, status, rows, details, code_version, finished_at"
        " FROM done JOIN stage_ledger AS model ON model.stage = done.stage AND model.video_id = %s",
        (video.video_id,),
    )


def _copy_runs(cursor: Cursor, runs: dict[str, str], last: CameraDay, others: Sequence[CameraDay]) -> None:
    """Every other camera-day gets its runs and their asset events: `camera_day`, then the hours of its day and the next
    (the automation asks for both), then the day of all cameras."""
    day = dt.timedelta(days=1)
    hours = sorted(
        {(name, date + day * n) for name, date in (*others, last) for n in (0, 1)} - {last}, key=lambda d: d[1]
    )
    dates = sorted({date for _, date in hours} - {last[1]})
    first_id = 1
    for job, targets in (
        ("camera_day", others),
        ("roll_hours", hours),
        ("roll_days", [(None, date) for date in dates]),
    ):
        first_id = _copy_run(cursor, runs[job], last, targets, first_id)


def _copy_run(cursor: Cursor, run_id: str, last: CameraDay, targets: Sequence[Any], first_id: int) -> int:
    """Copy one run for each (camera or None, date); returns the first event id that is free after them."""
    cursor.execute("DROP TABLE IF EXISTS copy, kept")
    cursor.execute("CREATE TEMP TABLE copy (n bigint, run_id text, camera text, date date, shift interval)")
    rows = [(n, str(uuid4()), name, date, date - last[1]) for n, (name, date) in enumerate(targets)]
    execute_values(cursor, "INSERT INTO copy VALUES %s", rows, page_size=5000)
    # The events that are kept, numbered, without the pictures in their metadata, which are most of their bytes.
    cursor.execute(
        f"""
        CREATE TEMP TABLE kept AS
        SELECT row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS places, id, dagster_event_type,
               timestamp, step_key, asset_key, partition,
               regexp_replace(event, 'data:image/[^)"\\\\]*', '', 'g') AS event
          FROM {SCHEMA}.event_logs
         WHERE run_id = %s AND (asset_key IS NOT NULL OR dagster_event_type = 'ASSET_CHECK_EVALUATION')
        """,
        (run_id,),
    )
    names = {"run": run_id, "camera": last[0], "date": last[1].isoformat()}

    def said(text: str) -> str:
        """A text of the run with the copy's run id, camera and date in it; a day's run names no camera."""
        return (
            f"replace(replace(replace({text}, '{names['run']}', copy.run_id), '{names['date']}', copy.date::text),"
            f" '{names['camera']}', coalesce(copy.camera, '{names['camera']}'))"
        )

    number = f"{first_id} + copy.n * kept.places + kept.place"
    cursor.execute(
        f"INSERT INTO {SCHEMA}.event_logs"
        " (id, run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)"
        f" SELECT {number}, copy.run_id, {said('kept.event')}, kept.dagster_event_type, kept.timestamp + copy.shift,"
        f" kept.step_key, kept.asset_key, {said('kept.partition')} FROM copy, kept"
    )
    cursor.execute(
        f"INSERT INTO {SCHEMA}.asset_event_tags (event_id, asset_key, key, value, event_timestamp)"
        f" SELECT {number}, model.asset_key, model.key, {said('model.value')}, model.event_timestamp + copy.shift"
        f" FROM copy, kept JOIN {SCHEMA}.asset_event_tags AS model ON model.event_id = kept.id"
    )
    cursor.execute(
        f"INSERT INTO {SCHEMA}.asset_check_executions (asset_key, check_name, partition, run_id, execution_status,"
        " evaluation_event, evaluation_event_timestamp, evaluation_event_storage_id, materialization_event_storage_id)"
        f" SELECT model.asset_key, check_name, {said('model.partition')}, copy.run_id, execution_status,"
        f" {said('evaluation_event')}, evaluation_event_timestamp + copy.shift, {number},"
        f" {first_id} + copy.n * kept.places + judged.place"
        f" FROM copy, kept JOIN {SCHEMA}.asset_check_executions AS model ON model.evaluation_event_storage_id = kept.id"
        " LEFT JOIN kept AS judged ON judged.id = model.materialization_event_storage_id",
    )
    columns = [column for column in _columns(cursor, SCHEMA, "runs") if column.name != "id"]
    values = [
        said(f"model.{column.name}") if column.type in ("text", "character varying") else
        f"model.{column.name} + copy.shift" if column.type == "timestamp without time zone" else
        f"model.{column.name} + extract(epoch FROM copy.shift)" if column.type == "double precision" else
        f"model.{column.name}"
        for column in columns
    ]  # fmt: skip
    cursor.execute(
        f"INSERT INTO {SCHEMA}.runs (id, {', '.join(column.name for column in columns)})"
        f" SELECT {first_id} + copy.n, {', '.join(values)} FROM copy, {SCHEMA}.runs AS model WHERE model.run_id = %s",
        (run_id,),
    )
    cursor.execute(
        f"INSERT INTO {SCHEMA}.run_tags (run_id, key, value)"
        f" SELECT copy.run_id, key, {said('model.value')} FROM copy, {SCHEMA}.run_tags AS model"
        " WHERE model.run_id = %s",
        (run_id,),
    )
    cursor.execute("SELECT max(places) FROM kept")
    (places,) = cursor.fetchone() or (0,)
    return first_id + places * len(targets)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(build(int(sys.argv[1]), int(sys.argv[2]))) + "\n")
