"""A reader of a part, what the target's build lacks, clauses that the source refuses: L2, L11."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from conftest import Pair
from pgmigrate import Finding, Migration, Options, PreflightError, TableRule
from support import servers

if TYPE_CHECKING:
    from typing_extensions import LiteralString

PARTS = """
CREATE ROLE {p}reader LOGIN PASSWORD 'reader';
CREATE SCHEMA "my.app"; CREATE SCHEMA other;
CREATE TYPE "my.app".color AS ENUM ('red');
CREATE TABLE "my.app"."T""1" (id serial PRIMARY KEY, c "my.app".color);
INSERT INTO "my.app"."T""1" (c) VALUES ('red');
CREATE TABLE "my.app".u (id int); INSERT INTO "my.app".u VALUES (7);
CREATE TABLE other.hidden (id int PRIMARY KEY); CREATE SEQUENCE other.sq;
CREATE TABLE other.also (id int REFERENCES other.hidden);
GRANT USAGE ON SCHEMA "my.app" TO {p}reader;
GRANT SELECT ON ALL TABLES IN SCHEMA "my.app" TO {p}reader;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA "my.app" TO {p}reader;
"""
T1 = ("my.app", 'T"1')
U = ("my.app", "u")


@pytest.mark.case("L2")
@pytest.mark.parametrize(
    ("chosen", "closed", "expected"),
    [
        ({"schemas": ["my.app"]}, "", [T1, U]),
        ({"schemas": {"exclude": ["other"]}}, "", [T1, U]),
        ({"tables": [{"schema": "my.app", "name": 'T"1'}]}, "", [T1]),
        ({"tables": ['"my.app".u']}, 'REVOKE ALL ON "my.app"."T""1" FROM {p}reader', [U]),
        (
            {"schemas": ["my.app"], "tables": {"exclude": ['"my.app".u']}},
            'REVOKE ALL ON "my.app".u FROM {p}reader',
            [T1],
        ),
    ],
    ids=["schema", "exclude_schema", "table", "table_next_to_closed", "exclude_table"],
)
def test_a_reader_of_a_part_migrates_that_part(
    pair: Pair, prefix: str, chosen: dict[str, Any], closed: str, expected: list[tuple[str, str]]
) -> None:
    source, target = pair.filled(PARTS.format(p=prefix) + closed.format(p=prefix))
    reader = make_conninfo(source, user=f"{prefix}reader", password="reader")
    migration = Migration(source=reader, target=target, roles="none", options={"owners": False,
        "privileges": False}, **chosen)  # fmt: skip
    reported = {finding.check: finding for finding in migration.preflight().findings}
    assert "other.hidden" in reported["dump_filter"].objects
    migration.run(jobs=2).raise_for_failures()
    assert servers.tables(target, ["pgmigrate"]) == expected
    result = migration.verify()
    assert result.ok, result.text()


@pytest.mark.case("L2")
def test_without_a_filter_the_grants_are_named(pair: Pair, prefix: str) -> None:
    source, target = pair.filled(PARTS.format(p=prefix))
    reader = make_conninfo(source, user=f"{prefix}reader", password="reader")
    left_out: Options = {"owners": False, "privileges": False}
    migration = Migration(source=reader, target=target, roles="none", options=left_out)
    with pytest.raises(PreflightError) as caught:
        migration.run()
    assert servers.tables(target) == []
    with psycopg.connect(source, autocommit=True) as connection:
        for finding in caught.value.findings:
            if finding.severity == "blocking":
                connection.execute(finding.remedy.encode())
    migration.run(jobs=2).raise_for_failures()


BUILD = """
CREATE SCHEMA s; CREATE SCHEMA plain; CREATE TABLE plain.t (a text);
CREATE TABLE s.x (d xml); CREATE TABLE s.c (a text); CREATE COLLATION s.icu FROM "C";
UPDATE pg_attribute SET attcompression = 'l' WHERE attrelid = 's.c'::regclass AND attname = 'a';
UPDATE pg_collation SET collprovider = 'i', colliculocale = 'und', collcollate = NULL,
    collctype = NULL WHERE collname = 'icu' AND collnamespace = 's'::regnamespace;
