"""What is wrong with a video's picture: black, covered, frozen, moved, or at another frame rate than it should be.

While a video is decoded for the detector, `PictureWatch` takes a few figures of some of its frames. They are stored
beside the boxes, so that everything after it (`find_events`) is arithmetic that needs no video.

Pictures here are grey, uint8[96, 128], whatever the video's size: a step of one pixel is 0.8 % of the width. Times are
microseconds from the video's start.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.arrays import PictureSignals
from pc_pipeline.vision.decode import ROUNDING_US

if TYPE_CHECKING:
    from pc_pipeline.ingest.site import QualityConfig


Kind = Literal["gap", "frozen", "black", "covered", "moved", "frame_rate"]
Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]

WIDTH, HEIGHT = 128, 96
# Events are told to a fifth of a second, whatever the frame rate.
EVERY_US = 200_000
# Whole pictures are kept every two seconds; a long video keeps every second one, again and again, so that a day of
# video has no more of them than ten minutes: 256 pictures are 3 MB.
REFERENCE_EVERY_US = 2_000_000
MOST_REFERENCES = 256

# Video black is 16 of 255; a sensor in the dark adds a little noise, and no structure.
BLACK_MEAN, BLACK_SPREAD = 24.0, 4.0
# An edge of eight grey levels gives a detail of about two: fainter than that, nobody could be seen either.
FLAT_DETAIL = 2.0
# Edges scale with the light as the mean does, so their quotient stays, by day and by night. Out of focus, sprayed or
# behind foil, it falls to a fraction.
COVERED_SHARE = 0.25
DARKEST_MEAN = 16.0
# Of a picture that is repeated, an encoder makes differences of some hundredths of a grey level on average, and half a
# level at key frames. Of a live but still scene, strong compression repeats pictures too, but at each key frame draws
# the noise of that moment anew: 0.9 levels and more. Weak compression shows the noise in every picture.
REPEATED, SAME_PICTURE = 0.03, 0.7
# Two pictures of one scene correlate by 0.7 and more, with other people and in other light; two scenes by 0.0, and by
# 0.35 at most once one of them is shifted and turned to fit.
SAME_SCENE, OTHER_SCENE = 0.75, 0.4
# A shift is believed where it explains the picture, and better than none does.
EXPLAINED, BETTER_BY = 0.4, 0.15
LEAST_OVERLAP = 0.4
TURNED_DEGREES = 3.0
# A camera that is pushed, turned or zoomed a little scales its picture, and evenly.
MOST_SCALE, MOST_UNEVEN = 1.25, 1.15
# Pictures whose median is free of whoever walks by; and how many such in a row are no accident.
MEDIAN_OF, IN_A_ROW = 3, 3
# The last of them are what the camera's next video is compared with.
LAST_REFERENCES = 5
# Steps between frames this long (and three usual ones) are kept as holes.
LEAST_HOLE_US = 1_000_000


@dataclass(frozen=True)
class PictureEvent:
    """Something that was wrong with a video's picture for some time.

    Attributes:
        kind: gap (a hole in the file), frozen, black, covered, moved or frame_rate.
        start_us, end_us: microseconds from the video's start.
        value: gap, frozen: seconds; black: mean grey level, 0..255; covered: sharpness as a share of the camera's
            usual; moved: mean shift of the picture's points as a share of its width, 1.0 for another scene;
            frame_rate: frames per second as decoded.
        detail: one sentence: what, and what to do.
    """

    kind: Kind
    start_us: int
    end_us: int
    value: float
    detail: str


@dataclass(frozen=True)
class Usual:
    """What is known of the camera from its earlier videos; None where nothing is.

    Attributes:
        reference: uint8[96, 128], the picture of the video before.
        at_once: this video follows on that one within a minute, so that no other scene can be due to other light.
        sharpness: see `sharpness`.
        fps: frames per second.
    """

    reference: Picture | None = None
    at_once: bool = False
    sharpness: float | None = None
    fps: float | None = None


# ---------------------------------------------------------------------------------------------------------- signals


class PictureWatch:
    """Takes the signals of a video, frame after frame; its memory grows neither with the size of the pictures nor with
    the length of a video whose signals are fetched now and then."""

    def __init__(self) -> None:
        self._pts, self._shown = array("q"), array("i")
        self._mean, self._spread, self._detail, self._change = (array("f") for _ in range(4))
        # None for a picture that was handed on.
        self._references: dict[int, Picture | None] = {}
        self._every_us = REFERENCE_EVERY_US
        self._due_us = self._reference_due_us = 0
        self._before: Picture | None = None
        self._repeated: Picture | None = None
        self._showing = -1

    def see(self, pts_us: int, image: NDArray[np.uint8]) -> None:
        """Take in a frame; `image` is uint8[H, W, 3], BGR. Frames sooner than 0.2 s after the last are passed over."""
        if pts_us + ROUNDING_US < self._due_us:
            return
        self._due_us = pts_us + EVERY_US
        picture = small(image)
        change = 0.0 if self._before is None else _difference(picture, self._before)
        if self._repeated is None or _difference(picture, self._repeated) > SAME_PICTURE:
            self._repeated = picture
            self._showing += 1
        self._before = picture
        self._pts.append(pts_us)
        self._shown.append(self._showing)
        self._mean.append(float(picture.mean()))
        self._spread.append(float(picture.std()))
        self._detail.append(detail(picture))
        self._change.append(change)
        if pts_us >= self._reference_due_us:
            self._references[pts_us] = picture
            while len(self._references) > MOST_REFERENCES:
                self._every_us *= 2
                # The first one of each interval stays, as if it had been so long from the start.
                first = {pts // self._every_us: pts for pts in reversed(self._references)}
                self._references = {pts: self._references[pts] for pts in sorted(first.values())}
            self._reference_due_us = (pts_us // self._every_us + 1) * self._every_us

    def signals(self) -> PictureSignals:
        """What was seen since this was last called, or from the start."""
        kept = {pts: picture for pts, picture in self._references.items() if picture is not None}
        found = PictureSignals(
            pts_us=np.array(self._pts, np.int64),
            mean=np.array(self._mean, np.float32),
            spread=np.array(self._spread, np.float32),
            detail=np.array(self._detail, np.float32),
            change=np.array(self._change, np.float32),
            shown=np.array(self._shown, np.int32),
            reference_us=np.array(list(kept), np.int64),
            reference=np.array(list(kept.values()), np.uint8).reshape(-1, HEIGHT, WIDTH),
        )
        for figures in (self._pts, self._mean, self._spread, self._detail, self._change, self._shown):
            del figures[:]
        self._references = dict.fromkeys(self._references)
        return found

    @property
    def references_us(self) -> list[int]:
        """Times of the pictures kept whole so far: of those that `signals` gave, a longer video keeps fewer."""
        return list(self._references)


def small(image: NDArray[np.uint8]) -> Picture:
    """A frame as a small grey picture; most of its pixels are left out, since converting all of 1080p takes 5 ms."""
    import cv2

    fewer = cv2.resize(image, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_NEAREST)
    grey = cv2.cvtColor(fewer, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def detail(picture: Picture) -> float:
    """How strong a picture's edges are: the 98th percentile of the difference of two Gaussians, in grey levels.

    Noise is averaged away, and slow shading has none; a step of 100 grey levels has about 25.
    """
    import cv2

    grey = picture.astype(np.float32)
    edges = np.abs(cv2.GaussianBlur(grey, (0, 0), 1.5) - cv2.GaussianBlur(grey, (0, 0), 4.0)).ravel()
    place = int(0.98 * edges.size)
    return float(np.partition(edges, place)[place])


def _difference(one: Picture, other: Picture) -> float:
    import cv2

    return float(cv2.absdiff(one, other).mean())


def holes(pts_us: NDArray[np.int64], step_us: int) -> list[list[int]]:
    """[from, to] of the stretches in which a file has no frame, though it goes on: a second or more, and three steps.

    Args:
        pts_us: int64[F] of all decoded frames. step_us: the median time between them.
    """
    long = np.flatnonzero(np.diff(pts_us) > max(LEAST_HOLE_US, 3 * step_us))
    return [[int(pts_us[place]) + step_us, int(pts_us[place + 1])] for place in long]


def last_reference(signals: PictureSignals) -> Picture | None:
    """The picture that the camera's next video is compared with: the median of the last ones that show something."""
    shows = _shows_something(signals)
    pictures = signals.reference[shows][-LAST_REFERENCES:]
    return np.median(pictures, axis=0).astype(np.uint8) if len(pictures) else None


