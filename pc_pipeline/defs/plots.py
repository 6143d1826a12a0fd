"""Small pictures for the metadata of a materialization."""

import base64
import datetime as dt
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
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return picture("in and out", file.getvalue())


def inside(hours: Sequence[dict[str, Any]], steps: Sequence[dict[str, Any]], zone: dt.tzinfo) -> dg.MetadataValue:
    """People inside over a camera's day; what has no video is grey, and a dot is a person the correction added.

    Args:
        hours: the day's rows, one an hour with video, in order: their `hour_start`.
        steps: `ts`, `people` after each crossing, and `added`, in order.
        zone: whose clock the axis shows.
    """
    from matplotlib.dates import DateFormatter
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    hour = dt.timedelta(hours=1)
    first, last = hours[0]["hour_start"], hours[-1]["hour_start"] + hour
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.add_subplot()
    for before, after in zip(hours, hours[1:], strict=False):
        axes.axvspan(before["hour_start"] + hour, after["hour_start"], color="#dddddd", linewidth=0)
    times = [first, *(step["ts"] for step in steps), last]
    people = [0, *(step["people"] for step in steps)]
    axes.step(times, [*people, people[-1]], where="post", color="#2a5d7f")
    added = [step for step in steps if step["added"]]
    axes.plot(
        [step["ts"] for step in added],
        [step["people"] for step in added],
        "o",
        color="#c8553d",
        markersize=4,
        clip_on=False,
    )
    axes.set_ylim(bottom=0)
    axes.set_ylabel("people inside")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M", tz=zone))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return picture("people inside", file.getvalue())


def picture(title: str, png: bytes) -> dg.MetadataValue:
    """A PNG file as the UI shows it."""
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})")
