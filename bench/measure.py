"""Figures in pairs: ours and what it is compared with, turn by turn in one run, so that a busy machine slows both."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

T = TypeVar("T")


class BenchError(Exception):
    """A measurement that could not be made, in one sentence."""


class NotHere(BenchError):
    """This machine lacks what it needs: sample videos, weights, a GPU."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        area, work: what was measured.
        against: the peer that does the same work, or the limit.
        ours, theirs: medians, in `unit`; for a fixed limit `theirs` is the limit.
        ratio: ours / theirs, the median over the pairs.
        unit: of `ours` and `theirs`: frames/s, rows/s, s, ms, MB.
        runs: how many pairs.
        spread: the largest ratio less the smallest, over the median one.
    """

    area: str
    work: str
    against: str
    ours: float
    theirs: float
    ratio: float
    unit: str
    runs: int
    spread: float


def paired(ours: Callable[[], T], theirs: Callable[[], T], runs: int) -> list[tuple[T, T]]:
    """Both figures `runs` times, turn by turn; who goes first changes, so that a warm cache helps neither."""
    pairs = []
    for turn in range(runs):
        if turn % 2:
            their_figure = theirs()
            pairs.append((ours(), their_figure))
        else:
            our_figure = ours()
            pairs.append((our_figure, theirs()))
    return pairs


def row(area: str, work: str, against: str, pairs: Sequence[tuple[float, float]], unit: str) -> Row:
    """The row of pairs (ours, theirs)."""
    ratios = [ours / theirs for ours, theirs in pairs]
    middle = median(ratios)
    return Row(
        area=area,
        work=work,
        against=against,
        ours=_rounded(median(ours for ours, _ in pairs)),
        theirs=_rounded(median(theirs for _, theirs in pairs)),
        ratio=_rounded(middle),
        unit=unit,
        runs=len(pairs),
        spread=_rounded((max(ratios) - min(ratios)) / middle) if middle else 0.0,
    )


def limited(area: str, work: str, figures: Sequence[float], limit: float, unit: str) -> Row:
    """The row of figures against a fixed limit."""
    return row(area, work, f"{limit:g} {unit}", [(figure, limit) for figure in figures], unit)


def seconds(work: Callable[[], object]) -> float:
    """How long `work()` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@dataclass(frozen=True)
class Usage:
    """What a whole process took: wall and processor seconds, and its peak resident memory in MB."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    printed: str


def process(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Usage:
    """Run `python ARGUMENTS` to its end.

    Raises:
        BenchError: it failed; with the last line it printed.
    """
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdout
    watch = _PeakWatch(child.pid)
    printed = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        last = printed.strip().splitlines()[-1:] or ["it printed nothing"]
        raise BenchError(f"`python {' '.join(arguments)}` ended with {child.returncode}: {last[0]}")
    return Usage(wall, usage.ru_utime + usage.ru_stime, watch.end(), printed)


class _PeakWatch(threading.Thread):
    """Reads a process's peak as long as it lives. What `wait4` tells of it begins with the memory of the process that
    started it, and after its end nothing is told."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self._peak_kb = 0
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._over.wait(0.01):
            with suppress(OSError):
                found = re.search(r"VmHWM:\s+(\d+)", self._status.read_text())
                self._peak_kb = int(found[1]) if found else self._peak_kb

    def end(self) -> float:
        """The peak in MB."""
        self._over.set()
        self.join()
        return self._peak_kb / 1024


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
