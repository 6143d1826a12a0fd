"""From what is found now and what stands in `alert_logs` to what is to be opened, brought up to date and resolved."""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from pc_pipeline.alerts.judge import GONE, NOT_WATCHED, Episode, Key
from pc_pipeline.ingest.alerts import Kind


@dataclass(frozen=True)
class Known:
    """An alert that stands in `alert_logs`; open where it has no `ended_at`."""

    alert_id: int
    key: Key
    since: dt.datetime
    ended_at: dt.datetime | None


@dataclass
class Plan:
    """What an evaluation changes.

    Attributes:
        open: alerts that are new and last.
        past: alerts that are new and over already.
        update: open ones that last, by their number.
        resolve: open ones that are over: number, when, and why.
    """

    open: list[Episode] = field(default_factory=list)
    past: list[Episode] = field(default_factory=list)
    update: list[tuple[int, Episode]] = field(default_factory=list)
    resolve: list[tuple[int, dt.datetime, str]] = field(default_factory=list)


def reconcile(
    known: Sequence[Known],
    found: Sequence[Episode],
    *,
    now: dt.datetime,
    oldest: dt.datetime,
    evaluated: Collection[Kind],
    watched: Collection[Key],
) -> Plan:
    """What to do, so that of each key exactly what lasts is open, and nothing is told twice.

    What lasts is the open alert of its key, whatever their beginnings: late files move those. What is over is the alert
    that it overlaps; over since before `oldest`, it is history and no alert.

    Args:
        known: every open alert, and those that ended at `oldest` or later.
        evaluated: the kinds that `found` speaks of; open alerts of other kinds stay as they are.
        watched: kind, camera and an empty subject (of occupancy: the zone) of what is watched; open alerts of anything
            else are resolved.
    """
    plan = Plan()
    open_now = {alert.key: alert for alert in known if alert.ended_at is None}
    left = dict(open_now)
    for episode in found:
        if episode.ended_at is None:
            alert = left.pop(episode.key, None)
            if alert:
                plan.update.append((alert.alert_id, episode))
            else:
                plan.open.append(episode)
    for episode in found:
        if episode.ended_at is None or episode.ended_at < oldest:
            continue
        same = [alert for alert in known if alert.key == episode.key and _overlap(alert, episode)]
        lasting = left.get(episode.key)
        if lasting and lasting in same:
            plan.resolve.append((lasting.alert_id, max(episode.ended_at, lasting.since), episode.resolution))
            del left[episode.key]
        elif not same:
            plan.past.append(episode)
    for key, alert in left.items():
        if not _is_watched(key, watched):
            plan.resolve.append((alert.alert_id, max(now, alert.since), NOT_WATCHED))
        elif key[0] in evaluated:
            plan.resolve.append((alert.alert_id, max(now, alert.since), GONE[key[0]]))
    return plan


def _overlap(alert: Known, episode: Episode) -> bool:
    starts_before = episode.ended_at is None or alert.since < episode.ended_at
    return starts_before and (alert.ended_at is None or episode.since < alert.ended_at)


def _is_watched(key: Key, watched: Collection[Key]) -> bool:
    kind, camera, subject = key
    return (kind, camera, subject if kind == "occupancy" else "") in watched
