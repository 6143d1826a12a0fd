"""How everything is, in one look: what `pc status --detailed` shows, and what of it wants attention."""

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

from pc_pipeline.embedded.services import endpoints
from pc_pipeline.errors import UserError
from pc_pipeline.settings import Settings

# What is worth a person's attention.
_DISK_SHARE, _DISK_BYTES = 0.05, 5_000_000_000
_CONNECTIONS = 0.8
_TRANSACTION_AGE = 0.8
_WAITS = dt.timedelta(hours=2)
_RUNS = dt.timedelta(hours=12)
_TRANSACTION = dt.timedelta(hours=6)
# The slowest sensor looks every minute.
_TICKS = dt.timedelta(minutes=10)
# One that has not looked for longer is no longer in the code.
_GONE = dt.timedelta(days=2)
_BACKUP = dt.timedelta(hours=26)


def look(settings: Settings, services: dict[str, Any], now: dt.datetime) -> dict[str, Any]:
    """Everything at a glance; times are aware, UTC; what cannot be read is None, and the attention says why.

    Args:
        settings: of this machine.
        services: what `pc status --json` says.
    """
    found = endpoints(settings)
    backup, backup_problems = _backups(settings)
    about: dict[str, Any] = {
        "at": now,
        "services": services,
        "disks": disks(settings, Path(services["watch_dir"])),
        "backup": backup,
        "backup_problems": backup_problems,
        "cache": _cache_answers(found.redis_url) if found and found.redis_url else None,
        "results": None,
        "problem": None,
    }
    if found:
        from pc_pipeline.store.health import read

        try:
            about["results"] = read(found.postgres_dsn)
        except UserError as error:
            about["problem"] = str(error)
    return {"attention": attention(about), **about}


def disks(settings: Settings, watch_dir: Path) -> list[dict[str, Any]]:
    """Free and whole bytes of the disks that hold our folders; folders on one disk stand together."""
    folders = {
        "state": settings.home,
        "videos": watch_dir,
        "archive": settings.archive_dir,
        "backups": _backup_folder(settings),
    }
    by_disk: dict[int, dict[str, Any]] = {}
    for name, folder in folders.items():
        there = next((path for path in (folder, *folder.parents) if path.exists()), None)
        if there is None:
            continue
        usage = shutil.disk_usage(there)
        disk = by_disk.setdefault(
            there.stat().st_dev, {"folders": {}, "free_bytes": usage.free, "total_bytes": usage.total}
        )
        disk["folders"][name] = str(folder)
    return list(by_disk.values())


def attention(about: dict[str, Any]) -> list[str]:
    """What is wrong, the worst first, each a sentence with what to do."""
    now, services = about["at"], about["services"]
    wrong = []
    if not services["running"]:
        wrong.append("Dagster is not running: nothing is counted. Start it with `pc up`.")
    if about["problem"]:
        wrong.append(f"The database cannot be read: {about['problem']}")
    elif about["results"] is None:
        wrong.append("The database is not running: `pc up` starts it, or set PC_POSTGRES_DSN.")
    wrong += [
        f"The disk with {' and '.join(disk['folders'])} is nearly full: {size(disk['free_bytes'])} are free. Make room"
        " there, or let `retention` in the site file keep less."
        for disk in about["disks"]
        if disk["free_bytes"] < min(_DISK_BYTES, 0.5 * disk["total_bytes"])
        or disk["free_bytes"] < _DISK_SHARE * disk["total_bytes"]
    ]
    if about["results"]:
        wrong += _of_database(about["results"], now)
        wrong += _of_dagster(about["results"], now, up=services["running"])
    wrong += _of_backup(about["backup"], now)
    wrong += [f"{sentence[0].upper()}{sentence[1:]}." for sentence in about["backup_problems"]]
    if about["cache"] is False:
        wrong.append("Redis does not answer: the dashboard is slower, and nothing is lost. See its log.")
    return wrong


def _of_database(results: dict[str, Any], now: dt.datetime) -> list[str]:
    unread: dict[str, list[str]] = {}
    for part, why in results["unread"].items():
        unread.setdefault(why, []).append(part)
    wrong = [f"Not known: {', '.join(parts)}. {why[0].upper()}{why[1:]}." for why, parts in unread.items()]
    facts = results["database"]
    if not facts:
        return wrong
    if facts["transaction_age"] >= _TRANSACTION_AGE:
        wrong.append(
            f"Transaction ids are at {facts['transaction_age']:.0%} of the age at which Postgres intervenes: run"
            " `pc db maintain`, and see whether a transaction stays open (view `connections`)."
        )
    if facts["connections"] >= _CONNECTIONS * facts["max_connections"]:
        wrong.append(
            f"{facts['connections']} of {facts['max_connections']} connections to Postgres are taken: see the view"
            " `connections`, close what needs none or raise max_connections."
        )
    if facts["oldest_transaction"] and now - facts["oldest_transaction"] > _TRANSACTION:
        wrong.append(
            f"A transaction has been open for {age(now - facts['oldest_transaction'])}, and dead rows stay for it: see"
            " `transaction_since` in the view `connections`."
        )
    if facts["invalid_indexes"]:
        wrong.append(f"Half-made indexes: {', '.join(facts['invalid_indexes'])}. `pc db maintain` removes them.")
    return wrong


