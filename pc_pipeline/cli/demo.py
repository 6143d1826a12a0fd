"""`pc demo`: the whole way, from a rendered video to counts beside the known truth."""

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pc_pipeline.errors import ConfigError, ModelMissing
from pc_pipeline.settings import Settings

if TYPE_CHECKING:
    from pc_pipeline.demo.compare import Counts, Hour

DEFAULT_DETECTOR = "yolo11n"


@click.command(epilog="Examples:\n\n\b\n  pc demo\n  pc demo --detector hog\n  PC_HOME=/tmp/demo pc demo --json")
@click.option("--detector", help="How people are found.  [default: yolo11n where PC_MODELS_DIR has it, else hog]")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
@click.pass_context
def demo(context: click.Context, detector: str | None, as_json: bool) -> None:
    """Render a camera's day, count the people in it through Dagster, and compare with the known truth.

    The videos appear in the watched folder and the main job runs on them, as on a real camera's. All is kept in
    PC_HOME: `pc up` shows it in the Dagster UI, and a second call skips what is done. The exit code is 0 where every
    hour's counts are the truth's, in Postgres and in Redis, else 1.
    """
    from pc_pipeline.cli.process import run_watched
    from pc_pipeline.demo import script
    from pc_pipeline.embedded.services import services

    began = time.monotonic()
    settings = Settings()

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    _refuse_another_site(settings.site_file)
    model = _choose_detector(detector, settings, say)
    videos = _record_clips(settings, say, quiet=as_json)
    say("starting Postgres and Redis…")
    with services(settings) as endpoints:
        _apply_site(settings, endpoints.postgres_dsn, model)
        say(f"counting the camera-day {script.CAMERA} {script.DAY} through Dagster…")
        run_watched(settings, endpoints, quiet=as_json)
        hours = _read_hours(endpoints.postgres_dsn, endpoints.redis_url)
    agree = all(hour.agrees for hour in hours)
    if as_json:
        result = {
            "detector": model,
            "camera": script.CAMERA,
            "date": script.DAY,
            "agree": agree,
            "hours": [asdict(hour) for hour in hours],
            "videos": videos,
            "seconds": round(time.monotonic() - began, 1),
        }
        click.echo(json.dumps(result, indent=2, default=lambda v: v.isoformat() if hasattr(v, "isoformat") else str(v)))
    else:
        _print_hours(hours)
        click.echo(_verdict(hours, model))
        click.echo(f"  videos          {videos[0].parent}")
        click.echo(f"  their truth     {_truth_dir(settings)} (MOTChallenge rows)")
        click.echo("  Dagster UI      run `make up`: it says where to look at the runs of this demo")
        click.echo(f"done in {time.monotonic() - began:.0f} s")
    context.exit(0 if agree else 1)


def _refuse_another_site(site_file: Path) -> None:
    """Raise ConfigError where a site other than the demo's is in force."""
    from pc_pipeline.demo.script import site_yaml

    if not site_file.exists():
        return
    text = site_file.read_text(errors="replace")
    model = re.search(r"^  model: (\S+)$", text, re.MULTILINE)
    if not model or text != site_yaml(model[1]):
        raise ConfigError(
            f"{site_file} is not the demo's site file, and the demo would replace it: "
            "give the demo a home of its own with `PC_HOME=/tmp/pc-demo pc demo`, or remove the file."
        )


def _choose_detector(wanted: str | None, settings: Settings, say: Callable[[str], None]) -> str:
    """The detector's name; one that was asked for is fetched where it is missing."""
    from pc_pipeline.vision import models

    if wanted:
        try:
            models.resolve(wanted, settings.models_dir)
        except ModelMissing:
            say(f"fetching {wanted}…")
            models.fetch(wanted, settings.models_dir)
        return wanted
    try:
        models.resolve(DEFAULT_DETECTOR, settings.models_dir)
    except ModelMissing:
        say(
            f"No {DEFAULT_DETECTOR} weights in {settings.models_dir}, so people are found with HOG, which is built into"
            " OpenCV. `make demo DETECTOR=yolo11n` fetches the weights."
        )
        return "hog"
    say(f"People are found with {DEFAULT_DETECTOR} from {settings.models_dir}.")
    return DEFAULT_DETECTOR


def _truth_dir(settings: Settings) -> Path:
    return settings.home / "demo"


