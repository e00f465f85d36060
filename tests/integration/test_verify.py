"""Verification: a faithful copy is equal, and each kind of damage is found and named."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import psycopg
import pytest
from psycopg import sql

from conftest import Pair, Servers
from pgmigrate import Difference, Migration, TableRule, Tables, VerifyError, VerifyResult
from pgmigrate._values.sets import DifferenceKind
from support import dumps, planted, servers
from support.shell import Shell

# One worker has them all: they share what takes long to start.
pytestmark = pytest.mark.xdist_group("verify")

SOURCE = r"""
CREATE SCHEMA shop;
CREATE TABLE shop.customer (id bigint PRIMARY KEY, name text NOT NULL, tags text[]);
INSERT INTO shop.customer
SELECT n, 'customer ' || n, array_remove(ARRAY['a', NULL, 'b' || n], NULL)
FROM generate_series(1, 3000) AS n;
CREATE TABLE shop.item (code text, size int, price numeric, PRIMARY KEY (code, size));
INSERT INTO shop.item SELECT E'i\n' || n % 40, n, n * 1.25 FROM generate_series(1, 2000) AS n;
CREATE TABLE shop.purchase (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer bigint NOT NULL CONSTRAINT purchase_customer REFERENCES shop.customer,
    note text DEFAULT 'none');
