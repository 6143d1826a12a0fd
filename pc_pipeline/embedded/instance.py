"""The Dagster instance of a `PC_HOME`: its folder, its storage in the schema `dagster` of our Postgres."""

import os
import shutil
import sys
from contextlib import closing

from pc_pipeline.embedded.process import at_once
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline.settings import CHECKOUT, Settings

SCHEMA = "dagster"
_WORKSPACE = CHECKOUT / "workspace.yaml"


def dagster_environment(settings: Settings, endpoints: Endpoints) -> dict[str, str]:
    """The environment variables that Dagster's processes need beside ours; makes what they point to.

    Raises:
        PostgresUnreachable: the schema for Dagster's tables cannot be made.
    """
    from pc_pipeline.store.postgres import connect, sqlalchemy_url

    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    with at_once(home / "dagster.yaml") as copy:
        shutil.copyfile(CHECKOUT / "dagster.yaml", copy)
    with closing(connect(endpoints.postgres_dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    return {
        "DAGSTER_HOME": str(home),
        # Absolute, whatever folder those processes stand in.
        "PC_HOME": str(settings.home),
        "PC_WATCH_DIR": str(settings.watch_dir),
        "PC_ARCHIVE_DIR": str(settings.archive_dir),
        "PC_MODELS_DIR": str(settings.models_dir),
        "PC_DAGSTER_POSTGRES_URL": sqlalchemy_url(endpoints.postgres_dsn, search_path=SCHEMA),
    }


def webserver_command(port: int) -> list[str]:
    """Dagster's webserver over the code server. On loopback only: it asks nobody for a name."""
    program = [sys.executable, "-m", "dagster_webserver"]
    return [*program, "--host", "127.0.0.1", "--port", str(port), "--workspace", str(_WORKSPACE)]


def daemon_command() -> list[str]:
    """Dagster's daemon (schedules, sensors, the run queue) over the code server."""
    return [sys.executable, "-m", "dagster._daemon", "run", "--workspace", str(_WORKSPACE)]


def make_tables() -> None:
    """Make Dagster's tables where there are none, all of them or none. Call it in the environment above.

    Dagster itself commits them one by one, and after a full disk or a kill in between it takes those that are there for
    all. So they are made in a schema beside, which takes the place of the empty one when it has them all.

    Raises:
        sqlalchemy.exc.DBAPIError: Postgres refuses or goes away.
    """
    from dagster_postgres import DagsterPostgresStorage

    from pc_pipeline.store.postgres import connect, sqlalchemy_url

    new = f"{SCHEMA}_new"
    dsn = os.environ["PC_DAGSTER_POSTGRES_URL"].replace("+psycopg2", "", 1)
    with closing(connect(dsn)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()

        def are_there() -> bool:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{SCHEMA}.runs",))
            return bool(cursor.fetchone() == (True,))

        if are_there():
            return
        # Another command may just be making them.
        cursor.execute("SELECT pg_advisory_lock(hashtextextended('pc dagster tables', 0))")
        if are_there():
            return
        cursor.execute(f"DROP SCHEMA IF EXISTS {new} CASCADE; CREATE SCHEMA {new}")
        DagsterPostgresStorage(sqlalchemy_url(dsn, search_path=new))
        cursor.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; ALTER SCHEMA {new} RENAME TO {SCHEMA}")


def prepare_instance() -> int:
    """Make Dagster's tables where there are none, and report as failed the runs that ended with an earlier Dagster.

    Otherwise runs whose process was killed count as running for ever, and later ones of their camera-day wait for them.
    Dagster tries them again. Call it in the environment above while no Dagster daemon runs. Returns their number.
    """
    from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
    from dagster._core.storage.tags import GRPC_INFO_TAG

    make_tables()
    unfinished = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    with DagsterInstance.get() as instance:
        # The tag stands on runs that a code server started, and not on those of other `pc` commands.
        lost = [run for run in instance.get_runs(RunsFilter(statuses=unfinished)) if GRPC_INFO_TAG in run.tags]
        for run in lost:
            instance.report_run_failed(run, "The process of this run ended with the Dagster that had started it.")
    return len(lost)


if __name__ == "__main__":
    prepare_instance()