def sharpness(signals: PictureSignals) -> float | None:
    """A video's usual detail over mean, whatever the light; None where none of its pictures shows anything."""
    values = _sharpness(signals)[~_black(signals) & (signals.detail >= FLAT_DETAIL)]
    return float(np.median(values)) if len(values) else None


def _shows_something(signals: PictureSignals) -> Mask:
    """bool[R]: of the pictures kept whole, those that are neither black nor flat."""
    kept = np.searchsorted(signals.pts_us, signals.reference_us)
    return ~_black(signals)[kept] & (signals.detail[kept] >= FLAT_DETAIL)


def _sharpness(signals: PictureSignals) -> NDArray[np.float32]:
    return np.asarray(signals.detail / np.maximum(signals.mean, DARKEST_MEAN), np.float32)


# ----------------------------------------------------------------------------------------------------------- events


def find_events(
    signals: PictureSignals, end_us: int, usual: Usual, settings: "QualityConfig", frame_size: tuple[int, int]
) -> list[PictureEvent]:
    """Everything that was wrong with what a video shows: black, covered, frozen and moved, in order of time.

    Args:
        signals: of the video. end_us: where it ends.
        usual: what its camera's earlier videos were like.
        settings: durations in seconds, shares 0..1.
        frame_size: width and height of the upright frames, pixels.
    """
    if not len(signals.pts_us):
        return []
    black = _black(signals)
    covered, share = _covered(signals, black, usual.sharpness)
    events = [
        PictureEvent(
            "black",
            start,
            end,
            round(float(signals.mean[run].mean()), 1),
            f"The picture is black for {_s(end - start)}: see to the camera's lens, its cable and the light.",
        )
        for start, end, run in _runs(signals.pts_us, black, end_us, settings.blind)
    ]
    events += [
        PictureEvent(
            "covered",
            start,
            end,
            round(float(np.median(share[run])), 3),
            f"The picture shows hardly an edge for {_s(end - start)}: see whether the lens is covered, dirty or out"
            " of focus.",
        )
        for start, end, run in _runs(signals.pts_us, covered, end_us, settings.blind)
    ]
    events += _frozen(signals, ~(black | covered), end_us, settings.frozen)
    events += _moved(signals, end_us, usual, settings.moved, frame_size[1] / frame_size[0])
    return sorted(events, key=lambda event: (event.start_us, event.kind))


