"""What a long run meets: lost answers, lost clients, other hosts, slow callers, many chunks.

Lost leaders are in test_lifecycle.py, encrypted ways of client programs in test_tls.py.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conftest import Pair
from pgmigrate import BackupError, Migration, StateError, TableRule, Tables
from pgmigrate._procedure.lock import ProcedureLock
from support import parts, roles, servers
from support.half_open import half_open
from support.lost_answer import Loss, losing_commits
from support.shell import Shell

_BUILDING: Final = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND state = 'active' AND query LIKE 'CREATE INDEX%'
"""
# The index is there before its function becomes slow: only the target's is built with that.
_SLOW_INDEX: Final = """
CREATE TABLE t AS SELECT generate_series(1, 3) AS id;
CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE INDEX slow ON t (f(id));
CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    'BEGIN PERFORM pg_sleep(600); RETURN $1; END';
"""
_FAST: Final = """
CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END'
"""


def _rows(conninfo: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.case("R3")
@pytest.mark.parametrize("kind", ["the server notices", "the next run ends it"])
def test_an_index_build_of_a_killed_client_ends(pair: Pair, tmp_path: Path, kind: str) -> None:
    source, target = pair.filled(_SLOW_INDEX)
    shell = Shell(tmp_path)
    command = ["migrate", "--source", source, "--jobs", "1", "--target"]
    with half_open(target) as way:
        is_noticed = kind == "the server notices"
        first = shell.start(*command, target if is_noticed else way.conninfo)
        parts.wait_for(lambda: _rows(target, _BUILDING) or first.poll() is not None, "no build")
        (building,) = _rows(target, _BUILDING)
        way.keep()
        first.send_signal(signal.SIGKILL)
        first.communicate()
        if is_noticed:
            parts.wait_for(lambda: building not in _rows(target, _BUILDING), "it goes on")
            return
        servers.run_script(target, _FAST)
        with psycopg.connect(target, application_name="pgmigrate worker") as bystander:
            again = shell.run(*command, target, "--resume")
            assert again.code == 0, again.text
            assert bystander.execute("SELECT 1").fetchone() == (1,), "no session but lost ones ends"
        assert building not in _rows(target, _BUILDING)
    servers.run_script(source, _FAST)
    servers.assert_equal(source, target)


@pytest.mark.case("R3")
def test_a_session_of_another_living_process_is_not_ended(pair: Pair, tmp_path: Path) -> None:
    source, target = pair.filled(_SLOW_INDEX)
    shell = Shell(tmp_path)
    command = ["migrate", "--source", source, "--target", target]
    first = shell.start(*command)
    try:
        parts.wait_for(lambda: _rows(target, _BUILDING) or first.poll() is not None, "no build")
        building = _rows(target, _BUILDING)
        again = shell.run(*command, "--resume")
        assert again.code == 3 and "another run of pgmigrate is active" in again.text
        assert _rows(target, _BUILDING) == building
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate()


_TABLES, _CHUNKS = 10, 1000


@pytest.fixture
def chain(pair: Pair) -> tuple[Migration, str]:
    """Ten tables, each with a key to the one before it, of a thousand chunks each; the target."""
    source, target = pair.source(), pair.target()
    script = "CREATE TABLE t0 (id int PRIMARY KEY);" + "".join(
        f"CREATE TABLE t{n} (id int PRIMARY KEY REFERENCES t{n - 1});" for n in range(1, _TABLES)
    )
    rows = "".join(
        f"INSERT INTO t{n} SELECT generate_series(1, {_CHUNKS});" for n in range(_TABLES)
    )
    servers.run_script(source, f"{script} {rows} ANALYZE")
    servers.run_script(target, script)
    chunks: list[TableRule] = [
        {"schema": "public", "name": f"t{n}", "chunk_column": "id", "chunk_size": 1}
        for n in range(_TABLES)
    ]
    tables: Tables = {"include": chunks}
    return Migration(source=source, target=target, data_only=True, tables=tables), target


class _StoppedError(Exception):
    """Raised where Ctrl-C would be."""


@pytest.mark.case("R4", "R5")
def test_ten_thousand_chunks_start_within_seconds_and_stop_within_one(
    chain: tuple[Migration, str],
) -> None:
    migration, target = chain
    plan = migration.plan()
    assert len(plan.ids("data")) >= _TABLES * _CHUNKS
    times: dict[str, float] = {}
    done = "SELECT count(*) FROM pgmigrate.migration_task WHERE status = 'done'"
    settled: list[int] = []

    def watch(event: Mapping[str, Any]) -> None:
        times.setdefault(event["event"] + event.get("step", ""), time.monotonic())
        if event["event"] == "step_finished" and event["step"] == "ledger":
            times["begun"] = time.monotonic()
        if event["event"] != "task_finished":
            return
        # A caller that takes its time: the run waits for it, and does not fill the memory.
        while len(settled) < 2 or settled[-1] != settled[-2]:
            settled.append(int(_rows(target, done)[0][0]))
            time.sleep(0.3)
        times["stopped"] = time.monotonic()
        raise _StoppedError

    began = time.monotonic()
    with pytest.raises(_StoppedError):
        migration.run(plan, on_event=watch)
    ended = time.monotonic()
    assert times["task_started"] - began < 15
    assert times["begun"] - times["step_startedledger"] < 10
    assert ended - times["stopped"] < 1
    assert 0 < settled[-1] < 2000
    for step in ("ledger", "connect"):

        def stop(event: Mapping[str, Any], step: str = step) -> None:
            if event["event"] == "step_started" and event["step"] == step:
                times["stopped"] = time.monotonic()
                raise _StoppedError

        with pytest.raises(_StoppedError):
            migration.run(plan, on_event=stop, resume=True)
        assert time.monotonic() - times["stopped"] < 1, step


@pytest.mark.case("R6")
@pytest.mark.parametrize("loss", ["answer", "request", "both"])
def test_a_restore_whose_commit_is_lost_says_what_became_of_it(
    pair: Pair, tmp_path: Path, loss: str
) -> None:
    target = pair.target()
    servers.run_script(target, "CREATE TABLE before AS SELECT 1 AS id")
    migration = Migration(source=target, target=target, backup_dir=str(tmp_path))
    backup = migration.backup().path
    servers.run_script(target, "CREATE TABLE later ()")
    server = make_conninfo(target, dbname="postgres")
    name = conninfo_to_dict(target)["dbname"]

    def close(is_open: bool) -> None:
        if loss == "both":
            servers.run_script(server, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {is_open}')

    lost: Loss = "request" if loss == "request" else "answer"
    with losing_commits(target, lost, lambda: close(False)) as way:
        restoring = Migration(source=target, target=way, backup_dir=str(tmp_path))
        try:
            if loss == "answer":
                assert "holds again" in restoring.restore(backup).message
            else:
                with pytest.raises(BackupError) as caught:
                    restoring.restore(backup)
                assert ("either restored or unchanged" in str(caught.value)) is (loss == "both"), (
                    caught.value
                )
                assert loss != "both" or "txid_status(" in (caught.value.remedy or "")
        finally:
            close(True)
    left = _rows(target, "SELECT to_regclass('later') IS NULL")
    assert left == [(loss != "request",)]


@pytest.mark.case("R6")
@pytest.mark.parametrize(
    ("loss", "is_closed", "code", "words"),
    [
        ("silence", False, 0, "holds again"),
        ("silent request", False, 1, "the target is as it was before"),
        ("silence", True, 1, "the target is either restored or unchanged"),
    ],
    ids=["restored", "not restored", "unknown"],
)
def test_after_ctrl_c_a_restore_whose_commit_is_not_answered_soon_says_what_became_of_it(
    pair: Pair, tmp_path: Path, loss: Loss, is_closed: bool, code: int, words: str
) -> None:
    target = pair.target()
    migration = Migration(source=target, target=target, backup_dir=str(tmp_path))
    backup = migration.backup().path
    servers.run_script(target, "CREATE TABLE later ()")
    server = make_conninfo(target, dbname="postgres")
    name = conninfo_to_dict(target)["dbname"]
    lost = threading.Event()

    def on_loss() -> None:
        if is_closed:
            servers.run_script(server, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        lost.set()

    with losing_commits(target, loss, on_loss) as way:
        shell = Shell(tmp_path)
        restoring = shell.start("restore", "--target", way, "--yes", str(backup))
        try:
            assert lost.wait(60) or restoring.poll() is not None
            began = time.monotonic()
            restoring.send_signal(signal.SIGINT)
            stdout, stderr = restoring.communicate(timeout=60)
        finally:
            servers.run_script(server, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert time.monotonic() - began < 20
    assert restoring.returncode == code and words in stdout + stderr, stdout + stderr
    assert "txid_status(" in stderr or not is_closed
    assert _rows(target, "SELECT to_regclass('later') IS NULL") == [(loss == "silence",)]


def _note_session(connection: psycopg.Connection[Any], target: str) -> int:
    """Notes the session in the ledger as one of a process elsewhere whose leader is gone."""
    ((pid, started),) = connection.execute(
        "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()"
    ).fetchall()
    entry = f"{pid}|{started}|1|2020-01-01 00:00:00+00|elsewhere/pid:[1] 5 9"
    with psycopg.connect(target, autocommit=True) as own:
        own.execute("UPDATE pgmigrate.migration_run SET sessions = ARRAY[%s]", (entry,))
    return int(pid)


def _begun(source: str, target: str) -> tuple[Migration, Any]:
    """A run of which all but the rows is done."""
    servers.run_script(source, "CREATE TABLE t AS SELECT generate_series(1, 3) AS id")
    migration = Migration(source=source, target=target, roles="none")
    plan = migration.plan()
    migration.run_tasks(plan, plan.ids("pre-data")).raise_for_failures()
    return migration, plan


@pytest.mark.case("R3")
def test_a_part_ends_no_worker_whose_leader_is_about_to_come_back(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    migration, plan = _begun(source, target)
    name = "pgmigrate worker"
    with psycopg.connect(target, autocommit=True, application_name=name) as worker:
        worker.execute("SET TimeZone = UTC")
        _note_session(worker, target)
        migration.run_tasks(plan, plan.ids("data")).raise_for_failures()
        assert worker.execute("SELECT 1").fetchone() == (1,)
        noted = _rows(target, "SELECT cardinality(sessions) FROM pgmigrate.migration_run")
        assert noted == [(1,)], "the next one knows of it when it is lost"


@pytest.mark.case("R3")
@pytest.mark.parametrize("right", ["", "pg_read_all_stats"])
def test_a_session_that_the_role_may_not_end_is_named(pair: Pair, prefix: str, right: str) -> None:
    source, target = pair.source(), pair.target()
    limited = roles.limited(pair, prefix)
    if right:
        servers.run_script(target, f"GRANT {right} TO {prefix}limited")
    migration, plan = _begun(source, limited)
    name = "pgmigrate worker"
    with psycopg.connect(target, autocommit=True, application_name=name) as left:
        left.execute("SET TimeZone = UTC")
        pid = _note_session(left, target)
        with pytest.raises(StateError, match=f"session {pid} ") as caught:
            migration.run(plan, resume=True)
        assert f"pg_terminate_backend({pid})" in (caught.value.remedy or "")
        assert left.execute("SELECT 1").fetchone() == (1,)
    parts.wait_for(lambda: not parts.backends(target, name), "the session stays")
    migration.run(plan, resume=True).raise_for_failures()


def _two_hosts(first: str, second: str) -> str:
    one, two = conninfo_to_dict(first), conninfo_to_dict(second)
    return make_conninfo(
        first,
        host=f"{one['host']},{two['host']}",
        port=f"{one['port']},{two['port']}",
        target_session_attrs="read-write",
    )


@pytest.mark.case("R9")
def test_a_run_goes_on_at_the_host_that_takes_the_place_of_a_lost_one(pair: Pair) -> None:
    source = pair.source()
    servers.run_script(source, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS id")
    with servers.start(16) as primary:
        first = servers.create_database(primary, "moves")
        standby = servers.start_standby(primary, wal_retrieve_retry_interval=100)
        try:
            second = make_conninfo(standby.conninfo, dbname="moves")
            both = _two_hosts(first, second)
            migration = Migration(source=source, target=both, roles="none", retries=12)
            plan = migration.plan()
            migration.run_tasks(plan, plan.ids("pre-data")).raise_for_failures()
            with ThreadPoolExecutor(1) as threads:
                in_the_way = psycopg.connect(first)
                in_the_way.execute("LOCK TABLE t IN SHARE MODE")
                run = threads.submit(migration.run, plan, resume=True)
                parts.wait_for(lambda: parts.blocked(first) or run.done(), "nothing waits")
                _catch_up(first, second)
                primary.kill()
                _rows(second, "SELECT pg_promote()")
                report = run.result()
            assert report.status in ("done", "interrupted"), report.text()
            migration.run(plan, resume=True).raise_for_failures()
            servers.assert_equal(source, second)
        finally:
            standby.stop()


def _catch_up(primary: str, standby: str) -> None:
    ((at,),) = _rows(primary, "SELECT pg_current_wal_insert_lsn()::text")
    _rows(primary, "SELECT pg_switch_wal()")
    caught_up = f"SELECT pg_last_wal_replay_lsn() >= '{at}'::pg_lsn"
    parts.wait_for(lambda: _rows(standby, caught_up) == [(True,)], "the standby does not follow")


@pytest.mark.case("R9")
def test_another_database_takes_no_place_of_the_one_that_a_procedure_has(
    pair: Pair, prefix: str
) -> None:
    role = f"{prefix}mover"
    both_servers = (pair.target_server, pair.source_server)
    for server in both_servers:
        servers.run_script(server.conninfo, f"CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'same'")
    first, second = (
        make_conninfo(server.conninfo, dbname="postgres", user=role, password="same")
        for server in both_servers
    )
    with half_open(first) as way:
        both = make_conninfo(_two_hosts(way.conninfo, second), sslmode="disable")
        lock = ProcedureLock({"source": first, "target": both})
        lock.take()
        try:
            assert lock.problem() is None
            way.close()
            parts.wait_for(lock.problem, "it is held elsewhere")
            assert "is another database" in str(lock.problem())
        finally:
            lock.release()


@pytest.mark.case("R9")
def test_a_snapshot_that_a_lagging_standby_writes_in_the_same_way_is_another_one(
    pair: Pair,
) -> None:
    with servers.start(16) as primary:
        first = servers.create_database(primary, "moves")
        servers.run_script(
            first, "CREATE TABLE t AS SELECT i AS id, 0 AS n FROM generate_series(1, 40) i"
        )
        servers.run_script(first, "ALTER TABLE t ADD PRIMARY KEY (id); ANALYZE")
        standby = servers.start_standby(primary, wal_retrieve_retry_interval=100)
        try:
            second = make_conninfo(standby.conninfo, dbname="moves")
            _catch_up(first, second)
            _rows(second, "SELECT pg_promote()")
            for at, conninfo in enumerate((first, second), start=1):
                _rows(conninfo, f"UPDATE t SET n = {at} RETURNING id")
            written = "SELECT pg_current_snapshot()::text"
            assert _rows(first, written) == _rows(second, written), (
                "the server writes both in the same way"
            )
            chunks: TableRule = {
                "name": "t",
                "schema": "public",
                "chunk_column": "id",
                "chunk_size": 10,
            }
            target = pair.target()
            tables: Tables = {"include": [chunks]}
            migration = Migration(source=first, target=target, tables=tables)
            plan = migration.plan()
            ids = [*plan.ids("roles", "pre-data"), *plan.ids("data")[:2]]
            migration.run_tasks(plan, ids).raise_for_failures()
            other = Migration(source=second, target=target, tables=tables)
            report = other.run(plan, resume=True)
            report.raise_for_failures()
            assert servers.rows(target, "public", "t") == servers.rows(second, "public", "t")
        finally:
            standby.stop()


@pytest.mark.case("R10")
@pytest.mark.parametrize("how", ["whole", "part"])
def test_a_table_that_is_cut_by_pages_is_of_one_state_whatever_is_allowed(
    pair: Pair, how: str
) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (id int, v text) WITH (autovacuum_enabled = off);"
        "INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 2000) i; ANALYZE",
    )
    migration = Migration(
        source=source, target=target, roles="none", split_larger_than="256 kB", consistent=False
    )
    plan = migration.plan()
    first, *others = plan.ids("data")
    assert others, "it is cut"
    migration.run_tasks(plan, [*plan.ids("pre-data"), first]).raise_for_failures()
    # New versions of rows of the first pages and of the last come behind the last page.
    servers.run_script(source, "UPDATE t SET v = 'moved' WHERE id <= 100 OR id > 1900")
    if how == "part":
        with pytest.raises(StateError, match="another snapshot of the source") as caught:
            migration.run_tasks(plan, others)
        assert "divided by pages" in (caught.value.remedy or "")
    report = migration.run(plan, resume=True, consistent=False)
    report.raise_for_failures()
    assert servers.rows(target, "public", "t") == servers.rows(source, "public", "t")


@pytest.mark.case("L13")
def test_what_the_server_says_before_it_ends_a_copy_is_the_failure(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    table = "CREATE TABLE t (id int, v text)"
    servers.run_script(
        source, f"{table}; INSERT INTO t SELECT i, repeat('x', 900) FROM generate_series(1, 9999) i"
    )
    servers.run_script(
        target,
        f"{table};"
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END';"
        "CREATE TRIGGER wait BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION wait()",
    )
    migration = Migration(source=source, target=target, roles="none", retries=0)
    with psycopg.connect(target, autocommit=True) as gate, ThreadPoolExecutor(1) as threads:
        gate.execute("SELECT pg_advisory_lock(7)")
        run = threads.submit(migration.run)
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory'"
        parts.wait_for(lambda: gate.execute(waiting).fetchall() or run.done(), "nothing waits")
        ((pid,),) = gate.execute(waiting).fetchall()
        gate.execute("SELECT pg_terminate_backend(%s)", (pid,))
        report = run.result()
        gate.execute("SELECT pg_advisory_unlock(7)")
    ((sqlstate, note),) = _rows(
        target, "SELECT sqlstate, note FROM pgmigrate.migration_task WHERE status = 'failed'"
    )
    assert (sqlstate, report.status) == ("57P01", "failed"), note
