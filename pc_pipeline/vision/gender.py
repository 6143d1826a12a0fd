"""Apparent gender of a track from its best few crops; `unknown` is a first-class answer.

Attribute models give cut-off, hidden and small people a label too, and a wrong one, so only whole, large, uncovered
people are shown to the model, and the mean log-odds over a track's crops must be clear of the unknown band.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.errors import ModelCorrupt
from pc_pipeline.vision.arrays import Track
from pc_pipeline.vision.decode import read_frames_at
from pc_pipeline.vision.models import ModelFile, openvino_core, read_openvino

if TYPE_CHECKING:
    from pc_pipeline.ingest.site import GenderConfig

CODE_VERSION = "1"
UNKNOWN, MALE, FEMALE = 0, 1, 2
BATCH = 16
# A box that comes this near (pixels) to the frame's edge may be of a person cut off by it.
EDGE_PX = 2.0
# Height over width of a person standing or walking; what is squatter is a part, a bag or a group.
LEAST_ASPECT = 1.5
# One very sure crop shall not outvote all others.
MOST_LOG_ODDS = 4.0


@dataclass(frozen=True)
class TrackGender:
    """A track's verdict.

    Attributes:
        track_id: the track.
        gender: 0 unknown, 1 male, 2 female.
        log_odds: mean over the crops of ln(P(male) / P(female)), 0.0 without a crop.
        crops: how many were judged.
    """

    track_id: int
    gender: int
    log_odds: float
    crops: int


def classify(
    path: Path, tracks: Sequence[Track], model: ModelFile, config: "GenderConfig", frame_size: tuple[int, int]
) -> list[TrackGender]:
    """One verdict a track, in the order of `tracks`. Only the frames of chosen crops are converted to pictures.

    Args:
        path: the video; if it ends earlier than the tracks do, what is left of the crops decides.
        tracks: all tracks of the video, since they may hide each other.
        model: BGR 0..255 person crops in, P(male) first in the first output
            (`person-attributes-recognition-crossroad-0230`).
        config: `min_height_px`, `crops`, `max_overlap` 0..1, `min_gap` seconds, `unknown_below` probability.
        frame_size: width and height of the upright frames, pixels.

    Raises:
        ModelCorrupt: the model cannot be loaded or is no such model.
        UnreadableVideo: the video cannot be opened.
    """
    chosen = choose_sightings(tracks, config, frame_size)
    wanted: dict[int, list[tuple[int, NDArray[np.float32]]]] = defaultdict(list)
    for index, sightings in enumerate(chosen):
        for sighting in sightings:
            wanted[int(tracks[index].frame_number[sighting])].append((index, tracks[index].boxes[sighting]))
    log_odds: list[list[float]] = [[] for _ in tracks]
    if wanted:
        judge = _Judge(model)
        waiting: list[tuple[int, NDArray[np.uint8]]] = []

        def judge_waiting() -> None:
            for (index, _), value in zip(waiting, judge.log_odds([crop for _, crop in waiting]), strict=True):
                log_odds[index].append(value)
            waiting.clear()

        for frame in read_frames_at(path, np.array(sorted(wanted))):
            for index, box in wanted[frame.number]:
                waiting.append((index, judge.crop(frame.image, box)))
                if len(waiting) == BATCH:
                    judge_waiting()
        judge_waiting()
    return [_verdict(one.track_id, values, config.unknown_below) for one, values in zip(tracks, log_odds, strict=True)]


def choose_sightings(tracks: Sequence[Track], config: "GenderConfig", frame_size: tuple[int, int]) -> list[list[int]]:
    """For each track the indexes of its best sightings, best first: whole, tall enough, uncovered, spread in time."""
    covered = _covered_shares(tracks)
    width, height = frame_size
    chosen = []
    for one, share in zip(tracks, covered, strict=True):
        boxes = one.boxes
        widths = np.maximum(boxes[:, 2] - boxes[:, 0], 1e-3)
        fit = (
            ~one.interpolated
            & (one.height >= config.min_height_px)
            & (one.height >= LEAST_ASPECT * widths)
            & (boxes[:, :2] >= EDGE_PX).all(axis=1)
            & (boxes[:, 2] <= width - EDGE_PX)
            & (boxes[:, 3] <= height - EDGE_PX)
            & (share <= config.max_overlap)
        )
        worth = one.height * one.confidence * (1 - share)
        picked: list[int] = []
        for index in np.argsort(-worth, kind="stable"):
            if len(picked) == config.crops:
                break
            apart = [abs(int(one.time_us[index] - one.time_us[other])) for other in picked]
            if fit[index] and min(apart, default=1 << 62) >= config.min_gap * 1e6:
                picked.append(int(index))
        chosen.append(picked)
    return chosen


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
            self._compiled: Any = openvino_core().compile_model(network, "CPU", {"ENABLE_CPU_PINNING": False})
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


def _verdict(track_id: int, log_odds: list[float], unknown_below: float) -> TrackGender:
    # Rounded, so that the last bit of a sum cannot make two runs differ.
    mean = round(sum(log_odds) / len(log_odds), 4) if log_odds else 0.0
    male = 1 / (1 + np.exp(-mean))
    gender = UNKNOWN
    if log_odds and max(male, 1 - male) >= unknown_below:
        gender = MALE if male > 0.5 else FEMALE
    return TrackGender(track_id, gender, mean, len(log_odds))


def _covered_shares(tracks: Sequence[Track]) -> list[NDArray[np.float64]]:
    """For each track float64[S]: the largest share of its box that one other track's box covers in the same frame."""
    shares = [np.zeros(len(one.frame_number)) for one in tracks]
    by_frame: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for index, one in enumerate(tracks):
        for sighting, number in enumerate(one.frame_number.tolist()):
            by_frame[number].append((index, sighting))
    for present in by_frame.values():
        if len(present) < 2:
            continue
        boxes = np.array([tracks[index].boxes[sighting] for index, sighting in present], np.float64)
        corner = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        size = np.maximum(np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - corner, 0)
        areas = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-9)
        shared = size.prod(axis=2) / areas[:, None]
        np.fill_diagonal(shared, 0)
        for (index, sighting), share in zip(present, shared.max(axis=1), strict=True):
            shares[index][sighting] = share
    return shares
