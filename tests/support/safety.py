"""Migrations within the safe procedure, for its tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from pgmigrate import Migration, SafetyReport
from support import dumps, servers

# For the target: a row of the source does not come in.
REFUSING = """
CREATE TABLE settings (
    name text PRIMARY KEY, value text CONSTRAINT refused CHECK (value <> 'value7')
);
INSERT INTO settings VALUES ('own', 'own');
"""
GATE = 4243
# No row passes while somebody holds the lock.
GATED = {
    "name": "settings",
    "where": f"pg_catalog.pg_advisory_xact_lock_shared({GATE})::text = ''",
}
MIRROR = "state.tsv.procedure.json"


def migration(databases: tuple[str, str], folder: Path, procedure: Any, **keys: Any) -> Migration:
    options: Any = {"backup_dir": str(folder / "backup"), **keys.pop("options", {})}
    return Migration(
        source=databases[0],
        target=databases[1],
        roles="none",
        options=options,
        procedure=procedure,
        **keys,
    )


def states(report: SafetyReport) -> dict[str, str]:
    return {step.name: step.state for step in report.steps}


def config_file(migration: Migration, path: Path) -> Path:
    path.write_text(json.dumps(migration._options))
    return path


def contents(conninfo: str) -> tuple[str, list[tuple[str, str, str]]]:
    """All that a target holds, schema and rows, its ledger too."""
    rows = [
        (schema, table, repr(servers.rows(conninfo, schema, table)))
        for schema, table in servers.tables(conninfo)
    ]
    return dumps.schema(conninfo), rows


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(process: subprocess.Popen[str]) -> str:
    try:
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    return stdout + stderr


@contextmanager
def closed_gate(conninfo: str) -> Iterator[Callable[[], object]]:
    """Holds the rows back; gives what says whether somebody waits for them."""
    waiting = """
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
    with psycopg.connect(conninfo, autocommit=True) as connection:
        # The wait for writers takes 11 seconds with other sessions and 3 without. A session with
        # this lock, that of a procedure on its target, does not count as another.
        connection.execute("SELECT pg_advisory_lock(1885826409, 6)")
        connection.execute("SELECT pg_advisory_lock(%s)", [GATE])
        yield lambda: connection.execute(waiting).fetchone() is not None


@contextmanager
def held_journal(conninfo: str) -> Iterator[Callable[[], object]]:
    """Holds entries of the journal back; gives what says whether one waits to be written."""
    waiting = """
        SELECT FROM pg_locks WHERE locktype = 'relation' AND NOT granted
            AND relation = 'pgmigrate.migration_procedure'::regclass
    """
    with psycopg.connect(conninfo, autocommit=True) as connection, psycopg.connect(conninfo) as by:
        by.execute("LOCK TABLE pgmigrate.migration_procedure IN SHARE MODE")
        yield lambda: connection.execute(waiting).fetchone() is not None
        by.rollback()


def journal(folder: Path) -> dict[str, Any]:
    """The journal in its file; empty where there is none."""
    try:
        found: dict[str, Any] = json.loads((folder / MIRROR).read_text())
    except FileNotFoundError:
        return {}
    return found


def is_in(folder: Path, step: str, state: str = "running") -> bool:
    """Whether a step of the procedure is in a state, by the journal's file."""
    return bool(journal(folder).get("steps", {}).get(step, {}).get("state") == state)


def kill(process: subprocess.Popen[str], number: signal.Signals = signal.SIGKILL) -> str:
    """Sends a signal to the process alone; what it printed."""
    if process.poll() is None:
        os.kill(process.pid, number)
    return ended(process)
