"""A whole migration as one task."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    Context,
    TaskDeferred,
    XComArg,
    conf,
)

from pgmigrate import Migration, Plan, Status
from pgmigrate.airflow.detached import Started, start
from pgmigrate.airflow.outcome import finished
from pgmigrate.airflow.planned import PlannedOperator
from pgmigrate.airflow.planning import make
from pgmigrate.airflow.reference import PlanReference, checked, plan_of
from pgmigrate.airflow.trigger import RunTrigger
from pgmigrate.errors import ConfigError, StateError

# Where Airflow 3.3 and later keep a value of a task from one try to the next.
_STORE = "task_state_store"
_PLAN_KEY = "pgmigrate_plan"
_GOING_ON = "going on with run %s, which is %s"


class PgMigrate(PlannedOperator):
    """Does a whole migration, or the rest of one: preflight, plan, copy, indexes, report.

    Another try resumes the run in the target's ledger: it follows the same plan, keeps finished
    tasks and repeats nothing. It takes the plan from ``plan``; without one, from Airflow's task
    state store (Airflow 3.3). On earlier releases it makes the plan again, and resumes if the plan
    is the same, which it is while nothing changes on the source. (On such releases set ``plan``: if
    a try dies after the run's end but before its own, the next try would start a second run.) If a
    task that had succeeded is cleared, it finds everything done: to move the rows once more, start
    a new DAG run. While a run of another plan is active on the target, the task fails and is tried
    again.

    XCom receives ``run``, ``status``, ``consistent``, ``tasks``, ``rows``, ``bytes`` and
    ``seconds``, from the ledger, and ``already_done_by``: the run's number if all of it was done
    before this try began, else None.

    **Deferrable.** A migration of hours does not have to occupy a slot. With ``deferrable=True``
    the task starts the run in a separate process on its worker and frees the slot when that process
    has checked both databases; then the triggerer watches the target's ledger until the run is
    over. That process also makes the backup, so the slot is not occupied during it. The findings of
    the checks are in the task's log, the later log of the process in ``detached_log``. The work
    stays on that worker, so this is for workers that outlive their tasks: LocalExecutor, or
    CeleryExecutor on machines or in long-lived containers. ``SIGTERM`` stops such a process
    cleanly. When it ends for any reason, the triggerer notices that no process works on the run any
    more, the task fails, and its next try resumes.
    It is refused in a pod of the KubernetesExecutor, which ends with its task: run the plain task
    there, or the fan-out. If another program does the run, `RunTrigger` alone waits for it.
    Marking or clearing the waiting task stops the run cleanly, or the backup before it begins
    (Airflow 3.3; before, use ``pgmigrate stop``).

    Args:
        plan: `PgMigratePlan.reference`; made by this task if None.
        plan_path: where to put a plan that this task makes, as in `PgMigratePlan`.
        backup: back up the target first; as the configuration says if None.
        verify: compare source and target afterwards; as the configuration says if None.
        deferrable: wait in the triggerer; Airflow's ``[operators] default_deferrable`` if None.
            Needs ``target_conn_id`` and ``options.keep_ledger``.
        detached_log: a file on the worker for the log of the process of a deferred run.
        kwargs: as for `PgMigrateOperator`; ``log_every`` is also the triggerer's interval.
    """

    template_fields: Sequence[str] = (
        *PlannedOperator.template_fields,
        "plan_path",
        "detached_log",
    )

    def __init__(
        self,
        *,
        plan: PlanReference | XComArg | None = None,
        plan_path: str | None = None,
        backup: bool | None = None,
        verify: bool | None = None,
        deferrable: bool | None = None,
        detached_log: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(plan=plan, **kwargs)
        self.plan_path = plan_path
        self.backup = backup
        self.verify = verify
        self.deferrable = (
            conf.getboolean("operators", "default_deferrable", fallback=False)
            if deferrable is None
            else deferrable
        )
        self.detached_log = detached_log

    def execute(self, context: Context) -> dict[str, Any]:
        """Does the migration, or starts it and defers.

        Args:
            context: Airflow's.
        """
        with self._working():
            migration = self._migration()
            reference, plan = self._planned(context, migration)
            last = migration.status()
            _refuse_other(last, reference)
            is_new = last.run is not None and last.run > (reference["done_run"] or 0)
            resume = is_new or last.state not in ("none", "done")
            if resume:
                doing = "run %s is %s" if last.state == "done" else _GOING_ON
                self.log.info(doing, last.run, last.state)
            # If nothing is left to do, there is nothing to wait for.
            if not self.deferrable or (resume and last.state == "done"):
                return self._run(migration, plan, resume)
            self._refuse_unwatchable(migration)
            if last.state == "running":
                raise self._deferred(last.run, reference, migration, has_joined=True)
            started = self._start(migration, plan, resume)
        raise self._deferred(started.run, reference, migration, after=last.run)

    def _run(self, migration: Migration, plan: Plan, resume: bool) -> dict[str, Any]:
        show = self._task_log()
        report = migration.run(
            plan,
            resume=resume,
            jobs=self.jobs,
            backup=self.backup,
            verify=self.verify,
            on_event=show,
        )
        return finished(report, show)

    def _start(self, migration: Migration, plan: Plan, resume: bool) -> Started:
        settings = {"resume": resume, "jobs": self.jobs, "backup": self.backup, "verify": False}
        started = start(migration, plan, settings, self.detached_log, self._task_log())
        what = "the backup of the target" if started.run is None else f"run {started.run}"
        self.log.info("%s: process %s on %s", what, started.pid, os.uname().nodename)
        return started

    def _take_up(
        self,
        context: Context,
        event: Mapping[str, Any],
        reference: PlanReference,
        has_joined: bool,
    ) -> dict[str, Any]:
        """Resumes the task when the triggerer reports that the run is over.

        Args:
            context: Airflow's.
            event: the event of `RunTrigger`.
            reference: the plan's.
            has_joined: this try has waited for a process of an earlier one.

        Raises:
            AirflowException: the run failed, or no process works on it any more, or its process
                ended before it began, or the target's ledger has another run under its number.
        """
        state, run = event["state"], event["run"]
        if event.get("plan", reference["fingerprint"]) != reference["fingerprint"]:
            raise AirflowException(
                f"run {run} on the target is another plan's: the ledger was dropped meanwhile"
            )
        if state == "interrupted" and has_joined:
            with self._working():
                migration = self._migration()
                started = self._start(migration, plan_of(reference), True)
            raise self._deferred(started.run, reference, migration)
        if state == "not_begun":
            raise AirflowException(
                "the process of the run ended before the run began, while or right after the "
                f"target was backed up; {self._where_it_logged()}; the next try begins again"
            )
        if state == "failed":
            raise AirflowException(f"run {run} failed: {'; '.join(event['failed'])}")
        if state != "done":
            what = "the run" if run is None else f"run {run}"
            raise AirflowException(f"{what} is {state}; the next try goes on with it")
        with self._working():
            migration = self._migration()
            wanted = migration.config["options"]["verify"] if self.verify is None else self.verify
            if wanted:
                result = migration.verify(
                    plan_of(reference), jobs=self.jobs, on_event=self._task_log()
                )
                self.log.info(result.text())
                result.raise_for_differences()
        keys = ("run", "consistent", "tasks", "rows", "bytes", "seconds")
        return {"status": state, **{key: event[key] for key in keys}, "already_done_by": None}

    def _where_it_logged(self) -> str:
        if self.detached_log is None:
            return "set detached_log to keep that process's log"
        return f"its log is {self.detached_log} on its worker"

    def _planned(self, context: Context, migration: Migration) -> tuple[PlanReference, Plan]:
        """The plan that this task follows in all of its tries."""
        store: Any = context.get(_STORE)
        known = self.plan or (store.get(_PLAN_KEY) if store is not None else None)
        if known:
            reference = checked(known)
            return reference, plan_of(reference)
        reference, plan = make(migration, self.plan_path)
        if store is not None:
            store.set(_PLAN_KEY, reference)
        return reference, plan

    def _refuse_unwatchable(self, migration: Migration) -> None:
        if self.target_conn_id is None:
            raise ConfigError(
                "a deferrable task needs target_conn_id, with which the triggerer reads the ledger",
                name="deferrable_refused",
            )
        if not migration.config["options"]["keep_ledger"]:
            raise ConfigError(
                "a deferrable task needs the ledger: options.keep_ledger is false",
                name="ledger_required",
            )
        if os.environ.get("AIRFLOW_IS_K8S_EXECUTOR_POD"):
            raise ConfigError(
                "a deferrable task cannot run in a pod of the KubernetesExecutor, which ends with "
                "the task",
                name="deferrable_refused",
                remedy="set deferrable=False, or run the plan in parts",
            )

    def _deferred(
        self,
        run: int | None,
        reference: PlanReference,
        migration: Migration,
        *,
        after: int | None = None,
        has_joined: bool = False,
    ) -> TaskDeferred:
        assert self.target_conn_id is not None
        trigger = RunTrigger(
            run=run,
            target_conn_id=self.target_conn_id,
            ledger_schema=migration.config["options"]["ledger_schema"],
            every=self.log_every,
            after=after,
        )
        known = {"reference": reference, "has_joined": has_joined}
        return TaskDeferred(trigger=trigger, method_name="_take_up", kwargs=known)


def _refuse_other(last: Status, reference: PlanReference) -> None:
    """Raises an error if the active run on the target follows another plan.

    Args:
        last: the last run in the target's ledger.
        reference: the plan's.

    Raises:
        StateError: it follows another plan; another try may find it done.
    """
    if last.state == "running" and last.plan != reference["fingerprint"]:
        raise StateError(
            f"another run is active on the target: run {last.run}, of another plan",
            name="run_active",
            remedy="let the task be tried again when that run is over",
        )
