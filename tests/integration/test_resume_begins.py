"""`--resume` in a loop, as a service manager repeats it: it begins what was not begun (L9)."""

from __future__ import annotations

import signal
import time

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, StateError
from support import servers
from support.shell import Shell

SCRIPT = """
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 30) AS i;
"""
BEGINS = "the target has no run to resume: a new run begins"


@pytest.mark.parametrize("left", ["nothing", "a plan file", "an empty ledger"])
@pytest.mark.parametrize("plan", [(), ("--plan", "p.tsv")], ids=["default plan", "named plan"])
def test_resume_begins_where_no_run_was_begun(
    both: tuple[str, str], shell: Shell, left: str, plan: tuple[str, ...]
) -> None:
    resume = ("migrate", "--config", "config.json", *plan, "--resume")
    if left == "a plan file":
        assert shell.run(*resume[:-1], "--dry-run").code == 0
    elif left == "an empty ledger":
        assert shell.run("migrate", "--config", "config.json", "--state", "other.tsv").code == 0
        servers.run_script(both[1], "TRUNCATE pgmigrate.migration_run CASCADE; DROP TABLE t")
    done = shell.run(*resume)
    assert done.code == 0, done.text
    assert BEGINS in done.stdout
    servers.assert_equal(*both)
    again = shell.run(*resume)
    assert again.code == 0 and BEGINS not in again.stdout


def test_a_run_that_was_killed_before_its_ledger_is_begun_by_the_same_command(
    both: tuple[str, str], shell: Shell
) -> None:
    with psycopg.connect(both[0]) as connection:
        connection.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        process = shell.start("migrate", "--config", "config.json", "--resume")
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 't'::regclass"
        deadline = time.monotonic() + 30
        while connection.execute(waiting).fetchone() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert not (shell.folder / "state.tsv").exists()
    done = shell.run("migrate", "--config", "config.json", "--resume")
    assert done.code == 0, done.text
    servers.assert_equal(*both)


def test_a_state_file_that_claims_what_no_ledger_has_is_refused(
    both: tuple[str, str], shell: Shell, pair: Pair
) -> None:
    migration = Migration(source=both[0], target=both[1], roles="none")
    state = shell.folder / "state.tsv"
    migration.run(state=state).raise_for_failures()
    elsewhere = pair.target("_elsewhere")
    wrong = Migration(source=both[0], target=elsewhere, roles="none")
    for plan in (None, migration.plan()):
        with pytest.raises(StateError, match="is DONE and the target's ledger does not"):
            wrong.run(plan, resume=True, state=state)
    assert servers.tables(elsewhere) == []


def test_the_safe_procedure_begins_in_the_same_way(both: tuple[str, str], shell: Shell) -> None:
    done = shell.run("safe", "--config", "config.json", "--resume")
    assert done.code == 0, done.text
    servers.assert_equal(*both)
