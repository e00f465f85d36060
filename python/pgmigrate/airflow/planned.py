"""The base of the operators that follow a plan made by another task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.common.compat.sdk import XComArg

from pgmigrate import Plan
from pgmigrate.airflow.operator import PgMigrateOperator
from pgmigrate.airflow.outcome import finished
from pgmigrate.airflow.reference import PlanReference, checked

DATA = "data"


class PlannedOperator(PgMigrateOperator):
    """The base of the operators that are given a plan.

    Args:
        plan: the value of `PgMigratePlan.reference`.
        kwargs: as for `PgMigrateOperator`.
    """

    template_fields: Sequence[str] = (*PgMigrateOperator.template_fields, "plan")

    def __init__(self, *, plan: PlanReference | XComArg | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan

    def _reference(self) -> PlanReference:
        """The plan's reference, after Airflow has resolved the template.

        Raises:
            ConfigError: the task received something else.
        """
        return checked(self.plan)

    def _run_part(self, plan: Plan, ids: list[str], wait: float | None = None) -> dict[str, Any]:
        """Runs tasks of the plan, while others run the rest; returns the summary for XCom.

        Tasks that are already done according to the ledger, by any DAG run, are not done again, and
        the log and the summary say so.

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
        show = self._task_log(tasks)
        report = self._migration().run_tasks(
            plan,
            ids,
            snapshot=reference["snapshot"] if reads_rows else "own",
            wait=wait,
            jobs=self.jobs,
            on_event=show,
        )
        # The task that made the plan has logged what the plan found.
        return finished(report, show, done_run=reference["done_run"], known=plan.findings)
