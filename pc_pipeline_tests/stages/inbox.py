"""A watched folder, and what sensor and registration make of it, without Dagster."""

import datetime as dt
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pc_pipeline.ingest.site import SiteConfig
from pc_pipeline.stages.arrivals import Arrivals, look
from pc_pipeline.stages.machine import Machine
from pc_pipeline.stages.registration import Registration, register
from pc_pipeline_tests.stages.world import World

DAY = dt.date(2026, 3, 1)
SITE = SiteConfig.model_validate({"timezone": "Europe/London", "cameras": {"door": {}}})
NOW = dt.datetime(2026, 3, 20, 12, tzinfo=dt.UTC)


@dataclass
class Inbox:
    """The watched folder of a world; its camera is `door`, its zone London."""

    world: World
    _clock: int = 1

    @property
    def machine(self) -> Machine:
        return self.world.machine

    def path(self, name: str) -> Path:
        return self.machine.watch_dir / name

    def put(self, name: str, content: bytes) -> Path:
        """Write a file, long ago; each writing has its own time."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self._clock += 1
        os.utime(path, (self._clock, self._clock))
        return path

    def look(
        self, pending: dict[str, Any] | None = None, now: dt.datetime = NOW, after: Arrivals | None = None
    ) -> Arrivals:
        """A look at all there is, or the one that follows `after`."""
        return look(self.machine, SITE, pending or {}, now, after.memory if after else None)

    def register(self, date: dt.date = DAY) -> Registration:
        return register(self.machine, list(SITE.name_patterns), "door", date)

    def settle(self, rng: random.Random | None = None) -> dict[dt.date, Registration]:
        """Register what is asked for until nothing is; gives each day's last report."""
        reports = {}
        for _ in range(6):
            days = list(self.look().days)
            if rng:
                rng.shuffle(days)
            for _, date in days:
                reports[date] = self.register(date)
            if not days:
                return reports
        raise AssertionError(f"these days are asked for without end: {days}")

    def files(self) -> dict[str, str]:
        """Name below the folder to status."""
        rows = self.world.rows("SELECT path, status FROM source_files")
        return {os.path.relpath(path, self.machine.watch_dir): status for path, status in rows}

    def reason(self, name: str) -> str:
        return self.world.rows("SELECT reason FROM source_files WHERE path = %s", str(self.path(name)))[0][0]

    def videos(self) -> list[tuple[str, str, str]]:
        """(start in UTC, file name, status) of each video, in order."""
        rows = self.world.rows("SELECT started_at, path, status FROM videos ORDER BY 1")
        return [(f"{start:%m-%d %H:%M}", Path(path).name, status) for start, path, status in rows]

    def empty(self) -> None:
        """An inbox as on the first day."""
        self.world.execute(
            "TRUNCATE videos, source_files, hourly_statistics, daily_statistics, detections, frame_metadata CASCADE;"
            "DELETE FROM cameras WHERE camera <> 'door'; UPDATE cameras SET active = true"
        )
        for folder in (self.machine.watch_dir, self.machine.raw_dir):
            shutil.rmtree(folder, ignore_errors=True)
        self.machine.watch_dir.mkdir(parents=True)
