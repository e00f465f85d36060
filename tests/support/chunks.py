"""What tests of tables in chunks share."""

from __future__ import annotations

from typing import Any

from pgmigrate import Migration, Plan
from support import servers


def migration_of(source: str, target: str, **options: Any) -> Migration:
    return Migration(source=source, target=target, roles="none", **options)


def chunked(size: int, **options: Any) -> dict[str, object]:
    return {"include": [{"name": "t", "chunk_column": "id", "chunk_size": size, **options}]}


def queries(plan: Plan, table: str = "t") -> list[str]:
    return [task.source_sql for task in plan if task.kind == "data" and task.name == table]


def assert_equal(source: str, target: str, count: int, table: str = "t") -> None:
    expected = servers.rows(source, "public", table)
    assert len(expected) == count
    assert servers.rows(target, "public", table) == expected


def run(migration: Migration, plan: Plan) -> list[int]:
    """The rows that each chunk brought."""
    report = migration.run(plan, jobs=3)
    report.raise_for_failures()
    return [task.rows for task in report.tasks if task.kind == "data"]
