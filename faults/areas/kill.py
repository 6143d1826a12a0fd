"""`kill -9` of everything, each at random moments, while a backfill goes on."""

import time
from collections import Counter
from collections.abc import Iterator

from faults.findings import Finding, judged
from faults.recordings import FIRST_DAY, camera_days
from faults.site import KINDS, SERVERS, Extent, Site

FAULTS = (*KINDS, *SERVERS)
# A kill every few seconds: a webserver or daemon needs ten to import itself again.
LONGEST_PAUSE_S = 4.0
# After that the kills that are left are not made, so that the whole stays bounded.
KILLING_S = 420.0


def find(site: Site, extent: Extent) -> Iterator[Finding]:
    """Some days of every camera in one backfill, each kind of process killed so many times, in random order; when all
    is counted and kills are left, a day more for every camera."""
    kinds = [kind for kind in FAULTS for _ in range(extent.times)]
    site.rng.shuffle(kinds)
    killed: Counter[str] = Counter()
    with site.up():
        first = FIRST_DAY
        site.backfill(camera_days(first, extent.days))
        days, ends = extent.days, time.monotonic() + KILLING_S
        while kinds and time.monotonic() < ends:
            time.sleep(site.rng.uniform(0.3, LONGEST_PAUSE_S))
            kind = kinds.pop()
            if site.kill(kind, patience_s=90 if kind != "run worker" else 30):
                killed[kind] += 1
                site.say(f"  killed: {kind} ({killed.total()})")
            elif kind == "run worker":
                site.backfill(camera_days(first.fromordinal(first.toordinal() + days), 1))
                days += 1
                kinds.append(kind)
        standing = site.settle()
        for kind in FAULTS:
            made = f"{killed[kind]} of {extent.times} made, at random moments"
            yield Finding("kill", f"`kill -9` of the {kind}", killed[kind], made, killed[kind] > 0)
        yield from judged(site, "kill", "`kill -9` of all of them", killed.total(), standing)
