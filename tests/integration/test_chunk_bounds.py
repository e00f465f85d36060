"""Where a table is cut: by the statistics of a key, or by ranges of pages."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Plan
from support import servers
from support.chunks import assert_equal, chunked, migration_of, queries, run

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
        for sql in queries(plan, table):
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
    extremes = [-(2**63), 2**63 - 1, -1, 0, 1]
    make: dict[str, Callable[[], int | None]] = {
        "dense": lambda: chance.randrange(-200, 200),
        "sparse": lambda: chance.randrange(-(2**63), 2**63),
        "skewed": lambda: 2 ** chance.randrange(1, 62),
        "common": lambda: chance.choice([7, 7, 7, -(2**40), chance.randrange(10**6)]),
        "ends": lambda: chance.choice(extremes),
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
        migration = migration_of(source, target, tables=chunked(1 + 23 * (seed % 4)))
        plan = migration.plan()
        _heights(source, plan)
        assert plan.text == migration.plan().text, f"seed {seed}"


def test_a_skewed_chunk_column_makes_chunks_of_equal_height(pair: Pair) -> None:
    source, target = pair.filled(
        # Nine of ten rows lie in a thousandth of the range.
        "CREATE TABLE t (id bigint PRIMARY KEY);"
        "INSERT INTO t SELECT i FROM generate_series(1, 9000) i;"
        "INSERT INTO t SELECT i * 9000 FROM generate_series(2, 1001) i; ANALYZE",
    )
    migration = migration_of(source, target, tables=chunked(1000))
    heights = _heights(source, migration.plan())
    assert len(heights) == 10
    assert max(heights) < 1500


def test_without_statistics_ranges_of_a_chunk_column_are_equally_wide(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (id int PRIMARY KEY) WITH (autovacuum_enabled = false);"
        "INSERT INTO t SELECT i FROM generate_series(1, 300) i",
    )
    plan = migration_of(source, target, tables=chunked(100)).plan()
    assert [sql.partition("WHERE ")[2] for sql in queries(plan)] == [
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
    source, target = pair.filled(
        f"{OTHER_ACCESS_METHOD} CREATE TABLE t ({key});"
        f"INSERT INTO t SELECT {value} FROM generate_series(1, 3000) i;"
        + ("ANALYZE" if analyzed else "ALTER TABLE t SET (autovacuum_enabled = false)"),
    )
    migration = migration_of(source, target, split_larger_than="32kB")
    plan = migration.plan()
    assert plan.text == migration.plan().text
    heights = _heights(source, plan)
    is_integer = "int" in key.partition(",")[0]
    assert not any("ctid" in sql for sql in queries(plan))
    if analyzed or is_integer:
        assert len(heights) > 2
        assert max(heights) < 3000 / 2
    else:
        assert {task.note for task in plan if task.kind == "data"} == {
            'whole: the source has no statistics of its key "id", ANALYZE makes them'
        }
    if "nullif" in value:
        assert heights[-1] == 300
    run(migration, plan)
    assert_equal(source, target, 3000)


def test_a_text_key_leaves_a_table_whole_and_out_of_the_plan(pair: Pair) -> None:
    source, target = pair.filled(
        f"{OTHER_ACCESS_METHOD} CREATE TABLE t (id text PRIMARY KEY);"
        "INSERT INTO t SELECT 'person' || i || '@example.org' FROM generate_series(1, 3000) i;"
        "ANALYZE",
    )
    plan = migration_of(source, target, split_larger_than="32kB").plan()
    assert [task.note for task in plan if task.kind == "data"] == [
        'whole: access method "other" has no ranges of pages, and no unique key begins with an'
        " integer, uuid, date or timestamp"
    ]
    assert "person" not in plan.text


def test_the_plan_holds_no_whole_uuid_and_no_exact_time(pair: Pair) -> None:
    source, target = pair.filled(
        f"{OTHER_ACCESS_METHOD}"
        "CREATE TABLE t (id uuid PRIMARY KEY); CREATE TABLE u (id timestamptz PRIMARY KEY);"
        "INSERT INTO t SELECT gen_random_uuid() FROM generate_series(1, 3000);"
        "INSERT INTO u SELECT '2026-01-01'::timestamptz + i * interval '1.0013 s'"
        " FROM generate_series(1, 3000) i; ANALYZE",
    )
    text = migration_of(source, target, split_larger_than="32kB").plan().text
    assert "0000-0000-0000-000000000000" in text
    assert "2026-01-01 00:" in text
    for table in ("t", "u"):
        assert not [row for row in servers.rows(source, "public", table) if str(row[0]) in text]


@pytest.mark.parametrize("major", [m for m in servers.available_majors() if m < 18])
def test_each_major_is_cut_by_what_it_can_read(
    make_pair: Callable[[int, int], Pair], major: int
) -> None:
    pair = make_pair(major, 18)
    source, target = pair.filled(
        "CREATE TABLE t (id uuid PRIMARY KEY, a text) WITH (autovacuum_enabled = false);"
        "INSERT INTO t SELECT md5(i::text)::uuid, repeat('x', 50)"
        " FROM generate_series(1, 20000) i",
    )
    migration = migration_of(source, target, split_larger_than="64kB")
    plan = migration.plan()
    assert plan.text == migration.plan().text
    by_pages = ["ctid" in sql for sql in queries(plan)]
    assert set(by_pages) == {major >= 14}
    heights = _heights(source, plan)
    assert len(heights) >= 8
    assert max(heights) < 20000 / 4
    run(migration, plan)
    assert_equal(source, target, 20000)


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
    plan = migration_of(source, target).plan()
    assert len(queries(plan, "small")) == 1
    assert [task.note for task in plan if task.name == "t" and task.kind == "data"] == [
        f"chunk {at} of 3" for at in (1, 2, 3)
    ]
    one_job = migration_of(source, target, parallel={"max_jobs": 1}).plan()
    assert len(queries(one_job)) == 1
