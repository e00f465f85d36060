"""Cases G: a table in chunks holds the rows that it would hold whole."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from conftest import Pair
from pgmigrate import ConfigError, PreflightError
from support import servers
from support.chunks import assert_equal, chunked, migration_of, queries, run

PARTITIONED = """
CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (50);
CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (50) TO (100);
INSERT INTO t SELECT generate_series(0, 99);
ANALYZE;
"""


@pytest.mark.case("G1")
def test_rows_whose_key_is_null_are_copied(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (id int UNIQUE, a text);"
        "INSERT INTO t SELECT NULLIF(i, i / 10 * 10), 'r' || i FROM generate_series(1, 200) i;"
        "ANALYZE",
    )
    migration = migration_of(source, target, tables=chunked(50))
    plan = migration.plan()
    assert sum("IS NULL" in sql for sql in queries(plan)) == 1
    rows = run(migration, plan)
    assert len(rows) == 5
    assert rows[-1] == 20
    assert_equal(source, target, 200)


@pytest.mark.case("G1")
def test_a_not_null_that_was_never_checked_hides_no_nulls(
    make_pair: Callable[[int, int], Pair],
) -> None:
    pair = make_pair(18, 18)
    source, target = pair.filled(
        "CREATE TABLE t (id int UNIQUE, a text);"
        "INSERT INTO t SELECT NULLIF(i, i / 10 * 10), 'r' || i FROM generate_series(1, 200) i;"
        "ALTER TABLE t ADD CONSTRAINT id_there NOT NULL id NOT VALID; ANALYZE",
    )
    migration = migration_of(source, target, tables=chunked(50))
    run(migration, migration.plan())
    assert_equal(source, target, 200)


@pytest.mark.case("G2")
@pytest.mark.parametrize("parameter", ["autovacuum_enabled = false"])
def test_pages_without_visible_rows_do_not_end_the_copy(pair: Pair, parameter: str) -> None:
    source, target = pair.filled(
        f"CREATE TABLE t (id int, a text) WITH ({parameter});"
        "INSERT INTO t SELECT i, repeat('x', 400) FROM generate_series(1, 600) i;"
        "DELETE FROM t WHERE id BETWEEN 100 AND 500; INSERT INTO t SELECT 1000, 'last'",
    )
    migration = migration_of(source, target, split_larger_than="16kB")
    plan = migration.plan()
    assert len(queries(plan)) > 10
    assert all("ctid" in sql for sql in queries(plan))
    rows = run(migration, plan)
    assert 0 in rows
    assert_equal(source, target, 200)


@pytest.mark.case("G3")
def test_rows_that_come_after_planning_are_copied(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);"
        "CREATE TABLE pages (id int, a text);"
        "INSERT INTO pages SELECT i, repeat('x', 500) FROM generate_series(1, 100) i; ANALYZE",
    )
    migration = migration_of(source, target, tables=chunked(30), split_larger_than="16kB")
    plan = migration.plan()
    assert len(queries(plan)) == 4
    assert len(queries(plan, "pages")) > 2
    # Below the lowest and above the highest key, and behind the last page.
    servers.run_script(
        source,
        "INSERT INTO t SELECT i FROM generate_series(-50, -1) i;"
        "INSERT INTO t SELECT i FROM generate_series(1000, 1049) i;"
        "INSERT INTO pages SELECT i, repeat('y', 500) FROM generate_series(101, 400) i",
    )
    run(migration, plan)
    assert_equal(source, target, 200)
    assert_equal(source, target, 400, "pages")


@pytest.mark.case("G3")
@pytest.mark.parametrize(
    "statistics",
    [
        "",
        "ANALYZE t; DELETE FROM t WHERE id > 10",
        "ANALYZE t; TRUNCATE t; INSERT INTO t SELECT i FROM generate_series(1, 500) i",
    ],
    ids=["never_analyzed", "far_too_many", "emptied_and_refilled"],
)
def test_stale_statistics_lose_nothing(pair: Pair, statistics: str) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (id int PRIMARY KEY) WITH (autovacuum_enabled = false);"
        f"INSERT INTO t SELECT generate_series(1, 300); {statistics}",
    )
    with psycopg.connect(source) as connection:
        count = connection.execute("SELECT count(*)::int FROM t").fetchone()
    assert count is not None
    migration = migration_of(source, target, tables=chunked(50))
    run(migration, migration.plan())
    assert_equal(source, target, count[0])


@pytest.mark.case("G3")
def test_statistics_of_zero_rows_do_not_make_one_chunk(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (id int PRIMARY KEY) WITH (autovacuum_enabled = false); VACUUM ANALYZE t;"
        "INSERT INTO t SELECT generate_series(1, 3000)",
    )
    with psycopg.connect(source) as connection:
        tuples = connection.execute("SELECT reltuples FROM pg_class WHERE relname = 't'").fetchone()
    assert tuples == (0,)
    migration = migration_of(source, target, tables=chunked(100))
    plan = migration.plan()
    assert len(queries(plan)) > 10
    run(migration, plan)
    assert_equal(source, target, 3000)


@pytest.mark.parametrize(
    ("rows", "chunks"),
    [
        ("SELECT i - 150 FROM generate_series(1, 300) i", 3),
        ("SELECT i / 10 FROM generate_series(0, 299) i", 3),
        ("SELECT i * 30000000::bigint FROM generate_series(1, 300) i", 3),
        ("VALUES (-9223372036854775808), (0), (9223372036854775807)", 1),
        ("SELECT 7 FROM generate_series(1, 300)", 1),
    ],
    ids=["negative", "duplicate", "sparse", "the_ends_of_bigint", "all_the_same"],
)
def test_keys_of_every_kind_are_cut(pair: Pair, rows: str, chunks: int) -> None:
    source, target = pair.filled(
        f"CREATE TABLE t (id bigint NOT NULL); INSERT INTO t {rows}; ANALYZE"
    )
    migration = migration_of(source, target, tables=chunked(100))
    plan = migration.plan()
    assert len(queries(plan)) == chunks
    run(migration, plan)
    assert_equal(source, target, 3 if "VALUES" in rows else 300)


def test_the_ends_of_bigint_in_several_chunks(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (id bigint PRIMARY KEY); INSERT INTO t VALUES"
        "(-9223372036854775808), (-1), (0), (9223372036854775807); ANALYZE",
    )
    migration = migration_of(source, target, tables=chunked(1))
    plan = migration.plan()
    assert len(queries(plan)) == 4
    run(migration, plan)
    assert_equal(source, target, 4)


@pytest.mark.parametrize("rows", ["", "; INSERT INTO t SELECT NULL FROM generate_series(1, 5)"])
def test_a_table_without_any_key_is_one_chunk(pair: Pair, rows: str) -> None:
    source, target = pair.filled(f"CREATE TABLE t (id int){rows}")
    migration = migration_of(source, target, tables=chunked(2))
    plan = migration.plan()
    assert len(queries(plan)) == 1
    run(migration, plan)
    assert_equal(source, target, 5 if rows else 0)


def test_a_limit_switches_chunking_off(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)"
    )
    tables = chunked(10, limit=30, order_by="id DESC", where="id <> 95")
    migration = migration_of(source, target, tables=tables, split_larger_than="1kB")
    plan = migration.plan()
    assert queries(plan) == [
        'COPY (SELECT "id" FROM ONLY "public"."t" WHERE (id <> 95) ORDER BY id DESC LIMIT 30)'
        " TO STDOUT"
    ]
    run(migration, plan)
    with psycopg.connect(target) as connection:
        found = connection.execute("SELECT min(id), max(id), count(*) FROM t").fetchone()
    assert found == (70, 100, 30)


def test_where_and_order_by_hold_in_every_chunk(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (id int PRIMARY KEY, a text);"
        "INSERT INTO t SELECT i, i % 3 FROM generate_series(1, 90) i",
    )
    # An OR, so that a missing parenthesis would show.
    tables = chunked(10, where="a = '1' OR a = '2' AND id > 0", order_by="a DESC")
    migration = migration_of(source, target, tables=tables)
    plan = migration.plan()
    assert len(queries(plan)) == 6
    assert all("ORDER BY a DESC" in sql for sql in queries(plan))
    run(migration, plan)
    with psycopg.connect(target) as connection:
        found = connection.execute("SELECT a, count(*) FROM t GROUP BY a ORDER BY a").fetchall()
    assert found == [("1", 30), ("2", 30)]


def test_a_where_that_no_row_meets(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)"
    )
    migration = migration_of(source, target, tables=chunked(1, where="id > 100"))
    run(migration, migration.plan())
    assert servers.rows(target, "public", "t") == []


def test_a_limit_counts_for_each_partition_and_the_plan_says_so(pair: Pair) -> None:
    source, target = pair.filled(PARTITIONED)
    tables = {"include": [{"name": "t", "limit": 10, "order_by": "id"}]}
    migration = migration_of(source, target, tables=tables)
    plan = migration.plan()
    notes = {task.note for task in plan if task.kind == "data"}
    assert notes == {"the limit counts for each partition"}
    assert run(migration, plan) == [10, 10]


def test_a_chunk_column_of_a_partitioned_table_cuts_each_partition(pair: Pair) -> None:
    source, target = pair.filled(PARTITIONED)
    migration = migration_of(source, target, tables=chunked(25))
    plan = migration.plan()
    assert (len(queries(plan, "t1")), len(queries(plan, "t2"))) == (2, 2)
    run(migration, plan)
    assert len(servers.rows(target, "public", "t")) == 100


def test_a_default_chunk_column_holds_where_a_table_has_it(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 40);"
        "CREATE TABLE other (a text); INSERT INTO other VALUES ('x'); ANALYZE",
    )
    tables = {
        "default": {"chunk_column": "id", "chunk_size": 10},
        "include": [{"name": "other", "order_by": "a"}],
    }
    migration = migration_of(source, target, tables=tables)
    plan = migration.plan()
    assert (len(queries(plan)), len(queries(plan, "other"))) == (4, 1)
    run(migration, plan)
    assert_equal(source, target, 40)


def test_a_where_with_an_error_fails_with_its_tables_name(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);"
        "CREATE TABLE other (id int); INSERT INTO other VALUES (1)",
    )
    wrong = migration_of(source, target, tables={"include": [{"name": "t", "where": "idd > 1"}]})
    with pytest.raises(PreflightError) as caught:
        wrong.run()
    (finding,) = [found for found in caught.value.findings if found.check == "clause"]
    assert finding.object == "public.t" and "42703" in finding.message
    assert servers.tables(target) == []
    # What only the rows show fails their table alone.
    tables = {"include": [{"name": "t", "where": "1 / (id - 1) > 0"}]}
    report = migration_of(source, target, tables=tables).run()
    failed = [task for task in report.tasks if task.status == "failed"]
    assert [(task.object, task.sqlstate) for task in failed] == [("public.t", "22012")]
    assert len(servers.rows(target, "public", "other")) == 1


def test_a_where_cannot_write(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (id int); INSERT INTO t VALUES (1);"
        "CREATE FUNCTION sneaky() RETURNS bool LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO public.t VALUES (2); RETURN true; END'",
    )
    tables = {"include": [{"name": "t", "where": "public.sneaky()"}]}
    report = migration_of(source, target, tables=tables).run()
    failed = [task.sqlstate for task in report.tasks if task.status == "failed"]
    assert failed == ["25006"]
    assert len(servers.rows(source, "public", "t")) == 1


def test_a_chunk_column_that_is_no_integer_is_a_mistake(pair: Pair) -> None:
    source, target = pair.filled("CREATE TABLE t (id text PRIMARY KEY)")
    with pytest.raises(ConfigError, match="expected smallint, integer or bigint"):
        migration_of(source, target, tables=chunked(10)).plan()
