"""Data-only runs into columns of other types: which take every value, and which block the run."""

from __future__ import annotations

import psycopg

from conftest import Pair
from support.data_only import (
    blocking,
    databases,
    query,
    run,
)

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
    both = databases(
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
    both = databases(
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


def test_equal_types_travel_in_binary(pair: Pair) -> None:
    both = databases(
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
