"""What is past its time goes to the archive, row for row, and nothing else changes."""

import datetime as dt
import errno
import signal
from contextlib import closing

import numpy as np
import psycopg2
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2 import sql

from pc_pipeline.errors import ConfigError, UserError
from pc_pipeline.housekeeping.months import make_months
from pc_pipeline.ingest.site import SiteConfig
from pc_pipeline.stages.fingerprints import RAW_DETECTIONS, TRACKS
from pc_pipeline.store import archive, archive_files, archive_query, checks, figures, months, registry, rollups
from pc_pipeline.store.detections import delete_detections, insert_detections
from pc_pipeline.store.postgres import connect, in_transaction
from pc_pipeline_tests.housekeeping.seams import AUGUST, OF_ARCHIVE, place_of, run, run_and_die
from pc_pipeline_tests.stages.world import LONDON, World, across, local, start
from pc_pipeline_tests.store.samples import some_detections

MARCH = dt.date(2026, 3, 1)
LATER = dt.datetime(2032, 1, 1, tzinfo=dt.UTC)
FILMED = local("2026-03-03 10:00:00")


def archived(world: World, table: str) -> list[tuple]:
    """The archive's rows of a table, as Postgres would give them, in order."""
    found = [file for file in in_transaction(world.machine.dsn, archive.files)[0] if file.table == table]
    rows = []
    for file in found:
        columns = pq.read_table(place_of(world).archive_dir / file.path).to_pylist()
        assert len(columns) == file.rows
        rows += [tuple(row.values()) for row in columns]
    return sorted(rows)


def in_table(world: World, table: str = "detections") -> list[tuple]:
    return sorted(
        # psycopg2 gives a `real` as the shortest text that tells it.
        tuple(float(np.float32(value)) if isinstance(value, float) else value for value in row)
        for row in world.rows(f"SELECT * FROM {table}")
    )


def film_two(world: World) -> None:
    """Somebody across two files, and one who comes back."""
    walk = across(60)
    world.film(FILMED, walk[:30])
    world.film(local("2026-03-03 10:00:03"), walk[30:], across(30, 600, 60))


def states(world: World, *stages: str) -> set[str]:
    return {status for (_, stage), (_, status, _) in world.ledger().items() if stage in stages}


# --------------------------------------------------------------------------------------------------- boxes and frames


def test_a_month_that_is_past_its_time_moves_row_for_row_and_the_counts_stay(world):
    film_two(world)
    world.film(local("2026-06-01 10:00:00"), across(30))
    world.settle()
    before, digest = in_table(world), world.digest()
    old = [row for row in before if row[1] < dt.datetime(2026, 4, 1, tzinfo=dt.UTC)]
    assert len(old) == 90

    preview = run(world, dry_run=True)
    assert [(gone.table, gone.rows, gone.state) for gone in preview.gone] == [("detections", 90, "would go")]
    assert in_table(world) == before
    report = run(world)

    assert [(gone.table, gone.month, gone.rows, gone.state) for gone in report.gone] == [
        ("detections", MARCH, 90, "archived")
    ]
    assert archived(world, "detections") == old
    assert in_table(world) == [row for row in before if row not in old]
    with closing(connect(world.machine.dsn)) as connection:
        assert months.partitions(connection, "detections") == ["detections_2026_06"]
    # Raw detections of that time are boxes too. Nothing asks for them, and what was counted is as it was.
    assert report.raw_files == 2
    assert len(list(world.machine.raw_dir.glob("*.parquet"))) == 1
    assert world.settle() == 0
    after = world.digest()
    assert {table for table in digest if digest[table] != after[table]} == {"detections"}
    assert run(world).gone == []

    # A late video makes its month anew, is counted, and follows in a further file.
    world.film(local("2026-03-20 10:00:00"), across(30))
    world.settle()
    assert world.rows("SELECT count(*), sum(entered) FROM session_statistics") == [(4, 3)]
    assert len(in_table(world)) == 60
    run(world)
    assert [file.rows for file in in_transaction(world.machine.dsn, archive.files)[0]] == [90, 30]
    assert len(archived(world, "detections")) == 120


