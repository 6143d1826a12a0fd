"""Postgres and Redis for whoever needs them: servers of the user's own, or the embedded ones of `PC_HOME`."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pc_pipeline.embedded.process import Background
from pc_pipeline.errors import ServiceError
from pc_pipeline.settings import Settings

# A server that was killed with much unwritten may take minutes to recover.
START_PATIENCE_S = 600.0


@dataclass(frozen=True)
class Endpoints:
    """Where Postgres and Redis answer; `redis_url` is None where there is no Redis."""

    postgres_dsn: str = field(repr=False)
    redis_url: str | None = field(repr=False)


@contextmanager
def services(settings: Settings) -> Iterator[Endpoints]:
    """Postgres and Redis for as long as the block runs, with the schema of this version.

    `PC_POSTGRES_DSN` and `PC_REDIS_URL` name servers to use; for what they do not name, the embedded server of
    `PC_HOME` is started, or shared where it runs already, and stopped when its last user has ended. Its schema is
    migrated.

    Raises:
        ServiceError: an embedded server does not start.
    """
    if not embedded(settings):
        yield _endpoints(settings, {})
        return
    with lease(settings.home):
        found = _endpoints(settings, ensure_running(settings))
        if settings.postgres_dsn is None:
            from pc_pipeline.store.migrate import migrate

            migrate(found.postgres_dsn)
        yield found


def endpoints(settings: Settings) -> Endpoints | None:
    """Where Postgres and Redis answer now; None where Postgres is the embedded one and it is not running."""
    running = Background(settings.home, "keeper").state() or {}
    if settings.postgres_dsn is None and "postgres" not in running:
        return None
    return _endpoints(settings, running)


def embedded(settings: Settings) -> list[str]:
    """Which servers are the embedded ones: `postgres`, `redis`, both or neither."""
    given = {"postgres": settings.postgres_dsn, "redis": settings.redis_url}
    return [name for name, url in given.items() if url is None]


@contextmanager
def lease(home: Path) -> Iterator[None]:
    """Keep the embedded servers running for as long as the block runs, however it ends.

    Raises:
        ServiceError: `home` cannot be written.
    """
    try:
        (home / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (home / "run" / "lease").open("a")
    except OSError as error:
        raise ServiceError(
            f"PC_HOME is {home}, which cannot be written: {error.strerror}. Set PC_HOME to a folder of yours."
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def ensure_running(settings: Settings) -> dict[str, Any]:
    """Start the keeper where none runs, wait until its servers are ready, and return what it tells about them.

    The caller holds the lease.

    Raises:
        ServiceError: a server does not start, or the keeper that runs was started without one that is needed.
    """
    keeper = Background(settings.home, "keeper")
    state = keeper.ensure("pc_pipeline.embedded.keeper", [str(settings.home), *embedded(settings)], START_PATIENCE_S)
    missing = set(embedded(settings)) - state.keys()
    if missing:
        raise ServiceError(
            f"{settings.home} runs without its own {' and '.join(sorted(missing))}, since it was started with "
            "PC_POSTGRES_DSN or PC_REDIS_URL set: set them again, or run `pc down` first."
        )
    return state


def _endpoints(settings: Settings, running: dict[str, Any]) -> Endpoints:
    postgres = settings.postgres_dsn.get_secret_value() if settings.postgres_dsn else running["postgres"]["url"]
    redis = settings.redis_url.get_secret_value() if settings.redis_url else running.get("redis", {}).get("url")
    return Endpoints(postgres, redis)
