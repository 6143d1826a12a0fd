"""`results.json` and the table in `README.md`; a run of some areas replaces their rows and leaves the others."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from bench.measure import Row

FOLDER = Path(__file__).resolve().parent
RESULTS, README = FOLDER / "results.json", FOLDER / "README.md"
_BEGIN, _END = "<!-- table: written by `make bench` -->\n", "<!-- end of table -->\n"
_HEAD = "| area | work | against | ours | theirs | ratio | wanted | spread | runs |\n" + 9 * "|---" + "|\n"


def write(rows: Sequence[Row], areas: Sequence[str], wanted: dict[tuple[str, str], str]) -> None:
    """Put the rows of `areas` in place of those measured before, and draw the table anew."""
    kept = [Row(**found) for found in json.loads(RESULTS.read_text())] if RESULTS.exists() else []
    order = {area: place for place, area in enumerate(dict.fromkeys(area for area, _ in wanted))}
    # Python's sort is stable: within an area rows stay as they were measured.
    rows = sorted([row for row in kept if row.area not in areas] + list(rows), key=lambda row: order[row.area])
    RESULTS.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) + "\n")
    before, rest = README.read_text().split(_BEGIN)
    lines = "".join(_line(row, wanted.get((row.area, row.work), "")) for row in rows)
    README.write_text(before + _BEGIN + "\n" + _HEAD + lines + "\n" + _END + rest.split(_END)[1])


def _line(row: Row, wanted: str) -> str:
    figures = f"{row.ours:,g} {row.unit} | {row.theirs:,g} {row.unit} | **{row.ratio:.3g}** | {wanted}"
    return f"| {row.area} | {row.work} | {row.against} | {figures} | {row.spread:.0%} | {row.runs} |\n"
