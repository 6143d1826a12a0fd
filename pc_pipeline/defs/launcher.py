"""Who starts runs: Dagster's own launcher, which also tells whether the process of a run is still there.

`dagster.yaml` names it. A run is a child of the code server that started it, and only that one watches over it. Where
both die (`kill -9` of the daemon takes its code server along), nobody would know: the run counts as going on for ever,
its camera-day and what it holds of a pool wait for it. So the daemon's run monitoring looks at the process itself.
"""

import os
from contextlib import suppress
from pathlib import Path

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher


class WatchedRuns(DefaultRunLauncher):
    """Starts each run in a process of its own on this machine, and finds out when that was killed."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a started run is there. One whose number nobody told counts as there."""
        pid = _told_pid(self._instance, run.run_id)
        if pid is None or _is_there(pid, os.environ.get("DAGSTER_HOME", "")):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.FAILED, f"its process ({pid}) was ended from outside; what it had finished is kept"
        )


def _told_pid(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The number of a run's process, from the first event that names it."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        metadata = entry.dagster_event.engine_event_data.metadata if entry.dagster_event else {}
        if "pid" in metadata:
            with suppress(ValueError):
                return int(str(metadata["pid"].value))
    return None


def _is_there(pid: int, dagster_home: str) -> bool:
    """Whether this process is there and works for this instance: another may have got its number."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except FileNotFoundError:
        return False
    except (PermissionError, ProcessLookupError):
        return Path(f"/proc/{pid}").exists()
    return os.fsencode(f"DAGSTER_HOME={dagster_home}") in environment
