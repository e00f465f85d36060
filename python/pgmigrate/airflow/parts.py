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
    """Runs chosen tasks of a plan, beside others that run the rest of it at the same time.

    Made to be mapped; each part is then a process of its own, on whatever worker:

        plan = PgMigratePlan(task_id="plan", parts=8)
        copy = PgMigrateTasks.partial(task_id="copy", plan=plan.reference)
        copy.expand(part=plan.output)

    A part whose worker dies is tried again by Airflow and does what it has not finished; no row is
    lost or doubled, for each task of the plan is committed together with its line in the ledger.
    A part that the ledger has as done, from an earlier try or from an earlier DAG run with the same
    plan, succeeds: the log says so, and warns that rows which came since are not moved.
    XCom gets the part's ``run``, ``status``, ``consistent``, ``tasks``, ``rows``, ``bytes`` and
    ``seconds``, as the ledger has them, and ``already_done_by``: the number of the run that had
    done all of it before this try began, else None.

    Args:
        plan: `PgMigratePlan.reference`.
        part: a group of the tasks that copy rows: ``3/8`` is the third of eight.
        phases: phases whose tasks to run, such as ``["roles", "pre-data"]``.
        tasks: ids of tasks. Exactly one of ``part``, ``phases`` and ``tasks`` is given.
        snapshot_wait: seconds to wait for the snapshot of a `PgMigrateHoldSnapshot` task, where the
            plan's parts share one; as the core does when None.
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
            raise ConfigError("give exactly one of part, phases and tasks")
        if self.part is not None:
            return part_ids(plan, self.part)
        if self.phases is not None:
            return plan.ids(*self.phases)
        return list(self.tasks or ())


class PgMigratePostData(PlannedOperator):
    """Runs what is left of a plan when all rows are copied: indexes, constraints, rights...

    XCom gets what `PgMigrateTasks` gives. Where ``options.verify`` is set, source and target are
    compared at the end.

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
    """Keeps one snapshot of the source for all parts of a plan; runs beside them, ends after them.

    It takes a slot of a worker and two idle connections for as long as rows are copied. If it dies,
    parts that are at work go on, and its next try takes the same snapshot over from one of them.
    Where none is at work by then, and the source was written to, it announces a new one: finished
    tables stay, half-copied ones begin anew, and the summary of the run says ``"consistent":
    False``. So give it a worker that stays up.

    Where the plan says that its parts read snapshots of their own it ends at once.

    Where an earlier DAG run has moved all rows of the same plan it ends at once, and says so.

    XCom gets ``run``, ``status``, ``settled`` and ``open`` (tasks that copy rows), ``seconds``, and
    ``already_done_by``: the number of the run that had moved all rows before the plan was made,
    else None.

    Args:
        plan: `PgMigratePlan.reference`.
        idle_timeout: seconds after which it gives up while no part is at work although rows are
            missing; an hour when None, never when 0. Meanwhile parts that failed can be cleared and
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
    """Lets the held snapshot go when no part will be run any more; made to be a teardown.

    A part that failed for good leaves its holder waiting, with a slot of a worker and an old
    snapshot on the source, until its ``idle_timeout``. As a teardown behind the parts this task
    runs however they ended, and asks the holder to end, on whatever machine it is:

        release = PgMigrateReleaseSnapshot(task_id="release")
        copy >> release.as_teardown()

    Where all rows are copied the holder has ended by itself, and there is nothing to do. A part
    that is cleared afterwards needs the `PgMigrateHoldSnapshot` task cleared with it.

    XCom gets ``released``: whether there was a holder.

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
