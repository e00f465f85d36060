"""L1: a source that was the target of an earlier run holds a ledger, which stays behind."""

from __future__ import annotations

import pytest

from conftest import Pair
from pgmigrate import Migration
from support import servers

TABLE = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);"
LEDGERS = (
    "SELECT relnamespace::regnamespace::text FROM pg_class"
    " WHERE relname = 'migration_run' ORDER BY 1"
)
SCHEMAS = "SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^(pg_|information)' ORDER BY 1"


@pytest.mark.case("L1")
@pytest.mark.parametrize("data_only", [False, True])
@pytest.mark.parametrize("schema", ["pgmigrate", "Own ledger", "app"])
def test_a_ledger_in_the_source_is_left_out_and_named(
    pair: Pair, schema: str, data_only: bool
) -> None:
    """In a schema of its own, under any name, or in one of the user's."""
    source, middle, target = pair.source(), pair.target("_middle"), pair.target()
    servers.run_script(source, f"{TABLE} CREATE SCHEMA app; CREATE TABLE app.u AS TABLE t;")
    if schema == "app":
        servers.run_script(middle, "CREATE SCHEMA app")
    first = Migration(source=source, target=middle, ledger_schema=schema, roles="none")
    first.run().raise_for_failures()
    made = {"app", "public"}
    if data_only:
        servers.run_script(
            target,
            "CREATE TABLE t (id int PRIMARY KEY); CREATE SCHEMA app; CREATE TABLE app.u (id int)",
        )
    second = Migration(source=middle, target=target, roles="none", data_only=data_only, verify=True)
    report = second.run()
    report.raise_for_failures()
    assert report.verification is not None and report.verification.verdict == "equal"
    assert servers.fetch(target, LEDGERS) == [("pgmigrate",)], "the run's own"
    assert {name for (name,) in servers.fetch(target, SCHEMAS)} == {*made, "pgmigrate"}
    assert servers.rows(target, "public", "t") == [("1",), ("2",)]
    quoted = '"Own ledger"' if " " in schema else schema
    assert [f.object for f in report.findings if f.check == "ledger_left_out"] == [quoted]


@pytest.mark.case("L1")
def test_tables_that_only_have_a_ledger_s_names_are_moved(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE SCHEMA mine; CREATE TABLE mine.migration_run (id int PRIMARY KEY);"
        "CREATE TABLE mine.migration_task (id int); INSERT INTO mine.migration_run VALUES (7)",
    )
    Migration(source=source, target=target, roles="none").run().raise_for_failures()
    assert servers.rows(target, "mine", "migration_run") == [("7",)]
    servers.assert_equal(source, target)
