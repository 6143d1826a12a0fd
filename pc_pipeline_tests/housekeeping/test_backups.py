"""Backups: whole or not there, restored to any moment, whatever is killed, lost or full meanwhile."""

import contextlib
import datetime as dt
import errno
import gzip
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from psycopg2.extensions import make_dsn, parse_dsn

from pc_pipeline.cli import cli
from pc_pipeline.defs.resources import Pipeline
from pc_pipeline.embedded import archive
from pc_pipeline.embedded.postgres import Postgres
from pc_pipeline.embedded.process import Background, wait_until
from pc_pipeline.embedded.services import services
from pc_pipeline.errors import ConfigError, ServiceError, UserError
from pc_pipeline.housekeeping import archived_wal, backups, health, manifests, restore
from pc_pipeline.ingest.backups import BackupsConfig
from pc_pipeline.ingest.site import load_site
from pc_pipeline.ingest.yaml_lines import SiteFileError
from pc_pipeline.settings import Settings
from pc_pipeline.store import wal
from pc_pipeline.store.digest import TableDigest
from pc_pipeline.store.migrate import find_migrations
from pc_pipeline.store.postgres import connect
from pc_pipeline_tests import clips
from pc_pipeline_tests.stages.inbox import DAY, Inbox
from pc_pipeline_tests.stages.world import World, across, die, local, new_world, start

