"""A disk without room is told as such, also by those who have no room to say it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pc_pipeline.embedded.process import Background
from pc_pipeline.errors import ServiceError, UserError
from pc_pipeline.store.migrate import MIGRATIONS_DIR, migrate


@pytest.fixture
def full_disk(tmp_path: Path):
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path]).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    (tmp_path / "run").mkdir()
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


def test_a_server_that_does_not_start_on_a_full_disk_says_why(full_disk):
    with pytest.raises(ServiceError, match="the disk of .* is full: free space there"):
        Background(full_disk, "keeper").ensure("pc_pipeline.no_such_module", [], 30)


def test_a_migration_that_fills_the_disk_is_one_sentence_and_taken_back_whole(dsn, tmp_path):
    filling = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file'; END $$"
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
