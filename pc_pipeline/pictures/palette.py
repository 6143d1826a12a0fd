"""Colours that people of any colour vision tell apart: one palette for people, one for what is drawn on the ground."""

Colour = tuple[int, int, int]
"""Blue, green, red, 0..255, as OpenCV wants them."""


def _bgr(rgb: str) -> Colour:
    red, green, blue = bytes.fromhex(rgb)
    return blue, green, red


# Okabe and Ito, "Color Universal Design", 2008; without black, in an order that keeps neighbours apart.
PEOPLE = tuple(map(_bgr, ("e69f00", "56b4e9", "009e73", "f0e442", "d55e00", "cc79a7", "0072b2")))
# Paul Tol, "Colour Schemes", 2021, the scheme `bright`.
PLACES = tuple(map(_bgr, ("ee6677", "66ccee", "ccbb44", "aa3377", "228833", "4477aa")))

WHITE: Colour = (255, 255, 255)
INK = _bgr("22262b")
PAPER = _bgr("fbfaf7")
FAINT = _bgr("d9d7d0")


def person(track_id: int) -> Colour:
    """A track's colour, the same throughout its video."""
    return PEOPLE[track_id % len(PEOPLE)]


def place(number: int) -> Colour:
    """The colour of the line or zone with this place among them."""
    return PLACES[number % len(PLACES)]
