"""One migration shared among many tasks, for sources that are too large for one machine.

The plan is made once; the tasks that copy rows are mapped over the workers of any executor. All of
them use the snapshot that `hold` holds meanwhile. `hold` needs a slot for itself; if no session
writes to the source, start the DAG with `{"snapshot": "own"}`, and `hold` has nothing to do. If a
part fails for good, the teardown `release` releases the snapshot, which is no longer needed.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag

from pgmigrate.airflow import (
    PgMigrateHoldSnapshot,
    PgMigratePlan,
    PgMigratePostData,
    PgMigratePreflight,
    PgMigrateReleaseSnapshot,
    PgMigrateTasks,
    PgMigrateVerify,
)


@dag(
    schedule=None,
    tags=["pgmigrate", "example"],
    params={"snapshot": Param("held", enum=["held", "own"])},
    default_args={
        "source_conn_id": "pgmigrate_source",
        "target_conn_id": "pgmigrate_target",
        # Larger tables are cut, so that several tasks can share one.
        "config": {"options": {"split_larger_than": "256MB"}},
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
    },
)
def pgmigrate_fan_out() -> None:
    """Preflight, plan, rows in parts with a held snapshot, the rest, verification."""
    preflight = PgMigratePreflight(task_id="preflight")
    plan = PgMigratePlan(task_id="plan", parts=4, snapshot="{{ params.snapshot }}")
    hold = PgMigrateHoldSnapshot(task_id="hold", plan=plan.reference)
    prepare = PgMigrateTasks(task_id="prepare", plan=plan.reference, phases=["roles", "pre-data"])
    copy = PgMigrateTasks.partial(
        task_id="copy", plan=plan.reference, jobs=2, map_index_template="{{ task.part }}"
    ).expand(part=plan.output)
    release = PgMigrateReleaseSnapshot(task_id="release")
    finish = PgMigratePostData(task_id="finish", plan=plan.reference)
    verify = PgMigrateVerify(task_id="verify", plan=plan.reference)

    preflight >> plan
    prepare >> copy
    copy >> release.as_teardown()
    [hold, copy] >> finish >> verify


pgmigrate_fan_out()
