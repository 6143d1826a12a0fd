"""Child processes that end with their parent, and background processes of which a `PC_HOME` has at most one."""

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TextIO

from pc_pipeline.errors import ServiceError

LOG_LIMIT_BYTES = 10_000_000
# Postgres wants a piece of WAL of 16 MiB to start and to go on, and gives it back when it could not be filled.
_LEAST_FREE_BYTES = 2 * 16 * 2**20
PR_SET_PDEATHSIG = 1
_FLOCK = "hhqqi0q"  # struct flock of Linux on 64-bit machines: type, whence, start, length, pid
_libc = ctypes.CDLL(None)


@dataclass(frozen=True)
class Account:
    """The unprivileged user that servers run as when we are root."""

    uid: int
    gid: int


def run_as(account: Account | None) -> dict[str, Any]:
    """The arguments of `subprocess` that make a process run as `account` (None: as ourselves)."""
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}


class Child:
    """A running child process. It gets `stop_signal` when we stop it, and from the kernel when we die, however we do.

    Start children from the main thread: the kernel's signal comes when the thread that started them ends.
    """

    def __init__(
        self,
        argv: Sequence[str],
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        account: Account | None = None,
        inherit: Sequence[int] = (),
        stdin: bytes = b"",
        own_session: bool = False,
    ) -> None:
        self._stop_signal = stop_signal
        self._own_session = own_session
        self.started_at = time.time()
        parent = os.getpid()

        def end_with_parent() -> None:
            _libc.prctl(PR_SET_PDEATHSIG, stop_signal)
            if os.getppid() != parent:  # it died before the line above
                os._exit(1)

        with open_log(log) as output:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=cwd,
                env=env,
                pass_fds=tuple(inherit),
                start_new_session=own_session,
                preexec_fn=end_with_parent,
                **run_as(account),
            )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(stdin)

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def stop(self, patience_s: float) -> None:
        """Send the stop signal, wait, and kill what is left after `patience_s`, with its own session if it has one."""
        if self.is_running():
            self._process.send_signal(self._stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
        if self._own_session:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        elif self.is_running():
            self._process.kill()
        self._process.wait()


def open_log(path: Path) -> BinaryIO:
    """Open a log file to append to; one of more than 10 MB is first set aside as `<name>.1`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")


def disk_full(home: Path) -> str | None:
    """That the disk of `home` is full, where it is: what a server's last words do not tell, and what it may have had no
    room to write down."""
    if not home.exists() or shutil.disk_usage(home).free > _LEAST_FREE_BYTES:
        return None
    return f"the disk of {home} is full: free space there, then run this again (what was finished is kept)."


def write_private(path: Path, text: str) -> None:
    """Write a file that only we can read, at once: a reader sees the old content or the new."""
    with at_once(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(text)


@contextlib.contextmanager
def at_once(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; at the end of the block what stands there takes the place of `path`."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    yield temporary
    temporary.replace(path)


@dataclass(frozen=True)
class Background:
    """A process that outlives the command that starts it; a `PC_HOME` has at most one of each name.

    It lives while it holds the lock on `run/<name>.lock`, tells about itself in `run/<name>.json`, and leaves a
    sentence in `run/<name>.failed` when it cannot do its work.
    """

    home: Path
    name: str

    def _file(self, suffix: str) -> Path:
        return self.home / "run" / f"{self.name}.{suffix}"

    @property
    def log(self) -> Path:
        return self.home / "logs" / f"{self.name}.log"

    def pid(self) -> int | None:
        """The process id of the one that runs, None where none does."""
        with contextlib.suppress(FileNotFoundError), self._file("lock").open("r+") as file:
            answer = fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
            kind, _, _, _, pid = struct.unpack(_FLOCK, answer)
            return None if kind == fcntl.F_UNLCK else pid
        return None

    def state(self) -> dict[str, Any] | None:
        """What the running process tells about itself, None where none runs or it is not ready yet."""
        with contextlib.suppress(FileNotFoundError):
            text = self._file("json").read_text()
            return json.loads(text) if self.pid() is not None else None
        return None

    def failure(self) -> str | None:
        """Why the process last spawned could not do its work."""
        with contextlib.suppress(FileNotFoundError):
            return self._file("failed").read_text()
        return None

    def spawn(self, module: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start `python -m module arguments…` apart from this process and its terminal."""
        self._file("failed").unlink(missing_ok=True)
        with open_log(self.log) as output:
            return subprocess.Popen(
                # -P: no file of the folder we happen to be in is mistaken for a module.
                [sys.executable, "-P", "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def ensure(self, module: str, arguments: Sequence[str], patience_s: float) -> dict[str, Any]:
        """Start the process where none runs, wait until it is ready, and return what it tells about itself.

        Raises:
            ServiceError: it failed, or is not ready after `patience_s`.
        """
        spawned: subprocess.Popen[bytes] | None = None
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            state = self.state()
            if state is not None:
                return state
            if self.pid() is None and (spawned is None or spawned.poll() is not None):
                if spawned is not None and spawned.returncode != 0:
                    raise ServiceError(
                        disk_full(self.home)
                        or self.failure()
                        or f"{self.name} failed: {last_line(self.log)} (see {self.log})."
                    )
                # None was started yet, or another's was there, at its end.
                spawned = self.spawn(module, arguments)
            time.sleep(0.02)
        raise ServiceError(f"{self.name} is not ready after {patience_s:.0f} s: see the logs in {self.log.parent}.")

    def stop(self, patience_s: float) -> bool:
        """Ask the running process to stop and wait for it: False where it still runs after `patience_s`."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        return wait_until(lambda: self.pid() is None, patience_s)

    # The three below are for the process itself, which must not ask `pid` or `state` about itself: closing the lock's
    # file anywhere in the process lets go of the lock.

    def hold(self) -> TextIO | None:
        """Become the one that runs: an open file to keep for life, None where another runs."""
        file = self._file("lock").open("a")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return None
        self._file("json").unlink(missing_ok=True)
        return file

    def publish(self, state: Mapping[str, Any] | None) -> None:
        """Tell that we are ready (None: no longer)."""
        if state is None:
            self._file("json").unlink(missing_ok=True)
        else:
            write_private(self._file("json"), json.dumps(state))

    def fail(self, sentence: str) -> NoReturn:
        """End, and leave the reason to those who wait for us."""
        write_private(self._file("failed"), sentence)
        sys.exit(1)


def wait_until(condition: Callable[[], bool], patience_s: float, step_s: float = 0.02) -> bool:
    """Wait until `condition()` is true: False when it is not after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(step_s)
    return True


class StopRequest:
    """True once this process was asked to stop by SIGTERM, SIGINT or SIGHUP."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        self._asked = True

    def __bool__(self) -> bool:
        return self._asked
