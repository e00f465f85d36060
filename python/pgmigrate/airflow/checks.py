"""The tasks that change nothing: preflight and verification."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import Context, XComArg

from pgmigrate.airflow.operator import PgMigrateOperator
from pgmigrate.airflow.planned import PlannedOperator
from pgmigrate.airflow.reference import PlanReference, plan_of


class PgMigratePreflight(PgMigrateOperator):
    """Looks for everything that would prevent the migration; blocking findings fail it for good.

    XCom receives ``{"blocking": 0, "warning": n, "info": n}``; the log has the findings and their
    remedies.
    """

    def execute(self, context: Context) -> dict[str, int]:
        """Does the preflight.

        Args:
            context: Airflow's.
        """
        with self._working():
            result = self._migration().preflight(on_event=self._task_log())
            self.log.info(result.text())
            result.raise_for_blocking()
        weights = [finding.severity for finding in result.findings]
        return {weight: weights.count(weight) for weight in ("blocking", "warning", "info")}


class PgMigrateVerify(PlannedOperator):
    """Compares source and target, and fails for good if they differ or cannot be compared.

    XCom receives ``{"tables": n, "rows": n, "seconds": s}``.

    Args:
        plan: compare what this plan moves, `PgMigratePlan.reference`; what the configuration
            selects if None.
        kwargs: as for `PgMigrateOperator`.
    """

    def __init__(self, *, plan: PlanReference | XComArg | None = None, **kwargs: Any) -> None:
        super().__init__(plan=plan, **kwargs)

    def execute(self, context: Context) -> dict[str, Any]:
        """Does the comparison.

        Args:
            context: Airflow's.
        """
        with self._working():
            plan = None if self.plan is None else plan_of(self._reference())
            result = self._migration().verify(plan, jobs=self.jobs, on_event=self._task_log())
            self.log.info(result.text())
            result.raise_for_differences()
        return {
            "tables": len(result.tables),
            "rows": sum(table.target_rows or 0 for table in result.tables),
            "seconds": round(sum(table.seconds for table in result.tables), 3),
        }
