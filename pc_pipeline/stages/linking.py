"""The `track_links` stage: tracks of one file joined to those of the next."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
from psycopg2.extensions import connection as Connection

from pc_pipeline.counting.links import link_tracks, reach_us
from pc_pipeline.ingest.site import EffectiveCamera
from pc_pipeline.stages.fingerprints import TRACK_LINKS, predecessor
from pc_pipeline.stages.machine import Machine
from pc_pipeline.stages.written import Written
from pc_pipeline.store import counts, ledger
from pc_pipeline.store.ledger import CameraSpan, Link, Video
from pc_pipeline.store.tracks import first_sighting, tracks_in_view
from pc_pipeline.vision.arrays import Track


def write(connection: Connection, machine: Machine, span: CameraSpan, video: Video, fingerprint: str) -> Written:
    """Join this video's tracks to those of the file before it, where there is one within the link gap."""
    before = predecessor(span, video)
    links: list[Link] = []
    if before:
        config = EffectiveCamera.model_validate(span.config).counting
        # Files of one camera may differ in size; the picture they show is the same.
        scale = np.tile([video.width / before.width, video.height / before.height], 2)
        later_us = (video.started_at - before.started_at) // timedelta(microseconds=1)
        ended, begun = _around(connection, before, video, timedelta(microseconds=reach_us(config)))
        ended = [replace(t, boxes=t.boxes * scale) for t in ended]
        joined = link_tracks(ended, begun, later_us, (video.width, video.height), config)
        links = [Link(video.video_id, head, before.video_id, tail) for tail, head in joined]
        # Until this file came, the one after it was the next, and may have been joined to the same tracks.
        displaced = counts.displace_links(connection, video.video_id, before.video_id)
        ledger.forget(connection, [(other, TRACK_LINKS) for other in displaced])
    counts.replace_links(connection, video.video_id, links)
    return Written(rows=len(links), details={"links": len(links)})


def _around(connection: Connection, before: Video, video: Video, reach: timedelta) -> tuple[list[Track], list[Track]]:
    """The tracks of two files that are in view within `reach` of where the second one's begin."""
    cut = first_sighting(connection, video.video_id)
    if cut is None:
        return [], []
    return (
        tracks_in_view(connection, before.video_id, cut - reach, cut),
        tracks_in_view(connection, video.video_id, cut, cut + reach),
    )
