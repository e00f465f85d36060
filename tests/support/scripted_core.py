"""A scripted stand-in for `pgmigrate._native.start`, and values as the core would give them.

For tests of the face by itself. It never stands in for a server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pgmigrate import Plan

SOURCE = "host=old.example dbname=shop user=reader password=hush1"
TARGET = "postgresql://writer:hush2@new.example/shop"


def task_result(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"d{number}",
        "phase": "data",
        "kind": "data",
        "object": f"public.t{number}",
        "status": "done",
        "rows": 10,
        "bytes": 1000,
        "begun": 1.0,
        "seconds": 0.5,
        "worker": 0,
        "attempts": 1,
        "snapshot": "00000003-1",
        "note": "",
        "sqlstate": "",
        **changes,
    }


def report(*tasks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "run": 1,
        "status": "done",
        "run_state": "done",
        "consistent": True,
        "source": "old.example:5432/shop",
        "target": "new.example:5432/shop",
        "started": "2026-11-20T06:00:00Z",
        "seconds": 75.0,
        "snapshots": ["00000003-1"],
        "phases": [
            {
                "phase": "data",
                "tasks": len(tasks),
                "done": len(tasks),
                "kept": 0,
                "failed": 0,
                "blocked": 0,
                "rows": 1234567,
                "bytes": 1024 * 1024 * 3,
                "seconds": 70.0,
            }
        ],
        "tasks": list(tasks),
        "absent": [],
        "findings": [],
        "verification": None,
        "backup": None,
        **changes,
    }


def verification(**changes: Any) -> dict[str, Any]:
    names = ["tables", "materialized_views", "differences", "by_version", "only_on_target"]
    parts: dict[str, Any] = {name: [] for name in [*names, "not_moved", "unchecked", "compared"]}
    verdict = "equal" if changes.get("equal", True) else "different"
    return {"verdict": verdict, "equal": True, **parts, **changes}


def table_result(status: str, **changes: Any) -> dict[str, Any]:
    """A table of a verification."""
    counts = {"source_rows": 5, "target_rows": 5, "more_rows": 0, "held_rows": False}
    return {
        "object": "public.t",
        "status": status,
        **counts,
        "seconds": 0.5,
        "note": "",
        **changes,
    }


class Job:
    """A job that delivers what it was given, and after `stop` one more batch."""

    def __init__(self, batches: list[Any], result: Any) -> None:
        self.batches = list(batches)
        self.outcome = result
        self.stopped = 0
        self.while_stopping: list[Any] = []

    def next(self) -> list[dict[str, Any]] | None:
        if not self.batches:
            return None
        batch = self.batches.pop(0)
        if isinstance(batch, BaseException):
            raise batch
        assert isinstance(batch, list)
        return batch

    async def next_async(self) -> list[dict[str, Any]] | None:
        await asyncio.sleep(0)
        if self.batches == ["forever"]:
            await asyncio.Event().wait()
        return self.next()

    def stop(self) -> None:
        self.stopped += 1
        last = {"event": "log", "level": "INFO", "message": "rolled back"}
        self.batches = [*self.while_stopping, [last]]

    def result(self) -> Any:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class Core:
    """Stands in for `_native.start`: notes the calls and hands out scripted jobs."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = []
        self.jobs: list[Job] = []

    def will(self, result: Any, batches: list[Any] | None = None) -> Job:
        job = Job(batches or [], result)
        self.jobs.append(job)
        return job

    def will_restore(self, result: dict[str, Any]) -> None:
        """A restore by hand: the lock of the procedure, and its journal before and after."""
        kept = {"target": "t", "journal": None}
        self.will({}, [[{"event": "procedure_locked"}]])
        self.will(kept)
        self.will(result)
        self.will(kept)

    def start(self, verb: str, options: Mapping[str, Any], settings: Mapping[str, Any]) -> Job:
        self.calls.append((verb, options, settings))
        return self.jobs[len(self.calls) - 1]


def some_plan() -> Plan:
    task = {
        "id": "d1",
        "phase": "data",
        "kind": "data",
        "object": "public.t1",
        "schema": "public",
        "name": "t1",
        "requires": ["t1"],
        "after": [],
        "rows": 1500,
        "bytes": 2048,
        "format": "binary",
        "on_existing": "append",
        "source_sql": "COPY public.t1 TO STDOUT",
        "target_sql": "COPY public.t1 FROM STDIN",
        "optional_sql": "",
        "merge_sql": "",
        "note": "",
    }
    return Plan.from_mapping(
        {
            "header": {"version": 1},
            "tasks": [{**task, "id": "t1", "phase": "pre-data", "rows": 0, "bytes": 0}, task],
            "absent": [{"kind": "INDEX", "object": "public.i", "reason": "invalid on the source"}],
            "findings": [],
            "text": "the text\n",
        }
    )
