"""What a run loses, and what becomes of it: a test for each row of the table in lifecycle.rs.

Holders and parts that are lost are in test_hold.py, test_parts.py and tests/fault.
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
from pgmigrate import Migration, PreflightError, Report
from support import parts, servers
from support.half_open import half_open
from support.parts import Parts

# "pgmi" as a number, and what of a run is locked.
CLASS, RUN, BEGIN = 0x7067_6D69, 1, 2
SCRIPT = """
CREATE TABLE a (id int PRIMARY KEY, v text);
INSERT INTO a SELECT i, repeat('x', 100) FROM generate_series(1, 3000) i;
CREATE TABLE b (id serial PRIMARY KEY);
INSERT INTO b SELECT FROM generate_series(1, 100);
CREATE INDEX ON a (v);
ANALYZE;
"""


@pytest.fixture
def made(pair: Pair) -> tuple[Migration, Any, str, str]:
    """A migration whose tables are on the target, its plan, and both databases."""
    source, target = pair.filled(SCRIPT)
    return _made(source, target)


def _made(source: str, target: str, **options: Any) -> tuple[Migration, Any, str, str]:
    migration = Migration(source=source, target=target, roles="none", **options)
    plan = migration.plan()
    migration.run_tasks(plan, plan.ids("pre-data")).raise_for_failures()
    return migration, plan, source, target


@contextmanager
def _at_work(target: str, work: Any) -> Iterator[Future[Report]]:
    """Work that waits for a lock on the target's table a until the block ends."""
    with ThreadPoolExecutor(1) as threads:
        with psycopg.connect(target) as in_the_way:
            in_the_way.execute("LOCK TABLE a IN SHARE MODE")
            begun = threads.submit(work)
            parts.wait_for(lambda: parts.blocked(target) or begun.done(), "nothing waits")
            assert not begun.done(), begun.result().text()
            yield begun
            in_the_way.rollback()
        begun.exception()


def _holds_run(target: str) -> list[int]:
    query = """
        SELECT pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE locktype = 'advisory' AND classid::int8 = %s AND objid = %s AND granted
            AND datname = current_database()
    """
    with psycopg.connect(target) as connection:
        return [pid for (pid,) in connection.execute(query, (CLASS, RUN)).fetchall()]


def _terminate(conninfo: str, application: str) -> int:
    (pid,) = parts.backends(conninfo, application)
    servers.run_script(conninfo, f"SELECT pg_terminate_backend({pid})")
    return pid


def _state(target: str) -> tuple[Any, ...] | None:
    with psycopg.connect(target) as connection:
        return connection.execute("SELECT state FROM pgmigrate.migration_run").fetchone()


@pytest.mark.case("R1")
@pytest.mark.parametrize("kind", ["whole", "whole with a state file", "part"])
def test_a_lost_leader_on_the_target_takes_its_lock_again(
    made: tuple[Migration, Any, str, str], kind: str, tmp_path: Path
) -> None:
    migration, plan, source, target = made
    ids = plan.ids("data")
    registered = "SELECT backend FROM pgmigrate.migration_snapshot"

    def work() -> Report:
        if kind == "part":
            return migration.run_tasks(plan, ids)
        state = tmp_path / "state.tsv" if kind == "whole with a state file" else None
        return migration.run(plan, resume=True, state=state)

    with _at_work(target, work) as run:
        lost = _terminate(target, "pgmigrate leader")
        parts.wait_for(lambda: _holds_run(target) not in ([], [lost]), "no lock was taken again")
        if kind == "part":
            held = _holds_run(target)
            parts.wait_for(
                lambda: held == [pid for (pid,) in _rows(target, registered)], "not registered"
            )
        else:
            with pytest.raises(PreflightError, match="another run of pgmigrate is active"):
                migration.run(plan, resume=True)
    report = run.result()
    assert report.status == "done", report.text()
    assert report.run_state == ("interrupted" if kind == "part" else "done")
    migration.run(plan, resume=True).raise_for_failures()
    servers.assert_equal(source, target)