def test_another_tracker_leaves_archived_videos_alone_until_they_are_wanted_again(world):
    film_two(world)
    world.settle()
    run(world)
    digest = world.digest()
    world.apply(tracker={"lost_after": 2.0}, gender={"min_height_px": 60}, quality={"gap": 7.0})
    assert world.settle() == 0
    assert world.digest() == digest
    # A line is counted from tracks, which are still there.
    world.apply(lines={})
    assert world.settle() > 0
    assert world.rows("SELECT sum(entered) FROM session_statistics") == [(0,)]

    videos = [video for (video,) in world.rows("SELECT video_id FROM videos")]
    again = in_transaction(world.machine.dsn, lambda c: archive.count_again(c, "door", FILMED.date(), FILMED.date()))
    assert again[0] == (2, 0)
    world.film(FILMED, across(60)[:30])  # lays down again what its file would give
    world.film(local("2026-03-03 10:00:03"), across(60)[30:], across(30, 600, 60))
    world.settle()
    assert states(world, RAW_DETECTIONS, TRACKS) == {"done"}
    loaded = in_table(world)
    run(world)
    # In place of what the archive had: both files' worth of rows once.
    assert archived(world, "detections") == loaded
    assert len(in_transaction(world.machine.dsn, archive.files)[0]) == 1
    assert {row[0] for row in loaded} == set(videos)


def test_a_new_recording_under_an_old_name_is_counted_though_the_old_one_has_expired(world):
    identity = world.film(FILMED, across(30))
    world.settle()
    run(world)
    assert world.film(FILMED, across(40, 600, 60)) == identity
    world.settle()
    assert world.rows("SELECT entered, exited FROM session_statistics") == [(0, 1)]
    run(world)
    assert len(archived(world, "detections")) == 40


def test_a_recording_without_anybody_leaves_nothing_of_the_older_one_in_the_archive(world):
    of_people = ("tracks", "people_movements")
    identity = world.film(FILMED, across(30))
    world.settle()
    run(world, LATER)
    assert [len(archived(world, table)) for table in of_people] == [1, 1]
    assert world.film(FILMED, across(30)[:1]) == identity
    world.settle()
    assert world.rows("SELECT entered, exited FROM session_statistics") == [(0, 0)]
    run(world, LATER)
    assert [archived(world, table) for table in of_people] == [[], []]


def test_a_month_waits_for_videos_that_are_not_counted_to_the_end(world):
    film_two(world)
    world.run(FILMED.date(), (RAW_DETECTIONS, TRACKS))
    (gone,) = run(world).gone
    assert gone.state == "waits"
    assert "2 videos" in gone.why
    assert len(in_table(world)) == 90


def test_rows_that_come_between_export_and_drop_are_exported_too(world, monkeypatch):
    videos = load_two(world)
    write, late = archive.write, [True]

    def then_a_late_load(connection, part, path, heard):
        written = write(connection, part, path, heard)
        if late:
            late.pop()
            load(world, videos[1], 50)
        return written

    monkeypatch.setattr(archive, "write", then_a_late_load)
    said: list[str] = []
    run(world, said=said)
    assert any("changed while it was exported" in line for line in said)
    assert in_table(world) == []
    assert len(archived(world, "detections")) == 40 + 40
    assert len(list(place_of(world).archive_dir.rglob("*.*"))) == 1, "the first export is removed"


def test_a_load_waits_for_a_month_that_is_being_dropped_and_for_no_other(world):
    videos, april = load_two(world), dt.datetime(2026, 4, 5, tzinfo=dt.UTC)
    with closing(connect(world.machine.dsn)) as archiver, closing(connect(world.machine.dsn)) as loader:
        months.ensure_partitions(loader, "detections", april, april)
        loader.commit()
        months.freeze_month(archiver, "detections", months.month_of(FILMED))
        loader.cursor().execute("SET lock_timeout = '100ms'")
        boxes = some_detections(5, boxes=1)
        insert_detections(loader, videos[0], april, boxes, np.ones(len(boxes.boxes), np.int32))
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            delete_detections(loader, videos[0], FILMED)


def test_what_is_read_back_otherwise_than_it_was_sent_deletes_nothing(world, monkeypatch):
    load_two(world)
    table = pq.ParquetWriter.write_table

    def wrongly(self, rows, **options):
        place = rows.schema.get_field_index("x1")
        return table(self, rows.set_column(place, rows.schema.field("x1"), rows["x2"]), **options)

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", wrongly)
        with pytest.raises(UserError, match="is not what Postgres sent"):
            run(world)
    assert len(in_table(world)) == 60
    run(world)
    assert len(archived(world, "detections")) == 60


