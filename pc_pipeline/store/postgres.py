"""Connections to Postgres: one way in, whole transactions replayed when a connection is lost, errors as sentences."""

import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TypeVar
from urllib.parse import quote, urlencode

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import make_dsn, parse_dsn

from pc_pipeline.errors import ConfigError, NoSpace, PostgresUnreachable, UserError

T = TypeVar("T")

# A server that starts (or recovers after a crash) is waited for: at first only shortly, for it may not be there at all.
FIRST_WAIT_S = 5.0
RECONNECT_WAIT_S = 30.0

_KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_DISK_FULL = "53100"
NO_ROOM = "its disk is full: free space there, then run this again (what was finished is kept)"
_GONE = "it went away in the middle of the work: run this again (what was finished is kept)"
# The server is gone or going, or has chosen this transaction as a victim: the same work may succeed on the next try.
_REPLAYED = ("08", "40001", "40P01", "55P03", "57P01", "57P02", "57P03")
_BY_CODE = {
    _DISK_FULL: NO_ROOM,
    "53300": "it has no connection free: close other programs or raise its max_connections",
    "55P03": "something there holds a lock for long: see pg_stat_activity, then run this again",
    "57P01": "it was shut down",
    "57P03": "it is still starting up: try again in a moment",
    "42501": "this user lacks a privilege there: connect as the owner of the database and of its tables",
    "42P01": "a table is missing there: run `pc db migrate`",
    "25006": "it is read-only (a standby?): connect to the primary",
}
# libpq gives no error code before a connection stands, only a text.
_BY_TEXT = {
    "password authentication failed": "it refuses this user's password: check PGPASSWORD, ~/.pgpass or the DSN",
    "no password supplied": "it wants a password and got none: set PGPASSWORD, ~/.pgpass or PC_POSTGRES_DSN",
    "root certificate file": "sslrootcert in the DSN names no file with certificates: name the one that signed its own",
    "certificate verify failed": "its certificate is not signed by sslrootcert's: it is not the server you mean, or the"
    " DSN names the wrong file",
    "does not match host name": "its certificate is for another host name: write the name it has into the DSN",
    "invalid sslmode": "sslmode in the DSN is none: write verify-full, verify-ca, require or prefer",
    "no pg_hba.conf entry": "it lets this user or this machine's address not in: see its pg_hba.conf",
    "does not exist": "that database or user does not exist: create it, or name another in the DSN",
    "too many clients": _BY_CODE["53300"],
    "remaining connection slots": _BY_CODE["53300"],
    "starting up": _BY_CODE["57P03"],
    "in recovery mode": _BY_CODE["57P03"],
    "No space left on device": NO_ROOM,
    "DiskFull": NO_ROOM,
    "refused": "nothing answers there: start it (`pc up` starts the embedded one), or correct PC_POSTGRES_DSN",
    "No such file": "nothing answers there: start it (`pc up` starts the embedded one), or correct PC_POSTGRES_DSN",
    "server closed the connection": _GONE,
    "terminating connection": _GONE,
    "connection already closed": _GONE,
    "translate host name": "its host name is unknown: correct PC_POSTGRES_DSN",
    "timeout expired": "it does not answer in time: check its address and the firewall",
    "does not support SSL": "it does not support SSL: see sslmode in the DSN",
}
# What Dagster keeps of an error begins with the name of its class.
_SERVER_S = ("psycopg2.OperationalError: ", "psycopg2.InterfaceError: ", "psycopg2.errors.DiskFull: ")
# A try again cannot mend these.
_FINAL = ("password", "pg_hba.conf", "does not exist", "translate host name", "support SSL", "certificate", "sslmode")


def connect(dsn: str, wait_s: float = FIRST_WAIT_S) -> Connection:
    """Open a connection (UTC, named `pc_pipeline`); a server that is not there yet is asked again for `wait_s` seconds.

    libpq's password rules hold: PGPASSWORD, PGPASSFILE and ~/.pgpass.

    Raises:
        PostgresUnreachable: in one sentence, without the password.
    """
    where = place(dsn)
    # Added to the DSN's own options, which `options=` alone would replace.
    options = f"{parse_dsn(dsn).get('options', '')} -c TimeZone=UTC".strip()
    whole = make_dsn(dsn, application_name="pc_pipeline", connect_timeout=10, options=options, **_KEEPALIVES)
    deadline, pause = time.monotonic() + wait_s, 0.05
    while True:
        try:
            return psycopg2.connect(whole)
        except psycopg2.OperationalError as error:
            final = any(text in str(error) for text in _FINAL)
            if final or time.monotonic() + pause > deadline:
                raise PostgresUnreachable(f"Postgres at {where}: {_reason(error)}") from None
        time.sleep(pause)
        pause = min(2 * pause, 1.0)


