"""Whole people cut out of a photograph that the ultralytics package carries, for the demo's scene.

The package is only looked for, never imported: `pip install --no-deps ultralytics` is enough, without torch. Of its
two photographs `bus.jpg` shows two people whole; those of `zidane.jpg` are cut off at the waist, so that no detector of
whole people would see them.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from pc_pipeline.errors import UserError

PHOTOGRAPH = "bus.jpg"
WIDTH, HEIGHT = 810, 1080


@dataclass(frozen=True)
class CutOut:
    """A person without what was behind: `colour` uint8[H,W,3] BGR, `alpha` float32[H,W] in 0..1, feet on the last row.

    `faces` is +1 where the person looks to the right in the picture, -1 to the left: walking the other way is mirrored.
    """

    colour: np.ndarray
    alpha: np.ndarray
    faces: int


@dataclass(frozen=True)
class _Outline:
    """Where one person stands, polygons in pixels: GrabCut finds the edge between `around` and `core`."""

    around: tuple[tuple[int, int], ...]
    core: tuple[tuple[tuple[int, int], ...], ...]
    faces: int


_OUTLINES = (
    _Outline(
        around=(
            (98, 440),
            (104, 404),
            (130, 392),
            (160, 402),
            (164, 452),
            (178, 490),
            (206, 560),
            (206, 600),
            (192, 640),
            (198, 690),
            (184, 700),
            (196, 780),
            (208, 850),
            (252, 878),
            (252, 896),
            (176, 906),
            (170, 880),
            (166, 820),
            (150, 770),
            (130, 710),
            (112, 770),
            (96, 830),
            (112, 890),
            (104, 908),
            (48, 896),
            (46, 872),
            (58, 850),
            (66, 826),
            (71, 790),
            (76, 740),
            (70, 716),
            (54, 695),
            (50, 600),
            (54, 510),
            (82, 476),
        ),
        core=(
            ((112, 415), (146, 415), (144, 470), (122, 470)),
            ((76, 500), (150, 490), (180, 560), (174, 680), (80, 690)),
            ((84, 700), (112, 700), (84, 840), (68, 840)),
            ((140, 700), (172, 700), (192, 840), (180, 850), (162, 780)),
            ((64, 862), (88, 868), (96, 892), (64, 886)),
            ((184, 866), (206, 862), (234, 882), (184, 890)),
        ),
        faces=1,
    ),
    _Outline(
        around=(
            (256, 440),
            (262, 408),
            (285, 400),
            (308, 410),
            (312, 450),
            (310, 474),
            (336, 490),
            (346, 560),
            (330, 570),
            (338, 640),
            (344, 700),
            (344, 716),
            (318, 750),
            (298, 775),
            (304, 818),
            (288, 830),
            (298, 856),
            (258, 864),
            (250, 850),
            (250, 830),
            (244, 760),
            (236, 706),
            (220, 700),
            (222, 640),
            (232, 600),
            (232, 520),
            (240, 495),
            (266, 476),
        ),
        core=(
            ((270, 420), (300, 420), (300, 460), (276, 470)),
            ((262, 500), (322, 500), (322, 560), (316, 680), (262, 680), (250, 600)),
            ((254, 712), (330, 706), (290, 760), (280, 815), (258, 815)),
            ((262, 830), (276, 826), (286, 850), (264, 854)),
        ),
        faces=1,
    ),
)


def photographs_dir() -> Path | None:
    """The folder with ultralytics' photographs on this machine, or None."""
    spec = find_spec("ultralytics")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        assets = Path(folder) / "assets"
        if (assets / PHOTOGRAPH).is_file():
            return assets
    return None


def cut_out_people() -> list[CutOut]:
    """The whole people of the photograph, from left to right.

    Raises:
        UserError: the photograph is not on this machine, or is not the one the outlines were drawn on.
    """
    import cv2

    folder = photographs_dir()
    if folder is None:
        raise UserError(
            "The demo cuts its people out of a photograph that the ultralytics package carries, and that package is not"
            " installed here: run `make demo`, which installs it, or `pip install --no-deps ultralytics` (no torch)."
        )
    photograph = cv2.imread(str(folder / PHOTOGRAPH))
    if photograph is None or photograph.shape[:2] != (HEIGHT, WIDTH):
        raise UserError(
            f"{folder / PHOTOGRAPH} is not the {WIDTH}x{HEIGHT} photograph that the demo knows: "
            "run `pip install --no-deps --force-reinstall 'ultralytics<9'`."
        )
    return [_cut_out(photograph, outline) for outline in _OUTLINES]


def _cut_out(photograph: np.ndarray, outline: _Outline) -> CutOut:
    """One person by GrabCut (Rother, Kolmogorov and Blake, 2004): sure person in the core, sure background outside."""
    import cv2

    around = np.array(outline.around)
    margin = 20
    left, top = np.maximum(around.min(0) - margin, 0)
    right, bottom = around.max(0) + margin
    picture = np.ascontiguousarray(photograph[top:bottom, left:right])
    mask = np.full(picture.shape[:2], cv2.GC_BGD, np.uint8)
    cv2.fillPoly(mask, [around - (left, top)], cv2.GC_PR_FGD)
    for polygon in outline.core:
        cv2.fillPoly(mask, [np.array(polygon) - (left, top)], cv2.GC_FGD)
    cv2.setRNGSeed(0)
    cv2.grabCut(picture, mask, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    person = _largest_part(np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)))
    rows, columns = np.flatnonzero(person.any(1)), np.flatnonzero(person.any(0))
    crop = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    alpha = cv2.GaussianBlur(person.astype(np.float32), (0, 0), 1.0)[crop]
    return CutOut(picture[crop], alpha, outline.faces)


def _largest_part(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a bool[H,W] mask, without the specks around it."""
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
