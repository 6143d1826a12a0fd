"""What a file is called reaches the UI's tables as text: no link, no picture, no tag, no cell of its own."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_pipeline.defs.stage import table

HOSTILE = [
    "<img src=x onerror=alert(1)>.mp4",
    "[click](javascript:alert(1)).mp4",
    "![x](//evil.example/x.png).mp4",
    "a|b.mp4",
    "a\\|b.mp4",
    "a\nb | c.mp4",
    "`code`.mp4",
    "&lt;script&gt;.mp4",
    "\u202e4pm.mp4",
]


def cells(markdown: str) -> list[str]:
    """The cells of the last row, as a reader of Markdown splits them."""
    return re.split(r"(?<!\\)(?:\\\\)*\|", markdown.splitlines()[-1])[1:-1]


@pytest.mark.parametrize("name", HOSTILE)
def test_the_worst_names_are_text(name):
    shown = str(table(("file", "why"), [(name, "it is empty")]).value)
    assert len(cells(shown)) == 2
    row = shown.splitlines()[-1]
    assert not re.search(r"(?<!\\)[<\[`&!]", row)
    assert row.isprintable()


@given(name=st.text())
def test_any_name_stays_in_its_cell_and_its_row(name):
    shown = str(table(("file", "why"), [(name, "it is empty")]).value)
    assert len(shown.splitlines()) == 3
    assert len(cells(shown)) == 2
    # Unescaped, it is the name again.
    seen = re.sub(r"\\([\\`*\[\]<>&!|~])", r"\1", shown.splitlines()[-1])
    if name.isprintable():
        assert seen == f"| {name} | it is empty |"
