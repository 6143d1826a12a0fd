"""Backups of the database: made whole or not at all, listed, verified, and removed when their time is over.

Of the embedded PostgreSQL a backup is a copy of its files (`pg_basebackup`), and with the WAL archived since then
(`embedded/archive.py`) any moment after it can be restored. Of a server named by PC_POSTGRES_DSN it is a dump
(`pg_dump`), which restores the moment it was made. Each is a folder with a manifest (`manifests.py`).
"""

import datetime as dt
import fcntl
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import make_dsn, parse_dsn

from pc_pipeline.embedded.archive import LOCK, archive_folder, archive_log, require_mounted, switch_on
from pc_pipeline.embedded.process import last_line, wait_until
from pc_pipeline.embedded.programs import client_programs
from pc_pipeline.errors import ConfigError, UserError
from pc_pipeline.housekeeping.archived_wal import read_archive, sync_folder, tidy
from pc_pipeline.housekeeping.manifests import BASE, DUMP, MANIFEST, Backup, look, manifest, of_another, take
from pc_pipeline.ingest.backups import BackupsConfig
from pc_pipeline.settings import Settings
from pc_pipeline.store import wal
from pc_pipeline.store.postgres import connect, place

# The schemas of the results and of Dagster.
SCHEMAS = ("public", "dagster")
NIGHT = dt.time(2)
_ARCHIVE_PATIENCE_S = 60.0
_LOG_EVERY_S = 15.0
_SPARE_BYTES = 64_000_000
_ASIDE_S = 24 * 3600.0
# What a libpq DSN may hold that nobody else is to see, beside `password`.
_SECRETS = ("sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")

Log = Callable[[str], None]


class BackupFailed(UserError):
    """A backup could not be made, or is not what its manifest says."""


@dataclass(frozen=True)
class Made:
    """What `create` did: the backup, what was removed, and sentences about what is not as it should be."""

    backup: Backup
    seconds: float
    removed: list[str]
    wal_packed: int
    wal_removed: int
    warnings: list[str]


# ---------------------------------------------------------------------------------------------------------- places


def backup_folder(settings: Settings, config: BackupsConfig) -> Path:
    """Where backups are."""
    return settings.backup_dir or config.folder or settings.home / "backups"


