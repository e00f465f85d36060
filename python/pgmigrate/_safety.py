"""What the safe procedure did: its steps, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pgmigrate._checklist import Checklist, escaped
from pgmigrate._model import Record
from pgmigrate._report import Report
from pgmigrate._text import duration
from pgmigrate._verification import VerifyResult
from pgmigrate.errors import PgMigrateError

_MARKS: Final[Mapping[str, str]] = {
    "done": "✓",
    "failed": "✗",
    "interrupted": "✗",
    "skipped": "-",
    "pending": "·",
    "running": "·",
}


@dataclass(frozen=True)
class SafetyStep(Record):
    """A step of the procedure.

    Attributes:
        name: ``checklist``, ``stop``, ``check_stopped``, ``wait_for_writers``, ``backup``,
            ``migrate``, ``verify``, ``start``; after a failure ``restore`` and ``start_again``.
        about: what it does, in words, with the commands that it runs.
        state: ``done``, ``failed``, ``interrupted``, ``skipped``, ``running`` or ``pending``.
        seconds: how long it took.
        note: what there is to say about it, such as why it failed or was skipped.
    """

    name: str
    about: str
    state: str
    seconds: float
    note: str

    def text(self) -> str:
        """The step on one line."""
        took = f" ({duration(self.seconds)})" if self.state not in ("pending", "skipped") else ""
        state = f" {self.state.upper()}" if self.state in ("failed", "interrupted") else ""
        note = f": {self.note}" if self.note else ""
        return f"{_MARKS[self.state]} {self.about}{state}{took}{note}"


@dataclass(frozen=True)
class SafetyReport(Record):
    """What the safe procedure did, from the checklist to the start of the application.

    Attributes:
        status: ``done``; ``failed``; ``interrupted``; ``not_started``, where the migration is done
            and kept, but the application could not be started; ``dry_run``.
        seconds: how long it took.
        steps: the steps in order, also those that were not reached.
        checklist: the points that were checked before; None where they could not be.
        report: what the run did, as far as it went.
        verification: whether the target equals the source.
        backup: the backup's path, where one was made.
        touched: whether the run had begun to change the target.
        migrated: whether the migration is done, verified and kept.
        restored: whether the backup was brought back.
        application: ``untouched``; ``stopped``; ``started``.
        error: what ended the procedure.
    """

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

    @property
    def ok(self) -> bool:
        """Whether all that was asked for is done."""
        return self.status == "done" or (self.status == "dry_run" and self.error is None)

    def raise_for_failures(self) -> None:
        """Does nothing where everything is done.

        Raises:
            PgMigrateError: what ended the procedure, by its own class.
        """
        if self.error is not None:
            raise self.error

    def to_dict(self) -> dict[str, Any]:
        """The report as dict, list and scalars all the way down."""
        error = None if self.error is None else self.error.to_dict()
        return {**super().to_dict(), "error": error}

    def text(self) -> str:
        """A text for people: the steps, what they come to, and the run's report."""
        state = self.status.replace("_", " ")
        lines = [f"safe procedure {state} in {duration(self.seconds)}"]
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

    def outcome(self) -> str:
        """What the procedure comes to, in a sentence or two."""
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
            return "the migration failed, and the target is restored to what it was before"
        if self.touched:
            return (
                "the migration is not done, and the target is left as it is now: go on with resume"
            )
        return "the migration has not begun, and the target is untouched"

    def _of_application(self) -> str:
        if self.application == "untouched":
            return "the application was not stopped"
        if self.application == "started":
            return (
                "the application is started"
                if self.migrated
                else "the application is started again"
            )
        return "THE APPLICATION IS NOT RUNNING: start it by hand"

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
