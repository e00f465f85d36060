"""`Report`: what a run did, task by task."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from pgmigrate._bridge.files import write_atomically
from pgmigrate._native import ResultRows
from pgmigrate._results.shown import display
from pgmigrate._results.tabular import Tabular
from pgmigrate._results.verification import VerifyResult
from pgmigrate._values.finding import Absent, Finding, absent_lines, finding_lines
from pgmigrate._values.humanize import columns, count, duration, plural, printed, size
from pgmigrate._values.record import Record, Records
from pgmigrate._values.sets import Phase, ReportStatus, RunState, TaskStatus
from pgmigrate._values.wording import action, rendered
from pgmigrate.errors import CopyError, InterruptedRunError, PgMigrateError, SchemaError

if TYPE_CHECKING:
    import altair


_BLOCKED_AT_MOST: Final = 20


@dataclass(frozen=True)
class TaskResult(Record):
    """The outcome of a task.

    Attributes:
        id: its name in the plan.
        phase: its phase.
        kind: what it does.
        object: its object.
        status: ``done``, ``kept`` (was on the target already), ``failed``, ``blocked`` (needs a
            task that failed), ``pending`` (not run) or ``skipped`` (not requested).
        rows: rows written.
        bytes: bytes written.
        begun: when it was last started, in seconds after the run's start; None if it never was.
        seconds: how long it took.
        worker: the number of the worker that ran it; each process of the run has its own numbers.
            None if it was never started.
        attempts: how often it was tried.
        snapshot: the state of the source that it saw; empty if it read no rows.
        note: why it failed, or further information.
        sqlstate: the error code of the server, if a server made it fail, else empty.
    """

    id: str
    phase: Phase
    kind: str
    object: str
    status: TaskStatus
    rows: int
    bytes: int
    begun: float | None
    seconds: float
    worker: int | None
    attempts: int
    snapshot: str
    note: str
    sqlstate: str


@dataclass(frozen=True)
class PhaseResult(Record):
    """The outcome of a phase.

    Attributes:
        phase: its name.
        tasks: how many tasks it has.
        done: how many of them are done.
        kept: how many found their object on the target, or were not requested.
        failed: how many failed.
        blocked: how many were not tried, because one that they need failed.
        rows: rows of tables written; large objects are not counted.
        bytes: bytes written.
        seconds: the sum of its tasks' times: more than the elapsed time if several ran at once.
    """

    phase: Phase
    tasks: int
    done: int
    kept: int
    failed: int
    blocked: int
    rows: int
    bytes: int
    seconds: float


@dataclass(frozen=True, repr=False)
class Report(Tabular):
    """What a run did.

    Attributes:
        run: its number in the ledger; None for a dry run.
        status: ``done``, ``failed``, ``interrupted`` or ``dry_run``.
        run_state: the state of the whole run, of which this report may cover only a part:
            ``running`` (another process works on it), ``interrupted`` (tasks are open), ``failed``
            or ``done``. None for a dry run, and if the ledger could not be read at the end.
        consistent: whether all rows are of one state of the source.
        source: the source, without secrets.
        target: the target, without secrets.
        started: when the run began (ISO 8601).
        seconds: how long it took.
        snapshots: the states of the source that the tasks saw.
        phases: the phases in order.
        tasks: the tasks in the plan's order; each is built when it is accessed.
        absent: what does not exist on the target, and why.
        findings: what a person should know.
        verification: the verification, if one was requested.
        backup: the backup's path, if one was made.
    """

    _table: ClassVar[str] = "tasks"
    _parts: ClassVar[Mapping[str, type[Record]]] = {
        "phases": PhaseResult,
        "tasks": TaskResult,
        "absent": Absent,
        "findings": Finding,
        "verification": VerifyResult,
    }

    run: int | None
    status: ReportStatus
    run_state: RunState | None
    consistent: bool
    source: str
    target: str
    started: str
    seconds: float
    snapshots: tuple[str, ...]
    phases: tuple[PhaseResult, ...]
    tasks: Sequence[TaskResult]
    absent: tuple[Absent, ...]
    findings: tuple[Finding, ...]
    verification: VerifyResult | None
    backup: str | None

    @property
    def failed(self) -> tuple[TaskResult, ...]:
        """The tasks that failed, followed by those that they blocked."""
        return (*_having(self.tasks, "failed"), *_having(self.tasks, "blocked"))

    @property
    def ok(self) -> bool:
        """Whether everything requested was moved and, if it was verified, is equal."""
        proved = self.verification is None or self.verification.ok
        return self.status in ("done", "dry_run") and not self.failed and proved

    def raise_for_failures(self) -> None:
        """Raises an error if a task is not done. Does not consider the verification.

        Raises:
            CopyError: the first task that failed copies rows. The message names all objects.
            SchemaError: the first task that failed does something else.
            InterruptedRunError: none failed, but the run was stopped before its end.
        """
        if self.failed:
            raise _failure(self.failed)
        if self.status == "interrupted":
            raise InterruptedRunError(
                "the run was interrupted", name="interrupted", remedy=action("resume")
            )

    def timeline(self) -> altair.LayerChart:
        """What each worker did when, as a Gantt chart; pauses between sessions are left out.

        Raises:
            ImportError: altair is missing (``pip install 'pgmigrate[plots]'``).
            ValueError: no task was started.
        """
        return display().chart("timeline", self)

    def throughput(self) -> altair.LayerChart:
        """Bytes per second over time; each task's bytes are spread evenly over its time.

        Raises:
            ImportError: altair is missing (``pip install 'pgmigrate[plots]'``).
            ValueError: no rows were copied.
        """
        return display().chart("throughput", self)

    def slowest(self) -> altair.LayerChart:
        """The tasks that took longest, as bars.

        Raises:
            ImportError: altair is missing (``pip install 'pgmigrate[plots]'``).
            ValueError: no task was started.
        """
        return display().chart("slowest", self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the report as one self-contained HTML page.

        The page always has tables, and also pictures if the extra ``pgmigrate[plots]`` is
        installed. It names rows that differ by their table only, not by their keys.

        Args:
            path: the file; an existing one is replaced atomically.

        Raises:
            OSError: the file cannot be written.
        """
        write_atomically(Path(path), [display().page(self).encode()])

    @printed
    def text(self) -> str:
        """A text for people: phases, failures, what does not exist on the target, findings."""
        lines = [self._headline(), *_table(self.phases)]
        lines += [task_words(task) for task in self.failed if task.status == "failed"]
        lines += _blocked_lines([task for task in self.failed if task.status == "blocked"])
        lines += [*absent_lines(self.absent), *finding_lines(self.findings)]
        if self.verification is not None:
            lines.append(self.verification.text())
        if self.backup is not None:
            lines.append(f"backup of the target: {self.backup}")
        return "\n".join(lines)

    def _headline(self) -> str:
        snapshots = "one snapshot"
        if not self.consistent:
            number_of = plural(len(self.snapshots), "snapshot")
            snapshots = f"NOT CONSISTENT: rows come from {number_of}"
        number = "run" if self.run is None else f"run {self.run}"
        state = self.run_state or self.status
        whole = "" if state == self.status else f" (the run as a whole: {state})"
        return (
            f"{number} {self.status.replace('_', ' ')}{whole} in {duration(self.seconds)}, "
            f"{snapshots}: {self.source} -> {self.target}"
        )