@contextmanager
def alone(folder: Path) -> Iterator[int]:
    """Be the only one that writes backups there; gives the lock, to be inherited by programs.

    Raises:
        UserError: another makes one, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (folder / LOCK).open("a")
    except OSError as error:
        raise BackupFailed(
            f"the folder of backups {folder} cannot be written: {error.strerror}. Mount its disk, or name another by "
            "`backups.folder` in the site file or PC_BACKUP_DIR."
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupFailed(f"another backup is being made in {folder}: wait until it has ended") from None
        yield file.fileno()


# ---------------------------------------------------------------------------------------------------------- making


def create(settings: Settings, dsn: str, config: BackupsConfig, log: Log) -> Made:
    """Make a backup of the database at `dsn` while everything runs, then remove those whose time is over.

    Raises:
        UserError: no space, no right, no WAL received, the disk not mounted, another site's folder; nothing half-made
            stays.
        PostgresUnreachable: no connection.
    """
    folder = backup_folder(settings, config)
    began = time.monotonic()
    if archive_folder(settings.home) == folder:
        require_mounted(folder)
    with alone(folder) as lock:
        for left in folder.glob(".*.new"):
            shutil.rmtree(left)  # of a backup that was killed
        if another := of_another(settings, folder):
            raise BackupFailed(f"no backup was made: {another}")
        take(settings, folder)
        warnings = _warnings(settings, folder)
        is_base = settings.postgres_dsn is None
        if is_base:
            warnings += _start_archiving(settings, dsn, folder)
        backup = _make(settings, dsn, folder, BASE if is_base else DUMP, lock, log)
        log(f"backup {backup.name}: {backup.bytes:,} bytes of {backup.cluster_bytes:,}")
        found = look(folder)
        warnings += found.unreadable.values()
        kept, over = divide(found.backups, backup.ended_at, config.keep_days)
        for old in over:
            _remove(folder, old.name)
        starts: dict[str, list[tuple[int, int]]] = {}
        for one in kept:
            if one.system_identifier:
                starts.setdefault(one.system_identifier, []).append(one.first_segment)
        # Which WAL a backup needs that cannot be read is not known.
        keeps_all = found.unreadable_since(backup.ended_at - dt.timedelta(days=config.keep_days))
        tidied = tidy(folder, starts, keeps_all=keeps_all)
        if is_base:
            _remove_put_aside(settings.home / "services", time.time())
        return Made(
            backup,
            round(time.monotonic() - began, 1),
            [old.name for old in over],
            tidied.packed,
            tidied.removed,
            warnings,
        )


def divide(found: Sequence[Backup], now: dt.datetime, keep_days: int) -> tuple[list[Backup], list[Backup]]:
    """Which backups stay and which go: those of the last days stay, and the one before, from which the first moments
    of those days can be restored."""
    since = now - dt.timedelta(days=keep_days)
    young = [one for one in found if one.ended_at >= since]
    old = sorted((one for one in found if one.ended_at < since), key=lambda one: one.ended_at)
    return [*old[-1:], *young], old[:-1]


def due(found: Sequence[Backup], now: dt.datetime, zone: ZoneInfo, server: wal.Server | None) -> str | None:
    """Why a backup is to be made now, or None: there is none of this database, or none since two o'clock this night.

    Args:
        now: aware. zone: of the site.
        server: the embedded cluster, None for another. A new timeline (after a restore) has no backup yet.
    """
    mine = [
        one
        for one in found
        if (one.kind == DUMP if server is None else (one.system_identifier, one.timeline) == (
            server.system_identifier, server.timeline))
    ]  # fmt: skip
    if not mine:
        return "there is no backup of this database yet"
    local = now.astimezone(zone)
    night = dt.datetime.combine(local.date(), NIGHT, zone)
    if local < night:
        night = dt.datetime.combine(local.date() - dt.timedelta(days=1), NIGHT, zone)
    last = max(one.ended_at for one in mine)
    return f"the last backup is of {last:%Y-%m-%d %H:%M} UTC" if last < night else None


def wanted_now(
    settings: Settings, connection: Connection, config: BackupsConfig, zone: ZoneInfo, now: dt.datetime
) -> str | None:
    """Why the job is to run now, or None: a backup is due, or WAL is not archived, which its run then tells."""
    embedded = settings.postgres_dsn is None
    folder = backup_folder(settings, config)
    if another := of_another(settings, folder):
        return another
    why = due(look(folder).backups, now, zone, wal.server(connection) if embedded else None)
    if why or not embedded:
        return why
    if gaps(wal.server(connection), folder):
        return "WAL was lost since the last backup"
    return None if wal.received(connection).streaming else "the WAL is not archived"


def _warnings(settings: Settings, folder: Path) -> list[str]:
    if settings.postgres_dsn is None and folder.stat().st_dev == settings.home.stat().st_dev:
        return [
            f"the backups in {folder} are on the same disk as the database: one broken disk takes both. Name a folder "
            "on another by `backups.folder` in the site file or PC_BACKUP_DIR."
        ]
    return []


def _start_archiving(settings: Settings, dsn: str, folder: Path) -> list[str]:
    """Have WAL received from now on, before the backup that it belongs to; says what was lost since the last one."""
    switch_on(settings.home, folder)

    def streams() -> bool:
        with closing(connect(dsn)) as connection:
            return wal.received(connection).streaming

    if not wait_until(streams, _ARCHIVE_PATIENCE_S, step_s=0.1):
        log = archive_log(settings.home)
        raise BackupFailed(
            f"the WAL is not archived to {folder}: {last_line(log)} (see {log} and keeper.log beside it). Without it "
            "nothing after a backup can be restored."
        )
    with closing(connect(dsn)) as connection:
        server = wal.server(connection)
    return [f"{gap}; the backup made now is the next that can be gone on from" for gap in gaps(server, folder)]


def gaps(server: wal.Server, folder: Path) -> list[str]:
    """What of a cluster's WAL since its last backup is lost, as a sentence; empty where nothing is."""
    same = [one for one in look(folder).backups if (one.system_identifier, one.timeline) == (
        server.system_identifier, server.timeline)]  # fmt: skip
    if not same:
        return []
    stretch = read_archive(folder, server.system_identifier).stretch(same[-1].last_segment, server.timeline)
    return [lost(stretch.missing, same[-1])] if stretch.missing else []


def lost(missing: Sequence[str], since: Backup) -> str:
    """The sentence about WAL that is not there."""
    files = f"{missing[0]} to {missing[-1]} ({len(missing)} files)" if len(missing) > 1 else missing[0]
    return (
        f"WAL since the backup of {since.ended_at:%Y-%m-%d %H:%M:%S} UTC is missing: {files}: what was written then "
        "and after cannot be restored from that backup"
    )


