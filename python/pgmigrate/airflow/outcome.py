"""The outcome of a run: warnings in the task's log, and the summary for XCom."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from pgmigrate._values.humanize import plural, printable

if TYPE_CHECKING:
    from pgmigrate import Finding, Report
    from pgmigrate._results.report import TaskResult
    from pgmigrate.airflow.task_log import TaskLog

_NAMED_AT_MOST: Final = 10
_LEFT_ALONE: Final = ("skipped", "kept")
_COPY_AGAIN: Final = (
    "to copy all rows of a table again, set on_existing to truncate for it; to see what differs, "
    "add a PgMigrateVerify task"
)
# After a cleanup, rows of a table without a key would be added to the rows that are there.
_MOVE_MORE: Final = (
    "to see whether there are any, add a PgMigrateVerify task; to move them, "
    "set on_existing to truncate for tables without a key, run `pgmigrate cleanup`, and start a "
    "new DAG run, which makes a new plan"
)


def finished(
    report: Report,
    show: TaskLog,
    *,
    done_run: int | None = None,
    known: Collection[Finding] = (),
) -> dict[str, Any]:
    """The summary of a run that did everything that was requested.

    Args:
        report: the run's report, which is logged, with a warning for what was not moved.
        show: the object that has shown the run's events.
        done_run: the run that the ledger had when the plan was made, as in `PlanReference`.
        known: findings that an earlier task has logged.

    Raises:
        CopyError: rows were not copied; the message names their tables.
        SchemaError: another object was not moved; the message names it.
        InterruptedRunError: the run was stopped.
        VerifyError: source and target differ, if they were compared.
    """
    show.log.info(report.text())
    show.warn([finding for finding in report.findings if finding not in known])
    for line in left_alone(report.tasks):
        show.log.warning("%s", printable(line))
    report.raise_for_failures()
    if report.verification is not None:
        report.verification.raise_for_differences()
    done_by = report.run if show.had_nothing_to_do and _any_done(report.tasks) else None
    if done_by is not None:
        _say_done(report, show, is_older=done_run is not None and done_by <= done_run)
    return {**_summary(report), "already_done_by": done_by}


def _summary(report: Report) -> dict[str, Any]:
    """Numbers and words, no row: the tasks in the ledger, including those of earlier tries."""
    return {
        "run": report.run,
        "status": report.status,
        "consistent": report.consistent,
        "tasks": len(report.tasks),
        "rows": sum(phase.rows for phase in report.phases),
        "bytes": sum(phase.bytes for phase in report.phases),
        "seconds": round(report.seconds, 3),
    }


def _any_done(tasks: Iterable[TaskResult]) -> bool:
    """Whether a task is done, and not only kept or skipped."""
    return any(task.status == "done" for task in tasks)


def _say_done(report: Report, show: TaskLog, *, is_older: bool) -> None:
    before = ", before the plan of this DAG run was made" if is_older else ""
    tasks = plural(len(report.tasks), "task")
    show.log.info(f"already done by run {report.run}{before}: nothing was left to do of {tasks}")
    tables = [task.object for task in report.tasks if (task.kind, task.status) == ("data", "done")]
    if tables:
        line = (
            f"no rows were moved by this task: run {report.run} had copied {_named(tables)}; rows "
            "that were changed or added on the source since that run read it are not moved; "
        )
        show.log.warning("%s", printable(f"{line}{_MOVE_MORE}"))


def left_alone(tasks: Sequence[TaskResult]) -> list[str]:
    """A line for each reason why tasks left objects of the target unchanged.

    Args:
        tasks: tasks of a report.
    """
    groups: dict[tuple[str, str, bool], list[str]] = {}
    for task in tasks:
        if task.status in _LEFT_ALONE:
            is_data = task.kind == "data"
            groups.setdefault((task.status, task.note, is_data), []).append(task.object)
    return [_group_line(*group, objects) for group, objects in groups.items()]


def _group_line(status: str, note: str, is_data: bool, objects: Sequence[str]) -> str:
    reason = f": {note}" if note else ""
    remedy = f"; {_COPY_AGAIN}" if is_data else ""
    what = "not moved, rows of" if is_data else f"{status}, not made:"
    return f"{what} {_named(objects)}{reason}{remedy}"


def _named(objects: Sequence[str]) -> str:
    """The objects, each named once: a table of many chunks has many tasks."""
    names = list(dict.fromkeys(objects))
    more = len(names) - _NAMED_AT_MOST
    shown = ", ".join(names[:_NAMED_AT_MOST])
    return f"{shown} and {more:,} more" if more > 0 else shown
