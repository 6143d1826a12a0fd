"""What tracks are read against: a well-known tracker at its defaults, and the best that the same boxes could give.

The first says whether offline tracking is worth it. The second says how much of the error is left to the tracker: what
it gets wrong, no tracker of these boxes gets right.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.evaluation.metrics import MIN_IOU, by_frame
from pc_pipeline.vision.arrays import Detections, Track

# Who is unseen for longer may have left the picture.
LONGEST_FILLED_US = 2_000_000


def bytetrack(detections: Detections) -> list[Track]:
    """The tracks of the `trackers` package's ByteTrack with its own defaults: the boxes it gave an id, unfilled.

    Its frame rate is one over the median time between the sampled frames.
    """
    import supervision
    from trackers import ByteTrackTracker

    steps = np.diff(detections.pts_us)
    tracker = ByteTrackTracker(frame_rate=1e6 / float(np.median(steps))) if len(steps) else ByteTrackTracker()
    ids = np.full(len(detections.boxes), -1, np.int64)
    for frame in range(len(detections.frame_number)):
        start, end = detections.offsets[frame : frame + 2]
        found = tracker.update(
            supervision.Detections(
                xyxy=detections.boxes[start:end].astype(np.float64),
                confidence=detections.confidence[start:end].astype(np.float64),
                data={"row": np.arange(start, end)},
            )
        )
        if len(found):
            ids[found.data["row"]] = np.asarray(found.tracker_id)
    return [
        _track(place, detections, np.flatnonzero(ids == one)) for place, one in enumerate(np.unique(ids[ids >= 0]), 1)
    ]


def perfect(detections: Detections, truth: Sequence[Track]) -> list[Track]:
    """The same boxes perfectly associated: each given to the person it overlaps by at least .5, and gaps of up to 2 s
    filled linearly.

    In each frame the pairs of largest summed overlap are taken. A track's id is its person's.
    """
    from scipy.optimize import linear_sum_assignment
    from trackers.eval import box_iou

    people = np.full(len(detections.boxes), -1, np.int64)
    true_ids, true_boxes = by_frame(truth, detections.frame_number)
    for frame, (present, boxes) in enumerate(zip(true_ids, true_boxes, strict=True)):
        start, end = detections.offsets[frame : frame + 2]
        overlap = box_iou(boxes, detections.boxes[start:end])
        overlap[overlap < MIN_IOU] = 0
        pairs = [(i, j) for i, j in zip(*linear_sum_assignment(overlap, maximize=True), strict=True) if overlap[i, j]]
        for person, box in pairs:
            people[start + box] = present[person]
    return [
        _filled(_track(truth[place].track_id, detections, np.flatnonzero(people == place)), detections)
        for place in np.unique(people[people >= 0])
    ]


def _track(track_id: int, detections: Detections, rows: NDArray[np.intp]) -> Track:
    frames = detections.frame_index[rows]
    return Track(
        track_id=track_id,
        frame_number=detections.frame_number[frames],
        time_us=detections.pts_us[frames],
        boxes=detections.boxes[rows],
        confidence=detections.confidence[rows],
        interpolated=np.zeros(len(rows), np.bool_),
    )


def _filled(track: Track, detections: Detections) -> Track:
    """The track with a box in every sampled frame of its gaps, but for the long ones."""
    first, last = np.searchsorted(detections.pts_us, track.time_us[[0, -1]])
    times = detections.pts_us[first : last + 1]
    # Of every time the sighting at or before it, and the one at or after it.
    before = np.searchsorted(track.time_us, times, "right") - 1
    after = np.searchsorted(track.time_us, times, "left")
    kept = track.time_us[after] - track.time_us[before] <= LONGEST_FILLED_US
    times = times[kept]
    values = np.column_stack((track.boxes, track.confidence))
    every = np.column_stack([np.interp(times, track.time_us, column) for column in values.T]).astype(np.float32)
    return Track(
        track_id=track.track_id,
        frame_number=detections.frame_number[first : last + 1][kept],
        time_us=times,
        boxes=every[:, :4],
        confidence=every[:, 4],
        interpolated=~np.isin(times, track.time_us),
    )
