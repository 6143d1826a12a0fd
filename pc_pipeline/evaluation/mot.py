"""MOTChallenge text: what trackers and ground truths are exchanged in (motchallenge.net, "Data format").

    frame,id,left,top,width,height,confidence,x,y,z              ground truth of 2015, and results (with -1,-1,-1)
    frame,id,left,top,width,height,consider,class,visibility     ground truth of 2016 and later

Frames count from 1. Coordinates are taken as they stand, in pixels from the picture's left and top edge.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.errors import UserError
from pc_pipeline.vision.arrays import Track

PERSON_CLASS = 1
# A row with confidence 0 is one to ignore, so a seen box is never written as one.
LEAST_CONFIDENCE = 0.001


class BadTruth(UserError):
    """A file of ground truth that cannot be used."""

    exit_code = 2


@dataclass(frozen=True)
class MotRows:
    """The rows of a MOTChallenge file that count, in order of frame, then of the file.

    Attributes:
        frame_number: int32[N], index in the container, from 0 (the file's frame less 1).
        person: int64[N], the file's id.
        boxes: float32[N, 4], x1, y1, x2, y2 in pixels of the video.
        confidence: float32[N].
    """

    frame_number: NDArray[np.int32]
    person: NDArray[np.int64]
    boxes: NDArray[np.float32]
    confidence: NDArray[np.float32]

    def before(self, frame_number: int) -> "MotRows":
        """The rows of the frames before this one."""
        kept = self.frame_number < frame_number
        return MotRows(self.frame_number[kept], self.person[kept], self.boxes[kept], self.confidence[kept])

    def tracks(self, clock: Callable[[NDArray[np.int32]], NDArray[np.int64]]) -> list[Track]:
        """A track for each id, by number, `clock` giving the time of each frame (int64[N], µs from the start)."""
        found = []
        for person in np.unique(self.person):
            rows = np.flatnonzero(self.person == person)
            found.append(
                Track(
                    track_id=int(person),
                    frame_number=self.frame_number[rows],
                    time_us=clock(self.frame_number[rows]),
                    boxes=self.boxes[rows],
                    confidence=self.confidence[rows],
                    interpolated=np.zeros(len(rows), np.bool_),
                )
            )
        return found


def read_mot(lines: Iterable[str], source: str, scale: float = 1.0) -> MotRows:
    """The people in a MOTChallenge text. Rows of another class than person are left out.

    People flagged with confidence 0 are kept, with it: they are there, and whether they are found is not to be judged.

    Args:
        source: the file's name, for errors.
        scale: multiplies every coordinate, where the truth was drawn on pictures of another size.

    Raises:
        BadTruth: a line is not of this format, or gives a person twice in a frame, or nobody is left.
    """
    frames, people, boxes, confidences = [], [], [], []
    seen: dict[tuple[int, int], int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        frame, person, box, confidence, is_person = _row(line, f"{source}:{number}")
        if not is_person:
            continue
        first = seen.setdefault((frame, person), number)
        if first != number:
            raise BadTruth(
                f"{source}:{number}: person {person} is in frame {frame} already, on line {first}: "
                "give everyone one box a frame."
            )
        frames.append(frame - 1)
        people.append(person)
        boxes.append(box)
        confidences.append(confidence)
    if not any(confidences):
        raise BadTruth(f"{source}: there is nobody in it: every row is empty, or to be ignored, or of another class.")
    order = np.argsort(np.array(frames), kind="stable")
    corner_and_size = np.array(boxes, np.float64)[order] * scale
    corners = np.column_stack((corner_and_size[:, :2], corner_and_size[:, :2] + corner_and_size[:, 2:]))
    return MotRows(
        frame_number=np.array(frames, np.int32)[order],
        person=np.array(people, np.int64)[order],
        boxes=corners.astype(np.float32),
        confidence=np.array(confidences, np.float32)[order],
    )


def write_mot(tracks: Iterable[Track]) -> str:
    """MOTChallenge text of tracks, one row a box (interpolated ones too), by frame and track; empty without tracks."""
    rows = [
        (int(frame) + 1, track.track_id, box, float(confidence))
        for track in tracks
        for frame, box, confidence in zip(
            track.frame_number, track.boxes.astype(np.float64), track.confidence, strict=True
        )
    ]
    return "".join(
        f"{frame},{track_id},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},"
        f"{max(confidence, LEAST_CONFIDENCE):.3f},-1,-1,-1\n"
        for frame, track_id, (x1, y1, x2, y2), confidence in sorted(rows, key=lambda row: row[:2])
    )


def _row(line: str, where: str) -> tuple[int, int, list[float], float, bool]:
    """Frame, id, [left, top, width, height] and confidence of a line, and whether it is a person."""
    fields = line.strip().rstrip(",").split(",")
    if len(fields) < 6:
        raise BadTruth(
            f"{where}: this is no line of MOTChallenge text: write frame,id,left,top,width,height,confidence,-1,-1,-1."
        )
    try:
        values = [float(field) for field in fields]
    except ValueError:
        bad = next(field for field in fields if not _is_number(field))
        raise BadTruth(f"{where}: '{bad.strip()[:40]}' is no number.") from None
    frame, person, *box = values[:6]
    if not np.isfinite(values).all():
        raise BadTruth(f"{where}: every value must be a finite number.")
    if frame != int(frame) or not 1 <= frame < 2**31:
        raise BadTruth(f"{where}: frame {fields[0].strip()} is no frame: they count 1, 2, 3 and so on.")
    if person != int(person) or not 0 <= person < 2**53:
        no_ids = ", and -1 is what a file of detections without identities has" if person == -1 else ""
        raise BadTruth(f"{where}: id {fields[1].strip()} names nobody: write 0, 1, 2 and so on{no_ids}.")
    if box[2] <= 0 or box[3] <= 0:
        raise BadTruth(f"{where}: a box is wider and higher than 0, not {fields[4].strip()} by {fields[5].strip()}.")
    confidence = values[6] if len(values) > 6 else 1.0
    # Ten columns hold a place in the world, or -1,-1,-1; eight and nine hold a class, or -1 for none.
    of_class = values[7] if len(values) in (8, 9) and values[7] != -1 else PERSON_CLASS
    return int(frame), int(person), box, confidence, of_class == PERSON_CLASS


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
