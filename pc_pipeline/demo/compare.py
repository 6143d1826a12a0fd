"""The demo's result: each hour's counts beside the known truth, from Postgres and from Redis."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Counts = tuple[int, int]


@dataclass(frozen=True)
class Hour:
    """One hour; counts are (entered, exited), None where there is no figure.

    Attributes:
        hour: its start, in the site's zone.
        people: unique people in view, by Postgres.
        coverage_s: seconds of video, by Postgres.
        agrees: Postgres has the truth's counts, and Redis all of Postgres' figures.
    """

    hour: datetime
    truth: Counts | None
    postgres: Counts | None
    redis: Counts | None
    people: int
    coverage_s: float
    agrees: bool


def compare(
    truth: Mapping[datetime, Mapping[str, int]],
    postgres: Sequence[Mapping[str, Any]],
    redis: Sequence[Mapping[str, Any]],
) -> list[Hour]:
    """Every hour that the truth, Postgres or Redis has, in order.

    Args:
        truth: `entered` and `exited` by the start of an hour (aware).
        postgres: rows of `store.figures.hourly`.
        redis: the same rows as the dashboard's cache holds them.
    """
    zone = next(iter(truth)).tzinfo
    # As Redis keeps them: times and dates are text there.
    stored = {_start(row): row for row in json.loads(json.dumps(list(postgres), default=str))}
    cached = {_start(row): row for row in redis}
    known = {hour.astimezone(UTC): counts for hour, counts in truth.items()}
    hours = []
    for start in sorted({*known, *stored, *cached}):
        row = stored.get(start)
        expected, found = _counts(known.get(start)), _counts(row)
        hours.append(
            Hour(
                hour=start.astimezone(zone),
                truth=expected,
                postgres=found,
                redis=_counts(cached.get(start)),
                people=row["unique_total"] if row else 0,
                coverage_s=row["coverage_seconds"] if row else 0.0,
                # An hour without video has no truth; it may have a row of zeros.
                agrees=row is not None and row == cached.get(start) and found == (expected or (0, 0)),
            )
        )
    return hours


def _start(row: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(row["hour_start"]).astimezone(UTC)


def _counts(row: Mapping[str, Any] | None) -> Counts | None:
    return (row["entered"], row["exited"]) if row else None