NINE, TEN = "door_20260301_090000.mp4", "door_20260301_100000.mp4"
KEEP = BackupsConfig()
LONDON = ZoneInfo("Europe/London")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A PC_HOME of its own, not started."""
    monkeypatch.setenv("PC_HOME", str(tmp_path / "home"))
    return Settings()


def pc(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


def count(world: World, start: str) -> None:
    """Count a video in which somebody walks in."""
    world.film(local(start), across(30))
    world.settle()


def unsafe_and_quick(dsn: str) -> None:
    """No fsync: the tests kill processes, never the power."""
    with closing(connect(dsn)) as connection:
        connection.autocommit = True
        connection.cursor().execute("ALTER SYSTEM SET fsync = off")
        connection.cursor().execute("SELECT pg_reload_conf()")


def destroyed(home: Settings) -> None:
    """The server killed, and its data folder gone: what a broken disk leaves. The keeper finds nothing to start."""
    state = Background(home.home, "keeper").state()
    keeper = Background(home.home, "keeper").pid()
    assert state and keeper
    os.kill(keeper, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(state["postgres"]["pid"], signal.SIGKILL)
    shutil.rmtree(home.home / "services" / "postgres")


def arrived(dsn: str) -> None:
    """Wait until the receiver has all that was written: what the moments before a crash are worth."""

    def behind() -> int | None:
        with closing(connect(dsn)) as connection:
            return wal.received(connection).behind_bytes

    assert wait_until(lambda: behind() == 0, 10)


def test_any_moment_comes_back_after_the_data_folder_is_gone(home: Settings, tmp_path: Path) -> None:
    with services(home) as found:
        unsafe_and_quick(found.postgres_dsn)
        world = new_world(found.postgres_dsn, tmp_path)
        count(world, "2026-03-02 09:00:00")
        made = backups.create(home, found.postgres_dsn, KEEP, lambda line: None)
        assert "same disk" in made.warnings[0]
        with closing(connect(found.postgres_dsn)) as connection:
            assert manifests.database_of(home) == wal.server(connection).system_identifier
        count(world, "2026-03-02 10:00:00")
        then, digest_then = world.rows("SELECT clock_timestamp()")[0][0], world.digest()
        count(world, "2026-03-02 11:00:00")
        digest_last = world.digest()
        arrived(found.postgres_dsn)
        destroyed(home)

    with (
        pytest.raises(ServiceError, match="is gone, and there are backups of it .* run `pc db restore`"),
        services(home),
    ):
        pass

    shown = pc("db", "restore", "--to-time", then.isoformat(), "--yes")
    assert "restored in" in shown.output
    with services(home) as found:
        world = new_world(found.postgres_dsn, tmp_path)
        assert world.digest() == digest_then
        with closing(connect(found.postgres_dsn)) as connection:
            why = backups.wanted_now(home, connection, KEEP, LONDON, dt.datetime.now(dt.UTC))
        assert why == "there is no backup of this database yet", "on the timeline that the restore began"
        # What was counted after it is counted again, and comes out the same.
        count(world, "2026-03-02 11:00:00")
        assert world.digest() == digest_last
        arrived(found.postgres_dsn)
        folder = backups.backup_folder(home, KEEP)
        folder.rename(tmp_path / "on a disk")
        folder.mkdir()
        with pytest.raises(UserError, match="is its disk mounted"):
            backups.create(home, found.postgres_dsn, KEEP, lambda line: None)
        folder.rmdir()
        (tmp_path / "on a disk").rename(folder)
        with pytest.raises(restore.CannotRestore, match="uses the database"), pytest.MonkeyPatch.context() as patch:
            patch.setattr(restore, "_PATIENCE_S", 0.1)
            pc("db", "restore", "--yes")

    # The last there was is on that timeline.
    report = json.loads(pc("db", "restore", "--into", str(tmp_path / "drill"), "--json").stdout)
    assert report["rows"]["videos"] == 3
    assert report["last_transaction"]
    drill = Settings(home=tmp_path / "drill")
    with services(drill) as found:
        assert new_world(found.postgres_dsn, tmp_path).digest() == digest_last
    assert not archive.archive_folder(drill.home), "a copy to look at writes nothing to the backups"


@pytest.mark.parametrize("step", range(3))
def test_a_restore_killed_while_it_takes_its_place_leaves_the_old_or_the_new(tmp_path: Path, step: int) -> None:
    new = tmp_path / "postgres.restoring"
    for folder, version in ((tmp_path / "postgres", "old"), (new, "new")):
        folder.mkdir()
        (folder / "PG_VERSION").write_text(version)
    killed = start(_take_place_and_die, new, step)
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    server = Postgres(Path(), tmp_path / "postgres", tmp_path / "log", "", None, ())
    server.prepare()
    assert (server.data / "PG_VERSION").read_text() == ("old" if step < 2 else "new")


def test_a_second_restore_keeps_what_the_first_replaced(tmp_path: Path) -> None:
    for version in ("there was", "first", "second"):
        new = tmp_path / "postgres.restoring"
        new.mkdir()
        (new / "PG_VERSION").write_text(version)
        restore._take_place(tmp_path, new)
    found = {folder.name: (folder / "PG_VERSION").read_text() for folder in tmp_path.iterdir()}
    assert found == {"postgres": "second", "postgres.before": "there was", "postgres.before.2": "first"}


def test_what_restores_put_aside_stays_for_a_day(tmp_path: Path) -> None:
    for name in ("postgres", "postgres.before", "postgres.before.2"):
        (tmp_path / name).mkdir()
    backups._remove_put_aside(tmp_path, time.time() + 23 * 3600)
    assert len([*tmp_path.iterdir()]) == 3
    backups._remove_put_aside(tmp_path, time.time() + 25 * 3600)
    assert [path.name for path in tmp_path.iterdir()] == ["postgres"]


def _take_place_and_die(new: Path, step: int) -> None:
    renamed = iter(range(9))
    rename = Path.rename

    def renaming(self: Path, target: Path) -> Path:
        if next(renamed) == step:
            die()
        return rename(self, target)

    Path.rename = renaming  # type: ignore[method-assign, assignment]
    restore._take_place(new.parent, new)


# ------------------------------------------------------------------------------------------- a server of one's own


@pytest.fixture
def own(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings for a server of one's own."""
    monkeypatch.setenv("PC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PC_POSTGRES_DSN", dsn)
    monkeypatch.setenv("PC_REDIS_URL", "redis://127.0.0.1:1/0")
    return Settings()


