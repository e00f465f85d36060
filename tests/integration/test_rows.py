"""Cases C: what a row may hold, and how it must arrive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from conftest import Pair
from pgmigrate import Migration, Report
from support import servers

Row = tuple[str | None, ...]
MakePair = Callable[[int, int], Pair]


def _migrate(source: str, target: str, **options: Any) -> Report:
    report = Migration(source=source, target=target, roles="none", **options).run(jobs=2)
    report.raise_for_failures()
    return report


def _query(conninfo: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(query).fetchall()


def _assert_rows(source: str, target: str, table: str, count: int) -> None:
    expected = servers.rows(source, "public", table)
    assert len(expected) == count
    assert servers.rows(target, "public", table) == expected


@pytest.mark.case("C1")
def test_stored_generated_columns_are_computed_by_the_target(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE TABLE t (
            twice int GENERATED ALWAYS AS (a * 2) STORED, a int,
            word text GENERATED ALWAYS AS (upper(b)) STORED, b text
        );
        INSERT INTO t (a, b) SELECT i, 'row ' || i FROM generate_series(1, 50) i;
        CREATE TABLE only_generated (answer int GENERATED ALWAYS AS (42) STORED);
        INSERT INTO only_generated DEFAULT VALUES;
        INSERT INTO only_generated DEFAULT VALUES;
        """,
    )
    _migrate(source, target)
    _assert_rows(source, target, "t", 50)
    assert _query(target, "SELECT * FROM only_generated") == [(42,), (42,)]


@pytest.mark.case("C1")
def test_virtual_generated_columns_are_not_copied(make_pair: MakePair) -> None:
    pair = make_pair(18, 18)
    source, target = pair.filled(
        """
        CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL, b text);
        INSERT INTO t (id, b) SELECT i, 'row ' || i FROM generate_series(1, 50) i;
        """,
    )
    _migrate(source, target)
    servers.assert_equal(source, target)
    assert _query(target, "SELECT sum(twice) FROM t") == [(50 * 51,)]


@pytest.mark.case("C2")
def test_identity_values_are_kept(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE TABLE t (id int GENERATED ALWAYS
            AS IDENTITY (START 100 INCREMENT 5) PRIMARY KEY, a text);
        INSERT INTO t (a) SELECT 'x' FROM generate_series(1, 5);
        DELETE FROM t WHERE id = 110;
        CREATE TABLE only_identity (id int GENERATED ALWAYS AS IDENTITY);
        INSERT INTO only_identity OVERRIDING SYSTEM VALUE VALUES (1000), (-5);
        INSERT INTO only_identity DEFAULT VALUES;
        """,
    )
    _migrate(source, target)
    assert _query(target, "SELECT id FROM t ORDER BY id") == [(100,), (105,), (115,), (120,)]
    found = _query(target, "SELECT id FROM only_identity ORDER BY id")
    assert found == [(-5,), (1,), (1000,)]
    assert _query(target, "INSERT INTO t (a) VALUES ('next') RETURNING id") == [(125,)]
    assert _query(target, "INSERT INTO only_identity DEFAULT VALUES RETURNING id") == [(2,)]


@pytest.mark.case("C3")
def test_tables_without_columns_keep_their_rows(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE TABLE never_had ();
        INSERT INTO never_had DEFAULT VALUES;
        INSERT INTO never_had DEFAULT VALUES;
        CREATE TABLE lost_all (a int, b text);
        INSERT INTO lost_all SELECT 1, 'x' FROM generate_series(1, 3);
        ALTER TABLE lost_all DROP COLUMN a, DROP COLUMN b;
        """,
    )
    _migrate(source, target)
    assert _query(target, "SELECT count(*) FROM never_had") == [(2,)]
    assert _query(target, "SELECT count(*) FROM lost_all") == [(3,)]


@pytest.mark.case("C3")
def test_dropped_columns_leave_no_gap(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE TABLE t (gone int, id int PRIMARY KEY, gone_too text, a text, gone_last int);
        INSERT INTO t SELECT i, i, 'gone', 'kept ' || i, i FROM generate_series(1, 20) i;
        ALTER TABLE t DROP COLUMN gone, DROP COLUMN gone_too, DROP COLUMN gone_last;
        ALTER TABLE t ADD COLUMN b text DEFAULT 'added';
        """,
    )
    _migrate(source, target)
    _assert_rows(source, target, "t", 20)


@pytest.mark.case("C3")
def test_columns_of_an_existing_table_in_another_order(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE TABLE t (id int PRIMARY KEY, a text, b int);
        INSERT INTO t SELECT i, 'a' || i, -i FROM generate_series(1, 20) i;
        """,
    )
    # bigint besides, so that the bytes of a binary COPY would be refused.
    servers.run_script(target, "CREATE TABLE t (b bigint, a text, id int PRIMARY KEY)")
    report = _migrate(source, target)
    assert servers.rows(target, "public", "t", ["id", "a", "b"]) == servers.rows(
        source, "public", "t"
    )
    differing = [finding.message for finding in report.findings if finding.check == "column_type"]
    assert differing == ["column b: integer on the source, bigint on the target"]


