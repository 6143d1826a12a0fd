"""`pc process`: count the people in videos, through Dagster, without a daemon."""

import datetime as dt
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pc_pipeline.errors import ConfigError, NameNotUnderstood, UserError
from pc_pipeline.ingest.names import one_line
from pc_pipeline.settings import Settings

if TYPE_CHECKING:
    from pc_pipeline.embedded.services import Endpoints
    from pc_pipeline.ingest.site import SiteConfig


@dataclass(frozen=True)
class Given:
    """A video to count: its absolute path, camera and start (aware UTC); `doubt` is a warning on the start."""

    path: Path
    camera: str
    start: dt.datetime
    doubt: str | None = None


@click.command(
    epilog="""Examples:

\b
  pc process clip.avi --camera campus --start 2009-06-18T12:34:00+01:00
  pc process clip.mp4 --camera door --start 2026-03-01T09:00 --config site.yaml
  pc process recordings/door_20260301_*.mp4
  pc process recordings/ --json
"""
)
@click.argument("videos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--camera", help="The camera's name; without it, each file's name must tell.")
@click.option("--start", help="When the one video starts, ISO 8601; without an offset in the site's time zone.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Apply this site file first.")
@click.option("--db-dsn", help="A Postgres to use instead, without a password in it.")
@click.option("--db-batch-size", type=click.IntRange(1), default=50000, show_default=True, help="Rows a COPY batch.")
@click.option(
    "--db-flush-interval-ms", type=click.IntRange(1), default=500, show_default=True, help="Longest wait of a batch."
)
@click.option("--redis/--no-redis", default=True, show_default=True, help="Fill the dashboard's cache.")
@click.option("--json", "as_json", is_flag=True, help="What was done, as JSON.")
@click.pass_context
def process(
    context: click.Context,
    videos: tuple[Path, ...],
    camera: str | None,
    start: str | None,
    config_file: Path | None,
    db_dsn: str | None,
    db_batch_size: int,
    db_flush_interval_ms: int,
    redis: bool,
    as_json: bool,
) -> None:
    """Count the people in VIDEOS (files, or folders of them) and show what was found.

    Each video's camera-day is run through Dagster; what is done already is skipped. A --camera that is not configured
    is registered, without lines. A file that is not counted is named with its reason, and the others go on: the exit
    code is then 1.
    """
    from pc_pipeline.cli.report import echo_json

    settings = _settings(db_dsn)
    resource = {"db_batch_size": db_batch_size, "db_flush_interval_ms": db_flush_interval_ms, "redis": redis}
    report = process_videos(settings, videos, camera, start, config_file, resource, quiet=as_json)
    if as_json:
        echo_json(report)
    else:
        _print_report(report)
    context.exit(1 if report["not_counted"] or report["failures"] else 0)


def _settings(db_dsn: str | None) -> Settings:
    """The environment's settings; a DSN given as an argument takes the place of its Postgres."""
    if db_dsn:
        from pc_pipeline.store.postgres import refuse_password

        refuse_password(db_dsn)
        os.environ["PC_POSTGRES_DSN"] = db_dsn
    return Settings()


def process_videos(
    settings: Settings,
    videos: tuple[Path, ...],
    camera: str | None,
    start: str | None,
    config_file: Path | None,
    resource: dict[str, Any],
    *,
    quiet: bool,
) -> dict[str, Any]:
    """Do what `pc process` does; returns the camera-days run, what is not counted and why, and the summary."""
    from pc_pipeline.embedded.services import services
    from pc_pipeline.ingest.site import load_site

    site = load_site(config_file) if config_file else None
    paths, refused = _find(videos)
    if start and len(paths) > 1:
        raise ConfigError(
            f"--start is the start of one video, and there are {len(paths)}: leave it out and let each file's name"
            " tell when it starts (docs/ingest.md), or process them one by one."
        )
    with services(settings) as endpoints:
        from pc_pipeline.cli.config import replacing
        from pc_pipeline.store.migrate import require_current
        from pc_pipeline.store.postgres import in_transaction
        from pc_pipeline.store.registry import apply_site, cameras

        require_current(endpoints.postgres_dsn)
        if site and config_file:
            with replacing(settings.site_file, config_file):
                in_transaction(endpoints.postgres_dsn, lambda connection: apply_site(connection, site))
        from pc_pipeline.defs.partitions import site as applied_site

        applied = applied_site()
        known = in_transaction(endpoints.postgres_dsn, cameras)[0]
        given, unplaced = _place(paths, camera, start, applied, set(known))
        by_hand = bool(camera or start)
        return _run(settings, endpoints, applied, given, {**refused, **unplaced}, resource, by_hand, quiet)


