"""The `detections` and `tracks` stage: stored boxes become tracks, and both go to Postgres."""

from array import array
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from psycopg2.extensions import connection as Connection

from pc_pipeline.ingest.site import EffectiveCamera
from pc_pipeline.stages.fingerprints import RAW_DETECTIONS, TRACK_LINKS, TRACKS, later
from pc_pipeline.stages.machine import Machine
from pc_pipeline.stages.written import Written
from pc_pipeline.store import ledger, metrics, parquet, sessions
from pc_pipeline.store.detections import insert_pieces
from pc_pipeline.store.ledger import CameraSpan, Video
from pc_pipeline.store.metrics import SeenFrames
from pc_pipeline.store.tracks import insert_tracks
from pc_pipeline.vision.arrays import Detections, Track
from pc_pipeline.vision.track import follow
from pc_pipeline.vision.track.people import Followed


def write(connection: Connection, machine: Machine, span: CameraSpan, video: Video, fingerprint: str) -> Written:
    """Track a video's stored boxes and replace its detections, tracks, frames and minutes.

    What hung on the tracks before goes with them, so the ledger forgets it: also the links of a following file.
    """
    raw = video.done(RAW_DETECTIONS)
    assert raw
    config = EffectiveCamera.model_validate(span.config)
    linked = sessions.clear_results(connection, video.video_id)
    ledger.forget(
        connection,
        [(video.video_id, stage) for stage in later(TRACKS)] + [(other, TRACK_LINKS) for other in linked],
    )
    taken = _Taken()
    pieces = taken.reading(parquet.read_boxes(machine.raw_dir, raw))
    tracks = taken.noting(follow(pieces, config.tracker, (video.width, video.height)))
    tracks_load = insert_tracks(connection, video.video_id, video.started_at, tracks, machine.load)
    # Read a second time: only now it is known how many came before each track, and so its number.
    numbered = taken.numbered(parquet.read_boxes(machine.raw_dir, raw))
    load = insert_pieces(connection, video.video_id, video.started_at, taken.last_us, numbered, machine.load)
    frames_load = metrics.insert_frames(connection, video.video_id, video.started_at, taken.frames, machine.load)
    looked_at = [metrics.minutes_of(video.started_at, frames.pts_us) for frames in taken.frames]
    metrics.insert_minutes(connection, video.video_id, np.unique(np.concatenate(looked_at)))
    return Written(
        rows=load.rows,
        details={
            "detections": load.rows,
            "tracks": tracks_load.rows,
            "detections_in_a_track": taken.in_a_track,
            "frames_sampled": frames_load.rows,
        },
        loads=(load, tracks_load, frames_load),
        frames=frames_load.rows,
    )


class _Taken:
    """Which track took each box of a video, noted as its pieces are read and its tracks close: 4 bytes a box.

    `frames` are those of the pieces that were `numbered`, without their boxes: 20 bytes a frame.
    """

    def __init__(self) -> None:
        self.last_us = self.in_a_track = 0
        self.frames: list[SeenFrames] = []
        # Of each box the number its track came with, 0 for none; and these numbers.
        self._came_with = array("i")
        self._numbers = array("i")

    def reading(self, pieces: Iterable[Detections]) -> Iterator[Detections]:
        """The pieces, noted."""
        for piece in pieces:
            self.last_us = int(piece.pts_us[-1])
            self._came_with.frombytes(bytes(4 * len(piece.boxes)))
            yield piece

    def noting(self, found: Iterable[Followed]) -> Iterator[Track]:
        """The tracks, noted."""
        for one in found:
            np.frombuffer(self._came_with, np.int32)[one.rows] = one.track.track_id
            self._numbers.append(one.track.track_id)
            self.in_a_track += len(one.rows)
            yield one.track

    def numbered(self, pieces: Iterable[Detections]) -> Iterator[tuple[Detections, NDArray[np.int32]]]:
        """The pieces again, each with int32[N]: the track that took each box, numbered from 1 in order of first
        sighting; 0 for none."""
        in_order, start = np.sort([0, *self._numbers]), 0
        for piece in pieces:
            end = start + len(piece.boxes)
            track_ids = np.searchsorted(in_order, self._came_with[start:end]).astype(np.int32)
            self.frames.append(_frames(piece, track_ids))
            yield piece, track_ids
            start = end


def _frames(piece: Detections, track_ids: NDArray[np.int32]) -> SeenFrames:
    taken = np.concatenate(([0], np.cumsum(track_ids > 0)))
    unmeasured = np.zeros(len(piece.pts_us), np.float32)
    return SeenFrames(
        frame_number=piece.frame_number,
        pts_us=piece.pts_us,
        detections=np.diff(piece.offsets).astype(np.int16),
        people=np.diff(taken[piece.offsets]).astype(np.int16),
        processing_ms=unmeasured if piece.processing_ms is None else piece.processing_ms,
    )
