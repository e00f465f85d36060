"""The pump: errors end it at once, and memory does not grow with a row."""

from __future__ import annotations

import json
import subprocess
import sys

import psycopg

from conftest import Pair
from pgmigrate import Migration
from support import servers

_COPY_ONE_VALUE = """
import json, resource, sys
from pgmigrate import Migration
source, target = sys.argv[1:]
report = Migration(source=source, target=target, roles="none").run(jobs=1)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"status": report.status, "peak": peak}))
"""


def _own_sessions(conninfo: str) -> list[str]:
    with psycopg.connect(conninfo) as connection:
        found = connection.execute(
            "SELECT application_name FROM pg_stat_activity WHERE application_name ~ '^pgmigrate'"
        )
        return [name for (name,) in found]


def test_an_error_in_the_first_row_ends_the_copy_at_once(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE t (id int PRIMARY KEY, v text);"
        "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 60000) i;",
    )
    servers.run_script(
        target,
        "CREATE TABLE t (id int PRIMARY KEY, v text CHECK (id <> 1));"
        "INSERT INTO t VALUES (0, 'there before')",
    )
    sent: list[int] = []

    def watch(event: dict[str, object]) -> None:
        if event["event"] == "task_progress":
            sent.append(int(str(event["bytes"])))

    migration = Migration(source=source, target=target, roles="none", on_conflict="error")
    report = migration.run(jobs=1, on_event=watch)
    failed = [task for task in report.tasks if task.status == "failed"]
    assert [(task.kind, task.object, task.sqlstate) for task in failed] == [
        ("data", "public.t", "23514")
    ]
    # What the sockets and both servers hold between them, and not the 60 MB of the table.
    assert max(sent, default=0) < 16_000_000
    assert _own_sessions(source) == _own_sessions(target) == []
    with psycopg.connect(target) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_a_value_larger_than_the_memory_that_is_used(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE large (id int, v text);"
        "INSERT INTO large SELECT 1, string_agg(md5(i::text), '')"
        " FROM generate_series(1, 3750000) i",
    )
    done = subprocess.run(
        [sys.executable, "-c", _COPY_ONE_VALUE, source, target],
        check=True,
        capture_output=True,
        text=True,
    )
    said = json.loads(done.stdout)
    assert said["status"] == "done"
    # The value has 120 MB; it goes through in pieces.
    assert said["peak"] < 100_000_000
    query = "SELECT length(v), hashtextextended(v, 0) FROM large"
    with psycopg.connect(source) as left, psycopg.connect(target) as right:
        assert left.execute(query).fetchall() == right.execute(query).fetchall()
