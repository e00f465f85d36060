"""Results: what preflight found, what a run did, whether the target equals the source..."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from pgmigrate._model import (
    Absent,
    Finding,
    Record,
    Records,
    absent_lines,
    finding_lines,
)
from pgmigrate._native import ResultRows
from pgmigrate._text import columns, count, duration, plural, size
from pgmigrate.errors import (
    CopyError,
    InterruptedRunError,
    PgMigrateError,
    PreflightError,
    SchemaError,
    VerifyError,
)

_NAMED_AT_MOST: Final = 10


@dataclass(frozen=True)
class PreflightResult(Record):
    """What preflight found.

    Attributes:
        findings: all of it, whatever its severity.
    """

    _parts: ClassVar[Mapping[str, type[Record]]] = {"findings": Finding}

    findings: tuple[Finding, ...]

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """The findings that forbid a run."""
        return tuple(finding for finding in self.findings if finding.severity == "blocking")

    @property
    def ok(self) -> bool:
        """Whether a run may start."""
        return not self.blocking

    def raise_for_blocking(self) -> None:
        """Does nothing where a run may start.

        Raises:
            PreflightError: something forbids it.
        """
        if not self.ok:
            named = "; ".join(finding.message for finding in self.blocking)
            raise PreflightError(f"preflight: {named}", findings=self.findings)

    def text(self) -> str:
        """A text for people."""
        if not self.findings:
            return "preflight: nothing found"
        order = {"blocking": 0, "warning": 1, "info": 2}
        found = sorted(self.findings, key=lambda finding: order.get(finding.severity, 3))
        weights = Counter(finding.severity for finding in found)
        head = ", ".join(f"{number} {severity}" for severity, number in weights.items())
        return "\n".join([f"preflight: {head}", *finding_lines(found, "")])


@dataclass(frozen=True)
class TaskResult(Record):
    """What became of a task.

    Attributes:
        id: its name in the plan.
        phase: its phase.
        kind: what it does.
        object: what it is about.
        status: ``done``, ``kept`` (was on the target already), ``failed``, ``blocked`` (needs a
            task that failed), ``pending`` (not run) or ``skipped`` (not asked for).
        rows: rows written.
        bytes: bytes written.
        seconds: how long it took.
        attempts: how often it was tried.
        snapshot: the state of the source that it saw; empty where it read no rows.
        note: why it failed, or what else there is to say.
        sqlstate: the server's code where a server made it fail, else empty.
    """

    id: str
    phase: str
    kind: str
    object: str
    status: str
    rows: int
    bytes: int
    seconds: float
    attempts: int
    snapshot: str
    note: str
    sqlstate: str


@dataclass(frozen=True)
class PhaseResult(Record):
    """What became of a phase.

    Attributes:
        phase: its name.
        tasks: how many tasks it has.
        done: how many of them need no more work.
        failed: how many failed, or were blocked by one that did.
        rows: rows written.
        bytes: bytes written.
        seconds: how long its tasks took, summed up: more than the clock where several ran at once.
    """

    phase: str
    tasks: int
    done: int
    failed: int
    rows: int
    bytes: int
    seconds: float


@dataclass(frozen=True)
class TableResult(Record):
    """What verifying a table gave.

    Attributes:
        object: the table.
        status: ``equal``, ``different`` or ``unchecked``.
        source_rows: rows on the source.
        target_rows: rows on the target.
        seconds: how long it took.
        note: what else there is to say, such as why it was not checked.
    """

    object: str
    status: str
    source_rows: int | None
    target_rows: int | None
    seconds: float
    note: str


@dataclass(frozen=True)
class Difference(Record):
    """One thing in which source and target differ.

    Attributes:
        kind: what differs, such as ``row`` or ``sequence``.
        object: where.
        key: the key of the row, without the values of other columns.
        columns: the columns that differ.
        message: the difference in words.
    """

    kind: str
    object: str
    key: str | None
    columns: tuple[str, ...]
    message: str

    def text(self, *, with_key: bool = True) -> str:
        """The difference on one line.

        Args:
            with_key: name the row, too; its key is a value of the database.
        """
        about = "" if self.object in self.message else f"{self.object}: "
        row = f", key {self.key}" if with_key and self.key is not None else ""
        return f"{about}{self.message}{row}"


@dataclass(frozen=True)
class Unchecked(Record):
    """Something that could not be compared, and why.

    Attributes:
        object: what.
        reason: why.
    """

    object: str
    reason: str


@dataclass(frozen=True)
class VerifyResult(Record):
    """Whether the target equals the source.

    Attributes:
        equal: no difference was found.
        tables: the tables, one by one.
        differences: what differs.
        unchecked: what could not be compared; never counted as equal.
    """

    _parts: ClassVar[Mapping[str, type[Record]]] = {
        "tables": TableResult,
        "differences": Difference,
        "unchecked": Unchecked,
    }

    equal: bool
    tables: tuple[TableResult, ...]
    differences: tuple[Difference, ...]
    unchecked: tuple[Unchecked, ...]

    @property
    def ok(self) -> bool:
        """Whether everything was compared and is equal."""
        return self.equal and not self.unchecked

    def raise_for_differences(self) -> None:
        """Does nothing where everything was compared and is equal.

        Raises:
            VerifyError: something differs or could not be compared.
        """
        if self.ok:
            return
        # Rows of one table that differ in the same way are one thing to name.
        named = list(dict.fromkeys(item.text(with_key=False) for item in self.differences))
        named += [f"{item.object} could not be compared: {item.reason}" for item in self.unchecked]
        raise VerifyError(
            f"source and target differ: {_first(named)}", differences=self.differences
        )

    def text(self) -> str:
        """A text for people."""
        rows = sum(table.target_rows or 0 for table in self.tables)
        about = f"{plural(len(self.tables), 'table')}, {plural(rows, 'row')}"
        lines = [f"verification: {'equal' if self.ok else 'NOT EQUAL'} ({about})"]
        lines += [f"  {item.kind.replace('_', ' ')}: {item.text()}" for item in self.differences]
        lines += [f"  unchecked: {item.object}: {item.reason}" for item in self.unchecked]
        return "\n".join(lines)


@dataclass(frozen=True)
class Report(Record):
    """What a run did.

    Attributes:
        run: its number in the ledger; None for a dry run.
        status: ``done``, ``failed``, ``interrupted`` or ``dry_run``.
        consistent: whether all rows are of one state of the source.
        source: the source, without secrets.
        target: the target, without secrets.
        started: when the run began (ISO 8601).
        seconds: how long it took.
        snapshots: the states of the source that the tasks saw.
        phases: the phases in order.
        tasks: the tasks in the plan's order; each is made when it is looked at.
        absent: what does not exist on the target, and why.
        findings: what a person should know.
        verification: the verification, where one was asked for.
        backup: the backup's path, where one was made.
    """

    _parts: ClassVar[Mapping[str, type[Record]]] = {
        "phases": PhaseResult,
        "tasks": TaskResult,
        "absent": Absent,
        "findings": Finding,
        "verification": VerifyResult,
    }

    run: int | None
    status: str
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
        """The tasks that failed, and then those that they blocked."""
        return (*_having(self.tasks, "failed"), *_having(self.tasks, "blocked"))

    @property
    def ok(self) -> bool:
        """Whether everything asked for arrived and, where it was verified, is equal."""
        proved = self.verification is None or self.verification.ok
        return self.status in ("done", "dry_run") and not self.failed and proved

    def raise_for_failures(self) -> None:
        """Does nothing where every task is done. Says nothing about the verification.

        Raises:
            CopyError: the first task that failed copies rows. The message names all objects.
            SchemaError: the first task that failed does something else.
            InterruptedRunError: none failed, but the run was stopped before its end.
        """
        if self.failed:
            raise _failure(self.failed)
        if self.status == "interrupted":
            raise InterruptedRunError("the run was interrupted", remedy="run it with resume=True")

    def text(self) -> str:
        """A text for people: phases, failures, what does not exist on the target, findings."""
        rows = [
            (
                phase.phase,
                count(phase.tasks),
                count(phase.done),
                count(phase.failed),
                count(phase.rows),
                size(phase.bytes),
                duration(phase.seconds),
            )
            for phase in self.phases
        ]
        head = ("phase", "tasks", "done", "failed", "rows", "bytes", "work")
        lines = [self._headline(), *(columns(head, rows) if rows else ())]
        for task in self.failed:
            lines.append(_task_words(task))
        lines += [*absent_lines(self.absent), *finding_lines(self.findings)]
        if self.verification is not None:
            lines.append(self.verification.text())
        if self.backup is not None:
            lines.append(f"backup of the target: {self.backup}")
        return "\n".join(lines)

    def _headline(self) -> str:
        snapshots = "one snapshot" if self.consistent else "SEVERAL STATES OF THE SOURCE"
        number = "run" if self.run is None else f"run {self.run}"
        return (
            f"{number} {self.status.replace('_', ' ')} in {duration(self.seconds)}, {snapshots}: "
            f"{self.source} -> {self.target}"
        )


@dataclass(frozen=True)
class TaskCounts(Record):
    """How many tasks of a run are in which state."""

    done: int
    running: int
    failed: int
    blocked: int
    pending: int


@dataclass(frozen=True)
class Status(Record):
    """How far the last run in the target's ledger is.

    Attributes:
        run: its number; None where the target has no ledger.
        state: ``none``, ``running``, ``interrupted``, ``failed`` or ``done``.
        tasks: how many tasks are in which state.
        rows_done: rows written so far.
        rows_total: rows by the source's statistics.
        bytes_done: bytes written so far.
        bytes_total: bytes by the source's statistics.
        seconds: how long the run has taken so far.
        seconds_left: an estimate of what it still takes; None where there is none.
        running: the tasks that run now.
        failed: the tasks that failed.
    """

    _parts: ClassVar[Mapping[str, type[Record]]] = {
        "tasks": TaskCounts,
        "running": TaskResult,
        "failed": TaskResult,
    }

    run: int | None
    state: str
    tasks: TaskCounts
    rows_done: int
    rows_total: int
    bytes_done: int
    bytes_total: int
    seconds: float
    seconds_left: float | None
    running: tuple[TaskResult, ...]
    failed: tuple[TaskResult, ...]

    def text(self) -> str:
        """A text for people."""
        if self.state == "none":
            return "no run in the target's ledger"
        counts = ", ".join(
            f"{number:,} {state}" for state, number in self.tasks.to_dict().items() if number
        )
        left = "" if self.seconds_left is None else f", about {duration(self.seconds_left)} left"
        return "\n".join(
            [
                f"run {self.run}: {self.state} after {duration(self.seconds)}{left}",
                f"tasks: {counts or 'none'}",
                f"rows: {count(self.rows_done)} of about {count(self.rows_total)}, "
                f"bytes: {size(self.bytes_done)} of about {size(self.bytes_total)}",
                *(_task_words(task) for task in (*self.running, *self.failed)),
            ]
        )


@dataclass(frozen=True)
class BackupResult(Record):
    """A backup of the target.

    Attributes:
        path: the file, an archive of pg_dump's custom format.
        bytes: its size.
        seconds: how long it took.
        entries: entries of its table of contents, as read back.
    """

    path: str
    bytes: int
    seconds: float
    entries: int

    def text(self) -> str:
        """A text for people."""
        return (
            f"backup: {self.path} ({size(self.bytes)}, {plural(self.entries, 'object')}, "
            f"{duration(self.seconds)})"
        )


@dataclass(frozen=True)
class RestoreResult(Record):
    """What a restore did.

    Attributes:
        path: the backup.
        entries: entries of its table of contents.
        seconds: how long it took.
        message: what was done, in words.
    """

    path: str
    entries: int
    seconds: float
    message: str

    def text(self) -> str:
        """A text for people."""
        return (
            f"restore: {self.path} ({plural(self.entries, 'object')}, {duration(self.seconds)}): "
            f"{self.message}"
        )


@dataclass(frozen=True)
class CleanupResult(Record):
    """What a cleanup dropped on the target.

    Attributes:
        dropped: the objects, quoted as SQL quotes them.
    """

    dropped: tuple[str, ...]

    def text(self) -> str:
        """A text for people."""
        return f"cleanup: dropped {', '.join(self.dropped) if self.dropped else 'nothing'}"


def _having(tasks: Sequence[TaskResult], status: str) -> list[TaskResult]:
    if isinstance(tasks, Records) and isinstance(tasks.rows, ResultRows):
        return [tasks[at] for at in tasks.rows.having(status)]
    return [task for task in tasks if task.status == status]


def _first(words: Sequence[str]) -> str:
    more = len(words) - _NAMED_AT_MOST
    return "; ".join(words[:_NAMED_AT_MOST]) + (f"; and {more:,} more" if more > 0 else "")


def _failure(tasks: Sequence[TaskResult]) -> PgMigrateError:
    first = tasks[0]
    named = [
        f"{task.object} ({task.note or 'a task that it needs failed'})"
        if task.status == "failed"
        else f"{task.object} (blocked)"
        for task in tasks
    ]
    error = CopyError if first.phase == "data" else SchemaError
    return error(
        f"{plural(len(tasks), 'task')} failed: {'; '.join(named)}",
        phase=first.phase,
        task=first.id,
        object=first.object,
        sqlstate=first.sqlstate or None,
        remedy="remove the cause, then run again with resume=True",
    )


def _task_words(task: TaskResult) -> str:
    note = f": {task.note}" if task.note else ""
    return f"{task.status}: {task.kind} {task.object} ({task.id}){note}"
