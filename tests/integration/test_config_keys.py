"""Every key of a configuration has a test; which databases it names, and what is a mistake."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, cast

import pytest
from psycopg.conninfo import conninfo_to_dict

from conftest import Pair
from pgmigrate import ConfigError, ConnectError, Connection, Migration, StateError, _native
from support import servers
from support.config_keys import SCRIPT, app_t, ids, migration, shown, shows, tables


@pytest.mark.parametrize("key", [entry["key"] for entry in _native.config_keys()])
def test_every_key_has_a_test(key: str) -> None:
    assert key in shown(), f"no test shows what {key} does"


def test_no_test_is_about_a_key_that_is_gone() -> None:
    assert shown() <= {entry["key"] for entry in _native.config_keys()}


@shows(
    "source",
    "source.host",
    "source.port",
    "source.database",
    "source.username",
    "source.password",
    "target",
)
def test_databases_are_named_by_their_parts(databases: tuple[str, str]) -> None:
    def parts(conninfo: str) -> Connection:
        given: dict[str, Any] = conninfo_to_dict(conninfo)
        port = int(str(given["port"]))
        return {
            "host": given["host"],
            "port": port,
            "database": given["dbname"],
            "username": given["user"],
            "password": given["password"],
        }

    source, target = map(parts, databases)
    Migration(source=source, target=target, roles="none").run().raise_for_failures()
    assert ids(databases[1]) == list(range(1, 41))
    for key, wrong in [("database", "none_such"), ("username", "none_such"), ("password", "x")]:
        with pytest.raises(ConnectError) as caught:
            Migration(source=cast("Connection", {**source, key: wrong}), target=target).plan()
        assert caught.value.side == "source"


@shows("source.conninfo")
def test_a_conninfo_as_keywords_and_as_a_uri(databases: tuple[str, str]) -> None:
    given = conninfo_to_dict(databases[0])
    uri = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**given)
    sources: list[str | Connection] = [databases[0], {"conninfo": databases[0]}, {"conninfo": uri}]
    plans = [
        Migration(source=source, target=databases[1], roles="none").plan() for source in sources
    ]
    assert plans[0] == plans[1] == plans[2]


@shows("source.<keyword>")
def test_a_connection_takes_any_keyword_of_libpq(databases: tuple[str, str]) -> None:
    given: Any = {key: str(value) for key, value in conninfo_to_dict(databases[0]).items()}
    Migration(source=given | {"sslmode": "disable"}, target=databases[1]).plan()
    # The test's servers have no TLS.
    with pytest.raises(ConnectError):
        Migration(source=given | {"sslmode": "require"}, target=databases[1]).plan()


@shows("name", "migrations")
def test_several_migrations_keep_their_names(pair: Pair, tmp_path: Path) -> None:
    source = pair.source()
    servers.run_script(source, SCRIPT)
    targets = {"first": pair.target("_1"), "second": pair.target("_2")}
    entries = [
        {"name": name, "source": source, "target": target} for name, target in targets.items()
    ]
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"migrations": entries, "roles": "none", "tables": ["app.t"]}))
    migrations = Migration.load_all(path)
    assert [one.name for one in migrations] == ["first", "second"]
    for one in migrations:
        one.run().raise_for_failures()
    assert {tuple(tables(target)) for target in targets.values()} == {("app.t",)}


def test_every_mistake_is_reported_at_once_before_any_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        wrong: dict[str, Any] = {
            "source": f"host=127.0.0.1 port={port} password=hunter2 user=${{NO_SUCH_NAME}}",
            "target": {"host": "127.0.0.1", "port": port, "password": 123},
            "schemas": {"mode": "some", "includes": ["a"]},
            "tables": {
                "mode": "include",
                "include": [
                    {"name": "a"},
                    {"name": "b", "chunk_size": "many"},
                    {"schema": "c"},
                    {"name": "a"},
                ],
                "exclude": ["a"],
            },
            "parallel": {"max_jobs": 0},
            "options": {"backup": "yes", "format": "csv", "split_larger_than": "big"},
            "retries": -1,
        }
        with pytest.raises(ConfigError) as caught:
            Migration(**wrong)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    problems = caught.value.problems
    for expected in [
        "source: the environment variable NO_SUCH_NAME is not set",
        "target.password: expected a string (in quotes), got a number",
        'schemas.mode: expected one of all, include, exclude, got "some"',
        'schemas.includes: unknown key; did you mean "include"?',
        'tables.include[1].chunk_size: expected a positive integer, got "many"',
        "tables.include[2].name: missing; a table needs its name",
        "tables.include[3]: public.a is listed twice",
        "tables: public.a is both included and excluded",
        "parallel.max_jobs: expected a positive integer, got 0",
        'options.backup: expected true or false, got "yes"',
        'options.format: expected one of auto, text, binary, got "csv"',
        "options.retries: expected an integer of 0 or more, got -1",
    ]:
        assert expected in problems
    assert any(problem.startswith("options.split_larger_than: ") for problem in problems)
    assert all(problem in str(caught.value) for problem in problems)
    assert "hunter2" not in str(caught.value)


@pytest.mark.case("D7")
def test_names_that_match_nothing_are_mistakes_reported_at_once(databases: tuple[str, str]) -> None:
    include = [
        {"schema": "app", "name": "gone"},
        app_t(chunk_column="v"),
        {"schema": "app", "name": "child", "chunk_column": "none"},
        {"schema": "other", "name": "o", "on_conflict": "update"},
    ]
    with pytest.raises(ConfigError) as caught:
        migration(
            databases,
            schemas={"mode": "exclude", "exclude": ["nowhere"]},
            tables={"include": include, "exclude": ["app.never"]},
        ).plan()
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "schemas.exclude[0]",
        "tables.include[0]",
        "tables.include[1].chunk_column",
        "tables.include[2].chunk_column",
        "tables.include[3].on_conflict",
        "tables.exclude[0]",
    ]
    assert tables(databases[1]) == []


@pytest.mark.case("D7")
def test_a_schema_to_include_that_is_not_there(databases: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=r'schemas\.include\[1\]: .* no schema "nowhere"'):
        migration(databases, schemas=["app", "nowhere"]).plan()


def test_a_default_chunk_column_that_no_table_has(databases: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"tables\.default\.chunk_column"):
        migration(databases, tables={"default": {"chunk_column": "none_such"}}).plan()


def test_another_configuration_is_refused_on_resume(databases: tuple[str, str]) -> None:
    plan = migration(databases).plan()
    migration(databases).run(plan)
    with pytest.raises(StateError, match=r"options\.format: auto .*, text"):
        migration(databases, format="text").run(plan, resume=True)