def _find(videos: tuple[Path, ...]) -> tuple[list[Path], dict[str, str]]:
    """The files meant, folders looked through; and those refused, each with its reason."""
    from pc_pipeline.ingest.watch import printable, scan

    found: list[Path] = []
    refused: dict[str, str] = {}
    for path in videos:
        # Without `..`, so that a file has one path; links stay what they are called.
        absolute = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100
        shown = printable(str(absolute))
        if not os.path.lexists(absolute):
            refused[shown] = "There is no such file or folder, or it cannot be reached: check the path."
        elif absolute.is_dir():
            before = len(refused)
            inside = [Path(file.path) for file in scan(absolute, refused.__setitem__)]
            found += sorted(inside)
            if not inside and len(refused) == before:
                refused[shown] = "There is no video in this folder."
        elif not absolute.is_file():
            refused[shown] = "It is no file that can be read: a link to nothing, or a device."
        elif shown != str(absolute):
            refused[shown] = "The name is not in UTF-8, so it cannot be stored: rename it."
        else:
            found.append(absolute)
    return list(dict.fromkeys(found)), refused


def _place(
    paths: list[Path], camera: str | None, start: str | None, site: "SiteConfig", known: set[str]
) -> tuple[list[Given], dict[str, str]]:
    """Say of each file whose it is and when it starts: as given, and otherwise as its name tells.

    Only a camera given by hand may be one that is not `known`.
    """
    from pc_pipeline.ingest.names import CAMERA_NAME, parse_name
    from pc_pipeline.stages.arrivals import unknown_camera
    from pc_pipeline.stages.registration import ambiguous_start

    started = _start(start, site) if start else None
    if camera and not re.fullmatch(CAMERA_NAME, camera):
        raise ConfigError(
            f"--camera {camera!r} cannot be a camera's name: use 1 to 64 letters, digits, '.', '_' or '-', beginning"
            " with a letter or digit."
        )
    given, refused = [], {}
    for path in paths:
        if camera and started:
            given.append(Given(path, camera, started))
            continue
        try:
            # A pattern may want the folders above the file; it is compared with the end of the path.
            name = parse_name(str(Path(*path.parts[-4:])), site.name_patterns, site.zone_info)
        except NameNotUnderstood as error:
            refused[str(path)] = str(error)
            continue
        if not camera and name.camera not in known:
            by_hand = f"Or give --camera {name.camera}, to count it without lines."
            refused[str(path)] = f"{unknown_camera(name.camera)} {by_hand}"
            continue
        doubt = ambiguous_start(name.start, site.zone_info) if name.ambiguous and not started else None
        given.append(Given(path, camera or name.camera, started or name.start, doubt))
    return given, refused


def _start(text: str, site: "SiteConfig") -> dt.datetime:
    from pc_pipeline.ingest.names import NonexistentTime, to_utc

    try:
        moment = dt.datetime.fromisoformat(text)
        return moment.astimezone(dt.UTC) if moment.tzinfo else to_utc(moment, site.zone_info)[0]
    except NonexistentTime as error:
        raise ConfigError(f"--start {error}: write it with an offset, like 2026-03-01T09:00:00+00:00.") from None
    except (ValueError, OverflowError):
        raise ConfigError(f"--start {text} is not a time: write it like 2026-03-01T09:00:00+00:00.") from None


def _run(
    settings: Settings,
    endpoints: "Endpoints",
    site: "SiteConfig",
    given: list[Given],
    refused: dict[str, str],
    resource: dict[str, Any],
    by_hand: bool,
    quiet: bool,
) -> dict[str, Any]:
    from pc_pipeline import local_run
    from pc_pipeline.defs.resources import Pipeline
    from pc_pipeline.stages.arrivals import give, start_allowed
    from pc_pipeline.stages.runner import model_hashes
    from pc_pipeline.store import figures
    from pc_pipeline.store.postgres import in_transaction
    from pc_pipeline.store.registry import add_camera, warnings_of_day

    machine = Pipeline(**resource).machine()
    now = dt.datetime.now(dt.UTC)
    for camera in sorted({video.camera for video in given}):
        # A model that is missing stops every video alike: before anything is changed.
        model_hashes(site.effective(camera), machine)
    days: set[local_run.CameraDay] = set()
    for video in given:
        reason = start_allowed(video.start, site, now)
        if reason:
            refused[str(video.path)] = reason
            continue
        config = site.effective(video.camera).model_dump(mode="json")
        in_transaction(endpoints.postgres_dsn, partial(add_camera, camera=video.camera, config=config))
        days |= give(machine, site, video.path, video.camera, video.start, given=by_hand)
    outcome = local_run.Outcome()
    problems: list[tuple[str, str, str]] = [(path, "refused", reason) for path, reason in refused.items()]
    if days:
        with bars(quiet) as (show, say), local_run.dagster_instance(settings, endpoints) as instance:
            outcome = local_run.run_camera_days(instance, days, show=show, say=say, resource=resource)
    asked = {str(video.path): video for video in given}
    doubts = [(str(video.path), video.doubt) for video in given if video.doubt]
    warnings: list[tuple[str, str]] = [(path, doubt) for path, doubt in doubts if path not in refused]
    for camera, date in sorted(days):
        problems += [row for row in _not_counted(machine, camera, date, outcome.failures) if row[0] in asked]
        found, _ = in_transaction(endpoints.postgres_dsn, partial(warnings_of_day, camera=camera, date=date))
        warnings += [row for row in found if row[0] in asked]
    today = dt.datetime.now(site.zone_info).date()
    summary, _ = in_transaction(
        endpoints.postgres_dsn, lambda connection: figures.summary(connection, site.zone_info, today)
    )
    return {
        "camera_days": [{"camera": camera, "date": str(date)} for camera, date in outcome.days],
        "not_counted": [{"path": path, "status": status, "reason": reason} for path, status, reason in problems],
        "warnings": [{"path": path, "warning": warning} for path, warning in warnings],
        "failures": outcome.failures,
        "summary": summary,
    }


