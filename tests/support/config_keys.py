"""Tests of the keys of a configuration: which of them show which key, and what they migrate.

A test says by `shows` which keys it shows the effect of, whatever file it is in; fixture ``ends``
gives it a filled source and an empty target.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pgmigrate import Migration, Plan, Report, Task
from support import servers

TESTS = Path(__file__).parents[1]

# Few enough rows that autovacuum never analyzes a table.
SCRIPT = """
CREATE SCHEMA app;
CREATE SCHEMA other;
CREATE TABLE app.t (id int PRIMARY KEY, n int, v text, CONSTRAINT t_positive CHECK (id > 0));
INSERT INTO app.t SELECT i, nullif(i % 8, 0), 'v' || i FROM generate_series(1, 40) AS i;
CREATE INDEX t_n ON app.t (n);
CREATE TABLE app.child (
    id int PRIMARY KEY, t int CONSTRAINT child_t REFERENCES app.t, u int UNIQUE
);
INSERT INTO app.child SELECT i, i, i FROM generate_series(1, 10) AS i;
CREATE TABLE other.o (a int);
INSERT INTO other.o VALUES (1);
CREATE TABLE plain (a int);
INSERT INTO plain VALUES (7);
"""

Test = TypeVar("Test", bound=Callable[..., object])


def shows(*_keys: str) -> Callable[[Test], Test]:
    """Says which keys a test shows the effect of, as literals: `shown` reads them from the file."""
    return lambda test: test


def shown() -> set[str]:
    """The keys that some test of the integration tests shows the effect of."""
    return {
        ast.literal_eval(key)
        for path in (TESTS / "integration").rglob("test_*.py")
        for test in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef)
        for mark in test.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "shows"
        for key in mark.args
    }


def migration(databases: tuple[str, str], **keys: Any) -> Migration:
    return Migration(source=databases[0], target=databases[1], **{"roles": "none", **keys})


def run(databases: tuple[str, str], **keys: Any) -> Report:
    report = migration(databases, **keys).run()
    report.raise_for_failures()
    return report


def values(conninfo: str, query: str) -> list[Any]:
    """The first column of a query's rows."""
    return [row[0] for row in servers.fetch(conninfo, query)]


def tables(conninfo: str) -> list[str]:
    return [".".join(names) for names in servers.tables(conninfo, ["pgmigrate"])]


def data(plan: Plan, name: str) -> list[Task]:
    return [task for task in plan if task.kind == "data" and task.name == name]


def ids(conninfo: str) -> list[int]:
    return values(conninfo, "SELECT id FROM app.t ORDER BY id")


def app_t(**options: Any) -> dict[str, Any]:
    return {"schema": "app", "name": "t", **options}
