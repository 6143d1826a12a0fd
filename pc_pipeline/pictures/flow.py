"""Where people went: in each cell of the picture the mean way, how fast, and how many.

   both ways through a corridor        One mean of all would cancel people who walk towards one another. So ways are
        ->  ->  ->                     gathered in eight directions; a cell shows the way of most (with the two
        <-  <-  <-                     directions beside it), and a second one where enough went otherwise.

A person's pace is their way over the second around a moment, in body heights a second (a brisk walk is about 0.9), so
near and far count alike. Everybody counts once in a cell, however long it takes them; who stands still has no way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.counting.geometry import Floats
from pc_pipeline.pictures.heat_map import lasting
from pc_pipeline.pictures.palette import FAINT, INK, PEOPLE, Colour
from pc_pipeline.pictures.plan import FOOT, LETTERS, Plan
from pc_pipeline.pictures.text import Picture, label
from pc_pipeline.vision.arrays import Track

# Pixels of the plan.
CELL = 23
DIRECTIONS = 8
# Around a moment, in all.
WINDOW_US = 1_000_000
# Body heights a second: slower is standing.
STANDING = 0.15
# Of the people of the first way in a cell: fewer make no second way.
SECOND = 0.25
# Blue, orange, vermillion and green of the people's palette, for right, down, left and up; between them, mixed.
_WHEEL = np.array([PEOPLE[6], PEOPLE[0], PEOPLE[4], PEOPLE[2]], np.float64)


@dataclass(frozen=True)
class Flow:
    """People on their ways, in each cell and of eight directions (0: right, then clockwise as seen).

    Attributes:
        people: float64[rows, columns, 8].
        pace: float64[rows, columns, 8, 2], the sum of their x and y, body heights a second.
    """

    people: Floats
    pace: Floats

    def __add__(self, other: "Flow") -> "Flow":
        return Flow(self.people + other.people, self.pace + other.pace)


def flow(tracks: Sequence[Track], frame_size: tuple[int, int], cells: tuple[int, int]) -> Flow:
    """The ways of these people. Sums over videos of one camera.

    Args:
        frame_size: width and height, pixels, of the tracks' video.
        cells: rows and columns of the grid over the picture.
    """
    rows, columns = cells
    places = rows * columns * DIRECTIONS
    people, pace = np.zeros(places), np.zeros((places, 2))
    for track in tracks:
        speed = paces(track)
        weight = lasting(track.time_us)
        moving = (np.hypot(*speed.T) >= STANDING) & (weight > 0)
        if not moving.any():
            continue
        feet = (track.foot * np.array([columns, rows]) / np.array(frame_size))[moving]
        column, row = np.clip(feet.astype(np.int64), 0, np.array([columns, rows]) - 1).T
        speed, weight = speed[moving], weight[moving]
        cell = row * columns + column
        # Everybody counts as one in a cell, in parts where they turn in it.
        of_cell = np.bincount(cell, weight, rows * columns)
        part = weight / of_cell[cell]
        direction = np.rint(np.arctan2(speed[:, 1], speed[:, 0]) / (2 * np.pi / DIRECTIONS)).astype(np.int64)
        place = cell * DIRECTIONS + direction % DIRECTIONS
        people += np.bincount(place, part, places)
        for axis in (0, 1):
            pace[:, axis] += np.bincount(place, part * speed[:, axis], places)
    return Flow(people.reshape(*cells, DIRECTIONS), pace.reshape(*cells, DIRECTIONS, 2))


def paces(track: Track) -> Floats:
    """float64[S, 2]: x and y of the pace at each sighting, body heights a second, over the second around it."""
    times, feet = track.time_us.astype(np.float64), track.foot
    early = np.maximum(times - WINDOW_US / 2, times[0])
    late = np.minimum(times + WINDOW_US / 2, times[-1])
    way = np.column_stack([np.interp(late, times, axis) - np.interp(early, times, axis) for axis in feet.T])
    return way / np.maximum(track.height, 1.0)[:, None] / np.maximum((late - early) / 1e6, 1e-6)[:, None]


def ways(moved: Flow) -> list[tuple[int, int, float, Floats]]:
    """Of each cell, the way of most and a second one: (row, column, people, mean pace), fewest people first."""
    found = []
    for row, column in np.argwhere(moved.people.sum(axis=-1) > 0).tolist():
        people, pace = moved.people[row, column], moved.pace[row, column]
        first = int(people.argmax())
        beside = np.array([first - 1, first, first + 1]) % DIRECTIONS
        others = np.setdiff1d(np.arange(DIRECTIONS), beside)
        second = int(others[people[others].argmax()])
        around = np.setdiff1d(np.array([second - 1, second, second + 1]) % DIRECTIONS, beside)
        for taken, least in ((beside, 0.0), (around, SECOND * people[beside].sum())):
            count = float(people[taken].sum())
            if count > least:
                found.append((row, column, count, pace[taken].sum(axis=0) / count))
    return sorted(found, key=lambda way: way[2])


def flow_picture(moved: Flow, plan: Plan) -> Picture:
    """The picture with its legend, uint8[H, W, 3].

    Args:
        moved: on the grid `plan.cells(CELL)`.
    """
    sheet = plan.sheet()
    width, height = plan.size
    rows, columns = moved.people.shape[:2]
    cell = width / columns
    found = ways(moved)
    most = max((people for _, _, people, _ in found), default=1.0)
    for row, column, people, pace in found:
        middle = np.array([(column + 0.5) * cell, (row + 0.5) * height / rows])
        _draw_way(sheet, middle, pace, cell, _strength(people, most))
    plan.draw(sheet)
    _draw_legend(sheet, most, cell)
    return sheet


def _strength(people: float, most: float) -> float:
    """0..1: how strongly a way is drawn, by the logarithm of how many went it."""
    return float(np.log1p(people) / np.log1p(most))


def _draw_way(sheet: Picture, middle: Floats, pace: Floats, cell: float, strength: float) -> None:
    """An arrow around a point: its length is the pace, its colour the direction, its weight how many went."""
    import cv2

    speed = float(np.hypot(*pace))
    ahead = pace / speed
    # Beside the middle, to its right, so that two opposite ways lie side by side.
    aside = np.array([-ahead[1], ahead[0]]) * cell * 0.16
    half = ahead * cell * float(np.clip(0.5 * speed, 0.2, 0.6))
    ink = np.array(direction_colour(pace)) * strength + np.array(FAINT) * (1 - strength)
    start, end = middle + aside - half, middle + aside + half
    cv2.arrowedLine(
        sheet, _pixel(start), _pixel(end), tuple(ink.tolist()), 1 + round(2 * strength), cv2.LINE_AA,
        tipLength=float(5.5 / max(np.hypot(*(end - start)), 6)),
    )  # fmt: skip


def direction_colour(pace: NDArray[np.floating]) -> Colour:
    """The colour of a direction: four colours around the clock, mixed between."""
    quarter = np.arctan2(pace[1], pace[0]) / (np.pi / 2) % 4
    first, part = int(quarter) % 4, quarter % 1
    blue, green, red = ((1 - part) * _WHEEL[first] + part * _WHEEL[(first + 1) % 4]).round().astype(int).tolist()
    return blue, green, red


def _draw_legend(sheet: Picture, most: float, cell: float) -> None:
    top = sheet.shape[0] - FOOT
    line = top + FOOT / 2
    x = 36.0
    for angle in np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS:
        ahead = np.array([np.cos(angle), np.sin(angle)])
        _draw_way(sheet, np.array([x, line]) + ahead * 14, ahead * 0.6, cell * 0.8, 1.0)
    label(sheet, "direction", (x + 26, line - 11), LETTERS, ink=INK, ground=None)
    x = 152.0
    _draw_way(sheet, np.array([x, line]), np.array([1.0, 0.0]), cell, 1.0)
    label(sheet, "1 body height/s", (x + 18, line - 11), LETTERS, ink=INK, ground=None)
    x = 330.0
    for people in sorted({1, max(1, round(most**0.5)), max(1, round(most))}):
        _draw_way(sheet, np.array([x, line]), np.array([1.0, 0.0]), cell, _strength(people, most))
        text = f"{people}"
        label(sheet, text, (x + 14, line - 11), LETTERS, ink=INK, ground=None)
        x += 46 + 8 * len(text)
    label(sheet, "people", (x - 16, line - 11), LETTERS, ink=INK, ground=None)


def _pixel(point: Floats) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
