"""Damaged videos: each is quarantined with a reason, counted with a warning, or counted as if it were whole."""

import datetime as dt
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.damage import NAMED, Damaged, damaged, whole_clips
from faults.findings import Finding
from faults.recordings import CAMERAS, FIRST_DAY
from faults.site import Extent, Site
from pc_pipeline.embedded.services import services

VIDEOS = 200
A_DAY = 20
# A run over whole clips takes 300 MB; a picture as large as is believed, a gigabyte more.
MOST_MB = 1500
# Flipped bytes that decode to other pictures without an error, in containers without a checksum: 10 of 1,600 with seeds
# 0 to 7, 3 at most with one. With one seed in a hundred it would be more than 4.
MOST_UNNOTICED = 4
# What was seen in a video, without its name and time.
_SEEN = """
SELECT path, coalesce(sessions.warnings::text, '') AS warnings,
       (frames, frames_sampled, fps, ended_at - sessions.started_at, md5(picture), sharpness,
        (SELECT md5(string_agg(row(frame_number, x1, y1, x2, y2)::text, ',' ORDER BY frame_number, detection_index))
         FROM detections WHERE detections.video_id = videos.video_id))::text
FROM videos JOIN sessions ON session_id = videos.video_id
LEFT JOIN reference_pictures ON reference_pictures.video_id = session_id
WHERE sessions.status = 'completed'
"""
_FILES = "SELECT path, status, coalesce(reason, '') FROM source_files WHERE status <> 'registered'"
_QUARANTINED = """
SELECT path, reason FROM stage_ledger JOIN videos USING (video_id) WHERE stage_ledger.status = 'quarantined'
"""


@dataclass(frozen=True)
class Outcome:
    """What became of one damaged video: `quarantined`, `warned`, `whole` or `unnoticed`; and the sentence for it."""

    what: str
    damage: Damaged
    sentence: str


def find(site: Site, extent: Extent) -> Iterator[Finding]:
    """Two hundred damaged videos, twenty to a camera-day, each camera-day one run, all in one process."""
    made, wholes = lay_down(site.watch_dir, whole_clips(site.home.parent / "whole"), VIDEOS, site.rng.randrange(2**32))
    with services(site.settings()) as found:
        child = subprocess.Popen(
            site.command("process", str(site.watch_dir), "--config", str(site.site_file)),
            env=site.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        outcomes = read_outcomes(lambda statement: site.query(statement, found.postgres_dsn), made, wholes)
        with site.instance() as instance:
            failed = [run for run in instance.get_runs() if run.is_failure_or_canceled or not run.is_finished]
    counts = Counter(outcome.what for outcome in outcomes)
    for outcome in outcomes:
        if outcome.what == "unnoticed":
            site.say(f"  counted otherwise, without a warning: {outcome.damage.whole}, {outcome.damage.damage}")
    crashed = child.returncode < 0
    yield Finding(
        "damaged",
        f"damaged videos, {VIDEOS // A_DAY} camera-days of {A_DAY}",
        VIDEOS,
        f"{counts['quarantined']} quarantined with a reason, {counts['warned']} counted with a warning,"
        f" {counts['whole']} counted as the whole clip is, {counts['unnoticed']} counted otherwise unnoticed",
        counts["unnoticed"] <= MOST_UNNOTICED,
    )
    yield Finding(
        "damaged",
        "crashes by them",
        VIDEOS,
        f"{int(crashed)} processes killed, {len(failed)} runs failed or unfinished",
        not crashed and not failed,
    )
    peak_mb = usage.ru_maxrss / 1024
    yield Finding("damaged", "memory at its peak", VIDEOS, f"{peak_mb:,.0f} MB", peak_mb <= MOST_MB)


def lay_down(
    folder: Path, whole: Mapping[str, bytes], number: int, seed: int, camera: str = CAMERAS[0]
) -> tuple[dict[Path, Damaged], dict[Path, str]]:
    """Write the whole clips, and from the day after on `number` damaged ones; returns both by path."""
    folder.mkdir(parents=True, exist_ok=True)
    made, wholes = {}, {}
    for place, name in enumerate(whole):
        path = _path(folder, camera, FIRST_DAY, place, name.rpartition(".")[2])
        path.write_bytes(whole[name])
        wholes[path] = name
    for place, damage in enumerate(damaged(dict(whole), number, seed)):
        day = FIRST_DAY + dt.timedelta(days=1 + place // A_DAY)
        path = _path(folder, camera, day, place % A_DAY, damage.suffix)
        path.write_bytes(damage.content)
        made[path] = damage
    # What the playlists name; its own name tells no camera.
    (folder / NAMED).write_bytes(whole["h264.mp4"])
    for path in folder.iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return made, wholes


def _path(folder: Path, camera: str, day: dt.date, hour: int, suffix: str) -> Path:
    return folder / f"{camera}_{day:%Y%m%d}_{hour:02}0000.{suffix}"


def read_outcomes(
    query: Callable[[str], list[tuple[Any, ...]]], made: Mapping[Path, Damaged], wholes: Mapping[Path, str]
) -> list[Outcome]:
    """What became of each damaged video.

    Args:
        query: gives the rows of a statement on the results.
        made, wholes: from `lay_down`.
    """
    files = {path: (status, reason) for path, status, reason in query(_FILES)}
    reasons = dict(query(_QUARANTINED))
    warned = {path: warnings for path, warnings, _ in query(_SEEN) if warnings.strip("[]{}")}
    seen = {path: what for path, _, what in query(_SEEN)}
    whole = {name: seen.get(str(path)) for path, name in wholes.items()}
    found = []
    for path, damage in made.items():
        name = str(path)
        status, reason = files.get(name, ("registered", ""))
        if reason := reason or reasons.get(name, ""):
            # Damage that two clips share, or none at all, gives the content of another file.
            found.append(Outcome("whole" if status == "duplicate" else "quarantined", damage, reason))
        elif name in warned:
            found.append(Outcome("warned", damage, warned[name]))
        elif name in seen and seen[name] == whole[damage.whole]:
            found.append(Outcome("whole", damage, ""))
        else:
            found.append(Outcome("unnoticed", damage, ""))
    return found