def in_transaction(dsn: str, work: Callable[[Connection], T], attempts: int = 5) -> tuple[T, int]:
    """Run `work(connection)` in one transaction and commit it; returns its result and how often it was replayed.

    A lost connection, a restarted server or a deadlock replays the whole of `work` with exponential backoff. The answer
    to a COMMIT can be lost too, so `work` must give the same rows when it runs over its own result.

    Raises:
        PostgresUnreachable: no connection, or lost `attempts` times.
        UserError: the server says something a user can mend, such as a full disk.
    """
    for attempt in range(attempts):
        if attempt:
            time.sleep(min(0.1 * 2**attempt, 5.0))
        with _connection(dsn, RECONNECT_WAIT_S if attempt else FIRST_WAIT_S) as connection:
            try:
                result = work(connection)
                connection.commit()
                _keep(dsn, connection)
                return result, attempt
            except psycopg2.Error as error:
                last = error
                if not connection.closed and not (error.pgcode or "").startswith(_REPLAYED):
                    if error.pgcode in _BY_CODE:
                        raise user_error(error) from error
                    raise
    raise PostgresUnreachable(f"{place(dsn)}: the connection was lost {attempts} times: {_reason(last)}") from last


class _Kept(threading.local):
    """By DSN, the idle connections of the thread's `one_connection`; None outside of one."""

    connections: dict[str, Connection] | None = None


_kept = _Kept()


@contextmanager
def one_connection() -> Iterator[None]:
    """Within the block, this thread's transactions on a database follow one another over one connection.

    Each is a transaction as before: a connection lost in one, or in between, is replaced.
    """
    if _kept.connections is not None:
        yield
        return
    mine: dict[str, Connection] = {}
    _kept.connections = mine
    try:
        yield
    finally:
        _kept.connections = None
        for connection in mine.values():
            connection.close()
        mine.clear()


@contextmanager
def _connection(dsn: str, wait_s: float) -> Iterator[Connection]:
    """The connection that was kept, where it still stands, or a new one; closed at the end unless it is kept again."""
    # Taken out meanwhile: a transaction within a transaction has a connection of its own.
    kept = (_kept.connections or {}).pop(dsn, None)
    if kept and not _stands(kept):
        kept.close()
        # The server was there a moment ago: it may be recovering from a crash.
        kept, wait_s = None, max(wait_s, RECONNECT_WAIT_S)
    connection = kept or connect(dsn, wait_s)
    try:
        yield connection
    finally:
        if (_kept.connections or {}).get(dsn) is not connection:
            connection.close()


def _keep(dsn: str, connection: Connection) -> None:
    if _kept.connections is not None:
        _kept.connections.setdefault(dsn, connection)


def _stands(connection: Connection) -> bool:
    """Whether an idle connection is as it was left; the server's last word, or its going, makes it readable."""
    if connection.closed:
        return False
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return not waiting.poll(0)


def explain(error: psycopg2.Error) -> str:
    """One sentence for an error of psycopg2: what is wrong and what to do now."""
    return f"Postgres: {_reason(error)}"


def user_error(error: psycopg2.Error) -> UserError:
    """An error of psycopg2 that a user can mend."""
    return (NoSpace if error.pgcode == _DISK_FULL else UserError)(explain(error))


def told(error: BaseException) -> str | None:
    """One sentence for an error that stands on one of Postgres which a user can mend, as Dagster's storage raises them.

    None where there is no such error beneath, or it is a defect of ours.
    """
    beneath: BaseException | None = error
    while beneath is not None and not isinstance(beneath, psycopg2.Error):
        beneath = beneath.__cause__ or beneath.__context__
    if beneath is None:
        return None
    gone = isinstance(beneath, psycopg2.OperationalError | psycopg2.InterfaceError) and not beneath.pgcode
    known = gone or beneath.pgcode in _BY_CODE or (beneath.pgcode or "").startswith(_REPLAYED)
    return explain(beneath) if known else None


