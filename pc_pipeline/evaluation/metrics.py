"""How good tracks are against the truth: HOTA, CLEAR MOT and identity metrics, by the `trackers` package's evaluation.

HOTA: arXiv 2009.07736, averaged over overlaps .05 to .95. CLEAR MOT: Bernardin and Stiefelhagen 2008. IDF1: arXiv
1609.01775. The last two at an overlap (intersection over union) of .5.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.vision.arrays import Track

MIN_IOU = 0.5

Places = NDArray[np.int64]
Boxes = NDArray[np.float64]


def scores(
    truth: Sequence[Track], found: Sequence[Track], frame_numbers: NDArray[np.integer]
) -> dict[str, float | int]:
    """`HOTA DetA AssA MOTA IDF1 IDSW precision recall unique_true unique_found`.

    A true box of confidence 0 is not judged: neither it nor a box found there counts for or against (MOTChallenge).

    Args:
        truth, found: tracks in pixels of the same picture; every box counts, interpolated or not.
        frame_numbers: int[F], sorted: the frames that are compared. The boxes of other frames are left out;
            the unique people are those of all frames.
    """
    from trackers.eval import box_iou, compute_clear_metrics, compute_hota_metrics, compute_identity_metrics

    true_ids, true_boxes, found_ids, found_boxes = _judged(truth, found, frame_numbers)
    overlaps = [box_iou(true, other) for true, other in zip(true_boxes, found_boxes, strict=True)]
    hota = compute_hota_metrics(true_ids, found_ids, overlaps)
    clear = compute_clear_metrics(true_ids, found_ids, overlaps, MIN_IOU)
    identity = compute_identity_metrics(true_ids, found_ids, overlaps, MIN_IOU)
    return {
        "HOTA": float(hota["HOTA"]),
        "DetA": float(hota["DetA"]),
        "AssA": float(hota["AssA"]),
        "MOTA": float(clear["MOTA"]),
        "IDF1": float(identity["IDF1"]),
        "IDSW": int(clear["IDSW"]),
        "precision": float(clear["CLR_Pr"]),
        "recall": float(clear["CLR_Re"]),
        "unique_true": len(judged(truth)),
        "unique_found": len(found),
    }


def judged(truth: Sequence[Track]) -> list[Track]:
    """The people who are to be found at some time: with a box of confidence above 0."""
    return [person for person in truth if (person.confidence > 0).any()]


def _judged(
    truth: Sequence[Track], found: Sequence[Track], frame_numbers: NDArray[np.integer]
) -> tuple[list[Places], list[Boxes], list[Places], list[Boxes]]:
    """Places and boxes by frame, of truth and found, without the true boxes not judged and what was found there.

    The places are numbered anew without holes, as the metrics want them.
    """
    from scipy.optimize import linear_sum_assignment
    from trackers.eval import box_iou

    true_ids, true_boxes = by_frame(truth, frame_numbers)
    found_ids, found_boxes = by_frame(found, frame_numbers)
    confidences = [_confidence(truth, ids, int(frame)) for ids, frame in zip(true_ids, frame_numbers, strict=True)]
    for frame, confidence in enumerate(confidences):
        if confidence.all():
            continue
        overlap = box_iou(true_boxes[frame], found_boxes[frame])
        overlap[overlap < MIN_IOU] = 0
        rows, columns = linear_sum_assignment(overlap, maximize=True)
        taken = columns[(overlap[rows, columns] > 0) & (confidence[rows] == 0)]
        found_ids[frame] = np.delete(found_ids[frame], taken)
        found_boxes[frame] = np.delete(found_boxes[frame], taken, axis=0)
        true_ids[frame], true_boxes[frame] = true_ids[frame][confidence > 0], true_boxes[frame][confidence > 0]
    return _renumbered(true_ids), true_boxes, _renumbered(found_ids), found_boxes


def _confidence(tracks: Sequence[Track], places: Places, frame: int) -> NDArray[np.float32]:
    """float32[n]: the confidence of these tracks' boxes in a frame."""
    values = [tracks[i].confidence[np.searchsorted(tracks[i].frame_number, frame)] for i in places.tolist()]
    return np.array(values, np.float32)


def _renumbered(ids: list[Places]) -> list[Places]:
    present = np.unique(np.concatenate(ids)) if ids else np.zeros(0, np.int64)
    return [np.searchsorted(present, one).astype(np.int64) for one in ids]


def by_frame(
    tracks: Sequence[Track], frame_numbers: NDArray[np.integer]
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.float64]]]:
    """For each of these frames the places in `tracks` of those in it, int64[n], and their boxes, float64[n, 4]."""
    if not tracks:
        return [np.zeros(0, np.int64)] * len(frame_numbers), [np.zeros((0, 4))] * len(frame_numbers)
    frames = np.concatenate([track.frame_number for track in tracks])
    places = np.repeat(np.arange(len(tracks), dtype=np.int64), [len(track.frame_number) for track in tracks])
    boxes = np.concatenate([track.boxes for track in tracks]).astype(np.float64)
    order = np.argsort(frames, kind="stable")
    frames, places, boxes = frames[order], places[order], boxes[order]
    starts = np.searchsorted(frames, frame_numbers, "left")
    ends = np.searchsorted(frames, frame_numbers, "right")
    spans = list(zip(starts.tolist(), ends.tolist(), strict=True))
    return [places[start:end] for start, end in spans], [boxes[start:end] for start, end in spans]
