"""What is worth an alert, from figures alone: no clock but the one given, no database, no Dagster.

Each function gives the **episodes** it finds: from when until when something was as it should not be. An episode
without an end lasts. Texts are for a site manager: what, where, since when, against what limit, and what to do.
"""

import datetime as dt
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from pc_pipeline.counting.plausibility import Judgement
from pc_pipeline.ingest.alerts import Kind

# The weeks before that make an hour's usual, and the fewest that do.
WEEKS, LEAST_WEEKS = 4, 2
# An hour counts as watched from nine tenths of its usual video on, and as without video below half of it.
_WATCHED, _MISSING = 0.9, 0.5

Key = tuple[Kind, str, str]
"""Kind, camera and subject: of each there is at most one open alert."""


@dataclass(frozen=True)
class Where:
    """A camera, or with an empty name the whole site, and its clock."""

    camera: str
    location: str | None
    zone: ZoneInfo

    def __str__(self) -> str:
        if not self.camera:
            return "the whole site"
        return f"{self.camera} ({self.location})" if self.location else self.camera

    def at(self, moment: dt.datetime) -> str:
        """A moment on the site's clock, told apart where summer time ends."""
        return f"{moment.astimezone(self.zone):%a %Y-%m-%d %H:%M %Z}"


@dataclass(frozen=True)
class Episode:
    """Something that is or was as it should not be.

    Attributes:
        since, ended_at: aware; `ended_at` None while it lasts.
        value, threshold: the figure and its limit; None where it has none.
        resolution: why it is over, once it is.
    """

    kind: Kind
    camera: str
    subject: str
    since: dt.datetime
    ended_at: dt.datetime | None
    value: float | None
    threshold: float | None
    title: str
    says: str
    advice: str
    resolution: str = ""

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.kind, self.camera, self.subject


@dataclass(frozen=True)
class Usual:
    """What an hour of this camera usually has: the low medians of its weeks; None where too few are known."""

    people: float | None
    covered_s: float | None


@dataclass(frozen=True)
class Hour:
    """An hour of a camera, from its local midnight on, as `hourly_statistics` counts them.

    Attributes:
        start, end: aware.
        date: the local day.
        people: different people in view.
        covered_s: seconds of video; 0 also where there is no row.
        peak: most people inside at once.
        zones: the same by zone.
    """

    start: dt.datetime
    end: dt.datetime
    date: dt.date
    people: int = 0
    covered_s: float = 0.0
    peak: int = 0
    zones: Mapping[str, int] = field(default_factory=dict)
    usual: Usual = Usual(None, None)


def usual(weeks: Sequence[tuple[float, float]]) -> Usual:
    """An hour's usual, from (people, seconds of video) of the same hour of other weeks, those without video included.

    The low median, as for the check of coverage: half of the weeks must have had it. Weeks without video say nothing of
    people.

    Example:
        >>> usual([(30, 3600), (20, 3600), (0, 0)])
        Usual(people=20, covered_s=3600)
    """
    people = [seen for seen, covered in weeks if covered > 0]
    return Usual(
        statistics.median_low(people) if len(people) >= LEAST_WEEKS else None,
        statistics.median_low([covered for _, covered in weeks]) if len(weeks) >= LEAST_WEEKS else None,
    )


# ------------------------------------------------------------------------------------------------ by hours of counts


def occupancy(hours: Iterable[Hour], limit: float, where: Where, zone: str = "") -> list[Episode]:
    """Hours in which more than `limit` people were inside at once; at midnight the site's count begins anew.

    Args:
        zone: of a zone's people; empty for those inside by the lines.
    """

    def peak(hour: Hour) -> int:
        return hour.zones.get(zone, 0) if zone else hour.peak

    def over(hour: Hour) -> bool | None:
        return peak(hour) > limit if hour.covered_s > 0 else None

    place = f"zone '{zone}' of {where}" if zone else str(where)
    found = []
    for over_it, ended_at in _stretches(hours, over, overnight=False):
        most, since = max(map(peak, over_it)), over_it[0].start
        lasting = f"since {where.at(since)}" if ended_at is None else f"from {where.at(since)} to {where.at(ended_at)}"
        found.append(
            Episode(
                kind="occupancy",
                camera=where.camera,
                subject=zone,
                since=since,
                ended_at=ended_at,
                value=most,
                threshold=limit,
                title=f"Too many people: {place}",
                says=f"Up to {most} people were inside at once ({place}), more than the limit of {limit:g}, {lasting}.",
                advice="Let nobody in until people have left. If the figure looks wrong, look with `pc annotate` at a"
                " video of that hour whether the lines still lie where people walk.",
                resolution=f"No more than {limit:g} people inside from {where.at(ended_at)} on." if ended_at else "",
            )
        )
    return found


