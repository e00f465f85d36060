"""The progress of the last run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pgmigrate._journal.unfinished import UnfinishedProcedure, from_core
from pgmigrate._results.report import TaskResult, task_words
from pgmigrate._results.tabular import Tabular
from pgmigrate._values.finding import Finding
from pgmigrate._values.humanize import count, duration, printed, size
from pgmigrate._values.record import Record
from pgmigrate._values.sets import RunState


@dataclass(frozen=True)
class TaskCounts(Record):
    """The number of tasks of a run in each state.

    Attributes:
        done: are done.
        kept: found their object on the target, or were not requested.
        running: are running.
        failed: ended with an error.
        blocked: need a task that failed.
        pending: wait for their turn.
    """

    done: int
    kept: int
    running: int
    failed: int
    blocked: int
    pending: int


@dataclass(frozen=True, repr=False)
class Status(Tabular):
    """How far the last run in the target's ledger is.

    Attributes:
        run: its number; None if the target has no ledger.
        plan: the fingerprint of the plan that it follows; None if there is no run.
        consistent: whether all of its rows are of one state of the source; None before it is done.
        state: ``none``, ``running``, ``interrupted``, ``failed`` or ``done``.
        active: whether a process works on the target, or holds a snapshot for parts. A process
            holds the run's lock until its end, and takes it before the backup, which comes before
            the run begins.
        tasks: the number of tasks in each state.
        rows_done: rows written so far.
        rows_total: rows by the source's statistics.
        bytes_done: bytes written so far.
        bytes_total: bytes by the source's statistics.
        seconds: how long the run has taken so far.
        seconds_left: seconds to the end of its last task, by the estimate's model; None if that
            is not known, or the run is not active.
        running: the tasks that run now.
        failed: the tasks that failed.
        procedure: the safe procedure on the target that is running or ended before its last step;
            None without one.
        findings: what runs have left on the target, such as foreign keys that are missing or NOT
            VALID (``foreign_keys_left``).
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
    state: RunState | Literal["none"]
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
        """The status from the core's mapping, in which the journal of a procedure is a text.

        Raises:
            StateError: the journal is of another version of pgmigrate.
        """
        left = from_core(mapping["procedure"], mapping["run"])
        return cls.from_mapping({**mapping, "procedure": left})

    @printed
    def text(self) -> str:
        """A text for people."""
        return "\n".join([*self._of_run(), *self._of_procedure()])

    def _left(self) -> str:
        if self.seconds_left is None:
            return "time left unknown"
        return f"about {duration(self.seconds_left)} left"

    def _of_procedure(self) -> list[str]:
        return [] if self.procedure is None else [self.procedure.text()]

    def _of_run(self) -> list[str]:
        at_work = self.active and self.state != "running"
        others = ["a process is active on the target"] if at_work else []
        if self.state == "none":
            return ["no run in the target's ledger", *others]
        counts = ", ".join(
            f"{number:,} {state}" for state, number in self.tasks.to_dict().items() if number
        )
        left = f", {self._left()}" if self.state == "running" else ""
        return [
            f"run {self.run}: {self.state} after {duration(self.seconds)}{left}",
            *others,
            f"tasks: {counts or 'none'}",
            f"rows: {count(self.rows_done)} of about {count(self.rows_total)}, "
            f"bytes: {size(self.bytes_done)} of about {size(self.bytes_total)}",
            *(task_words(task) for task in (*self.running, *self.failed)),
            *(finding.text() for finding in self.findings),
        ]
