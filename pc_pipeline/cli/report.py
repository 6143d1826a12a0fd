"""`pc summary`, `pc tracks`, `pc hourly`, `pc daily`, `pc events`: the figures, from Postgres."""

import datetime as dt
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import click

from pc_pipeline.settings import Settings


def _options(function: Callable[..., None]) -> Callable[..., None]:
    function = click.option("--json", "as_json", is_flag=True, help="As JSON, for machines.")(function)
    function = click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="Only this day of the site's time zone.")(
        function
    )
    return click.option("--camera", help="Only this camera.")(function)


def from_database(query: Callable[[Any, Any], Any], camera: str | None) -> Any:
    """Run a query on the results database; a camera that does not exist is an error, not an empty answer."""
    from pc_pipeline.defs.partitions import site
    from pc_pipeline.embedded.services import services
    from pc_pipeline.errors import UserError
    from pc_pipeline.store.migrate import require_current
    from pc_pipeline.store.postgres import in_transaction
    from pc_pipeline.store.registry import cameras

    with services(Settings()) as endpoints:
        require_current(endpoints.postgres_dsn)
        known, _ = in_transaction(endpoints.postgres_dsn, cameras)
        if camera is not None and camera not in known:
            names = ", ".join(known) or "none yet"
            raise UserError(f"There is no camera '{camera}'. Cameras: {names}.")
        return in_transaction(endpoints.postgres_dsn, lambda connection: query(connection, site().zone_info))[0]


def _day(date: dt.datetime | None) -> dt.date | None:
    return date.date() if date else None


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    if not rows:
        click.echo("Nothing was counted yet, or nothing that --camera and --date leave.")
        return
    table = Table(
        title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False
    )
    for place, column in enumerate(columns):
        numeric = any(isinstance(row[place], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row))
    # A pipe has no width: whole lines are what a reader of a file wants.
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def echo_json(value: Any) -> None:
    """JSON for machines; moments are in ISO 8601."""
    click.echo(json.dumps(value, indent=2, default=lambda v: v.isoformat() if hasattr(v, "isoformat") else str(v)))


@click.command(epilog="Examples:\n\n\b\n  pc summary\n  pc summary --camera campus --date 2009-06-18 --json")
@_options
def summary(camera: str | None, date: dt.datetime | None, as_json: bool) -> None:
    """The dashboard's figures: all data, unless --camera or --date narrow it."""
    from pc_pipeline.store import figures

    def read(connection: Any, zone: Any) -> dict[str, Any]:
        return figures.summary(connection, zone, dt.datetime.now(zone).date(), camera, _day(date))

    shown = from_database(read, camera)
    if as_json:
        echo_json(shown)
    else:
        print_summary(shown)


def print_summary(shown: dict[str, Any]) -> None:
    """The summary as a person reads it."""
    genders = f"{shown['unique_male']} male, {shown['unique_female']} female, {shown['unique_unknown']} unknown"
    share = f": {shown['unique_unknown'] / shown['unique_total']:.0%}" if shown["unique_total"] else ""
    click.echo(f"people    {shown['unique_total']} ({genders}{share})")
    click.echo(f"in, out   {shown['entered']} in, {shown['exited']} out")
    for name, line in shown["by_line"].items():
        click.echo(f"  {name}: {line['in']} in, {line['out']} out")
    click.echo(f"coverage  {shown['coverage_seconds']:.1f} s of video")
    if shown["camera_events"]:
        kinds = ", ".join(f"{number} {kind}" for kind, number in shown["camera_events"].items())
        click.echo(f"doubts    {kinds}: `pc events` lists them")
    click.echo(
        f"today     {shown['sessions_today']} sessions ({shown['active_sessions']} active),"
        f" {shown['people_entered_today']} in, {shown['people_exited_today']} out"
    )


@click.command(epilog="Examples:\n\n\b\n  pc tracks --limit 20\n  pc tracks --camera campus --json")
@_options
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many, newest first.")
def tracks(camera: str | None, date: dt.datetime | None, limit: int, as_json: bool) -> None:
    """The tracks found, newest first: one person while in view each."""
    from pc_pipeline.store import figures

    rows = from_database(lambda connection, zone: figures.tracks(connection, zone, limit, camera, _day(date)), camera)
    if as_json:
        echo_json(rows)
        return
    print_table(
        f"{len(rows)} tracks",
        ("camera", "session", "track", "from (UTC)", "seconds", "sightings", "gender", "crossed"),
        [
            (
                row["camera"], str(row["session_id"]), row["track_id"],
                f"{row['started_at'].astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}", row["seconds"], row["detection_count"],
                row["gender"], ", ".join(f"{line} {way}" for line, way in row["crossed"].items()),
            )
            for row in rows
        ],
    )  # fmt: skip


_COLUMNS = ("in", "out", "people", "m/f/?", "peak", "mean", "corrected", "covered s", "events")