@pytest.mark.case("C4")
@pytest.mark.parametrize("row_format", ["text", "binary"])
def test_floats_and_dates_arrive_bit_by_bit(pair: Pair, row_format: str) -> None:
    source, target = pair.filled(
        """
        CREATE TABLE floats (id serial, a real, b double precision);
        INSERT INTO floats (a, b) VALUES ('NaN', 'NaN'), ('Infinity', '-Infinity'), ('-0', '-0'),
            ('1e-45', '5e-324'), ('3.4028235e38', '1.7976931348623157e308'),
            ('1.00000012', '1.0000000000000002'), (0.1, 0.1), (1::real / 3, 1::float8 / 3);
        CREATE TABLE numerics (id serial, a numeric, b numeric(10, 3));
        INSERT INTO numerics (a, b) VALUES ('NaN', 'NaN'), ('Infinity', 1), ('-Infinity', -1),
            ('1.10', '1.100'), ('1e-16383', 0), ('0.000', NULL);
        CREATE TABLE times (id serial, d date, t time, tz timetz, ts timestamp, tstz timestamptz,
            i interval);
        INSERT INTO times (d, t, tz, ts, tstz, i) VALUES
            ('infinity', '24:00', '24:00+15:59', 'infinity', '-infinity', '178000000 years'),
            ('4713-01-01 BC', '00:00', '00:00-15:59', '4713-01-01 00:00 BC',
                '0001-01-01 00:00 BC', '1 mon -1 day'),
            ('5874897-12-31', '23:59:59.999999', '12:00+05:30', '294276-12-31',
                '1883-11-18 12:03:58-04:56:02', '0');
        """,
    )
    _migrate(source, target, format=row_format)
    for table, count in (("floats", 8), ("numerics", 6), ("times", 3)):
        _assert_rows(source, target, table, count)
    bits = "SELECT id, float4send(a), float8send(b) FROM floats ORDER BY id"
    assert _query(target, bits) == _query(source, bits)


def _encoded(pair: Pair, encodings: tuple[str, str]) -> tuple[str, str]:
    """A source and a target database of these encodings."""
    source_name, target_name = f"{pair.name}_source", f"{pair.name}_target"
    pair.made.append((pair.source_server, source_name))
    pair.made.append((pair.target_server, target_name))
    return (
        servers.create_database(pair.source_server, source_name, encoding=encodings[0], locale="C"),
        servers.create_database(pair.target_server, target_name, encoding=encodings[1], locale="C"),
    )


# Bytes that are no UTF-8, which SQL_ASCII does not mind.
INVALID = """
CREATE TABLE good (id int PRIMARY KEY, a text);
INSERT INTO good VALUES (1, 'plain');
CREATE TABLE raw (id int PRIMARY KEY, a text);
SET client_encoding = 'SQL_ASCII';
INSERT INTO raw VALUES (1, 'ok'), (2, E'\\xff\\xfe\\xe9'), (3, E'tab\\t\\xc3');
"""
BYTES = "SELECT id, encode(textsend(a), 'hex') FROM raw ORDER BY id"


@pytest.mark.case("C5")
def test_sql_ascii_to_sql_ascii_keeps_the_bytes(pair: Pair) -> None:
    source, target = _encoded(pair, ("SQL_ASCII", "SQL_ASCII"))
    servers.run_script(source, INVALID)
    _migrate(source, target)
    found = _query(target + " client_encoding=SQL_ASCII", BYTES)
    assert [row[1] for row in found] == [b"6f6b", b"fffee9", b"74616209c3"]


@pytest.mark.case("C5")
@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1"])
@pytest.mark.parametrize("row_format", ["text", "binary"])
def test_latin1_arrives_in_either_encoding(pair: Pair, row_format: str, encoding: str) -> None:
    source, target = _encoded(pair, ("LATIN1", encoding))
    servers.run_script(
        source,
        "CREATE TABLE t (id int, a text); INSERT INTO t VALUES (1, 'äöü ß é'), (2, 'plain');"
        'CREATE TABLE "täble" ("cölumn" text DEFAULT \'ü\'); INSERT INTO "täble" VALUES (\'ï\')',
    )
    _migrate(source, target, format=row_format)
    assert _query(target, "SELECT a FROM t ORDER BY id") == [("äöü ß é",), ("plain",)]
    assert _query(target, 'SELECT "cölumn" FROM "täble"') == [("ï",)]
    default = "SELECT column_default FROM information_schema.columns WHERE column_name = 'cölumn'"
    assert _query(target, default) == [("'ü'::text",)]


