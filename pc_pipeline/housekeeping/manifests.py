"""Which backups a folder holds, by their manifests, and whose they are."""

import datetime as dt
import json
import os
import re
import sys
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pc_pipeline.embedded.process import write_private
from pc_pipeline.errors import PostgresUnreachable
from pc_pipeline.settings import Settings
from pc_pipeline.store import wal
from pc_pipeline.store.postgres import connect

BASE, DUMP = "base", "dump"
MANIFEST = "manifest.json"
# In a folder of backups: of which database they are.
OWNER = "database.json"
_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z")
_NAME_TIME = "%Y-%m-%dT%H%M%S%z"


@dataclass(frozen=True)
class Backup:
    """A backup as its manifest tells of it.

    Attributes:
        name: of its folder, the UTC time it was begun.
        kind: `base` (the embedded PostgreSQL's files) or `dump`.
        began_at, ended_at: aware, UTC; a base backup can be restored to any moment from `ended_at` on.
        server_version, server_version_num, schema_version: what it was made of.
        rows: of the small result tables. newest_video: the latest start, ISO.
        cluster_bytes, database_bytes: on the server. bytes: of the backup itself.
        files: path below its folder to size in bytes and SHA-256 (hex).
        system_identifier, timeline, start_lsn, end_lsn: of a base backup.
    """

    name: str
    kind: str
    began_at: dt.datetime
    ended_at: dt.datetime
    server_version: str
    server_version_num: int
    schema_version: int
    rows: dict[str, int]
    newest_video: str | None
    cluster_bytes: int
    database_bytes: int
    bytes: int
    files: dict[str, dict[str, Any]]
    system_identifier: str | None = None
    timeline: int | None = None
    start_lsn: str | None = None
    end_lsn: str | None = None

    @property
    def first_segment(self) -> tuple[int, int]:
        """Timeline and number of the first WAL segment a base backup needs."""
        assert self.timeline and self.start_lsn
        return self.timeline, wal.segment_of(self.start_lsn)

    @property
    def last_segment(self) -> tuple[int, int]:
        """Timeline and number of the segment in which a base backup ends."""
        assert self.timeline and self.end_lsn
        return self.timeline, wal.segment_of(self.end_lsn)


@dataclass(frozen=True)
class Found:
    """What a folder holds: the backups that can be read, the oldest first, and by name a sentence of each other one."""

    backups: list[Backup]
    unreadable: dict[str, str]

    def unreadable_since(self, moment: dt.datetime) -> bool:
        """Whether one that cannot be read was begun after a moment (aware), by its name."""
        return any(dt.datetime.strptime(name, _NAME_TIME) >= moment for name in self.unreadable)


def manifest(backup: Backup) -> str:
    """The text of a backup's manifest."""
    return json.dumps(asdict(backup), indent=2, default=dt.datetime.isoformat)


def look(folder: Path) -> Found:
    """The backups in a folder; none where it is not there."""
    backups, unreadable = list[Backup](), dict[str, str]()
    for one in sorted(folder.glob("[0-9]*")):
        if not _NAME.fullmatch(one.name):
            continue
        try:
            backups.append(_read(one))
        except _Unreadable as error:
            unreadable[one.name] = (
                f"the backup {one} cannot be read: its {MANIFEST} {error}. Nothing uses or removes it: bring that file"
                " back from a copy, or delete the folder"
            )
    return Found(sorted(backups, key=lambda backup: backup.ended_at), unreadable)


class _Unreadable(Exception):
    """What is wrong with a manifest, to follow its name."""


def _read(folder: Path) -> Backup:
    try:
        told = json.loads((folder / MANIFEST).read_text())
        backup = _BACKUP.validate_python({**told, "name": folder.name})
    except OSError as error:
        raise _Unreadable(f"is not to be had ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise _Unreadable(f"has no {name}" if first["type"] == "missing" else f"has a wrong {name}") from None
    except (ValueError, TypeError):
        raise _Unreadable("is empty, cut off or no JSON") from None
    if backup.kind not in (BASE, DUMP):
        raise _Unreadable("has a wrong kind")
    if backup.began_at.tzinfo is None or backup.ended_at.tzinfo is None:
        raise _Unreadable("has times without a zone")
    if "videos" not in backup.rows or not all({"bytes", "sha256"} <= file.keys() for file in backup.files.values()):
        raise _Unreadable("lacks rows or files")
    if backup.kind == BASE:
        with suppress(AssertionError, ValueError):
            if backup.system_identifier and backup.first_segment <= backup.last_segment:
                return backup
        raise _Unreadable("does not tell its place in the WAL")
    return backup


_BACKUP = TypeAdapter(Backup)


# ------------------------------------------------------------------------------------------------------ whose they are


def of_another(settings: Settings, folder: Path) -> str | None:
    """A sentence where the backups in a folder are another database's than ours; None where they are ours, or where we
    have none yet, as on a new machine."""
    owner = _owner(folder)
    if owner is None or (mine := database_of(settings)) is None or mine == owner["database"]:
        return None
    return (
        f"the backups in {folder} are of another database, that of {owner.get('home', 'another site')}: name a folder"
        f" of this site's own by `backups.folder` in the site file or PC_BACKUP_DIR. Where this database goes on from"
        f" that one (on another server, say), delete {folder / OWNER}"
    )


def take(settings: Settings, folder: Path) -> None:
    """Note that the backups in a folder are of our database."""
    if _owner(folder) is None:
        about = {"database": database_of(settings), "home": f"{settings.home} on {os.uname().nodename}"}
        write_private(folder / OWNER, json.dumps(about))


def database_of(settings: Settings) -> str | None:
    """Which database is ours, as no other is called; None where there is none yet, or it does not answer."""
    if settings.postgres_dsn:
        with suppress(PostgresUnreachable), closing(connect(settings.postgres_dsn.get_secret_value(), 0)) as connection:
            return wal.database(connection)
        return None
    with suppress(OSError), (settings.home / "services/postgres/global/pg_control").open("rb") as control:
        # Its first field, also while the server is down (ControlFileData in pg_control.h).
        return str(int.from_bytes(control.read(8), sys.byteorder))
    return None


def _owner(folder: Path) -> dict[str, Any] | None:
    with suppress(FileNotFoundError, ValueError):
        told = json.loads((folder / OWNER).read_text())
        return told if isinstance(told, dict) and "database" in told else None
    return None
