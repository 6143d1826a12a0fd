"""Apparent gender of a track from its best few crops; `unknown` is a first-class answer.

Attribute models give cut-off, hidden and small people a label too, and a wrong one, so only whole, large, uncovered
people are shown to the model, and the mean log-odds over a track's crops must be clear of the unknown band by more
than the crops disagree.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.errors import ModelCorrupt
from pc_pipeline.vision.arrays import Track
from pc_pipeline.vision.boxes import covered_share
from pc_pipeline.vision.decode import read_frames_at
from pc_pipeline.vision.models import ModelFile, openvino_core, read_openvino

if TYPE_CHECKING:
    from pc_pipeline.ingest.site import GenderConfig

UNKNOWN, MALE, FEMALE = 0, 1, 2
BATCH = 16
# A box that comes this near (body heights) to the left, right or lower edge may be of a person cut off by it: in a
# padded picture the detector's boxes of people without feet end up to 0.02 body heights before the edge.
EDGE = 0.025
# At the upper edge, where no padding is, boxes end at the edge itself (pixels).
TOP_EDGE_PX = 2.0
# Height over width of a whole person. From the head to the hips it is about 1.7, seated or bent less; a bag or an arm
# is squatter still. A long stride fails too, and the next step passes.
LEAST_ASPECT = 2.0
# Less sure boxes are more likely of a part of a person, or of somebody behind something, than of one in full view.
LEAST_CONFIDENCE = 0.5
# A seen box this much shorter (or taller) than its person is cut off by a desk, a sign, somebody (or is two people).
LEAST_SHOWN = 0.85
# Seconds: when two people merge, one box is left of them for a moment before and after the two overlap.
NEAR_S = 0.5
# Fewer crops are no vote.
LEAST_CROPS = 3
# One very sure crop shall not outvote all others.
MOST_LOG_ODDS = 4.0


@dataclass(frozen=True)
class TrackGender:
    """A track's verdict.

    Attributes:
        track_id: the track.
        gender: 0 unknown, 1 male, 2 female.
        log_odds: mean over the crops of ln(P(male) / P(female)) as the model gives it, before calibration; 0.0 without
            a crop.
        crops: how many were judged.
    """

    track_id: int
    gender: int
    log_odds: float
    crops: int


@dataclass(frozen=True)
class SeenBoxes:
    """The boxes of a video as the detector gave them, where tracks hold a smoothed path.

    Attributes:
        track_id: int32[N], 0 where no track took the box.
        frame_number: int32[N], in order.
        boxes: float32[N, 4], x1, y1, x2, y2 in pixels of the upright frame.
    """

    track_id: NDArray[np.int32]
    frame_number: NDArray[np.int32]
    boxes: NDArray[np.float32]

    def loose(self) -> "LooseBoxes":
        """Those that no track took."""
        free = self.track_id == 0
        return LooseBoxes(self.frame_number[free], self.boxes[free])


@dataclass(frozen=True)
class LooseBoxes:
    """Detections that no track took: somebody may stand there all the same.

    Attributes:
        frame_number: int32[N], in no order.
        boxes: float32[N, 4], x1, y1, x2, y2 in pixels of the upright frame.
    """

    frame_number: NDArray[np.int32]
    boxes: NDArray[np.float32]


def classify(
    path: Path,
    tracks: Sequence[Track],
    loose: LooseBoxes,
    model: ModelFile,
    config: "GenderConfig",
    frame_size: tuple[int, int],
) -> list[TrackGender]:
    """One verdict a track, in the order of `tracks`. Only the frames of chosen crops are converted to pictures, and as
    little as can be is decoded for them.

    Args:
        path: the video; if it ends earlier than the tracks do, what is left of the crops decides.
        tracks: all tracks of the video (`as_seen`), since they may hide each other.
        loose: the video's detections in no track, which may hide somebody too.
        model: BGR 0..255 person crops in, P(male) first in the first output
            (`person-attributes-recognition-crossroad-0230`).
        config: `min_height_px`, `crops`, `max_overlap` 0..1, `min_gap` seconds, `unknown_below` probability,
            `calibration`.
        frame_size: width and height of the upright frames, pixels.

    Raises:
        ModelCorrupt: the model cannot be loaded or is no such model.
        UnreadableVideo: the video cannot be opened.
    """
    chosen = choose_sightings(tracks, loose, config, frame_size)
    wanted: dict[int, list[tuple[int, NDArray[np.float32]]]] = defaultdict(list)
    times: dict[int, int] = {}
    for index, sightings in enumerate(chosen):
        for sighting in sightings:
            number = int(tracks[index].frame_number[sighting])
            wanted[number].append((index, tracks[index].boxes[sighting]))
            times[number] = int(tracks[index].time_us[sighting])
    log_odds: list[list[float]] = [[] for _ in tracks]
    if wanted:
        judge = _Judge(model)
        waiting: list[tuple[int, NDArray[np.uint8]]] = []

        def judge_waiting() -> None:
            for (index, _), value in zip(waiting, judge.log_odds([crop for _, crop in waiting]), strict=True):
                log_odds[index].append(value)
            waiting.clear()

        numbers = sorted(wanted)
        for frame in read_frames_at(path, np.array(numbers), np.array([times[number] for number in numbers])):
            for index, box in wanted[frame.number]:
                waiting.append((index, judge.crop(frame.image, box)))
                if len(waiting) == BATCH:
                    judge_waiting()
        judge_waiting()
    return [_verdict(one.track_id, values, config) for one, values in zip(tracks, log_odds, strict=True)]


def as_seen(tracks: Sequence[Track], seen: SeenBoxes) -> list[Track]:
    """The tracks with the boxes the detector gave: a smoothed path is whole where the person was not in full view.

    Sightings whose box is not as tall as the person, and those without a box, are flagged `interpolated`.
    """
    order = np.argsort(seen.track_id, kind="stable")
    ids = seen.track_id[order]
    found = []
    for one in tracks:
        rows = order[np.searchsorted(ids, one.track_id, "left") : np.searchsorted(ids, one.track_id, "right")]
        _, mine, theirs = np.intersect1d(one.frame_number, seen.frame_number[rows], return_indices=True)
        boxes = one.boxes.copy()
        boxes[mine] = seen.boxes[rows[theirs]]
        shown = (boxes[:, 3] - boxes[:, 1]) / np.maximum(one.height, 1e-9)
        whole = np.isin(np.arange(len(boxes)), mine) & (shown >= LEAST_SHOWN) & (shown <= 1 / LEAST_SHOWN)
        found.append(replace(one, boxes=boxes, interpolated=one.interpolated | ~whole))
    return found


def choose_sightings(
    tracks: Sequence[Track], loose: LooseBoxes, config: "GenderConfig", frame_size: tuple[int, int]
) -> list[list[int]]:
    """For each track the indexes of its best sightings, best first: whole, tall enough, uncovered, spread in time."""
    covered = _covered_shares(tracks, loose)
    width, height = frame_size
    chosen = []
    for one, share in zip(tracks, covered, strict=True):
        left, top, right, bottom = one.boxes.astype(np.float64).T
        margin = np.minimum.reduce([left, width - right, height - bottom])
        fit = (
            ~one.interpolated
            & (one.confidence >= LEAST_CONFIDENCE)
            & (one.height >= config.min_height_px)
            & (one.height >= LEAST_ASPECT * (right - left))
            & (margin >= EDGE * one.height)
            & (top >= TOP_EDGE_PX)
            & ~_near(one.time_us, one.time_us[share > config.max_overlap])
        )
        chosen.append(_spread(one.time_us, np.where(fit, one.height * one.confidence * (1 - share), 0), config))
    return chosen


def _near(time_us: NDArray[np.int64], moments_us: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool[S]: times within `NEAR_S` of one of the moments, which are in order."""
    reach = round(NEAR_S * 1e6)
    first = np.searchsorted(moments_us, time_us - reach, "left")
    return np.searchsorted(moments_us, time_us + reach, "right") > first


