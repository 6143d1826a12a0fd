"""SQL over the archive: DuckDB with a view for each table, which reads the archive's files and nothing else."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pc_pipeline.errors import ConfigError, UserError
from pc_pipeline.store.archive import File
from pc_pipeline.store.archive_files import require

_AT_ONCE = 10_000


@dataclass(frozen=True)
class Answer:
    """A query's columns, and its rows a few thousand at a time."""

    columns: list[str]
    pieces: Iterator[Sequence[tuple[Any, ...]]]


@contextmanager
def query(folder: Path, files: Iterable[File], statement: str) -> Iterator[Answer]:
    """Answer one SELECT over the archive's files (`kept` ones), within the block.

    Raises:
        UserError: a file is missing, or DuckDB says what is wrong with the statement.
        ConfigError: it is no statement that reads, or more than one.
    """
    import duckdb

    paths: dict[str, list[str]] = defaultdict(list)
    for file in files:
        require(folder / file.path)
        paths[file.table].append(str(folder / file.path))
    with closing(duckdb.connect(":memory:")) as connection:
        try:
            for table, of_table in paths.items():
                connection.execute(
                    f'CREATE VIEW "{table}" AS SELECT * FROM read_parquet({_list(of_table)},'
                    " hive_partitioning = false, union_by_name = true)"
                )
            every = [path for of_table in paths.values() for path in of_table]
            connection.execute("SET TimeZone = 'UTC'; SET temp_directory = ''")
            connection.execute(f"SET allowed_paths = {_list(every)}")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            statements = connection.extract_statements(statement)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise ConfigError(
                    "pc archive query takes one statement that reads, such as SELECT count(*) FROM detections"
                )
            cursor = connection.execute(statements[0])
            columns = [name for name, *_ in cursor.description or ()]
            yield Answer(columns, iter(lambda: cursor.fetchmany(_AT_ONCE), []))
        except duckdb.Error as error:
            raise UserError(_sentence(str(error), sorted(paths))) from None


def _list(paths: Iterable[str]) -> str:
    return "[" + ", ".join("'" + path.replace("'", "''") + "'" for path in paths) + "]"


def _sentence(said: str, tables: list[str]) -> str:
    """DuckDB's message in one line, without its drawing of where; a table that is not there with those that are."""
    lines = [line.strip() for line in said.split("\n\nLINE")[0].splitlines() if line.strip()]
    there = f" The archive has {', '.join(tables) or 'no tables yet'}." if "does not exist" in said else ""
    return f"{' '.join(lines).rstrip('.')}.{there}"


def newest(files: Iterable[File]) -> dict[str, dt.date]:
    """The last month the archive has of each table: what is newer is in Postgres."""
    months: dict[str, dt.date] = {}
    for file in files:
        months[file.table] = max(file.month, months.get(file.table, file.month))
    return months