def dumped(own: Settings, dsn: str) -> backups.Made:
    return backups.create(own, dsn, KEEP, lambda line: None)


def restored(made: backups.Made) -> Result:
    return pc("db", "restore", made.backup.name, "--yes")


def test_videos_counted_after_the_backup_are_found_and_counted_again(own: Settings, dsn: str, tmp_path: Path) -> None:
    inbox = Inbox(new_world(dsn, tmp_path))
    inbox.world.apply(detector={"model": "hog", "sample_every": 1.0})

    def counted() -> dict[str, TableDigest]:
        inbox.settle()
        inbox.world.settle()
        return inbox.world.digest()

    inbox.put(NINE, clips.write(tmp_path / "nine.mp4").read_bytes())
    before = counted()
    made = dumped(own, dsn)
    inbox.put(TEN, clips.write(tmp_path / "ten.mp4", [clips.picture(160, 120)] * 12).read_bytes())
    without_restore = counted()
    assert without_restore != before

    assert "Redis does not answer" in restored(made).output
    assert inbox.world.digest() == before
    assert list(inbox.look().days) == [("door", DAY)], "the folder is newer than the database"
    assert counted() == without_restore

    # The other way round: the folder is older.
    made = dumped(own, dsn)
    inbox.path(TEN).unlink()
    restored(made)
    assert list(inbox.look().days) == [("door", DAY)]


def test_a_dump_that_does_not_come_to_its_end_changes_nothing(own: Settings, dsn: str, tmp_path: Path) -> None:
    world = new_world(dsn, tmp_path)
    made = dumped(own, dsn)
    world.film(local("2026-03-02 09:00:00"), across(30))
    counted = world.digest()
    dump = backups.backup_folder(own, KEEP) / made.backup.name / "database.dump"
    dump.write_bytes(dump.read_bytes()[:-2000])
    with pytest.raises(restore.CannotRestore, match="changed or damaged"):
        restored(made)
    applied = {migration.version for migration in find_migrations()}
    with pytest.raises(restore.CannotRestore, match="nothing was restored"):
        restore._replace_tables(dsn, dump, applied)
    assert world.digest() == counted


def test_a_restore_waits_for_nobody_and_says_who_is_connected(own: Settings, dsn: str) -> None:
    made = dumped(own, dsn)
    with (
        closing(connect(make_dsn(dsn, options="-c application_name=x"))),
        pytest.raises(restore.CannotRestore, match="is in use by pc_pipeline from 127.0.0.1"),
    ):
        restored(made)
    with pytest.raises(ConfigError, match="--to-time is for the embedded PostgreSQL"):
        restore.plan(backups.backup_folder(own, KEEP), None, dt.datetime.now(dt.UTC), embedded=False)


