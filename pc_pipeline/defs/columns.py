"""What an asset's rows look like, for its page in the UI: the columns as the migrations describe them."""

from functools import cache
from typing import Any

import dagster as dg


@cache
def _tables() -> dict[str, Any]:
    from pc_pipeline.store.catalog import written_down

    return dict(written_down())


def of_table(name: str) -> dict[str, Any]:
    """An asset's metadata: the table its rows are in, and that table's columns."""
    columns = [
        dg.TableColumn(column, kind, says, constraints=dg.TableColumnConstraints(nullable=null))
        for column, kind, null, says in _tables()[name]["columns"]
    ]
    return {"dagster/table_name": name, "dagster/column_schema": dg.TableSchema(columns)}


def of_file(columns: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """An asset's metadata: the columns of its files, each with type and meaning."""
    return {"dagster/column_schema": dg.TableSchema([dg.TableColumn(n, t, says) for n, (t, says) in columns.items()])}
