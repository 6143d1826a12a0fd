"""Upkeep of the database: what the statistics ask for is done, and what others hold is left alone."""

import json
from contextlib import closing
from dataclasses import replace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pc_pipeline.cli.db import db
from pc_pipeline.errors import UserError
from pc_pipeline.housekeeping.upkeep import expected_bytes, judge, judge_index, look, maintain
from pc_pipeline.store import upkeep as store
from pc_pipeline.store.postgres import connect, in_transaction
from pc_pipeline.store.upkeep import Index, Table

TABLE = Table(
    "public", "tracks", partitioned=False, size=1 << 20, rows=100_000, dead=0, changed=0, inserted=0, known=True,
    age=0.1, partition_rows=0, busy=False,
)  # fmt: skip
INDEX = Index(
    "public", "tracks", "tracks_pkey", "btree", valid=True, size=3 << 20, rows=100_000, width=12, table_pages=1000,
    pages_per_range=None, fillfactor=None, inserted=0, busy=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "action", "why"),
    [
        ({}, "none", "0% dead, 0% changed"),
        ({"size": 0, "rows": 0, "known": False}, "none", "empty"),
        ({"known": False}, "analyze", "never analyzed"),
        ({"changed": 4_900}, "none", "5% changed"),
        ({"changed": 5_000}, "analyze", "5% of its rows changed"),
        ({"rows": 100, "changed": 499}, "none", "499% changed"),
        ({"dead": 12_000}, "vacuum", "11% of its rows are dead"),
        ({"rows": 900, "dead": 900}, "none", "50% dead"),
        (
            {"dead": 50_000, "changed": 50_000},
            "vacuum and analyze",
            "33% of its rows are dead; 50% of its rows changed",
        ),
        ({"inserted": 21_000}, "vacuum", "21,000 rows since its last VACUUM"),
        ({"age": 0.6, "dead": 50_000}, "freeze", "at 60% of the age at which Postgres intervenes"),
        ({"partitioned": True, "size": 0}, "none", "no rows yet"),
        ({"partitioned": True, "partition_rows": 9, "known": False}, "analyze", "which autovacuum never does"),
        ({"partitioned": True, "partition_rows": 105_000}, "none", "about as many rows"),
        ({"partitioned": True, "partition_rows": 200_000}, "analyze", "50% more or fewer rows"),
    ],
)
def test_a_table_needs_what_its_statistics_say(facts, action, why):
    verdict = judge(replace(TABLE, **facts))
    assert verdict.action == action
    assert why in verdict.why
    assert (verdict.need >= 1) == (action != "none"), "over its threshold"


@pytest.mark.parametrize(
    ("facts", "action", "why"),
    [
        ({"size": 100 << 20}, "reindex", "105 MB where 3 MB would do"),
        ({"size": 7 << 20}, None, ""),
        ({"size": 100 << 20, "rows": 2_000_000}, None, ""),
        ({"size": 100 << 20, "width": None}, None, ""),
        ({"size": 100 << 20, "kind": "hash"}, None, ""),
        ({"kind": "brin", "size": 2 << 20}, "reindex", "2 MB where 0 MB would do"),
        ({"kind": "brin", "size": 1 << 16, "inserted": 10_000}, "summarize", "10,000 rows it does not cover yet"),
        ({"valid": False, "name": "tracks_pkey_ccnew1"}, "drop", "interrupted"),
        ({"valid": False}, "reindex", "no query uses it"),
    ],
)
def test_an_index_needs_what_its_size_says(facts, action, why):
    verdict = judge_index(replace(INDEX, **facts), vacuumed=False)
    assert (verdict.action if verdict else None) == action
    assert verdict is None or (why in verdict.why and verdict.need >= 1)


def test_what_others_work_on_is_named_and_left_alone():
    assert judge(replace(TABLE, known=False, busy=True)).outcome == "busy"
    assert judge_index(replace(INDEX, valid=False, busy=True), vacuumed=False).outcome == "busy"
    assert judge_index(replace(INDEX, kind="brin", size=1 << 16, inserted=10_000), vacuumed=True) is None


@given(st.integers(0, 10**9), st.integers(1, 200), st.integers(10, 100))
def test_an_index_just_made_is_never_called_bloated(rows, width, fillfactor):
    made = replace(INDEX, rows=rows, width=width, fillfactor=fillfactor)
    expected = expected_bytes(made)
    assert expected * (_BYTES_A_PAGE * fillfactor / 100) / 8192 >= rows * (12 + width)
    assert judge_index(replace(made, size=expected), vacuumed=False) is None


_BYTES_A_PAGE = 8152

