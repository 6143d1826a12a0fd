"""Whether a camera-day's crossings are plausible, and whether its sessions say what its movements do."""

import dagster as dg

from pc_pipeline.defs.judged import read, result
from pc_pipeline.defs.partitions import camera_and_date
from pc_pipeline.defs.resources import Pipeline


@dg.asset_check(
    asset="session_statistics",
    description="Each line's share of in is what it was on the camera's last 28 days with video. A way in that nobody"
    " leaves by never balances, so each line is judged by itself: beyond chance, its own habit, and five points.",
)
def in_and_out_are_balanced_as_usual(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
    """Fails, without blocking, where a line counts one way more than it usually does."""
    from pc_pipeline.counting.plausibility import balance
    from pc_pipeline.store.checks import crossings_by_line

    camera, date = camera_and_date(context)
    return result(context, balance(*read(pipeline, lambda connection: crossings_by_line(connection, camera, date))))


@dg.asset_check(
    asset="session_statistics",
    description="In and out of every session are the number of its movements.",
)
def sessions_equal_movements(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
    """Fails, without blocking, where a session's totals are not those of its movements."""
    from pc_pipeline.counting.plausibility import agreement
    from pc_pipeline.store.checks import session_totals

    camera, date = camera_and_date(context)
    totals = read(pipeline, lambda connection: session_totals(connection, camera, date))
    remedy = (
        "Somebody changed these tables by hand, or this is a defect: let the ledger forget this video's counts and"
        " materialize the camera-day again (docs/checks.md); report it if the check fails again."
    )
    return result(context, agreement(["movements", "sessions"], totals, remedy), dg.AssetCheckSeverity.ERROR)
