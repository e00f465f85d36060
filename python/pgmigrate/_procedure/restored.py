"""Restoring a backup by hand: under the lock of the safe procedure, with a correct journal.

A restore also restores the journal that was in the ledger when the backup was made. What happened
after that, such as the start of the application, is written into it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pgmigrate._bridge.job import keep_outcome, logger, outcome_of
from pgmigrate._journal.journal import Journal, Outcome, file_of, read_file, write_file
from pgmigrate._journal.recovery import TargetState
from pgmigrate._procedure.command import CommandEnvironment
from pgmigrate._procedure.lock import ProcedureLock
from pgmigrate._procedure.runner import Script, ScriptRunner, TakeLock, Verb
from pgmigrate._results.backup import RestoreResult
from pgmigrate.errors import InterruptedRunError, PgMigrateError, StateError
from pgmigrate.events import OnEvent

_RESTORE: Final = "restore"
# The outcome by the state of the target in a backup that was made after the procedure's run.
_OUTCOMES: Final[Mapping[TargetState, Outcome]] = {"changed": "kept", "migrated": "migrated"}


class ByHand:
    """One restore.

    Args:
        options: the migration's configuration as the core takes it.
        path: the backup.
        state: the state file, next to which the journal is mirrored.
        on_event: called with every event.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        path: str | None,
        state: str | None,
        on_event: OnEvent | None,
    ) -> None:
        self._path, self._mirror = path, file_of(state)
        self._lock = ProcedureLock(options, restores=True)
        environment = CommandEnvironment(Path(), {}, str, logger.debug)
        self._runner = ScriptRunner(options, environment, on_event or (lambda _: None))
        # None if the state of the target is not known.
        self._outcome: Any = InterruptedRunError(
            "interrupted before the restore was begun", name="interrupted"
        )

    def run(self) -> RestoreResult:
        """Restores, blocking. `outcome_of` an interruption returns the outcome for the target.

        Raises:
            StateError: a safe procedure, or another restore, is running on the target.
            BackupError: it failed.
        """
        with self._outcome_kept():
            try:
                self._runner.run(self._script())
            finally:
                self._lock.release()
            return RestoreResult.from_mapping(self._outcome)

    async def run_async(self) -> RestoreResult:
        """`run` as an awaitable."""
        with self._outcome_kept():
            try:
                await self._runner.run_async(self._script())
            finally:
                self._lock.release()
            return RestoreResult.from_mapping(self._outcome)

    @contextmanager
    def _outcome_kept(self) -> Iterator[None]:
        """Attaches the outcome to an interruption that arrives before or after the restore verb."""
        try:
            yield
        except BaseException as error:
            if self._outcome is not None and error is not self._outcome:
                keep_outcome(error, _RESTORE, self._outcome)
            raise

    def _script(self) -> Script:
        yield TakeLock(self._lock)
        kept = yield Verb("read_journal", {})
        before = self._latest(kept)
        self._outcome = None
        try:
            self._outcome = yield Verb(_RESTORE, {"path": self._path})
        except BaseException as error:
            self._outcome = outcome_of(error, _RESTORE) or _failure(error)
            if isinstance(self._outcome, Mapping):
                # The interruption arrived after the restore was done.
                yield from self._write(before)
            raise
        yield from self._write(before)

    def _latest(self, kept: Mapping[str, Any]) -> Journal | None:
        """The journal before the restore: that of the ledger or the file, whichever is newer."""
        found = []
        if kept["journal"] is not None:
            found.append(_readable(kept["journal"]["journal"]))
        try:
            mirror = read_file(self._mirror)
        except StateError as error:
            logger.warning("%s", error)
            mirror = None
        if mirror is not None and mirror.target == kept["target"]:
            found.append(mirror)
        known = [journal for journal in found if journal is not None]
        return max(known, key=lambda one: (one.began, one.version), default=None)

    def _write(self, before: Journal | None) -> Script:
        """Updates the journal to the state after the restore."""
        try:
            kept = yield Verb("read_journal", {}, is_shielded=True)
            row = kept["journal"]
            restored = None if row is None else _readable(row["journal"])
            if before is None:
                if row is not None:
                    # There is no record of what this procedure did after the backup.
                    yield Verb("remove_journal", {"procedure": row["procedure"]}, is_shielded=True)
                return
            journal = after_restore(before, restored)
            is_there = restored is not None and restored.procedure == journal.procedure
            if is_there or journal.is_open:
                entry = {"journal": journal.to_row(), "before": None, "create": True}
                yield Verb("write_journal", entry, is_shielded=True)
        except PgMigrateError as error:
            logger.warning("the journal of the safe procedure was not written: %s", error)
            return
        except BaseException:
            logger.warning("interrupted: the journal of the safe procedure may not be written")
            raise
        self._write_file(journal)

    def _write_file(self, journal: Journal) -> None:
        if self._mirror is None or not self._mirror.exists():
            return
        try:
            write_file(self._mirror, journal)
        except OSError as error:
            logger.warning("the journal was not written into its file: %s", error.strerror)


def after_restore(before: Journal, restored: Journal | None) -> Journal:
    """The journal of a target into which a backup was restored by hand.

    Args:
        before: the latest journal before.
        restored: the journal from the backup. If it is an earlier state of the same journal, it
            gives the state of the target; the state of the application is that of `before`.
    """
    same = restored if restored is not None and restored.procedure == before.procedure else None
    version = max(before.version, same.version if same is not None else 0) + 1
    state: TargetState = "restored"
    if same is not None and same.target_state in _OUTCOMES:
        state = same.target_state
    outcome = _OUTCOMES.get(state, "restored")
    return replace(before, version=version, target_state=state, outcome=outcome)


def _failure(error: BaseException) -> PgMigrateError | None:
    """The restore's own error; None for another exception, which does not say how far it came."""
    if isinstance(error, PgMigrateError) and not isinstance(error, InterruptedRunError):
        return error
    return None


def _readable(text: str) -> Journal | None:
    try:
        return Journal.from_text(text, "the ledger")
    except StateError as error:
        logger.warning("%s", error)
        return None
