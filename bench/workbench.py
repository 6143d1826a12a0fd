"""What the benchmarks share: a scratch folder, the real services in it, and the samples and weights of this machine."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from psycopg2.extensions import make_dsn

from bench.measure import BenchError, NotHere
from pc_pipeline.embedded.services import services
from pc_pipeline.settings import Settings
from pc_pipeline.store.migrate import migrate
from pc_pipeline.store.postgres import connect

# What would lead a benchmark to somebody's servers, videos, archive or backups; models and samples are wanted.
FOREIGN = (
    "PC_WATCH_DIR",
    "PC_ARCHIVE_DIR",
    "PC_BACKUP_DIR",
    "PC_POSTGRES_DSN",
    "PC_POSTGRES_DSN_FILE",
    "PC_REDIS_URL",
    "PC_REDIS_URL_FILE",
    "DAGSTER_HOME",
    "PGPASSWORD",
)


@dataclass(frozen=True)
class Workbench:
    """One run's folder and services.

    Attributes:
        folder: scratch, removed at the end.
        postgres_dsn: the embedded PostgreSQL, as `pc` starts it; `database()` makes one to work in.
        redis_url: the embedded Redis.
    """

    folder: Path
    postgres_dsn: str
    redis_url: str

    @contextmanager
    def database(self) -> Iterator[str]:
        """The DSN of a fresh database with this version's schema, dropped at the end."""
        name = f"bench_{uuid4().hex}"
        with closing(connect(self.postgres_dsn)) as connection:
            connection.autocommit = True
            connection.cursor().execute(f"CREATE DATABASE {name}")
            dsn = make_dsn(self.postgres_dsn, dbname=name)
            try:
                migrate(dsn)
                yield dsn
            finally:
                connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")

    def sample(self, name: str) -> Path:
        """A real video of `PC_SAMPLES_DIR`, such as `pets2009-s2l1/video.avi`.

        Raises:
            NotHere: it is not on this machine.
        """
        given = Settings().samples_dir
        for folder in (given, given / "videos") if given else ():
            if (folder / name).is_file():
                return folder / name
        raise NotHere(f"PC_SAMPLES_DIR names no folder with {name}")

    def weights(self, name: str) -> Path:
        """A folder of weights in `PC_MODELS_DIR`.

        Raises:
            NotHere: it is not on this machine.
        """
        given = os.environ.get("PC_MODELS_DIR")
        if given and (Path(given) / name).exists():
            return Path(given) / name
        raise NotHere(f"PC_MODELS_DIR names no folder with {name}")


@contextmanager
def workbench() -> Iterator[Workbench]:
    """The services in a folder of their own, whatever else runs on this machine."""
    for name in FOREIGN:
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="pc_bench_", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        os.environ["PC_HOME"] = str(folder / "home")
        os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
        with services(Settings()) as found:
            if found.redis_url is None:
                raise BenchError("the embedded Redis did not start")
            yield Workbench(folder, found.postgres_dsn, found.redis_url)
