"""Keys of a configuration that decide how a run goes, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import ConfigError, Event
from pgmigrate.embedded import find_tool
from support import servers
from support.config_keys import app_t, ids, migration, run, shows, values


@shows("parallel", "parallel.max_jobs")
def test_max_jobs_and_jobs_over_it(pair: Pair, databases: tuple[str, str]) -> None:
    def jobs(suffix: str, given: int | None) -> int:
        events: list[Event] = []
        chosen = migration((databases[0], pair.target(suffix)), parallel={"max_jobs": 1})
        chosen.run(jobs=given, on_event=events.append)
        workers = {event["worker"] for event in events if event["event"] == "task_started"}
        (started,) = [event for event in events if event["event"] == "run_started"]
        assert len(workers) <= started["jobs"]
        return int(started["jobs"])

    assert jobs("_config", None) == 1
    assert jobs("_call", 3) == 3


@shows("options.consistent")
@pytest.mark.parametrize("given", [True, False])
def test_consistent_decides_what_a_resumed_run_does(
    databases: tuple[str, str], given: bool
) -> None:
    # Chunks that are large enough not to share a transaction; only the first one gets through as
    # long as we hold the lock.
    servers.run_script(
        databases[0],
        "ALTER TABLE app.t ALTER v SET STORAGE EXTERNAL; "
        "UPDATE app.t SET v = repeat('v', 80000); ANALYZE app.t",
    )
    gate = "id < 11 OR pg_catalog.pg_advisory_xact_lock_shared(7)::text = ''"
    rule = app_t(where=gate, chunk_column="id", chunk_size=10)
    chosen = migration(databases, tables={"mode": "include", "include": [rule]}, consistent=given)
    plan = chosen.plan()

    def leave(event: Mapping[str, Any]) -> None:
        if event["event"] == "task_finished" and event["kind"] == "data":
            raise ZeroDivisionError

    with psycopg.connect(databases[0], autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(7)")
        with pytest.raises(ZeroDivisionError):
            chosen.run(plan, jobs=1, on_event=leave)
        connection.execute("UPDATE app.t SET v = 'new'")
    report = chosen.run(plan, resume=True)
    assert report.ok
    assert report.consistent == given
    old = values(databases[1], "SELECT id FROM app.t WHERE v <> 'new' ORDER BY id")
    assert old == ([] if given else list(range(1, 11)))
    assert ids(databases[1]) == list(range(1, 41))


@shows("options.ledger_schema", "options.keep_ledger")
def test_where_the_ledger_is_and_whether_it_stays(databases: tuple[str, str]) -> None:
    find = "SELECT DISTINCT schemaname::text FROM pg_tables WHERE tablename = 'migration_task'"
    run(databases, ledger_schema="Ops", keep_ledger=True)
    assert values(databases[1], find) == ["Ops"]
    run(databases, ledger_schema="Ops", keep_ledger=False)
    assert values(databases[1], find) == []
    assert values(databases[1], "SELECT to_regnamespace('\"Ops\"')") == [None]


@shows("options.backup", "options.backup_dir")
@pytest.mark.parametrize("given", [True, False])
def test_a_backup_is_made_where_it_is_asked_for(
    databases: tuple[str, str], given: bool, tmp_path: Path
) -> None:
    servers.run_script(databases[1], "CREATE TABLE precious (a int)")
    folder = tmp_path / "kept"
    report = run(databases, backup=given, backup_dir=str(folder))
    assert (report.backup is not None) == given
    found = sorted(folder.glob("pgmigrate_backup_*.dump"))
    assert len(found) == given
    for path in found:
        assert str(path) == report.backup
        assert b"precious" in path.read_bytes()


@shows("options.verify")
@pytest.mark.parametrize("given", [True, False])
def test_a_run_verifies_where_that_is_asked_for(databases: tuple[str, str], given: bool) -> None:
    report = run(databases, verify=given)
    assert (report.verification is not None) == given
    if report.verification is not None:
        objects = [table.object for table in report.verification.tables]
        assert {"app.t", "app.child", "other.o"} <= set(objects)
        assert report.verification.ok


@shows("options.pg_dump")
def test_the_pg_dump_that_is_named_is_used(databases: tuple[str, str], tmp_path: Path) -> None:
    log = tmp_path / "calls"
    program = tmp_path / "pg_dump"
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {find_tool("pg_dump")} "$@"\n')
    program.chmod(0o755)
    migration(databases, pg_dump=str(program)).plan()
    assert "--schema-only" in log.read_text()
    with pytest.raises(ConfigError, match="pg_dump"):
        migration(databases, pg_dump=str(tmp_path / "none")).plan()


@contextmanager
def _schema_in_the_making(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that has made schema app and does not end: another one that makes it waits."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("CREATE SCHEMA app")
        yield connection
        connection.rollback()


@shows("options.lock_timeout")
def test_a_lock_is_waited_for_as_long_as_lock_timeout(databases: tuple[str, str]) -> None:
    with _schema_in_the_making(databases[1]):
        report = migration(databases, schemas=["app"], lock_timeout=1, retries=0).run()
    failed = [task for task in report.tasks if task.status == "failed"]
    assert [(task.object, task.sqlstate, task.attempts) for task in failed] == [("app", "55P03", 1)]


@shows("options.accept_newer_servers")
def test_accept_newer_servers(databases: tuple[str, str]) -> None:
    # No server is newer than those that are known: what the option lifts, a test of the core shows.
    report = migration(databases, accept_newer_servers=True).run()
    assert report.ok and ids(databases[1]) == list(range(1, 41))
    assert not {"source_version", "target_version"} & {found.check for found in report.findings}


@shows("options.retries")
def test_a_task_is_tried_as_often_as_retries_says(databases: tuple[str, str]) -> None:
    with _schema_in_the_making(databases[1]) as connection:

        def give_way(event: Mapping[str, Any]) -> None:
            if event["event"] == "task_retried":
                connection.rollback()

        chosen = migration(databases, schemas=["app"], lock_timeout=1, retries=2)
        report = chosen.run(on_event=give_way)
    report.raise_for_failures()
    (schema,) = [task for task in report.tasks if task.kind == "schema"]
    assert schema.attempts == 2
    assert ids(databases[1]) == list(range(1, 41))
