"""`stop` ends a run that another process does, in order, and leaves other runs alone."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg

from conftest import Pair
from pgmigrate import Migration
from support import servers
from support.shell import Shell

GATE = 4243
SCRIPT = """
CREATE TABLE first (a int);
INSERT INTO first SELECT 1 FROM generate_series(1, 50);
CREATE TABLE gated (id int PRIMARY KEY, v text);
INSERT INTO gated SELECT i, repeat('x', 200) FROM generate_series(1, 500) AS i;
ANALYZE;
"""
CONFIG = """
source: {{conninfo: "{source}"}}
target: {{conninfo: "{target}"}}
roles: none
tables:
  include: [{{name: gated, where: "pg_catalog.pg_advisory_xact_lock_shared({gate})::text = ''"}}]
"""


def test_a_run_is_stopped_from_another_process_and_resumed(pair: Pair, tmp_path: Path) -> None:
    source, target = pair.filled(SCRIPT)
    shell = Shell(tmp_path)
    (tmp_path / "c.yaml").write_text(CONFIG.format(source=source, target=target, gate=GATE))
    with psycopg.connect(source, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [GATE])
        run = shell.start("migrate", "--config", "c.yaml")
        wait_for_row(holder, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        stop = shell.run("stop", "--config", "c.yaml")
        # It has ended when `stop` returns: only the process may still be on its way out.
        assert Migration(source=source, target=target).status().state == "interrupted"
        reported = run.communicate(timeout=10)
    assert stop.code == 0 and "the run has stopped" in stop.stdout
    assert run.returncode == 130, reported
    log = (tmp_path / "pgmigrate.log").read_text()
    assert "another session on the target asked this run to stop" in log
    with psycopg.connect(target) as connected:
        assert connected.execute("SELECT count(*) FROM gated").fetchone() == (0,)
    resumed = shell.run("migrate", "--config", "c.yaml", "--resume")
    assert resumed.code == 0, resumed.text
    servers.assert_equal(source, target)


def test_without_a_run_there_is_nothing_to_stop(pair: Pair) -> None:
    source, target = pair.filled("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    migration = Migration(source=source, target=target, roles="none")
    assert migration.stop() is False
    assert migration.run().ok, "and no later run is stopped by it"
    assert migration.stop() is False


def wait_for_row(connection: psycopg.Connection[tuple[object, ...]], query: str) -> None:
    deadline = time.monotonic() + 60
    while connection.execute(query).fetchone() is None:
        assert time.monotonic() < deadline, query
        time.sleep(0.01)


def test_a_run_is_stopped_while_its_target_is_backed_up_and_does_not_begin(
    pair: Pair, tmp_path: Path
) -> None:
    source, target = pair.filled("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    servers.run_script(target, "CREATE SCHEMA kept; CREATE TABLE kept.gate (a int)")
    shell = Shell(tmp_path)
    databases = ("--source", source, "--target", target)
    migration = Migration(source=source, target=target, roles="none")
    with psycopg.connect(target) as holder, psycopg.connect(target, autocommit=True) as watch:
        holder.execute("LOCK TABLE kept.gate")
        run = shell.start("migrate", *databases, "--backup")
        wait_for_row(
            watch, "SELECT FROM pg_locks WHERE relation = 'kept.gate'::regclass AND NOT granted"
        )
        status = migration.status()
        assert (status.state, status.run, status.active) == ("none", None, True)
        assert "a process is active on the target" in shell.run("status", *databases).stdout
        stop = shell.run("stop", *databases)
        assert migration.status().active is False
        reported = run.communicate(timeout=60)
    assert stop.code == 0 and "the run has stopped" in stop.stdout
    assert run.returncode == 130, reported
    assert (
        "another session on the target asked this run to stop"
        in (tmp_path / "pgmigrate.log").read_text()
    )
    assert migration.status().run is None
    assert list((tmp_path / "backup").iterdir()) == [], "half of a backup is left"
    assert migration.run().ok
