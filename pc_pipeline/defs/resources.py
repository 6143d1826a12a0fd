"""The one resource of the pipeline: the machine a run is on, as the environment describes it."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from pc_pipeline import run_tags
from pc_pipeline.defs.partitions import site
from pc_pipeline.errors import ServiceError, UserError
from pc_pipeline.settings import Settings

_LOG_EVERY_S = 15.0


class Pipeline(dg.ConfigurableResource):
    """Postgres, Redis, folders and load settings. Passwords come from the environment, never from run configuration."""

    db_batch_size: int = 50000
    db_flush_interval_ms: int = 500
    redis: bool = True
    _show: Any = PrivateAttr(default=None)

    def showing(self, show: Callable[[str, Any], None]) -> "Pipeline":
        """This resource, with `show(path, progress)` called as the detection of a video goes on: for a bar."""

        class Showing(Pipeline):
            # Dagster copies a resource field by field for each run: only what stands in the class goes along.
            _show: Any = PrivateAttr(default_factory=lambda: show)

        return Showing(**self.model_dump())

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Pipeline"]:
        """The resource for as long as a run or tick lasts; all of its transactions go over one connection.

        A run of a camera-day begins when no other is at it, wherever that one was started: the queue sees to it too,
        but `pc process` runs beside the queue.
        """
        from pc_pipeline.store.postgres import alone, one_connection

        with ExitStack() as stack:
            partition = context.run.tags.get(run_tags.PARTITION) if context.run else None
            if partition:
                # Without a database the first step says so, in one sentence.
                with suppress(UserError):
                    stack.enter_context(alone(self.dsn(), partition, _say(context)))
            stack.enter_context(one_connection())
            yield self

    def dsn(self) -> str:
        """The results database.

        Raises:
            ServiceError: neither PC_POSTGRES_DSN is set nor does the embedded one run.
        """
        from pc_pipeline.embedded.services import endpoints

        settings = Settings()
        found = endpoints(settings)
        if found is None:
            raise ServiceError("No Postgres: run `pc up`, or set PC_POSTGRES_DSN to a server of your own.")
        return found.postgres_dsn

    def redis_url(self) -> str | None:
        """Where the dashboard's cache is; None where it is switched off or not there."""
        from pc_pipeline.embedded.services import endpoints

        found = endpoints(Settings()) if self.redis else None
        return found.redis_url if found else None

    def machine(self, context: Any = None) -> Any:
        """What the stages need, for the run or tick of `context`; progress goes to its log and to who shows a bar."""
        from pc_pipeline.stages.machine import Machine
        from pc_pipeline.store.load import LoadSettings

        settings = Settings()
        log = context.log.info if context else _unheard
        run = getattr(context, "run", None)
        return Machine(
            dsn=self.dsn(),
            zone=site().zone_info,
            models_dir=settings.models_dir,
            raw_dir=settings.raw_detections_dir,
            watch_dir=settings.watch_dir,
            load=LoadSettings(batch_rows=self.db_batch_size, flush_interval_ms=self.db_flush_interval_ms),
            run_id=run.run_id if run else "",
            log=log,
            progress=_Progress(log, self._show),
        )


def _say(context: dg.InitResourceContext) -> Callable[[str], None]:
    return context.log.info if context.log else _unheard


def _unheard(_: str) -> None:
    pass


class _Progress:
    """Log a line every few seconds: percent, frames/s and time left; and pass every step on."""

    def __init__(self, log: Callable[[str], None], show: Callable[[str, Any], None] | None) -> None:
        self._log = log
        self._show = show
        self._next = time.monotonic() + _LOG_EVERY_S

    def __call__(self, path: str, progress: Any) -> None:
        if self._show:
            self._show(path, progress)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LOG_EVERY_S
            share = f"{progress.done_s / progress.total_s:.0%}" if progress.total_s else f"{progress.done_s:.0f} s"
            left = f", {progress.eta_s:.0f} s left" if progress.eta_s is not None else ""
            self._log(f"{path}: {share}, {progress.fps:.1f} frames/s{left}")