def test_a_full_disk_gets_back_at_once_what_was_written_in_vain(world, monkeypatch):
    load_two(world)
    table = pq.ParquetWriter.write_table

    def until_it_is_full(self, rows, **options):
        table(self, rows, **options)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", until_it_is_full)
        with pytest.raises(UserError, match="no space left for"):
            run(world)
    assert [path for path in place_of(world).archive_dir.rglob("*") if path.is_file()] == []
    assert len(in_table(world)) == 60
    run(world)
    assert len(archived(world, "detections")) == 60


def test_without_the_archive_rows_are_deleted(world):
    load_two(world)
    site = {"timezone": LONDON.key, "retention": {"detections": {"keep": "1 month", "archive": False}}}
    changes, _ = in_transaction(world.machine.dsn, lambda c: registry.apply_site(c, SiteConfig.model_validate(site)))
    assert ("changed", "retention of detections", "1 month, then deleted without the archive") in [
        (change.action, change.what, change.note) for change in changes
    ]
    assert run(world, dt.datetime(2026, 4, 30, tzinfo=dt.UTC)).gone == []
    (gone,) = run(world, dt.datetime(2026, 5, 1, tzinfo=dt.UTC)).gone
    assert (gone.state, gone.rows) == ("deleted", 60)
    assert in_table(world) == []
    assert not place_of(world).archive_dir.exists()


def load(world: World, video_id: int, frames: int) -> None:
    """Replace a video's boxes, as a recount does."""
    boxes = some_detections(frames, boxes=1, seed=frames)

    def replaced(connection) -> None:
        delete_detections(connection, video_id, FILMED)
        insert_detections(connection, video_id, FILMED, boxes, np.ones(len(boxes.boxes), np.int32))

    in_transaction(world.machine.dsn, replaced)


def load_two(world: World) -> list[int]:
    """The boxes of two videos, 40 and 20, of which nothing else was made."""
    videos = [world.film(FILMED + dt.timedelta(hours=hours), across(3)) for hours in (0, 1)]
    load(world, videos[0], 50)
    load(world, videos[1], 25)
    return videos


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 1), st.integers(1, 6))), min_size=2, max_size=5))
def test_no_order_of_loads_and_archives_loses_or_doubles_a_row(world, steps):
    """A step is a (re)load of one of two videos with so many frames, or a run of the archive."""
    videos = [world.film(FILMED + dt.timedelta(hours=hours), across(3)) for hours in (0, 1)]
    world.execute("TRUNCATE detections, archives")
    expected: dict[int, list[tuple]] = {}
    for step in [*steps, None]:
        if step is None:
            run(world)
            assert in_table(world) == []
            assert archived(world, "detections") == sorted(row for rows in expected.values() for row in rows)
        else:
            load(world, videos[step[0]], step[1])
            expected[step[0]] = [row for row in in_table(world) if row[0] == videos[step[0]]]


def test_the_archive_forgets_a_video_that_was_removed(world):
    videos = load_two(world)
    run(world)
    in_transaction(world.machine.dsn, lambda c: registry.remove_video(c, videos[0]))
    assert run(world, dry_run=True).rewritten == 1
    assert run(world).rewritten == 1
    assert [row[0] for row in archived(world, "detections")] == 20 * [videos[1]]


def test_killed_at_every_seam_the_next_run_finishes(world):
    videos = load_two(world)
    run(world)
    # Counted again: the next run writes a file in place of the one there is.
    for video in videos:
        load(world, video, 4)
    whole = in_table(world)
    for seam in OF_ARCHIVE:
        process = start(run_and_die, world, seam)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL, seam
        # Every row is in one place: in the table, or in a file that counts.
        kept = [row for row in archived(world, "detections") if row in whole]
        assert sorted(in_table(world) + kept) == whole, seam
    run(world)
    assert (in_table(world), archived(world, "detections")) == ([], whole)
    files = list(place_of(world).archive_dir.rglob("*.*"))
    assert [str(file.relative_to(place_of(world).archive_dir)) for file in files] == [
        file.path for file in in_transaction(world.machine.dsn, archive.files)[0]
    ]