def hole_events(found: Sequence[Sequence[int]], least_s: float) -> list[PictureEvent]:
    """The holes in a file of `least_s` seconds and more, from what `holes` gave."""
    return [
        PictureEvent(
            "gap",
            start,
            end,
            round((end - start) / 1e6, 3),
            f"The file has no frame for {_s(end - start)}: see to the camera's network and the recorder's disk.",
        )
        for start, end in found
        if end - start >= least_s * 1e6
    ]


def frame_rate_events(
    step_us: int, end_us: int, declared_fps: float, usual_fps: float | None, most_off: float
) -> list[PictureEvent]:
    """One event over the whole video where its frames come at another rate than the file says, or than is usual.

    Args:
        step_us: the median time between decoded frames. end_us: where the video ends.
        declared_fps: by the file's header, 0.0 where it says nothing.
        usual_fps: of the camera's earlier videos, None where there are none.
        most_off: the share of the rate by which it may differ.
    """
    fps = 1e6 / step_us
    compared = (("the file says", declared_fps), ("the camera's files usually have", usual_fps))
    for what, expected in compared:
        if expected and abs(fps - expected) > most_off * expected:
            sentence = (
                f"{fps:.4g} frames/s where {what} {expected:.4g}: see to the camera's settings and the recorder's load."
            )
            return [PictureEvent("frame_rate", 0, end_us, round(fps, 3), sentence)]
    return []


