"""The queue of runs: Dagster's own, in which only one run waits where several would do the same work, and history waits
for the present.

`dagster.yaml` names it. Whoever starts a run (a sensor, the automation, a schedule, the UI, a backfill, a retry) comes
through here; only `pc process` runs in its own process, and takes its turn by the lock of `Pipeline`.
"""

import datetime as dt
from contextlib import suppress
from typing import Any

from dagster import DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator

from pc_pipeline import run_tags
from pc_pipeline.defs.pools import INFERENCE

_HISTORY = -1


class OneWaiting(QueuedRunCoordinator[Any]):
    """Enqueues a run; of those that wait for one partition with the same work, the others are canceled and say why.

    The one that stays has not begun, so it finds whatever the others were asked for.
    """

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Put a run into the queue, and take what is surplus there out of it."""
        concurrency = context.dagster_run.run_op_concurrency
        tags = {}
        if concurrency and INFERENCE in (concurrency.all_pools or ()):
            # A limit of the queue asks for a tag; runs of a UI's selection have none of a job's.
            tags[run_tags.INFERENCE] = "yes"
        if run_tags.PRIORITY not in context.dagster_run.tags and _is_history(context.dagster_run):
            tags[run_tags.PRIORITY] = str(_HISTORY)
        if tags:
            self._instance.add_run_tags(context.dagster_run.run_id, tags)
        run = super().submit_run(context)
        if run.status == DagsterRunStatus.QUEUED and run.tags.get(run_tags.PARTITION):
            self._cancel_surplus(run.tags[run_tags.PARTITION])
            return self._instance.get_run_by_id(run.run_id) or run
        return run

    def _cancel_surplus(self, partition: str) -> None:
        filters = RunsFilter(statuses=[DagsterRunStatus.QUEUED], tags={run_tags.PARTITION: partition})
        # A backfill takes a canceled run for a failed partition: its runs stay, and others make way for them.
        waiting = sorted(self._instance.get_runs(filters, ascending=True), key=lambda run: not _of_backfill(run))
        if len(waiting) < 2:
            return
        steps = {run.run_id: self._steps(run) for run in waiting}

        def covers(one: DagsterRun, other: DagsterRun) -> bool:
            return steps[other.run_id] <= steps[one.run_id] and other.run_config == one.run_config

        for place, run in enumerate(waiting):
            stays = next(
                (
                    other
                    for at, other in enumerate(waiting)
                    if other is not run and covers(other, run) and (at < place or not covers(run, other))
                ),
                None,
            )
            if stays and not _of_backfill(run):
                why = f"Not needed: run {stays.run_id[:8]} waits for {partition} already and does the same work."
                self._instance.add_run_tags(run.run_id, {run_tags.SURPLUS: stays.run_id})
                if _priority(run) > _priority(stays):
                    self._instance.add_run_tags(stays.run_id, {run_tags.PRIORITY: str(_priority(run))})
                self._instance.report_run_canceling(run, message=why)
                self._instance.report_run_canceled(run, message=why)

    def _steps(self, run: DagsterRun) -> frozenset[str]:
        plan = self._instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id or "")
        return frozenset(plan.step_keys_to_execute)


def _is_history(run: DagsterRun) -> bool:
    """Whether a run is about a day before yesterday and nobody started just this one, so nobody waits for it.

    Months that are counted anew would otherwise keep today's videos waiting for hours.
    """
    if run_tags.FROM_UI in run.tags and not _of_backfill(run):
        return False
    with suppress(ValueError):
        date = dt.date.fromisoformat(run.tags.get(run_tags.PARTITION, "").rpartition("|")[2])
        # By UTC: a zone moves it by hours, and that does not matter here.
        return date < dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    return False


def _priority(run: DagsterRun) -> int:
    with suppress(ValueError):
        return int(run.tags.get(run_tags.PRIORITY, 0))
    return 0


def _of_backfill(run: DagsterRun) -> bool:
    return run_tags.BACKFILL in run.tags