MESS = """
CREATE TABLE messy (number bigint PRIMARY KEY, name text, at timestamptz) WITH (autovacuum_enabled = false);
CREATE INDEX messy_name ON messy (name, lower(name));
CREATE INDEX messy_at ON messy USING brin (at) WITH (pages_per_range = 4);
INSERT INTO messy
SELECT n, md5(n::text), '2026-01-01'::timestamptz + n * interval '1 s' FROM generate_series(1, 24000) n;
ANALYZE messy;
DELETE FROM messy WHERE number % 6 <> 0;
CREATE TABLE parts (n int) PARTITION BY RANGE (n);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000000);
INSERT INTO parts SELECT generate_series(1, 2000);
"""


def execute(dsn: str, *statements: str) -> list[tuple]:
    with closing(connect(dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            # What a session counted reaches the statistics when it ends, or when it says so.
            rows = cursor.fetchall() if cursor.description else []
            cursor.execute("SELECT pg_stat_force_next_flush()")
        return rows


def due(dsn: str) -> dict[str, str]:
    return {verdict.name: verdict.action for verdict in look(dsn) if verdict.action != "none"}


def test_a_database_in_a_mess_is_put_right_and_then_has_nothing_due(dsn, monkeypatch):
    monkeypatch.setattr("pc_pipeline.housekeeping.upkeep._BLOAT_BYTES", {"btree": 1 << 20, "brin": 1 << 20})
    execute(dsn, MESS)
    # As REINDEX leaves it when it is killed.
    execute(dsn, "CREATE INDEX messy_name_ccnew ON messy (name)")
    execute(dsn, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'messy_name_ccnew'::regclass")
    assert due(dsn) | {"messy": "vacuum and analyze", "messy_name_ccnew": "drop", "parts": "analyze"} == due(dsn)
    needs = [verdict.need for verdict in look(dsn)]
    assert needs == sorted(needs, reverse=True), "the worst comes first"

    first = {verdict.name: verdict for verdict in maintain(dsn)}
    # Dead entries count as an index's until VACUUM has been there: only then is it seen to be too large.
    second = {verdict.name: verdict for verdict in maintain(dsn)}

    assert {first[name].outcome for name in ("messy", "messy_name_ccnew", "parts")} == {"done"}
    assert (second["messy_name"].action, second["messy_name"].outcome) == ("reindex", "done")
    assert due(dsn) == {}
    sizes = {index.name: index for index in in_transaction(dsn, store.indexes)[0] if index.table == "messy"}
    assert "messy_name_ccnew" not in sizes
    assert sizes["messy_name"].valid
    assert sizes["messy_name"].size == pytest.approx(expected_bytes(sizes["messy_name"]), rel=0.1)
    assert execute(dsn, "SELECT count(*), min(number), max(number) FROM messy") == [(4000, 6, 24_000)]


def test_what_is_locked_is_left_alone_and_what_there_is_no_time_for_waits(dsn, monkeypatch):
    monkeypatch.setattr(store, "LOCK_WAIT_S", 0.1)
    execute(dsn, MESS)
    with closing(connect(dsn)) as loading, loading.cursor() as cursor:
        cursor.execute("LOCK TABLE messy IN ROW EXCLUSIVE MODE")
        assert {v.outcome for v in maintain(dsn) if v.name == "messy"} == {"done"}, "a load does not keep it off"
        # A transaction that stays open: REINDEX waits for it, gives up, and leaves nothing behind.
        with store.upkeep_connection(dsn) as connection:
            cursor.execute("SELECT txid_current()")
            assert store.reindex(connection, "public", "messy_name", 5) == "busy"
    assert [index for index in due(dsn) if "_cc" in index] == ["messy_name_ccnew"]
    execute(dsn, "INSERT INTO messy SELECT generate_series(-24000, -1)")
    with closing(connect(dsn)) as dropping, dropping.cursor() as cursor:
        cursor.execute("LOCK TABLE messy")
        outcomes = {verdict.name: verdict.outcome for verdict in maintain(dsn) if verdict.action != "none"}
        assert (outcomes["messy"], outcomes["messy_name_ccnew"]) == ("busy", "busy")
    assert {verdict.outcome for verdict in maintain(dsn, minutes=0) if verdict.action != "none"} == {"out of time"}


def test_two_upkeeps_are_one_and_a_sentence(dsn):
    with store.upkeep_connection(dsn), pytest.raises(UserError, match="at work: wait until it is done"):
        maintain(dsn)


def test_the_command_says_of_every_table_why_or_why_not(dsn, monkeypatch):
    monkeypatch.setenv("PC_POSTGRES_DSN", dsn)
    monkeypatch.setenv("PC_REDIS_URL", "redis://127.0.0.1:1")
    told = json.loads(CliRunner().invoke(db, ["maintain", "--dry-run", "--json"]).stdout)
    tables = {row["table"]: row for row in told if row["index"] is None}
    assert {"tracks", "detections", "event_logs"} <= set(tables)
    assert all(row["why"] and row["outcome"] == "" for row in tables.values())
    done = CliRunner().invoke(db, ["maintain"])
    assert done.exit_code == 0
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("schema_migrations ")]
    assert line.split() == ["schema_migrations", "analyze", "done", "never", "analyzed"]