def _s(duration_us: int) -> str:
    return f"{duration_us / 1e6:.1f} s"


def _steady(mask: Mask) -> Mask:
    """The majority of five neighbours (a second), so that a flicker makes no event and breaks none."""
    padded = np.pad(mask, 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 5).sum(axis=1) >= 3


def _black(signals: PictureSignals) -> Mask:
    return (signals.mean <= BLACK_MEAN) & (signals.spread <= BLACK_SPREAD)


def _covered(signals: PictureSignals, black: Mask, usual: float | None) -> tuple[Mask, NDArray[np.float32]]:
    """Where the picture shows hardly an edge: bool[S], and float32[S], the sharpness as a share of the usual."""
    values = _sharpness(signals)
    expected = usual if usual is not None else sharpness(signals)
    share = values / np.float32(expected) if expected else np.zeros_like(values)
    return ~black & ((signals.detail < FLAT_DETAIL) | (share < COVERED_SHARE)), share


def _runs(
    pts_us: NDArray[np.int64], mask: Mask, end_us: int, least_s: float
) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """(from, to, places) of the stretches in which `mask` holds for `least_s` seconds and more, and at two pictures."""
    step_us = int(np.median(np.diff(pts_us))) if len(pts_us) > 1 else 0
    for run in _stretches(_steady(mask)):
        # What follows on the last picture is not known where there is a hole.
        to = int(pts_us[run[-1]]) + step_us
        to = min(to, end_us) if run[-1] + 1 == len(pts_us) else min(to, int(pts_us[run[-1] + 1]))
        start = int(pts_us[run[0]])
        if len(run) > 1 and to - start >= least_s * 1e6:
            yield start, to, run


def _stretches(mask: Mask) -> list[NDArray[np.int64]]:
    """The places of each unbroken stretch of True."""
    places = np.flatnonzero(mask)
    return np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(places) else []


def _frozen(signals: PictureSignals, shows: Mask, end_us: int, least_s: float) -> Iterator[PictureEvent]:
    """Stretches in which one picture is repeated."""
    repeated = shows & _steady(signals.change <= REPEATED)
    edges = np.flatnonzero(np.diff(signals.shown, prepend=-1, append=-1))
    for first, after in zip(edges, edges[1:], strict=False):
        for start, to, _ in _runs(signals.pts_us[first:after], repeated[first:after], end_us, least_s):
            yield PictureEvent(
                "frozen",
                start,
                to,
                round((to - start) / 1e6, 3),
                f"The same picture is repeated for {_s(to - start)}: restart the camera, and see to the recorder.",
            )


# ------------------------------------------------------------------------------------------------------------ moved


