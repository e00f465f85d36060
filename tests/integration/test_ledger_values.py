"""A value in the ledger that is of no closed set is an error that names it, not another value."""

from __future__ import annotations

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, StateError
from support import servers

COLUMNS = [
    ("migration_run", "state"),
    ("migration_task", "status"),
    ("migration_task", "phase"),
    ("migration_task", "mode"),
]


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_value_of_no_set_is_named(pair: Pair, table: str, column: str) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(source, "CREATE TABLE a (id int PRIMARY KEY)")
    migration = Migration(source=source, target=target, roles="none")
    migration.run().raise_for_failures()
    with psycopg.connect(target) as session:
        checks = session.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'",
            [f"pgmigrate.{table}"],
        ).fetchall()
        for (name,) in checks:
            session.execute(f'ALTER TABLE pgmigrate.{table} DROP CONSTRAINT "{name}"')
        session.execute(f"UPDATE pgmigrate.{table} SET {column} = 'paused'")
    with pytest.raises(StateError, match=r'"paused" is no .*; known are ') as caught:
        migration.status()
    assert caught.value.remedy is not None
