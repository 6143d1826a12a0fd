"""From a judgement to what the Dagster UI shows of an asset check."""

from collections.abc import Callable
from typing import Any, TypeVar

import dagster as dg

from pc_pipeline.counting.plausibility import Judgement
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.defs.stage import table
from pc_pipeline.errors import UserError

T = TypeVar("T")


def read(pipeline: Pipeline, query: Callable[[Any], T]) -> T:
    """What `query(connection)` gives, from one transaction on the results database."""
    from pc_pipeline.store.postgres import in_transaction

    try:
        return in_transaction(pipeline.dsn(), query)[0]
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None


def result(judgement: Judgement, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN) -> dg.AssetCheckResult:
    """A judgement as a check's result: its sentence, its number beside its limit, and its table."""
    shown: dict[str, Any] = dict(judgement.figures)
    if judgement.rows:
        heading, *rows = judgement.rows
        shown["table"] = table([str(name) for name in heading], rows)
    return dg.AssetCheckResult(passed=judgement.passed, severity=severity, description=judgement.says, metadata=shown)
