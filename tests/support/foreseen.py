"""What preflight foresees and what a run without it fails on, compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgmigrate import Migration, Options, Report, TaskResult

if TYPE_CHECKING:
    from typing_extensions import Unpack


def foreseen(source: str, target: str, options: Options) -> dict[str, set[str]]:
    """The objects of preflight's warnings by the names of their checks; nothing may be blocking."""
    findings = Migration(source=source, target=target, options=options).preflight().findings
    assert [finding.object for finding in findings if finding.severity == "blocking"] == []
    found: dict[str, set[str]] = {}
    for finding in findings:
        if finding.severity == "warning":
            found.setdefault(finding.check, set()).update(finding.objects)
    return found


def _label(task: TaskResult) -> str:
    """A task as findings name it; a batch of large objects says itself what it is."""
    is_named = task.object.startswith("large object")
    return task.object if is_named else f"{task.kind} {task.object}"


def labels(report: Report, *states: str) -> set[str]:
    """The tasks in these states, as findings name them."""
    return {_label(task) for task in report.tasks if task.status in states}


def assert_foreseen(
    source: str, target: str, **options: Unpack[Options]
) -> tuple[dict[str, set[str]], Report]:
    """Every task that fails was named; each named one fails, or is blocked by one that does."""
    found = foreseen(source, target, options)
    report = Migration(source=source, target=target, options=options).run(jobs=2)
    named = {label for objects in found.values() for label in objects}
    failed, blocked = labels(report, "failed"), labels(report, "blocked")
    refused = {
        _label(task)
        for task in report.tasks
        if "refused by the target" in task.note or "its grantor or its options" in task.note
    }
    assert {label for label in failed if not label.startswith("privilege check")} - named == set()
    assert refused - named == set()
    assert named - failed - blocked - refused == set()
    return found, report
