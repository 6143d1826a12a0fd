"""Bringing a database back: a backup as it was made, any moment since, or the last there was.

The embedded PostgreSQL is brought back beside the one there is, replays the archived WAL, is seen to answer, and then
takes its place by renaming: killed anywhere, the old one or the new one works. A dump replaces the tables in one
transaction.
"""

import datetime as dt
import fcntl
import itertools
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from pc_pipeline.embedded.keeper import free_port, service_password
from pc_pipeline.embedded.postgres import RESTORED, Postgres
from pc_pipeline.embedded.process import Background, Child, last_line, wait_until
from pc_pipeline.embedded.programs import client_programs, find_programs, remove_copies, service_account
from pc_pipeline.errors import ConfigError, SchemaOutdated, UserError
from pc_pipeline.housekeeping.archived_wal import Archived, read_archive, sync_folder, unpack
from pc_pipeline.housekeeping.backups import SCHEMAS, Log, alone, changed_files, lost, opened, without_secrets
from pc_pipeline.housekeeping.manifests import BASE, DUMP, Backup, look
from pc_pipeline.settings import Settings
from pc_pipeline.store import migrate, wal
from pc_pipeline.store.cache import PREFIX
from pc_pipeline.store.postgres import connect, place

_PATIENCE_S = 90.0
_REPLAY_PATIENCE_S = 4 * 3600.0
_LOG_EVERY_S = 15.0
_SPARE_BYTES = 256_000_000
_BEFORE = "postgres.before"
_WAL = "restore_wal"
_TOO_SHORT = "recovery ended before configured recovery target was reached"


class CannotRestore(UserError):
    """What was asked for cannot be brought back, or not now; the database is as it was."""


