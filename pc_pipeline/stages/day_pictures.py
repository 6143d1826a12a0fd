"""A camera-day's heat map and flow picture, from its stored tracks: no video is decoded, and none is shown."""

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from itertools import islice

from psycopg2.extensions import connection as Connection

from pc_pipeline.pictures import flow as flows
from pc_pipeline.pictures import heat_map as heat
from pc_pipeline.pictures.plan import Plan
from pc_pipeline.pictures.png import png
from pc_pipeline.stages import fingerprints as fp
from pc_pipeline.stages.machine import Machine
from pc_pipeline.stages.movements import corners_of, line_of
from pc_pipeline.stages.runner import day_span
from pc_pipeline.store import shown
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.store.tracks import each_track

_AT_ONCE = 200


@dataclass(frozen=True)
class DayPictures:
    """PNG files of under 40 kB each."""

    heat_map: bytes
    flow: bytes


def day_pictures(machine: Machine, camera: str, date: dt.date) -> DayPictures | None:
    """The pictures of a camera-day; None where nobody was tracked.

    The lines and zones drawn are those of the day's last video; the counts are of all of it.
    """
    return in_transaction(machine.dsn, lambda connection: _drawn(connection, camera, date))[0]


def _drawn(connection: Connection, camera: str, date: dt.date) -> DayPictures | None:
    span = day_span(connection, camera, date)
    videos = [video for video in span.videos if video.date == date and video.done(fp.TRACKS)]
    if not videos:
        return None
    last = videos[-1]
    counts: Counter[tuple[str, str]] = Counter()
    for video in videos:
        counts.update((line, direction) for _, line, direction, _, _ in shown.crossings(connection, video.video_id))
    lines = {zone.name: line_of(zone) for zone in fp.geometry(span, "line", last)}
    plan = Plan(
        aspect=last.height / last.width,
        lines=lines,
        zones={zone.name: corners_of(zone) for zone in fp.geometry(span, "zone", last)},
        counts={name: (counts[name, "in"], counts[name, "out"]) for name in lines},
    )
    seconds = heat.presence([], (last.width, last.height), plan.cells(heat.CELL))
    moved = flows.flow([], (last.width, last.height), plan.cells(flows.CELL))
    people = 0
    for video in videos:
        frame_size, tracks = (video.width, video.height), each_track(connection, video.video_id)
        # A few tracks at a time: a busy day's would fill the memory.
        while some := list(islice(tracks, _AT_ONCE)):
            seconds += heat.presence(some, frame_size, plan.cells(heat.CELL))
            moved += flows.flow(some, frame_size, plan.cells(flows.CELL))
            people += len(some)
    if not people:
        return None
    return DayPictures(png(heat.heat_map(seconds, plan)), png(flows.flow_picture(moved, plan)))
