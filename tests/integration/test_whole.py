"""Whole databases between several majors: the target equals the source, by pg_dump and psycopg."""

from __future__ import annotations

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, demo_database
from support import servers

SCHEMAS = ["pagila_like", "odd_names", "odd_types", "odd_objects", "odd_order"]


def _migrate(source: str, target: str, split_larger_than: str = "64kB") -> None:
    options = {"publications": True, "split_larger_than": split_larger_than}
    migration = Migration(source=source, target=target, options=options)
    report = migration.run(jobs=3)
    report.raise_for_failures()
    assert report.ok
    servers.assert_equal(source, target)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_whole_database_arrives(any_pair: Pair, schema: str) -> None:
    source = any_pair.source(schema, has_xml="off")
    if any_pair.majors[0] >= 18 > any_pair.majors[1]:
        # The one thing in these schemas that older servers do not have at all.
        servers.run_script(source, "DROP TABLE IF EXISTS odd.virtual_columns")
    target = any_pair.target()
    _migrate(source, target)
    servers.assert_no_worse_than_peer(source, target)


def test_the_demo_database_arrives(any_pair: Pair) -> None:
    source = any_pair.source()
    demo_database.fill(source, scale=0.05)
    target = any_pair.target()
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


def test_d1_odd_names_arrive_when_each_is_asked_for_by_itself(pair: Pair) -> None:
    source, target = pair.source("odd_names"), pair.target()
    named = [{"schema": schema, "name": table} for schema, table in _tables(source)]
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
