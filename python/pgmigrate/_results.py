"""What the smaller verbs give: preflight, status, backup, restore, cleanup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pgmigrate._model import Finding, Record, finding_lines
from pgmigrate._report import TaskResult, task_words
from pgmigrate._tabular import Tabular
from pgmigrate._text import count, duration, plural, printed, size
from pgmigrate._unfinished import UnfinishedProcedure, from_core
from pgmigrate.errors import PreflightError


@dataclass(frozen=True)
class Check(Record):
    """A check that preflight makes.

    Attributes:
        check: its stable name, which its findings carry, too.
        about: what holds where it finds nothing.
        state: ``ok``; ``info``, ``warning`` or ``blocking`` as its heaviest finding; ``not_made``
            where something forbids the run before it.
    """

    check: str
    about: str
    state: str


@dataclass(frozen=True, repr=False)
class PreflightResult(Tabular):
    """What preflight found.

    Attributes:
        findings: all of it, whatever its severity.
        checks: all checks, also those that found nothing.
    """

    _table: ClassVar[str] = "findings"
    _parts: ClassVar[Mapping[str, type[Record]]] = {"findings": Finding, "checks": Check}

    findings: tuple[Finding, ...]
    checks: tuple[Check, ...]

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

    @printed
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
class TaskCounts(Record):
    """How many tasks of a run are in which state.

    Attributes:
        done: need no more work.
        running: are being done.
        failed: ended with an error.
        blocked: need a task that failed.
        pending: wait for their turn.
    """

    done: int
    running: int
    failed: int
    blocked: int
    pending: int


@dataclass(frozen=True, repr=False)
class Status(Tabular):
    """How far the last run in the target's ledger is.

    Attributes:
        run: its number; None where the target has no ledger.
        plan: the fingerprint of the plan that it follows; None where there is no run.
        consistent: whether all of its rows are of one state of the source; None before it is done.
        state: ``none``, ``running``, ``interrupted``, ``failed`` or ``done``.
        active: whether a process works on the target, or holds a snapshot for parts: it has the
            lock from before a backup, and so before its run begins, until its end.
        tasks: how many tasks are in which state.
        rows_done: rows written so far.
        rows_total: rows by the source's statistics.
        bytes_done: bytes written so far.
        bytes_total: bytes by the source's statistics.
        seconds: how long the run has taken so far.
        seconds_left: an estimate of what it still takes; None where there is none.
        running: the tasks that run now.
        failed: the tasks that failed.
        procedure: the safe procedure on the target that is at work or was left before its end; None
            without one.
        findings: what to know of what runs have left on the target, such as foreign keys that are
            gone or NOT VALID (``foreign_keys_left``).
    """

    _table: ClassVar[str] = "running"
    _parts: ClassVar[Mapping[str, type[Record]]] = {
        "tasks": TaskCounts,
        "running": TaskResult,
        "failed": TaskResult,
        "procedure": UnfinishedProcedure,
        "findings": Finding,
    }

    run: int | None
    plan: str | None
    consistent: bool | None
    state: str
    active: bool
    tasks: TaskCounts
    rows_done: int
    rows_total: int
    bytes_done: int
    bytes_total: int
    seconds: float
    seconds_left: float | None
    running: tuple[TaskResult, ...]
    failed: tuple[TaskResult, ...]
    procedure: UnfinishedProcedure | None
    findings: tuple[Finding, ...]

    @classmethod
    def _from_core(cls, mapping: Mapping[str, Any]) -> Status:
        """The status as the core reads it, with the journal of a procedure as its text.

        Raises:
            StateError: the journal is of another version of pgmigrate.
        """
        left = from_core(mapping["procedure"], mapping["run"])
        return cls.from_mapping({**mapping, "procedure": left})

    @printed
    def text(self) -> str:
        """A text for people."""
        return "\n".join([*self._of_run(), *self._of_procedure()])

    def _of_procedure(self) -> list[str]:
        return [] if self.procedure is None else [self.procedure.text()]

    def _of_run(self) -> list[str]:
        at_work = self.active and self.state != "running"
        others = ["a process is at work on the target"] if at_work else []
        if self.state == "none":
            return ["no run in the target's ledger", *others]
        counts = ", ".join(
            f"{number:,} {state}" for state, number in self.tasks.to_dict().items() if number
        )
        left = "" if self.seconds_left is None else f", about {duration(self.seconds_left)} left"
        return [
            f"run {self.run}: {self.state} after {duration(self.seconds)}{left}",
            *others,
            f"tasks: {counts or 'none'}",
            f"rows: {count(self.rows_done)} of about {count(self.rows_total)}, "
            f"bytes: {size(self.bytes_done)} of about {size(self.bytes_total)}",
            *(task_words(task) for task in (*self.running, *self.failed)),
            *(finding.text() for finding in self.findings),
        ]


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

    @printed
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

    @printed
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
        findings: the foreign keys that runs had taken away and that are NOT VALID now, with how
            many rows reference nothing and a query that lists them. Nothing else records them.
    """

    _parts: ClassVar[Mapping[str, type[Record]]] = {"findings": Finding}

    dropped: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether everything that runs had taken away is as it was."""
        return not self.findings

    @printed
    def text(self) -> str:
        """A text for people."""
        dropped = f"cleanup: dropped {', '.join(self.dropped) if self.dropped else 'nothing'}"
        return "\n".join([dropped, *(finding.text() for finding in self.findings)])
