"""A safe procedure that has not reached its end, as `pgmigrate status` shows it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pgmigrate._journal.journal import Journal, StepTimes
from pgmigrate._journal.recovery import ApplicationState, TargetState
from pgmigrate._values.humanize import printed
from pgmigrate._values.record import Record

_OF_TARGET: Final[Mapping[TargetState, str]] = {
    "untouched": "the procedure has begun no run on it",
    "changed": "a run of the procedure has begun on it, and it is neither done nor undone",
    "migrated": "migrated and verified",
    "restored": "restored from a backup; no run has begun on it since",
}


@dataclass(frozen=True)
class UnfinishedProcedure(Record):
    """A safe procedure on the target that is running, or ended before its last step.

    The data is that of the journal in the target's ledger; whether the procedure is running, and
    whether its run has begun, is checked.

    Attributes:
        began: when it began, in UTC.
        worker: the process that works on it, or worked on it last.
        at_work: whether a process has the procedure's lock.
        step: the step that was begun last; None before the first.
        step_state: ``running``, also if its process was killed; ``done``, ``failed``,
            ``interrupted`` or ``skipped``.
        step_at: when the step got this state, in UTC.
        application: ``untouched``; ``stopped`` from the moment that the procedure began to stop it;
            ``started``; ``left`` stopped by the configuration.
        stopped: when the procedure began to stop it, in UTC; None if it did not.
        target: ``untouched``, ``changed``, ``migrated`` or ``restored``.
        backup: the first backup, which holds the target before the procedure; None before it is
            made.
        outcome: ``kept``, ``not_restored`` or ``restored`` if it has ended by itself and
            something is left to do; else None.
        commands: what a person can do, as commands; empty while the procedure is running.
    """

    began: str
    worker: str
    at_work: bool
    step: str | None
    step_state: str | None
    step_at: str | None
    application: ApplicationState
    stopped: str | None
    target: TargetState
    backup: str | None
    outcome: str | None
    commands: tuple[str, ...]

    def for_command_line(self, words: str) -> UnfinishedProcedure:
        """The same, with commands for a shell.

        Args:
            words: the options that select the migration on a command line.
        """
        if self.at_work:
            return self
        commands = [f"to go on: pgmigrate safe {words} --resume"]
        if self._can_go_back:
            assert self.backup is not None
            commands.append(f"to go back: pgmigrate restore {words} {shlex.quote(self.backup)}")
        return replace(self, commands=tuple(commands))

    @property
    def _can_go_back(self) -> bool:
        return self.backup is not None and self.target in ("changed", "migrated")

    @printed
    def text(self) -> str:
        """A text for people."""
        who = f"{self.worker} is at work on it" if self.at_work else "no process is at work on it"
        ended = f" (ended as {self.outcome.replace('_', ' ')})" if self.outcome else ""
        return "\n".join(
            [
                f"safe procedure of {self.began}: not at its end{ended}; {who}",
                f"  last step: {self._of_step()}",
                f"  application: {self._of_application()}",
                f"  target: {_OF_TARGET[self.target]}",
                f"  first backup: {self.backup or 'none'}",
                *(f"  {command}" for command in self.commands),
            ]
        )

    def _of_step(self) -> str:
        if self.step is None:
            return "none is begun"
        if self.step_state != "running":
            return f"{self.step}, {self.step_state} at {self.step_at}"
        end = "" if self.at_work else "; its end is not in the journal"
        return f"{self.step}, begun at {self.step_at}{end}"

    def _of_application(self) -> str:
        if self.application == "stopped":
            return (
                f"the procedure began to stop it at {self.stopped}, "
                "and the journal has no start of it since"
            )
        if self.application == "left":
            return f"stopped by the procedure at {self.stopped}, and not started by configuration"
        if self.application == "started":
            return "started by the procedure"
        return "not stopped by the procedure"


def unfinished(journal: Journal, holder: str | None, run: int | None) -> UnfinishedProcedure | None:
    """The unfinished procedure; None if it has reached its end and no process works on it.

    Args:
        journal: its journal in the target's ledger.
        holder: the process that has the procedure's lock, as the target shows it.
        run: the number of the target's last run.
    """
    if not journal.is_open:
        return None
    target = journal.target_state
    if target == "changed" and run == journal.run_before:
        # The run was about to begin.
        target = "untouched"
    name, times = _last(journal.steps)
    found = UnfinishedProcedure(
        began=journal.began,
        worker=journal.holder if holder is None else holder,
        at_work=holder is not None,
        step=name,
        step_state=None if times is None else times.state,
        step_at=None if times is None else times.ended or times.began,
        application=journal.application,
        stopped=journal.stopped,
        target=target,
        backup=journal.backup,
        outcome=journal.outcome,
        commands=(),
    )
    if found.at_work:
        return found
    commands = ["to go on: run_safely(resume=True)"]
    if found._can_go_back:
        commands.append(f"to go back: restore({journal.backup!r})")
    return replace(found, commands=tuple(commands))


def _last(steps: Mapping[str, StepTimes]) -> tuple[str | None, StepTimes | None]:
    """The step that was begun last; times as text sort in the order of time."""
    if not steps:
        return None, None
    return max(steps.items(), key=lambda item: item[1].began)


def from_core(kept: Mapping[str, Any] | None, run: int | None) -> Mapping[str, Any] | None:
    """The unfinished procedure as a mapping, from what the core has read.

    Args:
        kept: the journal's text, and the process that has the lock.
        run: the number of the target's last run.
    """
    if kept is None:
        return None
    journal = Journal.from_text(kept["journal"], "the ledger")
    found = unfinished(journal, kept["holder"], run)
    return None if found is None else found.to_dict()
