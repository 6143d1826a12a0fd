"""From a judgement to what the Dagster UI shows of an asset check."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg

from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.defs.stage import table
from pc_pipeline.errors import UserError

if TYPE_CHECKING:
    from pc_pipeline.counting.plausibility import Judgement

T = TypeVar("T")


def read(pipeline: Pipeline, query: Callable[[Any], T]) -> T:
    """What `query(connection)` gives, from one transaction on the results database."""
    from pc_pipeline.store.postgres import in_transaction

    try:
        return in_transaction(pipeline.dsn(), query)[0]
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None


def of_partition(context: dg.AssetCheckExecutionContext) -> dict[str, Any]:
    """Which partition was judged, for the check's list of results.

    A check has no partitions of its own: with thousands of them Dagster's pages take from seconds to a minute
    (docs/scale.md).
    """
    return {"partition": ", ".join(context.partition_keys)}


def says(context: dg.AssetCheckExecutionContext, sentence: str) -> str:
    """A check's sentence with what was judged before it: the UI's list of results shows nothing else at first sight."""
    return f"{', '.join(context.partition_keys).replace('|', ' ')}: {sentence}"


def result(
    context: dg.AssetCheckExecutionContext,
    judgement: "Judgement",
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN,
) -> dg.AssetCheckResult:
    """A judgement as a check's result: its sentence, its number beside its limit, and its table."""
    shown: dict[str, Any] = of_partition(context) | judgement.figures
    if judgement.rows:
        heading, *rows = judgement.rows
        shown["table"] = table([str(name) for name in heading], rows)
    return dg.AssetCheckResult(
        passed=judgement.passed, severity=severity, description=says(context, judgement.says), metadata=shown
    )
