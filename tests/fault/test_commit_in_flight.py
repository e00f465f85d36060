"""Case B1, its hardest moment: the process dies while the server is still at work on a COMMIT.

The server does not notice the death, as when the process was on a machine that lost its power.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psycopg
import pytest

from conftest import Pair
from support import servers
from support.half_open import half_open
from support.shell import Shell

ROWS = 1000
OWN = "application_name LIKE 'pgmigrate%'"


@pytest.mark.case("B1")
@pytest.mark.timeout(120)
def test_a_commit_that_is_still_at_work_is_waited_for(pair: Pair, tmp_path: Path) -> None:
    source, target = pair.filled(f"CREATE TABLE t AS SELECT generate_series(1, {ROWS}) AS id")
    servers.run_script(
        target,
        "CREATE TABLE t (id int);"
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END';"
        "CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION wait()",
    )
    shell = Shell(tmp_path)
    command = ["migrate", "--source", source, "--jobs", "1", "--target"]
    with psycopg.connect(target, autocommit=True) as gate, half_open(target) as way:
        gate.execute("SELECT pg_advisory_lock(7)")
        first = shell.start(*command, way.conninfo)
        _wait_for(gate, f"{OWN} AND query = 'COMMIT' AND wait_event = 'advisory'")
        way.keep()
        first.send_signal(signal.SIGKILL)
        first.communicate()
        _end_leader(gate)
        second = shell.start(*command, target, "--resume")
        _wait_for(gate, f"{OWN} AND wait_event = 'transactionid'")
        gate.execute("SELECT pg_advisory_unlock(7)")
        said = second.communicate(timeout=60)
        assert second.returncode == 0, said
        found = gate.execute("SELECT count(*), count(DISTINCT id) FROM t").fetchone()
    assert found == (ROWS, ROWS)


def _end_leader(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Ends the session that holds the run's lock, as the server's keepalives do after some time."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name LIKE 'pgmigrate%' AND state <> 'active'"
    )


def _wait_for(connection: psycopg.Connection[tuple[object, ...]], condition: str) -> None:
    """Until a session of pgmigrate meets the condition; the test's own time limit ends the wait."""
    query = f"SELECT count(*) FROM pg_stat_activity WHERE {condition}"
    while connection.execute(query).fetchone() == (0,):
        time.sleep(0.02)
