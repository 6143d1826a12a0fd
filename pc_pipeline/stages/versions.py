"""The stages in the order of the way, and the version of each one's code.

A version is raised when that code would give other rows for the same input: it is part of what the stage's
fingerprint takes in. They stand here, and not beside the code, so that a code server knows them without loading it.
"""

from collections.abc import Mapping

RAW_DETECTIONS = "raw_detections"
CAMERA_EVENTS = "camera_events"
TRACKS = "tracks"
TRACK_GENDERS = "track_genders"
RUN_GENDER_SUMMARY = "run_gender_summary"
TRACK_LINKS = "track_links"
PEOPLE_MOVEMENTS = "people_movements"
ZONE_VISITS = "zone_visits"
SESSION_STATISTICS = "session_statistics"

CODE_VERSIONS: Mapping[str, str] = {
    RAW_DETECTIONS: "2",  # vision/decode.py, vision/detect
    CAMERA_EVENTS: "1",  # vision/picture.py
    TRACKS: "3",  # vision/track
    TRACK_GENDERS: "3",  # vision/gender.py
    RUN_GENDER_SUMMARY: "1",
    TRACK_LINKS: "2",  # counting/links.py
    PEOPLE_MOVEMENTS: "2",  # counting/crossings.py
    ZONE_VISITS: "2",  # counting/zones.py
    SESSION_STATISTICS: "2",  # counting/occupancy.py
}
STAGES = tuple(CODE_VERSIONS)