@pytest.mark.case("C5")
def test_invalid_bytes_to_utf8_name_the_table_and_the_rest_goes_on(pair: Pair) -> None:
    source, target = _encoded(pair, ("SQL_ASCII", "UTF8"))
    servers.run_script(source, INVALID)
    report = Migration(source=source, target=target, roles="none").run()
    failed = [task for task in report.tasks if task.status == "failed"]
    assert [(task.kind, task.object, task.sqlstate) for task in failed] == [
        ("data", "public.raw", "22021")
    ]
    assert _query(target, "SELECT a FROM good") == [("plain",)]
    assert "xff" not in failed[0].note


TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'a "quoted", one', '');
CREATE TYPE pair AS (number int, word text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN moods AS mood[];
CREATE TYPE text_range AS RANGE (SUBTYPE = text);
CREATE TYPE plain_text;
CREATE FUNCTION plain_in(cstring) RETURNS plain_text LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION plain_out(plain_text) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT
    AS 'textout';
-- A type without binary input and output.
CREATE TYPE plain_text (INPUT = plain_in, OUTPUT = plain_out, LIKE = text);
CREATE TABLE without_binary (id int, a plain_text, b plain_text[]);
INSERT INTO without_binary VALUES (1, E'a\\tb', ARRAY['x', NULL]::plain_text[]), (2, '', '{}');
CREATE TABLE enums (id int, a mood, b mood[], c moods);
INSERT INTO enums VALUES (1, 'sad', '{sad,""}', '{"a \\"quoted\\", one"}'), (2, '', NULL, '{}');
CREATE TABLE domains (id int, a positive, b positive[]);
INSERT INTO domains VALUES (1, 7, '{1,2}'), (2, NULL, '{}');
CREATE TABLE composites (id int, a pair, b pair[]);
INSERT INTO composites VALUES (1, (1, E'"\\\\,()'), ARRAY[(2, NULL)::pair, NULL]), (2, NULL, '{}');
CREATE TABLE ranges (id int, a int4range, b text_range, c int4multirange, d text_multirange,
    e int4range[]);
INSERT INTO ranges VALUES
    (1, '[1,5)', '["a,b",)', '{[1,2],[5,9)}', '{["a","b")}', '{"[1,2)",empty}');
CREATE TABLE others (id int, a bit varying, b money, c tsvector, d xid8, e inet, f json, g jsonb,
    h regclass);
INSERT INTO others VALUES (1,
    B'1011', '-1.50', '''a b'':1A', '9', '::1/64', '{"a": 1, "a": 2}', '{"b": 1.10}', 'enums');
"""


@pytest.mark.case("C8")
def test_each_type_arrives_and_auto_takes_text_where_binary_is_unsafe(pair: Pair) -> None:
    source, target = pair.filled(TYPES)
    # OIDs of the target's types must not be the source's by chance.
    servers.run_script(
        target, "CREATE TYPE a AS (x int); DROP TYPE a; CREATE TABLE b (); DROP TABLE b"
    )
    migration = Migration(source=source, target=target, roles="none")
    plan = migration.plan()
    formats = {task.name: task.format for task in plan if task.kind == "data"}
    text = ["without_binary", "enums", "domains", "composites", "ranges", "others"]
    assert formats == dict.fromkeys(text, "text")
    notes = {task.name: task.note for task in plan if task.kind == "data"}
    assert notes["others"] == (
        'text: "h" is regclass, whose binary form another server may refuse, or read as '
        "something else"
    )
    migration.run(plan).raise_for_failures()
    for table in text:
        _assert_rows(source, target, table, 1 if table in ("ranges", "others") else 2)


@pytest.mark.case("C8")
def test_an_enum_or_a_domain_alone_stays_binary(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); ALTER TYPE mood ADD VALUE 'worse' BEFORE 'sad';"
        "CREATE DOMAIN mood_domain AS mood; CREATE TABLE t (a mood, b mood_domain, c int[]);"
        "INSERT INTO t VALUES ('worse', 'ok', '{1,2}'), ('sad', 'worse', NULL)",
    )
    migration = Migration(source=source, target=target, roles="none")
    plan = migration.plan()
    assert [task.format for task in plan if task.kind == "data"] == ["binary"]
    migration.run(plan).raise_for_failures()
    _assert_rows(source, target, "t", 2)


def test_auto_takes_text_where_values_are_too_short_for_binary(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE flags (a bool, b bool, c bool, d bool, e smallint, f smallint, g smallint,"
        " h smallint, i bool, j bool, k bool, l bool);"
        "INSERT INTO flags SELECT x, x, x, NULL, i, i, i, i, x, x, x, NOT x"
        " FROM (SELECT i % 99 AS i, i % 2 = 0 AS x FROM generate_series(1, 200000) i) s;"
        "CREATE TABLE typed AS SELECT md5(i::text)::uuid AS id, now() AS t"
        " FROM generate_series(1, 200000) i; ANALYZE",
    )
    migration = Migration(source=source, target=target, roles="none")
    plan = migration.plan()
    found = {task.name: (task.format, task.note) for task in plan if task.kind == "data"}
    assert found == {
        "flags": ("text", "text: most of its values are so short that binary is more work"),
        "typed": ("binary", ""),
    }
    forced = Migration(source=source, target=target, roles="none", format="binary").plan()
    assert {(task.format, task.note) for task in forced if task.kind == "data"} == {("binary", "")}
    migration.run(plan).raise_for_failures()
    assert Counter(servers.rows(target, "public", "flags")) == Counter(
        servers.rows(source, "public", "flags")
    )


@pytest.mark.case("C8")
def test_types_of_an_extension_arrive(make_pair: MakePair) -> None:
    pair = make_pair(18, 18)
    source, target = pair.filled(
        """
        CREATE EXTENSION hstore;
        CREATE EXTENSION citext;
        CREATE TABLE t (id int, a hstore, b hstore[], c citext PRIMARY KEY);
        INSERT INTO t VALUES (1, 'a=>1,"b c"=>NULL', ARRAY['x=>y'::hstore], 'Mixed');
        """,
    )
    _migrate(source, target)
    _assert_rows(source, target, "t", 1)
    assert _query(target, "SELECT a -> 'a' FROM t WHERE c = 'MIXED'") == [("1",)]


@pytest.mark.case("C9")
def test_arrays_of_user_types_whose_oids_differ(pair: Pair) -> None:
    source, target = pair.filled(TYPES)
    # As many objects as make the target number its types otherwise.
    servers.run_script(target, "CREATE TABLE a (); CREATE TABLE b (); CREATE TABLE c ()")
    _migrate(source, target)
    oids = "SELECT oid FROM pg_type WHERE typname IN ('mood', '_mood', 'pair', '_pair') ORDER BY 1"
    assert set(_query(source, oids)).isdisjoint(_query(target, oids))
    for table in ("enums", "composites"):
        _assert_rows(source, target, table, 2)


@pytest.mark.case("C10")
@pytest.mark.parametrize("row_format", ["text", "binary"])
@pytest.mark.parametrize("merged", [False, True], ids=["copied", "merged"])
def test_every_byte_of_a_text_arrives(pair: Pair, row_format: str, merged: bool) -> None:
    source, target = pair.source(), pair.target()
    create = "CREATE TABLE t (id int PRIMARY KEY, a text)"
    servers.run_script(
        source,
        create
        + r"""
        ;INSERT INTO t VALUES (1, E'tab\tline\nfeed\rboth\r\n'), (2, E'\\.'), (3, E'a\n\\.\nb'),
            (4, E'\\N'),
            (5, ''), (6, NULL), (7, E'\\'), (8, E'\\\n'),
                (9, '🐘 e' || U&'\+01D518\0301\FEFF\202E\FFFF');
        INSERT INTO t SELECT 100 + i, chr(i) FROM generate_series(1, 159) i;
        INSERT INTO t SELECT 300 + i, repeat(chr(i) || E'\\', 40000) FROM generate_series(7, 14) i;
        """,
    )
    if merged:
        servers.run_script(target, create + "; INSERT INTO t VALUES (0, 'was there')")
    _migrate(source, target, format=row_format)
    digest = "SELECT id, sha256(textsend(a)) FROM t WHERE id > 0 ORDER BY id"
    assert len(_query(source, digest)) == 176
    assert _query(target, digest) == _query(source, digest)


def test_one_row_of_many_megabytes(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (a text, b bytea);"
        "ALTER TABLE t ALTER b SET STORAGE EXTERNAL;"
        "INSERT INTO t SELECT repeat('x', 30000000), decode(repeat('00ff5c0a', 5000000), 'hex')",
    )
    _migrate(source, target)
    digest = "SELECT length(a), sha256(b) FROM t"
    assert _query(target, digest) == _query(source, digest)


def test_a_table_may_have_1600_columns(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    columns = sql.SQL(", ").join(
        sql.SQL("{} int").format(sql.Identifier(f"c{i}")) for i in range(1600)
    )
    with psycopg.connect(source) as connection:
        connection.execute(sql.SQL("CREATE TABLE wide ({})").format(columns))
        connection.execute("INSERT INTO wide (c0, c799, c1599) VALUES (1, 2, 3), (NULL, NULL, 4)")
    _migrate(source, target)
    _assert_rows(source, target, "wide", 2)
