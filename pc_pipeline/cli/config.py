"""`pc config`: check the site file, apply it, and show what is in force."""

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pc_pipeline.errors import ConfigError
from pc_pipeline.ingest.site import CameraConfig, SiteConfig, ZoneRow, load_site, zone_rows
from pc_pipeline.ingest.yaml_lines import SiteFileError
from pc_pipeline.settings import Settings

if TYPE_CHECKING:
    from pc_pipeline.counting.geometry import Line

FILE = click.Path(path_type=Path)


@click.group(
    epilog="Examples:\n\n\b\n  pc config check site.yaml\n  pc config apply site.yaml\n  pc config show",
)
def config() -> None:
    """Check and apply the site file: the time zone, the cameras, their lines and zones."""


@config.command(epilog="Examples:\n\n\b\n  pc config check site.yaml\n  pc config check site.yaml --json")
@click.argument("file", type=FILE, required=False)
@click.option("--json", "as_json", is_flag=True, help="Problems as JSON.")
@click.pass_context
def check(context: click.Context, file: Path | None, as_json: bool) -> None:
    """Say all that is wrong in FILE, with the line and what to write; nothing is changed.

    Without FILE, the site file applied last is checked. The exit code is 2 where something is wrong.
    """
    path = file or _applied()
    try:
        site, problems = load_site(path), []
    except SiteFileError as error:
        site, problems = None, error.problems
    if as_json:
        report = {"file": str(path), "ok": not problems, "problems": [dataclasses.asdict(p) for p in problems]}
        click.echo(json.dumps(report, indent=2))
    elif site is not None:
        click.echo(f"{path}: good. {_summary(site)}")
    else:
        for problem in problems:
            click.echo(problem, err=True)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        click.echo(f"{count} in {path}; nothing was changed.", err=True)
    context.exit(2 if problems else 0)


@config.command(epilog="Examples:\n\n\b\n  pc config apply site.yaml\n  pc config apply site.yaml --json")
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Changes as JSON.")
def apply(file: Path, as_json: bool) -> None:
    """Put FILE in force and say what that changes; a file with a mistake changes nothing.

    A line or zone edited under the `valid_from` it had corrects history; a later `valid_from` starts a version.
    """
    from pc_pipeline.embedded.code_server import answers, reload, socket_path
    from pc_pipeline.embedded.services import services
    from pc_pipeline.store.postgres import in_transaction
    from pc_pipeline.store.registry import apply_site

    settings = Settings()
    site = load_site(file)
    with replacing(settings.site_file, file), services(settings) as endpoints:
        changes, _ = in_transaction(endpoints.postgres_dsn, lambda connection: apply_site(connection, site))
    # What runs has read the site file when it started.
    running = answers(server := socket_path(settings))
    if running:
        reload(server)
    if as_json:
        done = [dataclasses.asdict(change) for change in changes]
        click.echo(json.dumps({"file": str(settings.site_file), "changes": done}, indent=2))
        return
    for change in changes:
        click.echo(f"{change.action} {change.what}" + (f": {change.note}" if change.note else ""))
    click.echo(f"{file} is in force{'' if changes else ' already: nothing changed'}. {_summary(site)}")
    if running:
        click.echo("The pipeline that runs has read it anew; runs that go on end with what they began with.")


@config.command(epilog="Examples:\n\n\b\n  pc config show\n  pc config show --json")
@click.option("--json", "as_json", is_flag=True, help="The whole configuration, and each camera's settings, as JSON.")
def show(as_json: bool) -> None:
    """Show the site file that is in force."""
    path = _applied()
    site = load_site(path)
    if as_json:
        effective = {name: site.effective(name).model_dump(mode="json") for name in site.cameras}
        report = {"file": str(path), "site": site.model_dump(mode="json", by_alias=True), "effective": effective}
        click.echo(json.dumps(report, indent=2))
        return
    click.echo(f"{path}: {_summary(site)}")
    rows = zone_rows(site)
    for name, camera in sorted(site.cameras.items()):
        facts = [camera.location, camera.zone, *camera.tags, None if camera.active else "not active"]
        click.echo(f"\n{name}" + "".join(f", {fact}" for fact in facts if fact))
        for row in rows:
            if row.camera == name:
                click.echo(f"  {_row(row, site)}")
        for part, values in camera.model_dump(
            mode="json", include={*type(site.effective(name)).model_fields, "alerts"}
        ).items():
            for key, value in values.items():
                click.echo(f"  {part}.{key}: {value}")


def _applied() -> Path:
    path = Settings().site_file
    if not path.exists():
        raise ConfigError(
            "no site file is in force yet: write one (docs/configuration.md shows a whole one) and run "
            "`pc config apply FILE`"
        )
    return path


def _summary(site: SiteConfig) -> str:
    counts = {
        "camera": len(site.cameras),
        "line": sum(len(camera.lines) for camera in site.cameras.values()),
        "zone": sum(len(camera.zones) for camera in site.cameras.values()),
    }
    named = ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items())
    return f"{named}; time zone {site.timezone}."


def chosen_camera(site: SiteConfig, file: Path, camera: str | None) -> str | None:
    """The camera that `--camera` names, or the only one of the site file; None where the file has none.

    Raises:
        ConfigError: there is no such camera, or there are several and none is named.
    """
    names = ", ".join(site.cameras) or "none"
    if camera is None and len(site.cameras) > 1:
        raise ConfigError(f"{file} has several cameras: say which with --camera ({names}).")
    if camera is not None and camera not in site.cameras:
        raise ConfigError(f"{file} has no camera '{camera}'. Cameras: {names}.")
    return camera or next(iter(site.cameras), None)


def configured_lines(camera: CameraConfig) -> "dict[str, Line]":
    """A camera's lines by name, as they are drawn in the site file."""
    from pc_pipeline.counting.geometry import Line

    return {name: Line(line.start, line.end, line.in_side) for name, line in camera.lines.items()}


def _row(row: ZoneRow, site: SiteConfig) -> str:
    corners = list(zip(row.points[::2], row.points[1::2], strict=True))
    shape = f"in: {row.in_side}, {corners[0]} to {corners[1]}" if row.in_side else f"{len(corners)} points"
    since = f", from {row.valid_from.astimezone(site.zone_info):%Y-%m-%d %H:%M %Z}" if row.valid_from else ""
    return f"{row.kind} {row.name}: {shape}{since}"


@contextmanager
def replacing(target: Path, source: Path) -> Iterator[None]:
    """Copy `source` beside `target` and, where the block succeeds, put it in its place: a reader sees the old file or
    the new one, whole, and a full disk is noticed before the block."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".site-", suffix=".yaml")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(source.read_bytes())
            file.flush()
            os.fsync(file.fileno())
        yield
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)
