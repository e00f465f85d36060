"""A run in parts: chosen tasks in any number of processes, and one snapshot for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pgmigrate._bridge.job import start
from pgmigrate._bridge.keywords import check_known, spelled_out
from pgmigrate._values.wording import calling
from pgmigrate.events import OnEvent

if TYPE_CHECKING:
    from typing_extensions import Unpack
from pgmigrate._migration.configured import Configured
from pgmigrate._migration.held_snapshot import HeldSnapshot, hold, hold_async
from pgmigrate._migration.run_options import TaskOptions
from pgmigrate._results.plan import Plan
from pgmigrate._results.report import Report


class InParts(Configured):
    """The verbs of a migration for runs that several processes share."""

    @spelled_out(TaskOptions)
    def run_tasks(
        self,
        plan: Plan,
        ids: Iterable[str],
        *,
        on_event: OnEvent | None = None,
        **options: Unpack[TaskOptions],
    ) -> Report:
        """Runs the named tasks of a plan and no others, with the same ledger as a whole run.

        Any number of processes, on any machines, can do this at the same time with different tasks
        of one plan. The first one begins the run in the ledger; the others join it. A part that was
        killed is run again with the same ids: its finished tasks are kept, and if nothing is left
        it returns at once. The part that finishes the last task of the plan records in the ledger
        that the run is done. After all parts, ``run(plan, resume=True)`` does what is left.

        Args:
            plan: the plan.
            ids: ids of tasks in it, such as a group of `Plan.groups` or the result of `Plan.ids`.
            on_event: called with every event.
            options: the keywords that `TaskOptions` lists.

        Raises:
            StateError: the plan has no task of that id, a task that one of them needs is not done,
                no snapshot is held, or its holder has ended; also as in `run`.
        """
        settings = self._task_settings(plan, ids, options)
        with calling("run_tasks"):
            return Report.from_mapping(self._do("run", settings, on_event))

    @spelled_out(TaskOptions)
    async def run_tasks_async(
        self,
        plan: Plan,
        ids: Iterable[str],
        *,
        on_event: OnEvent | None = None,
        **options: Unpack[TaskOptions],
    ) -> Report:
        """`run_tasks` as an awaitable; cancelling it stops the run cleanly."""
        settings = self._task_settings(plan, ids, options)
        with calling("run_tasks"):
            return Report.from_mapping(await self._do_async("run", settings, on_event))

    def hold_snapshot(
        self,
        plan: Plan,
        *,
        idle_timeout: float | None = None,
        consistent: bool | None = None,
        on_event: OnEvent | None = None,
    ) -> HeldSnapshot:
        """Holds one snapshot of the source for parts in other processes, and keeps its tables.

        Checks that the plan matches the source, begins or joins the run in the ledger, registers
        the snapshot lease there for ``run_tasks(snapshot="held")``, and returns. From then on the
        snapshot is held in the background; `HeldSnapshot.wait` waits for the end of the hold. The
        hold ends by itself once all rows, sequences and large objects of the run are on the target.

        Failed and killed parts do not end it, because only the process that started them knows
        whether they are tried again: call `release_snapshot` if they are not. During the hold,
        vacuum on the source removes nothing that the snapshot still sees
        (https://www.postgresql.org/docs/current/routine-vacuuming.html).

        Args:
            plan: the plan that the parts follow.
            idle_timeout: seconds after which the hold ends while no part is running and tasks are
                left; 3600 if None, never if 0.
            consistent: as in `RunOptions`.
            on_event: called with every event, here and in `HeldSnapshot.wait`.

        Raises:
            ConnectError: a database cannot be reached.
            PreflightError: a finding forbids a run.
            DriftError: the plan does not match the databases or the configuration.
            StateError: a snapshot is already held for this target, or the ledger cannot be used.
        """
        job = start("hold", self._options, _hold_settings(plan, idle_timeout, consistent))
        with calling("hold"):
            return hold(job, on_event)

    async def hold_snapshot_async(
        self,
        plan: Plan,
        *,
        idle_timeout: float | None = None,
        consistent: bool | None = None,
        on_event: OnEvent | None = None,
    ) -> HeldSnapshot:
        """`hold_snapshot` as an awaitable; use ``async with`` and `HeldSnapshot.wait_async`."""
        job = start("hold", self._options, _hold_settings(plan, idle_timeout, consistent))
        with calling("hold"):
            return await hold_async(job, on_event)

    def release_snapshot(self) -> bool:
        """Asks the holder of the last run's snapshot, on any machine, to end; returns at once.

        Call it when tasks are left but no further part will start. A running part goes on.

        Returns:
            Whether there is a holder.

        Raises:
            ConnectError: the target cannot be reached.
        """
        return bool(self._do("release", {}, None)["released"])

    def _task_settings(
        self,
        plan: Plan,
        ids: Iterable[str],
        options: TaskOptions,
    ) -> dict[str, Any]:
        check_known("run_tasks", TaskOptions, options)
        if isinstance(ids, str):
            raise TypeError("ids is one text, not several ids: put it into a list")
        return {
            "snapshot": "own",
            **options,
            "plan": plan.source,
            "tasks": list(ids),
            "jobs": self._jobs_or(options.get("jobs")),
        }


def _hold_settings(
    plan: Plan, idle_timeout: float | None, consistent: bool | None
) -> dict[str, Any]:
    return {"plan": plan.source, "idle_timeout": idle_timeout, "consistent": consistent}
