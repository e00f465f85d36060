"""Data-only runs: rows into tables of the target, by name, with its own types and defaults."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from conftest import Pair
from pgmigrate import ConfigError, Migration, PreflightError, Report
from support import dumps, servers
from support.config_keys import shows
from support.shell import Shell

SOURCE = """
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'ok');
CREATE TABLE app.author (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(10) NOT NULL, mood app.mood,
    price numeric(6, 2), code char(5), flag boolean
);
CREATE TABLE app.book (
    id serial PRIMARY KEY, author int NOT NULL REFERENCES app.author, title text
);
INSERT INTO app.author (name, mood, price, code, flag)
    SELECT 'a' || i, CASE WHEN i % 2 = 0 THEN 'ok' ELSE 'sad' END::app.mood, i / 4.0, 'c' || i,
           i % 3 = 0
    FROM generate_series(1, 50) AS i;
INSERT INTO app.book (author, title) SELECT i % 50 + 1, 't' || i FROM generate_series(1, 500) AS i;
CREATE SEQUENCE app.ticket;
SELECT setval('app.ticket', 41);
"""
TARGET = """
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('happy', 'ok', 'sad');
CREATE TABLE app.author (
    price numeric(10, 4), id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL,
    added timestamptz NOT NULL DEFAULT now(), mood app.mood, code varchar(20), flag text,
    loud text GENERATED ALWAYS AS (upper(name)) STORED, origin text DEFAULT 'import'
);
CREATE TABLE app.book (
    id serial PRIMARY KEY, title text, author bigint NOT NULL REFERENCES app.author
);
CREATE SEQUENCE app.ticket;
"""
AUTHORS = "SELECT id, name, mood::text, price, code, flag, loud, origin FROM app.author ORDER BY id"


def query(conninfo: str, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(text).fetchall()


def ends(pair: Pair, source: str = SOURCE, target: str = TARGET) -> tuple[str, str]:
    made = pair.source(), pair.target()
    servers.run_script(made[0], source)
    servers.run_script(made[1], target)
    return made


def migration(found: tuple[str, str], **keys: object) -> Migration:
    return Migration(source=found[0], target=found[1], **{"data_only": True, **keys})  # type: ignore[arg-type]


def run(found: tuple[str, str], **keys: object) -> Report:
    report = migration(found, **keys).run(jobs=3)
    report.raise_for_failures()
    return report


def blocking(found: tuple[str, str], **keys: object) -> dict[tuple[str, str], str]:
    """What blocks a run, by check and object; nothing was touched."""
    before = dumps.schema(found[1])
    with pytest.raises(PreflightError) as caught:
        run(found, **keys)
    assert dumps.schema(found[1]) == before
    findings = [f for f in caught.value.findings if f.severity == "blocking"]
    return {(f.check, f.object): f"{f.message} -> {f.remedy}" for f in findings}


def messages(report: Report, check: str) -> dict[str, str]:
    return {f.object: f.message for f in report.findings if f.check == check}


@shows("options.data_only")
def test_rows_arrive_by_the_names_of_tables_and_columns(pair: Pair) -> None:
    both = ends(pair)
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
    both = ends(pair)
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
    both = ends(pair)
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
    both = ends(
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
    both = ends(
        pair,
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1), (2)",
        "CREATE TABLE t (id int, v int); INSERT INTO t VALUES (2)",
    )
    found = blocking(both, on_conflict="update")["on_conflict", "public.t"]
    assert "no unique key on the target" in found
    assert run(both, on_conflict="update", on_existing="truncate", verify=True).ok


@pytest.mark.parametrize("key", ["int", "int PRIMARY KEY DEFERRABLE"])
def test_rows_are_identified_where_no_index_of_the_target_can_arbitrate(
    pair: Pair, key: str
) -> None:
    both = ends(
        pair,
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1), (2)",
        f"CREATE TABLE t (id {key}, v int); INSERT INTO t VALUES (2)",
    )
    assert run(both, on_conflict="nothing", verify=True).ok
    assert query(both[1], "SELECT id FROM t ORDER BY 1") == [(1,), (2,)]


def test_nulls_that_the_target_refuses_are_told(pair: Pair) -> None:
    both = ends(
        pair,
        "CREATE TABLE t (a int, b int NOT NULL)",
        "CREATE TABLE t (a int NOT NULL, b int NOT NULL)",
    )
    assert "whose NULLs would be refused: a" in messages(run(both), "column_null")["public.t"]


def test_verification_finds_what_differs_in_wider_types(pair: Pair) -> None:
    both = ends(pair)
    run(both)
    with psycopg.connect(both[1], autocommit=True) as connection:
        connection.execute("UPDATE app.author SET price = price + 0.0001 WHERE id = 7")
        connection.execute("UPDATE app.author SET added = now(), origin = 'changed'")
    result = migration(both, pg_dump="/no/such").verify()
    assert [(d.object, d.kind, d.columns) for d in result.differences] == [
        ("app.author", "different_row", ("price",))
    ]


def test_what_the_target_lacks_blocks_before_a_row_moves(pair: Pair) -> None:
    both = ends(
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
    both = ends(pair)
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
def test_a_column_that_the_target_computes_is_left_out_and_told(
    pair: Pair, on_conflict: str
) -> None:
    both = ends(
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


WIDER = [
    ("smallint", "integer", "-32768"),
    ("integer", "bigint", "2147483647"),
    ("integer", "numeric", "-5"),
    ("integer", "numeric(12,2)", "7"),
    ("bigint", "numeric(19,0)", "9223372036854775807"),
    ("integer", "double precision", "2147483647"),
    ("real", "double precision", "0.1"),
    ("real", "numeric", "0.12345679"),
    ("double precision", "numeric", "1e20"),
    ("numeric(10,2)", "numeric", "1.50"),
    ("numeric(10,2)", "numeric(12,4)", "1.50"),
    ("varchar(10)", "varchar(20)", "abc  "),
    ("varchar(10)", "text", "abc  "),
    ("text", "varchar", "abc"),
    ("char(5)", "char(8)", "ab"),
    ("char(5)", "text", "ab"),
    ("char(5)", "varchar(5)", "ab"),
    ("boolean", "text", "t"),
    ("integer", "text", "-12"),
    ("uuid", "varchar(36)", "0b0e0f00-0000-0000-0000-000000000001"),
    ("date", "timestamp", "2024-02-29"),
    ("timestamp(3)", "timestamp", "2024-02-29 12:00:00.125"),
    ("timestamp", "timestamptz", "2024-02-29 12:00:00.125"),
    ("time", "interval", "23:59:59.5"),
    ("cidr", "inet", "10.0.0.0/8"),
    ("inet", "text", "10.0.0.1"),
    ("bit(4)", "bit varying(9)", "1010"),
    ("jsonb", "json", '{"a": 1}'),
    ("json", "jsonb", '{"b": 1, "a": 2}'),
    ("mood", "text", "ok"),
    ("positive", "bigint", "4"),
    ("integer", "positive", "4"),
    ("varchar(4)[]", "text[]", "{a,NULL,b}"),
    ("numeric(6,2)[]", "numeric(8,3)[]", "{1.50,2}"),
    ("integer[]", "text", "{1,2}"),
]  # fmt: skip


def test_types_that_take_every_value(pair: Pair) -> None:
    """Each value is on the target what PostgreSQL's own assignment makes of it."""
    types = (
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);"
    )
    source = ", ".join(f"c{i} {pair_[0]}" for i, pair_ in enumerate(WIDER))
    target = ", ".join(f"c{i} {pair_[1]}" for i, pair_ in enumerate(WIDER))
    values = ", ".join(f"'{pair_[2]}'" for pair_ in WIDER)
    both = ends(
        pair,
        f"{types} CREATE TABLE t (id int PRIMARY KEY, {source});"
        f"INSERT INTO t VALUES (1, {values}); INSERT INTO t VALUES (2)",
        f"{types} CREATE TABLE t (id int PRIMARY KEY, {target});",
    )
    report = run(both, verify=True)
    assert report.ok
    for i, (old, new, value) in enumerate(WIDER):
        # The digits of a float are what its text has, not what its cast to numeric keeps.
        way = "::text" if old in ("real", "double precision") and new == "numeric" else ""
        assigned = (
            f"CREATE TEMP TABLE a AS SELECT NULL::{new} AS v; TRUNCATE a; SET TimeZone = 'UTC';"
        )
        with psycopg.connect(both[1]) as connection:
            connection.execute(assigned)
            connection.execute(f"INSERT INTO a SELECT (('{value}'::{old}){way})::{new}")
            expected = connection.execute("SELECT v::text FROM a").fetchone()
            found = connection.execute(f"SELECT c{i}::text FROM t WHERE id = 1").fetchone()
        assert found == expected, f"{old} to {new}"
    assert any("UTC" in f.message for f in report.findings if f.check == "column_type")


