"""What a fault did: one line of the table, `results.json` and `README.md`."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.table import replace_table
from faults.site import Site, Standing, differing

FOLDER = Path(__file__).resolve().parent
AREAS = ("damaged", "disk", "kill", "daemons", "files", "clock")
_HEAD = "| area | fault | times | what became of it | as promised |\n" + 5 * "|---" + "|\n"


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        area, fault: what was done.
        times: how often.
        found: what became of it, in figures.
        kept: whether that is what docs/faults.md promises.
    """

    area: str
    fault: str
    times: int
    found: str
    kept: bool


def write(findings: Sequence[Finding], areas: Sequence[str], folder: Path = FOLDER) -> None:
    """Put the findings of `areas` in place of those from before, and draw the table anew."""
    results = folder / "results.json"
    known = [Finding(**found) for found in json.loads(results.read_text())] if results.exists() else []
    rows = sorted(
        [*(found for found in known if found.area not in areas), *findings], key=lambda row: AREAS.index(row.area)
    )
    results.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) + "\n")
    replace_table(folder / "README.md", _HEAD + "".join(map(_line, rows)), "make faults")


def _line(row: Finding) -> str:
    return f"| {row.area} | {row.fault} | {row.times:,} | {row.found} | {'yes' if row.kept else '**no**'} |\n"


def judged(site: Site, area: str, fault: str, times: int, standing: Standing) -> list[Finding]:
    """What became of the site after a fault: the standing of its camera-days, and its rows beside those without."""
    found, wanted = site.digest(), site.undisturbed()
    other = differing(found, wanted)
    for sentence in [*standing.hanging, *standing.outstanding, *standing.untold, *other]:
        site.say(f"  left: {sentence}")
    for name, reason in standing.told.items():
        site.say(f"  {name} failed: {reason}")
    days, rows = len(site.days), sum(table["rows"] for table in found.values())
    state = (
        f"of {days} camera-days {standing.green} green, {len(standing.told)} say why not, {len(standing.untold)} do"
        f" neither; {len(standing.hanging)} runs hang, {len(standing.outstanding)} outstanding;"
        f" {standing.failed_runs} runs failed on the way; at rest after {standing.seconds:.0f} s"
    )
    same = f"{rows:,} rows in {len(found)} tables equal" if not other else f"rows differ in {', '.join(other)}"
    return [
        Finding(area, fault, times, state, not (standing.untold or standing.hanging or standing.outstanding)),
        Finding(area, f"{fault}: the tables beside those without faults", 1, same, not other),
    ]
