"""A whole migration: checked first, moved by one task, compared at the end.

The two connections are of type Postgres; their extras (``sslmode``, ``options``...) are used.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag

from pgmigrate.airflow import PgMigrate, PgMigratePreflight, PgMigrateVerify


@dag(
    schedule=None,
    tags=["pgmigrate", "example"],
    default_args={
        "source_conn_id": "pgmigrate_source",
        "target_conn_id": "pgmigrate_target",
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
    },
)
def pgmigrate_whole() -> None:
    """Preflight, migration, verification."""
    preflight = PgMigratePreflight(task_id="preflight")
    migrate = PgMigrate(task_id="migrate")
    verify = PgMigrateVerify(task_id="verify")
    preflight >> migrate >> verify


pgmigrate_whole()
