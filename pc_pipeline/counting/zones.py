"""Stays in a zone, from the first settled sighting inside to the first settled one outside.

  +-----------------------+
  |  . . . . . . . . . .  |       Within the band of the outline nobody changes sides: a person who stands on
  |  .  inside           .|       it is where they were. A stay runs from where the outline was crossed on the
--+--o------o------o-----o+--o    way in to where it was crossed on the way out.
  |  . . . . . . . . . .  |
  +-----------------------+       An outline along the picture's own edge is no border: feet that the edge
                                  cuts off are inside.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.counting.geometry import EDGE, Floats, distance_to_segment, in_polygon, meeting_parts


@dataclass(frozen=True)
class Visit:
    """One stay in a zone.

    Attributes:
        entered_us, exited_us: on the clock of the sightings, interpolated to where the outline was crossed; the first
            or last sighting where nobody saw the person come from outside or go there.
        entered_sighting: index of the first sighting at or after the entry.
        entered_seen, exited_seen: whether it was seen; where not, the stay may have been longer.
    """

    entered_us: int
    exited_us: int
    entered_sighting: int
    entered_seen: bool
    exited_seen: bool


def zone_visits(
    time_us: NDArray[np.int64],
    points: Floats,
    heights: Floats,
    polygon: Floats,
    frame_size: tuple[int, int],
    band: float,
) -> list[Visit]:
    """The stays of one visit in a zone, in time order.

    Args:
        time_us: int64[S], increasing.
        points: float64[S, 2], pixels: the anchor of the person.
        heights: float64[S], pixels: the person's.
        polygon: float64[K, 2], in 0..1, in order around the zone.
        frame_size: (width, height) in pixels.
        band: body heights: within this of the outline a sighting is neither in nor out.

    Example:
        >>> table = np.array([[0.4, 0.0], [0.6, 0.0], [0.6, 1.0], [0.4, 1.0]])
        >>> x = np.array([30.0, 50.0, 50.0, 70.0])
        >>> points = np.column_stack([x, np.full(4, 50.0)])
        >>> zone_visits(np.arange(4) * 1_000_000, points, np.full(4, 20.0), table, (100, 100), 0.05)
        [Visit(entered_us=500000, exited_us=2500000, entered_sighting=1, entered_seen=True, exited_seen=True)]
    """
    size = np.asarray(frame_size, dtype=np.float64)
    drawn = np.where(polygon < EDGE, 0.0, np.where(polygon > 1 - EDGE, 1.0, polygon))
    corners = drawn * size
    seen = np.clip(points, 1e-6 * size, (1 - 1e-6) * size)
    inside = in_polygon(seen, corners)
    if not inside.any():
        return []
    settled = np.flatnonzero(_clearance(seen, drawn, corners) > band * heights)
    was_in = inside[settled]
    flips = np.flatnonzero(inside[1:] != inside[:-1])

    def crossed(low: int, high: int, inwards: bool) -> tuple[int, int]:
        """Time of the last way in (or the first way out) between two sightings, and the sighting after it."""
        steps = flips[(flips >= low) & (flips < high) & (inside[flips + 1] == inwards)]
        step = int(steps[-1 if inwards else 0])
        parts = meeting_parts(seen[step], seen[step + 1], corners)
        # Where rounding finds no meeting at a corner, the sighting inside stands for it.
        part = (max(parts) if inwards else min(parts)) if len(parts) else float(inwards)
        return int(time_us[step]) + round(part * int(time_us[step + 1] - time_us[step])), step + 1

    # 1 where a run of settled sightings inside begins, -1 one past its end.
    edges = np.diff(np.concatenate([[0], was_in.astype(np.int8), [0]]))
    found = []
    for begin, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        # Seen only where somebody settled outside came or went: the last sightings within the band tell of no leaving.
        entered_seen, exited_seen = bool(begin > 0), bool(end < len(settled))
        entered_us, sighting = int(time_us[0]), 0
        if entered_seen:
            entered_us, sighting = crossed(int(settled[begin - 1]), int(settled[begin]), True)
        exited_us = crossed(int(settled[end - 1]), int(settled[end]), False)[0] if exited_seen else int(time_us[-1])
        found.append(Visit(entered_us, exited_us, sighting, entered_seen, exited_seen))
    return found


def _clearance(points: Floats, drawn: Floats, corners: Floats) -> Floats:
    """float64[S]: pixels from the nearest part of the outline that is not the picture's own edge."""
    nearest = np.full(len(points), np.inf)
    for i in range(len(corners)):
        ends = drawn[[i - 1, i]]
        along_the_picture = ((ends[0] == ends[1]) & ((ends[0] == 0) | (ends[0] == 1))).any()
        if not along_the_picture:
            nearest = np.minimum(nearest, distance_to_segment(points, corners[i - 1], corners[i]))
    return nearest
