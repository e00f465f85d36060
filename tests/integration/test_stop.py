"""Ctrl-C, an exception in `on_event` and cancelling stop a run: at once, in order, resumable."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, TableRule
from support import servers
from support.shell import Shell

# How long a run that is asked to stop may take, by the issue.
AT_ONCE = 1.0
GATE = 4242

SCRIPT = """
CREATE TABLE first (a int);
INSERT INTO first SELECT 1 FROM generate_series(1, 50);
CREATE TABLE gated (id int PRIMARY KEY, v text);
INSERT INTO gated SELECT i, repeat('x', 200) FROM generate_series(1, 500) AS i;
CREATE TABLE later (id int PRIMARY KEY, g int REFERENCES gated);
INSERT INTO later SELECT i, i FROM generate_series(1, 50) AS i;
ANALYZE;
"""
# No row passes while somebody holds the lock.
GATED: TableRule = {
    "name": "gated",
    "where": f"pg_catalog.pg_advisory_xact_lock_shared({GATE})::text = ''",
}


@pytest.fixture
def databases(pair: Pair) -> tuple[str, str]:
    source = pair.source()
    servers.run_script(source, SCRIPT)
    return source, pair.target()


def migration(databases: tuple[str, str], *rules: TableRule, **keys: Any) -> Migration:
    return Migration(
        source=databases[0],
        target=databases[1],
        roles="none",
        tables={"include": list(rules)},
        **keys,
    )


@contextmanager
def closed_gate(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [GATE])
        yield connection


def wait_at_gate(connection: psycopg.Connection[Any]) -> None:
    """Returns once somebody waits for the lock."""
    database = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = "
    poll(connection, waiting + database)


def poll(connection: psycopg.Connection[Any], query: str) -> None:
    """Waits until a query has a row."""
    deadline = time.monotonic() + 60
    while connection.execute(query).fetchone() is None:
        assert time.monotonic() < deadline, query
        time.sleep(0.01)


# Read by the core's own queries, and by nothing but pg_dump. Neither has a cache of its own, which
# a new session may have to fill before it can be used.
OF_THE_CORE_AND_PG_DUMP = ["pg_description", "pg_init_privs"]


@contextmanager
def kept_locked(conninfo: str, table: str) -> Iterator[Callable[[], None]]:
    """Keeps everybody else from a table; gives what waits until somebody waits for it."""
    with (
        psycopg.connect(conninfo) as connection,
        psycopg.connect(conninfo, autocommit=True) as other,
    ):
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        oid = connection.execute("SELECT %s::regclass::oid", [table]).fetchone()
        assert oid is not None
        yield lambda: poll(other, f"SELECT FROM pg_locks WHERE NOT granted AND relation = {oid[0]}")
        connection.rollback()


def own(*conninfos: str) -> list[tuple[str, str]]:
    """What pgmigrate's sessions do in these databases."""
    found: list[tuple[str, str]] = []
    for conninfo in conninfos:
        with psycopg.connect(conninfo) as connection:
            query = """
                SELECT application_name, state || ' ' || coalesce(wait_event, '') || ' ' || query
                FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                    AND application_name ~ '^(pgmigrate|pg_dump|pg_restore)'
            """
            found += connection.execute(query).fetchall()
    return found


