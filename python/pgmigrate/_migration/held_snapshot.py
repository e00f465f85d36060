"""A held snapshot: one state of the source for all parts of a run, in any process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from pgmigrate._bridge.job import CoreEvent, deliver, drive, drive_async, end, end_async
from pgmigrate._results.hold import HoldResult
from pgmigrate._values.wording import calling
from pgmigrate.errors import InternalError, PgMigrateError
from pgmigrate.events import OnEvent, SnapshotHeldEvent

if TYPE_CHECKING:
    from pgmigrate._native import Job

Snapshot: TypeAlias = Literal["own", "held"]
"""The state of the source that a part reads: its own snapshot, or the one of a holder's lease."""


class HeldSnapshot:
    """A snapshot that this process holds for the parts of a run, in the background.

    It is held until all rows are on the target, or it is released or stopped, or this process
    ends. As a context manager it is stopped at the end of the block. `stop` may be called from any
    thread and from a signal handler; all else may be used by one thread at a time.

    Attributes:
        run: the run's number in the ledger.
        id: the snapshot's name on the source
            (https://www.postgresql.org/docs/current/sql-set-transaction.html).
        snapshot: the state of the source, as ``pg_current_snapshot()`` writes it, and after ``@``
            the timeline and the start time of the server.
    """

    def __init__(self, job: Job, event: SnapshotHeldEvent, on_event: OnEvent | None) -> None:
        self.run: int = event["run"]
        self.id: str = event["id"]
        self.snapshot: str = event["sees"]
        self._job = job
        self._on_event = on_event
        self._outcome: HoldResult | BaseException | None = None

    def __repr__(self) -> str:
        return f"HeldSnapshot(run={self.run}, id={self.id!r}, snapshot={self.snapshot!r})"

    def stop(self) -> None:
        """Asks the holder to end; returns at once, and `wait` returns the result."""
        self._job.stop()

    def wait(self) -> HoldResult:
        """Waits until the hold ends: when all rows are on the target, or it is stopped.

        Events and log records since the last call are delivered first. Ctrl-C and an exception in
        ``on_event`` stop the hold and are raised again.

        Raises:
            ConnectError: the session on the source is lost, and with it the snapshot.
            StateError: no part was running for the time of ``idle_timeout``.
        """
        if self._outcome is None:
            try:
                with calling("hold"):
                    mapping = drive(self._job, self._on_event, "hold")
                self._outcome = HoldResult.from_mapping(mapping)
            except BaseException as error:
                self._outcome = error
                raise
        return _result(self._outcome)

    async def wait_async(self) -> HoldResult:
        """`wait` as an awaitable; cancelling it stops the hold."""
        if self._outcome is None:
            try:
                with calling("hold"):
                    mapping = await drive_async(self._job, self._on_event, "hold")
                self._outcome = HoldResult.from_mapping(mapping)
            except BaseException as error:
                self._outcome = error
                raise
        return _result(self._outcome)

    def __enter__(self) -> HeldSnapshot:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._outcome is not None:
            return
        self.stop()
        try:
            self.wait()
        except BaseException:
            # The error of the block matters more than an error of the hold that follows from it.
            if raised[0] is None:
                raise

    async def __aenter__(self) -> HeldSnapshot:
        return self

    async def __aexit__(self, *raised: object) -> None:
        if self._outcome is not None:
            return
        self.stop()
        try:
            await self.wait_async()
        except BaseException:
            if raised[0] is None:
                raise


def hold(job: Job, on_event: OnEvent | None) -> HeldSnapshot:
    """Waits until a job has registered its snapshot lease, and returns the hold."""
    try:
        while (events := job.next()) is not None:
            deliver(events, on_event)
            if held := _snapshot_held(events):
                return HeldSnapshot(job, held, on_event)
    except BaseException:
        end(job)
        raise
    raise _no_snapshot(job)


async def hold_async(job: Job, on_event: OnEvent | None) -> HeldSnapshot:
    """`hold` as an awaitable."""
    try:
        while (events := await job.next_async()) is not None:
            deliver(events, on_event)
            if held := _snapshot_held(events):
                return HeldSnapshot(job, held, on_event)
    except GeneratorExit:
        # The coroutine is being closed and must not await any more.
        job.stop()
        raise
    except BaseException:
        await end_async(job)
        raise
    raise _no_snapshot(job)


def _snapshot_held(events: Iterable[CoreEvent]) -> SnapshotHeldEvent | None:
    held = (event for event in events if event["event"] == "snapshot_held")
    return cast("SnapshotHeldEvent | None", next(held, None))


def _no_snapshot(job: Job) -> Exception:
    try:
        job.result()
    except PgMigrateError as error:
        return error
    return InternalError(
        "a hold ended without having exported a snapshot", name="hold_without_snapshot"
    )


def _result(outcome: HoldResult | BaseException) -> HoldResult:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome
