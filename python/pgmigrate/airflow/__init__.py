"""Airflow operators that run a migration, or parts of one, as tasks of a DAG.

Needs Airflow 3 (the extra `airflow`); the package is an Airflow provider, so Airflow
finds it by itself. One task can do everything:

    from pgmigrate.airflow import PgMigrate

    PgMigrate(task_id="move", source_conn_id="old", target_conn_id="new", retries=3)

or many can share the rows of one plan, on any executor (``example_dags/pgmigrate_fan_out.py``):
`PgMigratePreflight`, `PgMigratePlan`, `PgMigrateHoldSnapshot` in parallel with `PgMigrateTasks`
with ``.partial(...).expand(...)``, `PgMigrateReleaseSnapshot` as their teardown,
`PgMigratePostData`, `PgMigrateVerify`.

For all of them:

- The databases are Airflow connections of type Postgres; an extra that is a keyword of a conninfo
  is used, any other is an error. What to move is ``config``: a config file that the workers can
  read, or a mapping of the same shape. Passwords belong in connections.
- XCom carries a reference to the plan and small summaries, never a row or a password.
- Finished work is recorded in the target's ledger, so a task that is tried again continues where
  it stopped, on any worker. Therefore ``options.keep_ledger`` has to stay true; a last task may
  call ``pgmigrate cleanup``.
- A mistake in the configuration, a blocking finding of the preflight and a difference found by the
  verification fail a task at once; any other error is retried up to the task's ``retries``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pgmigrate.airflow.checks import PgMigratePreflight, PgMigrateVerify
    from pgmigrate.airflow.parts import (
        PgMigrateHoldSnapshot,
        PgMigratePostData,
        PgMigrateReleaseSnapshot,
        PgMigrateTasks,
    )
    from pgmigrate.airflow.planning import PgMigratePlan
    from pgmigrate.airflow.trigger import RunTrigger
    from pgmigrate.airflow.whole import PgMigrate

__all__ = [
    "PgMigrate",
    "PgMigrateHoldSnapshot",
    "PgMigratePlan",
    "PgMigratePostData",
    "PgMigratePreflight",
    "PgMigrateReleaseSnapshot",
    "PgMigrateTasks",
    "PgMigrateVerify",
    "RunTrigger",
]

# Airflow reads the provider's description before its own operators can be imported.
_MODULE_OF: Final = {
    "PgMigrate": "whole",
    "PgMigrateHoldSnapshot": "parts",
    "PgMigratePlan": "planning",
    "PgMigratePostData": "parts",
    "PgMigratePreflight": "checks",
    "PgMigrateReleaseSnapshot": "parts",
    "PgMigrateTasks": "parts",
    "PgMigrateVerify": "checks",
    "RunTrigger": "trigger",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_MODULE_OF[name]}")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("airflow"):
            raise
        raise ModuleNotFoundError(
            f"{name} needs Airflow 3; pip install 'pgmigrate[airflow]'", name=error.name
        ) from error
    return getattr(module, name)