def nobody(hours: Iterable[Hour], least: float, where: Where) -> list[Episode]:
    """Hours with video in which nobody was seen where usually `least` people or more are, until somebody is.

    An hour is judged where it has nine tenths of its usual video: no video is not nobody.
    """

    def empty(hour: Hour) -> bool | None:
        if hour.people > 0:
            return False
        if hour.usual.people is None or hour.usual.people < least:
            return None
        return True if hour.covered_s > 0 and hour.covered_s >= _WATCHED * (hour.usual.covered_s or 0.0) else None

    found = []
    for empty_ones, ended_at in _stretches(hours, empty):
        since, expected = empty_ones[0].start, sum(hour.usual.people or 0 for hour in empty_ones)
        lasting = f"since {where.at(since)}" if ended_at is None else f"from {where.at(since)} to {where.at(ended_at)}"
        found.append(
            Episode(
                kind="nobody",
                camera=where.camera,
                subject="",
                since=since,
                ended_at=ended_at,
                value=expected,
                threshold=least,
                title=f"Nobody seen: {where}",
                says=f"Nobody was seen at {where} {lasting}, in {_hours(len(empty_ones))} with video in which"
                f" {expected:g} people are usual (told from {least:g} an hour on).",
                advice="Look whether the entrance is open, and whether the camera still shows it: it may be turned,"
                f" covered or frozen (`pc events --camera {where.camera}`).",
                resolution=f"Somebody was seen again in the hour from {where.at(ended_at)}." if ended_at else "",
            )
        )
    return found


def coverage(
    hours: Iterable[Hour], limit_s: float, where: Where, last_video: dt.datetime | None = None
) -> list[Episode]:
    """Stretches in which more than `limit_s` seconds of the usual video are missing: also of a camera that is silent.

    An hour with less than half of its usual video belongs to one, an hour with more ends it, and one that usually has
    none does neither.

    Args:
        hours: those that are over.
        last_video: the end of the camera's last video.
    """

    def missing(hour: Hour) -> bool | None:
        return hour.covered_s < _MISSING * hour.usual.covered_s if hour.usual.covered_s else None

    found = []
    for without, ended_at in _stretches(hours, missing):
        short = sum((hour.usual.covered_s or 0.0) - hour.covered_s for hour in without)
        if short < limit_s:
            continue
        since = without[0].start
        if last_video and since < last_video < without[0].end:
            since = last_video
        last = f" Its last video ended {where.at(last_video)}." if last_video and ended_at is None else ""
        lasting = f"since {where.at(since)}" if ended_at is None else f"from {where.at(since)} to {where.at(ended_at)}"
        found.append(
            Episode(
                kind="coverage",
                camera=where.camera,
                subject="",
                since=since,
                ended_at=ended_at,
                value=round(short),
                threshold=limit_s,
                title=f"Video is missing: {where}",
                says=f"{short / 3600:.1f} h of the usual video of {where} are missing {lasting} (limit"
                f" {limit_s / 3600:.1f} h).{last}",
                advice="Look whether camera, recorder and network run, the disk has space, and files arrive in the"
                " watched folder. If they arrive, look in Dagster under Runs what they wait for. Files that come late"
                " are counted by themselves.",
                resolution=f"Video comes again from {where.at(ended_at)} on." if ended_at else "",
            )
        )
    return found


def _stretches(
    hours: Iterable[Hour], mark: Callable[[Hour], bool | None], *, overnight: bool = True
) -> list[tuple[list[Hour], dt.datetime | None]]:
    """Hours that are marked, until one is not; those without a mark say nothing. With each, when it ended.

    Args:
        overnight: False where the end of the local day is an end too.
    """
    found: list[tuple[list[Hour], dt.datetime | None]] = []
    current: list[Hour] = []
    for hour in hours:
        marked = mark(hour)
        if current and (marked is False or (not overnight and hour.date != current[-1].date)):
            found.append((current, hour.start))
            current = []
        if marked:
            current.append(hour)
    return [*found, (current, None)] if current else found


def _hours(number: int) -> str:
    return "an hour" if number == 1 else f"{number} hours"


# ----------------------------------------------------------------------------------------------- by days, and by runs


