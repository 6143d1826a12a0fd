"""One evaluation: read the figures, judge them, bring `alert_logs` to what is found, and say what is to be said."""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection

from pc_pipeline.alerts import judge
from pc_pipeline.alerts.deliver import Sent, send_waiting, would_send
from pc_pipeline.alerts.judge import Episode, FailedCheck, FailedRun, Hour, Where
from pc_pipeline.alerts.reconcile import Known, Plan, reconcile
from pc_pipeline.counting.plausibility import unknown_share
from pc_pipeline.ingest.alerts import KINDS, AlertsConfig, Kind, Threshold
from pc_pipeline.ingest.site import SiteConfig
from pc_pipeline.store import alerts as store
from pc_pipeline.store import checks as figures
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.store.rollups import day_of, hours_of

_DAY = dt.timedelta(days=1)
# A camera that is younger than two weeks is judged by its days before, not by its weekdays.
_DAYS_BEFORE = 7


@dataclass(frozen=True)
class Observed:
    """What Dagster's own storage says: checks and runs that failed of late and were not made good."""

    checks: Sequence[FailedCheck] = ()
    runs: Sequence[FailedRun] = ()


@dataclass
class Report:
    """What an evaluation did.

    Attributes:
        opened, resolved: titles; of what was over when it was found, in `resolved` alone.
        open: open alerts now.
        sent: what was given to each channel, and whether it took it; of a dry run, what would be given to it.
    """

    opened: list[str] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)
    open: list[dict[str, Any]] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)


def evaluate(
    dsn: str,
    site: SiteConfig,
    now: dt.datetime,
    observe: Callable[[dt.datetime], Observed] | None = None,
    *,
    kinds: Collection[Kind] = KINDS,
    retry: bool = True,
    dry_run: bool = False,
    log: Callable[[str], None] = lambda line: None,
) -> Report:
    """Judge everything that is watched, write what changed, and say it by every channel that takes it.

    Opening and resolving are committed together with what is to be said, and saying it comes after: a crash in between
    leaves it to the next evaluation. Evaluators at the same time wait for each other.

    Args:
        site: for its time zone, and its thresholds where the database has none yet.
        now: aware.
        observe: gives what Dagster's storage says from a moment on; without it, `check_failed` and `run_failed` stay as
            they are.
        kinds: only these are judged; the others stay as they are.
        retry: where this evaluation opened and resolved nothing, what channels did not take before is sent again.
        dry_run: nothing is written and nothing sent; the report holds what would be.

    Raises:
        UserError: no database.
    """

    def work(connection: Connection) -> tuple[AlertsConfig, Report]:
        store.one_evaluator(connection)
        settings, watched = _in_force(connection, site)
        doors = [name for name, camera in site.cameras.items() if camera.active]
        plan = _plan(connection, site.zone_info, settings, watched, doors, now, observe, kinds)
        open_before = {row["alert_id"]: row["title"] for row in store.listed(connection, only_open=True, limit=10**6)}
        report = Report(
            opened=[episode.title for episode in plan.open],
            resolved=[open_before[number] for number, _, _ in plan.resolve] + [one.title for one in plan.past],
        )
        takers = {name: channel.kinds for name, channel in settings.channels().items()}
        store.carry_out(connection, plan, now, takers)
        store.drop_deliveries(connection, takers, now - dt.timedelta(seconds=settings.max_age))
        report.open = store.listed(connection, only_open=True, limit=10**6)
        if dry_run:
            report.sent = would_send(connection, settings, site.zone_info)
            connection.rollback()
        return settings, report

    (settings, report), _ = in_transaction(dsn, work)
    for title in report.opened:
        log(f"opened: {title}")
    for title in report.resolved:
        log(f"resolved: {title}")
    if not dry_run and (retry or report.opened or report.resolved):
        report.sent = send_waiting(dsn, settings, site.zone_info)
    return report


def _in_force(connection: Connection, site: SiteConfig) -> tuple[AlertsConfig, list[Threshold]]:
    found = store.in_force(connection)
    if found is None:
        # The site file was applied before there were alerts.
        store.apply(connection, site)
        found = store.in_force(connection)
    assert found is not None
    return found


