"""A report and the status of a run as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pgmigrate._display.html.figures import can_draw, pictures
from pgmigrate._display.html.lists import SHORT, absent_list, amounts, findings_list, left_out
from pgmigrate._display.html.verify_view import proof, verdict
from pgmigrate._display.markup import (
    Cell,
    Html,
    Number,
    bar,
    element,
    escaped,
    facts,
    heading,
    joined,
    mark,
    note,
    section,
    table,
)
from pgmigrate._results.report import PhaseResult, Report, TaskResult
from pgmigrate._results.status import Status
from pgmigrate._values.humanize import count, duration, plural, size, titled

if TYPE_CHECKING:
    from pgmigrate._display.charts.charts import Picture


def report_view(report: Report, limit: int = SHORT, *, with_keys: bool = True) -> Html:
    """A report: what failed first, then how the run went.

    Args:
        report: the report.
        limit: the largest number of rows of a list.
        with_keys: whether rows that differ are named by their keys.
    """
    # A record is built at each access: read them once.
    tasks = tuple(report.tasks)
    verified = report.verification
    proved = "" if verified is None else proof(verified, limit, with_keys=with_keys)
    return joined(
        [
            heading(*_outcome(report)),
            _run_facts(report, tasks),
            _failures(report, limit),
            proved,
            section("Phases", _phases(report.phases)),
            pictures(
                lambda: _timeline(tasks),
                lambda: _throughput(tasks),
                lambda: _slowest(tasks),
            ),
            _slowest_tasks(tasks),
            findings_list(report.findings, limit),
            absent_list(report.absent, limit),
        ]
    )


def _outcome(report: Report) -> tuple[str, str, str]:
    number = "Dry run" if report.run is None else f"Run {report.run}"
    word = {"done": "done", "dry_run": "plan only"}.get(report.status, report.status)
    lead = f"{escaped(report.source)} → {escaped(report.target)}"
    return number, mark(report.status, word), Html(lead)


def _run_facts(report: Report, results: Sequence[TaskResult]) -> Html:
    rows = sum(phase.rows for phase in report.phases)
    bytes_ = sum(phase.bytes for phase in report.phases)
    done = sum(phase.done + phase.kept for phase in report.phases)
    tasks = sum(phase.tasks for phase in report.phases)
    # Times of tasks count from the beginning of the run, that of the report from its last session.
    is_first = all((task.begun or 0.0) <= report.seconds for task in results)
    several = f"not consistent: rows come from {len(report.snapshots)} snapshots"
    snapshots = f"one, {report.snapshots[0]}" if len(report.snapshots) == 1 else several
    named = [
        ("began", report.started.replace("T", " ")),
        ("took" if is_first else "last session took", duration(report.seconds)),
        ("tasks done", f"{count(done)} of {count(tasks)}"),
        ("rows", count(rows)),
        ("bytes", size(bytes_)),
        ("snapshot", snapshots if report.snapshots else ""),
        ("verified", verdict(report.verification)),
        ("backup of the target", report.backup or ""),
    ]
    return facts((name, value) for name, value in named if value)


def _failures(report: Report, limit: int) -> Html:
    """The tasks that failed and those that they blocked."""
    failed = report.failed
    rows: list[list[Cell]] = [
        [mark(task.status), titled(task.kind, task.object), task.phase, task.id, reason(task)]
        for task in failed[:limit]
    ]
    return section(
        f"{plural(len(failed), 'task')} failed or blocked",
        table(["", "object", "phase", "task", "reason and remedy"], rows, is_words=True),
        note(left_out(failed, limit, "task")),
        of="pgm-alarm",
    )


def reason(task: TaskResult) -> Html:
    """Why a task failed; the core writes what to do about it after a semicolon."""
    reason, _, remedy = task.note.partition("; ")
    code = f" ({task.sqlstate})" if task.sqlstate and task.sqlstate not in task.note else ""
    return joined([f"{reason}{code}", element("span", remedy, "pgm-remedy") if remedy else ""])


def _phases(phases: Sequence[PhaseResult]) -> Html:
    if not phases:
        return Html()
    longest = max(phase.seconds for phase in phases)

    def line(phase: PhaseResult, name: str, share: float | None) -> list[Cell]:
        return [
            name,
            Number(f"{count(phase.done)} of {count(phase.tasks)}"),
            *(Number(count(number) if number else "") for number in _rare(phase)),
            *amounts(phase.rows, phase.bytes),
            Number(duration(phase.seconds), share),
        ]

    sums = {name: sum(getattr(phase, name) for phase in phases) for name in _SUMMED}
    total = replace(phases[0], **sums)
    head = ["phase", "tasks done", "kept", "failed", "blocked", "rows", "bytes", "work"]
    rows = [
        line(phase, _phase_name(phase), phase.seconds / longest if longest else 0.0)
        for phase in phases
    ]
    words = "Work: the time of all tasks; more than the clock's where several ran at once."
    shown = table(head, rows, total=line(total, "total", None))
    return joined([shown, note(words)])


def _rare(phase: PhaseResult) -> tuple[int, ...]:
    return phase.kept, phase.failed, phase.blocked


def _phase_name(phase: PhaseResult) -> Html:
    is_over = phase.done + phase.kept == phase.tasks
    state = "failed" if phase.failed else "done" if is_over else "pending"
    return joined([mark(state, ""), phase.phase])


_SUMMED: Final = ("tasks", "done", "kept", "failed", "blocked", "rows", "bytes", "seconds")


def _timeline(tasks: Sequence[TaskResult]) -> Picture | None:
    from pgmigrate._display.charts.charts import timeline

    return timeline(tasks)


def _throughput(tasks: Sequence[TaskResult]) -> Picture | None:
    from pgmigrate._display.charts.charts import throughput

    return throughput(tasks)


def _slowest(tasks: Sequence[TaskResult]) -> Picture | None:
    from pgmigrate._display.charts.charts import slowest

    return slowest(tasks)


def _slowest_tasks(tasks: Sequence[TaskResult]) -> Html:
    """The slowest tasks as a table, used if there is no picture of them."""
    if can_draw():
        return Html()
    found = sorted(tasks, key=lambda task: -task.seconds)[:SHORT]
    longest = max((task.seconds for task in found), default=0.0)
    rows: list[list[Cell]] = [
        [
            titled(task.kind, task.object),
            task.phase,
            Number(f"{task.seconds:.2f} s", task.seconds / longest),
            *amounts(task.rows, task.bytes),
        ]
        for task in found
        if task.seconds > 0
    ]
    return section("Slowest tasks", table(["task", "phase", "took", "rows", "bytes"], rows))


def status_view(status: Status) -> Html:
    """How far a run is."""
    unfinished = (status.procedure.text(),) if status.procedure is not None else ()
    if status.state == "none":
        return heading("Status", "; ".join(["no run in the target's ledger", *unfinished]))
    left = "" if status.seconds_left is None else duration(status.seconds_left)
    counts = status.tasks.to_dict()
    tasks = sum(counts.values())
    named = [
        ("took so far" if left else "took", duration(status.seconds)),
        ("left, about", left),
        *((state, count(number)) for state, number in counts.items() if number),
        *(("safe procedure", text) for text in unfinished),
    ]
    ways = [("tasks", counts["done"], tasks, count)]
    ways += [
        ("rows", status.rows_done, status.rows_total, count),
        ("bytes", status.bytes_done, status.bytes_total, size),
    ]
    return joined(
        [
            heading(f"Run {status.run}", mark(status.state)),
            facts((name, value) for name, value in named if value),
            _few(status.failed, "failed"),
            findings_list(status.findings, SHORT),
            section(
                "How far",
                table(
                    ["", "done", "", "of about"],
                    [
                        [
                            name,
                            Number(reported(done)),
                            bar(done / whole if whole else 0.0, is_long=True),
                            Number(reported(whole)),
                        ]
                        for name, done, whole, reported in ways
                    ],
                ),
            ),
            _few(status.running, "running now"),
        ]
    )


def _few(tasks: Sequence[TaskResult], words: str) -> Html:
    rows: list[list[Cell]] = [
        [
            mark(task.status),
            titled(task.kind, task.object),
            task.id,
            Number(duration(task.seconds)),
            reason(task),
        ]
        for task in tasks[:SHORT]
    ]
    shown = table(["", "object", "task", "took", ""], rows, is_words=True)
    return section(
        f"{plural(len(tasks), 'task')} {words}", shown, note(left_out(tasks, SHORT, "task"))
    )
