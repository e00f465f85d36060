"""DAGs of a user, who spells out what could be left to its default, and waits for another's run."""

from __future__ import annotations

from airflow.sdk import DAG

from pgmigrate.airflow import (
    PgMigrate,
    PgMigrateHoldSnapshot,
    PgMigratePlan,
    PgMigratePostData,
    PgMigratePreflight,
    PgMigrateReleaseSnapshot,
    PgMigrateTasks,
    PgMigrateVerify,
    RunTrigger,
)

GIVEN = {"source_conn_id": "old", "target_conn_id": "new", "config": "/config/shop.yaml"}

with DAG("in_parts", schedule=None, default_args=GIVEN):
    preflight = PgMigratePreflight(task_id="preflight")
    plan = PgMigratePlan(
        task_id="plan", plan_path="s3://aws@bucket/{{ run_id }}.tsv", parts=8, snapshot="held"
    )
    hold = PgMigrateHoldSnapshot(task_id="hold", plan=plan.reference, idle_timeout=600)
    prepare = PgMigrateTasks(
        task_id="prepare",
        plan=plan.reference,
        part=None,
        phases=["roles", "pre-data"],
        tasks=None,
        snapshot_wait=60,
    )
    copy = PgMigrateTasks.partial(task_id="copy", plan=plan.reference).expand(part=plan.output)
    release = PgMigrateReleaseSnapshot(task_id="release")
    finish = PgMigratePostData(task_id="finish", plan=plan.reference)
    verify = PgMigrateVerify(task_id="verify", plan=plan.reference)

    preflight >> plan
    prepare >> copy
    copy >> release.as_teardown()
    [hold, copy] >> finish >> verify

with DAG("as_a_whole", schedule=None):
    PgMigrate(
        task_id="migrate",
        source_conn_id="old",
        target_conn_id="new",
        config={"parallel": {"max_jobs": 4}},
        jobs=4,
        log_every=60,
        plan=None,
        plan_path=None,
        backup=False,
        verify=True,
        deferrable=True,
        detached_log="/var/log/pgmigrate/shop.log",
    )


def anothers_run(number: int) -> RunTrigger:
    """For an operator of one's own that defers until somebody else's run is over."""
    return RunTrigger(run=number, target_conn_id="new", ledger_schema="pgmigrate", every=60)


def of_trigger(trigger: RunTrigger) -> tuple[object, ...]:
    return trigger.serialize(), trigger.run, trigger.on_kill, trigger.after


def of_operators(one: PgMigrate, many: PgMigrateTasks, plan: PgMigratePlan) -> list[object]:
    called_by_airflow = [one.execute, one.on_kill, one.template_fields, one.ui_color]
    return [*called_by_airflow, many.execute, plan.execute, plan.reference]


def of_others(
    preflight: PgMigratePreflight,
    verify: PgMigrateVerify,
    hold: PgMigrateHoldSnapshot,
    finish: PgMigratePostData,
    release: PgMigrateReleaseSnapshot,
) -> list[object]:
    parts = [hold.execute, finish.execute, release.execute]
    return [preflight.execute, verify.execute, *parts]
