"""Small pictures for the metadata of a materialization."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import dagster as dg


def in_and_out(labels: Sequence[str], rows: Sequence[dict[str, Any]]) -> dg.MetadataValue:
    """Bars of `entered` above and `exited` below the axis, one pair a label."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(max(4.0, 0.5 * len(labels) + 2), 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(labels, [row["entered"] for row in rows], color="#2a7f62", label="in")
    axes.bar(labels, [-row["exited"] for row in rows], color="#c8553d", label="out")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    axes.tick_params(axis="x", rotation=60 if len(labels) > 6 else 0)
    axes.legend(loc="upper right", fontsize="small")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return dg.MetadataValue.md(f"![in and out](data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()})")
