"""The safe procedure: checklist, stop, wait, back up, migrate, verify, start, undo on failure.

`Procedure` decides the order of the steps, as a script that `ScriptRunner` runs. What is undone
after a failure, or an interruption, is decided by `recovery.decide`; the first failure is reported.
"""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from pathlib import Path

from pgmigrate._bridge.job import logger
from pgmigrate._journal.journal import Journal, Outcome, now
from pgmigrate._journal.recovery import Decision, LockState, Situation, decide
from pgmigrate._procedure.recorded import Request, Work
from pgmigrate._procedure.report import SafetyReport, SafetyStep
from pgmigrate._procedure.runner import Script, ScriptRunner, Verb
from pgmigrate._procedure.steps import Steps
from pgmigrate._values.wording import calling
from pgmigrate.errors import InterruptedRunError, PgMigrateError, StateError

__all__ = ["Procedure", "Request"]


class Procedure(Steps):
    """One run of the safe procedure.

    Args:
        options: the migration's configuration as the core takes it.
        request: the arguments of the call.
        on_event: called with every event.
    """

    _has_acted = False
    _lock_state: LockState = "held"
    _is_restore_failed = False

    def run(self) -> SafetyReport:
        """Runs it, blocking.

        Raises:
            BaseException: an interruption, or what ``on_event`` raised, after all is undone.
        """
        began = time.monotonic()
        try:
            with calling("run_safely"):
                ScriptRunner(self._options, self._environment, self._event).run(self._script())
        finally:
            self._lock.release()
            self._note(seconds=time.monotonic() - began)
        return self.report()

    async def run_async(self) -> SafetyReport:
        """`run` as an awaitable."""
        began = time.monotonic()
        try:
            with calling("run_safely"):
                await ScriptRunner(self._options, self._environment, self._event).run_async(
                    self._script()
                )
        finally:
            self._lock.release()
            self._note(seconds=time.monotonic() - began)
        return self.report()

    def report(self) -> SafetyReport:
        """What was done so far."""
        return replace(self._came, steps=tuple(self._steps.values()), by_hand=self._by_hand())

    # The order.

    def _script(self) -> Script:
        try:
            yield from self._in_step("checklist", self._do_checklist())
            if self._request.dry_run:
                self._note(status="dry_run")
                return
            yield from self._open_journal()
            yield from self._in_order()
            self._note(status="done")
            yield from self._close("migrated")
        except GeneratorExit:
            raise
        except PgMigrateError as error:
            is_stop = isinstance(error, InterruptedRunError)
            self._note(error=error, status="interrupted" if is_stop else "failed")
            yield from self._undo()
        except BaseException as error:
            self._note(status="failed" if isinstance(error, Exception) else "interrupted")
            yield from self._undo()
            raise

    def _in_order(self) -> Script:
        self._has_acted = True
        if self._stop:
            # Recorded before the step begins, so that a kill in between leaves a record of it.
            self._mark(application="stopped", stopped=now())
            self._note(application="stopped", stopped=None)
        yield from self._in_step("stop", self._do_stop())
        yield from self._in_step("check_stopped", self._do_check_stopped())
        yield from self._in_step("wait_for_writers", self._do_wait())
        yield from self._in_step("backup", self._do_backup())
        self._begin_to_change()
        yield from self._in_step("migrate", self._do_migrate())
        yield from self._in_step("verify", self._do_verify())
        yield from self._in_step("start", self._do_start(self._start))

    # What happens after a failure.

    def _undo(self) -> Script:
        self._is_undoing = True
        if self._request.dry_run:
            self._note(status="dry_run")
            return
        if self._journal is None:
            # Nothing is known about the target, and nothing was done to it.
            return
        yield from self._look_after_lock()
        while (decision := decide(self._situation())).target in ("check", "restore"):
            yield from self._undo_on_target(decision)
        yield from self._undo_on_application(decision)
        self._note_end(decision)
        yield from self._close(self._outcome(decision))

    def _situation(self) -> Situation:
        journal = self._known()
        return Situation(
            lock=self._lock_state,
            target=journal.target_state,
            has_acted=self._has_acted,
            on_failure=self._config["on_failure"],
            has_backup=journal.backup is not None,
            others=self._others,
            restore="failed" if self._is_restore_failed else "not_tried",
            application=journal.application,
            is_start_tried=self._is_start_tried,
            starts_on_failed_restore=self._config["start_on_failed_restore"],
        )

    def _look_after_lock(self) -> Script:
        """Takes a lock again that was lost with the connection, or finds that another has it."""
        if (problem := self._lock.problem()) is None:
            return
        try:
            if isinstance(problem, StateError):
                raise problem
            yield from self._take_lock()
        except StateError:
            self._lock_state = "taken"
        except PgMigrateError as error:
            self._lock_state = "lost"
            logger.warning("the lock of the procedure was not taken again: %s", error)

    def _undo_on_target(self, decision: Decision) -> Script:
        if decision.target == "check":
            about = "check that no others have written to the target since the backup"
            yield from self._in_undo("check_writers", about, self._do_check_writers())
            if self._others == "unchecked":
                self._others = "unknown"
            return
        yield from self._in_undo("restore", "restore the backup", self._do_restore())
        self._is_restore_failed = self._known().target_state != "restored"

    def _undo_on_application(self, decision: Decision) -> Script:
        if decision.application == "start":
            about = self._steps["start"].about
            yield from self._in_undo("start", about, self._do_start(self._start))
        elif decision.application == "start_again":
            if self._config["start_on_failure"] is False:
                self._mark(application="left")
                return
            about = self._with_commands("start the application again", self._start_again)
            yield from self._in_undo("start_again", about, self._do_start(self._start_again))

    def _note_end(self, decision: Decision) -> None:
        if self._lock_state == "taken":
            self._note(target="taken")
        elif self._came.migrated:
            if self._start and self._came.application != "started":
                self._note(status="not_started")
            elif self._came.status == "interrupted":
                # The interruption arrived when everything was already done.
                self._note(status="done")
        elif decision.target == "by_hand" and (self._has_acted or self._lock_state == "lost"):
            self._note(status="not_restored", target="not_restored")

    def _outcome(self, decision: Decision) -> Outcome:
        if decision.target == "keep":
            return "kept"
        if decision.target == "by_hand":
            return "not_restored"
        state = self._known().target_state
        return "untouched" if state == "changed" else state

    def _in_undo(self, name: str, about: str, work: Work) -> Script:
        self._steps[name] = SafetyStep(name, about, "pending", 0.0, "")
        try:
            yield from self._in_step(name, work)
        except GeneratorExit:
            raise
        except BaseException:
            # Only the first failure is raised; the rest has to be undone in any case.
            logger.debug("%s did not end well", name, exc_info=True)

    # The end.

    def _close(self, outcome: Outcome) -> Script:
        """Records how it ended; removes the journal if the target is as it was before."""
        is_known = self._earlier is not None and self._earlier.is_open
        if self._lock_state == "taken" or not (self._is_journal_open or is_known):
            return
        self._mark(outcome=outcome)
        journal = self._known()
        if self._lock_state == "lost":
            self._mark(version=journal.version + 1)
            self._write_mirror(self._known())
        elif journal.is_open or outcome == "migrated":
            yield from self._record(is_needed=False)
            if not journal.is_open and not self._keeps_ledger():
                yield from self._remove(journal, with_ledger=True)
        else:
            self._mark(version=journal.version + 1)
            if self._write_mirror(self._known()):
                yield from self._remove(journal)
            else:
                # The file could not be written and may be out of date, so the ledger keeps it.
                yield from self._record(is_needed=False)

    def _keeps_ledger(self) -> bool:
        return bool((self._options.get("options") or {}).get("keep_ledger", True))

    def _remove(self, journal: Journal, *, with_ledger: bool = False) -> Script:
        settings = {
            "procedure": journal.procedure,
            "with_unused_ledger": journal.made_ledger,
            "with_ledger": with_ledger,
        }
        try:
            yield Verb("remove_journal", settings, is_shielded=True)
        except PgMigrateError as error:
            logger.warning("the journal was not removed from the ledger: %s", error)

    def _by_hand(self) -> tuple[str, ...]:
        """Commands with which a person can continue or undo, if the target was left changed."""
        journal, came = self._journal, self._came
        if journal is None or came.target == "taken":
            return ()
        if not came.touched or came.migrated or came.restored:
            return ()
        return tuple(filter(None, (self._go_on(), self._go_back(journal))))

    def _go_on(self) -> str:
        request = self._request
        if not request.words:
            return "to go on: run_safely(resume=True)"
        return f"to go on: pgmigrate safe {request.words} {request.files} --resume"

    def _go_back(self, journal: Journal) -> str:
        if journal.backup is None:
            return ""
        if not self._request.words:
            return f"to go back: restore({str(Path(journal.backup))!r})"
        path = shlex.quote(journal.backup)
        return f"to go back: pgmigrate restore {self._request.words} {path}"
