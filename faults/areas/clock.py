"""The machine's clock set back: by an hour, and to before a change of summer time. Only for this site's processes."""

import datetime as dt
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench.measure import NotHere
from faults.findings import Finding, judged
from faults.recordings import FIRST_DAY, camera_days
from faults.site import Extent, Site

# The clocks of London changed on 2026-03-29: a camera-day of 23 hours.
CHANGE = dt.date(2026, 3, 28)
_SOURCE = Path(__file__).resolve().parent.parent / "clock.c"


def find(site: Site, extent: Extent) -> Iterator[Finding]:
    """Camera-days in a backfill, the clock an hour back in the middle, then 60 days back, and right again."""
    set_back, library = site.home.parent / "set-back", site.home.parent / "clock.so"
    compiler = shutil.which("cc")
    if compiler is None:
        raise NotHere("there is no C compiler (apt-get install gcc)")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, _SOURCE], check=True)
    _set(set_back, 0)
    site.extra = {"LD_PRELOAD": str(library), "FAULTS_CLOCK": str(set_back)}
    with site.up():
        site.backfill(camera_days(FIRST_DAY, 1))
        time.sleep(12)
        _set(set_back, 3600)
        site.say("  the clock is an hour back")
        time.sleep(20)
        site.backfill(camera_days(CHANGE, 2, ("hall", "gate")))
        time.sleep(15)
        _set(set_back, 60 * 86400)
        site.say("  the clock is 60 days back")
        time.sleep(30)
        _set(set_back, 0)
        standing = site.settle()
        yield from judged(site, "clock", "the clock an hour back, 60 days back, and right again", 3, standing)


def _set(set_back: Path, seconds: int) -> None:
    """In one piece: a process reads it at every look at the clock."""
    new = set_back.with_suffix(".new")
    new.write_text(f"{seconds}\n")
    new.chmod(0o644)
    new.replace(set_back)
