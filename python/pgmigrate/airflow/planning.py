"""The task that makes the plan for the other tasks of a DAG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.common.compat.sdk import Context, XComArg
from airflow.sdk.definitions.xcom_arg import PlainXComArg

from pgmigrate import Migration, Plan
from pgmigrate.airflow.operator import PgMigrateOperator
from pgmigrate.airflow.reference import PlanReference, refer

_KEY = "plan"


class PgMigratePlan(PgMigrateOperator):
    """Decides what to do, once for all tasks that follow; changes nothing.

    XCom receives two values. The task's return value, because Airflow maps over nothing else, is
    the list over which `PgMigrateTasks` is expanded, ``expand(part=plan.output)``: ``1/8`` to
    ``8/8``, groups of tables and chunks that take about the same time; there are fewer groups if
    there is little to share. The other value is a reference to the plan for the tasks that follow
    it: ``plan=plan.reference``.

    Attributes:
        reference: the plan, as an argument where other tasks are defined.

    Args:
        plan_path: where to put the plan, for all workers to read: a path, or a URL of object
            storage such as ``s3://conn_id@bucket/plan-{{ run_id }}.tsv``. If None, the plan is
            passed compressed in XCom, which has room for plans of some thousand tasks.
        parts: the number of groups into which the tasks that copy rows are divided.
        snapshot: which state of the source the groups read. ``held``: all of them read the snapshot
            that a `PgMigrateHoldSnapshot` task holds meanwhile. ``own``: each reads the state at
            its beginning, which is the same for all only if no session writes to the source.
        kwargs: as for `PgMigrateOperator`.
    """

    template_fields: Sequence[str] = (*PgMigrateOperator.template_fields, "plan_path", "snapshot")

    def __init__(
        self,
        *,
        plan_path: str | None = None,
        parts: int = 1,
        snapshot: str = "held",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.plan_path = plan_path
        self.parts = parts
        self.snapshot = snapshot

    @property
    def reference(self) -> XComArg:
        return PlainXComArg(self, key=_KEY)

    def execute(self, context: Context) -> list[str]:
        """Makes the plan.

        Args:
            context: Airflow's.
        """
        with self._working():
            migration = self._migration()
            reference, plan = make(migration, self.plan_path, self.snapshot)
            self.log.info(plan.summary())
            self._task_log().warn(plan.findings)
            groups = len(plan.groups(self.parts))
        if self.parts > 1 and self.snapshot == "own":
            self.log.warning(
                "each part reads a snapshot of its own: no session may write to the source until "
                "all rows are copied"
            )
        context["ti"].xcom_push(key=_KEY, value=reference)
        return [f"{at}/{groups}" for at in range(1, groups + 1)]


def make(
    migration: Migration, path: str | None, snapshot: str = "held"
) -> tuple[PlanReference, Plan]:
    """A new plan with its reference.

    Args:
        migration: what to plan.
        path: where to put it; if None, it is packed into the reference.
        snapshot: as in `PgMigratePlan`.

    Raises:
        PgMigrateError: it cannot be made.
    """
    last = migration.status()
    plan = migration.plan()
    is_open = last.state != "done" and last.plan == plan.header["fingerprint"]
    done_run = None if is_open else last.run
    return refer(plan, path=path, snapshot=snapshot, done_run=done_run), plan
