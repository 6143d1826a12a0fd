"""The tags on Dagster's runs that we write or read: named here alone, for code with Dagster and SQL without it."""

# Ours. Under Dagster's own prefix those that tell a person nothing: the UI's list of runs leaves such tags out.
ASKED = "dagster/pc_asked"
"""The hash of what a sensor asked for."""
ASKED_BY = "dagster/pc_asked_by"
"""The sensor that asked. It asks again for what no run of its own answers."""
INFERENCE = "dagster/pc_inference"
"""On a queued run with steps that run a network over pictures; `dagster.yaml` limits how many of those go at once."""
PROCESS = "dagster/pc_process"
"""On the run of a `pc` command: the process that carries it out."""
SURPLUS = "pc/surplus"
"""On a run that was taken out of the queue for another: the id of that one."""
WHY = "pc/why"
"""Why a backup is made now."""

# Dagster's (`dagster._core.storage.tags`, which takes a second to import).
PARTITION = "dagster/partition"
BACKFILL = "dagster/backfill"
PARENT_RUN = "dagster/parent_run_id"
ROOT_RUN = "dagster/root_run_id"
WILL_RETRY = "dagster/will_retry"
FROM_UI = "dagster/from_ui"
PRIORITY = "dagster/priority"