def _not_counted(machine: Any, camera: str, date: dt.date, failures: list[str]) -> list[tuple[str, str, str]]:
    """(path, status, why) of a camera-day's files; after a failed run only what registration says of them."""
    from pc_pipeline.stages.runner import not_counted
    from pc_pipeline.store.postgres import in_transaction
    from pc_pipeline.store.registry import files_of_day

    if not failures:
        return not_counted(machine, camera, date)
    files, _ = in_transaction(machine.dsn, partial(files_of_day, camera=camera, date=date))
    return [(row.path, row.status, row.reason or "") for row in files if row.status != "registered"]


@contextmanager
def bars(quiet: bool) -> Iterator[tuple[Any, Any]]:
    """A progress bar a video, on stderr; nothing where the output is for a machine."""
    if quiet:
        yield None, lambda line: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[rate]}"),
        TimeRemainingColumn(),
        # The stderr of now: while a run goes on, what is said there goes to its log (`local_run.execute`).
        console=Console(file=sys.stderr),
        redirect_stderr=False,
    )
    tasks: dict[str, Any] = {}

    def show(path: str, state: Any) -> None:
        # Not before: bars of nothing leave an empty line.
        progress.start()
        if path not in tasks:
            tasks[path] = progress.add_task(one_line(Path(path).name), total=None, rate="")
        total = state.total_s or None
        progress.update(
            tasks[path],
            completed=min(state.done_s, total or state.done_s),
            total=total,
            rate=f"{state.fps:.1f} frames/s",
        )

    try:
        yield show, lambda line: progress.console.print(line, style="dim", markup=False, highlight=False)
    finally:
        if tasks:
            progress.stop()


def _print_report(report: dict[str, Any]) -> None:
    from pc_pipeline.cli.report import print_summary

    for item in report["warnings"]:
        click.echo(one_line(f"warning: {item['path']}: {item['warning']}"), err=True)
    for item in report["not_counted"]:
        # Some sentences begin with the path.
        reason = item["reason"].removeprefix(f"{item['path']}: ")
        click.echo(one_line(f"{item['status']}: {item['path']}: {reason}"), err=True)
    for sentence in report["failures"]:
        click.echo(one_line(f"failed: {sentence}"), err=True)
    if report["camera_days"]:
        print_summary(report["summary"])


def run_watched(settings: Settings, endpoints: "Endpoints", *, quiet: bool = False) -> None:
    """Run every camera-day the watched folder or the ledger asks for now, as the sensors and the daemon would.

    Raises:
        UserError: a run failed; the message says why.
    """
    from pc_pipeline import local_run
    from pc_pipeline.defs.partitions import site
    from pc_pipeline.defs.resources import Pipeline
    from pc_pipeline.stages.arrivals import look
    from pc_pipeline.stages.runner import outstanding_days

    # An hour on: whatever lies in the folder has been written to its end.
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    machine, applied = Pipeline().machine(), site()
    days = set(look(machine, applied, {}, later).days)
    for camera in applied.cameras:
        days |= {(camera, date) for date in outstanding_days(machine, camera, rollups=False)}
    with bars(quiet) as (show, say), local_run.dagster_instance(settings, endpoints) as instance:
        outcome = local_run.run_camera_days(instance, days, show=show, say=say)
    if outcome.failures:
        raise UserError("; ".join(outcome.failures))