def _make(settings: Settings, dsn: str, folder: Path, kind: str, lock: int, log: Log) -> Backup:
    with closing(connect(dsn)) as connection:
        began_at = wal.now(connection)
        facts = wal.facts(connection)
    _require_space(folder, kind, facts["cluster_bytes"] if kind == BASE else facts["database_bytes"])
    while (folder / (name := f"{began_at:%Y-%m-%dT%H%M%SZ}")).exists():
        began_at += dt.timedelta(seconds=1)
    new = folder / f".{name}.new"
    new.mkdir(mode=0o700)
    try:
        about = _base(dsn, new, lock, log) if kind == BASE else _dump(dsn, new, lock, log)
        if settings.site_file.exists():
            shutil.copyfile(settings.site_file, new / "site.yaml")
        with closing(connect(dsn)) as connection:
            ended_at = wal.now(connection)
        files = {str(path.relative_to(new)): _sealed(path) for path in sorted(new.rglob("*")) if path.is_file()}
        size = sum(file["bytes"] for file in files.values())
        backup = Backup(name, kind, began_at, ended_at, **facts, bytes=size, files=files, **about)
        (new / MANIFEST).write_text(manifest(backup))
        _sealed(new / MANIFEST)
        sync_folder(new)
        new.rename(folder / name)
        sync_folder(folder)
    except OSError as error:
        raise BackupFailed(f"no backup was made: {folder}: {error.strerror}") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return backup


def _require_space(folder: Path, kind: str, database_bytes: int) -> None:
    """Refuse to begin what will not fit, by how much smaller than the database the last backup was."""
    last = next((one for one in reversed(look(folder).backups) if one.kind == kind), None)
    share = 1.25 * last.bytes / max(last.cluster_bytes if kind == BASE else last.database_bytes, 1) if last else 0.5
    wanted, free = int(share * database_bytes) + _SPARE_BYTES, shutil.disk_usage(folder).free
    if free < wanted:
        raise BackupFailed(
            f"no backup was made: {folder} has {free / 1e6:,.0f} MB free and a backup takes about "
            f"{wanted / 1e6:,.0f} MB: free space there, lower `backups.keep_days`, or name another folder"
        )


def _base(dsn: str, new: Path, lock: int, log: Log) -> dict[str, Any]:
    target = new / "base"
    arguments = ["--format=tar", "--wal-method=stream", "--compress=client-gzip:1", "--checkpoint=fast"]
    arguments += ["--manifest-checksums=SHA256", "--no-password", f"--label=pc_pipeline {new.name}"]
    run_program("pg_basebackup", [f"--pgdata={target}", *arguments], dsn, target, lock, log)
    told = json.loads((target / "backup_manifest").read_text())
    (stretch,) = told["WAL-Ranges"]
    return {
        "system_identifier": str(told["System-Identifier"]),
        "timeline": stretch["Timeline"],
        "start_lsn": stretch["Start-LSN"],
        "end_lsn": stretch["End-LSN"],
    }


def _dump(dsn: str, new: Path, lock: int, log: Log) -> dict[str, Any]:
    target = new / "database.dump"
    # Owners and privileges name roles, which another server need not have; `restore` gives the reader its rights again.
    arguments = ["--format=custom", "--compress=gzip:1", "--no-owner", "--no-privileges", "--no-password"]
    arguments += [f"--schema={schema}" for schema in SCHEMAS]
    run_program("pg_dump", [f"--file={target}", *arguments], dsn, target, lock, log)
    return {}


def run_program(
    name: str, arguments: Sequence[str], dsn: str, target: Path, lock: int, log: Log, stdin: Path | None = None
) -> None:
    """Run one of PostgreSQL's client programs on the database at `dsn`, telling how much of `target` is written.

    Secrets do not stand in its arguments, which everybody on the machine can read.

    Raises:
        BackupFailed: it failed; the sentence has its reason.
        ConfigError: see `without_secrets`.
    """
    with (
        without_secrets(dsn) as (address, environment, secrets),
        tempfile.TemporaryFile("w+") as complaints,
        stdin.open("rb") if stdin else open(os.devnull, "rb") as source,  # noqa: PTH123
    ):
        process = subprocess.Popen(
            [str(client_programs() / name), f"--dbname={address}", *arguments],
            env={**os.environ, **environment},
            stdin=source,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            pass_fds=(lock, *secrets),
        )
        try:
            say_at = time.monotonic() + _LOG_EVERY_S
            while True:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(1)
                    break
                if time.monotonic() > say_at:
                    say_at += _LOG_EVERY_S
                    log(f"{name}: {_written(target):,} bytes so far")
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            complaints.seek(0)
            raise BackupFailed(_reason(name, complaints.read(), target.parent, place(dsn)))