INSERT INTO shop.purchase (customer, note)
SELECT 1 + n % 3000, CASE WHEN n % 3 > 0 THEN 'note ' || n END FROM generate_series(1, 5000) AS n;
CREATE INDEX purchase_note ON shop.purchase (note);
CREATE TABLE shop.visit (page text, seconds float8);
INSERT INTO shop.visit SELECT 'page ' || n % 7, n % 5 FROM generate_series(1, 1000) AS n;
CREATE VIEW shop.spending AS
SELECT c.name, count(*) AS purchases
FROM shop.customer AS c JOIN shop.purchase AS p ON p.customer = c.id GROUP BY c.name;
CREATE FUNCTION shop.double(i int) RETURNS int LANGUAGE sql AS 'SELECT i * 2';
GRANT SELECT, INSERT ON shop.item TO pg_monitor;
CREATE SEQUENCE shop.ticket;
SELECT setval('shop.ticket', 77);
SELECT lo_from_bytea(770001, convert_to(repeat('large ', 500000), 'UTF8'));
SELECT lo_from_bytea(770002, 'small');
"""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Migrated:
    """A source and a target that was migrated from it."""

    pair: Pair
    source: str
    target: str

    def damaged(self, damage: str) -> VerifyResult:
        """Verifies a copy of the target, its ledger included, on which a script was run."""
        name = f"{self.pair.name}_copy_{next(_numbers)}"
        server = self.pair.target_server
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            template = sql.Identifier(f"{self.pair.name}_target")
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), template)
            )
        try:
            servers.run_script(server.conninfo_for(name), damage)
            return Migration(source=self.source, target=server.conninfo_for(name)).verify(jobs=2)
        finally:
            servers.drop_database(server, name)


@pytest.fixture(scope="module")
def migrated(all_servers: Servers) -> Iterator[Migrated]:
    pair = Pair(all_servers.of(16), all_servers.of(18), "verified")
    source, target = pair.filled(SOURCE)
    Migration(source=source, target=target).run(jobs=2).raise_for_failures()
    yield Migrated(pair, source, target)
    for server, name in pair.made:
        servers.drop_database(server, name)


def test_a_migrated_database_is_equal(migrated: Migrated) -> None:
    found = migrated.damaged("SELECT")
    found.raise_for_differences()
    assert found.equal
    assert {table.object: table.source_rows for table in found.tables} == {
        "shop.customer": 3000,
        "shop.item": 2000,
        "shop.purchase": 5000,
        "shop.visit": 1000,
    }
    assert all(table.source_rows == table.target_rows for table in found.tables)


def test_a_database_that_others_have_filled_is_equal(any_pair: Pair) -> None:
    """pg_dump writes text, so arrays may differ in binary form; majors write definitions again."""
    schemas = ["pagila_like", "odd_names", "odd_types", "odd_objects"]
    source, target = any_pair.source(), any_pair.target()
    for schema in schemas:
        script = (servers.SCHEMAS / f"{schema}.sql").read_bytes().decode()
        servers.run_script(source, script, variables={"has_xml": "off"})
    # The one thing in these schemas that servers before 18 do not have at all.
    servers.run_script(source, "DROP TABLE IF EXISTS odd.virtual_columns")
    # Settings that the target's major does not know are refused and left out.
    roles = _dump(source, "pg_dumpall", "--roles-only", "--no-role-passwords")
    if any_pair.majors[1] < 16:
        roles = dumps.without_membership_options(roles)
    servers.run_script(target, roles, stop_on_error=False)
    servers.run_script(target, dumps.without_attver(_dump(source)), stop_on_error=False)
    Migration(source=source, target=target).verify().raise_for_differences()


def _dump(conninfo: str, program: str = "pg_dump", *arguments: str) -> str:
    done = dumps.run(program, conninfo, *arguments)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


DAMAGES: list[tuple[str, str, str, str | None, tuple[str, ...]]] = [
    (
        "UPDATE shop.customer SET name = overlay(name PLACING 'x' FROM 3) WHERE id = 1234",
        "different_row",
        "shop.customer",
        "id=1234",
        ("name",),
    ),
    (
        "DELETE FROM shop.item WHERE size = 41",
        "missing_row",
        "shop.item",
        "code=i\n1, size=41",
        (),
    ),
    (
        "INSERT INTO shop.item VALUES ('new', 1, 1)",
        "extra_row",
        "shop.item",
        "code=new, size=1",
        (),
    ),
    (
        """UPDATE shop.purchase AS p SET note = q.note FROM shop.purchase AS q
           WHERE (p.id, q.id) IN ((100, 200), (200, 100))""",
        "different_row",
        "shop.purchase",
        "id=200",
        ("note",),
    ),
    ("INSERT INTO shop.visit TABLE shop.visit LIMIT 1", "extra_row", "shop.visit", None, ()),
    (
        "DELETE FROM shop.visit WHERE ctid = (SELECT min(ctid) FROM shop.visit)",
        "missing_row",
        "shop.visit",
        None,
        (),
    ),
    (
        "DELETE FROM shop.visit WHERE ctid = (SELECT min(ctid) FROM shop.visit)",
        "row_count",
        "shop.visit",
        None,
        (),
    ),
    ("SELECT setval('shop.ticket', 76)", "sequence", "shop.ticket", None, ()),
    ("SELECT setval('shop.ticket', 77, false)", "sequence", "shop.ticket", None, ()),
    (
        "SELECT lo_put(770001, 2500000, 'x')",
        "large_object",
        "large object 770001",
        None,
        (),
    ),
    ("SELECT lo_unlink(770002)", "large_object", "large object 770002", None, ()),
    (
        "ALTER LARGE OBJECT 770002 OWNER TO pg_monitor",
        "large_object",
        "large object 770002",
        None,
        (),
    ),
    (
        """ALTER TABLE shop.purchase DROP CONSTRAINT purchase_customer;
           ALTER TABLE shop.purchase ADD CONSTRAINT purchase_customer
           FOREIGN KEY (customer) REFERENCES shop.customer NOT VALID""",
        "invalid_constraint",
        "shop.purchase purchase_customer",
        None,
        (),
    ),
    (
        """UPDATE pg_index SET indisvalid = false
           WHERE indexrelid = 'shop.purchase_note'::regclass""",
        "invalid_index",
        "shop.purchase_note",
        None,
        (),
    ),
    ("DROP INDEX shop.purchase_note", "missing_object", "shop.purchase_note", None, ()),
    ("DROP SEQUENCE shop.ticket", "missing_object", "shop.ticket", None, ()),
    ("DROP TABLE shop.visit", "missing_object", "shop.visit", None, ()),
    (
        """CREATE OR REPLACE VIEW shop.spending AS
           SELECT c.name, count(p.note) AS purchases
           FROM shop.customer AS c JOIN shop.purchase AS p ON p.customer = c.id GROUP BY c.name""",
        "different_object",
        "shop.spending",
        None,
        (),
    ),
    (
        "CREATE OR REPLACE FUNCTION shop.double(i int) RETURNS int LANGUAGE sql AS 'SELECT i * 3'",
        "different_object",
        "shop.double(integer)",
        None,
        (),
    ),
    (
        "ALTER TABLE shop.purchase ALTER note SET DEFAULT 'nothing'",
        "different_object",
        "shop.purchase",
        None,
        ("note",),
    ),
    (
        "ALTER VIEW shop.spending OWNER TO pg_monitor",
        "different_object",
        "shop.spending",
        None,
        (),
    ),
    (
        "REVOKE INSERT ON shop.item FROM pg_monitor",
        "different_object",
        "TABLE item in shop",
        None,
        (),
    ),
]


def test_each_kind_of_difference_is_planted_somewhere() -> None:
    kinds = {one.kind for one in (*planted.PLANTED, *planted.PLANTED_18)}
    assert kinds | {kind for _, kind, *_ in DAMAGES} == set(get_args(DifferenceKind))


@pytest.mark.parametrize(("damage", "kind", "object_", "key", "columns"), DAMAGES)
def test_damage_is_found_and_named(
    migrated: Migrated,
    damage: str,
    kind: str,
    object_: str,
    key: str | None,
    columns: tuple[str, ...],
) -> None:
    found = migrated.damaged(damage)
    assert not found.equal
    assert not found.unchecked
    wanted = (kind, object_, key, columns)
    assert wanted in [_facts(difference) for difference in found.differences]
    with pytest.raises(VerifyError, match=re.escape(object_)):
        found.raise_for_differences()


def _facts(difference: Difference) -> tuple[str, str, str | None, tuple[str, ...]]:
    return difference.kind, difference.object, difference.key, tuple(difference.columns)


def test_values_stand_in_no_message(migrated: Migrated) -> None:
    found = migrated.damaged("UPDATE shop.customer SET name = 'Confidential' WHERE id < 9")
    assert len(found.differences) == 8
    assert "Confidential" not in repr(found)
    assert "customer 5" not in repr(found)


def test_many_differences_are_counted_and_only_some_shown(migrated: Migrated) -> None:
    found = migrated.damaged("UPDATE shop.item SET price = price + 1")
    assert len(found.differences) == 20
    assert [t.note for t in found.tables if t.status == "different"] == ["2000 different"]


def test_a_source_that_moves_on_changes_nothing_of_the_proof(pair: Pair) -> None:
    source, target = pair.filled(SOURCE)
    migration = Migration(source=source, target=target)
    plan = migration.plan()
    migration.run(plan, jobs=2).raise_for_failures()
    servers.run_script(source, "UPDATE shop.item SET price = 0")
    assert migration.verify(plan).equal
    servers.run_script(target, "UPDATE shop.item SET price = 1 WHERE size = 5")
    assert "shop.item" in {difference.object for difference in migration.verify(plan).differences}


def test_a_chosen_part_is_compared_with_what_was_chosen(pair: Pair) -> None:
    source, target = pair.filled(SOURCE)
    include: list[TableRule] = [
        {"schema": "shop", "name": "item", "where": "size > 100 -- and more\n"},
        {"schema": "shop", "name": "visit", "limit": 50},
        {"schema": "shop", "name": "customer", "chunk_column": "id", "chunk_size": 700},
    ]
    tables: Tables = {"mode": "include", "include": include}
    migration = Migration(source=source, target=target, tables=tables, keep_ledger=False)
    migration.run(jobs=2).raise_for_failures()
    found = migration.verify()
    found.raise_for_differences()
    assert {table.object: table.target_rows for table in found.tables} == {
        "shop.item": 1900,
        "shop.visit": 50,
        "shop.customer": 3000,
    }
    servers.run_script(target, "UPDATE shop.visit SET page = 'made up' WHERE ctid = '(0,1)'")
    kinds = {difference.kind for difference in migration.verify().differences}
    assert kinds == {"extra_row"}


def test_rows_that_the_target_had_before_are_no_difference(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)"
    )
    servers.run_script(target, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (2), (9)")
    migration = Migration(source=source, target=target)
    migration.run().raise_for_failures()
    found = migration.verify()
    found.raise_for_differences()
    (table,) = found.tables
    assert (table.source_rows, table.target_rows, table.more_rows) == (2, 3, 1)
    assert (found.verdict, table.status) == ("contains_source", "contains_source")
    servers.run_script(target, "DELETE FROM t WHERE id = 1")
    assert [d.key for d in migration.verify().differences] == ["id=1"]


@pytest.mark.case("X4")
@pytest.mark.parametrize("key", ["PRIMARY KEY", ""])
def test_the_verdict_depends_on_the_rows_and_not_on_who_made_the_table(
    pair: Pair, key: str, shell: Shell
) -> None:
    source, target = pair.filled(
        f"CREATE TABLE t (id int {key}); INSERT INTO t SELECT generate_series(1, 20);"
        "CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1)",
    )
    migration = Migration(source=source, target=target)
    migration.run().raise_for_failures()
    assert migration.verify().verdict == "equal"
    servers.run_script(source, "DELETE FROM t WHERE id > 10; INSERT INTO u VALUES (2)")
    # A table without a key would get the rows once more.
    again = Migration(source=source, target=target, tables=_only("u") if not key else {})
    again.run().raise_for_failures()
    found = migration.verify()
    assert found.verdict == "contains_source" and not found.equal
    (table,) = found.larger_tables
    assert (table.object, table.more_rows) == ("public.t", 10)
    assert "the target contains the source and 10 more rows" in found.text()
    done = shell.run("verify", "--source", source, "--target", target, "--json")
    assert done.code == 7, done.stderr
    assert json.loads(done.stdout)["verdict"] == "contains_source"
    servers.run_script(target, "DELETE FROM t WHERE id = 1")
    assert migration.verify().verdict == "different"


def _only(name: str) -> Tables:
    return {"mode": "include", "include": [{"schema": "public", "name": name}]}


def test_what_cannot_be_read_is_unchecked_and_no_pass(migrated: Migrated) -> None:
    found = migrated.damaged(
        """DROP TABLE shop.visit;
           CREATE FOREIGN DATA WRAPPER broken;
           CREATE SERVER far FOREIGN DATA WRAPPER broken;
           CREATE FOREIGN TABLE shop.visit (page text, seconds float8) SERVER far"""
    )
    assert found.verdict == "different", "the table is another object"
    assert [table.status for table in found.tables if table.object == "shop.visit"] == ["unchecked"]
    assert "shop.visit" in [unchecked.object for unchecked in found.unchecked]


def test_a_stopped_verification_leaves_nothing_running(
    migrated: Migrated, all_servers: Servers
) -> None:
    def stop(event: Mapping[str, Any]) -> None:
        if event["event"] == "step_started" and event["step"] == "verify rows":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        Migration(source=migrated.source, target=migrated.target).verify(on_event=stop)
    deadline = time.monotonic() + 5
    while any(_sessions(all_servers.of(major).conninfo) for major in (16, 18)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _sessions(conninfo: str) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgmigrate%'"
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])
