"""The demo's scene: people from a photograph walk through a lobby that is drawn, seen by a fixed camera.

(0,0) ----------------------> x 640    A walker is a script of foot points (bottom centre), in seconds and 0..1 of the
  |        wall, doors        |        picture. Whoever stands lower in the picture stands nearer, is taller there, and
  |- - - - - - - - - - - - - -|        hides those behind. Everything hangs on the script and a seed: the same clip
  |    floor  |  line `door`  |        gives the same pictures.
  y 480
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.demo.photographs import CutOut

WIDTH, HEIGHT = 640, 480
FPS = 10

# Where wall meets floor, and the horizon of a camera under the ceiling, in pixels from the top.
FLOOR, HORIZON = 280, 80
# Pixels of height for each pixel between horizon and feet: 1.75 m over the camera's 3.3 m.
TALL = 0.53
NOISE = 3.0
STEPS_PER_S = 1.8

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Walker:
    """One person's visit to the scene.

    Attributes:
        person: which of the cut out people.
        waypoints: (seconds into the clip, x, y) of the feet, straight and even in between; before the first and
            after the last the person is not there.
        tall: how tall, as a part of the usual.
        tint: gains of blue, green and red, so that one photograph makes more than one person.
    """

    person: int
    waypoints: tuple[tuple[float, float, float], ...]
    tall: float = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def foot(self, time_s: float) -> tuple[float, float] | None:
        """Where the feet are, 0..1 of the picture; None where the person is not there."""
        times, xs, ys = zip(*self.waypoints, strict=True)
        if not times[0] <= time_s <= times[-1]:
            return None
        return float(np.interp(time_s, times, xs)), float(np.interp(time_s, times, ys))

    def heading(self, time_s: float) -> int:
        """+1 while walking to the right, -1 to the left; who stands still looks on as before."""
        heading = 1
        for (t0, x0, _), (_, x1, _) in zip(self.waypoints, self.waypoints[1:], strict=False):
            if t0 > time_s and t0 > self.waypoints[0][0]:
                break
            if x0 != x1:
                heading = 1 if x1 > x0 else -1
        return heading


@dataclass(frozen=True)
class Clip:
    """One video: who walks when, and in what light (gains of blue, green and red)."""

    duration_s: float
    seed: int
    walkers: Sequence[Walker]
    light: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def frames(self) -> int:
        """Pictures in the clip."""
        return round(self.duration_s * FPS)


def height_at(walker: Walker, foot_y: float) -> float:
    """How many pixels tall a walker is whose feet are at `foot_y` (0..1 of the picture)."""
    return TALL * walker.tall * (foot_y * HEIGHT - HORIZON)


def boxes(clip: Clip, people: Sequence[CutOut], frame: int) -> list[tuple[int, tuple[float, float, float, float]]]:
    """Of all who are there in a frame: the walker's index, and x1, y1, x2, y2 in pixels, also beyond the edge."""
    found = []
    for index, walker in enumerate(clip.walkers):
        foot = walker.foot(frame / FPS)
        if foot is not None:
            tall, person = height_at(walker, foot[1]), people[walker.person]
            wide = tall * person.alpha.shape[1] / person.alpha.shape[0]
            x, y = foot[0] * WIDTH, foot[1] * HEIGHT
            found.append((index, (x - wide / 2, y - tall, x + wide / 2, y)))
    return found


def render(clip: Clip, people: Sequence[CutOut]) -> Iterator[Image]:
    """The clip's pictures, uint8[480,640,3] BGR, ten a second."""
    rng = np.random.default_rng(clip.seed)
    empty = _room()
    noise = rng.normal(0, NOISE, (8, HEIGHT, WIDTH, 3)).astype(np.float32)
    flicker = rng.normal(0, 0.004, clip.frames)
    for frame in range(clip.frames):
        picture = empty.copy()
        # Whoever is nearer, lower in the picture, is drawn later.
        for index, box in sorted(boxes(clip, people, frame), key=lambda found: found[1][3]):
            walker = clip.walkers[index]
            _shadow(picture, box)
            _draw(picture, people[walker.person], walker, box, frame / FPS)
        # The sun goes behind a cloud and comes back.
        brightness = 1 + 0.06 * np.sin(2 * np.pi * frame / FPS / 11 + clip.seed) + flicker[frame]
        picture *= np.float32(brightness) * np.asarray(clip.light, np.float32)
        picture += noise[rng.integers(len(noise))]
        yield np.clip(picture, 0, 255).astype(np.uint8)