def test_no_secret_of_the_dsn_in_arguments_or_in_a_backup(
    own: Settings, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    password, of_key = parse_dsn(dsn)["password"], f"canary{uuid4().hex}"
    dsn = make_dsn(dsn, sslpassword=of_key)
    monkeypatch.setenv("PC_POSTGRES_DSN", dsn)
    started = []
    popen = subprocess.Popen

    class Seen(popen):  # type: ignore[misc, valid-type]
        def __init__(self, argv: list[str], **options: Any) -> None:
            environment = options.get("env") or {}
            service = environment.get("PGSERVICEFILE")
            started.append((argv, environment, Path(service).read_text() if service else ""))
            super().__init__(argv, **options)

    monkeypatch.setattr(subprocess, "Popen", Seen)
    made = dumped(own, dsn)
    restored(made)
    assert [Path(argv[0]).name for argv, _, _ in started] == ["pg_dump", "psql", "pg_restore"]
    assert not any(secret in argument for argv, _, _ in started for argument in argv for secret in (password, of_key))
    assert [environment.get("PGPASSWORD") for _, environment, _ in started[:2]] == [password, password]
    assert [service for _, _, service in started[:2]] == 2 * [f"[pc_pipeline]\nsslpassword={of_key}\n"]
    folder = backups.backup_folder(own, KEEP)
    for path in folder.rglob("*"):
        assert path.is_dir() or not any(secret.encode() in path.read_bytes() for secret in (password, of_key))
        assert path.stat().st_mode & 0o077 == 0 or path.name == ".lock"
    monkeypatch.setenv("PGSERVICE", "people")
    with (
        pytest.raises(ConfigError, match="has both a service and sslpassword: write sslpassword into"),
        backups.without_secrets(dsn),
    ):
        pass


def test_a_backup_is_whole_or_not_there(own: Settings, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = backups.backup_folder(own, KEEP)
    made = dumped(own, dsn)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 60_000_000))  # type: ignore[attr-defined]
        with pytest.raises(backups.BackupFailed, match=r"has 60 MB free and a backup takes about \d+ MB: free space"):
            dumped(own, dsn)
    with monkeypatch.context() as patch:
        patch.setattr(backups, "run_program", failing(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(backups.BackupFailed, match="no backup was made: .*No space left"):
            dumped(own, dsn)
    killed = start(_die_when_dumped, own, dsn)
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert len(list(folder.glob(".*.new"))) == 1
    assert [one.name for one in manifests.look(folder).backups] == [made.backup.name]

    assert json.loads(pc("db", "backup", "--json").stdout)["kind"] == "dump"
    assert not list(folder.glob(".*.new")), "what a killed one left is swept"
    first, second = manifests.look(folder).backups
    assert first == made.backup
    with backups.alone(folder), pytest.raises(backups.BackupFailed, match="another backup is being made"):
        dumped(own, dsn)

    assert backups.verify(folder, second) == []
    (folder / second.name / "database.dump").unlink()
    assert "is missing" in backups.verify(folder, second)[0]
    shown = CliRunner().invoke(cli, ["db", "backups"])
    assert shown.exit_code == 1
    assert "database.dump is missing or cut off" in shown.output


def failing(error: Exception) -> Callable[..., None]:
    def fail(*arguments: Any) -> None:
        raise error

    return fail


def _die_when_dumped(own: Settings, dsn: str) -> None:
    backups.run_program = lambda *arguments: die()
    dumped(own, dsn)


def test_two_sites_do_not_share_a_folder(own: Settings, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = dumped(own, dsn)
    other = make_dsn(dsn, dbname="postgres")
    monkeypatch.setenv("PC_POSTGRES_DSN", other)
    theirs = Settings()
    with pytest.raises(backups.BackupFailed, match=f"no backup was made: .* of another database, that of {own.home}"):
        dumped(theirs, other)
    for command in (("db", "backups"), ("db", "restore", made.backup.name, "--yes")):
        with pytest.raises(ConfigError, match="name a folder of this site's own"):
            pc(*command)
    with closing(connect(other)) as connection:
        why = backups.wanted_now(theirs, connection, KEEP, LONDON, dt.datetime.now(dt.UTC))
    assert why and "another database" in why, "the job runs, fails and says so"
    backup, problems = health._backups(theirs)
    assert (backup, problems) == (None, [why])
    # Moved to that server, it goes on in the same folder.
    (backups.backup_folder(own, KEEP) / manifests.OWNER).unlink()
    assert made.backup.name in pc("db", "backups").output


def test_the_job_makes_one_and_the_schedule_asks_for_one_a_night(own: Settings, dsn: str) -> None:
    from pc_pipeline.definitions import defs

    schedule = defs.resolve_schedule_def("back_up_every_night")
    with dg.DagsterInstance.ephemeral() as instance:

        def asked() -> Any:
            with dg.build_schedule_context(instance, resources={"pipeline": Pipeline()}) as context:
                return schedule.evaluate_tick(context)

        assert asked().run_requests[0].tags["pc/why"] == "there is no backup of this database yet"
        result = defs.resolve_job_def("back_up").execute_in_process(instance=instance)
        assert result.success
        (event,) = (event for event in result.all_events if event.event_type_value == "STEP_OUTPUT")
        metadata = event.step_output_data.metadata
        assert (metadata["kind"].value, metadata["rows of videos"].value) == ("dump", 0)
        assert "this night's backup is made" in asked().skip_message


# ------------------------------------------------------------------------------------------------- kept, and lost


NOW = dt.datetime(2026, 3, 30, 12, tzinfo=dt.UTC)


def at(days: float, number: int = 0, timeline: int = 1, cluster: str = "7") -> manifests.Backup:
    """A base backup made so many days ago, in the WAL segment `number`."""
    moment = NOW - dt.timedelta(days=days)
    lsn = f"0/{number * wal.SEGMENT_BYTES + 40:X}"
    return manifests.Backup(
        f"{moment:%Y-%m-%dT%H%M%SZ}", manifests.BASE, moment, moment, "18.4", 180004, 12, {"videos": 0}, None,
        1, 1, 1, {}, system_identifier=cluster, timeline=timeline, start_lsn=lsn, end_lsn=lsn,
    )  # fmt: skip


def test_every_moment_of_the_days_kept_can_be_restored() -> None:
    found = [at(days) for days in (40, 20, 14.5, 13.5, 1, 0)]
    kept, over = backups.divide(found, NOW, keep_days=14)
    assert over == found[:2], "the one of 14.5 days is what the first of the 14 days is restored from"
    assert kept == found[2:]
    assert backups.divide([at(40), at(30)], NOW, 14)[0] == [at(30)], "the last one stays, however old"


def test_a_backup_is_due_once_a_night_and_after_a_restore() -> None:
    server = wal.Server("7", 1)
    local_three = dt.datetime(2026, 3, 30, 3, tzinfo=LONDON)
    assert backups.due([], local_three, LONDON, server)
    yesterday = replace(at(0), ended_at=local_three - dt.timedelta(hours=23))
    assert backups.due([yesterday], local_three, LONDON, server)
    assert backups.due([yesterday], local_three.replace(hour=1), LONDON, server) is None, (
        "before two it is last night's"
    )
    tonight = replace(at(0), ended_at=local_three - dt.timedelta(minutes=30))
    assert backups.due([tonight], local_three, LONDON, server) is None
    assert backups.due([tonight], local_three, LONDON, wal.Server("7", 2)), "a restore began another timeline"
    assert backups.due([tonight], local_three, LONDON, None), "that is none of a server of one's own"


def segments(folder: Path, timeline: int, numbers: Iterable[int], days: float = 40) -> Path:
    """A stream of WAL files, each with its own text."""
    since = NOW - dt.timedelta(days=days)
    path = folder / "wal" / "7" / f"{since:{archive.STAMP}}-{timeline}"
    path.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (path / wal.segment_name(timeline, number)).write_text(f"{timeline} {number}")
    return path


def saved(folder: Path, *made: manifests.Backup) -> None:
    for one in made:
        (folder / one.name).mkdir()
        (folder / one.name / manifests.MANIFEST).write_text(manifests.manifest(one))


def test_wal_that_is_missing_is_told_and_never_passed_over(tmp_path: Path) -> None:
    saved(tmp_path, at(10, 3))
    path = segments(tmp_path, 1, range(3, 9))
    plan = restore.plan(tmp_path, None, None, embedded=True)
    assert plan.segments == tuple((1, number) for number in range(3, 9))
    (path / wal.segment_name(1, 6)).unlink()
    with pytest.raises(restore.CannotRestore, match=r"WAL since the backup of 2026-03-20 .*000000010000000000000006"):
        restore.plan(tmp_path, None, None, embedded=True)
    # A moment before the gap can be had; whether it is before it shows when WAL is replayed.
    plan = restore.plan(tmp_path, None, NOW - dt.timedelta(days=9), embedded=True)
    assert plan.missing == ("000000010000000000000006",)
    # Once there is a backup after the gap, it concerns only the moments before.
    saved(tmp_path, at(5, 8))
    assert restore.plan(tmp_path, None, None, embedded=True).segments == ((1, 8),)
    with pytest.raises(restore.CannotRestore, match="the first moment that can be restored is 2026-03-20 12:00:00 UTC"):
        restore.plan(tmp_path, None, NOW - dt.timedelta(days=11), embedded=True)


def test_on_a_new_machine_a_moment_is_of_the_time_zone_that_was_backed_up(home: Settings, tmp_path: Path) -> None:
    folder = home.home / "backups"
    folder.mkdir(parents=True)
    saved(folder, at(10, 3))
    segments(folder, 1, range(3, 5))
    (folder / at(10).name / "site.yaml").write_text("timezone: America/New_York\n")
    assert not home.site_file.exists()
    shown = pc("db", "restore", "--to-time", "2026-03-25 09:00")
    assert "up to 2026-03-25 09:00:00 EDT" in shown.output
    assert shown.exit_code == 1, "nobody said yes"


def test_a_moment_is_looked_for_on_the_timeline_of_its_day(tmp_path: Path) -> None:
    """Ten days ago the site was restored: segment 5 of timeline 1 was left for timeline 2."""
    saved(tmp_path, at(20, 3), at(11, 7), at(8, 6, timeline=2))
    segments(tmp_path, 1, range(3, 9))
    later = segments(tmp_path, 2, range(5, 8), days=10)
    (later / "00000002.history").write_text("1\t0/5000100\tbefore 2026-03-20\n")

    def planned(days: float) -> tuple[str, int, tuple[tuple[int, int], ...]]:
        plan = restore.plan(tmp_path, None, NOW - dt.timedelta(days=days), embedded=True)
        return plan.backup.name, plan.timeline, plan.segments

    assert planned(10.5) == (at(11).name, 1, ((1, 7), (1, 8)))
    assert planned(9) == (at(20).name, 2, ((1, 3), (1, 4), (2, 5), (2, 6)))
    assert planned(1) == (at(8).name, 2, ((2, 6), (2, 7)))
    assert restore.plan(tmp_path, None, None, embedded=True).segments == ((2, 6), (2, 7))


def without(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda told: {name: value for name, value in told.items() if name != key}


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda told: None, "is empty, cut off or no JSON"),
        (lambda told: [], "is empty, cut off or no JSON"),
        (without("ended_at"), "has no ended_at"),
        (without("start_lsn"), "does not tell its place in the WAL"),
        (lambda told: {**told, "files": None}, "has a wrong files"),
        (lambda told: {**told, "ended_at": "2026-03-01T02:00:00"}, "has times without a zone"),
        (lambda told: {**told, "rows": {}}, "lacks rows or files"),
    ],
)
def test_a_manifest_that_lacks_something_is_unreadable_and_says_what(
    tmp_path: Path, damage: Callable[[dict[str, Any]], object], says: str
) -> None:
    saved(tmp_path, at(3, 3))
    file = tmp_path / at(3).name / manifests.MANIFEST
    file.write_text(json.dumps(damage(json.loads(file.read_text()))))
    found = manifests.look(tmp_path)
    assert found.backups == []
    assert f"{says}. Nothing uses or removes it" in found.unreadable[at(3).name]


def test_a_damaged_backup_is_named_and_neither_used_nor_removed(own: Settings, dsn: str) -> None:
    folder = backups.backup_folder(own, KEEP)
    folder.mkdir(parents=True)
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    broken = [at(90), at(3, 3), replace(at(1, 9), name=f"{yesterday:%Y-%m-%dT%H%M%SZ}")]
    saved(folder, *broken)
    half = (folder / broken[0].name / manifests.MANIFEST).read_text()[:100]
    for one, text in zip(broken, ("", half, None), strict=True):
        file = folder / one.name / manifests.MANIFEST
        file.write_text(text) if text is not None else file.unlink()
    path = segments(folder, 1, range(3, 12))

    made = dumped(own, dsn)

    assert len([warning for warning in made.warnings if "cannot be read: its manifest.json" in warning]) == 3
    assert made.removed == [] and all((folder / one.name).is_dir() for one in broken)
    assert [one.name for one in manifests.look(folder).backups] == [made.backup.name]
    listed = CliRunner().invoke(cli, ["db", "backups"])
    assert listed.exit_code == 1
    assert all(f"{one.name} cannot be read" in listed.output for one in broken)
    with pytest.raises(restore.CannotRestore, match=f"{broken[2].name} cannot be read: .*is not to be had"):
        pc("db", "restore", broken[2].name, "--yes")
    backup, problems = health._backups(own)
    assert backup and (backup["name"], len(problems)) == (made.backup.name, 3)
    assert len([*path.iterdir()]) == 9, "WAL that one of them may need"


def test_wal_that_no_backup_needs_is_removed_and_the_rest_is_packed(tmp_path: Path) -> None:
    path = segments(tmp_path, 1, range(3, 8))
    (path / wal.segment_name(1, 7)).rename(path / f"{wal.segment_name(1, 7)}.partial")
    (path / f"{wal.segment_name(1, 5)}.gz.new").write_text("of a packing that was killed")
    other = tmp_path / "wal" / "8" / path.name
    shutil.copytree(path, other)
    (tmp_path / "wal" / "8" / path.name.replace("-1", "-2")).mkdir()
    tidied = archived_wal.tidy(tmp_path, {"7": [(1, 5), (1, 6)]})
    assert sorted(file.name for file in path.iterdir()) == [
        "000000010000000000000005.gz",
        "000000010000000000000006.gz",
        "000000010000000000000007.partial",
    ]
    assert (tidied.packed, tidied.removed) == (2, 7)
    assert not other.exists(), "no backup of that database is left"
    assert gzip.decompress((path / "000000010000000000000005.gz").read_bytes()) == b"1 5"
    assert archived_wal.tidy(tmp_path, {"7": [(1, 5), (1, 6)]}).packed == 0
    archived = archived_wal.read_archive(tmp_path, "7")
    assert archived_wal.damaged(archived) == []
    target = tmp_path / "laid out"
    target.mkdir()
    archived_wal.unpack(archived, [(1, 6), (1, 7)], target)
    assert {file.name[-1]: file.read_text() for file in target.iterdir()} == {"6": "1 6", "7": "1 7"}


@pytest.mark.parametrize("number", [0, 255, 256, 70_000])
def test_segment_names_are_those_of_postgres(number: int) -> None:
    lsn = number * wal.SEGMENT_BYTES + 77
    assert wal.segment_of(f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}") == number
    assert wal.parse_segment_name(wal.segment_name(3, number)) == (3, number)


@pytest.mark.parametrize(
    ("line", "says"), [("folder: backups", "must be a whole path"), ("keep_days: 0", "must be at least 1")]
)
def test_a_section_that_makes_no_sense_is_refused(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(f"timezone: Europe/London\nbackups:\n  {line}\n")
    with pytest.raises(SiteFileError, match=rf"site.yaml:3: .*{says}"):
        load_site(file)


@pytest.mark.parametrize("command", ["backup", "backups", "restore"])
def test_help_has_examples(command: str) -> None:
    assert f"pc db {command}" in pc("db", command, "--help").output.partition("Examples:")[2]
