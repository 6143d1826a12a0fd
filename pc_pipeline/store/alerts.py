"""Alerts in the database: what is watched, the figures it is judged by, what was found, and what is to be said."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from psycopg2.extensions import connection as Connection
from psycopg2.extras import execute_values

from pc_pipeline.alerts.judge import Episode
from pc_pipeline.alerts.reconcile import Known, Plan
from pc_pipeline.ingest.alerts import AlertsConfig, Threshold, thresholds
from pc_pipeline.store import system_config

if TYPE_CHECKING:
    from pc_pipeline.ingest.site import SiteConfig

_KEY = "alerts"
_ABOUT = "Who is told of alerts by which channel, and how old what they are told may be."

# --------------------------------------------------------------------------------------------------- what is watched


def apply(connection: Connection, site: "SiteConfig") -> bool:
    """Bring settings and thresholds to what the site file says; returns whether that changed any but those of cameras
    that come or go.

    Only cameras that the file names and that are active are watched.
    """
    cameras = {name: camera.alerts for name, camera in site.cameras.items() if camera.active}
    wanted = [(one.kind, one.camera, one.subject, one.threshold) for one in thresholds(site.alerts, cameras)]
    changed = system_config.put(connection, _KEY, site.alerts.model_dump(mode="json"), _ABOUT)
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, camera, subject, threshold FROM alert_thresholds")
        before = cursor.fetchall()
        cursor.execute("DELETE FROM alert_thresholds")
        execute_values(cursor, "INSERT INTO alert_thresholds (kind, camera, subject, threshold) VALUES %s", wanted)
    stayed = {camera for _, camera, _, _ in before} & {camera for _, camera, _, _ in wanted}
    return changed or {row for row in before if row[1] in stayed} != {row for row in wanted if row[1] in stayed}


def in_force(connection: Connection) -> tuple[AlertsConfig, list[Threshold]] | None:
    """The settings and what is watched; None where no site file was applied since there are alerts."""
    settings = system_config.get(connection, _KEY)
    if settings is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, camera, subject, threshold FROM alert_thresholds ORDER BY kind, camera, subject")
        watched = [Threshold(*row) for row in cursor.fetchall()]
    return AlertsConfig.model_validate(settings), watched


def locations(connection: Connection, cameras: Collection[str]) -> dict[str, str | None]:
    """Where each of these cameras hangs, in words."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT camera, location FROM cameras WHERE camera = ANY (%s)", (list(cameras),))
        return dict(cursor.fetchall())


# --------------------------------------------------------------------------------------------------------- figures


@dataclass(frozen=True, slots=True)
class Counted:
    """What `hourly_statistics` says of an hour: people in view, seconds of video, most people inside, and by zone."""

    people: int
    covered_s: float
    peak: int
    zones: dict[str, int]


def hours(
    connection: Connection,
    cameras: Collection[str],
    days: Collection[tuple[str, dt.date]],
    zones_since: dt.datetime,
) -> dict[str, dict[dt.datetime, Counted]]:
    """The hours with video of these camera-days, by camera (each of `cameras`) and the hour's start; those that begin
    before `zones_since` without their zones, which take longer to read than all else."""
    found: dict[str, dict[dt.datetime, Counted]] = {camera: {} for camera in cameras}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT camera, hour_start, unique_total, coverage_ms / 1000.0::double precision, peak_occupancy,"
            " CASE WHEN hour_start >= %s AND by_zone <> '{}' THEN by_zone END"
            " FROM hourly_statistics JOIN unnest(%s, %s::date[]) AS day (camera, date) USING (camera, date)",
            (zones_since, [camera for camera, _ in days], [date for _, date in days]),
        )
        for camera, start, people, covered, peak, zones in cursor:
            by_zone = {name: zone["peak_occupancy"] for name, zone in zones.items()} if zones else {}
            found[camera][start] = Counted(people, covered, peak, by_zone)
    return found


def first_days(connection: Connection, cameras: Collection[str]) -> dict[str, dt.date]:
    """The first local day of each of these cameras that has any counts."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT camera, (SELECT min(date) FROM hourly_statistics h WHERE h.camera = c.camera)"
            " FROM unnest(%s) AS c (camera)",
            (list(cameras),),
        )
        return {camera: first for camera, first in cursor.fetchall() if first}


def last_videos(connection: Connection, cameras: Collection[str]) -> dict[str, dt.datetime]:
    """When the latest video of each of these cameras ended."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT camera, (SELECT s.ended_at FROM sessions s WHERE s.camera = c.camera AND s.status = 'completed'"
            " ORDER BY s.started_at DESC LIMIT 1) FROM unnest(%s) AS c (camera)",
            (list(cameras),),
        )
        return {camera: ended for camera, ended in cursor.fetchall() if ended}