def _room() -> NDArray[np.float32]:
    """The empty scene: float32[480,640,3]."""
    import cv2

    room = np.empty((HEIGHT, WIDTH, 3), np.float32)
    room[:FLOOR] = (188, 198, 202)
    depth = np.linspace(0, 1, HEIGHT - FLOOR, dtype=np.float32)[:, None, None]
    room[FLOOR:] = np.array((118, 128, 134), np.float32) + depth * 34
    for x in range(-WIDTH, 2 * WIDTH, 96):
        # Tiles run towards the vanishing point above the middle of the wall.
        far = (round(WIDTH / 2 + (x - WIDTH / 2) * (FLOOR - HORIZON) / (HEIGHT - HORIZON)), FLOOR)
        cv2.line(room, far, (x, HEIGHT), (126, 136, 142), 1, cv2.LINE_AA)
    for y in (312, 344, 388, 446):
        cv2.line(room, (0, y), (WIDTH, y), (126, 136, 142), 1, cv2.LINE_AA)
    for x1, x2 in ((72, 136), (504, 568)):
        cv2.rectangle(room, (x1 - 6, FLOOR - 136), (x2 + 6, FLOOR), (150, 160, 166), -1)
        cv2.rectangle(room, (x1, FLOOR - 130), (x2, FLOOR), (166, 172, 172), -1)
        cv2.circle(room, (x2 - 9, FLOOR - 62), 3, (120, 126, 130), -1, cv2.LINE_AA)
    cv2.rectangle(room, (0, FLOOR - 6), (WIDTH, FLOOR), (160, 168, 172), -1)
    # The line `door`, taped on the floor.
    cv2.line(room, (WIDTH // 2, FLOOR), (WIDTH // 2, HEIGHT), (96, 176, 206), 4, cv2.LINE_AA)
    cv2.GaussianBlur(room, (0, 0), 0.8, dst=room)
    across, down = np.meshgrid(np.linspace(-1, 1, WIDTH), np.linspace(-1, 1, HEIGHT))
    return room * (1.04 - 0.12 * (across**2 + 0.6 * down**2))[..., None].astype(np.float32)


def _shadow(picture: NDArray[np.float32], box: tuple[float, float, float, float]) -> None:
    """Darken the floor around the feet, softly."""
    x, y, reach = (box[0] + box[2]) / 2, box[3] - 4, (box[3] - box[1]) * 0.28
    left, right = max(0, round(x - reach)), min(WIDTH, round(x + reach))
    top, bottom = max(0, round(y - reach / 3)), min(HEIGHT, round(y + reach / 3))
    if left < right and top < bottom:
        down, across = np.mgrid[top:bottom, left:right].astype(np.float32)
        near = np.clip(1 - ((across - x) / reach) ** 2 - ((down - y) * 3 / reach) ** 2, 0, 1)
        picture[top:bottom, left:right] *= (1 - 0.4 * near)[..., None]


def _draw(
    picture: NDArray[np.float32],
    person: CutOut,
    walker: Walker,
    box: tuple[float, float, float, float],
    time_s: float,
) -> None:
    """Set a person into the picture with the feet at the box's bottom centre, bobbing and swaying with the steps."""

    x1, y1, x2, y2 = box
    heading = walker.heading(time_s)
    rows, columns = person.alpha.shape
    scale = (y2 - y1) / rows
    phase = 2 * np.pi * STEPS_PER_S * time_s + walker.person
    moving = walker.foot(time_s + 0.1) != walker.foot(time_s)
    bob = moving * 0.008 * (y2 - y1) * abs(np.sin(phase / 2))
    sway = moving * 0.015 * np.sin(phase / 2)
    left, top = int(np.floor(x1)) - 8, int(np.floor(y1)) - 8
    wide, tall = int(x2 - x1) + 18, int(y2 - y1) + 18
    # From the cut-out to the picture: mirrored where it walks the other way, leaning around the feet.
    turned = heading * person.faces
    matrix = np.array(
        [
            [turned * scale, -sway * scale, (x1 if turned > 0 else x2) - left + sway * scale * rows],
            [0, scale, y1 - bob - top],
        ]
    )
    colour = _warp(person.colour, matrix, (wide, tall)) * np.asarray(walker.tint, np.float32)
    alpha = _warp(person.alpha, matrix, (wide, tall))
    inside = np.s_[max(0, top) : max(0, top + tall), max(0, left) : max(0, left + wide)]
    place = picture[inside]
    cut = np.s_[max(0, -top) :, max(0, -left) :]
    colour, alpha = colour[cut][: place.shape[0], : place.shape[1]], alpha[cut][: place.shape[0], : place.shape[1]]
    place += alpha[..., None] * (colour - place)


def _warp(image: NDArray, matrix: NDArray, size: tuple[int, int]) -> NDArray[np.float32]:
    """`image` by an affine matrix, half its size first so that shrinking does not flicker."""
    import cv2

    half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.float32)
    doubled = matrix @ np.diag([2.0, 2.0, 1.0])
    return cv2.warpAffine(half, doubled, size, flags=cv2.INTER_LINEAR).astype(np.float32, copy=False)