def _of_dagster(results: dict[str, Any], now: dt.datetime, *, up: bool) -> list[str]:
    wrong = []
    failed = [job for job in results["jobs"] or [] if job["last_failure"] and _failed_last(job)]
    for job in sorted(failed, key=lambda job: job["last_failure"], reverse=True):
        success = f"last succeeded {age(now - job['last_success'])} ago" if job["last_success"] else "never succeeded"
        wrong.append(
            f"Job {job['job']} failed {age(now - job['last_failure'])} ago ({success}): its reason stands in the UI,"
            " Runs."
        )
    waiting = results["queue"]
    if waiting and waiting["oldest"] and now - waiting["oldest"] > _WAITS:
        wrong.append(
            f"{count(waiting['waiting'], 'run')} wait, the oldest for {age(now - waiting['oldest'])}: the machine does"
            " not keep up, or the daemon does not start them (see logs/daemon.log)."
        )
    wrong += [
        f"Run {run['run_id'][:8]} of {run['job']} has been running for {age(now - run['since'])}: see it in the UI."
        for run in results["running"] or []
        if now - run["since"] > _RUNS
    ]
    for tick in results["ticks"] or []:
        if tick["stopped"]:
            wrong.append(f"The {tick['kind']} {tick['name']} is stopped: start it in the UI, Automation.")
        elif tick["status"] == "failure":
            said = (tick["says"] or "").strip().splitlines()
            wrong.append(
                f"The {tick['kind']} {tick['name']} failed {age(now - tick['at'])} ago"
                f"{f': {said[0]}' if said else ''}. See it in the UI, Automation."
            )
        elif up and tick["kind"] != "schedule" and _TICKS < now - tick["at"] < _GONE:
            wrong.append(f"The sensor {tick['name']} last looked {age(now - tick['at'])} ago: see logs/daemon.log.")
    if up:
        silent = [daemon["name"].lower() for daemon in results["daemons"] or [] if now - daemon["at"] > _TICKS]
        if silent:
            wrong.append(f"Dagster's daemons have been silent for long: {', '.join(silent)}. See logs/daemon.log.")
    if alerts := results["alerts"]:
        wrong.append(
            f"{count(len(alerts), 'alert')} open, the newest: {alerts[0]['title']} ({alerts[0]['since']:%F %R} UTC)."
        )
    return wrong


def _failed_last(job: dict[str, Any]) -> bool:
    return bool(job["last_success"] is None or job["last_failure"] > job["last_success"])


def _of_backup(backup: dict[str, Any] | None, now: dt.datetime) -> list[str]:
    if backup is None:
        return ["There is no backup yet: `pc db backup` makes one now, `pc up` one every night."]
    if now - backup["ended_at"] > _BACKUP:
        return [f"The last backup is {age(now - backup['ended_at'])} old: run `pc db backup` and see what it says."]
    return []


def _backup_folder(settings: Settings) -> Path:
    from pc_pipeline.housekeeping.backups import backup_folder
    from pc_pipeline.ingest.site import SiteConfig, load_site

    try:
        site = load_site(settings.site_file)
    except UserError:
        # There is none yet, or it was changed by hand and is wrong: what else is known is still told.
        site = SiteConfig(timezone="UTC")
    return backup_folder(settings, site.backups)


def _backups(settings: Settings) -> tuple[dict[str, Any] | None, list[str]]:
    """The last backup, and a sentence of each that cannot be read, or of a folder that is another site's."""
    from pc_pipeline.housekeeping.manifests import look, of_another

    folder = _backup_folder(settings)
    if another := of_another(settings, folder):
        return None, [another]
    found = look(folder)
    wrong = list(found.unreadable.values())
    if not found.backups:
        return None, wrong
    last = found.backups[-1]
    about = {"name": last.name, "kind": last.kind, "ended_at": last.ended_at, "bytes": last.bytes}
    return {**about, "backups": len(found.backups)}, wrong


def _cache_answers(redis_url: str) -> bool:
    from pc_pipeline.store.cache import Cache

    return Cache(redis_url).available


def size(value: float) -> str:
    """Bytes as people say them: `1.4 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def age(span: dt.timedelta) -> str:
    """A span as people say it: `40 s`, `5 min`, `3 h`, `12 days`."""
    seconds = max(0, int(span.total_seconds()))
    for most, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < most:
            return f"{seconds // unit} {name}"
    return f"{seconds // 86_400} days"


def count(number: int, thing: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
