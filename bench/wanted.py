"""The areas in their order, and what is wanted of each row: the ratio, floor first and then the aim."""

AREAS = (
    "vision",
    "genders",
    "load",
    "rollups",
    "recount",
    "orchestration",
    "sensor",
    "start",
    "cache",
    "memory",
)

# (area, work) as in the rows: what the ratio should be.
WANTED: dict[tuple[str, str], str] = {
    ("vision", "decode to tracks, 640x640, whole process"): "≥ 2.0, aim 2.25",
    ("vision", "decode to tracks, 640x640, peak memory"): "≤ 1/3",
    ("vision", "decode to tracks, 640x640, of raw inference"): "≥ 0.80, aim 0.95",
    ("vision", "1080p H.264 sampled at 10 of 30 frames/s"): "≥ 0.75, aim 0.9",
    ("vision", "two videos at once"): "≥ 1",
    ("vision", "input shaped to the video"): "",
    ("vision", "static corridor with motion gating"): "",
    ("genders", "second pass, only the frames needed"): "≥ 2",
    ("load", "1,000,000 detections"): "≥ 0.90, aim 1.0",
    ("load", "batch of 200, p95 latency"): "≤ 1, aim 0.1",
    ("load", "batch of 2,000, p95 latency"): "≤ 1, aim 0.1",
    ("load", "replacing a video's rows"): "≤ 1.5",
    ("rollups", "hourly, one day, 100 cameras, 30 days of history"): "≤ 1",
    ("rollups", "daily, one day, 100 cameras, 30 days of history"): "≤ 1",
    ("rollups", "hourly with 360 days of tracks and movements"): "≤ 1.2, aim 1.0",
    ("rollups", "daily with 360 days of tracks and movements"): "≤ 1.2, aim 1.0",
    ("recount", "a line moved, 30 camera-days"): "≤ 0.01",
    ("orchestration", "a camera-day of 24 short videos through Dagster"): "≤ 1.15",
    ("sensor", "a tick with 100,000 known files and 100 new"): "≤ 1, aim 0.1",
    ("start", "import of pc_pipeline.definitions, time"): "≤ 1.3",
    ("start", "import of pc_pipeline.definitions, memory"): "≤ 1.3",
    ("cache", "dashboard summary from Redis, p95"): "≤ 1",
    ("cache", "dashboard summary from Postgres, p95"): "≤ 1",
    ("memory", "tracking to statistics, 12 hours of boxes"): "≤ 1.25",
    ("memory", "detecting, 10 minutes of video"): "≤ 1.10",
}