NARROWER = [
    ("bigint", "integer"),
    ("bigint", "double precision"),
    ("double precision", "real"),
    ("numeric", "numeric(10,2)"),
    ("numeric(10,2)", "numeric(10,1)"),
    ("integer", "numeric(9,0)"),
    ("numeric", "double precision"),
    ("varchar(20)", "varchar(10)"),
    ("text", "varchar(10)"),
    ("text", "char(10)"),
    ("timestamptz", "timestamp"),
    ("timestamp", "date"),
    ("timestamp", "timestamp(3)"),
    ("inet", "cidr"),
    ("money", "numeric"),
    ("text", "integer"),
    ("integer", "boolean"),
    ("text", "mood"),
    ("mood", "other_mood"),
    ("level", "level"),
    ("pair", "pair"),
    ("integer", "integer[]"),
    ("text", "xml"),
    ("regclass", "oid"),
]


def test_every_other_type_blocks_before_a_row_moves(pair: Pair) -> None:
    source = "".join(f"CREATE TABLE t{i} (c {old});" for i, (old, _) in enumerate(NARROWER))
    target = "".join(f"CREATE TABLE t{i} (c {new});" for i, (_, new) in enumerate(NARROWER))
    moods = "CREATE TYPE mood AS ENUM ('a'); CREATE TYPE other_mood AS ENUM ('a');"
    both = ends(
        pair,
        f"{moods} CREATE TYPE level AS ENUM ('low', 'high'); CREATE TYPE pair AS (a int); {source}",
        f"{moods} CREATE TYPE level AS ENUM ('low'); CREATE TYPE pair AS (a bigint); {target}",
    )
    found = blocking(both)
    assert found.keys() == {("column_type", f"public.t{i}") for i in range(len(NARROWER))}
    assert "lacks the labels high" in found["column_type", "public.t19"]
    assert (
        "column c: bigint on the source, integer on the target" in found["column_type", "public.t0"]
    )
    assert (
        'ALTER TABLE "public"."t0" ALTER COLUMN "c" TYPE bigint'
        in found["column_type", "public.t0"]
    )


