"""Real services for every test: PostgreSQL and Redis as `pc` starts them, and a fresh database a test."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings as hypothesis_settings
from psycopg2.extensions import make_dsn

from pc_pipeline.embedded.services import Endpoints, services
from pc_pipeline.settings import Settings
from pc_pipeline.store.postgres import connect

# A first import of scipy on a busy machine passes hypothesis's 200 ms.
hypothesis_settings.register_profile("pc_pipeline", deadline=None)
hypothesis_settings.load_profile("pc_pipeline")

# Partitions are made of the site's time zone when `definitions` is imported: one zone for all tests, with summer time.
SITE = """\
timezone: Europe/London
detector: {model: hog, confidence: 0.3, sample_every: 0.1}
cameras:
  door:
    lines: {sill: {from: [0.5, 0.0], to: [0.5, 1.0], in: right}}
    zones: {hall: [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]}
"""
_FOREIGN = (
    *("PC_POSTGRES_DSN", "PC_REDIS_URL", "PC_POSTGRES_DSN_FILE", "PC_REDIS_URL_FILE"),
    *("PC_WATCH_DIR", "PC_BACKUP_DIR", "DAGSTER_HOME"),
)


def pytest_configure(config: pytest.Config) -> None:
    """A PC_HOME of our own, before anything reads the environment."""
    for name in _FOREIGN:
        os.environ.pop(name, None)
    home = Path(tempfile.mkdtemp(prefix="pc_tests_"))
    (home / "site.yaml").write_text(SITE)
    os.environ["PC_HOME"] = str(home)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"


@pytest.fixture(scope="session")
def endpoints() -> Iterator[Endpoints]:
    """The embedded PostgreSQL and Redis of the test session."""
    with services(Settings()) as found:
        with closing(connect(found.postgres_dsn)) as connection:
            connection.autocommit = True
            # The tests kill processes, never the power: what the kernel holds survives, and a test takes half the time.
            connection.cursor().execute("ALTER SYSTEM SET fsync = off")
            connection.cursor().execute("SELECT pg_reload_conf()")
        yield found


@pytest.fixture(scope="session")
def _template(endpoints: Endpoints) -> str:
    """A database with the schema and Dagster's tables, which every test's database is a copy of."""
    from pc_pipeline.embedded.instance import dagster_environment, prepare_instance
    from pc_pipeline.store.migrate import migrate

    with closing(connect(endpoints.postgres_dsn)) as connection:
        connection.autocommit = True
        connection.cursor().execute("CREATE DATABASE pc_template")
    dsn = make_dsn(endpoints.postgres_dsn, dbname="pc_template")
    migrate(dsn)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in dagster_environment(Settings(), Endpoints(dsn, None)).items():
            patch.setenv(name, value)
        prepare_instance()
    return "pc_template"


@pytest.fixture
def dsn(endpoints: Endpoints, _template: str) -> Iterator[str]:
    """A fresh database with the schema."""
    name = f"test_{uuid4().hex}"
    with closing(connect(endpoints.postgres_dsn)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name} TEMPLATE {_template} STRATEGY FILE_COPY")
        yield make_dsn(endpoints.postgres_dsn, dbname=name)
        connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def redis_url(endpoints: Endpoints) -> str:
    """The session's Redis, emptied."""
    import redis

    assert endpoints.redis_url
    with redis.Redis.from_url(endpoints.redis_url) as client:
        client.flushdb()
    return endpoints.redis_url


@pytest.fixture(scope="session")
def samples_dir() -> Path:
    """The folder of real videos with ground truth, `pets2009-s2l1/` among them; a machine without them skips."""
    given = Settings().samples_dir
    for folder in (given, given / "videos") if given else ():
        if (folder / "pets2009-s2l1").is_dir():
            return folder
    pytest.skip("PC_SAMPLES_DIR names no folder of sample videos (README, Contributing)")


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Real model weights; a machine without them skips."""
    given = os.environ.get("PC_MODELS_DIR")
    if not given or not Path(given).is_dir():
        pytest.skip("PC_MODELS_DIR names no folder of model weights (README, Contributing)")
    return Path(given)