def _table(phases: Sequence[PhaseResult]) -> list[str]:
    """The phases as a table; with columns for kept, failed and blocked tasks if there are any."""
    if not phases:
        return []
    rare = [name for name in ("kept", "failed", "blocked") if any(getattr(p, name) for p in phases)]
    rows = [
        (
            phase.phase,
            count(phase.tasks),
            count(phase.done),
            *(count(getattr(phase, name)) for name in rare),
            count(phase.rows),
            size(phase.bytes),
            duration(phase.seconds),
        )
        for phase in phases
    ]
    return columns(("phase", "tasks", "done", *rare, "rows", "bytes", "work"), rows)


def _blocked_lines(tasks: Sequence[TaskResult]) -> list[str]:
    """The blocked tasks on few lines: they need no details of their own."""
    if not tasks:
        return []
    named = [f"  {task.object}: {task.kind} ({task.id})" for task in tasks[:_BLOCKED_AT_MOST]]
    more = len(tasks) - len(named)
    head = f"not tried, because what they need failed: {plural(len(tasks), 'task')}"
    return [head, *named, *([f"  and {more:,} more"] if more else [])]


def _having(tasks: Sequence[TaskResult], status: TaskStatus) -> list[TaskResult]:
    if isinstance(tasks, Records) and isinstance(tasks.rows, ResultRows):
        return [tasks[at] for at in tasks.rows.having(status)]
    return [task for task in tasks if task.status == status]


def _failure(tasks: Sequence[TaskResult]) -> PgMigrateError:
    first = tasks[0]
    failed = [task for task in tasks if task.status == "failed"]
    blocked = [task for task in tasks if task.status != "failed"]
    named = [f"{task.object} ({task.note})" if task.note else task.object for task in failed]
    named += [f"{task.object} (blocked)" for task in blocked]
    counts = [plural(len(failed), "task") + " failed"] if failed else []
    counts += [plural(len(blocked), "task") + " blocked"] if blocked else []
    error = CopyError if first.phase == "data" else SchemaError
    return error(
        f"{', '.join(counts)}: {'; '.join(named)}",
        phase=first.phase,
        task=first.id,
        object=first.object,
        sqlstate=first.sqlstate or None,
        remedy=rendered(f"remove the cause, then {action('resume')}"),
    )


def task_words(task: TaskResult) -> str:
    """A task on one line: its object, its state, why it failed."""
    note = f": {task.note}" if task.note else ""
    return f"{task.object}: {task.kind} {task.status} ({task.id}){note}"