def people_inside(
    connection: Connection, cameras: Collection[str], start: dt.datetime, end: dt.datetime
) -> dict[dt.datetime, tuple[int, int]]:
    """The most people inside by the lines of all these cameras together, and how many at last, of each hour that
    anybody crossed a line in.

    Whoever comes in by one door and leaves by another was inside once. From `start` on, which is a local midnight, and
    drift-corrected as each camera's own: what the sum ever falls below zero is added.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH step AS (
                SELECT ts, row_number() OVER place AS n, sum(step) OVER place AS total
                  FROM (SELECT m.ts, CASE m.direction WHEN 'in' THEN 1 ELSE -1 END AS step
                          FROM people_movements m JOIN sessions USING (video_id)
                         WHERE m.camera = ANY (%(cameras)s) AND m.ts >= %(start)s AND m.ts < %(end)s
                           AND status = 'completed') AS moved
                WINDOW place AS (ORDER BY ts, step DESC ROWS UNBOUNDED PRECEDING)
            ), inside AS (
                SELECT ts, n, total - least(0, min(total) OVER (ORDER BY n ROWS UNBOUNDED PRECEDING)) AS people
                  FROM step
            )
            SELECT date_bin('1 hour', ts, %(start)s), max(people)::int, (array_agg(people ORDER BY n DESC))[1]::int
              FROM inside GROUP BY 1
            """,
            {"cameras": list(cameras), "start": start, "end": end},
        )
        return {hour: (most, last) for hour, most, last in cursor.fetchall()}


# ---------------------------------------------------------------------------------------------------------- alerts


def one_evaluator(connection: Connection) -> None:
    """Wait until nobody else evaluates alerts, and keep it so until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('pc alerts', 0))")


def known_alerts(connection: Connection, oldest: dt.datetime) -> list[Known]:
    """Every open alert, and those that ended at `oldest` or later."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT alert_id, kind, camera, subject, since, ended_at FROM alert_logs"
            " WHERE resolved_at IS NULL OR ended_at >= %s ORDER BY alert_id",
            (oldest,),
        )
        return [Known(number, (kind, camera, subject), *times) for number, kind, camera, subject, *times in cursor]


_FOUND = "value = %s, threshold = %s, title = %s, says = %s, advice = %s"


def _figures(episode: Episode) -> tuple[Any, ...]:
    return episode.value, episode.threshold, episode.title, episode.says, episode.advice


def carry_out(connection: Connection, plan: Plan, now: dt.datetime, channels: Mapping[str, Collection[str]]) -> None:
    """Write what an evaluation changes, and in the same transaction what is to be said of it and to whom.

    Args:
        channels: the kinds of alerts each takes, by its name.
    """
    with connection.cursor() as cursor:
        for number, episode in plan.update:
            cursor.execute(
                f"UPDATE alert_logs SET since = least(since, %s), {_FOUND}, last_seen_at = %s,"
                " times_seen = times_seen + 1 WHERE alert_id = %s",
                (episode.since, *_figures(episode), now, number),
            )
        for number, ended_at, resolution in plan.resolve:
            cursor.execute(
                "UPDATE alert_logs SET ended_at = greatest(since, %s), resolved_at = %s, resolution = %s"
                " WHERE alert_id = %s RETURNING kind",
                (ended_at, now, resolution, number),
            )
            for (kind,) in cursor.fetchall():
                _announce(cursor, number, "resolved", kind, now, channels)
        for episode in [*plan.open, *plan.past]:
            over = episode.ended_at is not None
            cursor.execute(
                "INSERT INTO alert_logs (kind, camera, subject, since, ended_at, value, threshold, title, says, advice,"
                " opened_at, last_seen_at, resolved_at, resolution)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING alert_id",
                (
                    *episode.key, episode.since, episode.ended_at, *_figures(episode), now, now,
                    now if over else None, episode.resolution if over else None,
                ),
            )  # fmt: skip
            for (number,) in cursor.fetchall():
                _announce(cursor, number, "resolved" if over else "opened", episode.kind, now, channels)


def _announce(
    cursor: Any, number: int, event: str, kind: str, now: dt.datetime, channels: Mapping[str, Collection[str]]
) -> None:
    takers = [(number, event, channel, now) for channel, kinds in channels.items() if kind in kinds]
    execute_values(cursor, "INSERT INTO alert_deliveries (alert_id, event, channel, created_at) VALUES %s", takers)


_ALERT = (
    "alert_id, kind, camera, subject, since, ended_at, value, threshold, title, says, advice, times_seen, opened_at,"
    " last_seen_at, resolved_at, resolution"
)


def listed(
    connection: Connection, *, camera: str | None = None, only_open: bool = False, limit: int = 50
) -> list[dict[str, Any]]:
    """Alerts, open ones first and then the latest, each with its deliveries."""
    where, values = ["true"], [*([camera] if camera else []), limit]
    where += ["camera = %s"] if camera else []
    where += ["resolved_at IS NULL"] if only_open else []
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_ALERT}, (SELECT coalesce(jsonb_agg(jsonb_build_object('event', event, 'channel', channel,"
            " 'status', status, 'attempts', attempts, 'error', error, 'delivered_at', delivered_at)"
            " ORDER BY event, channel), '[]') FROM alert_deliveries d WHERE d.alert_id = a.alert_id)"
            f" FROM alert_logs a WHERE {' AND '.join(where)}"
            " ORDER BY resolved_at IS NOT NULL, resolved_at DESC, since DESC, alert_id DESC LIMIT %s",
            values,
        )
        names = [*(name.strip() for name in _ALERT.split(",")), "deliveries"]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


# -------------------------------------------------------------------------------------------------------- deliveries


@dataclass(frozen=True)
class Message:
    """One thing to say: that an alert has opened, or that it is over."""

    event: str
    alert: dict[str, Any]

    @property
    def place(self) -> tuple[int, str]:
        """Which row of a channel's deliveries it is."""
        return cast(int, self.alert["alert_id"]), self.event


def waiting_channels(connection: Connection) -> list[str]:
    """The channels that something is still to be said by."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT channel FROM alert_deliveries WHERE status = 'pending' ORDER BY channel")
        return [channel for (channel,) in cursor.fetchall()]


def drop_deliveries(connection: Connection, channels: Iterable[str], oldest: dt.datetime) -> int:
    """Give up what is to be said by a channel that is none of these, or was to be said before `oldest`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE alert_deliveries SET status = 'dropped', error = CASE WHEN channel = ANY (%(channels)s)"
            " THEN coalesce(error, 'It is too old by now.') ELSE 'The site file has no such channel any more.' END"
            " WHERE status = 'pending' AND (NOT channel = ANY (%(channels)s) OR created_at < %(oldest)s)",
            {"channels": list(channels), "oldest": oldest},
        )
        return cursor.rowcount


def take_messages(connection: Connection, channel: str, limit: int) -> list[Message]:
    """What is to be said by a channel, in order; the rows are held until this transaction ends, and those that another
    holds, who is saying them, are left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT d.event, {', '.join('a.' + name.strip() for name in _ALERT.split(','))}"
            " FROM alert_deliveries d JOIN alert_logs a USING (alert_id)"
            " WHERE d.channel = %s AND d.status = 'pending' ORDER BY d.created_at, d.alert_id, d.event LIMIT %s"
            " FOR UPDATE OF d SKIP LOCKED",
            (channel, limit),
        )
        names = [name.strip() for name in _ALERT.split(",")]
        return [Message(event, dict(zip(names, row, strict=True))) for event, *row in cursor.fetchall()]


def mark_delivered(connection: Connection, channel: str, messages: Sequence[Message], at: dt.datetime) -> None:
    """Note that a channel took these messages."""
    _mark(connection, channel, messages, "status = 'delivered', error = NULL, delivered_at = %s", at)


def mark_failed(connection: Connection, channel: str, messages: Sequence[Message], error: str) -> None:
    """Note that a channel did not take these messages, and why; they are tried again."""
    _mark(connection, channel, messages, "attempts = attempts + 1, error = %s", error)


def _mark(connection: Connection, channel: str, messages: Sequence[Message], change: str, value: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE alert_deliveries SET {change} WHERE channel = %s AND status = 'pending'"
            " AND (alert_id, event) IN (SELECT * FROM unnest(%s::bigint[], %s::text[]))",
            (value, channel, [message.place[0] for message in messages], [message.event for message in messages]),
        )


def undelivered(connection: Connection) -> list[tuple[str, int, str]]:
    """(channel, messages waiting, why) of each channel that did not take what it was last given."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT channel, count(*), max(error) FROM alert_deliveries WHERE status = 'pending' AND attempts > 0"
            " GROUP BY 1 ORDER BY 1"
        )
        return cursor.fetchall()
