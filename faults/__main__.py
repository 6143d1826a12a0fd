"""`make faults`: harm a whole site in every way that happens, and look at what is left."""

import os
import shutil
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

import click
from rich.console import Console

from bench.measure import BenchError, NotHere
from bench.workbench import FOREIGN
from faults.findings import AREAS, Finding, write
from faults.site import Extent, Site


@click.command(
    epilog="Examples: `make faults` does all (half an hour), `make faults ONLY=kill TIMES=2` two kills of each kind, "
    "`python -m faults --only damaged --dry` shows findings and writes nothing."
)
@click.option("--only", default="", help=f"Areas, with commas between: {', '.join(AREAS)}.")
@click.option("--seed", default=0, show_default=True, help="Of every random choice.")
@click.option("--times", default=10, show_default=True, type=click.IntRange(1), help="Kills of each kind of process.")
@click.option("--days", default=5, show_default=True, type=click.IntRange(1), help="Of each camera in the backfill.")
@click.option("--port", default=3190, show_default=True, help="Of the site's webserver.")
@click.option("--keep", is_flag=True, help="Leave the sites' folders, with their logs.")
@click.option("--dry", is_flag=True, help="Leave results.json and README.md as they are.")
def main(only: str, seed: int, times: int, days: int, port: int, keep: bool, dry: bool) -> None:
    """Harm sites of their own below the temporary folder; exits with 1 where something is not as promised."""
    areas = [name.strip() for name in only.split(",") if name.strip()] or list(AREAS)
    unknown = sorted(set(areas) - set(AREAS))
    if unknown:
        raise click.UsageError(f"ONLY names {', '.join(unknown)}; areas are {', '.join(AREAS)}.")
    for name in ("PC_HOME", *FOREIGN):
        os.environ.pop(name, None)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
    console, findings, done, broken = Console(stderr=True), [], [], []
    started = time.monotonic()
    for area in areas:
        begun = time.monotonic()
        console.print(f"[bold]{area}[/bold]")
        folder = Path(tempfile.mkdtemp(prefix=f"pc_faults_{area}_"))
        folder.chmod(0o755)
        site = Site(folder, port, seed, lambda line: console.print(line, soft_wrap=True, markup=False))
        found: list[Finding] = []
        try:
            for finding in import_module(f"faults.areas.{area}").find(site, Extent(times, days)):
                found.append(finding)
                console.print(_told(finding), soft_wrap=True)
            done.append(area)
            findings += found
        except NotHere as error:
            console.print(f"  not done on this machine: {error}", soft_wrap=True)
        except BenchError as error:
            broken.append(area)
            console.print(f"  [red]broken off[/red]: {error}", soft_wrap=True, markup=True)
        finally:
            if keep:
                console.print(f"  kept: {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)
        console.print(f"  {time.monotonic() - begun:.0f} s", style="dim")
    if not dry:
        write(findings, done)
    bad = [finding for finding in findings if not finding.kept]
    console.print(f"{len(findings)} findings, {len(bad)} not as promised, in {time.monotonic() - started:.0f} s")
    sys.exit(1 if bad or broken else 0)


def _told(finding: Finding) -> str:
    mark = "" if finding.kept else "[red]not as promised[/red]: "
    return f"  {mark}{finding.fault} ({finding.times}): {finding.found}"


if __name__ == "__main__":
    main()
