"""`pc cameras`: every camera, with what is not known left open."""

import datetime as dt
import json

from click.testing import CliRunner

from pc_pipeline.cli.cameras import cameras
from pc_pipeline.defs.partitions import site
from pc_pipeline.store import metrics, rollups
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline_tests.stages.world import LONDON
from pc_pipeline_tests.store.recorded import add_recording


def test_every_camera_is_shown_and_what_is_not_known_is_not_0(dsn, monkeypatch):
    site.cache_clear()
    monkeypatch.setenv("PC_POSTGRES_DSN", dsn)

    def pc(*options):
        result = CliRunner().invoke(cameras, options)
        assert result.exit_code == 0, result.output
        return result.stdout

    assert "There is no camera yet" in pc()
    # Long enough after midnight, and of today, at any time of the day.
    today = dt.datetime.now(LONDON).date()
    begin, _ = rollups.day_of(today, LONDON)
    end = begin + dt.timedelta(minutes=2)

    def write(connection):
        person = [(begin, begin + dt.timedelta(seconds=30), 0)]
        add_recording(connection, 1, begin, end, LONDON, person, [(begin + dt.timedelta(seconds=9), 1, "in")])
        cursor = connection.cursor()
        cursor.execute("INSERT INTO cameras (camera, active) VALUES ('attic', false)")
        cursor.execute("INSERT INTO realtime_metrics VALUES (1, %s, 4, 0, 0, 60000, 'tracking')", (begin,))
        rollups.roll_hours(connection, ["door"], today, LONDON)
        rollups.roll_day(connection, today, LONDON)
        for stage, frames in (("raw_detections", 300), ("tracks", 90)):
            run = metrics.StageRun("door", stage, today, "r", 1, 1, frames, [], 10.0, 10.0, 1)
            metrics.record_run(connection, run)

    in_transaction(dsn, write)
    attic, door = json.loads(pc("--json"))
    assert (attic["camera"], attic["status"], attic["active"]) == ("attic", "stale", False)
    assert [attic[name] for name in ("last_video_until", "people_in_view", "entered_today", "frames_per_s")] == [
        None
    ] * 4
    assert dt.datetime.fromisoformat(door["last_video_until"]) == end
    assert [door[name] for name in ("people_in_view", "entered_today", "exited_today")] == [4, 1, 0]
    assert door["frames_per_s"] == 30.0
    lines = {line.split()[0]: line.split() for line in pc().splitlines() if line.split()}
    assert lines["attic"] == ["attic", "stale,", "not", "active", "waiting", "never", "-", "-", "-", "-"]
    assert lines["door"][-6:] == [f"{end.astimezone(LONDON):%Y-%m-%d}", "00:02:00", "4", "1", "0", "30.0"]