@dataclass(frozen=True)
class Plan:
    """What is brought back.

    Attributes:
        backup: to begin with.
        to_time: the moment up to which WAL is replayed (aware); None: to the end of what there is.
        replays: False: the backup as it was made, and no WAL after it.
        timeline: to replay. segments: the (timeline, number) of the WAL files for it.
        missing: names of those that are not there.
    """

    backup: Backup
    to_time: dt.datetime | None = None
    replays: bool = False
    timeline: int = 0
    segments: tuple[tuple[int, int], ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Restored:
    """What was brought back: until when (the last transaction replayed; None: as of the backup), what is in it, and
    sentences about what is to be known of it."""

    backup: Backup
    last_transaction: str | None
    facts: dict[str, Any]
    seconds: float
    notes: list[str]


# -------------------------------------------------------------------------------------------------------- planning


def plan(folder: Path, name: str | None, to_time: dt.datetime | None, *, embedded: bool) -> Plan:
    """What to bring back: a backup by its name, a moment, or (neither) the last moment there is.

    Args:
        folder: of the backups.
        to_time: aware.
        embedded: whether the database is the embedded one; another has dumps alone.

    Raises:
        CannotRestore: there is no such backup, or what was archived does not reach so far.
        ConfigError: a moment is asked for of a server that is not the embedded one.
    """
    everything = look(folder)
    found = everything.backups
    if name is not None:
        if name in everything.unreadable:
            raise CannotRestore(everything.unreadable[name])
        chosen = next((one for one in found if one.name == name), None)
        if chosen is None:
            near = ", ".join(one.name for one in found[-3:]) or "none at all"
            raise CannotRestore(f"there is no backup {name} in {folder}: the last are {near} (`pc db backups`)")
        return Plan(chosen, timeline=chosen.timeline or 0)
    if not embedded:
        if to_time is not None:
            raise ConfigError(
                "--to-time is for the embedded PostgreSQL; a server of your own has its own archive (docs/backup.md)"
            )
        return Plan(_newest([one for one in found if one.kind == DUMP], folder))
    bases = [one for one in found if one.kind == BASE]
    return _plan_moment(folder, bases, to_time) if to_time else _plan_end(folder, bases)


def _plan_end(folder: Path, bases: list[Backup]) -> Plan:
    newest = _newest(bases, folder)
    assert newest.system_identifier and newest.timeline
    archived = read_archive(folder, newest.system_identifier)
    timeline = archived.streams[-1].timeline if archived.streams else newest.timeline
    backup = max(_on_the_way(bases, newest, archived, timeline), key=lambda one: one.ended_at, default=newest)
    found = _replay(archived, backup, None, timeline, None)
    if found.missing:
        raise CannotRestore(
            f"{lost(found.missing, backup)}. Bring back a moment before that with --to-time, or that backup alone with "
            f"`pc db restore {backup.name}`"
        )
    return found


def _plan_moment(folder: Path, bases: list[Backup], to_time: dt.datetime) -> Plan:
    before = [one for one in bases if one.ended_at <= to_time]
    if not before:
        first = f"the first moment that can be restored is {bases[0].ended_at:%Y-%m-%d %H:%M:%S} UTC" if bases else ""
        raise CannotRestore(f"no backup in {folder} is from before that time: {first or 'there is none at all'}")
    newest = before[-1]
    assert newest.system_identifier and newest.timeline
    archived = read_archive(folder, newest.system_identifier)
    timeline = archived.timeline_at(to_time) or newest.timeline
    backup = max(_on_the_way(before, newest, archived, timeline), key=lambda one: one.ended_at, default=newest)
    # What comes after the first backup that was begun later holds nothing from before that time.
    later = [one for one in bases if one.began_at > to_time and one.system_identifier == newest.system_identifier]
    until = next((one.first_segment[1] for one in later if one.timeline == timeline), None)
    return _replay(archived, backup, to_time, timeline, until)


def _replay(archived: Archived, backup: Backup, to_time: dt.datetime | None, timeline: int, until: int | None) -> Plan:
    # The backup brings along its own WAL, which ends within this segment.
    stretch = archived.stretch(backup.last_segment, timeline, until)
    return Plan(backup, to_time, True, timeline, tuple(stretch.files), tuple(stretch.missing))


def _on_the_way(bases: list[Backup], like: Backup, archived: Archived, timeline: int) -> Iterator[Backup]:
    """The backups of the same cluster from which `timeline` can be replayed."""
    ends = archived.ends(timeline)
    for one in bases:
        same = one.system_identifier == like.system_identifier and one.timeline is not None
        if same and (one.timeline == timeline or one.last_segment[1] <= ends.get(one.timeline or 0, -1)):
            yield one


def reach(archived: Archived, backup: Backup) -> dict[str, Any]:
    """How far WAL goes on from a base backup: `wal_until`, when its last file was written (ISO, UTC; None: no further),
    and `wal_gap`, a sentence where some of it is missing."""
    timelines = {stream.timeline for stream in archived.streams}
    on_from = [line for line in timelines if [*_on_the_way([backup], backup, archived, line)]]
    stretch = archived.stretch(backup.last_segment, max(on_from, default=backup.timeline or 0))
    if stretch.missing:
        return {"wal_until": None, "wal_gap": lost(stretch.missing, backup)}
    written = archived.segments[stretch.files[-1]].stat().st_mtime
    return {"wal_until": dt.datetime.fromtimestamp(written, dt.UTC).isoformat(timespec="seconds"), "wal_gap": None}


def _newest(found: list[Backup], folder: Path) -> Backup:
    if not found:
        raise CannotRestore(f"there is no backup in {folder} that fits: `pc db backups` lists what there is")
    return found[-1]


# ------------------------------------------------------------------------------------------- the embedded PostgreSQL


def restore_base(settings: Settings, folder: Path, wanted: Plan, log: Log) -> Restored:
    """Bring back the embedded PostgreSQL of `settings.home`, which may be an empty folder.

    The data folder there was before stays as `services/postgres.before` until the next backup a day later, and what
    further restores replace until then beside it, numbered. Embedded Redis is emptied: all it holds is derived.

    Raises:
        CannotRestore: `pc up` or another command uses it, too little space, WAL that is missing; nothing was changed.
        ServiceError: PostgreSQL refused.
    """
    began = time.monotonic()
    with alone(folder), nobody_else(settings.home) as lock:
        if problems := changed_files(folder, wanted.backup):
            raise CannotRestore(f"{problems[0]}: take another backup (`pc db backups --verify`)")
        services = settings.home / "services"
        services.mkdir(mode=0o700, exist_ok=True)
        account = service_account(settings.home)
        server = Postgres(
            find_programs(settings.home, account).postgres,
            services / "postgres.restoring",
            settings.home / "logs" / "restore.log",
            service_password(settings.home),
            account,
            inherit=(lock,),
        )
        try:
            for left in (server.data, services / RESTORED):
                shutil.rmtree(left, ignore_errors=True)
            _require_space(settings.home, wanted)
            log(f"unpacking backup {wanted.backup.name} and {len(wanted.segments)} files of WAL")
            _lay_out(folder, wanted, server)
            last = _replayed(server, wanted, log)
            facts, notes = _seen_to_answer(server, settings)
            shutil.rmtree(server.data / _WAL)
            _take_place(services, server.data)
        finally:
            shutil.rmtree(server.data, ignore_errors=True)
            remove_copies(settings.home)
    if not settings.site_file.exists() and (kept := folder / wanted.backup.name / "site.yaml").exists():
        shutil.copyfile(kept, settings.site_file)
        notes.append(f"the site file of the backup is in force: {settings.site_file}")
    return Restored(wanted.backup, last, facts, round(time.monotonic() - began, 1), notes)


@contextmanager
def nobody_else(home: Path) -> Iterator[int]:
    """Be the only one at the embedded servers of a `PC_HOME`, which are stopped; gives the lock their processes hold.

    Raises:
        CannotRestore: `pc up` or another command uses them.
    """
    if Background(home, "ui").pid() is not None:
        raise CannotRestore(f"`pc up` runs for {home}: stop it with `pc down`, then restore")
    (home / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home / "run" / "lease").open("a") as lease, (home / "run" / "servers.lock").open("a") as servers:
        if not all(wait_until(partial(_locked, file), _PATIENCE_S, step_s=0.1) for file in (lease, servers)):
            raise CannotRestore(f"another `pc` command uses the database of {home}: wait until it has ended")
        yield servers.fileno()


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _require_space(home: Path, wanted: Plan) -> None:
    replayed = len(wanted.segments) * wal.SEGMENT_BYTES
    needed, free = wanted.backup.cluster_bytes + 2 * replayed + _SPARE_BYTES, shutil.disk_usage(home).free
    if free < needed:
        raise CannotRestore(
            f"nothing was restored: {home} has {free / 1e6:,.0f} MB free and {needed / 1e6:,.0f} MB are needed beside "
            "the database there is: free space there, or restore into a folder on another disk with --into"
        )


def _lay_out(folder: Path, wanted: Plan, server: Postgres) -> None:
    """A data folder that will recover when it is started."""
    source = folder / wanted.backup.name / "base"
    server.data.mkdir(mode=0o700)
    _extract(source / "base.tar.gz", server.data)
    _extract(source / "pg_wal.tar.gz", server.data / "pg_wal")
    (server.data / _WAL).mkdir()
    assert wanted.backup.system_identifier
    unpack(read_archive(folder, wanted.backup.system_identifier), list(wanted.segments), server.data / _WAL)
    (server.data / "recovery.signal").touch()
    if server.account:
        for path in (server.data, *server.data.rglob("*")):
            os.chown(path, server.account.uid, server.account.gid, follow_symlinks=False)


def _extract(archive: Path, target: Path) -> None:
    with opened(archive) as members:
        members.extractall(target, filter="data")


def _replayed(server: Postgres, wanted: Plan, log: Log) -> str | None:
    """Replay the WAL; returns when the last transaction in it was committed.

    Raises:
        CannotRestore: the WAL does not reach so far, or cannot be replayed.
    """
    target = {"recovery_target": "immediate"}
    if wanted.replays:
        target = {"recovery_target_time": wanted.to_time.isoformat()} if wanted.to_time else {}
    said, ready = _recover(server, wanted.timeline, target, log)
    if not ready and _TOO_SHORT in said:
        if wanted.missing:
            raise CannotRestore(f"{lost(wanted.missing, wanted.backup)}; the last before that is of {_last(said)}")
        # Nothing was committed between the end of the WAL and that time: its end is what was wanted.
        more, ready = _recover(server, wanted.timeline, {}, log)
        said += more
    if not ready:
        why = [line for line in said.splitlines() if "FATAL" in line or "PANIC" in line] or [last_line(server.log)]
        raise CannotRestore(f"the WAL could not be replayed: {why[0]} (see {server.log})")
    return _last(said)


def _recover(server: Postgres, timeline: int, target: dict[str, str], log: Log) -> tuple[str, bool]:
    """Start the server until it has recovered or given up; returns what it said, and whether it has."""
    offset = server.log.stat().st_size if server.log.exists() else 0
    child = server.launch(
        free_port(),
        restore_command=f'cp "{_WAL}/%f" "%p"',
        recovery_target_timeline=str(timeline),
        recovery_target_action="promote",
        hot_standby="off",
        **target,
    )
    ready = _wait(server, child, _REPLAY_PATIENCE_S, log)
    child.stop(server.stop_patience_s)
    with server.log.open("rb") as file:
        file.seek(offset if offset <= server.log.stat().st_size else 0)  # a long log was set aside meanwhile
        return file.read().decode(errors="replace"), ready


def _wait(server: Postgres, child: Child, patience_s: float, log: Log) -> bool:
    """Wait until a server is ready: False where it ended before."""
    said_at = began = time.monotonic()
    while child.is_running() and time.monotonic() - began < patience_s:
        if server.is_ready(0):
            return True
        if time.monotonic() - said_at > _LOG_EVERY_S:
            said_at = time.monotonic()
            log(f"replaying WAL for {said_at - began:.0f} s: {last_line(server.log)}")
        time.sleep(0.05)
    return False


def _last(said: str) -> str | None:
    found = re.findall(r"last completed transaction was at log time (.+)", said)
    return found[-1].strip() if found else None


def _seen_to_answer(server: Postgres, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """Start what was restored as it will run, ask it, and stop it: what is in it, and what is to be known of it.

    Raises:
        SchemaOutdated: it is of a later version of pc_pipeline than this one.
    """
    server.set_password()
    port = free_port()
    child = server.launch(port)
    try:
        if not _wait(server, child, _PATIENCE_S, lambda _: None):
            raise CannotRestore(f"what was restored does not start: {last_line(server.log)} (see {server.log})")
        dsn = server.url(port)
        if any(state.state == "unknown" for state in migrate.status(dsn)):
            raise SchemaOutdated(
                "the backup is of a later version of pc_pipeline than this one: update it, then restore"
            )
        with closing(connect(dsn)) as connection:
            return wal.facts(connection), _site_note(settings, wal.site_config(connection))
    finally:
        child.stop(server.stop_patience_s)


def _site_note(settings: Settings, applied: dict[str, Any] | None) -> list[str]:
    """Whether the site file in force is the one the restored database was counted with."""
    from pc_pipeline.ingest.site import SiteConfig, load_site

    if not applied or not settings.site_file.exists():
        return []
    with suppress(ConfigError, ValueError):  # what cannot be read differs too
        if SiteConfig.model_validate(applied) == load_site(settings.site_file):
            return []
    return [
        f"{settings.site_file} is not what the restored database was configured with: run `pc config apply "
        f"{settings.site_file}` to put it in force"
    ]


def _take_place(services: Path, new: Path) -> None:
    """Put a data folder that was seen to answer in the place of the one there is.

    Killed before the last step, the keeper finishes it (`Postgres.prepare`).
    """
    data, ready = services / "postgres", services / RESTORED
    shutil.rmtree(services / "redis", ignore_errors=True)
    new.rename(ready)
    if data.exists():
        # No backup was made since an earlier restore: what that one put aside may be the only copy of the last hours.
        names = itertools.chain([_BEFORE], (f"{_BEFORE}.{number}" for number in itertools.count(2)))
        data.rename(next(services / name for name in names if not (services / name).exists()))
    ready.rename(data)
    sync_folder(services)


# ------------------------------------------------------------------------------------------------------------ a dump


def restore_dump(settings: Settings, dsn: str, folder: Path, wanted: Plan, log: Log) -> Restored:
    """Replace the tables of the database at `dsn` by those of a dump, in one transaction.

    Raises:
        CannotRestore: something else is connected, or a statement was refused; nothing was changed.
    """
    began = time.monotonic()
    with alone(folder):
        if problems := changed_files(folder, wanted.backup):
            raise CannotRestore(f"{problems[0]}: take another backup (`pc db backups --verify`)")
        states = migrate.status(dsn)
        if any(state.state == "unknown" for state in states):
            raise SchemaOutdated("the database is of a later version of pc_pipeline than this one: update it")
        with closing(connect(dsn)) as connection:
            if others := wal.others(connection):
                raise CannotRestore(
                    f"{place(dsn)} is in use by {', '.join(others)}: stop `pc up` and what else is connected to it"
                )
        log(f"replacing the tables of {place(dsn)} by those of backup {wanted.backup.name}")
        applied = {state.version for state in states if state.state != "pending"}
        _replace_tables(dsn, folder / wanted.backup.name / "database.dump", applied)
        with closing(connect(dsn)) as connection:
            facts, notes = wal.facts(connection), _site_note(settings, wal.site_config(connection))
    if any(state.state == "pending" for state in migrate.status(dsn)):
        notes.append("its schema is of an earlier version: run `pc db migrate`")
    return Restored(wanted.backup, None, facts, round(time.monotonic() - began, 1), notes)


def _replace_tables(dsn: str, dump: Path, applied: set[int]) -> None:
    """Send psql one transaction: what takes the tables back, the dump, the reader's rights; COMMIT only if all of the
    dump was read."""
    migrations = migrate.find_migrations()
    downs = [one.down.read_text() for one in reversed(migrations) if one.version in applied]
    reader = [one.up.read_text() for one in migrations if one.name == "reader"]
    # Both schemas are made here: the one that every database has would be made again by the dump.
    schemas = "DROP SCHEMA IF EXISTS dagster CASCADE; CREATE SCHEMA dagster;"
    head = ["BEGIN;", *downs, "DROP TABLE IF EXISTS schema_migrations;", schemas]
    tail = ["RESET search_path;", *reader, "COMMIT;"]
    programs = client_programs()
    with without_secrets(dsn) as (address, environment, secrets), tempfile.TemporaryFile("w+") as complaints:
        psql = subprocess.Popen(
            [str(programs / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", f"--dbname={address}", "--no-password"],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            pass_fds=secrets,
        )
        reading = subprocess.Popen(
            [
                str(programs / "pg_restore"),
                "--file=-",
                "--no-owner",
                *(f"--schema={name}" for name in SCHEMAS),
                str(dump),
            ],
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        assert psql.stdin and reading.stdout
        try:
            psql.stdin.write("\n".join([*head, ""]).encode())
            first = True
            while piece := reading.stdout.read(1 << 20):
                # Servers before 17 do not know it.
                psql.stdin.write(piece.replace(b"SET transaction_timeout = 0;\n", b"", 1) if first else piece)
                first = False
            if reading.wait() == 0:
                psql.stdin.write("\n".join([*tail, ""]).encode())
            psql.stdin.close()
        except BrokenPipeError:
            pass
        finally:
            reading.kill()
            failed = psql.wait() != 0 or reading.wait() != 0
        if failed:
            complaints.seek(0)
            lines = [line.strip() for line in complaints if line.strip()] or ["no reason given"]
            why = next((line for line in lines if "ERROR" in line or "error" in line), lines[0])
            raise CannotRestore(f"nothing was restored to {place(dsn)}: {why}")


def empty_cache(redis_url: str | None) -> list[str]:
    """Forget the dashboard's figures of the database that was replaced; a sentence where Redis does not answer."""
    import redis

    if redis_url is None:
        return []
    try:
        with redis.Redis.from_url(redis_url) as client:
            for key in client.scan_iter(f"{PREFIX}*", count=1000):
                client.delete(key)
    except redis.RedisError:
        return ["Redis does not answer: for a day at most, the dashboard may show figures of the database there was"]
    return []