def in_a_sentence(words: str) -> str:
    """What is left of an error in words: as one sentence where it is a server's that is gone or full, else as it is."""
    return f"Postgres: {_by_words(words)}" if words.startswith(_SERVER_S) else words


def _reason(error: psycopg2.Error) -> str:
    if error.pgcode in _BY_CODE:
        return _BY_CODE[error.pgcode]
    return _by_words(str(error))


def _by_words(words: str) -> str:
    for text, reason in _BY_TEXT.items():
        if text in words:
            return reason
    lines = words.strip().splitlines()
    return lines[0] if lines else "the connection was lost"


def place(dsn: str) -> str:
    """`host:port/database` of a DSN, for messages: never the user's password, not even where the DSN is misread.

    Raises:
        PostgresUnreachable: the DSN cannot be read.
    """
    try:
        parts = parse_dsn(dsn)
        host, port = parts.get("host", "localhost"), parts.get("port", "5432")
        readable = "@" not in host and all(digits.isdigit() for digits in port.split(","))
    except psycopg2.Error:
        readable = False
    if not readable:
        # libpq's own message would quote the piece it stumbled over, which may be the password's.
        raise PostgresUnreachable(
            "the Postgres DSN cannot be read: write postgresql://USER@HOST:PORT/DATABASE, with %40 for @, %2F for / "
            "and %3A for : inside a password, and after a ? only what libpq knows (sslmode, sslrootcert, …)"
        ) from None
    return f"{host}:{port}/{parts.get('dbname', parts.get('user', ''))}"


def refuse_password(dsn: str) -> None:
    """Refuse a DSN given as an argument with a password in it: every user of the machine sees arguments.

    Raises:
        ConfigError: with the three ways that keep a password to oneself.
    """
    place(dsn)
    if parse_dsn(dsn).get("password"):
        raise ConfigError(
            "a password in an argument can be read by everyone on this machine: leave it out of the DSN and set "
            "PGPASSWORD, write it to ~/.pgpass, or put the whole DSN into PC_POSTGRES_DSN"
        )


def sqlalchemy_url(dsn: str, search_path: str | None = None) -> str:
    """The DSN as SQLAlchemy's URL for psycopg2 (a plain `postgresql://` means psycopg 3 since SQLAlchemy 2.1).

    Args:
        dsn: a libpq URL or keyword string.
        search_path: the schema in which unqualified names are looked up and created.
    """
    place(dsn)
    parts = parse_dsn(dsn)
    if search_path is not None:
        parts["options"] = f"{parts.get('options', '')} -c search_path={search_path}".strip()
    user, password, host, port, database = (
        parts.pop(key, None) for key in ("user", "password", "host", "port", "dbname")
    )
    login = quote(user, safe="") if user else ""
    login += f":{quote(password, safe='')}" if password else ""
    if host and "/" in host:
        parts["host"], host = host, None  # a socket's folder
    address = f"[{host}]" if host and ":" in host else host or ""
    address += f":{port}" if port else ""
    query = f"?{urlencode(parts, quote_via=quote)}" if parts else ""
    return f"postgresql+psycopg2://{login}{'@' if login else ''}{address}/{quote(database or '', safe='')}{query}"


def lock_video(connection: Connection, video_id: int) -> None:
    """Wait until no other transaction works on this video, and keep it so until this one ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (video_id,))


@contextmanager
def alone(dsn: str, name: str, say: Callable[[str], None], poll_s: float = 1.0) -> Iterator[None]:
    """Within the block, no other process of this database is in a block of that name; waits until none is.

    The lock ends with the connection, so a process that is killed lets go of it. Where the connection is lost, as when
    the server is restarted, another process may come in: what is written is guarded by the transactions' own locks.

    Args:
        say: told once, in a line, that it has to wait.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(closing(connect(dsn)))
        told = False
        # Asked for again and again: a wait within the server could not be interrupted.
        while not _is_mine(connection, name):
            if connection.closed:
                connection = stack.enter_context(closing(connect(dsn, RECONNECT_WAIT_S)))
                continue
            if not told:
                say(f"waiting: another run is at {name}")
                told = True
            time.sleep(poll_s)
        yield


def _is_mine(connection: Connection, name: str) -> bool:
    """Take the lock of that name if nobody has it; False where somebody has, or where the connection is lost."""
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(hashtextextended('pc alone ' || %s, 0))", (name,))
            return cursor.fetchone() == (True,)
    except psycopg2.Error:
        if not connection.closed:
            raise
        return False
