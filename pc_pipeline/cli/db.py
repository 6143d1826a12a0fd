"""`pc db`: the database's schema, its health, and the digest of its results."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import click

from pc_pipeline.settings import Settings

AS_JSON = click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")


@click.group(epilog="Examples:\n\n\b\n  pc db status\n  pc db migrate\n  pc db digest --json")
def db() -> None:
    """Migrate, inspect and digest the database.

    It is the one of PC_POSTGRES_DSN, or the embedded one, which is started if it is not running and is always brought
    to this version's schema.
    """


@contextmanager
def _database() -> Iterator[str]:
    from pc_pipeline.embedded.services import services

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


def _answer(value: Any, as_json: bool, lines: Callable[[], list[str]]) -> None:
    click.echo(json.dumps(value, indent=2, default=str) if as_json else "\n".join(lines()))


def _lines(verb: str, labels: list[str], nothing: str) -> list[str]:
    return [f"{verb} {label}" for label in labels] or [nothing]


def _label(migration: Any) -> str:
    return f"{migration.version:04d}_{migration.name}"


def _moment(moment: Any) -> str:
    return moment.isoformat(sep=" ", timespec="seconds") if moment else ""
