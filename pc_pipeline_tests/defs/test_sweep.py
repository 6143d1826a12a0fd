"""Raw detections that no row names go; those a row names, and those of the last day, stay."""

import os
import time
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

from pc_pipeline.stages.detecting import sweep
from pc_pipeline.stages.machine import Machine
from pc_pipeline.store import ledger, parquet
from pc_pipeline.store.postgres import connect


def test_only_old_files_that_nothing_names_are_swept(dsn: str, tmp_path: Path) -> None:
    two_days_ago = time.time() - 2 * 24 * 3600
    files = {name: parquet.raw_path(tmp_path, name * 32) for name in "abc"}
    for name, file in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
        if name != "c":
            os.utime(file, (two_days_ago, two_days_ago))
    with closing(connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO cameras (camera) VALUES ('door')")
        cursor.execute(
            "INSERT INTO videos (video_id, camera, started_at, date, path, content_hash, size_bytes, mtime_ns, width,"
            " height, nominal_fps, codec, container) VALUES (7, 'door', '2026-03-01', '2026-03-01', 'x', 'h', 1, 1,"
            " 8, 8, 10, 'h264', 'mp4')"
        )
        named = ledger.Entry("a" * 32, "done")
        ledger.record(connection, 7, "raw_detections", named, code_version="1", run_id="")

    removed = sweep(Machine(dsn, ZoneInfo("UTC"), tmp_path, tmp_path, tmp_path))

    assert removed == 1
    assert {name: file.exists() for name, file in files.items()} == {"a": True, "b": False, "c": True}
