"""Waiting for a run in the triggerer: it reads the target's ledger now and then, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from airflow.triggers.base import BaseTrigger, TriggerEvent

from pgmigrate import Migration, Status
from pgmigrate.airflow.configuration import migration_of
from pgmigrate.airflow.task_log import status_line
from pgmigrate.errors import ConnectError

# At the default pace that is ten minutes; a target that restarts is back by then.
_TRIES: Final = 20
_NAMED_AT_MOST: Final = 10


class RunTrigger(BaseTrigger):
    """Fires when a run is over, whoever does it: done, failed, or no process left that works on it.

    When somebody marks the waiting task as failed or succeeded, or clears it, the run is stopped.

    Args:
        run: the run's number in the ledger.
        target_conn_id: the Airflow connection of the target.
        ledger_schema: the schema of the ledger on the target.
        every: seconds between two looks at the ledger; each writes a line into the task's log.
    """

    def __init__(
        self, *, run: int, target_conn_id: str, ledger_schema: str, every: float = 30.0
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow's triggers have no types
        self._run = run
        self.target_conn_id = target_conn_id
        self.ledger_schema = ledger_schema
        self.every = every

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The trigger as Airflow stores it; no secret is in it."""
        return "pgmigrate.airflow.trigger.RunTrigger", {
            "run": self._run,
            "target_conn_id": self.target_conn_id,
            "ledger_schema": self.ledger_schema,
            "every": self.every,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event: the run's ``state`` and numbers, or ``unreachable`` or ``gone``."""
        lost = 0
        while True:
            # Before the first look, too: a task that comes back at once is taken for one that was
            # killed, where Airflow's scheduler has not yet noticed that it had deferred.
            await asyncio.sleep(self.every)
            try:
                status = await asyncio.to_thread(self._status)
            except ConnectError as error:
                lost += 1
                self.log.warning("the target cannot be reached: %s", error)
                if lost >= _TRIES:
                    yield _fired({"state": "unreachable", "run": self._run})
                    return
            else:
                lost = 0
                self.log.info(status_line(status))
                if status.run != self._run:
                    yield _fired({"state": "gone", "run": self._run})
                    return
                if status.state != "running":
                    yield _fired(_numbers(status))
                    return

    async def on_kill(self) -> None:
        """Stops the run in order when somebody marks or clears the task (Airflow 3.3 and later)."""
        await asyncio.to_thread(self._migration().stop)

    def _status(self) -> Status:
        return self._migration().status()

    def _migration(self) -> Migration:
        # It has a source, which neither a look at the ledger nor a stop opens.
        config = {"options": {"ledger_schema": self.ledger_schema}}
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
