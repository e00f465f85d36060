"""One run shared among many tasks, on as many machines as the executor has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.common.compat.sdk import Context, XComArg

from pgmigrate import HoldResult, Plan
from pgmigrate.airflow.operator import PgMigrateOperator
from pgmigrate.airflow.planned import DATA, PlannedOperator
from pgmigrate.airflow.reference import PlanReference, part_ids, plan_of
from pgmigrate.errors import ConfigError


class PgMigrateTasks(PlannedOperator):
    """Runs chosen tasks of a plan, while other Airflow tasks run the rest of it.

    Made to be mapped; each part is then a separate process, on any worker:

        plan = PgMigratePlan(task_id="plan", parts=8)
        copy = PgMigrateTasks.partial(task_id="copy", plan=plan.reference)
        copy.expand(part=plan.output)

    A part whose worker dies is tried again by Airflow and does its unfinished tasks. No row is lost
    or doubled, because each task of the plan is committed together with its row in the ledger. A
    part that is already done according to the ledger, by an earlier try or an earlier DAG run with
    the same plan, succeeds: the log says so, and warns that rows written since are not moved.
    XCom receives the part's ``run``, ``status``, ``consistent``, ``tasks``, ``rows``, ``bytes`` and
    ``seconds``, from the ledger, and ``already_done_by``: the number of the run that had done all
    of it before this try began, else None.

    Args:
        plan: `PgMigratePlan.reference`.
        part: a group of the tasks that copy rows: ``3/8`` is the third of eight.
        phases: phases whose tasks to run, such as ``["roles", "pre-data"]``.
        tasks: ids of tasks. Exactly one of ``part``, ``phases`` and ``tasks`` is given.
        snapshot_wait: seconds to wait for the snapshot of a `PgMigrateHoldSnapshot` task, if the
            plan's parts share one; the core's default if None.
        kwargs: as for `PgMigrateOperator`.
    """

    template_fields: Sequence[str] = (*PlannedOperator.template_fields, "part", "phases", "tasks")

    def __init__(
        self,
        *,
        plan: PlanReference | XComArg,
        part: str | None = None,
        phases: Sequence[str] | None = None,
        tasks: Sequence[str] | None = None,
        snapshot_wait: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(plan=plan, **kwargs)
        self.part = part
        self.phases = phases
        self.tasks = tasks
        self.snapshot_wait = snapshot_wait

    def execute(self, context: Context) -> dict[str, Any]:
        """Runs the tasks.

        Args:
            context: Airflow's.
        """
        with self._working():
            plan = plan_of(self._reference())
            return self._run_part(plan, self._chosen(plan), self.snapshot_wait)

    def _chosen(self, plan: Plan) -> list[str]:
        given = [choice for choice in (self.part, self.phases, self.tasks) if choice is not None]
        if len(given) != 1:
            raise ConfigError(
                "give exactly one of part, phases and tasks", name="conflicting_arguments"
            )
        if self.part is not None:
            return part_ids(plan, self.part)
        if self.phases is not None:
            return plan.ids(*self.phases)
        return list(self.tasks or ())


class PgMigratePostData(PlannedOperator):
    """Runs the rest of a plan after all rows are copied: indexes, constraints, privileges...

    XCom receives the same values as from `PgMigrateTasks`. If ``options.verify`` is set, source and
    target are compared at the end.

    Args:
        plan: `PgMigratePlan.reference`.
        kwargs: as for `PgMigrateOperator`.
    """

    def __init__(self, *, plan: PlanReference | XComArg, **kwargs: Any) -> None:
        super().__init__(plan=plan, **kwargs)

    def execute(self, context: Context) -> dict[str, Any]:
        """Runs the rest of the plan.

        Args:
            context: Airflow's.
        """
        with self._working():
            plan = plan_of(self._reference())
            rows = set(plan.ids(DATA))
            return self._run_part(plan, [task for task in plan.ids() if task not in rows])


class PgMigrateHoldSnapshot(PlannedOperator):
    """Holds one snapshot of the source for all parts of a plan; runs while they run.

    It takes a slot of a worker and two idle connections for as long as rows are copied. If it dies,
    running parts go on, and its next try takes over the same snapshot from one of them. If no part
    is running by then, and the source was written to, it registers a new snapshot: finished tables
    stay, half-copied ones are copied again, and the summary of the run has ``"consistent": False``.
    Therefore run it on a worker that stays up.

    If the plan's parts read their own snapshots, it ends at once.

    If an earlier DAG run has moved all rows of the same plan, it ends at once, and reports that.

    XCom receives ``run``, ``status``, ``settled`` and ``open`` (tasks that copy rows), ``seconds``,
    and ``already_done_by``: the number of the run that had moved all rows before the plan was made,
    else None.

    Args:
        plan: `PgMigratePlan.reference`.
        idle_timeout: seconds after which it gives up while no part is running although rows are
            missing; an hour if None, never if 0. Until then parts that failed can be cleared and
            still join its snapshot.
        kwargs: as for `PgMigrateOperator`.
    """

    def __init__(
        self, *, plan: PlanReference | XComArg, idle_timeout: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(plan=plan, **kwargs)
        self.idle_timeout = idle_timeout

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Holds the snapshot.

        Args:
            context: Airflow's.
        """
        with self._working():
            reference = self._reference()
            if reference["snapshot"] != "held":
                self.log.info("the parts of this plan read snapshots of their own: none to hold")
                return None
            result = self._hold(reference)
            self.log.info(result.text())
            done_run = reference["done_run"]
            is_older = result.ok and done_run is not None and result.run <= done_run
            if is_older:
                self.log.info(f"already done by run {result.run}, before this plan was made")
        return {
            "run": result.run,
            "status": result.status,
            "settled": result.settled,
            "open": result.open,
            "seconds": round(result.seconds, 3),
            "already_done_by": result.run if is_older else None,
        }

    def _hold(self, reference: PlanReference) -> HoldResult:
        hold = self._migration().hold_snapshot(
            plan_of(reference), idle_timeout=self.idle_timeout, on_event=self._task_log()
        )
        with hold as held:
            self.log.info("run %s: snapshot %s is held", held.run, held.id)
            return held.wait()


class PgMigrateReleaseSnapshot(PgMigrateOperator):
    """Releases the held snapshot when no further part will run; made to be a teardown.

    After a part has failed for good, the holder waits, with a slot of a worker and an old snapshot
    on the source, until its ``idle_timeout``. As a teardown after the parts this task runs whether
    they succeeded or failed, and asks the holder to end, on any machine:

        release = PgMigrateReleaseSnapshot(task_id="release")
        copy >> release.as_teardown()

    If all rows are copied, the holder has ended by itself, and there is nothing to do. To run a
    part again after that, clear the `PgMigrateHoldSnapshot` task, too.

    XCom receives ``released``: whether there was a holder.

    Args:
        kwargs: as for `PgMigrateOperator`.
    """

    def execute(self, context: Context) -> dict[str, bool]:
        """Asks the holder to end.

        Args:
            context: Airflow's.
        """
        with self._working():
            is_released = self._migration().release_snapshot()
        said = "the holder is asked to end" if is_released else "none to release"
        self.log.info("held snapshot: %s", said)
        return {"released": is_released}
