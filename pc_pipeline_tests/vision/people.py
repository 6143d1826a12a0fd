"""What somebody saw in the sample videos: boxes, whether the person in them is whole, cut off or covered, and the
apparent gender (`people.csv`)."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pc_pipeline.vision.arrays import Track
from pc_pipeline.vision.crops import SeenBoxes

PEOPLE = Path(__file__).with_name("people.csv")


class Loose(NamedTuple):
    """Boxes that no track took: frame_number int32[M] and boxes float32[M, 4]."""

    frame_number: np.ndarray
    boxes: np.ndarray


NO_BOXES = Loose(np.empty(0, np.int32), np.empty((0, 4), np.float32))


def seen_of(tracks: Sequence[Track], loose: Loose = NO_BOXES) -> SeenBoxes:
    """The detector's boxes where it saw just what the tracks hold, and these beside them."""
    seen = [~track.interpolated for track in tracks]
    ids = [np.full(mine.sum(), track.track_id, np.int32) for track, mine in zip(tracks, seen, strict=True)]
    frames = [track.frame_number[mine] for track, mine in zip(tracks, seen, strict=True)]
    boxes = [track.boxes[mine] for track, mine in zip(tracks, seen, strict=True)]
    frame_number = np.concatenate([*frames, loose.frame_number])
    order = np.argsort(frame_number, kind="stable")
    return SeenBoxes(
        np.concatenate([*ids, np.zeros(len(loose.boxes), np.int32)])[order],
        frame_number[order],
        np.concatenate([*boxes, loose.boxes])[order],
    )


def labelled(video: str) -> tuple[list[Track], list[str], Loose, list[list[str]]]:
    """The people of a sample video as tracks, their labels, the boxes beside them, and how whole each sighting is."""
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in csv.DictReader(PEOPLE.open()):
        if row["video"] == video:
            rows[row["person"]].append(row)
    loose = rows.pop("loose", [])

    def boxes(people: list[dict[str, str]]) -> np.ndarray:
        return np.array([[row[edge] for edge in ("x1", "y1", "x2", "y2")] for row in people], np.float32).reshape(-1, 4)

    tracks = []
    # The tracks of a video are numbered in order of first sighting.
    people = sorted(rows.values(), key=lambda sightings: int(sightings[0]["frame"]))
    for track_id, sightings in enumerate(people, 1):
        numbers = np.array([row["frame"] for row in sightings], np.int32)
        confidence = np.array([row["confidence"] for row in sightings], np.float32)
        seen = np.zeros(len(sightings), bool)
        tracks.append(Track(track_id, numbers, numbers * np.int64(100_000), boxes(sightings), confidence, seen))
    beside = Loose(np.array([row["frame"] for row in loose], np.int32), boxes(loose))
    views = [[row["view"] for row in sightings] for sightings in people]
    return tracks, [sightings[0]["label"] for sightings in people], beside, views
