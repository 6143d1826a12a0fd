"""Schema migrations, forward and back: numbered files in `sql/migrations`, in order, each in one transaction."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection

from pc_pipeline.errors import SchemaOutdated, UserError
from pc_pipeline.settings import SQL_DIR
from pc_pipeline.store.postgres import connect, in_transaction, user_error

MIGRATIONS_DIR = SQL_DIR / "migrations"

# The two-number space of advisory locks, apart from the one-number space of `lock_video`.
_LOCK = "SELECT pg_advisory_lock(hashtext('pc_pipeline'), hashtext('migrations'))"
_CREATE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
COMMENT ON TABLE schema_migrations IS 'The migrations applied to this database; `pc db migrate` writes it.';
COMMENT ON COLUMN schema_migrations.version IS 'The number the migration''s files start with.';
COMMENT ON COLUMN schema_migrations.name IS 'The rest of the files'' name.';
COMMENT ON COLUMN schema_migrations.checksum IS 'SHA-256 (hex) of the forward file as it was applied.';
COMMENT ON COLUMN schema_migrations.applied_at IS 'When it was applied.';
"""


@dataclass(frozen=True)
class Migration:
    """One migration: the file that goes forward and the one that goes back."""

    version: int
    name: str
    up: Path
    down: Path

    @property
    def checksum(self) -> str:
        """SHA-256 (hex) of the forward file."""
        return hashlib.sha256(self.up.read_bytes()).hexdigest()


@dataclass(frozen=True)
class MigrationStatus:
    """A migration beside the database: `state` is applied, pending, changed (its file differs) or unknown (no file)."""

    version: int
    name: str
    state: str
    applied_at: datetime | None


def migrate(dsn: str, directory: Path = MIGRATIONS_DIR) -> list[Migration]:
    """Apply every pending migration, in order; returns those applied now. Two at once wait for each other.

    Raises:
        SchemaOutdated: a migration applied earlier has another text now, or is not known to this version of the code.
    """
    with _locked(dsn) as connection:
        states = _states(connection, directory)
        if wrong := [state for state in states if state.state in ("changed", "unknown")]:
            raise SchemaOutdated(_sentence(wrong))
        pending = {state.version for state in states if state.state == "pending"}
        applied = [migration for migration in find_migrations(directory) if migration.version in pending]
        for migration in applied:
            with connection, connection.cursor() as cursor:
                cursor.execute(migration.up.read_text())
                cursor.execute(
                    "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
                    (migration.version, migration.name, migration.checksum),
                )
    return applied


def rollback(dsn: str, to: int, directory: Path = MIGRATIONS_DIR) -> list[Migration]:
    """Take back every migration above version `to` (0: all), the newest first; their tables' data is lost.

    Raises:
        UserError: a migration to take back has no file here.
    """
    with _locked(dsn) as connection:
        known = {migration.version: migration for migration in find_migrations(directory)}
        undone = [s for s in reversed(_states(connection, directory)) if s.version > to and s.state != "pending"]
        if missing := [state for state in undone if state.version not in known]:
            raise UserError(f"{_sentence(missing)}, or take it back with the version that applied it")
        for state in undone:
            with connection, connection.cursor() as cursor:
                cursor.execute(known[state.version].down.read_text())
                cursor.execute("DELETE FROM schema_migrations WHERE version = %s", (state.version,))
    return [known[state.version] for state in undone]


def status(dsn: str, directory: Path = MIGRATIONS_DIR) -> list[MigrationStatus]:
    """Every migration known here or applied there, by version. Changes nothing."""
    return in_transaction(dsn, lambda connection: _states(connection, directory))[0]


def require_current(dsn: str) -> None:
    """Check that the database has the schema this code was written for.

    Raises:
        SchemaOutdated: it says what to run.
    """
    if wrong := [state for state in status(dsn) if state.state != "applied"]:
        raise SchemaOutdated(_sentence(wrong))


def find_migrations(directory: Path = MIGRATIONS_DIR) -> list[Migration]:
    """The migrations in a folder, by version: `NNNN_name.up.sql` with `NNNN_name.down.sql` beside it."""
    found = []
    for up in sorted(directory.glob("*.up.sql")):
        version, name = re.fullmatch(r"(\d{4})_(\w+)\.up\.sql", up.name).groups()  # type: ignore[union-attr]
        found.append(Migration(int(version), name, up, up.with_name(f"{version}_{name}.down.sql")))
    return found


@contextmanager
def _locked(dsn: str) -> Iterator[Connection]:
    """A connection that alone may migrate, until it closes; the table of migrations stands."""
    with closing(connect(dsn)) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute(_LOCK)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(_CREATE)
            yield connection
        except (psycopg2.errors.InsufficientPrivilege, psycopg2.OperationalError) as error:
            raise user_error(error) from error


def _states(connection: Connection, directory: Path) -> list[MigrationStatus]:
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('schema_migrations')")
        rows = []
        if cursor.fetchone() != (None,):
            cursor.execute("SELECT version, name, checksum, applied_at FROM schema_migrations")
            rows = cursor.fetchall()
    known = {migration.version: migration for migration in find_migrations(directory)}
    states = [MigrationStatus(m.version, m.name, "pending", None) for m in known.values()]
    states = [state for state in states if state.version not in {row[0] for row in rows}]
    for version, name, checksum, applied_at in rows:
        state = "unknown" if version not in known else "applied" if known[version].checksum == checksum else "changed"
        states.append(MigrationStatus(version, name, state, applied_at))
    return sorted(states, key=lambda state: state.version)


def _sentence(wrong: list[MigrationStatus]) -> str:
    first = wrong[0]
    label = f"{first.version:04d}_{first.name}"
    if unknown := [state for state in wrong if state.state == "unknown"]:
        newest = f"{unknown[-1].version:04d}_{unknown[-1].name}"
        return f"the database has migration {newest}, unknown to this version of pc_pipeline: update pc_pipeline"
    if first.state == "changed":
        return f"migration {label} was applied with another text: restore sql/migrations/{label}.up.sql"
    return f"the database lacks {len(wrong)} migration(s), from {label} on: run `pc db migrate`"
