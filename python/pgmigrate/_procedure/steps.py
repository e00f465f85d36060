"""The steps of the safe procedure, from the checklist to the start of the application.

Each step is a script that `ScriptRunner` runs; `procedure` decides which step is next and what is
done after a failure.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pgmigrate import _native
from pgmigrate._bridge.files import why_no_folder, why_unwritable
from pgmigrate._bridge.job import logger, outcome_of
from pgmigrate._journal.journal import Journal
from pgmigrate._journal.recovery import OthersState
from pgmigrate._procedure.checklist import Checklist, ChecklistItem
from pgmigrate._procedure.command import Command
from pgmigrate._procedure.recorded import (
    EXPECTED,
    NO_BACKUP,
    NO_COMMAND,
    UNFINISHED,
    Recorded,
    Skipped,
    Work,
)
from pgmigrate._procedure.redaction import HIDDEN_EVERYWHERE, hidden_in_part
from pgmigrate._procedure.runner import Execute, Pause, Script, Verb
from pgmigrate._results.backup import BackupResult, RestoreResult
from pgmigrate._results.plan import Plan
from pgmigrate._results.preflight import PreflightResult
from pgmigrate._results.report import Report
from pgmigrate._results.verification import VerifyResult
from pgmigrate._values.finding import Finding
from pgmigrate._values.humanize import plural, size
from pgmigrate._values.wording import Action, action
from pgmigrate.errors import (
    CommandError,
    DriftError,
    InterruptedRunError,
    PgMigrateError,
    PreflightError,
    StateError,
    VerifyError,
)

_SECONDS_BETWEEN_CHECKS: Final = 1.0


class Steps(Recorded):
    """The steps of a procedure."""

    _quiet: Mapping[str, Any]
    _others: OthersState = "unchecked"

    def _known(self) -> Journal:
        """The journal, which every step after the checklist has."""
        assert self._journal is not None
        return self._journal

    def _do_checklist(self) -> Work:
        yield from self._take_lock()
        yield from self._read_journal()
        self._choose_run()
        mapping = yield Verb("preflight", {"resume": self._resume, "verify": True})
        preflight = PreflightResult.from_mapping(mapping)
        checklist = Checklist.of(preflight, self._own_items(), self._config["checklist"])
        self._note(checklist=checklist)
        blocking = [
            finding
            for item in checklist.items
            for finding in item.findings
            if finding.severity == "blocking"
        ]
        if blocking:
            named = "; ".join(finding.words() for finding in blocking)
            raise PreflightError(
                f"the checklist forbids the procedure: {named}",
                name="preflight_blocked",
                findings=blocking,
            )
        self._check_ledger()
        yield from self._check_plan()
        going_on = self._came.continued
        note = f"; going on with the procedure of {going_on}" if going_on else ""
        return checklist.summary() + note

    def _choose_run(self) -> None:
        """Decides whether the run on a changed target is resumed, and with which plan."""
        assert self._status is not None
        if self._known().target_state == "changed":
            self._resume = self._status.state in UNFINISHED
        if self._resume and self._status.state == "none":
            # No run was begun, so `--resume` begins one; a state file may list finished work.
            self._resume, self._begins = False, True
        if self._resume and (self._plan is None or self._request.is_of_file):
            self._plan = self._plan_in_file(self._status.plan)

    def _plan_in_file(self, fingerprint: str | None) -> Plan | None:
        """The plan of the resumed run, if its file still holds it; the ledger has it, too."""
        path = self._plan_path()
        if path is None or not Path(path).exists():
            return None
        plan = Plan.load(path)
        return plan if plan.header["fingerprint"] == fingerprint else None

    def _plan_path(self) -> str | None:
        """The plan file: that of the continued procedure, if it still exists."""
        earlier = self._known().plan_file
        return earlier if earlier and Path(earlier).exists() else self._request.plan_file

    def _own_items(self) -> list[ChecklistItem]:
        about = "the commands of the procedure can be started"
        commands = (*self._stop, *self._checks, *self._start, *self._start_again)
        problems = dict.fromkeys(filter(None, map(self._environment.problem, commands)))
        found = tuple(
            Finding("procedure_command", "blocking", "", problem, "correct the section procedure")
            for problem in problems
        )
        state = "blocking" if found else "ok"
        commands_item = ChecklistItem("procedure_command", about, state, found)
        return [commands_item, self._files_item(), self._variables_item()]

    def _variables_item(self) -> ChecklistItem:
        found = tuple(
            Finding(
                "procedure_env",
                "warning",
                name,
                f"the value of procedure.env.{name} has fewer than {HIDDEN_EVERYWHERE} characters: "
                "in the output of commands it is hidden only where no letter or digit is next to "
                "it",
                "if it is a secret, use a longer one",
            )
            for name in hidden_in_part(self._config["env"])
        )
        about = "the values of procedure.env are long enough to be hidden in the output of commands"
        return ChecklistItem("procedure_env", about, "warning" if found else "ok", found)

    def _files_item(self) -> ChecklistItem:
        """Checks before the application is stopped that all files can be written later."""
        request = self._request
        plan = None if self._resume else request.plan_file
        mirror = None if self._mirror is None else str(self._mirror)
        files: tuple[tuple[str, str | None, Action], ...] = (
            ("the plan file", plan, "plan_file"),
            ("the state file", request.state, "state_file"),
            ("the journal of the procedure", mirror, "state_file"),
        )
        problems = [
            (
                f"{what} {path} cannot be written: {reason}",
                f"name another one with {action(option)}",
            )
            for what, path, option in files
            if path is not None and (reason := why_unwritable(Path(path)))
        ]
        folder = _native.config(self._options)["options"]["backup_dir"]
        if self._config["backup"] and (reason := why_no_folder(Path(folder))):
            message = f"no backup can be made in the folder {folder}: {reason}"
            problems.append((message, "name another one by options.backup_dir"))
        found = tuple(
            Finding("output_files", "blocking", "", message, remedy) for message, remedy in problems
        )
        about = "the files that the procedure makes can be written"
        return ChecklistItem("output_files", about, "blocking" if found else "ok", found)

    def _check_plan(self) -> Script:
        """Checks before the application is stopped that the plan is up to date."""
        if self._request.on_drift != "refuse" or self._plan is None or self._resume:
            return
        now = Plan.from_mapping((yield Verb("plan", {"plan": self._plan.source})))
        found = self._plan.diff(now)
        if not found.same:
            lines = [*found.basis, *(one.text() for one in found.changes)]
            raise DriftError(
                f"the plan is not the one that would be made now: {found.headline()}",
                name="plan_differs",
                problems=lines,
                remedy="make a new plan, or accept the differences",
            )

    def _check_ledger(self) -> None:
        """Checks before the application is stopped for what would end the run later."""
        assert self._status is not None
        state = self._status.state
        if self._known().target_state != "untouched":
            return
        if not self._resume and state in UNFINISHED:
            raise StateError(
                f"the last run on this target is {state}",
                name="run_not_finished",
                remedy=f"{action('resume')}, or discard it with {action('cleanup')}",
            )

    def _do_stop(self) -> Work:
        if not self._stop:
            raise Skipped(NO_COMMAND)
        # Stopped in any case: the application may just be between two restarts.
        was_stopped = bool(self._checks) and not (yield from self._unmet())
        notes = ["the application was stopped already"] if was_stopped else []
        earlier = self._earlier.stopped if self._earlier is not None else None
        for command in self._stop:
            try:
                yield from self._execute(command)
            except CommandError as error:
                if not (was_stopped or earlier) or (yield from self._unmet()):
                    raise
                notes.append(error.message)
                if not was_stopped:
                    notes.append(f"an earlier procedure has stopped the application at {earlier}")
        return "; ".join(notes)

    def _do_check_stopped(self) -> Work:
        if not self._checks:
            raise Skipped(NO_COMMAND)
        deadline = time.monotonic() + self._config["wait_for_writers"]
        while problem := (yield from self._unmet()):
            if time.monotonic() >= deadline:
                raise self._not_stopped(problem)
            yield Pause(_SECONDS_BETWEEN_CHECKS)
        return ""

    def _not_stopped(self, problem: str) -> CommandError:
        return CommandError(
            f"the application is not stopped: {problem}",
            name="application_not_stopped",
            remedy="end it, and whatever starts it again, or raise procedure.wait_for_writers",
        )

    def _still_stopped(self) -> Script:
        """Checks again: something may have started the application meanwhile."""
        if problem := (yield from self._unmet()):
            raise self._not_stopped(problem)

    def _unmet(self) -> Work:
        """The check that does not show a stopped application, and why; empty if all checks do."""
        for command in self._checks:
            ended = yield Execute(command)
            if not ended.is_as_expected:
                wanted = EXPECTED[command.expect]
                return f"{self._shown(command)} {wanted}, and {ended.text()}"
        return ""

    def _do_wait(self) -> Work:
        quiet = yield Verb("wait_for_writers", {})
        self._quiet = quiet["source"]
        if self._known().target_state == "untouched":
            # If the target already has rows of a run, they are compared with the first count.
            self._mark(source=self._quiet)
        waited = [f"waited for {name}" for name in quiet["waited_for"]]
        return "; ".join([*waited, *quiet["notes"]])

    def _do_backup(self) -> Work:
        journal = self._known()
        if journal.target_state != "untouched":
            raise Skipped(_instead_of_backup(journal))
        if not self._config["backup"]:
            raise Skipped(NO_BACKUP)
        yield from self._still_stopped()
        # Read before the backup begins, so that a write that the backup lacks is noticed.
        counters = yield Verb("target_counters", {})
        made = BackupResult.from_mapping((yield Verb("backup", {})))
        self._mark(backup=str(Path(made.path).absolute()), counters=counters)
        self._note(backup=made.path)
        return f"{made.path} ({size(made.bytes)}, {plural(made.entries, 'object')}), read back"

    def _begin_to_change(self) -> None:
        """Records that from here on the run may change the target."""
        if self._known().target_state == "untouched":
            self._mark(target_state="changed")

    def _do_migrate(self) -> Work:
        was_touched = self._came.touched
        yield from self._still_stopped()
        # Only a missing event shows that the target is untouched, and an interruption can lose
        # events.
        self._note(touched=True, target="changed")
        listener = self._on_event
        try:
            return (yield from self._run_as_needed(was_touched=was_touched))
        except InterruptedRunError:
            raise
        except KeyboardInterrupt as interruption:
            outcome = outcome_of(interruption, "run")
            if isinstance(outcome, Mapping):
                self._note(report=Report.from_mapping(outcome))
            raise
        except PgMigrateError:
            if self._on_event is listener and not (was_touched or self._is_written_to):
                # An error of the core: all events were delivered before it.
                self._mark(target_state="untouched")
                self._note(touched=False, target="untouched")
            raise

    def _run_as_needed(self, *, was_touched: bool) -> Work:
        """The run, or the rest of an earlier one, and a run for later writes to the source."""
        notes = []
        is_settled = was_touched and self._status is not None and self._status.state == "done"
        if not is_settled:
            notes.append((yield from self._run()))
        is_stale = was_touched and (yield from self._is_source_written())
        if is_stale:
            self._resume, self._begins, self._plan = False, False, None
            self._mark(plan_file=None)
            notes.append("once more, because the source was written to since it was read first")
            notes.append((yield from self._run()))
        return "; ".join(notes) or "done by the procedure that this one goes on with"

    def _run(self) -> Work:
        mapping = yield Verb("run", self._run_settings(), options=self._with_ledger())
        report = Report.from_mapping(mapping)
        self._note(report=report)
        report.raise_for_failures()
        done = sum(phase.done + phase.kept for phase in report.phases)
        return (
            f"{plural(done, 'task')}, {plural(sum(phase.rows for phase in report.phases), 'row')}"
        )

    def _is_source_written(self) -> Work:
        """A text if the source was written to since it was first read; else empty."""
        first = self._known().source
        if first is None:
            return ""
        try:
            yield Verb("quiet_since", first)
        except VerifyError as error:
            return error.message
        return ""

    def _run_settings(self) -> dict[str, Any]:
        return {
            "plan": None if self._plan is None else self._plan.source,
            "plan_file": self._request.plan_file,
            "resume": self._resume or self._begins,
            "on_drift": None if self._request.on_drift == "warn" else self._request.on_drift,
            "jobs": self._request.jobs,
            "state": self._request.state,
            # Backup and verification are separate steps.
            "backup": False,
            "verify": False,
        }

    def _with_ledger(self) -> dict[str, Any]:
        """The options of a run that keeps its ledger, which shows which objects are its own."""
        options: Mapping[str, Any] = self._options.get("options") or {}
        return {**self._options, "options": {**options, "keep_ledger": True}}

    def _do_verify(self) -> Work:
        plan = self._plan
        path = self._plan_path()
        if plan is None and path is not None and not self._resume:
            plan = Plan.load(path)
        settings = {
            "plan": None if plan is None else plan.source,
            "jobs": self._request.jobs,
            # The checksums of an earlier run do not include later writes to the source.
            "rereads": self._request.resume or self._came.continued is not None,
        }
        try:
            verification = VerifyResult.from_mapping((yield Verb("verify", settings)))
            self._note(verification=verification)
            verification.raise_for_differences()
            yield Verb("quiet_since", self._quiet)
        except BaseException:
            # An earlier procedure may have recorded the target as equal.
            self._mark(target_state="changed")
            raise
        self._mark(target_state="migrated")
        self._note(migrated=True, target="migrated")
        return f"{plural(len(verification.tables), 'table')}: {verification.headline()}"

    def _do_start(self, commands: Iterable[Command]) -> Work:
        note = yield from self._keys_made_again()
        if not commands:
            self._mark(application="left" if self._came.application == "stopped" else "untouched")
            raise Skipped(NO_COMMAND)
        for command in commands:
            self._is_start_tried = True
            yield from self._execute(command, is_shielded=True)
        self._mark(application="started")
        self._note(application="started")
        return note

    def _keys_made_again(self) -> Work:
        """Creates foreign keys again that a run has dropped; returns what is still missing."""
        if not _native.config(self._options)["options"]["data_only"]:
            return ""
        try:
            findings = yield Verb("foreign_keys", {}, is_shielded=True)
        except PgMigrateError as error:
            left = f"the foreign keys of the target are not checked: {error}"
        else:
            left = "; ".join(finding["message"] for finding in findings)
        if left:
            logger.warning("%s", left)
        return left

    def _do_check_writers(self) -> Work:
        """Whether a restore would undo what others have written since the backup."""
        self._others = "unknown"
        counters = self._known().counters
        if counters is None:
            raise StateError(
                "the journal does not have the target's counters at the backup",
                name="counters_missing",
            )
        settings = {"counters": counters, "path": self._known().backup}
        found = yield Verb("written_by_others", settings, is_shielded=True)
        self._others = "wrote" if found["written"] else "none"
        self._refuse_to_undo(found["written"])
        return "; ".join(found["notes"])

    def _refuse_to_undo(self, written: Sequence[str]) -> None:
        if written:
            self._note(others=tuple(written))
            raise StateError(
                "others have written to the target since the backup, which a restore would undo: "
                + "; ".join(written),
                name="target_written",
                side="target",
                remedy="restore it by hand if these changes may be lost",
            )

    def _do_restore(self) -> Work:
        journal = self._known()
        settings = {"counters": journal.counters, "path": journal.backup}
        try:
            guarded = yield Verb("restore_unless_written", settings, is_shielded=True)
        except PgMigrateError:
            if not (yield from self._is_restored()):
                raise
            restored = None
        else:
            # The core has checked again, with all tables locked.
            self._others = "wrote" if guarded["written"] else "none"
            self._refuse_to_undo(guarded["written"])
            restored = guarded["restored"]
        self._mark(target_state="restored")
        # The ledger is the one of the time when the backup was made.
        self._ledger_version = None
        self._note(restored=True, target="restored")
        if restored is None:
            return "the answer of the server was lost, and the ledger shows that it is restored"
        return RestoreResult.from_mapping(restored).message

    def _is_restored(self) -> Work:
        """Reads the ledger after a failure, because the answer to the commit can be lost."""
        try:
            kept = yield Verb("read_journal", {}, is_shielded=True)
        except PgMigrateError:
            return ""
        found = kept["journal"]
        if found is None:
            return ""
        ledger = Journal.from_text(found["journal"], "the ledger")
        is_older = (
            ledger.procedure == self._known().procedure and ledger.target_state == "untouched"
        )
        return "restored" if is_older else ""

    def _execute(self, command: Command, *, is_shielded: bool = False) -> Script:
        ended = yield Execute(command, is_shielded)
        if not ended.is_as_expected:
            message = f"{self._shown(command)} {ended.text()}"
            raise CommandError(message, name="command_failed", remedy=ended.remedy())


def _instead_of_backup(journal: Journal) -> str:
    if journal.backup is None:
        return "the procedure that this one goes on with has changed the target without a backup"
    return f"{journal.backup}, made before the target was changed, remains what is restored"
