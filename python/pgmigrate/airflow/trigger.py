"""Waiting for a run in the triggerer, which only reads the target's ledger at intervals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from airflow.triggers.base import BaseTrigger, TriggerEvent

from pgmigrate import Configuration, Migration, Status
from pgmigrate._values.wording import facing
from pgmigrate.airflow.configuration import migration_of
from pgmigrate.airflow.task_log import status_line
from pgmigrate.errors import ConnectError

# At the default interval this is ten minutes; a target that restarts is available by then.
_TRIES: Final = 20
_NAMED_AT_MOST: Final = 10


class RunTrigger(BaseTrigger):
    """Fires when a run of any process is over: done, failed, or no process works on it any more.

    When the waiting task is marked as failed or succeeded, or cleared, the run is stopped; a run
    whose target is still being backed up does not begin.

    Args:
        run: the run's number in the ledger; None for one that has not begun, such as while the
            target is backed up. Its process already holds the run's lock on the target; the trigger
            also fires when no process holds that lock any more.
        target_conn_id: the Airflow connection of the target.
        ledger_schema: the schema of the ledger on the target.
        every: seconds between two reads of the ledger; each writes a line into the task's log.
        after: the last run that the ledger had before a run that has not begun; None if it had
            none.
    """

    def __init__(
        self,
        *,
        run: int | None,
        target_conn_id: str,
        ledger_schema: str,
        every: float = 30.0,
        after: int | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow's triggers have no types
        self._run = run
        self.after = after
        self.target_conn_id = target_conn_id
        self.ledger_schema = ledger_schema
        self.every = every

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The trigger as Airflow stores it, without secrets."""
        return "pgmigrate.airflow.trigger.RunTrigger", {
            "run": self._run,
            "target_conn_id": self.target_conn_id,
            "ledger_schema": self.ledger_schema,
            "every": self.every,
            "after": self.after,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event: the run's ``state`` and numbers, or ``unreachable`` or ``gone``.

        ``not_begun`` says that the run's process has ended before the run began.
        """
        lost = 0
        while True:
            # Also before the first read: a task that resumes at once is taken for a killed one if
            # Airflow's scheduler has not yet noticed that it had deferred.
            await asyncio.sleep(self.every)
            try:
                event = await asyncio.to_thread(self._look)
            except ConnectError as error:
                lost += 1
                self.log.warning("the target cannot be reached: %s", error)
                event = {"state": "unreachable", "run": self._run} if lost >= _TRIES else None
            else:
                lost = 0
            if event is not None:
                yield _fired(event)
                return

    def _look(self) -> dict[str, Any] | None:
        """The event if the run is over in the ledger, or if its process has ended; else None."""
        status = self._status()
        if self._run is None and not self._has_begun(status):
            if status.active:
                self.log.info("the run has not begun; its process is at work")
                return None
            # The run may have begun and ended since the ledger was read.
            status = self._status()
            if not self._has_begun(status):
                return {"state": "not_begun", "run": None}
        self._run = status.run if self._run is None else self._run
        self.log.info(status_line(status))
        if status.run != self._run:
            return {"state": "gone", "run": self._run}
        return None if status.state == "running" else _numbers(status)

    def _has_begun(self, status: Status) -> bool:
        return status.run is not None and (self.after is None or status.run > self.after)

    async def on_kill(self) -> None:
        """Stops the run cleanly when the task is marked or cleared (Airflow 3.3 and later).

        A process that backs the target up stops, too, and no run begins.
        """
        await asyncio.to_thread(self._stop)

    def _status(self) -> Status:
        with facing("airflow"):
            return self._migration().status()

    def _stop(self) -> None:
        with facing("airflow"):
            self._migration().stop()

    def _migration(self) -> Migration:
        # A migration needs a source, but neither reading the ledger nor a stop connects to it.
        config: Configuration = {"options": {"ledger_schema": self.ledger_schema}}
        return migration_of(config, self.target_conn_id, self.target_conn_id)


def _numbers(status: Status) -> dict[str, Any]:
    return {
        "state": status.state,
        "run": status.run,
        "plan": status.plan,
        "consistent": status.consistent,
        "tasks": sum(status.tasks.to_dict().values()),
        "rows": status.rows_done,
        "bytes": status.bytes_done,
        "seconds": round(status.seconds, 3),
        "failed": _named(status),
    }


def _named(status: Status) -> list[str]:
    named = [f"{task.object} ({task.note})" for task in status.failed[:_NAMED_AT_MOST]]
    more = len(status.failed) - len(named)
    return [*named, f"and {more:,} more"] if more else named


def _fired(event: dict[str, Any]) -> TriggerEvent:
    return TriggerEvent(event)  # type: ignore[no-untyped-call] # as above
