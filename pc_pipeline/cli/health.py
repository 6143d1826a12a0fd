"""`pc status --detailed` as a page of text: what is wrong first, and a healthy system fits a screen."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from pc_pipeline.housekeeping.health import age, count, size

_LABEL = 18
_MOST_RUNS = 5


def page(about: dict[str, Any]) -> Iterator[str]:
    """The lines of what `housekeeping.health.look` gives."""
    wrong = about["attention"]
    yield (
        "all is well" if not wrong else f"{count(len(wrong), 'thing')} want{'s' if len(wrong) == 1 else ''} attention:"
    )
    yield from (f"  ! {sentence}" for sentence in wrong)
    yield ""
    yield from _services(about["services"], about["at"])
    for disk in about["disks"]:
        share = disk["free_bytes"] / disk["total_bytes"]
        free = f"{size(disk['free_bytes'])} free of {size(disk['total_bytes'])} ({share:.0%})"
        yield _line("disk", f"{free}: {', '.join(disk['folders'])}")
    backup = about["backup"]
    if backup:
        ago = age(about["at"] - backup["ended_at"])
        yield _line("last backup", f"{ago} ago, {size(backup['bytes'])} ({backup['kind']}); {backup['backups']} kept")
    if about["results"]:
        yield from _database(about["results"], about["at"])
        yield from _dagster(about["results"], about["at"])


def _services(services: dict[str, Any], now: dt.datetime) -> Iterator[str]:
    def line(label: str, service: dict[str, Any] | None, place: str) -> str:
        if service is None:
            return _line(label, "not running")
        since = f", up for {age(now - dt.datetime.fromisoformat(service['since']))}" if "since" in service else ""
        return _line(label, f"{place}{since}")

    webserver = services["webserver"]
    yield line("Dagster UI", webserver, webserver["url"] if webserver else "")
    yield line("Dagster daemon", services["daemon"], "running")
    for name, label in (("postgres", "Postgres"), ("redis", "Redis")):
        server = services[name]
        kind = "embedded" if server and server["embedded"] else "yours"
        yield line(label, server, f"{server['place']} ({kind})" if server else "")


def _database(results: dict[str, Any], now: dt.datetime) -> Iterator[str]:
    facts = results["database"]
    if facts:
        slow = (
            f", {count(facts['slow_now'], 'slow query').replace('querys', 'queries')} now" if facts["slow_now"] else ""
        )
        used = f"{facts['connections']} of {facts['max_connections']} connections"
        yield _line("database", f"{size(facts['size_bytes'])}, {used}{slow}")
    if results["largest"]:
        names = (
            (
                one["partition_name"]
                if one["schema_name"] == "public"
                else f"{one['schema_name']}.{one['partition_name']}"
            )
            + f" {size(one['total_bytes'])}"
            for one in results["largest"]
        )
        yield _line("largest", ", ".join(names))
    if results["months"]:
        until = sorted(set(results["months"].values()))
        last = (
            until[0] if len(until) == 1 else ", ".join(f"{name} {month}" for name, month in results["months"].items())
        )
        yield _line("months made until", last)
    if results["files"] is not None:
        seen = (f"{number:,} {status}" for status, number in results["files"].items())
        yield _line("files", ", ".join(seen) or "none yet")


def _dagster(results: dict[str, Any], now: dt.datetime) -> Iterator[str]:
    waiting, runs = results["queue"], results["running"] or []
    if waiting:
        oldest = f", the oldest for {age(now - waiting['oldest'])}" if waiting["oldest"] else ""
        yield _line("runs", f"{len(runs)} running, {waiting['waiting']:,} waiting{oldest}")
    for run in runs[:_MOST_RUNS]:
        yield _line("", f"{run['job']} {run['partition'] or ''} for {age(now - run['since'])}".replace("  ", " "))
    for tick in results["ticks"] or []:
        if tick["name"] == "outstanding_camera_days":
            says = (
                f"asked for {count(tick['runs'], 'run')}" if tick["runs"] else tick["says"] or "nothing is outstanding"
            )
            yield _line("camera-days", f"{says.splitlines()[0]} ({age(now - tick['at'])} ago)")
    if results["jobs"]:
        yield ""
        yield f"  {'job':<28} {'succeeded':>12} {'failed':>12} {'now':>14}"
    for job in results["jobs"] or []:
        succeeded, failed = (
            f"{age(now - job[when])} ago" if job[when] else "never" for when in ("last_success", "last_failure")
        )
        doing = ", ".join(f"{job[what]} {what}" for what in ("running", "queued") if job[what])
        yield f"  {_job(job['job']):<28} {succeeded:>12} {failed:>12} {doing:>14}".rstrip()


def _job(name: str) -> str:
    return "materialized in the UI" if name.startswith("__ASSET_JOB") else name


def _line(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{text}"