def _record_clips(settings: Settings, say: Callable[[str], None], quiet: bool) -> list[Path]:
    """Render the clips that are not there yet; the paths of all."""
    from rich.console import Console
    from rich.progress import Progress

    from pc_pipeline.demo.photographs import cut_out_people
    from pc_pipeline.demo.record import record, video_path
    from pc_pipeline.demo.script import CAMERA, CLIPS

    people = cut_out_people()
    videos = [video_path(settings.watch_dir, CAMERA, started_at) for started_at, _ in CLIPS]
    written = 0
    with Progress(console=Console(stderr=True), transient=True, disable=quiet or not sys.stderr.isatty()) as bar:
        for video, (_, clip) in zip(videos, CLIPS, strict=True):
            task = bar.add_task(f"rendering {video.name}", total=clip.frames)
            truth = _truth_dir(settings) / f"{video.stem}.txt"
            written += record(video, truth, clip, people, partial(bar.advance, task))
            bar.update(task, completed=clip.frames)
    seconds = sum(clip.duration_s for _, clip in CLIPS)
    if written:
        say(f"rendered {written} of {len(videos)} videos ({seconds:.0f} s in all) into {videos[0].parent}")
    else:
        say(f"skipped rendering: the {len(videos)} videos are in {videos[0].parent}")
    return videos


def _apply_site(settings: Settings, dsn: str, detector: str) -> None:
    """Put the demo's site file in force."""
    from pc_pipeline.cli.config import replacing
    from pc_pipeline.demo.script import site_yaml
    from pc_pipeline.ingest.site import load_site
    from pc_pipeline.store.postgres import in_transaction
    from pc_pipeline.store.registry import apply_site

    file = _truth_dir(settings) / "site.yaml"
    file.write_text(site_yaml(detector))
    site = load_site(file)
    with replacing(settings.site_file, file):
        in_transaction(dsn, lambda connection: apply_site(connection, site))


def _read_hours(dsn: str, redis_url: str | None) -> "list[Hour]":
    from pc_pipeline.demo.compare import compare
    from pc_pipeline.demo.script import CAMERA, CLIPS, DAY, LINE_X
    from pc_pipeline.demo.truth import hourly
    from pc_pipeline.store import figures
    from pc_pipeline.store.cache import Cache
    from pc_pipeline.store.postgres import in_transaction

    stored, _ = in_transaction(dsn, lambda connection: figures.hourly(connection, CAMERA, DAY))
    cached = Cache(redis_url).get_json("hourly", CAMERA, DAY) or []
    return compare(hourly(CLIPS, LINE_X), stored, cached)


def _print_hours(hours: "Sequence[Hour]") -> None:
    from rich.console import Console
    from rich.table import Table

    from pc_pipeline.demo.script import CAMERA, DAY

    table = Table(title=f"{CAMERA}, {DAY}: in / out by hour", title_justify="left", header_style="bold")
    for column in ("hour", "truth", "Postgres", "Redis", "", "people seen", "seconds of video"):
        table.add_column(column, justify="left" if column == "hour" else "right")
    for hour in hours:
        counts = (_shown(counts) for counts in (hour.truth, hour.postgres, hour.redis))
        agrees = "✓" if hour.agrees else "✗"
        table.add_row(f"{hour.hour:%H:%M}", *counts, agrees, str(hour.people), f"{hour.coverage_s:.1f}")
    Console().print(table)


def _shown(counts: "Counts | None") -> str:
    return f"{counts[0]} / {counts[1]}" if counts else "-"


def _verdict(hours: "Sequence[Hour]", detector: str) -> str:
    """The outcome in a sentence."""
    if all(hour.agrees for hour in hours):
        return f"All {len(hours)} hours agree: truth, Postgres and Redis."
    if any(hour.postgres is None for hour in hours):
        return "There are hours without a figure in Postgres: `pc status` and the Dagster UI show what went wrong."
    if all(hour.redis is None for hour in hours):
        return "Redis has no figures, so nothing can be compared with it: `pc status` shows how it is."
    if any(hour.redis != hour.postgres for hour in hours):
        return "Postgres and Redis differ: run `make demo` again, which fills Redis anew."
    differing = sum(not hour.agrees for hour in hours)
    return f"{differing} of {len(hours)} hours differ from the truth: {detector} missed people or saw too many."