def _figures(row: dict[str, Any]) -> tuple[Any, ...]:
    if row["no_data"]:
        return "no data", *[""] * (len(_COLUMNS) - 2), _touching(row["events"])
    genders = f"{row['unique_male']}/{row['unique_female']}/{row['unique_unknown']}"
    inside = (row["peak_occupancy"], row["mean_occupancy"], row["occupancy_correction"])
    figures = (row["entered"], row["exited"], row["unique_total"], genders, *inside, row["coverage_seconds"])
    return *figures, _touching(row["events"])


def _duration(seconds: float) -> str:
    units = ((86400, "d"), (3600, "h"), (60, "min"))
    return next((f"{seconds / unit:.1f} {name}" for unit, name in units if seconds >= unit), f"{seconds:.1f} s")


def _touching(events: Sequence[dict[str, Any]]) -> str:
    """The events that touch an hour or day, in a few words."""
    seconds: Counter[str] = Counter()
    for event in events:
        seconds[event["kind"]] += event["seconds"]
    return ", ".join(f"{kind.replace('_', ' ')} {_duration(total)}" for kind, total in sorted(seconds.items()))


@click.command(epilog="Examples:\n\n\b\n  pc hourly --date 2009-06-18\n  pc hourly --camera campus --json")
@_options
def hourly(camera: str | None, date: dt.datetime | None, as_json: bool) -> None:
    """Counts by hour, for every hour of the days that have video. "no data": no video, which is not nobody.

    `people` were seen (`m/f/?`: male, female, unknown), `peak` and `mean` were inside, once `corrected` for so many who
    left without having been seen to come. `covered` is seconds of video, `events` are gaps and a picture that is black,
    covered, frozen, moved or at another frame rate.
    """
    from pc_pipeline.store import events, figures

    def read(connection: Any, zone: Any) -> tuple[Any, list[dict[str, Any]]]:
        counted = {(row["camera"], row["hour_start"]): row for row in figures.hourly(connection, camera, _day(date))}
        hours = events.hours(connection, zone, dt.datetime.now(dt.UTC), camera, _day(date))
        return zone, [{**counted.get((hour["camera"], hour["hour_start"]), {}), **hour} for hour in hours]

    zone, rows = from_database(read, camera)
    if as_json:
        echo_json(rows)
        return
    print_table(
        "Counts by hour",
        ("camera", "hour", *_COLUMNS),
        [(row["camera"], f"{row['hour_start'].astimezone(zone):%Y-%m-%d %H:%M %Z}", *_figures(row)) for row in rows],
    )


@click.command(epilog="Examples:\n\n\b\n  pc daily\n  pc daily --camera campus --json")
@_options
def daily(camera: str | None, date: dt.datetime | None, as_json: bool) -> None:
    """Counts by day, from a camera's first day to its last. "no data": no video, which is not nobody.

    `people` were seen (`m/f/?`: male, female, unknown), `peak` and `mean` were inside, once `corrected` for so many who
    left without having been seen to come. `covered` is seconds of video, `events` are gaps and a picture that is black,
    covered, frozen, moved or at another frame rate.
    """
    from pc_pipeline.store import events, figures

    def read(connection: Any, zone: Any) -> list[dict[str, Any]]:
        touching = events.by_day(events.events(connection, zone, camera, _day(date)), zone)
        rows = [{**row, "no_data": False} for row in figures.daily(connection, camera, _day(date))]
        rows += [
            {"camera": name, "date": day, "coverage_seconds": 0.0, "no_data": True}
            for name, day in events.silent_days(connection, camera)
            if _day(date) in (None, day)
        ]
        rows = [{**row, "events": touching.get((row["camera"], row["date"]), [])} for row in rows]
        return sorted(rows, key=lambda row: (row["camera"], row["date"]))

    rows = from_database(read, camera)
    if as_json:
        echo_json(rows)
        return
    print_table(
        "Counts by day",
        ("camera", "day", *_COLUMNS),
        [(row["camera"], str(row["date"]), *_figures(row)) for row in rows],
    )


@click.command(epilog="Examples:\n\n\b\n  pc events --date 2009-06-18\n  pc events --camera campus --json")
@_options
def events(camera: str | None, date: dt.datetime | None, as_json: bool) -> None:
    """What was wrong with the video, oldest first: gaps, a black, covered, frozen or moved picture, the frame rate."""
    from pc_pipeline.store import events

    zone, rows = from_database(
        lambda connection, zone: (zone, events.events(connection, zone, camera, _day(date))), camera
    )
    if as_json:
        echo_json(rows)
        return
    if not rows:
        click.echo("Nothing was wrong with the video there is, of what --camera and --date leave.")
        return
    print_table(
        f"{len(rows)} camera events",
        ("camera", "from", "for", "what, and what to do"),
        [
            (
                row["camera"], f"{row['started_at'].astimezone(zone):%Y-%m-%d %H:%M:%S}", _duration(row["seconds"]),
                row["detail"],
            )
            for row in rows
        ],
    )  # fmt: skip
