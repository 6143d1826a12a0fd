"""Text in pictures, in letters of any European or Greek or Cyrillic name, which OpenCV's own cannot write."""

import importlib.util
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.pictures.palette import INK, WHITE, Colour

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Picture = NDArray[np.uint8]

GROUND = 0.72


@cache
def _font(size: int) -> "FreeTypeFont":
    """DejaVu Sans as matplotlib carries it; matplotlib itself is not imported."""
    from PIL import ImageFont

    package = importlib.util.find_spec("matplotlib")
    assert package and package.origin
    return ImageFont.truetype(str(Path(package.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"), size)


@lru_cache(maxsize=1024)
def _written(text: str, size: int) -> NDArray[np.float32]:
    """How much of each pixel is ink, float32[h, w], 0..1; all texts of a size are equally high."""
    from PIL import Image, ImageDraw

    font = _font(size)
    ascent, descent = font.getmetrics()
    image = Image.new("L", (max(1, round(font.getlength(text))), ascent + descent))
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=font)
    return np.asarray(image, np.float32) / np.float32(255)


def extent(text: str, size: int) -> tuple[int, int]:
    """Width and height of a label's ground, in pixels."""
    height, width = _written(text, size).shape
    pad = max(2, size // 3)
    return width + 2 * pad, height + 2 * (pad // 3)


def label(
    picture: Picture,
    text: str,
    corner: tuple[float, float],
    size: int,
    ink: Colour = WHITE,
    ground: Colour | None = INK,
    opacity: float = GROUND,
) -> tuple[int, int]:
    """Write `text` into a picture on a translucent ground, moved inside where it would leave the picture; returns the
    top left of where it stands.

    Args:
        picture: changed in place.
        corner: (x, y) of the label's top left, pixels.
        size: height of the letters' square, pixels.
        ground: None for none.
    """
    width, height = extent(text, size)
    left = int(np.clip(corner[0], 0, max(0, picture.shape[1] - width)))
    top = int(np.clip(corner[1], 0, max(0, picture.shape[0] - height)))
    place = picture[top : top + height, left : left + width]
    blended = place.astype(np.float32)
    if ground is not None:
        blended += opacity * (np.array(ground, np.float32) - blended)
    written = _written(text, size)
    down, across = (height - written.shape[0]) // 2, (width - written.shape[1]) // 2
    spot = blended[down : down + written.shape[0], across : across + written.shape[1]]
    alpha = written[: spot.shape[0], : spot.shape[1], None]
    spot += alpha * (np.array(ink, np.float32) - spot)
    place[:] = np.clip(blended + 0.5, 0, 255).astype(np.uint8)
    return left, top