def _moved(
    signals: PictureSignals, end_us: int, usual: Usual, least: float, height_over_width: float
) -> list[PictureEvent]:
    """Stretches in which the scene is shifted against the camera's reference by `least` of the width and more.

    The reference is the picture of the video before, or where that cannot be compared, this video's own beginning. It
    follows the light. A stretch that is not over goes on to the video's end.
    """
    shows = _shows_something(signals)
    pictures, at_us = signals.reference[shows], signals.reference_us[shows]
    if not len(pictures):
        return []
    medians = [
        np.median(pictures[place : place + MEDIAN_OF], axis=0).astype(np.uint8)
        for place in range(max(1, len(pictures) - MEDIAN_OF + 1))
    ]
    home, other_counts = medians[0], True
    if usual.reference is not None:
        first = compare(usual.reference, medians[0], height_over_width)
        if usual.at_once or first.alike >= OTHER_SCENE:
            home, other_counts = usual.reference, usual.at_once
    moved, shifts = np.zeros(len(medians), np.bool_), np.zeros(len(medians))
    for place, now in enumerate(medians):
        found = compare(home, now, height_over_width)
        was_moved = place > 0 and bool(moved[place - 1])
        if found.alike < OTHER_SCENE and other_counts:
            shifts[place] = 1.0
        elif found.shift >= (least / 2 if was_moved else least):
            shifts[place] = found.shift
        # What is moved stays so until the scene is seen where it was; what is not follows the light.
        moved[place] = shifts[place] > 0 or (was_moved and not found.shift and found.alike < SAME_SCENE)
        if not moved[place] and found.alike < SAME_SCENE:
            home = now
        other_counts = True
    return _moved_events(signals, moved, shifts, at_us, end_us)


def _moved_events(
    signals: PictureSignals, moved: Mask, shifts: NDArray[np.float64], at_us: NDArray[np.int64], end_us: int
) -> list[PictureEvent]:
    """Events from whether each median picture is moved, and the shift found of it (0: none).

    Args:
        at_us: int64, when the pictures were taken; median i is that of the pictures from i on.
    """
    events = []
    for run in _stretches(moved):
        found = shifts[run][shifts[run] > 0]
        whole = len(run) == len(moved)
        if len(found) < IN_A_ROW and not whole:
            continue
        start = _moment(signals, at_us, int(run[0])) if run[0] else 0
        end = _moment(signals, at_us, int(run[-1]) + 1) if run[-1] + 1 < len(moved) else end_us
        shift = float(np.median(found))
        what = f"The picture is shifted by {100 * shift:.0f} %"
        if shift == 1.0:
            what = "The camera shows another scene, or something stands right before it"
        sentence = f"{what}: turn the camera back, or draw its lines and zones anew, valid from then on."
        events.append(PictureEvent("moved", start, end, round(shift, 3), sentence))
    return events


def _moment(signals: PictureSignals, at_us: NDArray[np.int64], place: int) -> int:
    """When the picture changed most between the last kept picture of before and the first one of after.

    The first median on the other side holds one picture of before, and two of after.
    """
    low, high = np.searchsorted(signals.pts_us, at_us[[place, min(place + 1, len(at_us) - 1)]])
    between = np.arange(low + 1, max(high, low + 1) + 1)
    between = between[between < len(signals.pts_us)]
    return int(signals.pts_us[between[np.argmax(signals.change[between])]]) if len(between) else int(at_us[place])


@dataclass(frozen=True)
class Comparison:
    """How two pictures go together.

    Attributes:
        alike: correlation of the two once the shift is taken out, -1..1.
        shift: how far the points of the picture are shifted on average, as a share of its width; 0.0 where no shift
            explains the second picture better than none does.
    """

    alike: float
    shift: float


