"""`pc cameras`: each camera, whether video of it is coming, and what its last minute showed."""

import datetime as dt
from typing import Any

import click

from pc_pipeline.cli import report


@click.command(epilog="Examples:\n\n\b\n  pc cameras\n  pc cameras --json")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for machines.")
def cameras(as_json: bool) -> None:
    """Each camera: is video coming, who is in view, what was counted today.

    `status` is streaming where the next file is not overdue (the last one ended no longer ago than it is long, and 15
    minutes more), recent within 24 hours, else stale. `state` is what is done with its videos now: detecting, tracking
    (boxes become tracks and counts) or waiting. `in view` is the most people at once in the last minute of video that
    was tracked, `frames/s` of the last run that decoded video.
    """
    from pc_pipeline.store import metrics

    def read(connection: Any, zone: Any) -> tuple[Any, list[dict[str, Any]]]:
        return zone, metrics.cameras(connection, dt.datetime.now(zone).date())

    zone, rows = report.from_database(read, None)
    if as_json:
        report.echo_json(rows)
        return
    if not rows:
        click.echo("There is no camera yet: name one in the site file and run `pc config apply`.")
        return
    report.print_table(
        "Cameras",
        ("camera", "status", "state", "last video until", "in view", "in today", "out today", "frames/s"),
        [
            (
                row["camera"], row["status"] if row["active"] else f"{row['status']}, not active", row["state"],
                f"{row['last_video_until'].astimezone(zone):%Y-%m-%d %H:%M:%S}" if row["last_video_until"] else "never",
                _shown(row["people_in_view"]), _shown(row["entered_today"]), _shown(row["exited_today"]),
                _shown(row["frames_per_s"], ".1f"),
            )
            for row in rows
        ],
    )  # fmt: skip


def _shown(figure: float | None, form: str = "") -> str:
    """A figure; "-" where there is none, which is not 0."""
    return "-" if figure is None else f"{figure:{form}}"
