from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg2.extensions import make_dsn

from pc_pipeline.store.postgres import connect
from pc_pipeline_tests.stages.inbox import Inbox
from pc_pipeline_tests.stages.world import World, new_world


@pytest.fixture
def worlds(endpoints, _template, tmp_path: Path) -> Iterator[Callable[[], World]]:
    """Makes worlds, each with a fresh database and folder."""
    names: list[str] = []
    with closing(connect(endpoints.postgres_dsn)) as connection:
        connection.autocommit = True

        def make() -> World:
            names.append(f"world_{uuid4().hex}")
            connection.cursor().execute(f"CREATE DATABASE {names[-1]} TEMPLATE {_template} STRATEGY FILE_COPY")
            return new_world(make_dsn(endpoints.postgres_dsn, dbname=names[-1]), tmp_path / names[-1])

        yield make
        for name in names:
            connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    return worlds()


@pytest.fixture(scope="session")
def _inbox(endpoints, _template, tmp_path_factory) -> Iterator[Inbox]:
    # Another folder's tests may have one of their own.
    name = f"inbox_{uuid4().hex}"
    with closing(connect(endpoints.postgres_dsn)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name} TEMPLATE {_template} STRATEGY FILE_COPY")
        yield Inbox(new_world(make_dsn(endpoints.postgres_dsn, dbname=name), tmp_path_factory.mktemp("inbox")))
        connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def inbox(_inbox: Inbox) -> Inbox:
    """A watched folder and its database, both emptied."""
    _inbox.empty()
    return _inbox
