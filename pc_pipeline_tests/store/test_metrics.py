"""Each camera's state now, and what a run took."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from pc_pipeline.store import metrics
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline_tests.store.recorded import add_recording

UTC = ZoneInfo("UTC")
HOUR = dt.timedelta(hours=1)


def add_video(connection, video_id: int, ended_ago: dt.timedelta, status: str = "completed") -> None:
    """An hour of video of camera `door` that ended so long ago."""
    end = dt.datetime.now(dt.UTC) - ended_ago
    add_recording(connection, video_id, end - HOUR, end, UTC, status=status)


def shown(connection, *columns: str) -> tuple:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)} FROM realtime_camera_status WHERE camera = 'door'")
        (row,) = cursor.fetchall()
    return row


def test_a_camera_goes_from_streaming_to_recent_to_stale(connection):
    connection.cursor().execute("INSERT INTO cameras (camera) VALUES ('door')")
    assert shown(connection, "status", "state", "last_video_until") == ("stale", "waiting", None)
    add_video(connection, 1, dt.timedelta(minutes=5))
    # Its files are an hour long: 15 minutes after the next one is due it is missed.
    for hours, status in ((0, "streaming"), (1, "streaming"), (0.3, "recent"), (20, "recent"), (4, "stale")):
        shift = hours * HOUR
        connection.cursor().execute(
            "UPDATE sessions SET started_at = started_at - %(by)s, ended_at = ended_at - %(by)s;"
            "UPDATE videos SET started_at = started_at - %(by)s",
            {"by": shift},
        )
        assert shown(connection, "status") == (status,), hours
    # A file that arrived and was not looked at yet.
    add_video(connection, 2, -HOUR + dt.timedelta(minutes=10))
    connection.cursor().execute("DELETE FROM sessions WHERE session_id = 2")
    assert shown(connection, "status") == ("streaming",)


def test_a_camera_shows_what_is_done_with_its_videos_now(connection):
    def noted(stage):
        connection.cursor().execute(
            "INSERT INTO stage_ledger (video_id, stage, fingerprint, status, code_version)"
            " VALUES (2, %s, 'f', 'done', '1')",
            (stage,),
        )

    add_video(connection, 1, 2 * HOUR)
    assert shown(connection, "state", "videos_in_progress") == ("waiting", 0)
    add_video(connection, 2, HOUR, status="active")
    assert shown(connection, "state", "videos_in_progress") == ("detecting", 1)
    noted("raw_detections")
    assert shown(connection, "state") == ("tracking",)
    # Counted before, and looked at anew with another model: only its statistics were forgotten.
    noted("zone_visits")
    assert shown(connection, "state") == ("detecting",)
    connection.cursor().execute("UPDATE sessions SET status = 'completed'")
    assert shown(connection, "state", "videos_in_progress") == ("waiting", 0)


def test_the_last_minute_that_was_tracked_is_shown(connection):
    add_video(connection, 1, HOUR)
    add_video(connection, 2, dt.timedelta(0), status="active")  # it has no minutes yet
    minute = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0) - HOUR
    for number, (people, entered) in enumerate(((3, 2), (5, 1))):
        connection.cursor().execute(
            "INSERT INTO realtime_metrics VALUES (1, %s, %s, %s, 0, 60000, 'tracking')",
            (minute + number * dt.timedelta(minutes=1), people, entered),
        )
    expected = (minute + dt.timedelta(minutes=1), 5, 1, 0)
    assert shown(connection, "minute", "people_in_view", "entered", "exited") == expected


@pytest.mark.parametrize("missing", [True, False])
def test_a_runs_row_is_written_whether_its_month_is_there_or_not_and_spoils_no_transaction(dsn, missing):
    run = metrics.StageRun("door", "tracks", dt.date(2026, 3, 3), "r", 1, 2, 3, [], 0.5, 0.25, 10**8)
    if not missing:
        in_transaction(dsn, lambda connection: metrics.record_run(connection, run))

    def work(connection):
        cursor = connection.cursor()
        cursor.execute("INSERT INTO cameras (camera) VALUES ('before')")
        metrics.record_run(connection, run)
        cursor.execute("INSERT INTO cameras (camera) VALUES ('after')")

    in_transaction(dsn, work)

    def read(connection):
        with connection.cursor() as cursor:
            cursor.execute("SELECT frames_per_s, cpu_percent, load_latency_p50_ms FROM system_metrics")
            rows = cursor.fetchall()
            cursor.execute("SELECT camera FROM cameras ORDER BY camera")
            return rows, [camera for (camera,) in cursor]

    assert in_transaction(dsn, read)[0] == ([(6.0, 50.0, None)], ["after", "before"])
