"""Continuous archiving of the embedded PostgreSQL: the keeper runs `pg_receivewal`, which writes WAL to the backups.

It is on where `services/archive.json` stands; the first backup writes it, for WAL is of no use without one. The
receiver runs as ourselves, so that the folder need not be open to the user PostgreSQL runs as. A replication slot keeps
what it has not received yet. Its failing never stops a server: it is tried again, and `pc db backup` and the job
say so.
"""

import datetime as dt
import json
import logging
import os
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import psycopg2

from pc_pipeline.embedded.process import Child, write_private
from pc_pipeline.errors import UserError

TRY_AGAIN_S = 5.0
STOP_PATIENCE_S = 10.0
# Of the folder a stream of WAL is in: since when, and the timeline.
STAMP = "%Y%m%dT%H%M%S.%fZ"
# In every folder of backups; whoever writes to it holds it.
LOCK = ".lock"
log = logging.getLogger("pc_pipeline.keeper")


class Stream(NamedTuple):
    """A folder of WAL without a gap, all of one timeline; a new one begins after a restore and after WAL was lost."""

    since: dt.datetime
    timeline: int
    path: Path


def switch_on(home: Path, folder: Path) -> None:
    """Have the keeper of `home` archive below `folder` from now on."""
    file = _switch(home)
    if archive_folder(home) != folder:
        write_private(file, json.dumps({"folder": str(folder)}))


def archive_folder(home: Path) -> Path | None:
    """The folder of the backups below which WAL is archived; None where it is not."""
    with suppress(FileNotFoundError):
        return Path(json.loads(_switch(home).read_text())["folder"])
    return None


def require_mounted(folder: Path) -> None:
    """Check that a folder to which WAL was archived before is that one, and no empty mount point.

    Raises:
        UserError: it is not.
    """
    if not (folder / LOCK).exists():
        raise UserError(f"{folder} does not hold the backups that were made there: is its disk mounted?")


def archive_log(home: Path) -> Path:
    """What the receiver says."""
    return home / "logs" / "archive.log"


def streams(folder: Path, system_identifier: str) -> list[Stream]:
    """The streams of a cluster below a folder of backups, the oldest first."""
    found = []
    for path in (folder / "wal" / system_identifier).glob("*Z-*"):
        stamp, _, timeline = path.name.rpartition("-")
        with suppress(ValueError):
            found.append(Stream(dt.datetime.strptime(stamp, STAMP).replace(tzinfo=dt.UTC), int(timeline), path))
    return sorted(found)


class Archive:
    """The receiver of one `PC_HOME`, started again whenever it ends."""

    def __init__(self, home: Path, programs: Path, password: str, inherit: tuple[int, ...]) -> None:
        self._home = home
        self._programs = programs
        self._environment = {**os.environ, "PGPASSWORD": password}
        self._inherit = inherit
        self._child: Child | None = None
        self._folder: Path | None = None
        self._next_try = 0.0
        self._said = ""

    def tend(self, dsn: str) -> None:
        """See that the receiver runs where it should; call it while the server at `dsn` is ready."""
        wanted = archive_folder(self._home)
        if self._child and self._child.is_running():
            if wanted == self._folder:
                return
            self.stop()
        if wanted is None or time.monotonic() < self._next_try:
            return
        self._next_try = time.monotonic() + TRY_AGAIN_S
        try:
            self._child, self._folder = self._launch(dsn, wanted), wanted
        except (UserError, OSError, psycopg2.Error) as error:
            if str(error) != self._said:
                log.warning("the WAL is not archived: %s", error)
            self._said = str(error)

    def stop(self) -> None:
        """End the receiver. Stop the server first: it waits until all of its WAL was received."""
        if self._child:
            self._child.stop(STOP_PATIENCE_S)

    def _launch(self, dsn: str, folder: Path) -> Child:
        from psycopg2.extensions import parse_dsn

        address = parse_dsn(dsn)
        return Child(
            [
                str(self._programs / "pg_receivewal"),
                f"--dbname=host={address['host']} port={address['port']} user={address['user']}",
                f"--directory={_stream(dsn, folder)}",
                f"--slot={_slot()}",
                # On disk as soon as it is received.
                "--synchronous",
                "--no-loop",
                "--no-password",
            ],
            log=archive_log(self._home),
            env=self._environment,
            inherit=self._inherit,
        )


def _stream(dsn: str, folder: Path) -> Path:
    """The folder to go on with, or a new one where the WAL does not follow on what was received last."""
    from pc_pipeline.store import wal
    from pc_pipeline.store.postgres import connect

    require_mounted(folder)
    with closing(connect(dsn)) as connection:
        server = wal.server(connection)
        follows = wal.take_slot(connection)
    known = streams(folder, server.system_identifier)
    if follows and known and known[-1].timeline == server.timeline:
        return known[-1].path
    path = folder / "wal" / server.system_identifier / f"{dt.datetime.now(dt.UTC):{STAMP}}-{server.timeline}"
    path.mkdir(parents=True, mode=0o700)
    return path


def _slot() -> str:
    from pc_pipeline.store.wal import SLOT

    return SLOT


def _switch(home: Path) -> Path:
    return home / "services" / "archive.json"
