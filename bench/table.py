"""`results.json` and the table in `README.md`; a run of some areas replaces their rows and leaves the others."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.measure import Row

FOLDER = Path(__file__).resolve().parent
_BEGIN, _END = "<!-- table: written by `{}` -->\n", "<!-- end of table -->\n"
_HEAD = "| area | work | against | ours | theirs | ratio | wanted | spread | runs |\n" + 9 * "|---" + "|\n"


def write(
    rows: Sequence[Row], areas: Sequence[str], wanted: Mapping[tuple[str, str], str], folder: Path = FOLDER
) -> None:
    """Put the rows of `areas` in place of those measured before, and draw the table anew.

    Args:
        rows: what was measured now.
        areas: the areas that were measured.
        wanted: what is wanted of every row there is, by (area, work), in the table's order; what was not measured on
            this machine stands in the table with empty figures.
        folder: where `results.json` and `README.md` stand.
    """
    results, readme = folder / "results.json", folder / "README.md"
    known = [Row(**found) for found in json.loads(results.read_text())] if results.exists() else []
    kept = [row for row in known if row.area not in areas]
    by_name = {(row.area, row.work): row for row in [*kept, *rows]}
    in_order = {name: by_name[name] for name in wanted if name in by_name}
    results.write_text(json.dumps([dataclasses.asdict(row) for row in in_order.values()], indent=1) + "\n")
    lines = "".join(_line(name, in_order.get(name), text) for name, text in wanted.items())
    replace_table(readme, _HEAD + lines, "make bench")


def replace_table(readme: Path, table: str, written_by: str) -> None:
    """Put a Markdown table between the marks of a page, which name the command that writes it."""
    begin = _BEGIN.format(written_by)
    before, rest = readme.read_text().split(begin)
    readme.write_text(before + begin + "\n" + table + "\n" + _END + rest.split(_END)[1])


def _line(name: tuple[str, str], row: Row | None, wanted: str) -> str:
    area, work = name
    if row is None:
        return f"| {area} | {work} | not measured on this machine | | | | {wanted} | | |\n"
    figures = f"{row.ours:,g} {row.unit} | {row.theirs:,g} {row.unit} | **{row.ratio:.3g}** | {wanted}"
    return f"| {area} | {work} | {row.against} | {figures} | {row.spread:.0%} | {row.runs} |\n"
