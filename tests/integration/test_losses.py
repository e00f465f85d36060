"""A session or a server is lost in any state of a run: what is claimed holds, and the run goes on.

What each loss means stands in the table of lifecycle.rs; test_lifecycle.py looks at each closely.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeAlias

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, Plan, Report, Tables
from support import parts, servers

State: TypeAlias = Literal["pre-data", "rows are read", "rows are written", "index"]
# The sessions of a run by their side: what their names look like, at work on a task or not.
SESSIONS = {
    "target leader": ("target", "^pgmigrate leader$"),
    "worker": ("target", "^pgmigrate (worker|t[0-9]+)$"),
    "source leader": ("source", "^pgmigrate leader$"),
    "reader": ("source", "^pgmigrate (reader|t[0-9]+)$"),
}
GATE = 4243
SCRIPT = f"""
CREATE TABLE first (id serial PRIMARY KEY);
INSERT INTO first SELECT FROM generate_series(1, 100);
CREATE FUNCTION gate(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared({GATE}); RETURN $1; END $$;
CREATE TABLE a (id int PRIMARY KEY, v text);
INSERT INTO a SELECT i, repeat('x', 100) FROM generate_series(1, 3000) i;
CREATE INDEX ON a (gate(id));
CREATE TABLE keyless (v text);
INSERT INTO keyless SELECT 'twin' FROM generate_series(1, 3000);
CREATE TABLE child (id int PRIMARY KEY REFERENCES a);
INSERT INTO child SELECT generate_series(1, 1000);
ANALYZE;
"""
# True for every row, and asked for each of them.
PASSES = f"pg_catalog.pg_advisory_xact_lock_shared({GATE})::text = ''"
# What keeps a run in each state, with the side that it waits on.
KEPT_BY: dict[State, tuple[str, str]] = {
    # CREATE FUNCTION writes this catalog, and nothing else of a run does.
    "pre-data": ("target", "LOCK TABLE pg_catalog.pg_proc IN SHARE MODE"),
    "rows are read": ("source", f"SELECT pg_advisory_xact_lock({GATE})"),
    "rows are written": ("target", "LOCK TABLE keyless IN SHARE MODE"),
    "index": ("target", f"SELECT pg_advisory_xact_lock({GATE})"),
}


def _run_that_loses(
    state: State,
    migration: Migration,
    plan: Plan,
    databases: dict[str, str],
    lose: Callable[[], None],
) -> Report:
    """The report of a run that has lost something in a state, where it was kept until then."""
    if state == "rows are written":
        migration.run_tasks(plan, plan.ids("pre-data")).raise_for_failures()
    side, statement = KEPT_BY[state]
    with ThreadPoolExecutor(1) as threads:
        keeper = psycopg.connect(databases[side])
        keeper.execute(statement)
        run = threads.submit(migration.run, plan, resume=state == "rows are written", jobs=2)
        parts.wait_for(
            lambda: run.done() or parts.blocked(databases[side]), "the run does not wait"
        )
        assert not run.done(), run.result().text()
        lose()
        # Where its server was lost, it is gone already.
        keeper.close()
        return run.result()


def _assert_honest(
    report: Report, migration: Migration, plan: Plan, databases: dict[str, str]
) -> None:
    """What was reported is so; and the run goes on to its end."""
    with psycopg.connect(databases["target"]) as connection:
        state = connection.execute("SELECT state FROM pgmigrate.migration_run").fetchone()
        open_tasks = connection.execute(
            "SELECT count(*) FROM pgmigrate.migration_task WHERE status NOT IN ('done', 'kept')"
        ).fetchone()
    assert state == (report.run_state,), report.text()
    assert (open_tasks == (0,)) == (report.status == "done"), report.text()
    if report.status != "done":
        migration.run(plan, resume=True).raise_for_failures()
    assert migration.verify(plan).ok
    servers.assert_equal(databases["source"], databases["target"])


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize(
    "state",
    [
        "pre-data",
        pytest.param("rows are read", marks=pytest.mark.soak),
        "rows are written",
        pytest.param("index", marks=pytest.mark.soak),
    ],
)
def test_a_session_is_lost(pair: Pair, state: State, session: str) -> None:
    databases = {"source": pair.source(), "target": pair.target()}
    servers.run_script(databases["source"], SCRIPT)
    tables: Tables = {"mode": "all", "include": [{"name": "keyless", "where": PASSES}]}
    migration = Migration(
        source=databases["source"], target=databases["target"], roles="none", tables=tables
    )
    plan = migration.plan()
    side, pattern = SESSIONS[session]
    lost: list[tuple[bool]] = []

    def lose() -> None:
        end = f"""
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name ~ '{pattern}'
        """
        lost.extend(servers.fetch(databases[side], end))

    report = _run_that_loses(state, migration, plan, databases, lose)
    # No session reads rows before there is a table for them.
    assert bool(lost) == ((state, session) != ("pre-data", "reader"))
    # Without its leader on the source, no session can join the snapshot any more.
    assert report.status == "done" or session == "source leader", report.text()
    _assert_honest(report, migration, plan, databases)


@pytest.mark.soak
@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("state", KEPT_BY)
def test_a_server_is_lost(state: State, side: str) -> None:
    with servers.start(16) as source, servers.start(18) as target:
        databases = {
            "source": servers.create_database(source, "lost"),
            "target": servers.create_database(target, "lost"),
        }
        # A sequence that was used after the last checkpoint goes on from a later value.
        servers.run_script(databases["source"], f"{SCRIPT} CHECKPOINT;")
        tables: Tables = {"mode": "all", "include": [{"name": "keyless", "where": PASSES}]}
        migration = Migration(
            source=databases["source"],
            target=databases["target"],
            roles="none",
            tables=tables,
            retries=3,
        )
        plan = migration.plan()

        def lose() -> None:
            server = source if side == "source" else target
            server.kill()
            server.start()

        report = _run_that_loses(state, migration, plan, databases, lose)
        _assert_honest(report, migration, plan, databases)


@pytest.mark.parametrize("gone", ["TRUNCATE pgmigrate.{} CASCADE", "DROP SCHEMA pgmigrate CASCADE"])
def test_a_ledger_is_lost(pair: Pair, gone: str) -> None:
    databases = {"source": pair.source(), "target": pair.target()}
    servers.run_script(databases["source"], SCRIPT)
    migration = Migration(source=databases["source"], target=databases["target"], roles="none")

    def lose() -> None:
        servers.run_script(databases["target"], gone.format("migration_run"))

    # While rows come, their transaction keeps the ledger's tables.
    report = _run_that_loses("pre-data", migration, migration.plan(), databases, lose)
    assert (report.status, report.run_state) == ("interrupted", None), report.text()
    found = {finding.check: finding.message for finding in report.findings}
    assert "ledger" in found["ledger_not_closed"] or "migration_" in found["ledger_not_closed"]
    assert not report.ok and "division" not in report.text()
