"""`pc export`: tracks for other tools, as MOTChallenge text, COCO, CSV or Parquet."""

import datetime as dt
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from pc_pipeline.errors import ConfigError, UserError
from pc_pipeline.settings import Settings

if TYPE_CHECKING:
    from pc_pipeline.evaluation.formats import VideoTracks

STDOUT = Path("-")


@click.group(epilog="Examples:\n\n\b\n  pc export tracks --format csv > tracks.csv")
def export() -> None:
    """Write results as files that other tools read."""


@export.command(
    epilog="""Examples:

\b
  pc export tracks --format csv > tracks.csv
  pc export tracks --camera campus --date 2009-06-18 --format mot --out tracks/
  pc export tracks --video-id 3521874478234 --format mot > tracks.txt
  pc export tracks --camera campus --format parquet --out tracks.parquet
"""
)
@click.option("--camera", help="Only this camera.")
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="Only videos that start on this day of the site.")
@click.option("--video-id", "video_ids", type=int, multiple=True, help="Only this video; may be given again.")
@click.option(
    "--format", "form", required=True, type=click.Choice(["mot", "coco", "csv", "parquet"]), help="What to write."
)
@click.option("--out", type=click.Path(path_type=Path), default=STDOUT, help="The file to write.  [default: -, stdout]")
def tracks(camera: str | None, date: dt.datetime | None, video_ids: tuple[int, ...], form: str, out: Path) -> None:
    """Write tracks with every box, those filled in between two sightings too.

    MOTChallenge text holds one video: of several, OUT is a folder that gets a file each. What it holds, `pc evaluate`
    reads as truth. The other formats hold any number of videos.
    """
    from pc_pipeline.embedded.services import services
    from pc_pipeline.evaluation import formats
    from pc_pipeline.evaluation.formats import VideoTracks
    from pc_pipeline.store.migrate import require_current
    from pc_pipeline.store.postgres import connect, in_transaction
    from pc_pipeline.store.registry import cameras
    from pc_pipeline.store.tracks import load_tracks, tracked_videos

    if form == "parquet" and out == STDOUT and sys.stdout.isatty():
        raise ConfigError("Parquet is no text for a terminal: give --out FILE.")
    with services(Settings()) as endpoints:
        require_current(endpoints.postgres_dsn)
        known, _ = in_transaction(endpoints.postgres_dsn, cameras)
        if camera is not None and camera not in known:
            raise UserError(f"There is no camera '{camera}'. Cameras: {', '.join(known) or 'none yet'}.")
        day = date.date() if date else None
        with closing(connect(endpoints.postgres_dsn)) as connection:
            # One state of the database from the first video to the last.
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            videos = tracked_videos(connection, camera, day, video_ids)
            missing = sorted(set(video_ids) - {video.video_id for video in videos})
            if missing:
                raise UserError(f"No tracks of video {missing[0]}: `pc tracks` lists what there is (session).")
            if not videos:
                raise UserError("Nothing was tracked yet, or nothing that --camera and --date leave.")

            def loaded() -> Iterator[VideoTracks]:
                for video in videos:
                    yield VideoTracks(**vars(video), tracks=load_tracks(connection, video.video_id))

            if form == "mot":
                _write_mot(out, loaded(), len(videos))
            else:
                write = {"coco": formats.write_coco, "csv": formats.write_csv, "parquet": formats.write_parquet}[form]
                _write(out, lambda file: write(loaded(), file))


def _write_mot(out: Path, videos: "Iterable[VideoTracks]", count: int) -> None:
    """MOTChallenge text of one video, or of each into a folder."""
    from pc_pipeline.evaluation.mot import write_mot

    if count > 1 and (out == STDOUT or out.is_file()):
        raise ConfigError(
            f"MOTChallenge text holds one video, and there are {count}: say which with --video-id, or give a folder"
            " as --out for a file each."
        )
    for video in videos:
        in_folder = out != STDOUT and (count > 1 or out.is_dir())
        name = f"{video.camera}_{video.started_at.astimezone(dt.UTC):%Y%m%d_%H%M%S}_{video.video_id}.txt"
        _write(out / name if in_folder else out, partial(_put, write_mot(video.tracks).encode()))


def _put(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


def _write(out: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file whole or not at all; `-` is stdout."""
    # Parquet looks at its place in the file, which a pipe does not have.
    if out == STDOUT:
        with tempfile.TemporaryFile() as held:
            write(held)
            held.seek(0)
            while piece := held.read(1 << 20):
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
            Path(name).chmod(0o644)
            Path(name).replace(out)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}.") from error
    click.echo(f"wrote {out}", err=True)
