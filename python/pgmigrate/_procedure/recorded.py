"""The state of a procedure while it runs: its configuration, report, lock and journal.

Every step after the checklist writes an entry of the journal when it begins and when it ends. The
steps themselves are in `steps`, and their order in `procedure`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from pgmigrate import _native
from pgmigrate._bridge.job import logger
from pgmigrate._journal.journal import (
    Journal,
    StepTimes,
    begun,
    file_of,
    now,
    read_file,
    reconciled,
    write_file,
)
from pgmigrate._procedure.command import Command, CommandEnvironment
from pgmigrate._procedure.lock import ProcedureLock
from pgmigrate._procedure.redaction import hiding
from pgmigrate._procedure.report import SafetyReport, SafetyStep
from pgmigrate._procedure.runner import Action, Pause, Script, TakeLock, Verb
from pgmigrate._results.plan import Plan
from pgmigrate._results.status import Status
from pgmigrate._values.humanize import duration
from pgmigrate._values.wording import action
from pgmigrate.errors import PgMigrateError, StateError
from pgmigrate.events import Event, OnEvent, ProcedureStepEvent

# How long the sessions of a killed procedure may still be active.
_SECONDS_TO_LINGER: Final = 60.0
_SECONDS_BETWEEN_CHECKS: Final = 1.0
EXPECTED: Final[Mapping[str, str]] = {
    "success": "must succeed",
    "failure": "must fail",
    "no_output": "must print nothing",
}
NO_COMMAND: Final = "no command is configured"
NO_BACKUP: Final = "not configured: after a failure nothing can be restored"
UNFINISHED: Final = ("running", "interrupted", "failed")

Work: TypeAlias = Generator[Action, Any, str]
"""The script of a step; it returns a note."""


class Skipped(Exception):  # noqa: N818
    """Ends a step that has nothing to do; its message is the reason."""


@dataclass(frozen=True)
class Request:
    """The arguments of a call, as `Migration.run_safely` documents them.

    Attributes:
        is_of_file: whether the plan was read from the plan file; a resumed run may have another.
        words: the options that select the migration on a command line; empty without one.
        files: the options that name its files on that command line, as they were given.
    """

    plan: Plan | None = None
    resume: bool = False
    jobs: int | None = None
    state: str | None = None
    plan_file: str | None = None
    dry_run: bool = False
    on_drift: str = "warn"
    is_of_file: bool = False
    words: str = ""
    files: str = ""


class Recorded:
    """What the steps of a procedure share.

    Args:
        options: the migration's configuration as the core takes it.
        request: the arguments of the call.
        on_event: called with every event.
    """

    def __init__(
        self, options: Mapping[str, Any], request: Request, on_event: OnEvent | None
    ) -> None:
        self._options, self._request, self._on_event = options, request, on_event
        self._config = _native.procedure(options)
        hide, env = _native.Redaction(options).hide, self._config["env"]
        # For the output of commands, and for pgmigrate's own messages.
        self._hide, self._hide_in_words = hiding(hide, env), hiding(hide, env, short=False)
        self._environment = CommandEnvironment(
            Path(self._config["cwd"]), env, self._hide, self._log_output
        )
        self._stop = _commands(self._config["stop"])
        self._checks = _commands(self._config["check_stopped"])
        self._start = _commands(self._config["start"])
        again = self._config["start_on_failure"]
        self._start_again = self._start if again is True else _commands(again or ())
        self._lock = ProcedureLock(options)
        self._mirror = file_of(request.state)
        self._status: Status | None = None
        self._earlier: Journal | None = None
        self._journal: Journal | None = None
        # The version of the journal in the target's ledger; None if it has none to compare with.
        self._ledger_version: int | None = None
        self._is_journal_open = False
        self._resume = request.resume
        self._plan = request.plan
        # A resume was requested, but no run was begun.
        self._begins = False
        self._step = ""
        self._is_undoing = False
        self._is_written_to = False
        self._is_start_tried = False
        self._came = SafetyReport(
            status="interrupted",
            seconds=0.0,
            steps=(),
            checklist=None,
            report=None,
            verification=None,
            backup=None,
            touched=False,
            migrated=False,
            restored=False,
            application="untouched",
            error=None,
            target="unknown",
            continued=None,
            stopped=None,
            by_hand=(),
            others=(),
        )
        self._steps = {
            name: SafetyStep(name, about, "pending", 0.0, self._missing(name))
            for name, about in self._planned()
        }

    def _planned(self) -> Iterable[tuple[str, str]]:
        wait = self._config["wait_for_writers"]
        yield "checklist", "check what would hinder the migration"
        yield "stop", self._with_commands("stop the application", self._stop)
        yield "check_stopped", self._with_commands("check that it is stopped", self._checks)
        yield (
            "wait_for_writers",
            f"wait until no session writes to source and target, at most {wait} s",
        )
        yield "backup", "back up the target"
        yield "migrate", "go on with the migration" if self._request.resume else "migrate"
        yield "verify", "compare source and target"
        yield "start", self._with_commands("start the application", self._start)

    def _missing(self, name: str) -> str:
        """The missing configuration because of which a step does nothing; else empty."""
        if name == "backup":
            return "" if self._config["backup"] else NO_BACKUP
        commands = {"stop": self._stop, "check_stopped": self._checks, "start": self._start}
        return "" if commands.get(name, True) else NO_COMMAND

    def _with_commands(self, about: str, commands: Iterable[Command]) -> str:
        shown = [self._command_words(command) for command in commands]
        return f"{about}: {', then '.join(shown)}" if shown else about

    def _command_words(self, command: Command) -> str:
        words = [self._shown(command)]
        if command.is_for_shell:
            words.append("by /bin/sh")
        if command.expect:
            words.append(EXPECTED[command.expect])
        if command.timeout:
            words.append(f"within {command.timeout:g} s")
        return " ".join(words)

    def _shown(self, command: Command) -> str:
        return f"`{self._hide(command.shown)}`"

    # Steps, one after another, each with its entries in the journal.

    def _in_step(self, name: str, work: Work) -> Script:
        self._step = name
        began = time.monotonic()
        self._set(name, "running", began)
        state, note = "done", ""
        failure: BaseException | None = None
        try:
            self._check_lock()
            yield from self._record_step(name, "running")
            note = yield from work
        except Skipped as reason:
            state, note = "skipped", str(reason)
        except GeneratorExit:
            raise
        except PgMigrateError as error:
            state, note, failure = "failed", self._hide_in_words(str(error)), error
        except BaseException as error:
            state, failure = "interrupted", error
        yield from self._record_step(name, state, is_needed=failure is None)
        self._set(name, state, began, note)
        if failure is not None:
            raise failure

    def _set(self, name: str, state: str, began: float, note: str = "") -> None:
        seconds = time.monotonic() - began
        step = replace(self._steps[name], state=state, seconds=seconds, note=note)
        self._steps[name] = step
        if state == "running":
            logger.info("%s: %s", name, step.about)
        else:
            level = logging.ERROR if state in ("failed", "interrupted") else logging.INFO
            after = f": {note}" if note else ""
            logger.log(level, "%s: %s after %s%s", name, state, duration(seconds), after)
        event = {"event": "procedure_step", **step.to_dict()}
        self._event(cast("ProcedureStepEvent", event))

    def _event(self, event: Event) -> None:
        if event["event"] == "step_started" and event["step"] == "ledger":
            # The ledger is the first thing that a run writes on the target.
            self._is_written_to = True
        self._check_lock()
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except BaseException:
            # It is not called again, so that it cannot prevent the undo.
            self._on_event = None
            if not self._is_undoing:
                raise

    def _check_lock(self) -> None:
        """Raises if the lock was lost: another procedure may have begun on the target."""
        if not self._is_undoing and (problem := self._lock.problem()) is not None:
            raise problem

    def _note(self, **changes: Any) -> None:
        self._came = replace(self._came, **changes)

    def _log_output(self, line: str) -> None:
        logger.info("%s | %s", self._step, line)

    # The journal.

    def _read_journal(self) -> Script:
        """Reads what earlier procedures have left, and continues the journal from there."""
        kept = yield from self._when_at_rest()
        found = kept["journal"]
        ledger = None if found is None else Journal.from_text(found["journal"], "the ledger")
        mirror = read_file(self._mirror)
        if mirror is not None and mirror.target != kept["target"]:
            if mirror.is_open:
                raise StateError(
                    f"{self._mirror} is the journal of a procedure on another target that is "
                    "not at its end",
                    name="journal_of_other_target",
                    remedy="name another state file, next to which the journal is written",
                )
            mirror = None
        earlier = self._checked(reconciled(ledger, mirror, self._mirror))
        self._earlier = earlier
        journal = begun(kept["target"], earlier)
        if earlier is None or earlier.procedure != journal.procedure:
            journal = replace(journal, made_ledger=not kept["has_ledger"])
        self._journal = journal
        self._note_earlier(journal)

    def _when_at_rest(self) -> Generator[Action, Any, Mapping[str, Any]]:
        """The journal on the target, once no session of a killed procedure is active there."""
        deadline = time.monotonic() + _SECONDS_TO_LINGER
        while True:
            kept: Mapping[str, Any] = yield Verb("read_journal", {})
            found = kept["journal"]
            is_run_ending = kept["is_run_active"] and found is not None and found["outcome"] is None
            is_at_rest = not kept["is_being_restored"] and not is_run_ending
            if is_at_rest or self._request.dry_run:
                # Read last, because a session that was still active may have begun a run.
                self._status = Status._from_core((yield Verb("status", {})))
                return kept
            if time.monotonic() >= deadline:
                raise StateError(
                    "a run or a restore of pgmigrate is active on the target",
                    name="run_active",
                    remedy=f"wait for its end, or stop it with {action('stop')}",
                )
            yield Pause(_SECONDS_BETWEEN_CHECKS)

    def _checked(self, earlier: Journal | None) -> Journal | None:
        """The journal, corrected if the ledger shows that the expected run has not begun."""
        if earlier is None or earlier.target_state != "changed" or self._status is None:
            return earlier
        has_begun = self._status.run != earlier.run_before
        return earlier if has_begun else replace(earlier, target_state="untouched")

    def _note_earlier(self, journal: Journal) -> None:
        """Reports what the journal records about target and application."""
        assert self._status is not None
        is_half_done = self._status.state in UNFINISHED and journal.target_state == "untouched"
        is_going_on = self._earlier is not None and self._earlier.is_open
        self._note(
            touched=journal.target_state in ("changed", "migrated"),
            target="half_done" if is_half_done else journal.target_state,
            application="stopped" if journal.application == "stopped" else "untouched",
            backup=journal.backup,
            continued=journal.began if is_going_on else None,
            stopped=journal.stopped,
        )

    def _open_journal(self) -> Script:
        """Writes the first entry, before anything is stopped."""
        assert self._journal is not None and self._status is not None
        self._is_journal_open = True
        changes: dict[str, Any] = {}
        if self._journal.target_state == "untouched":
            plan_file = self._request.plan_file
            changes["run_before"] = self._status.run
            changes["plan_file"] = None if plan_file is None else str(Path(plan_file).absolute())
        self._mark(**changes)
        yield from self._record(is_needed=True, create=True)

    def _mark(self, **changes: Any) -> None:
        """Changes the contents of the next entry."""
        if self._journal is not None:
            self._journal = replace(self._journal, **changes)

    def _record_step(self, name: str, state: str, *, is_needed: bool = True) -> Script:
        if self._journal is None or not self._is_journal_open:
            return
        earlier = self._journal.steps.get(name)
        began = now() if state == "running" or earlier is None else earlier.began
        times = StepTimes(state, began, None if state == "running" else now())
        self._mark(steps={**self._journal.steps, name: times})
        # A finished migration is not undone only because its entry cannot be written.
        is_needed = is_needed and not self._is_undoing and not self._came.migrated
        yield from self._record(is_needed=is_needed)

    def _record(self, *, is_needed: bool, create: bool = False) -> Script:
        """Writes an entry: into the ledger, and then into the file."""
        assert self._journal is not None
        journal = self._journal = replace(self._journal, version=self._journal.version + 1)
        settings = {"journal": journal.to_row(), "before": self._ledger_version, "create": create}
        try:
            yield Verb("write_journal", settings, is_shielded=True)
            self._ledger_version = journal.version
        except PgMigrateError as error:
            if is_needed:
                raise
            logger.warning("the journal was not written into the ledger: %s", error)
        self._write_mirror(journal)

    def _write_mirror(self, journal: Journal) -> bool:
        try:
            write_file(self._mirror, journal)
        except OSError as error:
            logger.warning("the journal was not written into its file: %s", error.strerror)
            return False
        return True

    def _take_lock(self) -> Script:
        if not self._request.dry_run:
            yield TakeLock(self._lock)


def _commands(mappings: Iterable[Mapping[str, Any]]) -> tuple[Command, ...]:
    return tuple(map(Command.from_mapping, mappings))