def test_every_kind_of_value_is_kept_bit_for_bit(world, tmp_path):
    world.execute(
        "CREATE TABLE kinds (id int, small smallint NOT NULL, big bigint, single real, double double precision,"
        " yes boolean, at timestamptz, day date, words text, json jsonb, list text[], long interval);"
        "INSERT INTO kinds (small) VALUES (0); INSERT INTO kinds VALUES"
        " (1, -3, 9223372036854775807, 'NaN', '-Infinity', true, '1969-12-31 23:59:59.999999+00', '1900-01-01',"
        " E'a\\n\\u00fc\\U0001F600', '{\"b\": [1.50, null]}', '{x,NULL,\"y z\"}', '1 mon 2 days'),"
        " (3, 1, 0, 0.1, 0.1, false, '2026-03-01', '2026-03-01', '', '\"\"', '{}', '0')"
    )
    path = tmp_path / "kinds.parquet"

    def written(connection):
        columns = archive_files.columns_of(connection, "kinds")
        rows = sql.SQL("FROM kinds ORDER BY small")
        return archive_files.export(connection, columns, rows, path, lambda rows: None)

    found = in_transaction(world.machine.dsn, written)[0]
    assert (found.rows, found.bytes, found.videos) == (3, path.stat().st_size, [])
    first, empty, last = pq.read_table(path).to_pylist()
    assert [value for name, value in empty.items() if name != "small"] == [None] * 11
    assert first["at"] == dt.datetime(1969, 12, 31, 23, 59, 59, 999999, dt.UTC)
    assert np.isnan(first["single"])
    assert (first["big"], first["double"], first["yes"]) == (2**63 - 1, -np.inf, True)
    assert (first["day"], first["words"]) == (dt.date(1900, 1, 1), "a\n\u00fc\U0001f600")
    assert (first["json"], first["list"], first["long"]) == ('{"b": [1.50, null]}', '{x,NULL,"y z"}', "1 mon 2 days")
    assert (last["words"], last["single"], last["yes"]) == ("", float(np.float32(0.1)), False)


# ------------------------------------------------------------------------------------------------ tracks and movements


def test_a_dry_run_tells_what_the_run_does_and_changes_nothing(world):
    film_two(world)
    world.settle()
    before = world.digest(), world.ledger()
    would = run(world, LATER, dry_run=True)
    assert (world.digest(), world.ledger()) == before
    did = run(world, LATER)

    def told(report):
        return [(gone.table, gone.month, gone.camera, gone.rows) for gone in report.gone]

    assert told(would) == told(did)
    assert {"detections", "people_movements", "tracks", "track_genders", "track_links"} <= {
        table for table, *_ in told(would)
    }
    assert (would.raw_files, would.rewritten) == (did.raw_files, did.rewritten) == (2, 0)


def test_hours_days_and_totals_outlive_tracks_and_movements(world):
    film_two(world)
    world.settle()
    before = {table: in_table(world, table) for table in ("tracks", "track_genders", "track_links", "people_movements")}
    assert all(before.values())
    digest, summary = world.digest(), summarised(world)
    run(world, LATER)
    for table, rows in before.items():
        assert world.count(table) == 0
        assert len(archived(world, table)) == len(rows)
    # Neither the nights nor somebody who presses Materialize, nor a line that moves, makes zeros of what was counted.
    world.apply(lines={}, tracker={"lost_after": 2.0})
    assert world.outstanding() == []
    kept, _ = in_transaction(world.machine.dsn, lambda c: rollups.roll_hours(c, ["door"], FILMED.date(), LONDON))
    assert kept.kept == ("door",)
    world.roll()
    after = world.digest()
    results = (
        "videos",
        "sessions",
        "run_gender_summary",
        "session_statistics",
        "hourly_statistics",
        "daily_statistics",
    )
    assert [table for table in results if digest[table] != after[table]] == []
    assert summarised(world) == summary | {"recent_movements": [], "by_line": summary["by_line"]}
    assert in_transaction(world.machine.dsn, lambda c: checks.day_totals(c, FILMED.date(), LONDON))[0] == []


def summarised(world: World) -> dict:
    return in_transaction(world.machine.dsn, lambda c: figures.summary(c, LONDON, AUGUST.date()))[0]


