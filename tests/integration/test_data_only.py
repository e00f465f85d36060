"""Data-only runs: rows into tables of the target, by name, with its own types and defaults."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from conftest import Pair
from pgmigrate import ConfigError, Migration
from support import dumps, servers
from support.config_keys import shows
from support.data_only import (
    AUTHORS,
    SOURCE,
    TARGET,
    blocking,
    databases,
    messages,
    migration,
    query,
    run,
)
from support.shell import Shell


@shows("options.data_only")
def test_rows_arrive_by_the_names_of_tables_and_columns(pair: Pair) -> None:
    both = databases(pair)
    before = dumps.schema(both[1])
    # No pg_dump runs from here on: a run that looked for one would stop at this path.
    report = run(both, verify=True, pg_dump="/no/such/pg_dump")
    assert report.ok
    assert query(both[1], AUTHORS)[:3] == [
        (1, "a1", "sad", Decimal("0.2500"), "c1", "false", "A1", "import"),
        (2, "a2", "ok", Decimal("0.5000"), "c2", "false", "A2", "import"),
        (3, "a3", "sad", Decimal("0.7500"), "c3", "true", "A3", "import"),
    ]
    assert query(both[1], "SELECT count(*), count(added) FROM app.author") == [(50, 50)]
    books = "SELECT id, author, title FROM app.book ORDER BY id"
    assert query(both[1], books) == query(both[0], books)
    assert servers.sequences(both[1], ["pgmigrate"]) == servers.sequences(both[0])
    # The target's own schema is as it was.
    assert dumps.schema(both[1], ["pgmigrate"]) == before
    assert {"analyze", "data", "sequence value"} == {task.kind for task in report.tasks}


def test_the_plan_stands_on_source_and_configuration_alone(pair: Pair) -> None:
    both = databases(pair)
    elsewhere = pair.target("_empty")
    plans = [
        migration((both[0], target), pg_dump="/no/such").plan() for target in (both[1], elsewhere)
    ]
    assert plans[0] == plans[1]
    assert {f.check for f in plans[0].findings} >= {
        "data_only",
        "target_triggers",
        "target_foreign_keys",
    }
    assert plans[0] != migration(both, target_foreign_keys="drop").plan()


def test_a_rerun_adds_only_what_is_missing(pair: Pair) -> None:
    both = databases(pair)
    run(both)
    with psycopg.connect(both[1], autocommit=True) as connection:
        connection.execute("DELETE FROM app.book WHERE id > 400")
        connection.execute("UPDATE app.author SET origin = 'mine'")
    assert run(both, verify=True).ok
    assert query(both[1], "SELECT count(*) FROM app.book") == [(500,)]
    assert query(both[1], "SELECT DISTINCT origin FROM app.author") == [("mine",)]
    run(both, on_conflict="update")
    assert query(both[1], "SELECT DISTINCT origin FROM app.author") == [("mine",)]


def test_a_rerun_into_an_identity_that_the_source_has_not(pair: Pair) -> None:
    both = databases(
        pair,
        "CREATE TABLE t (id serial PRIMARY KEY, v text);"
        "INSERT INTO t (v) SELECT 'v' || i FROM generate_series(1, 5) i;",
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);"
        "INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (2, 'mine');",
    )
    run(both)
    rows = "SELECT id, v FROM t ORDER BY id"
    assert query(both[1], rows) == [(1, "v1"), (2, "mine"), (3, "v3"), (4, "v4"), (5, "v5")]
    assert query(both[1], "INSERT INTO t (v) VALUES ('next') RETURNING id") == [(6,)]


def test_a_key_that_the_target_lacks_blocks_where_rows_are_updated_by_it(pair: Pair) -> None:
    both = databases(
        pair,
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1), (2)",
        "CREATE TABLE t (id int, v int); INSERT INTO t VALUES (2)",
    )
    found = blocking(both, on_conflict="update")["on_conflict", "public.t"]
    assert "which is not a unique key on the target" in found
    assert run(both, on_conflict="update", on_existing="truncate", verify=True).ok


@pytest.mark.parametrize("key", ["int", "int PRIMARY KEY DEFERRABLE"])
def test_rows_are_identified_where_no_index_of_the_target_can_arbitrate(
    pair: Pair, key: str
) -> None:
    both = databases(
        pair,
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1), (2)",
        f"CREATE TABLE t (id {key}, v int); INSERT INTO t VALUES (2)",
    )
    assert run(both, on_conflict="nothing", verify=True).ok
    assert query(both[1], "SELECT id FROM t ORDER BY 1") == [(1,), (2,)]


def test_nulls_that_the_target_refuses_are_reported(pair: Pair) -> None:
    both = databases(
        pair,
        "CREATE TABLE t (a int, b int NOT NULL)",
        "CREATE TABLE t (a int NOT NULL, b int NOT NULL)",
    )
    assert "whose NULLs would be refused: a" in messages(run(both), "column_null")["public.t"]


def test_verification_finds_what_differs_in_wider_types(pair: Pair) -> None:
    both = databases(pair)
    run(both)
    with psycopg.connect(both[1], autocommit=True) as connection:
        connection.execute("UPDATE app.author SET price = price + 0.0001 WHERE id = 7")
        connection.execute("UPDATE app.author SET added = now(), origin = 'changed'")
    result = migration(both, pg_dump="/no/such").verify()
    assert [(d.object, d.kind, d.columns) for d in result.differences] == [
        ("app.author", "different_row", ("price",))
    ]


def test_what_the_target_lacks_blocks_before_a_row_moves(pair: Pair) -> None:
    both = databases(
        pair,
        SOURCE + "CREATE TABLE app.lost (a int); CREATE TABLE app.p (k int) PARTITION BY LIST (k);"
        "CREATE TABLE app.p1 PARTITION OF app.p FOR VALUES IN (1);",
        TARGET.replace("CREATE SEQUENCE app.ticket;", "")
        + "ALTER TABLE app.author DROP COLUMN code; ALTER TABLE app.book ADD shelf int NOT NULL;"
        "ALTER SEQUENCE app.book_id_seq RENAME TO other_seq;",
    )
    found = blocking(both)
    assert found.keys() == {
        ("table_missing", "app.lost"),
        ("table_missing", "app.p"),
        ("table_missing", "app.p1"),
        ("column_missing", "app.author"),
        ("column_extra", "app.book"),
        ("sequence_missing", "app.book_id_seq"),
        ("sequence_missing", "app.ticket"),
    }
    assert "tables.exclude" in found["table_missing", "app.lost"]
    assert "exclude_columns: [code]" in found["column_missing", "app.author"]
    assert "SET DEFAULT" in found["column_extra", "app.book"]
    assert (
        'ALTER SEQUENCE "app"."other_seq" RENAME TO "book_id_seq"'
        in found["sequence_missing", "app.book_id_seq"]
    )
    # What the remedies say helps.
    with psycopg.connect(both[1], autocommit=True) as connection:
        connection.execute("ALTER TABLE app.book ALTER COLUMN shelf SET DEFAULT 3")
        connection.execute('ALTER SEQUENCE "app"."other_seq" RENAME TO "book_id_seq"')
    author = {"schema": "app", "name": "author", "exclude_columns": ["code"]}
    tables = {"include": [author], "exclude": ["app.lost", "app.p", "app.p1", "app.ticket"]}
    assert run(both, tables=tables, verify=True).ok
    assert query(both[1], "SELECT DISTINCT shelf FROM app.book") == [(3,)]


@shows("tables.default.exclude_columns")
def test_columns_that_are_left_out(pair: Pair) -> None:
    both = databases(pair)
    found = migration(
        both, tables={"mode": "all", "default": {"exclude_columns": ["price", "title"]}}
    )
    plan = found.plan()
    statements = [task.source_sql for task in plan if task.kind == "data"]
    assert not any("price" in sql or "title" in sql for sql in statements)
    found.run(plan, verify=True).raise_for_failures()
    assert query(both[1], "SELECT count(*), count(price) FROM app.author") == [(50, 0)]
    assert found.verify(plan).ok
    with pytest.raises(ConfigError, match="no table of the source has a column"):
        migration(both, tables={"default": {"exclude_columns": ["none_such"]}}).plan()
    rule = {"schema": "app", "name": "book", "exclude_columns": ["price"]}
    with pytest.raises(ConfigError, match=r"app\.book has no column"):
        migration(both, tables={"mode": "include", "include": [rule]}).plan()


@pytest.mark.parametrize("on_conflict", ["nothing", "update"])
def test_a_column_that_the_target_computes_is_left_out_and_reported(
    pair: Pair, on_conflict: str
) -> None:
    both = databases(
        pair,
        "CREATE TABLE t (id int PRIMARY KEY, a int, doubled int);"
        "INSERT INTO t SELECT i, i, 0 FROM generate_series(1, 9) i",
        "CREATE TABLE t (id int PRIMARY KEY, a int,"
        " doubled int GENERATED ALWAYS AS (a * 2) STORED);"
        "INSERT INTO t VALUES (3, 100)",
    )
    report = run(both, on_conflict=on_conflict, verify=on_conflict == "update")
    assert "doubled" in messages(report, "column_generated")["public.t"]
    third = 6 if on_conflict == "update" else 200
    assert query(both[1], "SELECT doubled FROM t ORDER BY id") == [
        (third if i == 3 else i * 2,) for i in range(1, 10)
    ]
    assert report.ok


def test_partitions_and_other_shapes_take_rows(pair: Pair) -> None:
    both = databases(
        pair,
        "CREATE TABLE m (k int, v text) PARTITION BY RANGE (k);"
        "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20);"
        "INSERT INTO m SELECT i, 'v' FROM generate_series(0, 19) i; CREATE TABLE bare ();"
        "INSERT INTO bare DEFAULT VALUES",
        "CREATE TABLE m (v text, k bigint) PARTITION BY RANGE (k);"
        "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20); CREATE TABLE bare ();",
    )
    assert run(both, verify=True).ok
    assert query(
        both[1], "SELECT tableoid::regclass::text, sum(k) FROM m GROUP BY 1 ORDER BY 1"
    ) == [
        ("m1", 45),
        ("m2", 145),
    ]
    assert query(both[1], "SELECT count(*) FROM bare") == [(1,)]
    with psycopg.connect(both[1], autocommit=True) as connection:
        connection.execute("ALTER TABLE bare ADD a int DEFAULT 5")
    assert blocking(both).keys() == {("column_missing", "public.bare")}


@pytest.mark.parametrize("rerun", ["append", "truncate"])
def test_rows_of_a_flat_table_go_through_the_root_of_a_partitioned_one(
    pair: Pair, rerun: str
) -> None:
    """Each lands in its partition, in every way that rows come, and is compared at the root."""
    both = databases(
        pair,
        "CREATE TABLE m (k int PRIMARY KEY, v text); ALTER TABLE m ALTER v SET STORAGE EXTERNAL;"
        "INSERT INTO m SELECT i, repeat('v', 2000) FROM generate_series(0, 999) i; ANALYZE;",
        "CREATE TABLE m (v text, k int PRIMARY KEY) PARTITION BY RANGE (k);"
        "CREATE TABLE low PARTITION OF m FOR VALUES FROM (0) TO (500);"
        "CREATE TABLE high PARTITION OF m DEFAULT PARTITION BY HASH (k);"
        "CREATE TABLE high0 PARTITION OF high FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE high1 PARTITION OF high FOR VALUES WITH (MODULUS 2, REMAINDER 1);",
    )
    chunks = {"split_larger_than": "512kB"}
    assert run(both, verify=True, **chunks).ok
    low = "SELECT count(*) FROM low"
    assert query(both[1], low) == [(500,)]
    assert query(both[1], "SELECT count(*) FROM high0 UNION ALL SELECT count(*) FROM high1") != [
        (500,)
    ]
    assert servers.rows(both[1], "public", "m", ["k", "v"]) == servers.rows(
        both[0], "public", "m", ["k", "v"]
    )
    with psycopg.connect(both[1], autocommit=True) as connection:
        connection.execute("DELETE FROM m WHERE k % 3 = 0")
    assert run(both, verify=True, on_existing=rerun, **chunks).ok
    assert query(both[1], low) == [(500,)] and query(both[1], "SELECT count(*) FROM m") == [(1000,)]
    with psycopg.connect(both[1], autocommit=True) as connection:
        connection.execute("UPDATE m SET v = 'other' WHERE k = 700")
    verification = Migration(source=both[0], target=both[1], data_only=True).verify()
    assert verification.verdict == "different" and "m" in str(verification.differences[0].object)


def test_large_objects_come_only_when_asked_for(pair: Pair) -> None:
    both = databases(pair, "SELECT lo_from_bytea(4711, 'large')", "")
    report = run(both)
    assert "1 large object of the source is not copied" in messages(report, "large_objects")[""]
    assert servers.large_objects(both[1]) == {}
    run(both, large_objects=True)
    assert servers.large_objects(both[1]).keys() == {4711}


def test_the_revision_of_a_schema_in_scope_is_reported(pair: Pair) -> None:
    script = (
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);CREATE TABLE t (a int);"
    )
    both = databases(pair, f"{script} INSERT INTO alembic_version VALUES ('abc')", script)
    findings = {f.check: f for f in migration(both).plan().findings}
    assert "alembic" in findings["alembic_version"].message
    assert "tables.exclude" in findings["alembic_version"].remedy
    plan = migration(both, tables={"exclude": ["alembic_version"]}).plan()
    assert "alembic_version" not in {f.check for f in plan.findings}


def test_a_backup_before_a_data_only_run_still_needs_pg_dump(pair: Pair, tmp_path: Path) -> None:
    both = databases(pair)
    with pytest.raises(ConfigError, match=r"options\.pg_dump"):
        run(both, backup=True, backup_dir=str(tmp_path), pg_dump="/no/such/pg_dump")
    assert run(both, backup=True, backup_dir=str(tmp_path)).backup is not None


def test_the_command_line_and_the_words_of_a_script(pair: Pair, tmp_path: Path) -> None:
    both = databases(pair)
    words = ["--source", both[0], "--target", both[1], "--table", "app.author", "--data-only"]
    done = Shell(tmp_path).run("migrate", *words, "--json")
    assert done.code == 0, done.text
    report = Migration(source=both[0], target=both[1], tables=["app.book"], data_only=True).run()
    report.raise_for_failures()
    assert query(
        both[1], "SELECT count(*) FROM app.author a JOIN app.book b ON b.author = a.id"
    ) == [(500,)]
    # Only the sequences of the chosen tables.
    assert servers.sequences(both[1], ["pgmigrate"])["app.ticket"] == (1, False)
    assert Shell(tmp_path).run("plan", "--config", "x.yaml", "--data-only").code == 2
