"""The embedded PostgreSQL: its data folder, how it is started, when it is ready."""

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pc_pipeline.embedded.process import Account, Child, run_as
from pc_pipeline.errors import ServiceError

USER = "pc"
DATABASE = "pc_pipeline"
# The server always stands in its data folder and calls it by this name, which the kernel resolves without walking the
# path: the folders above may be closed to the unprivileged user it runs as.
HERE = "/proc/self/cwd"
# Beside the data folder: a restored one that was seen to answer, ready to take its place.
RESTORED = "postgres.restored"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "cluster_name": "pc_pipeline",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    # WAL waits so long for the receiver of `embedded/archive.py`; more would fill the disk while backups' is away.
    "max_slot_wal_keep_size": "10GB",
    # The embedded build has no pg_stat_statements: slow statements stand in the log.
    "log_min_duration_statement": "500ms",
    "log_line_prefix": "%m [%p] %a ",
}


@dataclass(frozen=True)
class Postgres:
    """PostgreSQL over the data folder `data`, logging to `log`; `inherit` are open files its processes keep."""

    programs: Path
    data: Path
    log: Path
    password: str
    account: Account | None
    inherit: tuple[int, ...]
    name: str = "PostgreSQL"
    # Takes a checkpoint, and drops nobody's committed rows.
    stop_patience_s: float = 60.0

    def url(self, port: int) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{port}/{DATABASE}"

    def prepare(self) -> None:
        """Make the data folder where there is none, whole or not at all.

        Raises:
            ServiceError: `initdb` failed; the sentence has its reason.
        """
        # We hold the lock that every process of an earlier server held: a pid file tells of none that runs, only,
        # after a crash or a container's restart, of a number that another process may have by now.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        restored = self.data.with_name(RESTORED)
        if restored.exists() and not self.data.exists():
            restored.rename(self.data)  # `pc db restore` was killed between its last two steps
        if (self.data / "PG_VERSION").exists():
            return
        new = self.data.with_name("postgres.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        if self.account:
            os.chown(new, self.account.uid, self.account.gid)
        # The password goes through a file in memory that the unprivileged user may open; no argument shows it.
        password_file = os.memfd_create("password")
        try:
            os.write(password_file, self.password.encode())
            if self.account:
                os.fchown(password_file, self.account.uid, self.account.gid)
            # The built-in C.UTF-8 sorts the same on every machine.
            options = f"-U {USER} --auth=scram-sha-256 --pwfile=/proc/self/fd/{password_file} --encoding=UTF8"
            locale = "--locale=C --locale-provider=builtin --builtin-locale=C.UTF-8 --no-instructions"
            # Many iterations slow down guessing, and every connection: nobody guesses a random password of 192 bits.
            login = "-c scram_iterations=1"
            arguments = f"{options} {locale} {login}".split()
            self._run(new, "initdb", "-D", HERE, *arguments, inherit=(password_file,))
        finally:
            os.close(password_file)
        self._run(new, "postgres", "--single", "-D", HERE, "postgres", stdin=f"CREATE DATABASE {DATABASE}\n")
        new.rename(self.data)

    def _run(self, folder: Path, program: str, *arguments: str, inherit: tuple[int, ...] = (), stdin: str = "") -> None:
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            cwd=folder,
            pass_fds=(*self.inherit, *inherit),
            input=stdin,
            capture_output=True,
            text=True,
            **run_as(self.account),
        )
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            raise ServiceError(f"PostgreSQL's {program} failed in {folder}: {lines[-1]}")

    def set_password(self) -> None:
        """Give a data folder from elsewhere, whose server is stopped, the password of this one.

        Raises:
            ServiceError: it was refused; the sentence has the reason.
        """
        statement = f"ALTER ROLE {USER} PASSWORD '{self.password}'\n"
        self._run(self.data, "postgres", "--single", "-D", HERE, "postgres", stdin=statement)

    def launch(self, port: int, **more: str) -> Child:
        """Start the server on a port; `more` are settings of PostgreSQL beside the usual ones."""
        options = [f"-c{key}={value}" for key, value in {**SETTINGS, "port": str(port), **more}.items()]
        return Child(
            [str(self.programs / "postgres"), "-D", HERE, *options],
            log=self.log,
            stop_signal=signal.SIGINT,  # "fast": end the sessions, take a checkpoint
            cwd=self.data,
            account=self.account,
            inherit=self.inherit,
        )

    def is_ready(self, port: int) -> bool:
        """Whether the server's own pid file says that it takes connections."""
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
        except (FileNotFoundError, IndexError):
            return False
