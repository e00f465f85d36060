"""Whole databases between several majors: the target equals the source, by pg_dump and psycopg."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from conftest import Pair, majors
from pgmigrate import Migration, Options, TableRule, demo_database
from support import servers
from support.cases import some_each_time

SCHEMAS = ["pagila_like", "odd_names", "odd_types", "odd_objects", "odd_order"]


def _migrate(source: str, target: str, split_larger_than: str = "64kB") -> None:
    options: Options = {"publications": True, "split_larger_than": split_larger_than}
    migration = Migration(source=source, target=target, options=options)
    report = migration.run(jobs=3)
    report.raise_for_failures()
    assert report.ok
    servers.assert_equal(source, target)


# Between one pair each schema, between the others the one with most kinds of objects.
CASES = [(*pair, schema) for pair in majors() for schema in SCHEMAS]
EACH_TIME = [
    (source, target, schema)
    for source, target, schema in CASES
    if (source, target) == (16, 18) or (majors()[source, target] and schema == "odd_objects")
]


@pytest.mark.parametrize(
    "case", some_each_time(CASES, *EACH_TIME), ids=lambda case: "{}to{}-{}".format(*case)
)
def test_a_whole_database_arrives(
    make_pair: Callable[[int, int], Pair], case: tuple[int, int, str]
) -> None:
    source_major, target_major, schema = case
    pair = make_pair(source_major, target_major)
    source = pair.source(schema, has_xml="off")
    if source_major >= 18 > target_major:
        # The one thing in these schemas that older servers do not have at all.
        servers.run_script(source, "DROP TABLE IF EXISTS odd.virtual_columns")
    target = pair.target()
    _migrate(source, target)
    servers.assert_no_worse_than_peer(source, target)


@pytest.mark.parametrize(
    "versions",
    some_each_time(majors(), *({(16, 18), (18, 19)} & majors().keys())),
    ids=lambda versions: "{}to{}".format(*versions),
)
def test_the_demo_database_arrives(
    make_pair: Callable[[int, int], Pair], versions: tuple[int, int]
) -> None:
    pair = make_pair(*versions)
    source = pair.source()
    demo_database.fill(source, scale=0.05)
    target = pair.target()
    _migrate(source, target, split_larger_than="512kB")
    servers.assert_no_worse_than_peer(source, target)


def test_nothing_is_created_on_the_source(pair: Pair) -> None:
    source = pair.source("pagila_like")
    before = _everything(source)
    _migrate(source, pair.target())
    assert _everything(source) == before


def _everything(conninfo: str) -> list[tuple[object, ...]]:
    """Every object of the database with the transaction that wrote it."""
    catalogs = ["class", "proc", "type", "namespace", "constraint", "trigger", "attribute"]
    with psycopg.connect(conninfo) as connection:
        found: list[tuple[object, ...]] = []
        for catalog in catalogs:
            # Statistics in pg_class change by themselves; the row's xmin does not with them.
            query = f"SELECT '{catalog}', ctid::text, xmin::text FROM pg_catalog.pg_{catalog}"
            found += connection.execute(query).fetchall()
        return sorted(found, key=str)


@pytest.mark.case("D1")
def test_odd_names_arrive_when_each_is_asked_for_by_itself(pair: Pair) -> None:
    source, target = pair.source("odd_names"), pair.target()
    named: list[TableRule] = [
        {"schema": schema, "name": table} for schema, table in _tables(source)
    ]
    assert any(set(table["name"]) & set('."\n\t-') for table in named)
    migration = Migration(
        source=source, target=target, tables={"mode": "include", "include": named}
    )
    migration.run(migration.plan()).raise_for_failures()
    assert _tables(target) == _tables(source)
    for schema, table in _tables(source):
        assert servers.rows(target, schema, table) == servers.rows(source, schema, table)


def _tables(conninfo: str) -> list[tuple[str, str]]:
    with psycopg.connect(conninfo) as connection:
        found = connection.execute(
            "SELECT n.nspname, c.relname"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema|pgmigrate$)'"
            " ORDER BY 1, 2"
        )
        return [(schema, table) for schema, table in found]
