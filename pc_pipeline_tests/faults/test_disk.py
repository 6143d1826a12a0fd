"""A disk without room is told as such, also by those who have no room to say it; with room again the work goes on."""

import os
import shutil
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pytest

from pc_pipeline.embedded.instance import prepare_instance
from pc_pipeline.embedded.process import Background
from pc_pipeline.errors import ServiceError, UserError
from pc_pipeline.store.migrate import MIGRATIONS_DIR, migrate
from pc_pipeline.store.postgres import connect
from pc_pipeline_tests import clips
from pc_pipeline_tests.cli.test_process import terminal  # noqa: F401 (fixture)

FULL = "RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file'"
SOME_TABLE = f"IF current_query() LIKE '%TABLE dynamic_partitions%' THEN {FULL}; END IF"


@pytest.fixture
def small_disk(tmp_path: Path):
    """Mounts a disk of so many megabytes, at whose folder."""
    mounted: list[Path] = []

    def mount(megabytes: int) -> Path:
        if os.geteuid() != 0:
            pytest.skip("only root can mount a small disk")
        folder = tmp_path / "disk"
        folder.mkdir(mode=0o755)
        size = f"size={megabytes}m,mode=755"
        if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder]).returncode:
            pytest.skip("this machine lets nobody mount a disk")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)


def execute(dsn: str, statement: str) -> None:
    with closing(connect(dsn)) as connection, connection:
        connection.cursor().execute(statement)


def test_a_server_that_does_not_start_on_a_full_disk_says_why(small_disk):
    disk = small_disk(1)
    (disk / "run").mkdir()
    with pytest.raises(ServiceError, match="the disk of .* is full: free space there"):
        Background(disk, "keeper").ensure("pc_pipeline.no_such_module", [], 30)


def test_a_migration_that_fills_the_disk_is_one_sentence_and_taken_back_whole(dsn, tmp_path):
    filling = f"DO $$ BEGIN {FULL}; END $$"
    shutil.copytree(MIGRATIONS_DIR, tmp_path, dirs_exist_ok=True)
    (tmp_path / "9000_large.up.sql").write_text(f"CREATE TABLE large (n int); {filling}")
    (tmp_path / "9000_large.down.sql").write_text("DROP TABLE large")
    with pytest.raises(UserError, match="its disk is full: free space there"):
        migrate(dsn, tmp_path)
    (tmp_path / "9000_large.up.sql").write_text("CREATE TABLE large (n int)")
    assert [migration.version for migration in migrate(dsn, tmp_path)] == [9000]


def test_elsewhere_it_says_what_its_log_says(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(ServiceError, match="keeper failed: .*no_such_module"):
        Background(tmp_path, "keeper").ensure("pc_pipeline.no_such_module", [], 30)


def test_pc_says_which_disk_is_full(terminal, small_disk, monkeypatch):  # noqa: F811
    disk = small_disk(1)
    monkeypatch.setenv("PC_HOME", str(disk))
    with suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    said = terminal.refused(1, "config", "apply", terminal.site_file)
    assert said.startswith(f"pc: the disk of {disk} is full: free space there, then run this again")


def test_a_defect_keeps_its_stack_trace(terminal, monkeypatch):  # noqa: F811
    monkeypatch.setattr("pc_pipeline.cli.report.summary.callback", lambda **_: {}["defect"])
    with pytest.raises(KeyError, match="defect"):
        terminal.pc("summary")


def test_what_dagster_has_no_room_for_is_one_sentence_and_the_next_run_goes_on(terminal, tmp_path, monkeypatch):  # noqa: F811
    dsn = terminal.dsn
    clip = clips.write(tmp_path / "door_20260301_090000.mp4", [clips.picture(160, 120)] * 4)
    command = ("process", clip, "--config", terminal.site_file)
    # This process goes on, where that of a command ends.
    monkeypatch.setattr("pc_pipeline.local_run._this_process", lambda: f"{os.getpid()} that ended")

    def refused() -> None:
        code, out, err = terminal.pc(*command)
        *progress, said = err.splitlines()
        assert (code, out) == (1, "")
        assert said.startswith("pc: Postgres: its disk is full: free space there, then run this again")
        assert progress in ([], ["camera-day door 2026-03-01"])

    # In the middle of its tables, which it takes for whole wherever there are any.
    fill = f"LANGUAGE plpgsql AS $$ BEGIN {FULL}; END $$"
    execute(dsn, "DROP SCHEMA dagster CASCADE")
    execute(dsn, "CREATE FUNCTION fill_tables() RETURNS event_trigger " + fill.replace(FULL, SOME_TABLE))
    execute(dsn, "CREATE EVENT TRIGGER fills ON ddl_command_start EXECUTE FUNCTION fill_tables()")
    refused()
    execute(dsn, "DROP EVENT TRIGGER fills")
    prepare_instance()
    # At an event, in the middle of a run.
    execute(dsn, f"CREATE FUNCTION fill_events() RETURNS trigger {fill}")
    when = "NEW.dagster_event_type = 'ASSET_MATERIALIZATION'"
    events = f"dagster.event_logs FOR EACH ROW WHEN ({when})"
    execute(dsn, f"CREATE TRIGGER fills BEFORE INSERT ON {events} EXECUTE FUNCTION fill_events()")
    refused()
    execute(dsn, "DROP TRIGGER fills ON dagster.event_logs")
    assert terminal.pc(*command)[0] == 0
