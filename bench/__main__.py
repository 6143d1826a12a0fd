"""`make bench`: every benchmark of the project, each beside the peer or the limit it is compared with."""

import sys
import time
from importlib import import_module

import click
from rich.console import Console

from bench import table
from bench.measure import BenchError, NotHere, Row
from bench.wanted import AREAS, WANTED
from bench.workbench import workbench


@click.command(
    epilog="Examples: `make bench` runs all (15 minutes), `make bench ONLY=load,rollups` two areas, "
    "`python -m bench --only start --dry` shows figures and writes nothing."
)
@click.option("--only", default="", help=f"Areas, with commas between: {', '.join(AREAS)}.")
@click.option("--dry", is_flag=True, help="Leave results.json and README.md as they are.")
def main(only: str, dry: bool) -> None:
    """Measure on this machine and write bench/results.json and the table of bench/README.md."""
    areas = [name.strip() for name in only.split(",") if name.strip()] or list(AREAS)
    unknown = sorted(set(areas) - set(AREAS))
    if unknown:
        raise click.UsageError(f"ONLY names {', '.join(unknown)}; areas are {', '.join(AREAS)}.")
    console, rows, measured, failed = Console(stderr=True), [], [], []
    started = time.monotonic()
    with workbench() as bench:
        for area in areas:
            begun = time.monotonic()
            console.print(f"[bold]{area}[/bold]")
            try:
                for row in import_module(f"bench.areas.{area}").measure(bench):
                    rows.append(row)
                    console.print(_told(row), soft_wrap=True)
                measured.append(area)
            except NotHere as error:
                console.print(f"  not measured on this machine: {error}", soft_wrap=True)
            except BenchError as error:
                failed.append(area)
                console.print(f"  [red]failed[/red]: {error}", soft_wrap=True)
            console.print(f"  {time.monotonic() - begun:.0f} s", style="dim")
    if not dry:
        table.write(rows, measured, WANTED)
    console.print(f"{len(rows)} rows in {time.monotonic() - started:.0f} s")
    sys.exit(1 if failed else 0)


def _told(row: Row) -> str:
    wanted = WANTED[row.area, row.work]
    return (
        f"  {row.work}: {row.ours:,g} {row.unit} against {row.theirs:,g} ({row.against}): ratio {row.ratio:.3g}"
        f"{f', wanted {wanted}' if wanted else ''}, spread {row.spread:.0%} in {row.runs}"
    )


if __name__ == "__main__":
    main()