def compare(base: Picture, now: Picture, height_over_width: float = HEIGHT / WIDTH) -> Comparison:
    """Whether `now` shows the scene of `base`, and how far it is shifted (also turned or nearer).

    Both are reduced to edges of equal strength everywhere, so that neither light nor shadow counts. Phase correlation
    (Kuglin and Hines, 1975) gives the shift, the enhanced correlation coefficient (Evangelidis and Psarakis, 2008)
    makes it exact and adds rotation and scale.

    Args:
        base, now: uint8[96, 128], grey.
        height_over_width: of the video's own frames.
    """
    import cv2

    one, two = _edges(base), _edges(now)
    unmoved = _correlation(one, two, np.ones(one.shape, np.bool_))
    if unmoved >= SAME_SCENE:
        return Comparison(unmoved, 0.0)
    shifted = _shifted(one, two, 0.0)
    starts = [shifted, _refined(one, two, shifted), _refined(one, two, np.eye(2, 3, dtype=np.float32))]
    # Of a camera that is pushed far and turned too, the shift shows only once the turn is undone.
    starts += [_refined(one, two, _shifted(one, two, degrees)) for degrees in (-TURNED_DEGREES, TURNED_DEGREES)]
    best, motion = unmoved, None
    for matrix in starts:
        size, flags = (WIDTH, HEIGHT), cv2.WARP_INVERSE_MAP
        overlap = cv2.warpAffine(np.ones_like(one), matrix, size, flags=flags | cv2.INTER_NEAREST) > 0
        if overlap.mean() >= LEAST_OVERLAP and _is_a_cameras(matrix):
            back = np.asarray(cv2.warpAffine(two, matrix, size, flags=flags | cv2.INTER_LINEAR), np.float32)
            alike = _correlation(one, back, overlap)
            if alike > best:
                best, motion = alike, matrix
    if motion is None or best < EXPLAINED or best < unmoved + BETTER_BY:
        return Comparison(max(abs(unmoved), best), 0.0)
    return Comparison(best, _mean_shift(motion, height_over_width))


def _edges(picture: Picture) -> NDArray[np.float32]:
    """The picture's edges, over how strong they are thereabouts: float32[96, 128]."""
    import cv2

    grey = picture.astype(np.float32)
    edges = cv2.GaussianBlur(grey, (0, 0), 1.0) - cv2.GaussianBlur(grey, (0, 0), 4.0)
    return np.asarray(edges / (cv2.sqrt(cv2.GaussianBlur(edges * edges, (0, 0), 8.0)) + FLAT_DETAIL), np.float32)


def _correlation(one: NDArray[np.float32], two: NDArray[np.float32], where: Mask) -> float:
    a, b = one[where] - one[where].mean(), two[where] - two[where].mean()
    return float((a * b).sum() / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-6))


def _shifted(one: NDArray[np.float32], two: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    """float32[2, 3]: the motion that takes `one` to `two`, turned by `degrees`; its shift by phase correlation."""
    import cv2

    turn = cv2.getRotationMatrix2D(((WIDTH - 1) / 2, (HEIGHT - 1) / 2), degrees, 1.0)
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    turned = np.asarray(cv2.warpAffine(two, turn, (WIDTH, HEIGHT), flags=flags), np.float32)
    window = cv2.createHanningWindow((WIDTH, HEIGHT), cv2.CV_32F)
    across_and_down, _ = cv2.phaseCorrelate(one, turned, window)
    turn[:, 2] += turn[:, :2] @ np.array(across_and_down)
    return turn.astype(np.float32)


def _refined(one: NDArray[np.float32], two: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """The affine motion near `matrix` that takes `one` to `two`; `matrix` itself where none is found."""
    import cv2

    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
    try:
        everywhere = np.ones(one.shape, np.uint8)
        _, found = cv2.findTransformECC(one, two, matrix.copy(), cv2.MOTION_AFFINE, criteria, everywhere, 5)
    except cv2.error:  # it does not converge
        return matrix
    return np.asarray(found, np.float32)


def _is_a_cameras(motion: NDArray[np.float32]) -> bool:
    """Whether a camera that moves can make this of its picture; with enough shear, anything is like anything."""
    large, least = np.linalg.svd(motion[:, :2].astype(np.float64), compute_uv=False)
    return bool(large <= MOST_SCALE and least >= 1 / MOST_SCALE and large <= MOST_UNEVEN * least)


def _mean_shift(motion: NDArray[np.float32], height_over_width: float) -> float:
    """The mean length by which a motion moves a grid of the picture's points, as a share of its width."""
    down, across = np.mgrid[0 : HEIGHT - 1 : 3j, 0 : WIDTH - 1 : 3j]
    points = np.stack([across.ravel(), down.ravel(), np.ones(down.size)])
    moved = motion.astype(np.float64) @ points - points[:2]
    return float(np.hypot(moved[0] / WIDTH, moved[1] / HEIGHT * height_over_width).mean())
