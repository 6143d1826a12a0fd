"""Small pictures for the metadata of a materialization: SVG, a kilobyte each, for Dagster keeps every one of them."""

import base64
import datetime as dt
import html
import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any
from urllib.parse import quote

import dagster as dg

# Blue and vermillion of Okabe and Ito, "Color Universal Design", 2008: people of any colour vision tell them apart.
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "silver"
_CALLED = {BLUE: "blue", ORANGE: "orange"}
# Pixels: the plot's area, and what stands above it.
_WIDTH, _HEIGHT, _TOP = 600, 99, 16
# Characters that a data URL in Markdown may have as they are.
_PLAIN = " '=:/;,+-.()"


def in_and_out(labels: Sequence[str], rows: Sequence[dict[str, Any]]) -> dg.MetadataValue:
    """Bars of `entered` above and `exited` below the axis, one pair a label."""
    entered, exited = ([row[name] for row in rows] for name in ("entered", "exited"))
    return bars("in and out", labels, ("in", entered), ("out", exited))


def bars(
    title: str,
    labels: Sequence[str],
    above: tuple[str, Sequence[float]],
    below: tuple[str, Sequence[float]] | None = None,
) -> dg.MetadataValue:
    """Bars of `above` over an axis, and of `below` under it; each is a name and a number a label.

    A day's hours stay under a thousand characters: Dagster then shows the plot at once, and otherwise behind a click.
    """
    series = [(above, BLUE, -1), *([(below, ORANGE, 1)] if below else [])]
    most = [max(values, default=0) for (_, values), _, _ in series]
    scale = _HEIGHT / (sum(most) or 1)
    axis = _TOP + round(most[0] * scale) if sum(most) else _TOP + _HEIGHT
    wide = _WIDTH / max(len(labels), 1)
    drawn = f"<path stroke='{GREY}' d='M0 {axis}h{_WIDTH}'/>"
    for (_, values), colour, way in series:
        sticks = "".join(
            f"M{round((n + 0.5) * wide)} {axis}v{way * max(round(value * scale), 1)}"
            for n, value in enumerate(values)
            if value
        )
        drawn += f"<path stroke='{colour}' stroke-width='{min(round(0.7 * wide), 50)}' d='{sticks}'/>"
    said = [
        f"{name} ({_CALLED[colour]}), most {top:g}" for ((name, _), colour, _), top in zip(series, most, strict=True)
    ]
    drawn += f"<text y='11'>{_escaped('; '.join(said))}</text>"
    # As many as find room; a letter is some seven pixels.
    longest = max((len(label) for label in labels), default=1)
    every = max(1, math.ceil(7 * (longest + 1) / wide), math.ceil(len(labels) / 2))
    for n in range(0, len(labels), every):
        # Under the middle of its bar.
        start = max(round((n + 0.5) * wide - 3.5 * len(labels[n])), 0)
        drawn += f"<text x='{start}' y='{_TOP + _HEIGHT + 14}'>{_escaped(labels[n])}</text>"
    return _svg(title, drawn)


def inside(hours: Sequence[dict[str, Any]], steps: Sequence[dict[str, Any]], zone: dt.tzinfo) -> dg.MetadataValue:
    """People inside over a camera's day; what has no video is grey, and a dot is a person the correction added.

    Args:
        hours: the day's rows, one an hour with video, in order: their `hour_start`.
        steps: `ts`, `people` after each crossing, and `added`, in order.
        zone: whose clock the axis shows.
    """
    hour = dt.timedelta(hours=1)
    first, last = hours[0]["hour_start"], hours[-1]["hour_start"] + hour
    wide = _WIDTH / ((last - first) / hour)
    most = max((step["people"] for step in steps), default=0)
    floor = _TOP + _HEIGHT

    def x(ts: dt.datetime) -> int:
        return round((ts - first) / hour * wide)

    def y(people: int) -> int:
        return floor - round(people * _HEIGHT / (most or 1))

    unseen = "".join(
        f"M{x(before['hour_start'] + hour)} {_TOP}H{x(after['hour_start'])}V{floor}H{x(before['hour_start'] + hour)}z"
        for before, after in zip(hours, hours[1:], strict=False)
        if before["hour_start"] + hour < after["hour_start"]
    )
    # Of what falls on the same pixel of a busy day, the most and the last.
    line = f"M0 {floor}"
    for here, moments in groupby(steps, key=lambda step: x(step["ts"])):
        people = [moment["people"] for moment in moments]
        line += f"H{here}V{y(max(people))}" + (f"V{y(people[-1])}" if people[-1] < max(people) else "")
    dots = "".join(
        f"M{cx} {cy}h0" for cx, cy in sorted({(x(s["ts"]), y(s["people"])) for s in steps if s["added"]})[:99]
    )
    begins = [first + n * hour for n in range(round((last - first) / hour))]
    every = max(1, math.ceil(len(begins) / 8))
    added = f"; {_CALLED[ORANGE]}: added by the correction" if dots else ""
    return _svg(
        "people inside",
        (f"<path fill='{GREY}' d='{unseen}'/>" if unseen else "")
        + f"<path fill='none' stroke='{BLUE}' stroke-width='2' d='{line}H{_WIDTH}'/>"
        + (f"<path stroke='{ORANGE}' stroke-width='6' stroke-linecap='round' d='{dots}'/>" if dots else "")
        + f"<text y='11'>people inside, most {most}{added}</text>"
        + "".join(
            f"<text x='{x(begin)}' y='{floor + 14}'>{begin.astimezone(zone):%H:%M}</text>" for begin in begins[::every]
        ),
    )


def picture(title: str, png: bytes) -> dg.MetadataValue:
    """A PNG file as the UI shows it."""
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})")


def _escaped(text: str) -> str:
    return html.escape(text)


def _svg(title: str, inner: str) -> dg.MetadataValue:
    drawing = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{_WIDTH}' height='{_TOP + _HEIGHT + 20}'"
        f" style='background:white;font:12px arial'>{inner}</svg>"
    )
    # Longer by less than base64 would make it. Within <> a link may have spaces.
    return dg.MetadataValue.md(f"![{title}](<data:image/svg+xml,{quote(drawing, safe=_PLAIN)}>)")
