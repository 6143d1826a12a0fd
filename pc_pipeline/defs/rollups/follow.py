"""When a rollup is made again: whenever what it is made from changed, however old, and never twice for one change.

Dagster's `eager()` and its like look at the latest day alone, and its `since_last_handled()` forgets a change that
comes while the answer to an earlier one is being asked for or made: the hours of a second camera, say, a moment after
those of the first.
"""

import datetime as dt

import dagster as dg

from pc_pipeline.defs.partitions import site

_ASKED = dg.AutomationCondition.newly_requested()
_MADE = dg.AutomationCondition.newly_updated()


def _following(changed: dg.AutomationCondition, label: str) -> dg.AutomationCondition:
    # What changes in the tick in which it was asked for or made may have come too late for that.
    waiting = changed.since((_ASKED | _MADE) & ~changed)
    # What changes while it is made has come too late, though it is made afterwards; only asking again settles that.
    too_late = (changed & dg.AutomationCondition.run_in_progress()).since(_ASKED & ~changed)
    at_work = dg.AutomationCondition.any_deps_in_progress() | dg.AutomationCondition.in_progress()
    return ((waiting | too_late) & ~at_work).with_label(label)


after_update = _following(dg.AutomationCondition.any_deps_updated(), "follow what was made")
"""Asked for when anything upstream was made again."""

after_change = _following(
    dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed()), "follow what changed"
)
"""Asked for when anything upstream was made again and came out otherwise."""

every_hour = dg.FreshnessPolicy.time_window(
    fail_window=dt.timedelta(hours=3), warn_window=dt.timedelta(hours=1, minutes=30)
)
"""Stale when a schedule of every hour was missed."""

every_night = dg.FreshnessPolicy.cron(
    deadline_cron="30 5 * * *", lower_bound_delta=dt.timedelta(hours=3), timezone=site().timezone
)
"""Stale when nothing of it was made in the night; a camera that rests all day has nothing made by day."""
