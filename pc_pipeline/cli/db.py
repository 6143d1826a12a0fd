"""`pc db`: the database's schema, its health, the digest of its results, and its backups."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pc_pipeline.embedded.services import services
from pc_pipeline.errors import ConfigError, UserError
from pc_pipeline.settings import Settings

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from pc_pipeline.housekeeping.manifests import Backup
    from pc_pipeline.ingest.site import SiteConfig

AS_JSON = click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")


@click.group(epilog="Examples:\n\n\b\n  pc db status\n  pc db migrate\n  pc db digest --json")
def db() -> None:
    """Migrate, inspect, digest, back up and restore the database.

    It is the one of PC_POSTGRES_DSN, or the embedded one, which is started if it is not running and is always brought
    to this version's schema.
    """


@contextmanager
def _database() -> Iterator[str]:
    with services(Settings()) as endpoints:
        yield endpoints.postgres_dsn


@db.command(epilog="Examples:\n\n\b\n  pc db migrate\n  PC_POSTGRES_DSN=postgresql://me@db/people pc db migrate --json")
@AS_JSON
def migrate(as_json: bool) -> None:
    """Apply the migrations that are pending, each in a transaction of its own."""
    from pc_pipeline.store import migrate as migrations

    with _database() as dsn:
        applied = [_label(migration) for migration in migrations.migrate(dsn)]
    _answer({"applied": applied}, as_json, lambda: _lines("applied", applied, "the schema is up to date"))


@db.command(epilog="Examples:\n\n\b\n  pc db status\n  pc db status --json")
@AS_JSON
def status(as_json: bool) -> None:
    """Every migration and whether it is applied, pending, changed since, or unknown to this version."""
    from pc_pipeline.store import migrate as migrations

    with _database() as dsn:
        states = migrations.status(dsn)
    rows = [{"migration": _label(s), "state": s.state, "applied_at": s.applied_at} for s in states]
    _answer(
        rows,
        as_json,
        lambda: [f"{row['migration']:<24} {row['state']:<8} {_moment(row['applied_at'])}".rstrip() for row in rows],
    )


@db.command(epilog="Examples:\n\n\b\n  pc db rollback --to 2\n  pc db rollback --to 0 --yes")
@click.option("--to", type=click.IntRange(min=0), required=True, help="The version to go back to; 0 takes all back.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@AS_JSON
def rollback(to: int, yes: bool, as_json: bool) -> None:
    """Take migrations back, newest first. Their tables go, with all that is in them."""
    from pc_pipeline.store import migrate as migrations

    with _database() as dsn:
        if not yes:
            click.confirm(f"Take back every migration above {to} and delete their tables' data?", abort=True, err=True)
        undone = [_label(migration) for migration in migrations.rollback(dsn, to)]
    _answer({"rolled_back": undone}, as_json, lambda: _lines("rolled back", undone, "there was nothing to take back"))


@db.command(epilog="Examples:\n\n\b\n  pc db partitions\n  pc db partitions --ahead 6 --json")
@click.option("--ahead", type=click.IntRange(0, 120), default=3, show_default=True, help="Months after this one.")
@AS_JSON
def partitions(ahead: int, as_json: bool) -> None:
    """Make the partitions of the coming months that are missing; the job `make_partitions` does it every night."""
    from pc_pipeline.housekeeping.months import make_months
    from pc_pipeline.store.migrate import require_current

    with _database() as dsn:
        require_current(dsn)
        made = make_months(dsn, datetime.now(UTC), ahead)
    names = [name for of_table in made.values() for name in of_table]
    _answer(made, as_json, lambda: _lines("made", names, "all months are there"))


@db.command(epilog="Examples:\n\n\b\n  pc db digest\n  pc db digest --json > before.json")
@AS_JSON
def digest(as_json: bool) -> None:
    """Hash every result table: equal digests mean equal results."""
    from pc_pipeline.store.digest import digest as digest_of
    from pc_pipeline.store.migrate import require_current

    with _database() as dsn:
        require_current(dsn)
        tables = digest_of(dsn)
    _answer(
        tables,
        as_json,
        lambda: [f"{table:<20} {found['rows']:>12,} rows  {found['sha256'][:16]}" for table, found in tables.items()],
    )


@db.command(epilog="Examples:\n\n\b\n  pc db check\n  pc db check --json")
@AS_JSON
def check(as_json: bool) -> None:
    """Connect, and say how the database is; the exit code is 1 where it cannot be used."""
    from pc_pipeline.store.migrate import require_current
    from pc_pipeline.store.postgres import connect, place

    with _database() as dsn:
        started = time.monotonic()
        with closing(connect(dsn)) as connection, connection.cursor() as cursor:
            connected_ms = round(1000 * (time.monotonic() - started), 1)
            cursor.execute(
                "SELECT current_setting('server_version'), current_user::text, pg_database_size(current_database()),"
                " EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements'),"
                " EXISTS (SELECT FROM pg_roles WHERE rolname = 'pc_reader')"
            )
            version, user, size, statements, reader = cursor.fetchone() or ()
        require_current(dsn)
        facts = {
            "database": place(dsn),
            "user": user,
            "server_version": version,
            "connected_ms": connected_ms,
            "size_bytes": size,
            "schema": "current",
            "pc_reader": reader,
            "pg_stat_statements": statements,
        }
    _answer(facts, as_json, lambda: [f"{name:<20} {value}" for name, value in facts.items()])


@db.command(epilog="Examples:\n\n\b\n  pc db maintain --dry-run\n  pc db maintain --minutes 60")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), default=20, show_default=True, help="How long at most."
)
@click.option("--dry-run", is_flag=True, help="Change nothing; say what every table needs and why.")
@AS_JSON
def maintain(minutes: float, dry_run: bool, as_json: bool) -> None:
    """ANALYZE, VACUUM and reindex what the database's statistics ask for, the worst first.

    It says of every table what it needs and why, or why nothing. Loads and queries go on; what others work on is left
    alone. The job `upkeep` does the same every night. The exit code is 1 where the server refused something.
    """
    from pc_pipeline.housekeeping import upkeep

    with _database() as dsn:
        verdicts = upkeep.maintain(dsn, minutes, dry_run=dry_run)
    _answer(
        [verdict.as_json() for verdict in verdicts],
        as_json,
        lambda: [f"{v.name:<40} {v.action:<18} {v.outcome:<12} {v.why}".rstrip() for v in verdicts],
    )
    if failed := upkeep.failures(verdicts):
        raise UserError("; ".join(failed))


@db.command(
    "purge-events", epilog="Examples:\n\n\b\n  pc db purge-events --dry-run\n  pc db purge-events --keep-days 14"
)
@click.option(
    "--keep-days",
    type=click.IntRange(min=1),
    show_default="`retention` in the site file",
    help="Days that runs keep all.",
)
@click.option("--dry-run", is_flag=True, help="Delete nothing; say what would go.")
@AS_JSON
def purge_events(keep_days: int | None, dry_run: bool, as_json: bool) -> None:
    """Delete what old runs left in Dagster's event log, and their output in PC_HOME/dagster/storage.

    Dagster still knows afterwards what is materialized, what failed, and how the checks stand. The job
    `purge_event_log` does the same every night. The space is used again by the next events; docs/maintenance.md says
    how to give it back to the disk.
    """
    from pc_pipeline.housekeeping.event_log import purge

    with _database() as dsn:
        purged = purge(dsn, Settings().home / "dagster", datetime.now(UTC), keep_days, dry_run=dry_run)
    done = "would go" if dry_run else "deleted"
    _answer(
        {"dry_run": dry_run, **purged.as_json()},
        as_json,
        lambda: [
            f"{purged.old_runs:,} runs ended before {purged.before:%Y-%m-%d %H:%M} UTC; {done}:",
            f"  {purged.events:,} events ({purged.event_bytes / 1e6:,.1f} MB)",
            f"  {purged.runs:,} runs, {purged.check_results:,} results of checks",
            f"  {purged.log_folders:,} folders of output ({purged.log_bytes / 1e6:,.1f} MB)",
        ],
    )


@db.command(epilog="Examples:\n\n\b\n  pc db backup\n  PC_BACKUP_DIR=/mnt/backups pc db backup --json")
@AS_JSON
def backup(as_json: bool) -> None:
    """Make a backup now, while everything runs, and remove those whose time is over.

    It goes to the folder `backups.folder` of the site file, or PC_BACKUP_DIR. Of the embedded PostgreSQL it is a copy
    of its files; from the first one on, all that is written is archived there too, and any moment can be brought back.
    Of a server of your own it is a dump. While `pc up` runs, the job `back_up` does this every night.
    """
    from pc_pipeline.housekeeping.backups import create

    settings = Settings()
    with _database() as dsn:
        made = create(settings, dsn, _site(settings).backups, lambda line: click.echo(line, err=True))
    for warning in made.warnings:
        click.echo(f"warning: {warning}", err=True)
    told: dict[str, Any] = {
        **_backup_row(made.backup),
        "seconds": made.seconds,
        "removed": made.removed,
        "wal_packed": made.wal_packed,
        "wal_removed": made.wal_removed,
        "warnings": made.warnings,
    }
    _answer(
        told,
        as_json,
        lambda: [
            f"{_backup_line(told)} in {made.seconds} s",
            *_lines("removed", made.removed, f"kept: all backups of {_site(settings).backups.keep_days} days"),
        ],
    )


@db.command(epilog="Examples:\n\n\b\n  pc db backups\n  pc db backups --verify\n  pc db backups --json")
@click.option("--verify", is_flag=True, help="Read every file and compare it with its checksum.")
@AS_JSON
def backups(verify: bool, as_json: bool) -> None:
    """List the backups, the oldest first, and how far the WAL archived since reaches without a gap.

    The exit code is 1 where a backup cannot be read, a file or WAL is missing, or (with --verify) damaged. No database
    need run.
    """
    from pc_pipeline.housekeeping import archived_wal, restore
    from pc_pipeline.housekeeping import backups as made
    from pc_pipeline.housekeeping.archived_wal import read_archive
    from pc_pipeline.housekeeping.manifests import look

    settings = Settings()
    folder = _own_folder(settings)
    everything = look(folder)
    found = everything.backups
    check = made.verify if verify else made.absent_files
    problems = {one.name: check(folder, one) for one in found}
    clusters = {one.system_identifier for one in found if one.system_identifier}
    archives = {cluster: read_archive(folder, cluster) for cluster in sorted(clusters)}
    damaged = [path for archived in archives.values() for path in archived_wal.damaged(archived)] if verify else []
    problems["WAL"] = [f"{path} is damaged" for path in damaged]
    since = {one.name: restore.reach(archives[one.system_identifier], one) for one in found if one.system_identifier}
    rows = [{**_backup_row(one), **since.get(one.name, {}), "problems": problems[one.name]} for one in found]
    wrong = [*everything.unreadable.values(), *(line for sentences in problems.values() for line in sentences)]
    wrong += [row["wal_gap"] for row in rows[-1:] if row.get("wal_gap")]
    wal_bytes = archived_wal.size(folder)
    told = {"folder": str(folder), "wal_bytes": wal_bytes, "backups": rows, "problems": wrong}

    def lines() -> list[str]:
        shown = [_backup_line(row) + (f"; WAL to {row['wal_until']}" if row.get("wal_until") else "") for row in rows]
        total = sum(one.bytes for one in found)
        return [
            *(shown or ["no backup yet: `pc db backup` makes one"]),
            f"{folder}: {total / 1e6:,.0f} MB of backups, {wal_bytes / 1e6:,.0f} MB of WAL",
            *wrong,
        ]

    _answer(told, as_json, lines)
    if wrong:
        raise SystemExit(1)


@db.command(
    epilog="Examples:\n\n\b\n  pc db restore\n  pc db restore --to-time '2026-03-01 09:00'\n"
    "  pc db restore 2026-03-01T020000Z --yes\n  pc db restore --into /tmp/drill"
)
@click.argument("name", metavar="[BACKUP]", required=False)
@click.option("--to-time", help="Bring back this moment, in the site's time zone unless it has an offset.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Bring it back into this folder, to be used as a PC_HOME; what runs is left alone.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@AS_JSON
def restore(name: str | None, to_time: str | None, into: Path | None, yes: bool, as_json: bool) -> None:
    """Bring the database back: BACKUP as it was made, a moment, or (without either) the last there was.

    What it replaces is put aside as services/postgres.before in PC_HOME for a day, until the next backup then. On a
    server of your own the tables are replaced by those of the last dump, or BACKUP, in one transaction. docs/backup.md
    is the whole way.
    """
    from pc_pipeline.housekeeping import restore as back
    from pc_pipeline.housekeeping.manifests import BASE

    if name and to_time:
        raise ConfigError("name a backup or --to-time, not both")
    settings = Settings()
    folder = _own_folder(settings)
    target = settings if into is None else Settings(home=into, postgres_dsn=None, redis_url=None)
    if into and (target.home / "services" / "postgres").exists():
        raise ConfigError(f"there is a database in {target.home} already: name an empty folder with --into")
    moment = _moment_given(to_time, _zone(settings, folder)) if to_time else None
    wanted = back.plan(folder, name, moment, embedded=target.postgres_dsn is None)
    if wanted.backup.kind == BASE and target.postgres_dsn is not None:
        raise ConfigError(f"{wanted.backup.name} is of the embedded PostgreSQL: unset PC_POSTGRES_DSN, or use --into")
    until = (
        (f"{moment:%Y-%m-%d %H:%M:%S %Z}" if moment else "the last moment there is") if wanted.replays else "its end"
    )
    click.echo(f"{_backup_line(_backup_row(wanted.backup))}, up to {until}", err=True)
    if not yes and into is None:
        where = f"{target.home}" if target.postgres_dsn is None else "PC_POSTGRES_DSN"
        click.confirm(f"Replace the database of {where} by that?", abort=True, err=True)

    def say(line: str) -> None:
        click.echo(line, err=True)

    if wanted.backup.kind == BASE:
        done = back.restore_base(target, folder, wanted, say)
        with services(target) as endpoints:  # it answers, with the schema of this version
            notes = back.empty_cache(endpoints.redis_url)
    else:
        with services(target) as endpoints:
            done = back.restore_dump(target, endpoints.postgres_dsn, folder, wanted, say)
            notes = back.empty_cache(endpoints.redis_url)
    told = {
        "backup": done.backup.name,
        "last_transaction": done.last_transaction,
        "rows": done.facts["rows"],
        "newest_video": done.facts["newest_video"],
        "seconds": done.seconds,
        "home": str(target.home),
        "notes": [*done.notes, *notes],
    }
    _answer(
        told,
        as_json,
        lambda: [
            f"restored in {done.seconds} s: "
            + ", ".join(f"{count:,} {table}" for table, count in done.facts["rows"].items()),
            f"the last transaction in it: {done.last_transaction or 'as of the backup'}; the newest video begins "
            f"{done.facts['newest_video'] or 'never'}",
            *done.notes,
            *notes,
        ],
    )


def _site(settings: Settings) -> "SiteConfig":
    """The site file in force; before the first, a site in UTC."""
    from pc_pipeline.ingest.site import SiteConfig, load_site

    return load_site(settings.site_file) if settings.site_file.exists() else SiteConfig(timezone="UTC")


def _own_folder(settings: Settings) -> Path:
    """The folder of this site's backups.

    Raises:
        ConfigError: those in it are another database's.
    """
    from pc_pipeline.housekeeping.backups import backup_folder
    from pc_pipeline.housekeeping.manifests import of_another

    folder = backup_folder(settings, _site(settings).backups)
    if another := of_another(settings, folder):
        raise ConfigError(another)
    return folder


def _zone(settings: Settings, folder: Path) -> "ZoneInfo":
    """The site's time zone; on a new machine, which has no site file yet, that of the last backup's."""
    from pc_pipeline.housekeeping.manifests import look
    from pc_pipeline.ingest.site import load_site

    kept = [file for one in look(folder).backups if (file := folder / one.name / "site.yaml").exists()]
    return load_site(kept[-1]).zone_info if kept and not settings.site_file.exists() else _site(settings).zone_info


def _moment_given(text: str, zone: "ZoneInfo") -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--to-time '{text}' is no time: write it like '2026-03-01 09:00'") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    if moment > datetime.now(UTC):
        raise ConfigError(f"--to-time '{text}' is in the future")
    return moment


def _backup_row(one: "Backup") -> dict[str, Any]:
    return {
        "backup": one.name,
        "kind": one.kind,
        "ended_at": one.ended_at,
        "bytes": one.bytes,
        "database_bytes": one.database_bytes,
        "server_version": one.server_version,
        "schema_version": one.schema_version,
        "rows": one.rows,
        "newest_video": one.newest_video,
    }


def _backup_line(row: dict[str, Any]) -> str:
    return f"{row['backup']}  {row['kind']:<4}  {row['bytes'] / 1e6:>9,.1f} MB  {row['rows']['videos']:>7,} videos"


def _answer(value: Any, as_json: bool, lines: Callable[[], list[str]]) -> None:
    click.echo(json.dumps(value, indent=2, default=str) if as_json else "\n".join(lines()))


def _lines(verb: str, labels: list[str], nothing: str) -> list[str]:
    return [f"{verb} {label}" for label in labels] or [nothing]


def _label(migration: Any) -> str:
    return f"{migration.version:04d}_{migration.name}"


def _moment(moment: Any) -> str:
    return moment.isoformat(sep=" ", timespec="seconds") if moment else ""
