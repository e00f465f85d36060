"""The pump: errors end it at once, and memory does not grow with a row."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration
from support import servers

_COPY_ONE_VALUE = """
import json, re, sys
from pathlib import Path
from pgmigrate import Migration
source, target = sys.argv[1:]
report = Migration(source=source, target=target, roles="none").run(jobs=1)
# Not ru_maxrss, which begins with the peak of the process that started this one.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
print(json.dumps({"status": report.status, "peak": peak}))
"""


def _own_sessions(conninfo: str) -> list[str]:
    with psycopg.connect(conninfo) as connection:
        found = connection.execute(
            "SELECT application_name FROM pg_stat_activity WHERE application_name ~ '^pgmigrate'"
        )
        return [name for (name,) in found]


def test_an_error_in_the_first_row_ends_the_copy_at_once(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE UNLOGGED TABLE t (id int PRIMARY KEY, v text);"
        "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 500000) i;",
    )
    servers.run_script(
        target,
        "CREATE TABLE t (id int PRIMARY KEY, v text CHECK (id <> 1));"
        "INSERT INTO t VALUES (0, 'there before')",
    )
    sent: list[int] = []

    def watch(event: Mapping[str, Any]) -> None:
        if event["event"] == "task_progress":
            sent.append(int(str(event["bytes"])))

    # Whole, for of several chunks only the first has the row that is refused.
    migration = Migration(
        source=source,
        target=target,
        roles="none",
        on_conflict="error",
        split_larger_than="10GB",
    )
    report = migration.run(jobs=1, on_event=watch)
    failed = [task for task in report.tasks if task.status == "failed"]
    assert [(task.kind, task.object, task.sqlstate) for task in failed] == [
        ("data", "public.t", "23514")
    ]
    # What the sockets and both servers hold between them, and not the 500 MB of the table.
    assert max(sent, default=0) < 16_000_000
    assert _own_sessions(source) == _own_sessions(target) == []
    with psycopg.connect(target) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_a_value_larger_than_the_memory_that_is_used(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE large (id int, v text);"
        "INSERT INTO large SELECT 1, string_agg(md5(i::text), '')"
        " FROM generate_series(1, 6250000) i",
    )
    done = subprocess.run(
        [sys.executable, "-c", _COPY_ONE_VALUE, source, target],
        check=True,
        capture_output=True,
        text=True,
    )
    said = json.loads(done.stdout)
    assert said["status"] == "done"
    # The value has 200 MB; it goes through in pieces.
    assert said["peak"] < 100_000_000
    query = "SELECT length(v), hashtextextended(v, 0) FROM large"
    with psycopg.connect(source) as left, psycopg.connect(target) as right:
        assert left.execute(query).fetchall() == right.execute(query).fetchall()


@pytest.mark.case("A6")
@pytest.mark.timeout(60)
def test_the_source_is_lost_in_the_middle_of_a_message(pair: Pair) -> None:
    """The target takes nothing for a while, so a message is half sent when the source goes."""
    source, target = pair.filled(
        "CREATE TABLE t (id int, v text);"
        "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i;",
    )
    servers.run_script(
        target,
        "CREATE TABLE t (id int, v text);"
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END';"
        "CREATE TRIGGER wait BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.id = 1)"
        " EXECUTE FUNCTION wait()",
    )
    migration = Migration(source=source, target=target, roles="none")
    with psycopg.connect(target, autocommit=True) as gate, ThreadPoolExecutor(1) as pool:
        gate.execute("SELECT pg_advisory_lock(7)")
        run = pool.submit(migration.run, jobs=1)
        with psycopg.connect(source, autocommit=True) as killer:
            waits = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'ClientWrite'"
            while (found := killer.execute(waits).fetchone()) is None:
                assert not run.done(), run.result()
            killer.execute("SELECT pg_terminate_backend(%s)", found)
        gate.execute("SELECT pg_advisory_unlock(7)")
        report = run.result()
    report.raise_for_failures()
    assert [task.attempts for task in report.tasks if task.kind == "data"] == [2]
    assert servers.rows(target, "public", "t") == servers.rows(source, "public", "t")
