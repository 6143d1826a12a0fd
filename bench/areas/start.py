"""What a code server pays before its first run: time and memory of importing the definitions."""

from collections.abc import Iterator

from bench.measure import Row, paired, process, row
from bench.workbench import Workbench

# What `dagster project scaffold` writes, with nothing in it.
_EMPTY = "import dagster as dg\ndefs = dg.Definitions()\n"


def measure(bench: Workbench) -> Iterator[Row]:
    """Against an empty Dagster project."""
    (bench.folder / "empty_project.py").write_text(_EMPTY)
    ours, theirs = ["-c", "import pc_pipeline.definitions"], [str(bench.folder / "empty_project.py")]
    for arguments in (ours, theirs):
        process(arguments)  # the byte code of both is written before either is timed
    pairs = paired(lambda: process(ours), lambda: process(theirs), 5)
    against = "an empty Dagster project"
    times = [(one.wall_s, other.wall_s) for one, other in pairs]
    peaks = [(one.peak_mb, other.peak_mb) for one, other in pairs]
    yield row("start", "import of pc_pipeline.definitions, time", against, times, "s")
    yield row("start", "import of pc_pipeline.definitions, memory", against, peaks, "MB")