def _plan(
    connection: Connection,
    zone: ZoneInfo,
    settings: AlertsConfig,
    watched: Sequence[Threshold],
    doors: Collection[str],
    now: dt.datetime,
    observe: Callable[[dt.datetime], Observed] | None,
    kinds: Collection[Kind],
) -> Plan:
    """What is to be changed; `doors` are all active cameras, whose lines tell who is inside the site."""
    oldest = now - dt.timedelta(seconds=settings.max_age)
    known = store.known_alerts(connection, oldest)
    of_site = any(one.kind == "occupancy" and not one.camera for one in watched)
    cameras = sorted({one.camera for one in watched if one.camera} | (set(doors) if of_site else set()))
    locations = store.locations(connection, cameras)
    places = {camera: Where(camera, locations.get(camera), zone) for camera in [*cameras, ""]}
    by_kind = {kind: [one for one in watched if one.kind == kind] for kind in kinds}
    found: list[Episode] = []
    if any(by_kind.get(kind) for kind in ("occupancy", "nobody", "coverage")):
        found += _of_hours(connection, by_kind, places, known, oldest, now)
    for one in by_kind.get("unknown_share", []):
        found += judge.unknown_share(_unknown_days(connection, one.camera, oldest, now, zone), places[one.camera])
    evaluated = set(kinds) - {"check_failed", "run_failed"}
    if observe and (by_kind.get("check_failed") or by_kind.get("run_failed")):
        observed = observe(oldest)
        checked = {one.camera: places[one.camera] for one in by_kind.get("check_failed", [])}
        found += judge.checks(observed.checks, checked)
        found += judge.runs(observed.runs, places[""]) if by_kind.get("run_failed") else []
        evaluated = set(kinds)
    keys = {(one.kind, one.camera, one.subject) for one in watched}
    return reconcile(known, found, now=now, oldest=oldest, evaluated=evaluated, watched=keys)


# ------------------------------------------------------------------------------------------------ by hours of counts


def _of_hours(
    connection: Connection,
    watched: Mapping[Kind, Sequence[Threshold]],
    places: Mapping[str, Where],
    known: Sequence[Known],
    oldest: dt.datetime,
    now: dt.datetime,
) -> list[Episode]:
    """What the hours of each camera, and of the site, say.

    An alert that is open is followed from its beginning, however long ago, and its usual is what was before it: a
    camera that is dead for weeks does not become one that is usually dead.
    """
    cameras = [camera for camera in places if camera]
    began = {alert.key: alert.since for alert in known if alert.ended_at is None}
    first = store.first_days(connection, cameras)
    last_videos = store.last_videos(connection, cameras)
    zone = places[""].zone
    window = _days(oldest, now, zone)
    with_weeks = {date - 7 * n * _DAY for date in window for n in range(judge.WEEKS + 1)}
    wanted = {(camera, date) for camera in cameras for date in with_weeks}
    for camera, date in first.items():
        if date > window[0] - 7 * judge.LEAST_WEEKS * _DAY:
            wanted |= {(camera, window[0] - n * _DAY) for n in range(1, _DAYS_BEFORE + 1)}
    for (kind, camera, _), since in began.items():
        if kind in ("occupancy", "nobody", "coverage") and camera:
            lasting = _days(min(oldest, since), now, zone)
            wanted |= {(camera, date) for date in lasting}
            wanted |= {(camera, lasting[0] - n * _DAY) for n in range(1, 7 * judge.WEEKS + 1)}
    counted = store.hours(connection, cameras, wanted, zones_since=min([oldest, *began.values()]))

    def judged(one: Threshold) -> list[Hour]:
        since = began.get((one.kind, one.camera, one.subject))
        start = min(oldest, since) if since else oldest
        rows = counted[one.camera]
        filled = [_filled(hour, rows.get(hour.start)) for hour in _hours(start, now, zone)]
        if one.kind == "occupancy":
            return filled
        usual = _Usual(rows, first.get(one.camera), zone, since.astimezone(zone).date() if since else None)
        return [
            replace(hour, usual=usual.of(hour, days_will_do=one.kind == "coverage"))
            for hour in filled
            if hour.end <= now
        ]

    found: list[Episode] = []
    for one in watched.get("occupancy", []):
        if one.camera:
            found += judge.occupancy(judged(one), one.threshold or 0, places[one.camera], one.subject)
        else:
            site_hours = _site_hours(connection, counted, cameras, oldest, now, zone)
            found += judge.occupancy(site_hours, one.threshold or 0, places[""])
    for one in watched.get("nobody", []):
        found += judge.nobody(judged(one), one.threshold or 0, places[one.camera])
    for one in watched.get("coverage", []):
        last = last_videos.get(one.camera)
        found += judge.coverage(judged(one), one.threshold or 0, places[one.camera], last)
    return found


def _days(start: dt.datetime, end: dt.datetime, zone: ZoneInfo) -> list[dt.date]:
    first, last = start.astimezone(zone).date(), end.astimezone(zone).date()
    return [first + n * _DAY for n in range((last - first).days + 1)]


