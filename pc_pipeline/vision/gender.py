"""Apparent gender of a track from its best few crops (`vision.crops`); `unknown` is a first-class answer.

The mean log-odds over a track's crops must be clear of the unknown band by more than the crops disagree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.errors import ModelCorrupt
from pc_pipeline.vision.crops import Crops
from pc_pipeline.vision.decode import read_frames_at
from pc_pipeline.vision.models import ModelFile, openvino_core, read_openvino

if TYPE_CHECKING:
    from pc_pipeline.ingest.site import GenderConfig

UNKNOWN, MALE, FEMALE = 0, 1, 2
BATCH = 16
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


def judge_crops(path: Path, crops: Crops, model: ModelFile, config: "GenderConfig") -> list[TrackGender]:
    """One verdict a track, in the order of `crops.track_id`. Only the frames of the crops are converted to pictures,
    and as little as can be is decoded for them.

    Args:
        path: the video; if it ends earlier than the crops do, what is left of them decides.
        crops: as `choose_crops` gives them.
        model: BGR 0..255 person crops in, P(male) first in the first output
            (`person-attributes-recognition-crossroad-0230`).
        config: `crops`, `unknown_below` probability, `calibration`.

    Raises:
        ModelCorrupt: the model cannot be loaded or is no such model.
        UnreadableVideo: the video cannot be opened.
    """
    # Of a crop whose frame is not there, none.
    log_odds = np.full(len(crops.track), np.nan)
    if len(log_odds):
        judge = _Judge(model)
        pictures = _pictures(path, crops, judge)
        while batch := list(islice(pictures, BATCH)):
            log_odds[[row for row, _ in batch]] = judge.log_odds([picture for _, picture in batch])
    first = np.searchsorted(crops.track, np.arange(len(crops.track_id) + 1)).tolist()
    found = ~np.isnan(log_odds)
    return [
        _verdict(number, log_odds[low:high][found[low:high]].tolist(), config)
        for number, low, high in zip(crops.track_id.tolist(), first, first[1:], strict=False)
    ]


def _pictures(path: Path, crops: Crops, judge: "_Judge") -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The crops' pictures, each with its row, in order of frames; those of one frame in order of their tracks."""
    order = np.argsort(crops.frame_number, kind="stable")
    in_order = crops.frame_number[order]
    numbers, first = np.unique(in_order, return_index=True)
    for frame in read_frames_at(path, numbers, crops.time_us[order[first]]):
        low, high = np.searchsorted(in_order, (frame.number, frame.number + 1))
        for row in order[low:high].tolist():
            yield row, judge.crop(frame.image, crops.boxes[row])


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
