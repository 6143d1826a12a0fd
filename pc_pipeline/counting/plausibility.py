"""Whether a camera-day's figures are plausible beside the camera's own history, and whether its totals agree.

What a camera sees is its own affair: a one-way entrance never balances, a corridor has short tracks, a shop has no
video at night. So a day is judged by the camera's last days, and a difference is worth a look where it is more than

    chance       three standard errors of what so few people give (99.7 % of days without any cause stay within),
    habit        three robust standard deviations of the camera's own days (1.4826 times their median deviation),
    what matters a floor below which nobody would do anything about it,

all three at once. With too little to judge by, a judgement passes and says so.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Days of history that are looked at, and the fewest that make a habit.
HISTORY_DAYS = 28
LEAST_DAYS = 7
# Fewer people or crossings a day say nothing.
LEAST_PEOPLE = 20
# What matters: five points of the share of in, and five crossings.
_BALANCE_FLOOR, _CROSSINGS_FLOOR = 0.05, 5
# Ten points more unknown than usual; and from one half on, the people of unknown gender outweigh what is told.
_UNKNOWN_FLOOR, _MOST_UNKNOWN = 0.10, 0.5
# A fifth of the tracks moved to other lengths. A track below two seconds is shorter than a walk through most pictures.
_LENGTHS_FLOOR, _SHORT_S = 0.2, 2.0
# The Kolmogorov-Smirnov distance that chance passes once in 400: sqrt(-ln(0.0025 / 2) / 2).
_KS_CHANCE = 1.83
# A quarter of an hour, and a tenth of the usual video.
_MISSING_FLOOR_S, _MISSING_SHARE = 900.0, 0.1
_ROBUST = 1.4826

Crossings = tuple[int, int]
"""In and out."""


@dataclass(frozen=True)
class Judgement:
    """A figure beside its limit.

    Attributes:
        passed: False where it is past its limit; True also where there is too little to judge by.
        says: one or two sentences: what was found, and where it failed, what to do now.
        figures: what it was made of, to be shown: names with their units.
        rows: a table beside them, the first row its heading; empty for none.
    """

    passed: bool
    says: str
    figures: dict[str, float | int | str]
    rows: tuple[tuple[object, ...], ...] = ()


def balance(today: Mapping[str, Crossings], history: Sequence[Mapping[str, Crossings]]) -> Judgement:
    """Whether each line's share of in is what it usually is there.

    In n crossings chance alone moves the number of in by sqrt(n p (1 - p)), p being the line's usual share (the
    median of its days).

    Args:
        today: in and out by line.
        history: the same of the days before.

    Example:
        >>> balance({"door": (90, 10)}, [{"door": (50, 50)}] * 7).passed
        False
    """
    rows: list[tuple[object, ...]] = [
        ("line", "in", "out", "usual share of in", "too many", "limit", "days of history")
    ]
    worst, worst_excess, worst_limit, judged = "", 0.0, math.inf, 0
    for line in sorted(set(today).union(*history)):
        entered, exited = today.get(line, (0, 0))
        total = entered + exited
        days = [day[line] for day in history if sum(day.get(line, (0, 0))) >= LEAST_PEOPLE]
        if total < LEAST_PEOPLE or len(days) < LEAST_DAYS:
            rows.append((line, entered, exited, "", "", "", len(days)))
            continue
        judged += 1
        shares = [came / (came + went) for came, went in days]
        usual = statistics.median(shares)
        excess = entered - total * usual
        limit = max(
            _CROSSINGS_FLOOR,
            _BALANCE_FLOOR * total,
            3 * _chance(sum(came for came, _ in days), sum(map(sum, days)), total),
            3 * _ROBUST * _deviation(shares) * total,
        )
        rows.append((line, entered, exited, f"{usual:.0%}", f"{excess:+.0f}", f"{limit:.0f}", len(days)))
        if abs(excess) / limit >= abs(worst_excess) / worst_limit:
            worst, worst_excess, worst_limit = line, excess, limit
    entered, exited = sum(came for came, _ in today.values()), sum(went for _, went in today.values())
    figures: dict[str, float | int | str] = {"in": entered, "out": exited, "lines judged": judged}
    if entered + exited:
        figures["in minus out, share of all"] = round((entered - exited) / (entered + exited), 3)
    if worst:
        figures |= {
            "line farthest off": worst,
            "in beyond its usual": round(worst_excess, 1),
            "limit": round(worst_limit, 1),
        }
    if abs(worst_excess) <= worst_limit:
        says = (
            f"{entered} in, {exited} out."
            if judged
            else _too_little(f"{entered} in, {exited} out", "crossings of a line")
        )
        return Judgement(True, says, figures, tuple(rows))
    entered, exited = today[worst]
    more = "in" if worst_excess > 0 else "out"
    says = (
        f"Line '{worst}' counted {entered} in and {exited} out: {abs(worst_excess):.0f} more {more} than it usually"
        f" has among so many (limit {worst_limit:.0f}). Look with `pc annotate` at a video of this day whether the"
        " camera was moved or people walk around the line's end, and mend the line in the site file: the day is then"
        " counted again by itself."
    )
    return Judgement(False, says, figures, tuple(rows))


def unknown_share(today: tuple[int, int], history: Sequence[tuple[int, int]]) -> Judgement:
    """Whether no more people than usual, and fewer than half, are of unknown gender.

    Args:
        today: people unknown, and people.
        history: the same of the days before.

    Example:
        >>> unknown_share((60, 100), []).passed, unknown_share((40, 100), []).passed
        (False, True)
    """
    unknown, people = today
    share = unknown / people if people else 0.0
    figures: dict[str, float | int | str] = {"unknown": unknown, "people": people, "share unknown": round(share, 3)}
    if people < LEAST_PEOPLE:
        return Judgement(True, f"{unknown} of {people} unknown. Judged from {LEAST_PEOPLE} people on.", figures)
    days = [day for day in history if day[1] >= LEAST_PEOPLE]
    figures["days of history"] = len(days)
    limit = _MOST_UNKNOWN
    if len(days) >= LEAST_DAYS:
        shares = [missed / seen for missed, seen in days]
        usual = statistics.median(shares)
        chance = _chance(sum(missed for missed, _ in days), sum(seen for _, seen in days), people) / people
        limit = min(limit, usual + max(_UNKNOWN_FLOOR, 3 * chance, 3 * _ROBUST * _deviation(shares)))
        figures["usual share"] = round(usual, 3)
    figures["limit"] = round(limit, 3)
    if share <= limit:
        return Judgement(True, f"{share:.0%} of {people} people are of unknown gender.", figures)
    says = (
        f"{share:.0%} of {people} people are of unknown gender (limit {limit:.0%}), so the shares of men and women"
        " speak for the others only. Who is small, cut off or hidden is not judged: bring the camera nearer,"
        " lower `min_height_px` with care (docs/gender.md), or set `gender: {model: null}` for this camera."
    )
    return Judgement(False, says, figures)


def track_lengths(today: NDArray[np.floating], history: Sequence[NDArray[np.floating]]) -> Judgement:
    """Whether people stay in view as long as they usually do: the Kolmogorov-Smirnov distance between the day's track
    durations and those of the days before, all together. It is the largest share of tracks by which the two differ
    below any one length, so it is a size and no significance: with many tracks every difference is significant.

    Args:
        today: durations of the day's tracks, seconds.
        history: the same of each of the days before.

    Example:
        >>> walks = np.linspace(5, 15, 100)
        >>> track_lengths(walks / 4, [walks] * 7).passed, track_lengths(walks, [walks] * 7).passed
        (False, True)
    """
    days = [np.sort(day) for day in history if len(day) >= LEAST_PEOPLE]
    figures: dict[str, float | int | str] = {"tracks": len(today), "days of history": len(days)}
    if len(today):
        figures |= {"median (s)": round(float(np.median(today)), 1), "share below 2 s": _short(today)}
    if len(today) < LEAST_PEOPLE or len(days) < LEAST_DAYS:
        return Judgement(True, _too_little(f"{len(today)} tracks", "tracks"), figures)
    before = np.sort(np.concatenate(days))
    distance = ks_distance(np.sort(today), before)
    own = [ks_distance(day, before) for day in days]
    limit = max(
        _LENGTHS_FLOOR,
        _KS_CHANCE * math.sqrt(1 / len(today) + 1 / len(before)),
        statistics.median(own) + 3 * _ROBUST * _deviation(own),
    )
    figures |= {
        "usual median (s)": round(float(np.median(before)), 1),
        "usual share below 2 s": _short(before),
        "distance": round(distance, 3),
        "limit": round(limit, 3),
    }
    lengths = f"Tracks last {np.median(today):.1f} s (median; usually {np.median(before):.1f} s)"
    if distance <= limit:
        return Judgement(True, f"{lengths}.", figures)
    says = (
        f"{lengths}, {_short(today):.0%} of them less than 2 s (usually {_short(before):.0%}): {distance:.0%} of the"
        f" tracks have other lengths than usual (limit {limit:.0%}). Many short tracks are broken ones: look with"
        " `pc annotate` at a video of this day whether the camera was moved, is dirty or dark, or records fewer frames."
        " If the picture is right, the place has changed, and within a month this is the usual."
    )
    return Judgement(False, says, figures)


def ks_distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """The largest difference, 0..1, of two samples' cumulative distributions; both sorted and not empty.

    Example:
        >>> ks_distance(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
        1.0
    """
    at = np.concatenate((a, b))
    below_a = np.searchsorted(a, at, "right") / len(a)
    below_b = np.searchsorted(b, at, "right") / len(b)
    return float(np.abs(below_a - below_b).max())


def coverage(
    today: Mapping[int, float], weeks: Sequence[Mapping[int, float]], *, judged_before: int | None = None
) -> Judgement:
    """Whether there is as much video as is usual for the weekday, hour by hour.

    An hour's usual is the low median of the weeks before: the smaller of two in the middle, so that half of the weeks
    must have had it.

    Args:
        today: seconds of video by local hour, 0..23; an hour that is missing had none.
        weeks: the same of the same weekday of the weeks before, those without any video included.
        judged_before: judge only the hours before this one, since the day still lasts; None for the whole day.

    Example:
        >>> coverage({9: 3600}, [{9: 3600, 10: 3600}] * 2).figures["missing (h)"]
        1.0
    """
    hours = [hour for hour in range(24) if judged_before is None or hour < judged_before]
    usual = {hour: statistics.median_low([week.get(hour, 0.0) for week in weeks]) if weeks else 0.0 for hour in hours}
    missing = _missing(usual, today)
    covered, expected = sum(today.values()), sum(usual.values())
    figures: dict[str, float | int | str] = {"video (h)": round(covered / 3600, 2), "weeks of history": len(weeks)}
    if judged_before is not None:
        figures["judged until"] = f"{judged_before:02d}:00"
    if len(weeks) < 2:
        return Judgement(
            True, f"{covered / 3600:.1f} h of video. This weekday's usual is known after two weeks.", figures
        )
    short = sum(missing.values())
    habit = 2 * statistics.median(sum(_missing(usual, week).values()) for week in weeks)
    limit = max(_MISSING_FLOOR_S, _MISSING_SHARE * expected, habit)
    figures |= {
        "usual (h)": round(expected / 3600, 2),
        "missing (h)": round(short / 3600, 2),
        "limit (h)": round(limit / 3600, 2),
    }
    if short <= limit:
        return Judgement(True, f"{covered / 3600:.1f} h of video, usually {expected / 3600:.1f} h.", figures)
    gone = ", ".join(f"{hour:02d}:00" for hour, seconds in missing.items() if seconds > 60)
    says = (
        f"{short / 3600:.1f} h of the usual {expected / 3600:.1f} h of video are missing (limit {limit / 3600:.1f} h),"
        f" in the hours from {gone}. There it says 'no data', not 'nobody'. Look whether camera and recorder ran"
        " and the disk had space, and bring files that are elsewhere: they are counted by themselves."
    )
    rows = tuple((f"{hour:02d}:00", round(usual[hour]), round(today.get(hour, 0.0))) for hour in missing)
    return Judgement(False, says, figures, (("hour", "usual (s)", "video (s)"), *rows))


def picture(events: Sequence[tuple[str, float, str]]) -> Judgement:
    """Whether nothing was wrong with the picture itself. Gaps are shown and not judged: a recorder may pause every
    night, and what is missing of the usual is the affair of `coverage`.

    Args:
        events: kind, seconds and a sentence with what to do, of what touches the day.

    Example:
        >>> picture([("gap", 3600.0, "")]).passed, picture([("frozen", 60.0, "Restart it.")]).passed
        (True, False)
    """
    judged = [event for event in events if event[0] != "gap"]
    figures: dict[str, float | int | str] = {"events": len(judged), "limit": 0, "gaps": len(events) - len(judged)}
    for kind in sorted({kind for kind, _, _ in events}):
        figures[f"{kind} (s)"] = round(sum(seconds for what, seconds, _ in events if what == kind), 1)
    if not judged:
        return Judgement(True, "Nothing was wrong with the picture.", figures)
    kinds = ", ".join(sorted({kind for kind, _, _ in judged}))
    longest = max(judged, key=lambda event: event[1])
    says = f"{len(judged)} times the picture was not as it should be ({kinds}): counts then are in doubt. {longest[2]}"
    rows = tuple((kind, round(seconds, 1), sentence) for kind, seconds, sentence in events)
    return Judgement(False, says, figures, (("kind", "seconds", "what, and what to do"), *rows))


def agreement(names: Sequence[str], sums: Sequence[tuple[str, Sequence[Crossings]]], remedy: str) -> Judgement:
    """Whether totals that must be equal are.

    Args:
        names: of the places the totals are from, such as movements and hours.
        sums: where (a video, an hour, a camera), and in and out by each of the places.
        remedy: what to do where they differ, a sentence.

    Example:
        >>> agreement(["movements", "hours"], [("09:00", [(3, 2), (3, 1)])], "Roll it up again.").passed
        False
    """
    apart = [(where, totals) for where, totals in sums if len(set(totals)) > 1]
    figures: dict[str, float | int | str] = {"compared": len(sums), "differ": len(apart), "limit": 0}
    for place, name in enumerate(names):
        figures[f"in, {name}"] = sum(totals[place][0] for _, totals in sums)
        figures[f"out, {name}"] = sum(totals[place][1] for _, totals in sums)
    if not apart:
        return Judgement(True, f"{', '.join(names)} agree.".capitalize(), figures)
    where, totals = apart[0]
    first = ", ".join(
        f"{came} in and {went} out by the {name}" for name, (came, went) in zip(names, totals, strict=True)
    )
    heading = ("where", *(f"{way}, {name}" for name in names for way in ("in", "out")))
    rows = tuple((where, *(number for pair in totals for number in pair)) for where, totals in apart)
    says = f"{len(apart)} of {len(sums)} totals differ; {where}: {first}. {remedy}"
    return Judgement(False, says, figures, (heading, *rows))


def _chance(hits: int, trials: int, among: int) -> float:
    """The standard deviation of how many of `among` are hits, their share being that of a history; a history without
    any, or of nothing else, still leaves one in so many (Laplace's rule of succession)."""
    share = (hits + 1) / (trials + 2)
    return math.sqrt(among * share * (1 - share))


def _deviation(values: Sequence[float]) -> float:
    """The median absolute deviation from the median."""
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values)


def _missing(usual: Mapping[int, float], day: Mapping[int, float]) -> dict[int, float]:
    """Seconds that an hour lacks of its usual, for the hours that lack any."""
    lacks = {hour: seconds - day.get(hour, 0.0) for hour, seconds in usual.items()}
    return {hour: seconds for hour, seconds in lacks.items() if seconds > 0}


def _short(seconds: NDArray[np.floating]) -> float:
    return round(float((seconds < _SHORT_S).mean()), 3)


def _too_little(found: str, what: str) -> str:
    return f"{found}. Judged from {LEAST_PEOPLE} {what} and {LEAST_DAYS} such days of history on."