@lru_cache(maxsize=1024)
def _by_clock(date: dt.date, zone: ZoneInfo) -> dict[int, list[dt.datetime]]:
    """The starts of a local day's hours by what the clock shows: two of them, or none, where it is put."""
    found: dict[int, list[dt.datetime]] = {}
    for start, _ in hours_of(date, zone):
        found.setdefault(start.astimezone(zone).hour, []).append(start)
    return found


def _hours(start: dt.datetime, now: dt.datetime, zone: ZoneInfo) -> list[Hour]:
    """The hours that end after `start` and have begun, without figures."""
    return [
        Hour(begin, end, date)
        for date in _days(start, now, zone)
        for begin, end in hours_of(date, zone)
        if end > start and begin <= now
    ]


def _filled(hour: Hour, row: store.Counted | None) -> Hour:
    if row is None:
        return hour
    return replace(hour, people=row.people, covered_s=row.covered_s, peak=row.peak, zones=row.zones)


class _Usual:
    """What is usual for a camera at an hour of its week, before what is judged.

    Args:
        first: the first local day with counts.
        before: days from here on are no history: something is wrong since then.
    """

    def __init__(
        self,
        rows: Mapping[dt.datetime, store.Counted],
        first: dt.date | None,
        zone: ZoneInfo,
        before: dt.date | None,
    ) -> None:
        self._rows, self._first, self._zone, self._before = rows, first, zone, before
        self._known: dict[tuple[dt.date, int, int], judge.Usual] = {}

    def of(self, hour: Hour, *, days_will_do: bool) -> judge.Usual:
        """The usual of this weekday and hour of the clock; where too few weeks are known, of the days before."""
        until = min(hour.date, self._before) if self._before else hour.date
        clock = hour.start.astimezone(self._zone).hour
        key = (until, hour.date.weekday(), clock)
        if key not in self._known:
            latest = until - _DAY
            weekday = latest - (latest.weekday() - hour.date.weekday()) % 7 * _DAY
            weeks = self._figures(clock, [weekday - 7 * n * _DAY for n in range(judge.WEEKS)])
            if len(weeks) < judge.LEAST_WEEKS and days_will_do:
                weeks = self._figures(clock, [until - n * _DAY for n in range(1, _DAYS_BEFORE + 1)])
            self._known[key] = judge.usual(weeks)
        return self._known[key]

    def _figures(self, clock: int, dates: Sequence[dt.date]) -> list[tuple[float, float]]:
        """(people, seconds of video) of an hour of the clock on these dates since the first; the mean where the clock
        shows it twice, and nothing where it leaves it out."""
        found = []
        for date in dates:
            same = _by_clock(date, self._zone).get(clock)
            if self._first is None or date < self._first or not same:
                continue
            rows = [row for start in same if (row := self._rows.get(start))]
            people, covered = sum(row.people for row in rows), sum(row.covered_s for row in rows)
            found.append((people / len(same), covered / len(same)))
        return found


def _site_hours(
    connection: Connection,
    counted: Mapping[str, Mapping[dt.datetime, store.Counted]],
    cameras: Sequence[str],
    oldest: dt.datetime,
    now: dt.datetime,
    zone: ZoneInfo,
) -> list[Hour]:
    """The site's hours: covered as the camera with most video, people inside by the lines of all together."""
    found = []
    for date, of_day in groupby(_hours(oldest, now, zone), key=lambda hour: hour.date):
        start, end = day_of(date, zone)
        inside = store.people_inside(connection, cameras, start, end)
        peaks: dict[dt.datetime, int] = {}
        carried = 0
        for begin, _ in hours_of(date, zone):
            most, last = inside.get(begin, (carried, carried))
            peaks[begin], carried = max(most, carried), last
        for hour in of_day:
            covered = max((counted[c][hour.start].covered_s for c in cameras if hour.start in counted[c]), default=0.0)
            found.append(replace(hour, covered_s=covered, peak=peaks[hour.start]))
    return found


# ---------------------------------------------------------------------------------------------------------- by days


def _unknown_days(
    connection: Connection, camera: str, oldest: dt.datetime, now: dt.datetime, zone: ZoneInfo
) -> list[tuple[dt.datetime, judge.Judgement]]:
    """When each of the last days began, and the judgement of its share of unknown people; none without a model."""
    if not figures.gender_is_on(connection, camera):
        return []
    return [
        (day_of(date, zone)[0], unknown_share(*figures.unknown_people(connection, camera, date)))
        for date in _days(oldest, now, zone)
    ]
