"""What the safe procedure did: its steps, and their outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias

from pgmigrate._procedure.checklist import Checklist, escaped
from pgmigrate._results.report import Report
from pgmigrate._results.tabular import Tabular
from pgmigrate._results.verification import VerifyResult
from pgmigrate._values.humanize import duration, printed
from pgmigrate._values.record import Record
from pgmigrate._values.wording import action, rendered
from pgmigrate.errors import PgMigrateError

_MARKS: Final[Mapping[str, str]] = {
    "done": "✓",
    "failed": "✗",
    "interrupted": "✗",
    "skipped": "-",
    "pending": "·",
    "running": "·",
}

TargetOfReport: TypeAlias = Literal[
    "unknown",
    "half_done",
    "untouched",
    "changed",
    "migrated",
    "restored",
    "not_restored",
    "taken",
]
_OF_TARGET: Final[Mapping[TargetOfReport, str]] = {
    "unknown": "this call has changed nothing on the target",
    "half_done": "an earlier run is half done on the target, and this call has not changed it",
    "untouched": "the migration has not begun, and the target is untouched",
    "changed": "the target is left as it is now",
    "restored": "the target is restored to what it was before",
    "taken": "another procedure is active on the target, and this one has undone nothing",
}


@dataclass(frozen=True)
class SafetyStep(Record):
    """A step of the procedure.

    Attributes:
        name: ``checklist``, ``stop``, ``check_stopped``, ``wait_for_writers``, ``backup``,
            ``migrate``, ``verify``, ``start``; after a failure ``check_writers``, ``restore`` and
            ``start_again``.
        about: what it does, in words, with the commands that it runs.
        state: ``done``, ``failed``, ``interrupted``, ``skipped``, ``running`` or ``pending``.
        seconds: how long it took.
        note: further information, such as why it failed or was skipped.
    """

    name: str
    about: str
    state: str
    seconds: float
    note: str

    @printed
    def text(self) -> str:
        """The step on one line."""
        took = f" ({duration(self.seconds)})" if self.state not in ("pending", "skipped") else ""
        state = f" {self.state.upper()}" if self.state in ("failed", "interrupted") else ""
        note = f": {self.note}" if self.note else ""
        return f"{_MARKS[self.state]} {self.about}{state}{took}{note}"


@dataclass(frozen=True, repr=False)
class SafetyReport(Tabular):
    """What the safe procedure did, from the checklist to the start of the application.

    Attributes:
        status: ``done``; ``failed``; ``interrupted``; ``not_started``, if the migration is done
            and kept, but the application could not be started; ``not_restored``, if the target
            had to be restored and is not; ``dry_run``.
        seconds: how long it took.
        steps: the steps in order, also those that were not reached.
        checklist: the points that were checked before; None if they could not be checked.
        report: what the run did, as far as it went.
        verification: whether the target equals the source.
        backup: the backup's path, if one was made.
        touched: whether the run had begun to change the target.
        migrated: whether the migration is done, verified and kept.
        restored: whether the backup was restored.
        application: ``untouched``; ``stopped``; ``started``.
        error: what ended the procedure.
        target: what is known of the target: ``untouched``; ``half_done`` by a run that no procedure
            has begun; ``changed``; ``migrated``; ``restored``; ``not_restored``; ``taken`` by
            another procedure while the connection was lost; ``unknown``, if the procedure ended
            before it could find out, and has changed nothing.
        continued: when the procedure that this one continues began, in UTC; None without one.
        stopped: when an earlier procedure stopped the application, if it was not started since, in
            UTC; None if this procedure stopped it, or none did.
        by_hand: commands for a person, if the target was left changed.
        others: what others have written to the target since the backup.
    """

    _table: ClassVar[str] = "steps"
    _parts: ClassVar[Mapping[str, type[Record]]] = {"steps": SafetyStep}

    status: str
    seconds: float
    steps: tuple[SafetyStep, ...]
    checklist: Checklist | None
    report: Report | None
    verification: VerifyResult | None
    backup: str | None
    touched: bool
    migrated: bool
    restored: bool
    application: str
    error: PgMigrateError | None
    target: TargetOfReport
    continued: str | None
    stopped: str | None
    by_hand: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything that was requested is done."""
        return self.status == "done" or (self.status == "dry_run" and self.error is None)

    def raise_for_failures(self) -> None:
        """Raises the error that ended the procedure; does nothing if everything is done.

        Raises:
            PgMigrateError: what ended the procedure, by its own class.
        """
        if self.error is not None:
            raise self.error

    def to_dict(self) -> dict[str, Any]:
        """The report as dict, list and scalars all the way down."""
        error = None if self.error is None else self.error.to_dict()
        return {**super().to_dict(), "error": error}

    @printed
    def text(self) -> str:
        """A text for people: the steps, their outcome, and the run's report."""
        lines = [f"safe procedure {self._state()} in {duration(self.seconds)}"]
        if self.status == "dry_run":
            lines = ["safe procedure, dry run: nothing was stopped, written or started"]
        lines += [f"{number:>3}. {step.text()}" for number, step in enumerate(self.steps, 1)]
        lines.append(self.outcome())
        if self.checklist is not None and (self.status == "dry_run" or not self.checklist.ok):
            lines.append(self.checklist.text())
        if self.report is not None:
            lines.append(self.report.text())
        if self.verification is not None:
            lines.append(self.verification.text())
        return "\n".join(lines)

    def _state(self) -> str:
        """How it ended, in a few words; after a failure with the state of the target."""
        if self.status == "not_started":
            return "migrated, APPLICATION NOT STARTED"
        if self.status in ("failed", "interrupted") and self.restored:
            return f"{self.status}; target restored"
        return self.status.replace("_", " ")

    @printed
    def outcome(self) -> str:
        """The outcome of the procedure, in a sentence or two."""
        if self.status == "dry_run":
            return (
                "the procedure can begin"
                if self.error is None
                else "the procedure would end at its checklist"
            )
        return f"{self._of_target()}; {self._of_application()}"

    def _of_target(self) -> str:
        if self.migrated:
            return "the migration is done, verified and kept"
        if self.restored:
            ended = "was interrupted" if self.status == "interrupted" else "failed"
            return f"the migration {ended}, and the target is restored to what it was before"
        if self.target == "not_restored":
            by_hand = f" ({'; '.join(self.by_hand)})" if self.by_hand else ""
            return (
                f"THE TARGET IS NOT RESTORED: {self._why()}; "
                f"the target is left as it is now{by_hand}"
            )
        if self.target == "migrated":
            return (
                f"the procedure of {self.continued} has migrated and verified the target, "
                "and this one has not compared it again"
            )
        if self.touched and self.target != "taken":
            return "the migration is not done, and the target is left as it is now: " + rendered(
                action("resume")
            )
        return _OF_TARGET[self.target]

    def _why(self) -> str:
        if self.others:
            return f"others have written to it since the backup ({'; '.join(self.others)})"
        failed = [step for step in self.steps if step.name in ("check_writers", "restore")]
        notes = [step.note for step in failed if step.state == "failed" and step.note]
        return notes[-1] if notes else "there is no backup, or the target cannot be reached"

    def _of_application(self) -> str:
        if self.target == "unknown":
            return "this call has not stopped the application"
        if self.application == "started":
            return (
                "the application is started"
                if self.migrated
                else "the application is started again"
            )
        if self.stopped is not None:
            return (
                f"THE APPLICATION MAY NOT BE RUNNING: an earlier procedure stopped it at "
                f"{self.stopped}, and no procedure has started it since"
            )
        if self.application == "untouched":
            return "the application was not stopped"
        return "THE APPLICATION IS NOT RUNNING: start it by hand"

    @printed
    def markdown(self) -> str:
        """Checklist and steps as lists with boxes, for a change ticket."""
        lines = ["# Safe migration", "", "## Checklist", ""]
        if self.checklist is not None:
            lines += [self.checklist.markdown(), ""]
        lines += ["## Procedure", ""]
        for number, step in enumerate(self.steps, 1):
            box = "x" if step.state == "done" else " "
            lines.append(f"{number}. [{box}] {escaped(step.text())}")
        lines += ["", escaped(self.outcome()), ""]
        return "\n".join(lines)
