"""The sizes of a plan's tables, summed up over their chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgmigrate._values.record import Records

if TYPE_CHECKING:
    from pgmigrate._results.plan import Plan


@dataclass
class TableSize:
    """The part of a table that a plan moves.

    Attributes:
        table: its name.
        schema: its schema.
        rows: rows by the source's statistics.
        bytes: bytes by the source's statistics.
        tasks: the number of tasks that copy it.
    """

    table: str
    schema: str
    rows: int = 0
    bytes: int = 0
    tasks: int = 0


def table_sizes(plan: Plan) -> list[TableSize]:
    """The tables whose rows a plan moves, the largest first."""
    found: dict[str, TableSize] = {}
    for task in _mappings(plan):
        if task["kind"] == "data":
            of = found.setdefault(task["object"], TableSize(task["object"], task["schema"]))
            of.rows += task["rows"]
            of.bytes += task["bytes"]
            of.tasks += 1
    return sorted(found.values(), key=lambda size: (-size.bytes, size.table))


def _mappings(plan: Plan) -> Iterator[Mapping[str, Any]]:
    """The tasks as mappings of the core: no `Task` is built for each task of a large plan."""
    tasks = plan.tasks
    if isinstance(tasks, Records):
        yield from map(tasks.rows.__getitem__, range(len(tasks)))
    else:
        yield from (task.to_dict() for task in tasks)