@contextmanager
def without_secrets(dsn: str) -> Iterator[tuple[str, dict[str, str], tuple[int, ...]]]:
    """A DSN without its secrets, and what brings them to one of libpq's programs: its environment and files to inherit.

    libpq reads its password from the environment and the others from a service file alone; this one has no name.

    Raises:
        ConfigError: a service file is in use already, so that the secret belongs there.
    """
    parts = parse_dsn(dsn)
    password = parts.pop("password", None)
    environment = {"PGPASSWORD": password} if password else {}
    others = {name: parts.pop(name) for name in _SECRETS if name in parts}
    if not others:
        yield make_dsn(**parts), environment, ()
        return
    if "service" in parts or "PGSERVICE" in os.environ:
        names = " and ".join(others)
        raise ConfigError(
            f"the Postgres URL has both a service and {names}: write {names} into that service's section of the service"
            " file, since programs are given one such file"
        )
    with tempfile.TemporaryFile("w+") as file:
        file.write("".join(["[pc_pipeline]\n", *(f"{name}={value}\n" for name, value in others.items())]))
        file.seek(0)
        environment |= {"PGSERVICEFILE": f"/dev/fd/{file.fileno()}", "PGSERVICE": "pc_pipeline"}
        yield make_dsn(**parts), environment, (file.fileno(),)


def _reason(name: str, complaints: str, folder: Path, where: str) -> str:
    lines = [line for line in complaints.splitlines() if line.strip()] or ["no reason given"]
    first = next((line for line in lines if "error" in line.lower()), lines[-1]).removeprefix(f"{name}: ")
    if "No space left on device" in complaints:
        return f"no space is left in {folder}: free some, lower `backups.keep_days`, or name another folder"
    if "server version mismatch" in complaints:
        return (
            f"Postgres at {where} is newer than the {name} that comes with pc_pipeline: use its own {name} "
            "(docs/backup.md)"
        )
    return f"{name} failed on {where}: {first}"


def _written(target: Path) -> int:
    with suppress(OSError):
        return sum(path.stat().st_size for path in [target, *target.rglob("*")] if path.is_file())
    return 0


def _sealed(path: Path) -> dict[str, Any]:
    """Have a file on disk, closed to others; returns its size and checksum."""
    path.chmod(0o600)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return {"bytes": path.stat().st_size, "sha256": _sha256(file)}


def _remove(folder: Path, name: str) -> None:
    """Remove a backup: gone at once for every reader, and the rest by the next sweep where we are killed."""
    gone = folder / f".{name}.new"
    (folder / name).rename(gone)
    shutil.rmtree(gone)


def _remove_put_aside(services: Path, now: float) -> None:
    """Remove what restores put aside a day ago or more: the restored database answers, and has a backup.

    Not at once: it may be the only copy of what was not archived, and a person has to notice that.

    Args:
        now: seconds since 1970.
    """
    for aside in services.glob("postgres.before*"):
        if now - aside.stat().st_ctime > _ASIDE_S:  # when it was renamed
            shutil.rmtree(aside, ignore_errors=True)


# ------------------------------------------------------------------------------------------------------- verifying


def verify(folder: Path, backup: Backup) -> list[str]:
    """What is wrong with a backup's files, a sentence each: missing, changed since, or not as the server sent them."""
    problems = changed_files(folder, backup)
    if problems or backup.kind == DUMP:
        return problems
    return list(_differ_from_server(folder / backup.name / "base"))


def absent_files(folder: Path, backup: Backup) -> list[str]:
    """The files of a backup that are not there or have another size."""
    return [
        f"{path} is missing or cut off"
        for name, told in backup.files.items()
        if not (path := folder / backup.name / name).is_file() or path.stat().st_size != told["bytes"]
    ]


def changed_files(folder: Path, backup: Backup) -> list[str]:
    """What is wrong with a backup's files as its manifest has them."""
    problems = []
    for name, told in backup.files.items():
        path = folder / backup.name / name
        if not path.is_file():
            problems.append(f"{path} is missing")
            continue
        with path.open("rb") as file:
            if _sha256(file) != told["sha256"]:
                problems.append(f"{path} was changed or damaged since the backup was made")
    return problems


def _differ_from_server(base: Path) -> Iterator[str]:
    """Compare every file of the copy with the checksum the server sent along (`pg_verifybackup` does not run here)."""
    told: Mapping[str, Mapping[str, Any]] = {
        file["Path"]: file for file in json.loads((base / "backup_manifest").read_text())["Files"] if "Path" in file
    }
    missing = set(told)
    with opened(base / "base.tar.gz") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            content = archive.extractfile(member) if name in told else None
            if content:
                missing.discard(name)
                if _sha256(content) != told[name]["Checksum"]:
                    yield f"{name} in {base / 'base.tar.gz'} differs from what the server sent"
    yield from (f"{name} is not in {base / 'base.tar.gz'}" for name in sorted(missing))


@contextmanager
def opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """A packed archive of `pg_basebackup`: several gzip streams after one another, which tarfile alone cannot read."""
    with gzip.open(archive) as plain, tarfile.open(fileobj=plain, mode="r|", bufsize=1 << 20) as members:
        yield members


def _sha256(content: IO[bytes]) -> str:
    hashed = hashlib.sha256()
    while piece := content.read(1 << 20):
        hashed.update(piece)
    return hashed.hexdigest()
