"""S2: settings of servers, databases, roles and users change nothing of what is moved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conftest import Pair, Servers
from pgmigrate import Migration, TableRule, Tables
from pgmigrate.errors import ConnectError
from support import servers

TABLE = Path(__file__).parents[2] / "src" / "pg" / "settings.tsv"

# Pinned settings with values that change what statements or rows mean, or stop a migration.
HOSTILE = {
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "America/St_Johns",
    "array_nulls": "off",
    "backslash_quote": "off",
    "bytea_output": "escape",
    "check_function_bodies": "on",
    "client_encoding": "LATIN1",
    "client_min_messages": "error",
    "createrole_self_grant": "set, inherit",
    "debug_parallel_query": "regress",
    "default_table_access_method": "hostile_am",
    "default_tablespace": "hostile_space",
    "default_transaction_deferrable": "on",
    "default_transaction_isolation": "serializable",
    "escape_string_warning": "on",
    "event_triggers": "on",
    "exit_on_error": "on",
    "extra_float_digits": "-15",
    "force_parallel_mode": "regress",
    "gin_fuzzy_search_limit": "1",
    "icu_validation_level": "error",
    "idle_in_transaction_session_timeout": "1ms",
    "idle_session_timeout": "3s",
    "ignore_checksum_failure": "on",
    "lc_monetary": "C.utf8",
    "lock_timeout": "1ms",
    "quote_all_identifiers": "on",
    "restrict_nonsystem_relation_kind": "view, foreign-table",
    "row_security": "on",
    "search_path": "hostile, public",
    "session_replication_role": "replica",
    "standard_conforming_strings": "off",
    "statement_timeout": "1ms",
    "synchronize_seqscans": "on",
    "synchronous_commit": "on",
    "tcp_keepalives_count": "9",
    "tcp_keepalives_idle": "7200",
    "tcp_keepalives_interval": "75",
    "tcp_user_timeout": "3600000",
    "timezone_abbreviations": "India",
    "transaction_timeout": "3s",
    "transform_null_equals": "on",
    "xmlbinary": "hex",
    "xmloption": "document",
    "zero_damaged_pages": "on",
    # Not pinned; makes the planner use the GIN index.
    "enable_seqscan": "off",
}
# A target where this is on is refused by preflight.
READ_ONLY = "default_transaction_read_only"

SESSION = (
    "CREATE MATERIALIZED VIEW s.session AS SELECT name, current_setting(name) AS setting"
    " FROM pg_catalog.pg_settings WHERE context <> 'internal'"
)
# Set for each task; and REFRESH has a search path of its own.
OF_TASKS = ("lock_timeout", "search_path")


def _table() -> list[dict[str, str]]:
    names, *lines = [line.split("\t") for line in TABLE.read_text().splitlines()]
    return [dict(zip(names, line, strict=True)) for line in lines]


def _has(versions: str, major: int) -> bool:
    for part in versions.split(", "):
        first, dash, last = part.partition("-")
        lowest = int(first.split(".")[0])
        highest = (int(last) if last else 99) if dash else lowest
        if lowest <= major <= highest:
            return True
    return False


@pytest.mark.case("S2")
def test_the_table_has_every_setting_of_every_server(all_servers: Servers) -> None:
    table = {row["name"]: row for row in _table()}
    assert all(row["reason"] for row in table.values())
    for major in servers.available_majors():
        found = {
            name
            for (name,) in servers.fetch(
                all_servers.of(major).conninfo,
                "SELECT name FROM pg_catalog.pg_settings WHERE name NOT LIKE '%.%'",
            )
        }
        missing = sorted(found - set(table))
        assert not missing, f"settings of {major} without a decision: {missing}"
        wrong = sorted(name for name in found if not _has(table[name]["versions"], major))
        assert not wrong, f"settings of {major} that the table gives to other versions: {wrong}"


@pytest.mark.case("S2")
def test_every_pinned_setting_has_a_hostile_value_in_these_tests() -> None:
    columns = ("source", "target", "pg_dump", "psql")
    pinned = {row["name"] for row in _table() if any(row[column] != "-" for column in columns)}
    assert pinned - set(HOSTILE) == {READ_ONLY}


def _admin(conninfo: str) -> psycopg.Connection[Any]:
    return psycopg.connect(make_conninfo(conninfo, dbname="postgres"), autocommit=True)


def _literal(name: str, value: str) -> sql.Composable:
    # A list is written without quotes, or it would be one name.
    return sql.SQL(value) if name == "search_path" else sql.Literal(value)


def _set_hostile(conninfo: str, extra: dict[str, str]) -> set[str]:
    """Half of the settings by the database, half by the role in it, which is stronger."""
    database = sql.Identifier(str(conninfo_to_dict(conninfo)["dbname"]))
    taken = set()
    with _admin(conninfo) as connection:
        for at, (name, value) in enumerate({**HOSTILE, **extra}.items()):
            owner = sql.SQL("DATABASE {}").format(database)
            if at % 2:
                owner = sql.SQL("ROLE postgres IN DATABASE {}").format(database)
            statement = sql.SQL("ALTER {} SET {} TO {}").format(
                owner, sql.Identifier(name), _literal(name, value)
            )
            try:
                connection.execute(statement)
                taken.add(name)
            except (psycopg.errors.UndefinedObject, psycopg.errors.InvalidParameterValue):
                assert connection.info.server_version // 10000 not in (16, 18) or name in (
                    "event_triggers",
                    "force_parallel_mode",
                    "transaction_timeout",
                ), name
    return taken


def _reset(conninfo: str) -> None:
    database = sql.Identifier(str(conninfo_to_dict(conninfo)["dbname"]))
    with _admin(conninfo) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(database))
        connection.execute(sql.SQL("ALTER ROLE postgres IN DATABASE {} RESET ALL").format(database))


@contextmanager
def _hostile_objects(conninfo: str, drop_from: tuple[str, str]) -> Iterator[None]:
    """What hostile values name: a tablespace, an access method, a schema whose operators fail."""
    servers.run_script(
        conninfo,
        "SET allow_in_place_tablespaces = on;"
        "CREATE TABLESPACE hostile_space LOCATION '';"
        "CREATE ACCESS METHOD hostile_am TYPE TABLE HANDLER heap_tableam_handler;"
        "CREATE SCHEMA hostile;"
        "CREATE FUNCTION hostile.fails(text, text) RETURNS bool LANGUAGE plpgsql"
        " AS $$BEGIN RAISE 'hostile operator'; END$$;"
        "CREATE OPERATOR hostile.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.fails)",
    )
    try:
        yield
    finally:
        for database in drop_from:
            _reset(database)
            servers.run_script(
                database,
                "DROP SCHEMA IF EXISTS hostile CASCADE; DROP ACCESS METHOD IF EXISTS hostile_am;"
                "DROP TABLESPACE IF EXISTS hostile_space",
            )


@pytest.mark.case("S2")
@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("format", ["text", "binary"])
def test_hostile_settings_of_either_side_change_nothing(
    pair: Pair, side: str, format: Literal["text", "binary"]
) -> None:
    source, target = pair.source("literals"), pair.target()
    servers.run_script(source, SESSION)
    hostile = source if side == "source" else target
    with _hostile_objects(hostile, drop_from=(source, target)):
        _set_hostile(hostile, {READ_ONLY: "on"} if side == "source" else {})
        migration = Migration(source=source, target=target, roles="none", format=format)
        report = migration.run(verify=True)
        _reset(source)
        _reset(target)
        report.raise_for_failures()
        assert report.verification is not None
        report.verification.raise_for_differences()
    seen = {row[0]: row[1] for row in servers.rows(target, "s", "session", ["name", "setting"])}
    for row in _table():
        value = "" if row["target"] == "''" else row["target"]
        if row["name"] == "row_security":
            # A view is filled as its owner sees the rows, so REFRESH alone obeys row security.
            value = "on"
        if value != "-" and row["name"] in seen and row["name"] not in OF_TASKS:
            assert seen[row["name"]] in (value, f'"{value}"'), row["name"]
    for conninfo in (source, target):
        servers.run_script(conninfo, "DROP MATERIALIZED VIEW s.session")
    servers.assert_equal(source, target)


@pytest.mark.case("S2")
def test_a_condition_runs_under_the_pinned_settings(pair: Pair) -> None:
    source, target = pair.source("literals"), pair.target()
    pins = {
        row["name"]: "" if row["source"] == "''" else row["source"]
        for row in _table()
        if row["source"] != "-"
        and row["name"] not in OF_TASKS
        and _has(row["versions"], pair.majors[0])
    }
    assert len(pins) > 30
    checks = " AND ".join(f"current_setting('{name}') = '{value}'" for name, value in pins.items())
    with _hostile_objects(source, drop_from=(source, target)):
        _set_hostile(source, {READ_ONLY: "on"})
        include: list[TableRule] = [
            {"schema": "s", "name": "t", "where": checks},
            {"schema": "s", "name": "tagged", "where": "tags @> '{a}'"},
            {"schema": "s", "name": "parts_a1", "where": "k = NULL"},
        ]
        tables: Tables = {"mode": "include", "include": include}
        report = Migration(source=source, target=target, roles="none", tables=tables).run()
        _reset(source)
        _reset(target)
        report.raise_for_failures()
        assert len(servers.rows(target, "s", "t")) == 2
        assert len(servers.rows(target, "s", "tagged")) == 300
        assert servers.rows(target, "s", "parts_a1") == []


@pytest.mark.case("S2")
def test_options_of_the_user_lose_and_preflight_names_them(pair: Pair) -> None:
    source, target = pair.filled(
        r"CREATE TABLE t (id int, v text DEFAULT 'a\b'); INSERT INTO t VALUES (1)"
    )
    source = make_conninfo(
        source, options="-c standard_conforming_strings=off -c datestyle=German -c work_mem=5MB"
    )
    migration = Migration(source=source, target=target, roles="none")
    found = [f for f in migration.preflight().findings if f.check == "source_options"]
    assert len(found) == 1
    assert re.search("for standard_conforming_strings, DateStyle:", found[0].message)
    assert found[0].severity == "info"
    migration.run().raise_for_failures()
    assert servers.rows(target, "public", "t") == [("1", r"a\b")]


@pytest.mark.case("S2")
def test_a_setting_that_the_role_may_not_change_is_an_error_that_names_it(pair: Pair) -> None:
    source, target = pair.filled("CREATE TABLE t (id int)")
    name = f"{pair.name}_writer"
    database = conninfo_to_dict(target)["dbname"]
    with _admin(target) as connection:
        connection.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'pw'")
        connection.execute(f'ALTER DATABASE "{database}" OWNER TO "{name}"')
        connection.execute(f'ALTER ROLE "{name}" SET session_replication_role = replica')
    weak = make_conninfo(target, user=name, password="pw")
    migration = Migration(source=source, target=weak, roles="none", tables={"mode": "all"})
    try:
        with pytest.raises(ConnectError, match='"session_replication_role"') as caught:
            migration.run()
        assert "GRANT SET ON PARAMETER" in (caught.value.remedy or "")
        with _admin(target) as connection:
            connection.execute(f'GRANT SET ON PARAMETER session_replication_role TO "{name}"')
        Migration(source=source, target=weak, roles="none").run().raise_for_failures()
    finally:
        with _admin(target) as connection:
            connection.execute(f'REVOKE SET ON PARAMETER session_replication_role FROM "{name}"')
            connection.execute(f'ALTER DATABASE "{database}" OWNER TO postgres')
        servers.run_script(
            target,
            f'REASSIGN OWNED BY "{name}" TO postgres; DROP OWNED BY "{name}"; DROP ROLE "{name}"',
        )


@pytest.mark.case("S2")
def test_foreign_keys_of_the_target_are_checked_under_replica(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    parent = "CREATE TABLE parent (id int PRIMARY KEY)"
    tables = f"{parent}; CREATE TABLE child (id int PRIMARY KEY, parent int"
    servers.run_script(source, f"{tables}); INSERT INTO child VALUES (1, 7)")
    servers.run_script(target, f"{tables} REFERENCES parent)")
    with _admin(target) as connection:
        database = sql.Identifier(str(conninfo_to_dict(target)["dbname"]))
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET session_replication_role = replica").format(database)
        )
    report = Migration(source=source, target=target, data_only=True).run()
    _reset(target)
    assert "23503" in [task.sqlstate for task in report.failed]
    assert servers.rows(target, "public", "child") == []
