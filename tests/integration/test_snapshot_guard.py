"""S1: a table that the snapshot no longer gives is never read as an empty one.

TRUNCATE, a rewriting ALTER TABLE, DROP and CREATE and the like are not covered by snapshots. Each
test makes one happen at a certain moment: before the locks, under them, and after they are lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, Report, StateError
from support import parts, servers
from support.parts import Parts

CHANGES = {
    "s.truncated": "TRUNCATE s.truncated",
    "s.rewritten": "ALTER TABLE s.rewritten ALTER v TYPE int USING length(v)",
    "s.replaced": "DROP TABLE s.replaced; CREATE TABLE s.replaced (id int PRIMARY KEY, v text)",
    "s.renamed": """
        ALTER TABLE s.renamed RENAME TO old;
        CREATE TABLE s.renamed (id int PRIMARY KEY, v text)
    """,
    "s.columns": "ALTER TABLE s.columns DROP v; ALTER TABLE s.columns ADD v text",
    "s.swapped": """
        ALTER TABLE s.swapped RENAME v TO w; ALTER TABLE s.swapped ADD v text DEFAULT 'other'
    """,
    "s.clustered": "CLUSTER s.clustered USING clustered_pkey",
    "s.parted_1": "TRUNCATE s.parted",
    "s.child": "TRUNCATE s.parent",
}
HARMLESS = {
    "s.extended": "ALTER TABLE s.extended ADD w int DEFAULT 7, ALTER v SET NOT NULL",
    "s.granted": """
        GRANT SELECT ON s.granted TO PUBLIC; ALTER TABLE s.granted ALTER v SET STATISTICS 7
    """,
}
_PLAIN = {*CHANGES, *HARMLESS} - {"s.parted_1", "s.child"}
SCRIPT = (
    "CREATE SCHEMA s;"
    + "".join(f"CREATE TABLE {name} (id int PRIMARY KEY, v text);" for name in sorted(_PLAIN))
    + "CREATE TABLE s.parted (id int, v text) PARTITION BY RANGE (id);"
    + "CREATE TABLE s.parted_1 PARTITION OF s.parted FOR VALUES FROM (0) TO (10000);"
    + "CREATE TABLE s.parent (id int, v text);"
    + "CREATE TABLE s.child () INHERITS (s.parent);"
    + "".join(
        f"INSERT INTO {name} SELECT i, repeat('x', i % 7) FROM generate_series(1, 200) i;"
        for name in sorted({*CHANGES, *HARMLESS})
    )
)


@contextmanager
def _locked(conninfo: str, *tables: str) -> Iterator[psycopg.Connection[Any]]:
    """Keeps readers out of tables; what is run on the connection counts from its end."""
    with psycopg.connect(conninfo, application_name="nightly job") as connection:
        for table in tables:
            connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield connection


def _when_it_waits(
    conninfo: str, tables: tuple[str, ...], changes: list[str], work: Any
) -> Future[Any]:
    """Begins the work while the tables are locked, and changes them once it waits for the lock."""
    with ThreadPoolExecutor(1) as threads, _locked(conninfo, *tables) as connection:
        begun: Future[Any] = threads.submit(work)
        parts.wait_for(lambda: parts.blocked(conninfo) or begun.done(), "nothing waits")
        for change in changes:
            connection.execute(change)
        connection.commit()
    return begun


@pytest.mark.case("S1")
def test_what_happens_between_snapshot_and_lock_is_refused_by_name(pair: Pair) -> None:
    source, target = pair.filled(SCRIPT)
    migration = Migration(source=source, target=target, roles="none")
    changes = [*CHANGES.values(), *HARMLESS.values()]
    tables = ("s.parent", "s.parted", *sorted(_PLAIN))
    run = _when_it_waits(source, tables, changes, migration.run)
    with pytest.raises(StateError, match="after the snapshot was taken") as caught:
        run.result()
    message = str(caught.value)
    assert [name for name in {**CHANGES, **HARMLESS} if f"{name} " in message] == [*CHANGES]
    assert "new snapshot" in (caught.value.remedy or "")
    with psycopg.connect(target) as connection:
        assert connection.execute(
            "SELECT to_regnamespace('s'), to_regnamespace('pgmigrate')"
        ).fetchone() == (
            None,
            None,
        ), "the target was touched"
    migration.run().raise_for_failures()
    servers.assert_equal(source, target)


@pytest.mark.case("S1")
def test_tables_are_locked_through_all_that_comes_before_their_rows(
    pair: Pair, tmp_path: Path
) -> None:
    source, target = pair.filled(SCRIPT)
    tried: list[str] = []
    # Events come behind the work that they report: without a gate the run might have ended.
    gate = psycopg.connect(source, autocommit=True)
    gate.execute("SELECT pg_advisory_lock(4244)")
    passes = "pg_catalog.pg_advisory_xact_lock_shared(4244)::text = ''"

    def truncate(event: Mapping[str, Any]) -> None:
        if event["event"] != "step_started" or event["step"] == "connect" or gate.closed:
            return
        with psycopg.connect(source, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '50ms'")
            for table in ("s.truncated", "s.parted", "s.child"):
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    connection.execute(f"TRUNCATE {table}")
        tried.append(event["step"])
        if event["step"] == "ledger":
            gate.close()

    migration = Migration(
        source=source,
        target=target,
        roles="none",
        backup_dir=str(tmp_path),
        tables={
            "mode": "all",
            "include": [{"schema": "s", "name": "granted", "where": passes}],
        },
    )
    migration.run(backup=True, on_event=truncate).raise_for_failures()
    assert {"plan", "backup", "ledger"} <= set(tried)
    servers.assert_equal(source, target)


@pytest.mark.case("S1")
def test_after_the_leader_is_lost_no_changed_table_is_read(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    script = """
        CREATE TABLE a (id int PRIMARY KEY, v text);
        CREATE TABLE b (id int); CREATE TABLE c (id int);
    """
    servers.run_script(target, script + "INSERT INTO a VALUES (0)")
    servers.run_script(
        source,
        f"""{script}
        INSERT INTO a SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i;
        INSERT INTO b VALUES (1); INSERT INTO c VALUES (1); ANALYZE
        """,
    )
    migration = Migration(source=source, target=target, data_only=True)
    plan = migration.plan()
    # Table a holds a row of its own, so that it comes alone, and first.
    with ThreadPoolExecutor(1) as threads, psycopg.connect(target) as in_the_way:
        in_the_way.execute("LOCK TABLE a IN SHARE MODE")
        run = threads.submit(migration.run, plan, jobs=1)
        parts.wait_for(lambda: parts.blocked(target) or run.done(), "no rows are waiting")
        (leader,) = parts.backends(source, "pgmigrate leader")
        servers.run_script(source, f"SELECT pg_terminate_backend({leader})")
        servers.run_script(source, "SET lock_timeout = '20s'; TRUNCATE b")
        in_the_way.rollback()
        report = run.result()
    assert report.status == "failed" and report.run_state == "failed"
    (failed,) = [task for task in report.failed if task.status == "failed"]
    assert failed.object == "public.b" and "truncated or rewritten" in failed.note
    assert "resume the run" in failed.note and failed.attempts == 1
    assert report.consistent, "what was read is of one moment all the same"
    assert servers.rows(target, "public", "c") == servers.rows(source, "public", "c")
    migration.run(plan, resume=True).raise_for_failures()
    assert migration.verify(plan).tables[1].status == "equal"
    assert not servers.rows(target, "public", "b")


@pytest.mark.case("S1")
def test_a_part_refuses_what_changed_before_its_lock(bank: Parts) -> None:
    source = bank.options["source"]
    ids = bank.tasks("audit")

    def work() -> Report:
        return bank.migration.run_tasks(bank.plan, ids)

    part = _when_it_waits(source, ("bank.audit",), ["TRUNCATE bank.audit"], work)
    with pytest.raises(StateError, match=r"bank\.audit was truncated"):
        part.result()
    assert bank.statuses()[ids[0]] == "pending"
    work().raise_for_failures()
    # Rows that are on the target stay what they are, whatever becomes of the source's table.
    with bank.migration.hold_snapshot(bank.plan) as held:
        others = [task for task in bank.plan.ids("data") if task not in ids]
        bank.migration.run_tasks(bank.plan, others, snapshot="held").raise_for_failures()
        assert held.wait().ok


@pytest.mark.case("S1")
def test_a_table_that_stays_locked_is_not_read_and_its_blocker_is_named(bank: Parts) -> None:
    source = bank.options["source"]
    brief = Migration(**{**bank.options, "lock_timeout": 1, "retries": 0})
    plan = bank.plan
    held = brief.hold_snapshot(plan)
    with _locked(source) as waiting, ThreadPoolExecutor(1) as threads:
        pid = waiting.info.backend_pid
        # It waits for the holder, and a later session waits behind it.
        emptied = threads.submit(waiting.execute, "TRUNCATE bank.transfer")
        parts.wait_for(lambda: parts.blocked(source), "TRUNCATE does not wait")
        report = brief.run_tasks(
            plan, bank.tasks("transfer") + bank.tasks("audit"), snapshot="held"
        )
        assert {(task.object, task.sqlstate) for task in report.failed} == {
            ("bank.transfer", "55P03")
        }
        assert str(pid) in report.failed[0].note and "nightly job" in report.failed[0].note
        with pytest.raises(StateError, match=f"session {pid} of .*nightly job") as caught:
            brief.run(plan, resume=True)
        assert caught.value.object == "bank.transfer" and "lock_timeout" in (
            caught.value.remedy or ""
        )
        assert brief.release_snapshot() and held.wait().status == "released"
        emptied.result()
        waiting.rollback()
    brief.run(plan, resume=True).raise_for_failures()
    servers.assert_equal(source, bank.target)


@pytest.mark.case("S1")
def test_a_verification_does_not_take_a_truncated_source_for_an_empty_one(pair: Pair) -> None:
    source, target = pair.filled("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    migration = Migration(source=source, target=target, roles="none")
    migration.run().raise_for_failures()
    servers.run_script(target, "TRUNCATE t")
    verify = _when_it_waits(source, ("t",), ["TRUNCATE t"], migration.verify)
    verified = verify.result()
    assert not verified.ok
    (table,) = verified.tables
    assert table.status == "unchecked" and "truncated or rewritten" in table.note


@pytest.mark.case("S1")
def test_on_a_standby_replay_ends_the_snapshot_and_nothing_is_lost(
    bank: Parts, pair: Pair, tmp_path: Path
) -> None:
    server = servers.start_standby(pair.source_server)
    try:
        with psycopg.connect(bank.options["source"]) as connection:
            standby = server.conninfo_for(connection.info.dbname)
        replica = psycopg.connect(standby, autocommit=True)
        replica.execute("ALTER SYSTEM SET max_standby_streaming_delay = '200ms'")
        replica.execute("SELECT pg_reload_conf()")
        elsewhere = Migration(**{**bank.options, "source": standby, "retries": 0})
        with (
            ThreadPoolExecutor(1) as threads,
            parts.in_the_way(bank.target, "account") as account,
        ):
            run = threads.submit(elsewhere.run, bank.plan, resume=True, jobs=1)
            parts.wait_for(lambda: parts.blocked(bank.target) or run.done(), "no rows wait")
            servers.run_script(bank.options["source"], "TRUNCATE bank.transfer")
            emptied = "SELECT NOT EXISTS (SELECT FROM bank.transfer)"
            parts.wait_for(
                lambda: replica.execute(emptied).fetchone() == (True,), "replay did not go on"
            )
            account.rollback()
            report = run.result()
        # Small tables may have been sent before replay ended their reader: whole, or not at all.
        found = parts.on_target(bank.target)["transfer"]
        assert report.status == "failed" and len(found) in (0, 3000)
        failed = {task.object for task in report.failed if task.phase == "data"}
        assert failed and ("bank.transfer" in failed) == (not found)
        again = elsewhere.run(bank.plan, resume=True)
        again.raise_for_failures()
        assert again.consistent == (not found)
        if not found:
            servers.assert_equal(bank.options["source"], bank.target)
        replica.close()
    finally:
        server.stop()
