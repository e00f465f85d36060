"""What of the Airflow provider needs no Airflow: references to plans, parts, lines of a log."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, cast

import pytest

from pgmigrate import ConfigError, DriftError, Plan, TaskResult
from pgmigrate._values.sets import TaskStatus
from pgmigrate.airflow import reference
from pgmigrate.airflow.outcome import left_alone
from pgmigrate.airflow.task_log import TaskLog
from support.plan_text import plan_text


def made_plan(tables: int) -> Plan:
    """A plan of tables of 10 MB and 1,000 rows each."""
    tasks: list[dict[str, Any]] = []
    for number in range(tables):
        table = {"schema": "public", "name": f"t{number}", "rows": 1000, "bytes": 10**7}
        tasks.append({"id": f"t{number:05}", "phase": "data", "kind": "data", **table})
    return Plan.parse(plan_text(tasks))


def refer(plan: Plan, path: Path | None = None) -> dict[str, Any]:
    text = None if path is None else str(path)
    return reference.refer(plan, path=text, snapshot="held", done_run=7)


def test_a_small_plan_travels_in_its_reference() -> None:
    plan = made_plan(300)
    made = refer(plan)
    assert made["tasks"] == 300 and made["rows"] == 300_000 and made["bytes"] == 3 * 10**9
    assert (made["snapshot"], made["done_run"]) == ("held", 7)
    through_xcom = json.loads(json.dumps(made))
    assert reference.plan_of(reference.checked(through_xcom)) == plan
    assert len(json.dumps(made)) < 10_000


def test_a_large_plan_needs_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(reference, "PACKED_AT_MOST", 1000)
    plan = made_plan(300)
    with pytest.raises(ConfigError, match="plan_path"):
        refer(plan)
    made = refer(plan, tmp_path / "plan.tsv")
    assert "packed" not in made and len(json.dumps(made)) < 1000
    assert reference.plan_of(made) == plan


def test_another_plan_at_the_path_is_refused(tmp_path: Path) -> None:
    made = refer(made_plan(3), tmp_path / "plan.tsv")
    made_plan(4).save(tmp_path / "plan.tsv")
    with pytest.raises(DriftError, match="another plan"):
        reference.plan_of(made)


@pytest.mark.parametrize("given", [None, "plan.tsv", {"path": "plan.tsv"}])
def test_what_is_no_reference_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match="PgMigratePlan"):
        reference.checked(given)


def test_the_parts_are_the_plan_s_rows_each_once() -> None:
    plan = made_plan(10)
    parts = [reference.part_ids(plan, f"{number}/3") for number in (1, 2, 3)]
    assert (
        sorted(task for part in parts for task in part) == plan.ids("data")
        and min(map(len, parts)) >= 3
    )
    for wrong in ("0/3", "4/3", "1/11", "1/0", "third", "1", "-1/3"):
        with pytest.raises(ConfigError, match=wrong):
            reference.part_ids(plan, wrong)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_hold_is_reported_at_its_begin_now_and_then_and_at_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    show = TaskLog(cast(Any, logging.getLogger("task")), 30.0, clock=clock)
    for second in range(41):
        clock.now = float(second)
        counts = {"settled": second, "running": min(1, 40 - second), "failed": 0}
        show({"event": "hold_progress", **counts, "pending": max(0, 39 - second)})
    assert caplog.messages == [
        "snapshot held: 0 of 40 data tasks settled, 1 at work, 0 failed",
        "snapshot held: 30 of 40 data tasks settled, 1 at work, 0 failed",
        "snapshot held: 40 of 40 data tasks settled, 0 at work, 0 failed",
    ]


def test_a_task_log_has_a_line_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    plan = made_plan(4)
    # Airflow's loggers take what those of the standard library take.
    log = cast(Any, logging.getLogger("task"))
    show = TaskLog(log, 30.0, chosen=plan[:2], clock=clock)

    def report(event: str, task: str = "", **more: Any) -> None:
        given = {"task": task, "phase": "data", "kind": "data", "object": f"public.{task}"}
        show({"event": event, **given, **more})

    show({"event": "run_started", "run": 3, "tasks": 4, "done": 0, "jobs": 2, "phases": []})
    report("task_started", "t00000")
    for second in range(100):
        clock.now = float(second)
        if second % 10:
            report("task_progress", "t00000", rows=second * 10, bytes=second * 2**20)
            continue
        left = {"phase": "data", "seconds": 200.0 - second, "share": second / 200}
        show({"event": "time_left", "seconds": None, "share": 0.0, "phases": [left]})
    done = {"status": "done", "rows": 1000, "bytes": 100 * 2**20, "note": ""}
    report("task_finished", "t00000", **done)
    report("task_retried", "t00001", reason="connection lost", attempt=1)
    report("task_started", "t00001")
    report("task_finished", "t00001", **{**done, "rows": 0, "status": "failed", "note": "full"})
    show({"event": "found", "severity": "warning", "message": "something"})
    show({"event": "found", "severity": "info", "message": "nothing"})
    assert caplog.messages == [
        "run 3: 2 tasks, 2 at once",
        "data: 15%, 0/2 tasks, 290 rows, 29.0 MB, 989.9 kB/s, 2 min 50 s left",
        "data: 30%, 0/2 tasks, 590 rows, 59.0 MB, 1006.9 kB/s, 2 min 20 s left",
        "data: 45%, 0/2 tasks, 890 rows, 89.0 MB, 1012.6 kB/s, 1 min 50 s left",
        "t00001 is tried again: connection lost",
        "data public.t00001 failed: full",
        "data: 2/2 tasks, 1 failed, 1,000 rows, 200.0 MB, 2.0 MB/s",
        "something",
    ]


def test_a_part_whose_tasks_are_done_is_not_shown_as_work(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    plan = made_plan(4)
    log = cast(Any, logging.getLogger("task"))
    done, left = (TaskLog(log, 30.0, chosen=plan[:3], clock=Clock()) for _ in range(2))
    begun = {"event": "run_started", "run": 3, "done": 9, "jobs": 2}
    done({**begun, "tasks": 0, "phases": []})
    open_ = {"phase": "data", "tasks": 1, "rows": 1000, "bytes": 10**7}
    left({**begun, "tasks": 1, "phases": [open_]})
    assert done.had_nothing_to_do and not left.had_nothing_to_do
    assert caplog.messages == [
        "run 3: 0 tasks, 3 done before, 2 at once",
        "run 3: 1 task, 2 done before, 2 at once",
    ]


def test_a_finding_is_a_warning_once_with_object_and_remedy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    show = TaskLog(cast(Any, logging.getLogger("task")), 30.0, clock=Clock())
    found = {"check": "rows_not_moved", "object": "public.a", "message": "m", "remedy": "r"}
    show({"event": "found", "severity": "warning", **found})
    show({"event": "found", "severity": "warning", **found})
    show({"event": "found", "severity": "blocking", **found, "object": "public.b\x1b"})
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "public.a: m; r"),
        ("ERROR", "public.b\\x1b: m; r"),
    ]


def test_what_is_left_alone_is_named_by_its_reason_and_not_without_end() -> None:
    def result(kind: str, name: str, status: TaskStatus, note: str) -> TaskResult:
        return TaskResult(name, "data", kind, name, status, 0, 0, None, 0.0, None, 0, "", note, "")

    chunks = [result("data", "public.log", "skipped", "it is so")] * 3
    kept = [result("table", f"public.t{number}", "kept", "equal") for number in range(13)]
    done = result("data", "public.done", "done", "")
    rows, objects = left_alone([*chunks, *kept, done])
    assert rows.startswith("not moved, rows of public.log: it is so; to copy all rows ")
    shown = ", ".join(f"public.t{number}" for number in range(10))
    assert objects == f"kept, not made: {shown} and 3 more: equal"
