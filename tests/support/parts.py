"""A migration in parts: worker processes that know a configuration, a plan file and their ids.

The source is a bank that writes all the while, so that rows of two moments do not fit together.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from pgmigrate import Migration

ACCOUNTS = 4000
SCRIPT = f"""
CREATE SCHEMA bank;
CREATE TABLE bank.account (id int PRIMARY KEY, balance int NOT NULL, filler text);
INSERT INTO bank.account
    SELECT i, 1000, repeat('x', 200) FROM generate_series(1, {ACCOUNTS}) i;
CREATE TABLE bank.transfer (debit int, credit int, amount int);
INSERT INTO bank.transfer SELECT 1, 2, 0 FROM generate_series(1, 3000);
CREATE TABLE bank.audit (id serial PRIMARY KEY, account int, note text);
INSERT INTO bank.audit (account) SELECT 1 FROM generate_series(1, 500);
CREATE INDEX ON bank.audit (account);
SELECT lo_from_bytea(0, convert_to(repeat('large', i), 'UTF8')) FROM generate_series(1, 10) i;
ANALYZE;
"""
TABLES = {
    "mode": "all",
    "include": [{"schema": "bank", "name": "account", "chunk_column": "id", "chunk_size": 500}],
}
LATER = ("index", "analyze", "constraint", "post-data", "privileges", "refresh", "finish")

_WORKER = """
import json, sys
from pgmigrate import Migration, Plan
options, plan, ids, how = json.loads(sys.argv[1])
report = Migration(**options).run_tasks(Plan.load(plan), ids, **how)
print(report.to_json())
sys.exit(0 if report.ok else 1)
"""
_HOLDER = """
import json, sys
from pgmigrate import Migration, Plan
options, plan, how = json.loads(sys.argv[1])
with Migration(**options).hold_snapshot(Plan.load(plan), **how) as held:
    print(held.snapshot, flush=True)
    print(held.wait().to_json())
"""


class Parts:
    """A migration, its plan in a file, and processes that do parts of it."""

    def __init__(self, folder: Path, source: str, target: str, **changes: Any) -> None:
        self.target = target
        self.options: dict[str, Any] = {"source": source, "target": target, "roles": "none"}
        self.options |= {"tables": TABLES, **changes}
        self.migration = Migration(**self.options)
        self.plan = self.migration.plan()
        self.plan_file = folder / "plan.tsv"
        self.plan.save(self.plan_file)

    def prepare(self) -> None:
        """Makes the tables."""
        self.migration.run_tasks(self.plan, self.plan.ids("roles", "pre-data")).raise_for_failures()

    def finish(self) -> None:
        """Makes what stands on the rows."""
        self.migration.run_tasks(self.plan, self.plan.ids(*LATER)).raise_for_failures()

    def tasks(self, table: str) -> list[str]:
        """The data tasks of a table."""
        return [task.id for task in self.plan if task.kind == "data" and task.name == table]

    def start(self, ids: list[str], **how: Any) -> subprocess.Popen[str]:
        """A process that does these tasks."""
        return _python(_WORKER, [self.options, str(self.plan_file), ids, how])

    def start_holder(self, **how: Any) -> tuple[subprocess.Popen[str], str]:
        """A process that holds a snapshot, and what that sees."""
        process = _python(_HOLDER, [self.options, str(self.plan_file), how])
        assert process.stdout is not None
        sees = process.stdout.readline().strip()
        assert sees, process.communicate()[1]
        return process, sees

    def statuses(self) -> dict[str, str]:
        """What has become of each task, by the ledger."""
        query = "SELECT task, status FROM pgmigrate.migration_task"
        with psycopg.connect(self.target) as connection:
            return dict(connection.execute(query).fetchall())


def _python(script: str, given: list[Any]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(given)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def report(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The report of a process that has done its part."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err + out
    read: dict[str, Any] = json.loads(out)
    return read


def findings(report: dict[str, Any]) -> set[str]:
    """What was found in a part, besides what the plan and the first look say of any run."""
    return {finding["check"] for finding in report["findings"]} & {"own_snapshot", "drift"}


def error(process: subprocess.Popen[str]) -> str:
    """The last line of a process that has failed."""
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    return err.strip().splitlines()[-1]


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Waits until it is so, and fails after a while."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def blocked(conninfo: str) -> int:
    """How many sessions on a database wait for a lock."""
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    with psycopg.connect(conninfo) as connection:
        (number,) = connection.execute(query).fetchone() or (0,)
    return int(number)


def backends(conninfo: str, application: str) -> list[int]:
    """The sessions of that name on a database."""
    query = """
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = %s
    """
    with psycopg.connect(conninfo) as connection:
        return [pid for (pid,) in connection.execute(query, (application,)).fetchall()]


@contextmanager
def transfers(source: str) -> Iterator[None]:
    """Money goes from account to account all the while, each time with rows in other tables."""
    ended = threading.Event()

    def work() -> None:
        change = "UPDATE bank.account SET balance = balance + %s WHERE id = %s"
        number = 0
        with psycopg.connect(source) as connection:
            while not ended.is_set():
                number += 1
                pair = number * 7919 % ACCOUNTS + 1, number * 104729 % ACCOUNTS + 1
                connection.execute(change, (-number, pair[0]))
                connection.execute(change, (number, pair[1]))
                row = (*pair, number)
                connection.execute("INSERT INTO bank.transfer VALUES (%s, %s, %s)", row)
                connection.execute("INSERT INTO bank.audit (account) VALUES (%s), (%s)", pair)
                connection.commit()

    writer = threading.Thread(target=work)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


Contents = dict[str, list[Any]]


def contents(connection: psycopg.Connection[Any]) -> Contents:
    """All rows of the bank, as the connection sees them."""
    return {
        table: connection.execute(f"SELECT * FROM bank.{table} ORDER BY 1, 2, 3").fetchall()
        for table in ("account", "transfer", "audit")
    }


def on_target(target: str) -> Contents:
    """All rows of the bank on the target."""
    with psycopg.connect(target) as connection:
        return contents(connection)


def in_snapshot(source: str, snapshot: str) -> Contents:
    """All rows of the bank as another program reads them in an exported snapshot."""
    with psycopg.connect(source) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        return contents(connection)


@contextmanager
def in_the_way(target: str, table: str) -> Iterator[psycopg.Connection[Any]]:
    """Keeps rows from coming into a table for as long as the connection's transaction lasts."""
    with psycopg.connect(target) as connection:
        connection.execute(f"LOCK TABLE bank.{table} IN SHARE MODE")
        yield connection
        connection.rollback()
