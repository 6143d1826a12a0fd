from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import make_dsn

from pc_pipeline.store.postgres import connect


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    """A connection to a fresh database with the schema."""
    with closing(connect(dsn)) as opened:
        yield opened


@pytest.fixture
def empty_dsn(endpoints) -> Iterator[str]:
    """A fresh database without anything."""
    name = f"empty_{uuid4().hex}"
    with closing(connect(endpoints.postgres_dsn)) as opened:
        opened.autocommit = True
        opened.cursor().execute(f"CREATE DATABASE {name}")
        yield make_dsn(endpoints.postgres_dsn, dbname=name)
        opened.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
