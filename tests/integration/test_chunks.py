"""Cases G: a table in chunks holds the rows that it would hold whole."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import ConfigError, Migration, Plan
from support import servers


def _migration(source: str, target: str, **options: Any) -> Migration:
    return Migration(source=source, target=target, roles="none", **options)


def _chunked(size: int, **options: Any) -> dict[str, object]:
    return {"include": [{"name": "t", "chunk_column": "id", "chunk_size": size, **options}]}


def _chunks(plan: Plan, table: str = "t") -> list[str]:
    return [task.source_sql for task in plan if task.kind == "data" and task.name == table]


def _assert_equal(source: str, target: str, count: int, table: str = "t") -> None:
    expected = servers.rows(source, "public", table)
    assert len(expected) == count
    assert servers.rows(target, "public", table) == expected


def _run(migration: Migration, plan: Plan) -> list[int]:
    """The rows that each chunk brought."""
    report = migration.run(plan, jobs=3)
    report.raise_for_failures()
    return [task.rows for task in report.tasks if task.kind == "data"]


def test_g1_rows_whose_key_is_null_are_copied(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE t (id int UNIQUE, a text);"
        "INSERT INTO t SELECT NULLIF(i, i / 10 * 10), 'r' || i FROM generate_series(1, 200) i;"
        "ANALYZE",
    )
    migration = _migration(source, target, tables=_chunked(50))
    plan = migration.plan()
    assert sum("IS NULL" in sql for sql in _chunks(plan)) == 1
    rows = _run(migration, plan)
    assert len(rows) == 5
    assert rows[-1] == 20
    _assert_equal(source, target, 200)


def test_g1_a_not_null_that_was_never_checked_hides_no_nulls(
    make_pair: Callable[[int, int], Pair],
) -> None:
    pair = make_pair(18, 18)
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE t (id int UNIQUE, a text);"
        "INSERT INTO t SELECT NULLIF(i, i / 10 * 10), 'r' || i FROM generate_series(1, 200) i;"
        "ALTER TABLE t ADD CONSTRAINT id_there NOT NULL id NOT VALID; ANALYZE",
    )
    migration = _migration(source, target, tables=_chunked(50))
    _run(migration, migration.plan())
    _assert_equal(source, target, 200)


@pytest.mark.parametrize("parameter", ["autovacuum_enabled = false"])
def test_g2_pages_without_visible_rows_do_not_end_the_copy(pair: Pair, parameter: str) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        f"CREATE TABLE t (id int, a text) WITH ({parameter});"
        "INSERT INTO t SELECT i, repeat('x', 400) FROM generate_series(1, 600) i;"
        "DELETE FROM t WHERE id BETWEEN 100 AND 500; INSERT INTO t SELECT 1000, 'last'",
    )
    migration = _migration(source, target, split_larger_than="16kB")
    plan = migration.plan()
    assert len(_chunks(plan)) > 10
    assert all("ctid" in sql for sql in _chunks(plan))
    rows = _run(migration, plan)
    assert 0 in rows
    _assert_equal(source, target, 200)


def test_g3_rows_that_come_after_planning_are_copied(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);"
        "CREATE TABLE pages (id int, a text);"
        "INSERT INTO pages SELECT i, repeat('x', 500) FROM generate_series(1, 100) i; ANALYZE",
    )
    migration = _migration(source, target, tables=_chunked(30), split_larger_than="16kB")
    plan = migration.plan()
    assert len(_chunks(plan)) == 4
    assert len(_chunks(plan, "pages")) > 2
    # Below the lowest and above the highest key, and behind the last page.
    servers.run_script(
        source,
        "INSERT INTO t SELECT i FROM generate_series(-50, -1) i;"
        "INSERT INTO t SELECT i FROM generate_series(1000, 1049) i;"
        "INSERT INTO pages SELECT i, repeat('y', 500) FROM generate_series(101, 400) i",
    )
    _run(migration, plan)
    _assert_equal(source, target, 200)
    _assert_equal(source, target, 400, "pages")


@pytest.mark.parametrize(
    "statistics",
    [
        "",
        "ANALYZE t; DELETE FROM t WHERE id > 10",
        "ANALYZE t; TRUNCATE t; INSERT INTO t SELECT i FROM generate_series(1, 500) i",
    ],
    ids=["never_analyzed", "far_too_many", "emptied_and_refilled"],
)
def test_g3_stale_statistics_lose_nothing(pair: Pair, statistics: str) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE t (id int PRIMARY KEY) WITH (autovacuum_enabled = false);"
        f"INSERT INTO t SELECT generate_series(1, 300); {statistics}",
    )
    with psycopg.connect(source) as connection:
        count = connection.execute("SELECT count(*)::int FROM t").fetchone()
    assert count is not None
    migration = _migration(source, target, tables=_chunked(50))
    _run(migration, migration.plan())
    _assert_equal(source, target, count[0])


def test_g3_statistics_of_zero_rows_do_not_make_one_chunk(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE t (id int PRIMARY KEY) WITH (autovacuum_enabled = false); VACUUM ANALYZE t;"
        "INSERT INTO t SELECT generate_series(1, 3000)",
    )
    with psycopg.connect(source) as connection:
        tuples = connection.execute("SELECT reltuples FROM pg_class WHERE relname = 't'").fetchone()
    assert tuples == (0,)
    migration = _migration(source, target, tables=_chunked(100))
    plan = migration.plan()
    assert len(_chunks(plan)) > 10
    _run(migration, plan)
    _assert_equal(source, target, 3000)


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
def test_keys_of_every_kind(pair: Pair, rows: str, chunks: int) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source, f"CREATE TABLE t (id bigint NOT NULL); INSERT INTO t {rows}; ANALYZE"
    )
    migration = _migration(source, target, tables=_chunked(100))
    plan = migration.plan()
    assert len(_chunks(plan)) == chunks
    _run(migration, plan)
    _assert_equal(source, target, 3 if "VALUES" in rows else 300)


def test_the_ends_of_bigint_in_several_chunks(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE t (id bigint PRIMARY KEY); INSERT INTO t VALUES"
        "(-9223372036854775808), (-1), (0), (9223372036854775807); ANALYZE",
    )
    migration = _migration(source, target, tables=_chunked(1))
    plan = migration.plan()
    assert len(_chunks(plan)) == 4
    _run(migration, plan)
    _assert_equal(source, target, 4)


@pytest.mark.parametrize("rows", ["", "; INSERT INTO t SELECT NULL FROM generate_series(1, 5)"])
def test_a_table_without_any_key_is_one_chunk(pair: Pair, rows: str) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(source, f"CREATE TABLE t (id int){rows}")
    migration = _migration(source, target, tables=_chunked(2))
    plan = migration.plan()
    assert len(_chunks(plan)) == 1
    _run(migration, plan)
    _assert_equal(source, target, 5 if rows else 0)


def test_a_limit_switches_chunking_off(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)"
    )
    tables = _chunked(10, limit=30, order_by="id DESC", where="id <> 95")
    migration = _migration(source, target, tables=tables, split_larger_than="1kB")
    plan = migration.plan()
    assert _chunks(plan) == [
        'COPY (SELECT "id" FROM ONLY "public"."t" WHERE (id <> 95) ORDER BY id DESC LIMIT 30)'
        " TO STDOUT"
    ]
    _run(migration, plan)
    with psycopg.connect(target) as connection:
        found = connection.execute("SELECT min(id), max(id), count(*) FROM t").fetchone()
    assert found == (70, 100, 30)


def test_where_and_order_by_hold_in_every_chunk(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE t (id int PRIMARY KEY, a text);"
        "INSERT INTO t SELECT i, i % 3 FROM generate_series(1, 90) i",
    )
    # An OR, so that a missing parenthesis would show.
    tables = _chunked(10, where="a = '1' OR a = '2' AND id > 0", order_by="a DESC")
    migration = _migration(source, target, tables=tables)
    plan = migration.plan()
    assert len(_chunks(plan)) == 6
    assert all("ORDER BY a DESC" in sql for sql in _chunks(plan))
    _run(migration, plan)
    with psycopg.connect(target) as connection:
        found = connection.execute("SELECT a, count(*) FROM t GROUP BY a ORDER BY a").fetchall()
    assert found == [("1", 30), ("2", 30)]


def test_a_where_that_no_row_meets(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(source, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
    migration = _migration(source, target, tables=_chunked(1, where="id > 100"))
    _run(migration, migration.plan())
    assert servers.rows(target, "public", "t") == []


def test_a_limit_counts_for_each_partition_and_the_plan_says_so(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        """
        CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (50);
        CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (50) TO (100);
        INSERT INTO t SELECT generate_series(0, 99);
        """,
    )
    tables = {"include": [{"name": "t", "limit": 10, "order_by": "id"}]}
    migration = _migration(source, target, tables=tables)
    plan = migration.plan()
    notes = {task.note for task in plan if task.kind == "data"}
    assert notes == {"the limit counts for each partition"}
    assert _run(migration, plan) == [10, 10]


def test_a_chunk_column_of_a_partitioned_table_cuts_each_partition(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        """
        CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (50);
        CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (50) TO (100);
        INSERT INTO t SELECT generate_series(0, 99); ANALYZE;
        """,
    )
    migration = _migration(source, target, tables=_chunked(25))
    plan = migration.plan()
    assert (len(_chunks(plan, "t1")), len(_chunks(plan, "t2"))) == (2, 2)
    _run(migration, plan)
    assert len(servers.rows(target, "public", "t")) == 100


def test_a_default_chunk_column_holds_where_a_table_has_it(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 40);"
        "CREATE TABLE other (a text); INSERT INTO other VALUES ('x'); ANALYZE",
    )
    tables = {
        "default": {"chunk_column": "id", "chunk_size": 10},
        "include": [{"name": "other", "order_by": "a"}],
    }
    migration = _migration(source, target, tables=tables)
    plan = migration.plan()
    assert (len(_chunks(plan)), len(_chunks(plan, "other"))) == (4, 1)
    _run(migration, plan)
    _assert_equal(source, target, 40)


def test_a_where_with_an_error_fails_with_its_tables_name(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);"
        "CREATE TABLE other (id int); INSERT INTO other VALUES (1)",
    )
    tables = {"include": [{"name": "t", "where": "idd > 1"}]}
    report = _migration(source, target, tables=tables).run()
    failed = [task for task in report.tasks if task.status == "failed"]
    assert [(task.object, task.sqlstate) for task in failed] == [("public.t", "42703")]
    assert len(servers.rows(target, "public", "other")) == 1


def test_a_where_cannot_write(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE t (id int); INSERT INTO t VALUES (1);"
        "CREATE FUNCTION sneaky() RETURNS bool LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO public.t VALUES (2); RETURN true; END'",
    )
    tables = {"include": [{"name": "t", "where": "public.sneaky()"}]}
    report = _migration(source, target, tables=tables).run()
    failed = [task.sqlstate for task in report.tasks if task.status == "failed"]
    assert failed == ["25006"]
    assert len(servers.rows(source, "public", "t")) == 1


def test_a_chunk_column_that_is_no_integer_is_a_mistake(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(source, "CREATE TABLE t (id text PRIMARY KEY)")
    with pytest.raises(ConfigError, match="expected smallint, integer or bigint"):
        _migration(source, target, tables=_chunked(10)).plan()


OTHER_ACCESS_METHOD = """
CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;
SET default_table_access_method = other;
"""
"""The heap under another name, of which a plan cannot know that it reads ranges of pages."""


def _heights(source: str, plan: Plan, table: str = "t") -> list[int]:
    """The rows of each chunk, read as the plan reads them; each row of the table is in one."""
    read: list[tuple[str, ...]] = []
    heights = []
    with psycopg.connect(source) as connection, connection.cursor() as cursor:
        for sql in _chunks(plan, table):
            with cursor.copy(sql) as copy:
                rows = [tuple(map(str, row)) for row in copy.rows()]
            heights.append(len(rows))
            read += rows
        with cursor.copy(f"COPY {table} TO STDOUT") as copy:
            expected = Counter(tuple(map(str, row)) for row in copy.rows())
    assert Counter(read) == expected
    return heights


def _keys(kind: str, seed: int) -> list[int | None]:
    """A few hundred keys of a kind, the same ones for the same seed."""
    chance = random.Random(seed)
    ends = [-(2**63), 2**63 - 1, -1, 0, 1]
    make: dict[str, Callable[[], int | None]] = {
        "dense": lambda: chance.randrange(-200, 200),
        "sparse": lambda: chance.randrange(-(2**63), 2**63),
        "skewed": lambda: 2 ** chance.randrange(1, 62),
        "common": lambda: chance.choice([7, 7, 7, -(2**40), chance.randrange(10**6)]),
        "ends": lambda: chance.choice(ends),
        "nulls": lambda: chance.choice([None, None, chance.randrange(1000)]),
    }
    return [make[kind]() for _ in range(chance.randrange(2, 400))]


@pytest.mark.parametrize("kind", ["dense", "sparse", "skewed", "common", "ends", "nulls"])
def test_chunks_of_any_key_hold_each_row_once(pair: Pair, kind: str) -> None:
    source, target = pair.source(), pair.target()
    # Autovacuum would change the statistics between two plans, and the plans with them.
    servers.run_script(
        source,
        "CREATE TABLE t (id bigint, n int GENERATED ALWAYS AS IDENTITY)"
        " WITH (autovacuum_enabled = false)",
    )
    for seed in range(6):
        with psycopg.connect(source, autocommit=True) as connection:
            connection.execute("TRUNCATE t")
            connection.execute(
                "INSERT INTO t (id) SELECT unnest(%s::bigint[])", [_keys(kind, seed)]
            )
            # Statistics of all the keys, of other keys, of none.
            if seed % 3 < 2:
                connection.execute("ANALYZE t")
            if seed % 3 == 1:
                connection.execute("UPDATE t SET id = id / 3 WHERE n % 2 = 0")
        migration = _migration(source, target, tables=_chunked(1 + 23 * (seed % 4)))
        plan = migration.plan()
        _heights(source, plan)
        assert plan.text == migration.plan().text, f"seed {seed}"


def test_a_skewed_chunk_column_makes_chunks_of_equal_height(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        # Nine of ten rows lie in a thousandth of the range.
        "CREATE TABLE t (id bigint PRIMARY KEY);"
        "INSERT INTO t SELECT i FROM generate_series(1, 9000) i;"
        "INSERT INTO t SELECT i * 9000 FROM generate_series(2, 1001) i; ANALYZE",
    )
    migration = _migration(source, target, tables=_chunked(1000))
    heights = _heights(source, migration.plan())
    assert len(heights) == 10
    assert max(heights) < 1500


def test_without_statistics_ranges_of_a_chunk_column_are_equally_wide(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE t (id int PRIMARY KEY) WITH (autovacuum_enabled = false);"
        "INSERT INTO t SELECT i FROM generate_series(1, 300) i",
    )
    plan = _migration(source, target, tables=_chunked(100)).plan()
    assert [sql.partition("WHERE ")[2] for sql in _chunks(plan)] == [
        '("id" < 101)) TO STDOUT',
        '("id" >= 101 AND "id" < 201)) TO STDOUT',
        '("id" >= 201)) TO STDOUT',
    ]


@pytest.mark.parametrize("analyzed", [True, False])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id bigint PRIMARY KEY", "i * 1000 - 700000"),
        ("id int UNIQUE", "nullif(i, i / 10 * 10)"),
        ("id uuid PRIMARY KEY", "md5(i::text)::uuid"),
        ("id timestamptz PRIMARY KEY", "'2026-01-01'::timestamptz + i * interval '1.5 s'"),
        (
            "id timestamp(3) UNIQUE",
            "CASE WHEN i > 1 THEN now() - i * interval '1 s' ELSE 'infinity' END",
        ),
        ("id date, n int, PRIMARY KEY (id, n)", "'2026-01-01'::date + i / 7, i"),
    ],
    ids=["bigint", "nullable", "uuid", "timestamptz", "infinite", "first_of_two"],
)
def test_a_key_cuts_where_pages_cannot(pair: Pair, key: str, value: str, analyzed: bool) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        f"{OTHER_ACCESS_METHOD} CREATE TABLE t ({key});"
        f"INSERT INTO t SELECT {value} FROM generate_series(1, 3000) i;"
        + ("ANALYZE" if analyzed else "ALTER TABLE t SET (autovacuum_enabled = false)"),
    )
    migration = _migration(source, target, split_larger_than="32kB")
    plan = migration.plan()
    assert plan.text == migration.plan().text
    heights = _heights(source, plan)
    is_integer = "int" in key.partition(",")[0]
    assert not any("ctid" in sql for sql in _chunks(plan))
    if analyzed or is_integer:
        assert len(heights) > 2
        assert max(heights) < 3000 / 2
    else:
        assert {task.note for task in plan if task.kind == "data"} == {
            'whole: the source has no statistics of its key "id", ANALYZE makes them'
        }
    if "nullif" in value:
        assert heights[-1] == 300
    _run(migration, plan)
    _assert_equal(source, target, 3000)


def test_a_text_key_leaves_a_table_whole_and_out_of_the_plan(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        f"{OTHER_ACCESS_METHOD} CREATE TABLE t (id text PRIMARY KEY);"
        "INSERT INTO t SELECT 'person' || i || '@example.org' FROM generate_series(1, 3000) i;"
        "ANALYZE",
    )
    plan = _migration(source, target, split_larger_than="32kB").plan()
    assert [task.note for task in plan if task.kind == "data"] == [
        'whole: access method "other" has no ranges of pages, and no unique key begins with an'
        " integer, uuid, date or timestamp"
    ]
    assert "person" not in plan.text


def test_the_plan_holds_no_whole_uuid_and_no_exact_time(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        f"{OTHER_ACCESS_METHOD}"
        "CREATE TABLE t (id uuid PRIMARY KEY); CREATE TABLE u (id timestamptz PRIMARY KEY);"
        "INSERT INTO t SELECT gen_random_uuid() FROM generate_series(1, 3000);"
        "INSERT INTO u SELECT '2026-01-01'::timestamptz + i * interval '1.0013 s'"
        " FROM generate_series(1, 3000) i; ANALYZE",
    )
    text = _migration(source, target, split_larger_than="32kB").plan().text
    assert "0000-0000-0000-000000000000" in text
    assert "2026-01-01 00:" in text
    for table in ("t", "u"):
        assert not [row for row in servers.rows(source, "public", table) if str(row[0]) in text]


@pytest.mark.parametrize("major", [m for m in servers.available_majors() if m < 18])
def test_each_major_is_cut_by_what_it_can_read(
    make_pair: Callable[[int, int], Pair], major: int
) -> None:
    pair = make_pair(major, 18)
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE t (id uuid PRIMARY KEY, a text) WITH (autovacuum_enabled = false);"
        "INSERT INTO t SELECT md5(i::text)::uuid, repeat('x', 50)"
        " FROM generate_series(1, 20000) i",
    )
    migration = _migration(source, target, split_larger_than="64kB")
    plan = migration.plan()
    assert plan.text == migration.plan().text
    by_pages = ["ctid" in sql for sql in _chunks(plan)]
    assert set(by_pages) == {major >= 14}
    heights = _heights(source, plan)
    assert len(heights) >= 8
    assert max(heights) < 20000 / 4
    _run(migration, plan)
    _assert_equal(source, target, 20000)


def test_a_large_table_is_cut_where_that_shortens_the_run(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    # Nearly all of it is TOAST, which is quick to make and counts as much as rows.
    servers.run_script(
        source,
        "CREATE TABLE t (id int, a text STORAGE EXTERNAL);"
        "INSERT INTO t SELECT i, repeat('x', 1000000) FROM generate_series(1, 250) i;"
        "INSERT INTO t SELECT i, 'x' FROM generate_series(251, 1000) i; ANALYZE t;"
        "CREATE TABLE small AS SELECT i AS id FROM generate_series(1, 10000) i",
    )
    plan = _migration(source, target).plan()
    assert len(_chunks(plan, "small")) == 1
    assert [task.note for task in plan if task.name == "t" and task.kind == "data"] == [
        f"chunk {at} of 3" for at in (1, 2, 3)
    ]
    one_job = _migration(source, target, parallel={"max_jobs": 1}).plan()
    assert len(_chunks(one_job)) == 1
