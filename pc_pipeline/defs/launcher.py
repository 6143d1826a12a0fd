"""Who starts runs: Dagster's own launcher, which also tells whether the process of a run is still there.

`dagster.yaml` names it. A run is a child of the code server that started it, and only that one watches over it. Where
both die, nobody would know: the run counts as going on for ever,
its camera-day and what it holds of a pool wait for it. So the daemon's run monitoring looks at the process itself.
"""

import os
from contextlib import suppress
from pathlib import Path

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.tags import GRPC_INFO_TAG


class WatchedRuns(DefaultRunLauncher):
    """Starts each run in a process of its own on this machine, and finds out when that was killed."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a started run is there. One whose number nobody told counts as there."""
        ended = _ended_from_outside(self._instance, run)
        return CheckRunHealthResult(WorkerStatus.FAILED, ended) if ended else CheckRunHealthResult(WorkerStatus.RUNNING)


def report_lost_starts(instance: dg.DagsterInstance) -> None:
    """Report as failed the runs whose process was killed before the run began: Dagster would wait minutes for them."""
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING])):
        if ended := _ended_from_outside(instance, run):
            instance.report_run_failed(run, f"Before the run began, {ended}.")


def _ended_from_outside(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """The sentence on a process that is not there any more; None for one that is, or may be."""
    # Without the tag it is the run of a `pc` command, over which `report_dead_runs` watches.
    pid = _told_pid(instance, run.run_id) if GRPC_INFO_TAG in run.tags else None
    if pid is None or _is_there(pid, os.environ.get("DAGSTER_HOME", "")):
        return None
    return f"its process ({pid}) was ended from outside; what it had finished is kept"


def _told_pid(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The number of a run's process, as it told it since the run was handed to a code server last."""
    pid = None
    told = {dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.RUN_STARTING}
    for entry in instance.all_logs(run_id, of_type=told):
        event = entry.dagster_event
        if event and event.event_type == dg.DagsterEventType.RUN_STARTING:
            pid = None
        elif event and "pid" in event.engine_event_data.metadata:
            with suppress(ValueError):
                pid = int(str(event.engine_event_data.metadata["pid"].value))
    return pid


def _is_there(pid: int, dagster_home: str) -> bool:
    """Whether this process is there and works for this instance: another may have got its number."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except FileNotFoundError:
        return False
    except (PermissionError, ProcessLookupError):
        return Path(f"/proc/{pid}").exists()
    return os.fsencode(f"DAGSTER_HOME={dagster_home}") in environment
