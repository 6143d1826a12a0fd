"""The schema goes forward and back, says where it stands, and explains itself."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from pc_pipeline.errors import SchemaOutdated
from pc_pipeline.store.migrate import MIGRATIONS_DIR, find_migrations, migrate, require_current, rollback, status
from pc_pipeline.store.postgres import connect

EVERYTHING = """
SELECT 'column', c.oid::regclass::text, attname, format_type(atttypid, atttypmod) || ' ' || attnotnull
       || coalesce(pg_get_expr(adbin, adrelid), ''), col_description(c.oid, attnum), c.relacl::text
  FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0
  LEFT JOIN pg_attrdef d ON (adrelid, adnum) = (attrelid, attnum) WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), NULL, NULL
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'index', indexrelid::regclass::text, '', pg_get_indexdef(indexrelid), NULL, NULL
  FROM pg_index JOIN pg_class ON pg_class.oid = indrelid WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT 'function', proname, '', pg_get_functiondef(oid), obj_description(oid, 'pg_proc'), proacl::text
  FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'view', viewname, '', definition, NULL, NULL FROM pg_views WHERE schemaname = 'public'
UNION ALL SELECT 'default', '', '', defaclacl::text, NULL, NULL FROM pg_default_acl
ORDER BY 1, 2, 3, 4
"""


def everything(dsn: str) -> list[tuple]:
    with closing(connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(EVERYTHING)
        return cursor.fetchall()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The migrations, in a folder a test may change."""
    return Path(shutil.copytree(MIGRATIONS_DIR, tmp_path / "migrations"))


def test_forward_back_and_forward_again_gives_the_same_schema(empty_dsn):
    applied = migrate(empty_dsn)
    assert [migration.version for migration in applied] == list(range(1, len(applied) + 1))
    first = everything(empty_dsn)

    assert rollback(empty_dsn, 0) == applied[::-1]
    assert {table for _, table, *_ in everything(empty_dsn)} <= {"schema_migrations", "schema_migrations_pkey", ""}

    assert migrate(empty_dsn) == applied
    assert everything(empty_dsn) == first


def test_each_migration_can_be_taken_back_by_itself(empty_dsn):
    migrate(empty_dsn)
    whole = everything(empty_dsn)
    for migration in reversed(find_migrations()):
        assert rollback(empty_dsn, migration.version - 1) == [migration]
    migrate(empty_dsn)
    assert everything(empty_dsn) == whole


def test_a_second_migrate_has_nothing_to_do(dsn):
    assert migrate(dsn) == []
    require_current(dsn)


def test_two_migrators_at_once_apply_each_migration_once(empty_dsn):
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(migrate, [empty_dsn, empty_dsn]))
    assert sorted(len(applied) for applied in results) == [0, len(find_migrations())]


def test_a_database_behind_says_what_to_run(empty_dsn):
    assert {state.state for state in status(empty_dsn)} == {"pending"}
    with pytest.raises(SchemaOutdated, match="from 0001_schema on: run `pc db migrate`"):
        require_current(empty_dsn)


def test_a_migration_changed_after_it_was_applied_is_refused(empty_dsn, copied):
    migrate(empty_dsn, copied)
    file = copied / "0002_views.up.sql"
    file.write_text(file.read_text() + "-- later\n")
    assert [state.state for state in status(empty_dsn, copied)][:2] == ["applied", "changed"]
    with pytest.raises(SchemaOutdated, match="0002_views was applied with another text"):
        migrate(empty_dsn, copied)


def test_a_database_ahead_of_the_code_is_refused(empty_dsn, copied):
    (copied / "9000_future.up.sql").write_text("CREATE TABLE future ()")
    migrate(empty_dsn, copied)
    with pytest.raises(SchemaOutdated, match="9000_future, unknown to this version"):
        migrate(empty_dsn)


def test_a_migration_that_fails_leaves_nothing_of_itself(empty_dsn, copied):
    (copied / "9000_broken.up.sql").write_text("CREATE TABLE half (); SELECT 1 / 0")
    with pytest.raises(psycopg2.errors.DivisionByZero):
        migrate(empty_dsn, copied)
    assert "half" not in {table for _, table, *_ in everything(empty_dsn)}
    assert [state.state for state in status(empty_dsn, copied)][-2:] == ["applied", "pending"]


def test_every_table_view_and_column_of_a_table_says_what_it_is(connection):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p', 'v') AND NOT relispartition AND obj_description(oid, 'pg_class') IS NULL"
        )
        assert cursor.fetchall() == []
        cursor.execute(
            "SELECT attrelid::regclass || '.' || attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
            " AND attnum > 0 AND col_description(attrelid, attnum) IS NULL"
        )
        assert cursor.fetchall() == []


def test_the_reader_reads_everything_and_writes_nothing(connection):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE of_a_later_migration ()")
        cursor.execute("SET ROLE pc_reader")
        for name in ("cameras", "detections", "daily_analytics", "detections_with_gender", "of_a_later_migration"):
            cursor.execute(f"SELECT * FROM {name}")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("INSERT INTO cameras (camera) VALUES ('x')")