CREATE FUNCTION s.absent(internal) RETURNS internal LANGUAGE c
    AS '$libdir/dict_snowball', 'dsnowball_init';
UPDATE pg_proc SET probin = '$libdir/no_such_library' WHERE proname = 'absent';
"""


def _features(target: str) -> dict[str, bool]:
    lz4 = """SELECT 'lz4' = ANY (enumvals) FROM pg_settings
        WHERE name = 'default_toast_compression'"""

    def takes(statement: LiteralString) -> bool:
        with psycopg.connect(target) as connection:
            try:
                connection.execute(statement)
            except psycopg.errors.FeatureNotSupported:
                return False
            finally:
                connection.rollback()
        return True

    return {
        "table s.c": servers.fetch(target, lz4)[0][0],
        "table s.x": takes("SELECT xmlparse(CONTENT 'a')"),
        "collation s.icu": takes("CREATE COLLATION made (provider = icu, locale = 'und')"),
    }


@pytest.mark.case("L11")
def test_what_the_build_of_the_target_lacks_is_found(pair: Pair) -> None:
    source, target = pair.filled(BUILD)

    def found(**chosen: Any) -> list[Finding]:
        migration = Migration(source=source, target=target, roles="none", **chosen)
        findings = migration.preflight().findings
        return [finding for finding in findings if finding.check in ("build", "library")]

    lacking = [name for name, is_there in _features(target).items() if not is_there]
    named = {name for finding in found() for name in finding.objects}
    assert named == {*lacking, "function s.absent(internal)"}
    assert [finding.object for finding in found() if finding.check == "library"] == [
        "function s.absent(internal)"
    ]
    assert found(schemas=["plain"]) == []


@pytest.mark.case("L11")
@pytest.mark.parametrize(
    ("key", "clause", "word"),
    [
        ("where", "no_such > 1", "no_such"),
        ("where", "a > 1; DROP TABLE app.t", "syntax"),
        ("where", "a", "boolean"),
        ("order_by", "missing(a)", "missing"),
        ("order_by", "a,", "syntax"),
    ],
)
@pytest.mark.parametrize("for_all", [False, True], ids=["table", "all"])
def test_clauses_that_the_source_refuses(
    pair: Pair, key: str, clause: str, word: str, for_all: bool
) -> None:
    source, target = pair.filled("CREATE TABLE t (a int)")
    rule: Any = {key: clause}
    tables: Any = {"default": rule} if for_all else [{"schema": "public", "name": "t", **rule}]
    migration = Migration(source=source, target=target, roles="none", tables=tables)
    with pytest.raises(PreflightError) as caught:
        migration.run()
    (finding,) = [found for found in caught.value.findings if found.severity == "blocking"]
    assert (finding.check, finding.object) == ("clause", "public.t")
    assert key in finding.message and word in finding.message
    assert servers.tables(source) == [("public", "t")]
    assert finding.remedy


@pytest.mark.case("L11")
def test_a_table_that_is_locked_is_not_asked_about(pair: Pair) -> None:
    source, target = pair.filled("CREATE TABLE t (a int); CREATE TABLE u (a int)")
    rules: list[TableRule] = [
        {"schema": "public", "name": name, "where": "no_such > 1"} for name in ("t", "u")
    ]
    options: Options = {"lock_timeout": 1}
    migration = Migration(source=source, target=target, roles="none", tables=rules, options=options)
    with psycopg.connect(source) as other:
        other.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        # Without a limit it would wait until the lock's end.
        found = migration.preflight().findings
        other.rollback()
    reported = {finding.check: finding for finding in found}
    assert [finding.object for finding in found if finding.check == "clause"] == ["public.u"]
    assert "public.t" in reported["table_locks"].message