def test_partitions_and_other_shapes(pair: Pair) -> None:
    both = ends(
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


def test_equal_types_travel_in_binary(pair: Pair) -> None:
    both = ends(
        pair,
        "CREATE TABLE same (a int, b timestamptz); CREATE TABLE wider (a int, b timestamptz);"
        "INSERT INTO same SELECT i, now() FROM generate_series(1, 10) i;"
        "INSERT INTO wider SELECT * FROM same",
        "CREATE TABLE same (b timestamptz, a int); CREATE TABLE wider (a bigint, b timestamptz);",
    )
    report = run(both, verify=True)
    assert report.ok
    formats = query(
        both[1], "SELECT object, format FROM pgmigrate.migration_task WHERE kind = 'data'"
    )
    assert set(formats) == {("public.same", "binary"), ("public.wider", "text")}


def test_large_objects_come_only_when_asked_for(pair: Pair) -> None:
    both = ends(pair, "SELECT lo_from_bytea(4711, 'large')", "")
    report = run(both)
    assert "1 large objects" in messages(report, "large_objects")[""]
    assert servers.large_objects(both[1]) == {}
    run(both, large_objects=True)
    assert servers.large_objects(both[1]).keys() == {4711}


def test_the_revision_of_a_schema_in_scope_is_told(pair: Pair) -> None:
    script = (
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);CREATE TABLE t (a int);"
    )
    both = ends(pair, f"{script} INSERT INTO alembic_version VALUES ('abc')", script)
    findings = {f.check: f for f in migration(both).plan().findings}
    assert "alembic" in findings["alembic_version"].message
    assert "tables.exclude" in findings["alembic_version"].remedy
    plan = migration(both, tables={"exclude": ["alembic_version"]}).plan()
    assert "alembic_version" not in {f.check for f in plan.findings}


def test_a_backup_before_a_data_only_run_still_needs_pg_dump(pair: Pair, tmp_path: Path) -> None:
    both = ends(pair)
    with pytest.raises(ConfigError, match=r"options\.pg_dump"):
        run(both, backup=True, backup_dir=str(tmp_path), pg_dump="/no/such/pg_dump")
    assert run(both, backup=True, backup_dir=str(tmp_path)).backup is not None


def test_the_command_line_and_the_words_of_a_script(pair: Pair, tmp_path: Path) -> None:
    both = ends(pair)
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