def _spread(time_us: NDArray[np.int64], worth: NDArray[np.float64], config: "GenderConfig") -> list[int]:
    """The indexes of the most worth (0: never), best first, apart by half of what an even spread would give.

    Neighbouring frames show one pose, and say five times what one of them says.
    """
    fit = np.flatnonzero(worth > 0)
    if not len(fit):
        return []
    gap_us = max(config.min_gap * 1e6, (time_us[fit[-1]] - time_us[fit[0]]) / (2 * config.crops))
    picked: list[int] = []
    for index in fit[np.argsort(-worth[fit], kind="stable")]:
        if all(abs(time_us[index] - time_us[other]) >= gap_us for other in picked):
            picked.append(int(index))
            if len(picked) == config.crops:
                break
    return picked


def fit_calibration(log_odds: NDArray[np.float64], male: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset that make log-odds honest: 1 / (1 + exp(-(slope * log_odds + offset))) is then P(male).

    Platt scaling (J. Platt, Probabilistic outputs for support vector machines, 1999): logistic regression on targets
    drawn in by one count, so that labels which the log-odds part without a mistake do not give an endless slope; by
    Newton's method (H.-T. Lin, C.-J. Lin and R. Weng, A note on Platt's probabilistic outputs, 2007).

    Args:
        log_odds: float64[N], of labelled tracks, as `track_genders.log_odds` has them.
        male: bool[N], the labels.

    Raises:
        ValueError: there are no tracks of one of the two labels.
    """
    men, women = int(male.sum()), int((~male).sum())
    if not men or not women:
        raise ValueError("a calibration needs labelled tracks of both genders: label more")
    target = np.where(male, (men + 1) / (men + 2), 1 / (women + 2))
    inputs = np.column_stack((log_odds, np.ones(len(log_odds))))
    weights = np.array([0.0, np.log((men + 1) / (women + 1))])
    for _ in range(100):
        probability = 1 / (1 + np.exp(-(inputs @ weights)))
        gradient = inputs.T @ (target - probability)
        # The ridge keeps the step finite where all log-odds are alike.
        curvature = (inputs * (probability * (1 - probability))[:, None]).T @ inputs + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1])


class _Judge:
    """The attribute model, in batches of `BATCH`."""

    def __init__(self, model: ModelFile) -> None:
        network = read_openvino(model)
        shape = network.inputs[0].partial_shape
        if len(shape) != 4 or shape[1].get_length() != 3 or shape[2].is_dynamic or shape[3].is_dynamic:
            raise ModelCorrupt(f"{model.path}: is no model of person crops; name another in the configuration")
        self._size = (shape[3].get_length(), shape[2].get_length())
        try:
            network.reshape([BATCH, 3, self._size[1], self._size[0]])
            self._compiled: Any = openvino_core().compile_model(
                network, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}
            )
        except RuntimeError as error:
            raise ModelCorrupt(f"{model.path}: OpenVINO cannot load it; delete it and fetch it again") from error

    def crop(self, image: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
        """uint8[160, 80, 3] of a box, resized without keeping its proportions, as the model was trained."""
        import cv2

        x1, y1, x2, y2 = (round(float(value)) for value in box)
        return cv2.resize(image[y1:y2, x1:x2], self._size).astype(np.uint8, copy=False)

    def log_odds(self, crops: list[NDArray[np.uint8]]) -> list[float]:
        """ln(P(male) / P(female)) of at most `BATCH` crops, within +-`MOST_LOG_ODDS`."""
        batch = np.zeros((BATCH, 3, self._size[1], self._size[0]), np.float32)
        for index, crop in enumerate(crops):
            batch[index] = crop.transpose(2, 0, 1)
        male = self._compiled(batch)[0].reshape(BATCH, -1)[: len(crops), 0].astype(np.float64)
        male = np.clip(male, 1e-6, 1 - 1e-6)
        return np.clip(np.log(male / (1 - male)), -MOST_LOG_ODDS, MOST_LOG_ODDS).tolist()


def _verdict(track_id: int, log_odds: list[float], config: "GenderConfig") -> TrackGender:
    """The verdict of a track's crops: the calibrated mean, less its standard error, must be clear of the band."""
    # Rounded, so that the last bit of a sum cannot make two runs differ.
    mean = round(sum(log_odds) / len(log_odds), 4) if log_odds else 0.0
    gender = UNKNOWN
    if len(log_odds) >= min(LEAST_CROPS, config.crops):
        error = np.std(log_odds, ddof=1) / len(log_odds) ** 0.5 if len(log_odds) > 1 else 0.0
        calibrated = config.calibration.slope * mean + config.calibration.offset
        sure = abs(calibrated) - abs(config.calibration.slope) * round(float(error), 4)
        if 1 / (1 + np.exp(-sure)) >= config.unknown_below:
            gender = MALE if calibrated > 0 else FEMALE
    return TrackGender(track_id, gender, mean, len(log_odds))


def _covered_shares(tracks: Sequence[Track], loose: LooseBoxes) -> list[NDArray[np.float64]]:
    """For each track float64[S]: the largest share of its box that one other box covers in the same frame."""
    shares = [np.zeros(len(one.frame_number)) for one in tracks]
    by_frame: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for index, one in enumerate(tracks):
        for sighting, number in enumerate(one.frame_number.tolist()):
            by_frame[number].append((index, sighting))
    loose_by_frame: dict[int, list[int]] = defaultdict(list)
    for row, number in enumerate(loose.frame_number.tolist()):
        loose_by_frame[number].append(row)
    for number, present in by_frame.items():
        beside = loose.boxes[loose_by_frame.get(number, [])]
        if len(present) + len(beside) < 2:
            continue
        boxes = np.array([tracks[index].boxes[sighting] for index, sighting in present], np.float64)
        for (index, sighting), share in zip(present, covered_share(boxes, beside), strict=True):
            shares[index][sighting] = share
    return shares
