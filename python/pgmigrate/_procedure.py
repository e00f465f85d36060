"""The safe procedure: checklist, stop, wait, back up, migrate, verify, start, and back on failure.

`Procedure` decides what comes next, as a script that `Performer` carries out. What is undone after
a failure, or an interruption, is decided by the configuration; the first failure is what is told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from pgmigrate import _native
from pgmigrate._actions import Action, Execute, Pause, Performer, Script, Verb
from pgmigrate._checklist import Checklist, ChecklistItem
from pgmigrate._command import Command, Surroundings
from pgmigrate._job import Event, OnEvent, logger
from pgmigrate._model import Finding
from pgmigrate._plan import Plan
from pgmigrate._report import Report
from pgmigrate._results import BackupResult, PreflightResult, RestoreResult, Status
from pgmigrate._safety import SafetyReport, SafetyStep
from pgmigrate._text import duration, plural, size
from pgmigrate._verification import VerifyResult
from pgmigrate.errors import (
    CommandError,
    InterruptedRunError,
    PgMigrateError,
    PreflightError,
    StateError,
)

_SECONDS_BETWEEN_CHECKS: Final = 1.0
# A shorter value of a variable is rather a name or a number, and a part of many words.
_SHORTEST_SECRET: Final = 6
_LOGGED: Final = "its output is in the log"
_EXPECTED: Final[Mapping[str, str]] = {
    "success": "must succeed",
    "failure": "must fail",
    "no_output": "must print nothing",
}

Work: TypeAlias = Generator[Action, Any, str]
"""A step at work; it gives a note."""


class _Skipped(Exception):  # noqa: N818
    """Ends a step that has nothing to do; says why."""


@dataclass(frozen=True)
class Wish:
    """What a call asks for, as `Migration.run_safely` documents it."""

    plan: Plan | None = None
    resume: bool = False
    jobs: int | None = None
    state: str | None = None
    plan_file: str | None = None
    dry_run: bool = False


class Procedure:
    """One run of the safe procedure.

    Args:
        options: the migration's configuration as the core takes it.
        wish: what the call asks for.
        on_event: called with every event.
    """

    def __init__(self, options: Mapping[str, Any], wish: Wish, on_event: OnEvent | None) -> None:
        self._options, self._wish, self._on_event = options, wish, on_event
        self._config = _native.procedure(options)
        self._hide = _hiding(_native.Mask(options).hide, self._config["env"])
        self._around = Surroundings(
            Path(self._config["cwd"]), self._config["env"], self._hide, self._log_output
        )
        self._stop = _commands(self._config["stop"])
        self._checks = _commands(self._config["check_stopped"])
        self._start = _commands(self._config["start"])
        again = self._config["start_on_failure"]
        self._start_again = self._start if again is True else _commands(again or ())
        self._began = time.monotonic()
        self._seconds = 0.0
        self._step = ""
        self._is_undoing = False
        self._is_written_to = False
        self._is_start_tried = False
        self._quiet: Mapping[str, Any] = {}
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
        )
        self._steps = {
            name: SafetyStep(name, about, "pending", 0.0, "") for name, about in self._planned()
        }

    def run(self) -> SafetyReport:
        """Runs it, blocking.

        Raises:
            BaseException: an interruption, or what ``on_event`` raised, after all is undone.
        """
        try:
            Performer(self._options, self._around, self._event).run(self._script())
        finally:
            self._seconds = time.monotonic() - self._began
        return self.report()

    async def run_async(self) -> SafetyReport:
        """`run` as an awaitable."""
        try:
            await Performer(self._options, self._around, self._event).run_async(self._script())
        finally:
            self._seconds = time.monotonic() - self._began
        return self.report()

    def report(self) -> SafetyReport:
        """What was done so far."""
        steps = tuple(self._steps.values())
        return replace(self._came, seconds=self._seconds, steps=steps)

    def _planned(self) -> Iterable[tuple[str, str]]:
        wait = self._config["wait_for_writers"]
        yield "checklist", "check what would hinder the migration"
        yield "stop", self._with_commands("stop the application", self._stop)
        yield "check_stopped", self._with_commands("check that it is stopped", self._checks)
        yield "wait_for_writers", f"wait until nobody writes to source and target, at most {wait} s"
        yield "backup", "back up the target"
        yield "migrate", "go on with the migration" if self._wish.resume else "migrate"
        yield "verify", "compare source and target"
        yield "start", self._with_commands("start the application", self._start)

    def _with_commands(self, about: str, commands: Iterable[Command]) -> str:
        shown = [self._hide(self._command_words(command)) for command in commands]
        return f"{about}: {', then '.join(shown)}" if shown else about

    def _command_words(self, command: Command) -> str:
        words = [f"`{command.shown}`"]
        if command.is_for_shell:
            words.append("by /bin/sh")
        if command.expect:
            words.append(_EXPECTED[command.expect])
        if command.timeout:
            words.append(f"within {command.timeout:g} s")
        return " ".join(words)

    # The order, and what happens after a failure.

    def _script(self) -> Script:
        try:
            yield from self._in_step("checklist", self._do_checklist())
            if self._wish.dry_run:
                self._tell(status="dry_run")
                return
            yield from self._in_step("stop", self._do_stop())
            yield from self._in_step("check_stopped", self._do_check_stopped())
            yield from self._in_step("wait_for_writers", self._do_wait())
            yield from self._in_step("backup", self._do_backup())
            yield from self._in_step("migrate", self._do_migrate())
            yield from self._in_step("verify", self._do_verify())
            yield from self._in_step("start", self._do_start(self._start))
            self._tell(status="done")
        except GeneratorExit:
            raise
        except PgMigrateError as error:
            is_stop = isinstance(error, InterruptedRunError)
            self._tell(error=error, status="interrupted" if is_stop else "failed")
            yield from self._undo()
        except BaseException as error:
            self._tell(status="failed" if isinstance(error, Exception) else "interrupted")
            yield from self._undo()
            raise

    def _undo(self) -> Script:
        self._is_undoing = True
        if self._wish.dry_run:
            self._tell(status="dry_run")
        if self._came.migrated:
            if not self._is_start_tried:
                about = self._steps["start"].about
                yield from self._in_undo("start", about, self._do_start(self._start))
            if self._start and self._came.application != "started":
                self._tell(status="not_started")
            elif self._came.status == "interrupted":
                # It came too late to keep anything from being done.
                self._tell(status="done")
            return
        if self._came.touched and self._config["on_failure"] == "restore":
            yield from self._in_undo("restore", "restore the backup", self._do_restore())
        if self._came.application == "stopped" and self._config["start_on_failure"] is not False:
            about = self._with_commands("start the application again", self._start_again)
            yield from self._in_undo("start_again", about, self._do_start(self._start_again))

    def _in_undo(self, name: str, about: str, work: Work) -> Script:
        self._steps[name] = SafetyStep(name, about, "pending", 0.0, "")
        try:
            yield from self._in_step(name, work)
        except GeneratorExit:
            raise
        except BaseException:
            # The first failure is what is raised, and the rest has to be undone nevertheless.
            logger.debug("%s did not end well", name, exc_info=True)

    def _in_step(self, name: str, work: Work) -> Script:
        self._step = name
        began = time.monotonic()
        self._set(name, "running", began)
        try:
            note = yield from work
        except _Skipped as reason:
            self._set(name, "skipped", began, str(reason))
        except GeneratorExit:
            raise
        except PgMigrateError as error:
            self._set(name, "failed", began, self._hide(str(error)))
            raise
        except BaseException:
            self._set(name, "interrupted", began)
            raise
        else:
            self._set(name, "done", began, note)

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
        self._event({"event": "procedure_step", **step.to_dict()})

    def _event(self, event: Event) -> None:
        if event["event"] == "step_started" and event["step"] == "ledger":
            # The first that a run writes on the target.
            self._is_written_to = True
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except BaseException:
            # It is not asked to see the rest, and does not keep anything from being undone.
            self._on_event = None
            if not self._is_undoing:
                raise

    def _tell(self, **changes: Any) -> None:
        self._came = replace(self._came, **changes)

    def _log_output(self, line: str) -> None:
        logger.info("%s | %s", self._step, line)

    # The steps.

    def _do_checklist(self) -> Work:
        mapping = yield Verb("preflight", {"resume": self._wish.resume, "verify": True})
        preflight = PreflightResult.from_mapping(mapping)
        checklist = Checklist.of(preflight, self._own_items(), self._config["checklist"])
        self._tell(checklist=checklist)
        blocking = [
            finding
            for item in checklist.items
            for finding in item.findings
            if finding.severity == "blocking"
        ]
        if blocking:
            named = "; ".join(finding.words() for finding in blocking)
            raise PreflightError(f"the checklist forbids the procedure: {named}", findings=blocking)
        status = Status.from_mapping((yield Verb("status", {})))
        self._check_ledger(status)
        return checklist.summary()

    def _own_items(self) -> list[ChecklistItem]:
        about = "the commands of the procedure can be started"
        commands = (*self._stop, *self._checks, *self._start, *self._start_again)
        problems = dict.fromkeys(filter(None, map(self._around.problem, commands)))
        found = tuple(
            Finding("procedure_command", "blocking", "", problem, "correct the section procedure")
            for problem in problems
        )
        return [ChecklistItem("procedure_command", about, "blocking" if found else "ok", found)]

    def _check_ledger(self, status: Status) -> None:
        """Finds out before the application is stopped what would end the run later."""
        if self._wish.resume and status.state == "none":
            raise StateError(
                "there is nothing to resume: the target has no ledger", remedy="run without resume"
            )
        if not self._wish.resume and status.state in ("running", "interrupted", "failed"):
            raise StateError(
                f"the last run on this target is {status.state}",
                remedy="go on with it by resume, or forget it with cleanup",
            )

    def _do_stop(self) -> Work:
        if not self._stop:
            raise _Skipped("no command is configured")
        # It may be between two restarts, so that this is no reason not to stop it.
        was_stopped = bool(self._checks) and not (yield from self._unmet())
        self._tell(application="stopped")
        notes = ["the application was stopped already"] if was_stopped else []
        for command in self._stop:
            try:
                yield from self._execute(command)
            except CommandError as error:
                if not was_stopped or (yield from self._unmet()):
                    raise
                notes.append(error.message)
        return "; ".join(notes)

    def _do_check_stopped(self) -> Work:
        if not self._checks:
            raise _Skipped("no command is configured")
        deadline = time.monotonic() + self._config["wait_for_writers"]
        while problem := (yield from self._unmet()):
            if time.monotonic() >= deadline:
                raise CommandError(
                    f"the application is not stopped: {problem}",
                    remedy="end it, and whatever starts it again, or raise "
                    "procedure.wait_for_writers",
                )
            yield Pause(_SECONDS_BETWEEN_CHECKS)
        return ""

    def _unmet(self) -> Work:
        """Why a check does not show that the application is stopped; empty where all do."""
        for command in self._checks:
            ended = yield Execute(command)
            if not ended.is_as_expected:
                wanted = _EXPECTED[command.expect]
                return self._hide(f"`{command.shown}` {wanted}, and {ended.text()}")
        return ""

    def _do_wait(self) -> Work:
        quiet = yield Verb("wait_for_writers", {})
        self._quiet = quiet["source"]
        waited = [f"waited for {name}" for name in quiet["waited_for"]]
        return "; ".join([*waited, *quiet["notes"]])

    def _do_backup(self) -> Work:
        if not self._config["backup"]:
            raise _Skipped("not configured")
        made = BackupResult.from_mapping((yield Verb("backup", {})))
        self._tell(backup=made.path)
        return f"{made.path} ({size(made.bytes)}, {plural(made.entries, 'object')}), read back"

    def _do_migrate(self) -> Work:
        wish = self._wish
        settings = {
            "plan": None if wish.plan is None else wish.plan.source,
            "plan_file": wish.plan_file,
            "resume": wish.resume,
            "jobs": wish.jobs,
            "state": wish.state,
            # Both are steps of their own.
            "backup": False,
            "verify": False,
        }
        # An interruption can keep events from us, and nothing but the lack of one says "untouched".
        self._tell(touched=True)
        listener = self._on_event
        try:
            mapping = yield Verb("run", settings)
        except InterruptedRunError:
            raise
        except PgMigrateError:
            if self._on_event is listener:
                # The core's own failure: every event came before it.
                self._tell(touched=self._is_written_to)
            raise
        report = Report.from_mapping(mapping)
        self._tell(report=report)
        report.raise_for_failures()
        done = sum(phase.done for phase in report.phases)
        return (
            f"{plural(done, 'task')}, {plural(sum(phase.rows for phase in report.phases), 'row')}"
        )

    def _do_verify(self) -> Work:
        plan = self._wish.plan
        if plan is None and self._wish.plan_file is not None:
            plan = Plan.load(self._wish.plan_file)
        settings = {"plan": None if plan is None else plan.source, "jobs": self._wish.jobs}
        verification = VerifyResult.from_mapping((yield Verb("verify", settings)))
        self._tell(verification=verification)
        verification.raise_for_differences()
        yield Verb("quiet_since", self._quiet)
        self._tell(migrated=True)
        return f"{plural(len(verification.tables), 'table')} equal"

    def _do_start(self, commands: Iterable[Command]) -> Work:
        if not commands:
            raise _Skipped("no command is configured")
        for command in commands:
            self._is_start_tried = True
            yield from self._execute(command, is_shielded=True)
        self._tell(application="started")
        return ""

    def _do_restore(self) -> Work:
        restored = yield Verb("restore", {"path": self._came.backup}, is_shielded=True)
        self._tell(restored=True)
        return RestoreResult.from_mapping(restored).message

    def _execute(self, command: Command, *, is_shielded: bool = False) -> Script:
        ended = yield Execute(command, is_shielded)
        if not ended.is_as_expected:
            raise CommandError(self._hide(f"`{command.shown}` {ended.text()}"), remedy=_LOGGED)


def _hiding(hide: Callable[[str], str], env: Mapping[str, str]) -> Callable[[str], str]:
    """What takes the passwords that `hide` knows out of a text, and the values of `env`."""
    lines = {line for value in env.values() for line in (value, *value.splitlines())}
    # Of a value with a password in it, only the rest is left by then.
    found = {known for line in lines for known in (line, hide(line))}
    # The longest first, for a short one may be a part of it.
    values = sorted((value for value in found if len(value) >= _SHORTEST_SECRET), key=len)[::-1]

    def hide_all(text: str) -> str:
        text = hide(text)
        for value in values:
            text = text.replace(value, "***")
        return text

    return hide_all


def _commands(mappings: Iterable[Mapping[str, Any]]) -> tuple[Command, ...]:
    return tuple(map(Command.from_mapping, mappings))
