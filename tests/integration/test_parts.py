"""Runs in parts: processes that share a plan, a ledger and, where it is held, one snapshot."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from conftest import Pair
from pgmigrate import Migration
from support import servers

ACCOUNTS, START = 4000, 1000
SCRIPT = f"""
CREATE SCHEMA bank;
CREATE TABLE bank.account (id int PRIMARY KEY, balance int NOT NULL, filler text);
INSERT INTO bank.account
    SELECT i, {START}, repeat('x', 200) FROM generate_series(1, {ACCOUNTS}) i;
CREATE TABLE bank.transfer (debit int, credit int, amount int);
CREATE TABLE bank.audit (id serial PRIMARY KEY, account int, note text);
CREATE INDEX ON bank.audit (account);
SELECT lo_from_bytea(0, convert_to(repeat('large', i), 'UTF8')) FROM generate_series(1, 10) i;
ANALYZE;
"""
TABLES = {
    "mode": "all",
    "include": [
        {"schema": "bank", "name": "account", "chunk_column": "id", "chunk_size": 500},
    ],
}
# What a worker does: it knows a configuration, a plan file and the ids of its tasks, and no more.
WORKER = """
import json, sys
from pgmigrate import Migration, Plan
options, plan, ids, how = json.loads(sys.argv[1])
migration = Migration(**options)
report = migration.run_tasks(Plan.load(plan), ids, **how)
print(report.to_json())
sys.exit(0 if report.ok else 1)
"""
DATA, LATER = (
    ("data",),
    ("index", "analyze", "constraint", "post-data", "privileges", "refresh", "finish"),
)


class Parts:
    """A migration whose parts run in processes of their own."""

    def __init__(self, folder: Path, source: str, target: str, **changes: Any) -> None:
        self.options: dict[str, Any] = {
            "source": source,
            "target": target,
            "tables": TABLES,
            "roles": "none",
        }
        self.options |= changes
        self.migration = Migration(**self.options)
        self.plan = self.migration.plan()
        self.plan_file = folder / "plan.tsv"
        self.plan.save(self.plan_file)

    def start(self, ids: list[str], **how: Any) -> subprocess.Popen[str]:
        given = json.dumps([self.options, str(self.plan_file), ids, how])
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, given],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def prepare(self) -> None:
        self.migration.run_tasks(self.plan, self.plan.ids("roles", "pre-data")).raise_for_failures()


def _report(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err + out
    report: dict[str, Any] = json.loads(out)
    return report


@contextmanager
def _transfers(source: str) -> Iterator[None]:
    """Money goes from account to account all the while, each time with rows in other tables."""
    ended = threading.Event()

    def work() -> None:
        with psycopg.connect(source) as connection:
            number = 0
            while not ended.is_set():
                number += 1
                debit, credit = number * 7919 % ACCOUNTS + 1, number * 104729 % ACCOUNTS + 1
                change = "UPDATE bank.account SET balance = balance + %s WHERE id = %s"
                connection.execute(change, (-number, debit))
                connection.execute(change, (number, credit))
                connection.execute(
                    "INSERT INTO bank.transfer VALUES (%s, %s, %s)", (debit, credit, number)
                )
                connection.execute(
                    "INSERT INTO bank.audit (account) VALUES (%s), (%s)", (debit, credit)
                )
                connection.commit()

    writer = threading.Thread(target=work)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def test_parts_in_several_processes_see_one_moment_of_a_busy_source(
    pair: Pair, tmp_path: Path
) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(source, SCRIPT)
    parts = Parts(tmp_path, source, target)
    groups = parts.plan.groups(3)
    assert len(groups) == 3
    with _transfers(source):
        parts.prepare()
        with parts.migration.hold_snapshot(parts.plan) as held:
            with _importing(source, held.id) as expected:
                workers = [parts.start(group, snapshot="held") for group in groups]
                reports = [_report(worker) for worker in workers]
            result = held.wait()
        later = parts.migration.run_tasks(parts.plan, parts.plan.ids(*LATER))
    later.raise_for_failures()
    assert result.ok and result.open == 0
    assert all(report["consistent"] for report in reports) and later.consistent
    assert later.snapshots == (held.snapshot,)
    assert parts.migration.status().state == "done"
    for table, rows in expected.items():
        assert rows == _rows(target, table), table
    assert len(expected["transfer"]) > 0


@contextmanager
def _importing(source: str, snapshot: str) -> Iterator[dict[str, list[Any]]]:
    """What another program reads in the announced snapshot."""
    with psycopg.connect(source) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        yield {
            table: connection.execute(f"SELECT * FROM bank.{table} ORDER BY 1, 2, 3").fetchall()
            for table in ("account", "transfer", "audit")
        }


def _rows(conninfo: str, table: str) -> list[Any]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(f"SELECT * FROM bank.{table} ORDER BY 1, 2, 3").fetchall()