def _rows(conninfo: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.case("R1")
def test_a_run_that_another_process_has_taken_over_stops_and_reports(
    made: tuple[Migration, Any, str, str],
) -> None:
    migration, plan, source, target = made
    with (
        psycopg.connect(target, autocommit=True) as other,
        _at_work(target, lambda: migration.run(plan, resume=True)) as run,
    ):
        (leader,) = parts.backends(target, "pgmigrate leader")
        other.execute("SELECT pg_terminate_backend(%s)", (leader,))
        other.execute("SELECT pg_advisory_lock(%s, %s)", (CLASS, RUN))
        report = run.result(timeout=60)
        assert (report.status, report.run_state) == ("interrupted", None)
        found = {finding.check: finding.message for finding in report.findings}
        assert "another process works on the run" in found["ended_early"]
        assert "ledger_not_closed" in found
        assert {task.status for task in report.tasks if task.phase == "pre-data"} <= {
            "done",
            "kept",
        }
        assert not parts.backends(target, "pgmigrate worker")
    migration.run(plan, resume=True).raise_for_failures()
    servers.assert_equal(source, target)


@pytest.mark.case("R1")
def test_a_leader_that_is_lost_while_the_run_is_closed_closes_it(
    made: tuple[Migration, Any, str, str],
) -> None:
    migration, plan, source, target = made
    with (
        ThreadPoolExecutor(1) as threads,
        psycopg.connect(target, autocommit=True) as other,
    ):
        events: list[str] = []

        def watch(event: Mapping[str, Any]) -> None:
            if event["event"] == "run_started":
                other.execute("SELECT pg_advisory_lock(%s, %s)", (CLASS, BEGIN))
            events.append(event["event"])

        run = threads.submit(migration.run, plan, resume=True, on_event=watch)
        parts.wait_for(lambda: "run_finished" in events or run.done(), "the run does not end")
        parts.wait_for(lambda: parts.blocked(target) or run.done(), "the run is not closed")
        _terminate(target, "pgmigrate leader")
        other.execute("SELECT pg_advisory_unlock(%s, %s)", (CLASS, BEGIN))
        report = run.result()
    assert (report.status, report.run_state) == ("done", "done"), report.text()
    assert _state(target) == ("done",)
    servers.assert_equal(source, target)


@pytest.mark.case("R2")
def test_without_the_source_leader_the_report_is_done_and_nothing_counts_as_verified(
    made: tuple[Migration, Any, str, str],
) -> None:
    migration, plan, source, target = made
    with _at_work(target, lambda: migration.run(plan, resume=True, jobs=1, verify=True)) as run:
        _terminate(source, "pgmigrate leader")
    report = run.result()
    assert (report.status, report.run_state) == ("done", "done"), report.text()
    assert report.consistent and not report.ok
    assert report.verification is not None and not report.verification.equal
    (unchecked,) = report.verification.unchecked
    assert unchecked.reason.startswith("not compared: ")
    assert migration.verify(plan).ok
    servers.assert_equal(source, target)


def test_a_worker_whose_connection_is_lost_does_its_task_again(
    made: tuple[Migration, Any, str, str],
) -> None:
    migration, plan, source, target = made
    (task,) = [task.id for task in plan if task.kind == "data" and task.name == "a"]
    ids = [task, *(other for other in plan.ids("data") if other != task)]
    with _at_work(target, lambda: migration.run_tasks(plan, ids)) as run:
        waiting = """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
        """
        assert _rows(target, waiting) == [(True,)]
    report = run.result()
    report.raise_for_failures()
    migration.run(plan, resume=True).raise_for_failures()
    servers.assert_equal(source, target)


def test_a_source_server_that_ends_takes_the_snapshot_with_it(pair: Pair) -> None:
    with servers.start(16) as server:
        source = servers.create_database(server, "lost")
        # More rows than what the reader may have received before the target takes any.
        more = "INSERT INTO a SELECT i, repeat('x', 1000) FROM generate_series(20001, 50000) i"
        servers.run_script(source, f"{SCRIPT} {more}")
        migration, plan, _, target = _made(source, pair.target(), retries=1)
        with _at_work(target, lambda: migration.run(plan, resume=True, jobs=1)) as run:
            server.kill()
            server.start()
            servers.run_script(source, "INSERT INTO a VALUES (9999, 'new')")
        report = run.result()
        assert (report.status, report.run_state) == ("failed", "failed")
        assert _state(target) == ("failed",)
        again = migration.run(plan, resume=True)
        again.raise_for_failures()
        servers.assert_equal(source, target)


@pytest.mark.case("R1")
def test_a_target_server_that_restarts_is_waited_for(pair: Pair) -> None:
    source = pair.source()
    servers.run_script(source, SCRIPT)
    with servers.start(18) as server:
        migration, plan, _, target = _made(
            source, servers.create_database(server, "lost"), retries=8
        )
        with ThreadPoolExecutor(1) as threads:
            in_the_way = psycopg.connect(target)
            in_the_way.execute("LOCK TABLE a IN SHARE MODE")
            run = threads.submit(migration.run, plan, resume=True)
            parts.wait_for(lambda: parts.blocked(target) or run.done(), "nothing waits")
            server.kill()
            server.start()
            report = run.result()
        # What was committed asynchronously may be lost; then it is open, and the report says so.
        assert report.status in ("done", "interrupted"), report.text()
        assert report.status == "done" or {task.status for task in report.tasks} > {"done"}
        migration.run(plan, resume=True).raise_for_failures()
        servers.assert_equal(source, target)


@pytest.mark.case("S9")
def test_a_sequence_that_a_dead_part_has_put_back_is_set_by_the_next_one(bank: Parts) -> None:
    data = bank.plan.ids("data")
    (sequence,) = [task.id for task in bank.plan if task.kind == "sequence value"]
    bank.migration.run_tasks(bank.plan, data).raise_for_failures()
    servers.run_script(
        bank.target,
        f"""
        UPDATE pgmigrate.migration_task SET status = 'pending' WHERE task = '{sequence}';
        SELECT setval('bank.audit_id_seq', 1)
        """,
    )
    later = bank.migration.run_tasks(bank.plan, bank.plan.ids(*parts.LATER))
    assert (later.status, later.run_state) == ("done", "interrupted"), "a task is open"
    report = bank.migration.run_tasks(bank.plan, bank.tasks("transfer"))
    assert {task.id for task in report.tasks} == {sequence, *bank.tasks("transfer")}
    assert report.run_state == "done"
    assert _rows(bank.target, "SELECT nextval('bank.audit_id_seq')") == [(501,)]


@pytest.mark.case("S9")
def test_two_parts_that_set_one_sequence_leave_the_later_value(bank: Parts) -> None:
    """The first one waits with the value that it has read: the second one reads after it."""
    source, target = bank.options["source"], bank.target
    (sequence,) = [task.id for task in bank.plan if task.kind == "sequence value"]
    more = "INSERT INTO bank.audit (account) SELECT 1 FROM generate_series(1, 100)"
    with psycopg.connect(target) as in_the_way, ThreadPoolExecutor(1) as threads:
        in_the_way.execute("ALTER SEQUENCE bank.audit_id_seq CACHE 1")
        first = threads.submit(bank.migration.run_tasks, bank.plan, [sequence])
        parts.wait_for(lambda: parts.blocked(target) or first.done(), "nothing waits")
        servers.run_script(source, more)
        with ThreadPoolExecutor(1) as others:
            ids = bank.tasks("audit")
            second = others.submit(bank.migration.run_tasks, bank.plan, ids)
            parts.wait_for(
                lambda: len(parts.backends(target, "pgmigrate leader")) == 2 or second.done(),
                "the second does not join",
            )
            in_the_way.rollback()
            for part in (first, second):
                part.result().raise_for_failures()
    assert _rows(target, "SELECT max(id), nextval('bank.audit_id_seq') FROM bank.audit") == [
        (600, 601)
    ]


def test_a_part_whose_task_another_part_does_again_is_not_interrupted(bank: Parts) -> None:
    source, target = bank.options["source"], bank.target
    (sequence,) = [task.id for task in bank.plan if task.kind == "sequence value"]
    with (
        parts.in_the_way(target, "audit") as second_waits,
        parts.in_the_way(target, "transfer") as first_waits,
        ThreadPoolExecutor(2) as threads,
    ):
        ids = [sequence, *bank.tasks("transfer")]
        first = threads.submit(bank.migration.run_tasks, bank.plan, ids)
        parts.wait_for(lambda: bank.statuses()[sequence] == "done", "the sequence is not set")
        parts.wait_for(lambda: parts.blocked(target), "nothing waits")
        servers.run_script(source, "INSERT INTO bank.audit (account) VALUES (1)")
        second = threads.submit(bank.migration.run_tasks, bank.plan, bank.tasks("audit"))
        parts.wait_for(lambda: bank.statuses()[sequence] != "done", "it is not put back")
        first_waits.rollback()
        done = first.result()
        second_waits.rollback()
        second.result().raise_for_failures()
    assert (done.status, done.run_state) == ("done", "running")
    assert {task.status for task in done.tasks} == {"done"}
    (finding,) = [finding for finding in done.findings if finding.check == "put_back"]
    assert "audit_id_seq" in finding.message
    assert _rows(target, "SELECT max(id), nextval('bank.audit_id_seq') FROM bank.audit") == [
        (501, 502)
    ]


@pytest.mark.case("R3")
def test_what_a_lost_connection_left_on_the_target_does_not_stand_in_the_way(pair: Pair) -> None:
    """The server still has the transactions with their locks; the next attempt ends them."""
    source, target = pair.filled(SCRIPT)
    with half_open(target) as way:
        migration, plan, _, _ = _made(source, way.conninfo, lock_timeout=3, retries=2)
        with _at_work(target, lambda: migration.run(plan, resume=True, jobs=1)) as run:
            before = {pid for (pid,) in _rows(target, _OWN)}
            way.break_off()
            parts.wait_for(
                lambda: before.isdisjoint(pid for (pid,) in _rows(target, _OWN)),
                "lost sessions are still on the server",
            )
        report = run.result()
        assert report.status == "done", report.text()
    servers.assert_equal(source, target)


_OWN = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'pgmigrate%'
"""