def test_who_goes_on_into_a_video_that_is_kept_stays_with_it(world):
    walk = across(60)
    world.film(local("2026-10-31 23:59:57"), walk[:30])
    world.film(local("2026-11-01 00:00:00"), walk[30:])
    world.settle()
    assert world.count("track_links") == 1
    digest = world.digest()
    border = dt.datetime(2031, 11, 15, tzinfo=dt.UTC)  # November's videos stay
    run(world, border)
    # October's track and its link stay, so November is counted as before; October's crossings went.
    assert (world.count("tracks"), world.count("track_links"), world.outstanding()) == (2, 1, [])
    world.apply(lines={"sill": {"from": [0.45, 0.0], "to": [0.45, 1.0], "in": "right"}})
    world.apply(lines={"sill": {"from": [0.5, 0.0], "to": [0.5, 1.0], "in": "right"}})
    world.settle()
    after = world.digest()
    assert digest["session_statistics"] == after["session_statistics"]
    assert digest["hourly_statistics"] == after["hourly_statistics"]
    run(world, border + dt.timedelta(days=31))
    assert (world.count("tracks"), world.count("track_links")) == (0, 0)
    assert (len(archived(world, "tracks")), len(archived(world, "track_links"))) == (2, 1)


def test_alerts_that_were_resolved_long_ago_go_and_open_ones_stay(world):
    world.execute(
        "INSERT INTO alert_logs (kind, camera, since, title, says, advice, opened_at, last_seen_at)"
        " SELECT 'coverage', name, '2026-01-05', 't', 's', 'a', '2026-01-05', '2026-01-06'"
        " FROM unnest('{a,b,c}'::text[]) AS name;"
        "UPDATE alert_logs SET ended_at = at, resolved_at = at, resolution = 'over'"
        " FROM (VALUES ('a', '2026-02-01'::timestamptz), ('b', '2026-07-01')) AS past (name, at) WHERE name = camera"
    )
    (gone,) = run(world).gone
    assert (gone.table, gone.month, gone.rows) == ("alert_logs", dt.date(2026, 2, 1), 1)
    assert world.count("alert_logs") == 2
    assert archived(world, "alert_logs")[0][1] == "coverage"


# ------------------------------------------------------------------------------------------------------ months, queries


def test_months_are_made_ahead_for_every_table_that_has_them(dsn):
    made = make_months(dsn, dt.datetime(2026, 11, 30, tzinfo=dt.UTC), ahead=2)
    assert made == {
        table: [f"{table}_2026_11", f"{table}_2026_12", f"{table}_2027_01"]
        for table in ("detections", "frame_metadata", "system_metrics")
    }
    assert not any(make_months(dsn, dt.datetime(2026, 11, 30, tzinfo=dt.UTC), ahead=2).values())


def test_sql_reads_the_archive_and_nothing_else(world, tmp_path):
    load_two(world)
    run(world)
    files, _ = in_transaction(world.machine.dsn, archive.files)
    folder = place_of(world).archive_dir

    def ask(statement: str) -> list[tuple]:
        with archive_query.query(folder, files, statement) as answer:
            return [row for piece in answer.pieces for row in piece]

    assert ask("SELECT count(*), min(ts), count(DISTINCT video_id) FROM detections") == [(60, FILMED, 2)]
    (tmp_path / "secret.csv").write_text("password")
    for statement in (
        f"SELECT * FROM read_csv('{tmp_path}/secret.csv')",
        f"SELECT * FROM read_parquet('{folder}/**/*.parquet') , read_text('/etc/hostname')",
    ):
        with pytest.raises(UserError, match="Permission Error"):
            ask(statement)
    for statement in (f"COPY detections TO '{tmp_path}/out.csv'", "SET memory_limit = '1GB'", "SELECT 1; SELECT 2", ""):
        with pytest.raises(ConfigError, match="one statement that reads"):
            ask(statement)
    with pytest.raises(UserError, match=r"^Catalog Error: Table with name tracks does not exist.* has detections\.$"):
        ask("SELECT * FROM tracks")
    with pytest.raises(UserError, match=r'^Parser Error: syntax error at or near "SELCT"\.$'):
        ask("SELCT 1")
    (folder / files[0].path).unlink()
    with pytest.raises(UserError, match="is missing"):
        ask("SELECT 1")
    # Nor is anything deleted whose older rows cannot be taken out.
    load(world, files[0].videos[0], 4)
    with pytest.raises(UserError, match="is missing"):
        run(world)
    assert len(in_table(world)) == 4
