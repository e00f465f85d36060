"""The lock of the safe procedure: held by a job of the core for as long as the job runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pgmigrate._bridge.job import deliver, end, end_async, start
from pgmigrate._journal.holder import holder
from pgmigrate.errors import InternalError, PgMigrateError

if TYPE_CHECKING:
    from pgmigrate._native import Job

_LOCKED: Final = "procedure_locked"


class ProcedureLock:
    """The lock on one target.

    Args:
        options: the migration's configuration as the core takes it.
        restores: whether it is taken to restore a backup by hand.
    """

    def __init__(self, options: Mapping[str, Any], *, restores: bool = False) -> None:
        self._options = options
        self._settings = {"holder": holder(), "restores": restores}
        self._job: Job | None = None
        self._problem: PgMigrateError | None = None

    def take(self) -> None:
        """Takes the lock.

        Raises:
            StateError: another procedure has it.
            PgMigrateError: the target cannot be reached.
        """
        job = self._begin()
        try:
            while (events := job.next()) is not None:
                if _is_locked(events):
                    return
        except BaseException:
            end(job)
            raise
        self._fail(job)

    async def take_async(self) -> None:
        """`take` as an awaitable."""
        job = self._begin()
        try:
            while (events := await job.next_async()) is not None:
                if _is_locked(events):
                    return
        except GeneratorExit:
            job.stop()
            raise
        except BaseException:
            await end_async(job)
            raise
        self._fail(job)

    def problem(self) -> PgMigrateError | None:
        """The reason why the lock is no longer held; None while it is."""
        job = self._job
        if self._problem is None and job is not None and job.is_over():
            while (events := job.next()) is not None:
                deliver(events, None)
            try:
                job.result()
            except PgMigrateError as error:
                self._problem = error
            else:
                self._problem = InternalError(
                    "the lock of the procedure was given up", name="procedure_lock_lost"
                )
        return self._problem

    def release(self) -> None:
        """Releases the lock if it is held."""
        job, self._job = self._job, None
        if job is not None and self._problem is None:
            end(job)

    def _begin(self) -> Job:
        self._problem = None
        self._job = start("hold_procedure", self._options, self._settings)
        return self._job

    def _fail(self, job: Job) -> None:
        self._job = None
        job.result()
        raise InternalError("the lock of the procedure was given up", name="procedure_lock_lost")


def _is_locked(events: list[dict[str, Any]]) -> bool:
    deliver([event for event in events if event["event"] == "log"], None)
    return any(event["event"] == _LOCKED for event in events)
