"""Restoring a backup by hand: under the lock of the safe procedure, and true to its journal.

A restore brings the journal back that was in the ledger when the backup was made. What came after,
such as the start of the application, is written into it again.
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
from pgmigrate._procedure.command import Surroundings
from pgmigrate._procedure.lock import ProcedureLock
from pgmigrate._procedure.performer import Performer, Script, TakeLock, Verb
from pgmigrate._results.backup import RestoreResult
from pgmigrate.errors import InterruptedRunError, PgMigrateError, StateError
from pgmigrate.events import OnEvent

_RESTORE: Final = "restore"
# What a backup was made of that has a run of the procedure.
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
        around = Surroundings(Path(), {}, str, logger.debug)
        self._performer = Performer(options, around, on_event or (lambda _: None))
        # None where it is not known what became of the target.
        self._outcome: Any = InterruptedRunError("interrupted before the restore was begun")

    def run(self) -> RestoreResult:
        """Does it, blocking. `outcome_of` an interruption says what became of the target.

        Raises:
            StateError: a safe procedure, or another restore, is at work on the target.
            BackupError: it failed.
        """
        with self._outcome_kept():
            try:
                self._performer.run(self._script())
            finally:
                self._lock.release()
            return RestoreResult.from_mapping(self._outcome)

    async def run_async(self) -> RestoreResult:
        """`run` as an awaitable."""
        with self._outcome_kept():
            try:
                await self._performer.run_async(self._script())
            finally:
                self._lock.release()
            return RestoreResult.from_mapping(self._outcome)

    @contextmanager
    def _outcome_kept(self) -> Iterator[None]:
        """An interruption before or after the restore itself does not know what became of it."""
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
                # It came after the end.
                yield from self._write(before)
            raise
        yield from self._write(before)

    def _latest(self, kept: Mapping[str, Any]) -> Journal | None:
        """The journal before the restore, of ledger and file the one that is ahead."""
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
        """Makes the journal say what is true after the restore."""
        try:
            kept = yield Verb("read_journal", {}, is_shielded=True)
            row = kept["journal"]
            restored = None if row is None else _readable(row["journal"])
            if before is None:
                if row is not None:
                    # Nothing says what came of that procedure after the backup.
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
        restored: the journal that the backup has brought back. Where it is an earlier state of the
            same one, it says what the target is now; what is known of the application stays.
    """
    same = restored if restored is not None and restored.procedure == before.procedure else None
    version = max(before.version, same.version if same is not None else 0) + 1
    state: TargetState = "restored"
    if same is not None and same.target_state in _OUTCOMES:
        state = same.target_state
    outcome = _OUTCOMES.get(state, "restored")
    return replace(before, version=version, target_state=state, outcome=outcome)


def _failure(error: BaseException) -> PgMigrateError | None:
    """The restore's own error; what it was abandoned for does not say how far it had come."""
    if isinstance(error, PgMigrateError) and not isinstance(error, InterruptedRunError):
        return error
    return None


def _readable(text: str) -> Journal | None:
    try:
        return Journal.from_text(text, "the ledger")
    except StateError as error:
        logger.warning("%s", error)
        return None