def assert_no_own_sessions(*conninfos: str) -> None:
    # A server needs a moment to see that its client is gone.
    deadline = time.monotonic() + AT_ONCE
    while (found := own(*conninfos)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found == []


def ctrl_c(process: subprocess.Popen[str]) -> str:
    """Sends what Ctrl-C sends, and holds the process to its time; what it printed."""
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    try:
        stdout, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
    assert time.monotonic() - began < AT_ONCE
    assert process.returncode == 130, stdout + stderr
    return stdout + stderr


def write(shell: Shell, databases: tuple[str, str], *rules: TableRule, **keys: Any) -> None:
    config = {"source": databases[0], "target": databases[1], "roles": "none", **keys}
    config["tables"] = {"include": list(rules)}
    (shell.folder / "config.json").write_text(json.dumps(config))


# Ctrl-C.


def test_exit_130_ctrl_c_among_rows_and_resumed(databases: tuple[str, str], shell: Shell) -> None:
    write(shell, databases, GATED)
    with closed_gate(databases[0]) as gate:
        process = shell.start_group("migrate", "--config", "config.json", "--jobs", "2")
        wait_at_gate(gate)
        reported = ctrl_c(process)
        assert_no_own_sessions(*databases)
    assert "Traceback" not in reported
    assert "pgmigrate migrate --config config.json" in reported
    assert "--resume" in reported
    status = json.loads(shell.run("status", "--config", "config.json", "--json").stdout)
    assert status["state"] == "interrupted"
    assert status["tasks"]["running"] == status["tasks"]["failed"] == 0
    again = re.search(r"To go on: pgmigrate (.*)", reported)
    assert again is not None
    done = shell.run(*again[1].split())
    assert done.code == 0, done.text
    servers.assert_equal(*databases)


def test_ctrl_c_while_an_index_is_built(databases: tuple[str, str], shell: Shell) -> None:
    servers.run_script(
        databases[0],
        "CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql "
        "AS 'BEGIN PERFORM pg_sleep(0); RETURN $1; END'; CREATE INDEX ON gated (slow(id))",
    )
    # The target has a slower one.
    servers.run_script(
        databases[1],
        "CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql "
        "AS 'BEGIN PERFORM pg_sleep(0.1); RETURN $1; END'",
    )
    write(shell, databases)
    with psycopg.connect(databases[1], autocommit=True) as connection:
        process = shell.start_group("migrate", "--config", "config.json")
        # The ledger's tables have indexes, too, and are made before there is anything to resume.
        built = "SELECT FROM pg_stat_progress_create_index WHERE relid = to_regclass('gated')"
        poll(connection, built)
        ctrl_c(process)
        assert_no_own_sessions(*databases)
        connection.execute(
            "CREATE OR REPLACE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql "
            "AS 'BEGIN PERFORM pg_sleep(0); RETURN $1; END'"
        )
    done = shell.run("migrate", "--config", "config.json", "--resume")
    assert done.code == 0, done.text
    servers.assert_equal(*databases)


@pytest.mark.parametrize("verb", ["plan", "migrate", "preflight"])
@pytest.mark.parametrize("catalog", OF_THE_CORE_AND_PG_DUMP)
def test_ctrl_c_while_the_source_is_inspected(
    databases: tuple[str, str], shell: Shell, verb: str, catalog: str
) -> None:
    write(shell, databases)
    with kept_locked(databases[0], catalog) as wait:
        process = shell.start_group(verb, "--config", "config.json")
        wait()
        ctrl_c(process)
        assert_no_own_sessions(*databases)
    assert servers.tables(databases[1]) == []


def test_ctrl_c_while_key_ranges_are_asked_for(databases: tuple[str, str], shell: Shell) -> None:
    write(shell, databases, {**GATED, "chunk_column": "id", "chunk_size": 100})
    with closed_gate(databases[0]) as gate:
        process = shell.start_group("plan", "--config", "config.json")
        wait_at_gate(gate)
        ctrl_c(process)
        assert_no_own_sessions(*databases)


# What of the target each command reads first, or alone, while somebody else keeps it locked. No
# catalog among them has a cache of its own, which a new session may have to fill.
READS_OF_THE_TARGET = [
    ("verify", "gated"),
    ("verify", "pg_catalog.pg_description"),
    ("verify", "pgmigrate.migration_run"),
    ("preflight", "pg_catalog.pg_trigger"),
    ("status", "pgmigrate.migration_run"),
    ("cleanup", "pgmigrate.migration_run"),
    ("migrate --resume", "pgmigrate.migration_run"),
    ("migrate --resume", "pgmigrate.migration_task"),
]


@pytest.mark.parametrize(("command", "relation"), READS_OF_THE_TARGET)
def test_ctrl_c_while_a_command_reads_the_target(
    databases: tuple[str, str], shell: Shell, command: str, relation: str
) -> None:
    write(shell, databases)
    assert shell.run("migrate", "--config", "config.json").code == 0
    with kept_locked(databases[1], relation) as wait:
        process = shell.start_group(*command.split(), "--config", "config.json")
        wait()
        ctrl_c(process)
        assert_no_own_sessions(*databases)
    status = json.loads(shell.run("status", "--config", "config.json", "--json").stdout)
    assert status["state"] == "done", "the ledger is as it was"


def test_ctrl_c_while_the_target_is_backed_up(databases: tuple[str, str], shell: Shell) -> None:
    servers.run_script(databases[1], "CREATE TABLE precious (a int)")
    write(shell, databases)
    with kept_locked(databases[1], "precious") as wait:
        process = shell.start_group("backup", "--config", "config.json")
        wait()
        ctrl_c(process)
        assert_no_own_sessions(*databases)
    assert list((shell.folder / "backup").iterdir()) == []


# An exception in on_event.


class EnoughError(Exception):
    """What the caller's own code raises."""


@pytest.mark.parametrize("at", ["step_finished", "run_started", "task_started", "task_finished"])
def test_an_exception_in_on_event_stops_the_run(databases: tuple[str, str], at: str) -> None:
    chosen = migration(databases, GATED)
    plan = chosen.plan()
    raised_at: list[float] = []

    def on_event(event: Mapping[str, Any]) -> None:
        assert not raised_at, "no event is reported after an exception"
        if event["event"] == at:
            raised_at.append(time.monotonic())
            raise EnoughError(at)

    with closed_gate(databases[0]):
        with pytest.raises(EnoughError):
            chosen.run(plan, on_event=on_event)
        assert time.monotonic() - raised_at[0] < AT_ONCE
        assert_no_own_sessions(*databases)
    begun = chosen.status().state != "none"
    assert begun == (at != "step_finished")
    chosen.run(plan, resume=begun).raise_for_failures()
    servers.assert_equal(*databases)


def test_an_exception_in_any_verb_is_raised_again(databases: tuple[str, str]) -> None:
    def on_event(event: Mapping[str, Any]) -> None:
        raise EnoughError

    chosen = migration(databases)
    for verb in (chosen.preflight, chosen.plan, chosen.verify, chosen.backup):
        with pytest.raises(EnoughError):
            verb(on_event=on_event)
    assert_no_own_sessions(*databases)


def test_ctrl_c_in_python_is_a_keyboard_interrupt(databases: tuple[str, str]) -> None:
    chosen = migration(databases, GATED)
    plan = chosen.plan()
    with closed_gate(databases[0]) as gate:

        def interrupt() -> None:
            wait_at_gate(gate)
            signal.raise_signal(signal.SIGINT)

        # Python runs handlers of signals in the main thread, wherever they arrive.
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            chosen.run(plan)
        thread.join()
        assert_no_own_sessions(*databases)
    assert chosen.status().state == "interrupted"
    chosen.run(plan, resume=True).raise_for_failures()
    servers.assert_equal(*databases)


# Asyncio.


async def test_cancelling_a_run_stops_it(databases: tuple[str, str]) -> None:
    chosen = migration(databases, GATED)
    plan = await chosen.plan_async()
    with closed_gate(databases[0]) as gate:
        running = asyncio.create_task(chosen.run_async(plan))
        await asyncio.to_thread(wait_at_gate, gate)
        began = time.monotonic()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert time.monotonic() - began < AT_ONCE
        assert_no_own_sessions(*databases)
    assert chosen.status().state == "interrupted"
    (await chosen.run_async(plan, resume=True)).raise_for_failures()
    servers.assert_equal(*databases)


async def test_a_timeout_stops_a_run(databases: tuple[str, str]) -> None:
    chosen = migration(databases, GATED)
    with closed_gate(databases[0]):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(chosen.run_async(), 1.5)
        assert_no_own_sessions(*databases)


@pytest.mark.parametrize("catalog", OF_THE_CORE_AND_PG_DUMP)
async def test_cancelling_while_the_source_is_inspected(
    databases: tuple[str, str], catalog: str
) -> None:
    with kept_locked(databases[0], catalog) as wait:
        planning = asyncio.create_task(migration(databases).plan_async())
        await asyncio.to_thread(wait)
        planning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await planning
        assert_no_own_sessions(*databases)


async def test_a_loop_that_ends_leaves_nothing_behind(databases: tuple[str, str]) -> None:
    """A coroutine that is closed, not cancelled, can await no more."""
    chosen = migration(databases, GATED)
    with closed_gate(databases[0]) as gate:
        running = chosen.run_async()
        awaited = asyncio.ensure_future(running)
        await asyncio.to_thread(wait_at_gate, gate)
        awaited.cancel()
        await asyncio.wait([awaited])
        assert_no_own_sessions(*databases)


# Sooner or later.


def test_a_stop_before_the_start_is_no_failure(databases: tuple[str, str]) -> None:
    def on_event(event: Mapping[str, Any]) -> None:
        raise KeyboardInterrupt

    chosen = migration(databases)
    with pytest.raises(KeyboardInterrupt):
        chosen.run(on_event=on_event)
    chosen.run().raise_for_failures()
    servers.assert_equal(*databases)
