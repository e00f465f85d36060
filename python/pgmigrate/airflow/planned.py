"""What the operators share that follow a plan made by another task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.common.compat.sdk import XComArg

from pgmigrate import Plan
from pgmigrate.airflow.operator import PgMigrateOperator, finished
from pgmigrate.airflow.reference import PlanReference, checked
from pgmigrate.errors import DriftError

DATA = "data"


class PlannedOperator(PgMigrateOperator):
    """The base of the operators that are given a plan.

    Args:
        plan: what `PgMigratePlan.reference` stands for.
        kwargs: as for `PgMigrateOperator`.
    """

    template_fields: Sequence[str] = (*PgMigrateOperator.template_fields, "plan")

    def __init__(self, *, plan: PlanReference | XComArg | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan

    def _reference(self) -> PlanReference:
        """The plan's reference, once Airflow has put it into place.

        Raises:
            ConfigError: the task was given something else.
        """
        return checked(self.plan)

    def _run_part(self, plan: Plan, ids: list[str], wait: float | None = None) -> dict[str, Any]:
        """Runs tasks of the plan beside others that run the rest of it; the summary for XCom.

        Args:
            plan: the plan.
            ids: the tasks.
            wait: seconds to wait for a held snapshot, as in `Migration.run_tasks`.

        Raises:
            PgMigrateError: a task failed, or the tasks could not be run.
        """
        chosen = set(ids)
        tasks = [task for task in plan if task.id in chosen]
        reference = self._reference()
        reads_rows = any(task.phase == DATA for task in tasks)
        report = self._migration().run_tasks(
            plan,
            ids,
            snapshot=reference["snapshot"] if reads_rows else "own",
            wait=wait,
            jobs=self.jobs,
            on_event=self._task_log(tasks),
        )
        refuse_old(reference, report.run)
        return finished(report, self.log.info)


def refuse_old(reference: PlanReference, run: int | None) -> None:
    """Refuses to take a run for this plan's that was done before the plan was made.

    Args:
        reference: the plan's.
        run: the run's number.

    Raises:
        DriftError: nothing was done, for the ledger has it as done from an earlier time.
    """
    done_run = reference["done_run"]
    if run is not None and done_run is not None and run <= done_run:
        raise DriftError(
            f"run {run} on the target had done this very plan before the plan was made, and its "
            "parts were taken as done",
            remedy="forget that run with `pgmigrate cleanup`, then clear the DAG run",
        )