def unknown_share(days: Sequence[tuple[dt.datetime, Judgement]], where: Where) -> list[Episode]:
    """Days on which more people than usual, or most, are of unknown gender.

    Args:
        days: when each day began, and the judgement of `plausibility.unknown_share`; one without a limit had too few.
    """
    judged = [(start, judgement) for start, judgement in days if "limit" in judgement.figures]
    failing = 0
    while failing < len(judged) and not judged[-1 - failing][1].passed:
        failing += 1
    if not failing:
        return []
    since, figures = judged[-failing][0], judged[-1][1].figures
    share, limit = float(figures["share unknown"]), float(figures["limit"])
    return [
        Episode(
            kind="unknown_share",
            camera=where.camera,
            subject="",
            since=since,
            ended_at=None,
            value=share,
            threshold=limit,
            title=f"Gender is often unknown: {where}",
            says=f"{share:.0%} of the {figures['people']} people at {where} are of unknown gender since"
            f" {where.at(since)} (limit {limit:.0%}).",
            advice="Clean or move the camera so that people are seen larger, lower `min_height_px` with care"
            " (docs/gender.md), or switch gender off for this camera.",
        )
    ]


@dataclass(frozen=True)
class FailedCheck:
    """A check whose latest result for a partition is a failure.

    Attributes:
        camera: empty for a check of all cameras' day.
        partition: as the check's result names it.
        at: when it was judged.
        says: what it found and what to do.
    """

    name: str
    camera: str
    partition: str
    at: dt.datetime
    says: str


def checks(failed: Iterable[FailedCheck], places: Mapping[str, Where]) -> list[Episode]:
    """An episode for each check and camera that has days that fail; of cameras without a place none."""
    by_key: dict[tuple[str, str], list[FailedCheck]] = {}
    for result in failed:
        if result.camera in places:
            by_key.setdefault((result.camera, result.name), []).append(result)
    found = []
    for (camera, name), results in sorted(by_key.items()):
        where, latest = places[camera], max(results, key=lambda result: (result.partition, result.at))
        since = min(result.at for result in results)
        more = len(results) - 1
        others = f" and {more} other recent day{'s' if more > 1 else ''}" if more else ""
        found.append(
            Episode(
                kind="check_failed",
                camera=camera,
                subject=name,
                since=since,
                ended_at=None,
                value=len(results),
                threshold=None,
                title=f"Check failed: {name}, {where}",
                says=f"The check `{name}` fails since {where.at(since)} for {latest.partition}{others} ({where}):"
                f" {latest.says}",
                advice="In Dagster the asset's page shows it under Checks, with its figures; docs/checks.md says what"
                " to do. It is judged again when the partition is materialized.",
            )
        )
    return found


@dataclass(frozen=True)
class FailedRun:
    """A run that failed, of a partition that no later run of its job has made.

    Attributes:
        partition: empty for a job without partitions.
        at: when it failed.
        says: why, in a sentence.
    """

    job: str
    partition: str
    run_id: str
    at: dt.datetime
    says: str


def runs(failed: Iterable[FailedRun], where: Where) -> list[Episode]:
    """An episode for each job with runs that failed."""
    by_job: dict[str, list[FailedRun]] = {}
    for run in failed:
        by_job.setdefault(run.job, []).append(run)
    found = []
    for job, failures in sorted(by_job.items()):
        latest, since = max(failures, key=lambda run: run.at), min(run.at for run in failures)
        many = "1 run" if len(failures) == 1 else f"{len(failures)} runs"
        of = f" for {latest.partition}" if latest.partition else ""
        found.append(
            Episode(
                kind="run_failed",
                camera="",
                subject=job,
                since=since,
                ended_at=None,
                value=len(failures),
                threshold=None,
                title=f"Runs fail: {job}",
                says=f"{many} of {job} failed since {where.at(since)} and did not succeed afterwards; the last"
                f" {where.at(latest.at)}{of} (run {latest.run_id[:8]}): {latest.says}",
                advice="Open Dagster under Runs, Failed, mend what the run says, and re-execute it.",
            )
        )
    return found


# What is found no longer, though nothing said that it ended.
GONE: Mapping[Kind, str] = {
    "occupancy": "It was counted again, and no more than the limit were inside.",
    "nobody": "It was counted again, and somebody was seen.",
    "coverage": "The missing video has arrived.",
    "unknown_share": "The latest day is as usual.",
    "check_failed": "No recent day fails this check any more.",
    "run_failed": "No recent run is left that failed and was not made good.",
}
NOT_WATCHED = "It is no longer watched: the site file has switched it off."
