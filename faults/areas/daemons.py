"""A second daemon on the same instance, started by mistake."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from faults.findings import Finding, judged
from faults.recordings import FIRST_DAY, camera_days
from faults.site import Extent, Site, patiently
from pc_pipeline.embedded.instance import daemon_command
from pc_pipeline.embedded.process import wait_until

SECONDS = 60.0


def find(site: Site, extent: Extent) -> Iterator[Finding]:
    """Two daemons for a minute over a backfill of four camera-days; then the second one ends."""
    with site.up():
        wait_until(lambda: bool(site.processes("daemon")), 60, 0.2)
        environment = Path(f"/proc/{site.processes('daemon')[0]}/environ").read_bytes().split(b"\0")
        with (site.home / "logs" / "second-daemon.log").open("wb") as log:
            second = subprocess.Popen(
                daemon_command(),
                env=dict(os.fsdecode(entry).split("=", 1) for entry in environment if b"=" in entry),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            site.backfill(camera_days(FIRST_DAY, 1))
            time.sleep(SECONDS)
            ended = second.poll() is not None
            with suppress(ProcessLookupError):
                os.killpg(second.pid, signal.SIGTERM)
            try:
                second.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(second.pid, signal.SIGKILL)
                second.wait()
        standing = site.settle()
        at_once = patiently(lambda: _at_once(site))
        yield Finding(
            "daemons",
            f"a second daemon for {SECONDS:.0f} s",
            1,
            f"{'it ended by itself' if ended else 'both ran'}; {len(at_once)} camera-days had two runs at once",
            not at_once,
        )
        yield from judged(site, "daemons", "two daemons", 1, standing)


def _at_once(site: Site) -> set[str]:
    """Camera-days of which two runs went at the same time."""
    with site.instance() as instance:
        records = instance.get_run_records()
    spans = sorted(
        (record.dagster_run.tags["dagster/partition"], record.start_time, record.end_time)
        for record in records
        if record.start_time and record.end_time and record.dagster_run.job_name == "camera_day"
    )
    return {
        key for (key, _, end), (other, start, _) in zip(spans, spans[1:], strict=False) if key == other and start < end
    }
