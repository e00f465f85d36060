"""Data-only runs that end in the middle: what they have changed on a live target comes back."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, Plan
from pgmigrate.errors import PgMigrateError
from support.live_target import (
    KEYS,
    STATES,
    WAITING,
    assert_same_rows,
    ends,
    execute,
    migration,
    query,
)
from support.shell import Shell


def _config(folder: Path, both: tuple[str, str], **options: object) -> Path:
    path = folder / "config.json"
    given = {"source": both[0], "target": both[1], "options": {"data_only": True, **options}}
    path.write_text(json.dumps(given))
    return path


def _kill_while_blocked(shell: Shell, config: Path, target: str, blocking: str) -> None:
    """Lets a run come to what a statement of another session keeps it from, and kills it there."""
    with psycopg.connect(target) as holder:
        holder.execute(blocking)
        process = shell.start("migrate", "--config", str(config), "--jobs", "2")
        deadline = time.monotonic() + 60
        while query(target, WAITING) == [(0,)]:
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        holder.rollback()


def test_killed_with_triggers_off(pair: Pair, tmp_path: Path) -> None:
    """The target never sees the triggers off, and nothing has to be put right after the kill."""
    both = ends(
        pair,
        "INSERT INTO s.parent VALUES (1, 'v1');"
        "CREATE TABLE s.heard (id int);"
        "CREATE FUNCTION s.hear() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO s.heard VALUES (NEW.id); RETURN NEW; END';"
        "CREATE TRIGGER t BEFORE INSERT ON s.child FOR EACH ROW EXECUTE FUNCTION s.hear();"
        "ALTER TABLE s.child ENABLE ALWAYS TRIGGER t;",
    )
    shell, config = Shell(tmp_path), _config(tmp_path, both, target_triggers="disable")
    _kill_while_blocked(shell, config, both[1], "SELECT FROM s.parent WHERE id = 1 FOR UPDATE")
    assert query(both[1], STATES) == [("t", "A")]
    done = shell.run("migrate", "--resume", "--config", str(config))
    assert done.code == 0, done.text
    assert query(both[1], STATES) == [("t", "A")]
    assert query(both[1], "SELECT * FROM s.heard") == []
    assert_same_rows(both, "parent", "child", "tree")


def _stop_between(both: tuple[str, str]) -> tuple[Migration, Plan]:
    """A run that is stopped while the keys are gone: somebody has locked one of its tables."""
    for conninfo in both:
        execute(conninfo, "CREATE TABLE s.gate (id int PRIMARY KEY)")
    found = migration(both, target_foreign_keys="drop")
    plan = found.plan()

    def leave(event: dict[str, object]) -> None:
        if event["event"] == "task_finished" and event["kind"] == "fk drop":
            raise ZeroDivisionError

    with psycopg.connect(both[1]) as holder:
        holder.execute("LOCK TABLE s.gate IN SHARE MODE")
        with pytest.raises(ZeroDivisionError):
            found.run(plan, jobs=1, on_event=leave)
    assert query(both[1], KEYS) == []
    return found, plan


def test_killed_with_keys_dropped(pair: Pair, tmp_path: Path) -> None:
    """Rows of a table that another session has locked keep the run busy while the keys are gone."""
    both = ends(
        pair, "INSERT INTO s.parent VALUES (1, 'v1'); CREATE TABLE s.gate (id int PRIMARY KEY);"
    )
    execute(both[0], "CREATE TABLE s.gate (id int PRIMARY KEY)", "INSERT INTO s.gate VALUES (1)")
    keys = query(both[1], KEYS)
    shell, config = Shell(tmp_path), _config(tmp_path, both, target_foreign_keys="drop")
    _kill_while_blocked(shell, config, both[1], "INSERT INTO s.gate VALUES (1)")
    assert query(both[1], KEYS) == []
    done = shell.run("migrate", "--resume", "--config", str(config))
    assert done.code == 0, done.text
    assert query(both[1], KEYS) == keys
    assert_same_rows(both, "parent", "child", "tree", "gate")


def test_a_stopped_run_says_what_is_gone_and_resumes(pair: Pair) -> None:
    both = ends(pair)
    keys = query(both[1], KEYS)
    found, plan = _stop_between(both)
    found.run(plan, resume=True).raise_for_failures()
    assert query(both[1], KEYS) == keys
    assert_same_rows(both, "parent", "child", "tree")


@pytest.mark.parametrize("changed", [False, True])
def test_keys_that_a_failed_run_made_again_are_taken_once_more(pair: Pair, changed: bool) -> None:
    both = ends(pair)
    execute(both[0], "INSERT INTO s.parent VALUES (99, 'late')")
    execute(both[1], "ALTER TABLE s.parent ADD CONSTRAINT early CHECK (id < 35)")
    keys = query(both[1], KEYS)
    found = migration(
        both,
        target_foreign_keys="drop",
        tables={"mode": "all", "include": [{"schema": "s", "name": "parent", "chunk_column": "id",
                                            "chunk_size": 10}]},
    )  # fmt: skip
    plan = found.plan()
    report = found.run(plan, jobs=1)
    assert {task.kind for task in report.failed if task.status == "failed"} == {"data", "fk check"}
    left = [(name, valid) for _, name, _, valid, _ in query(both[1], KEYS)]
    assert left == [("child_parent", False), ("tree_up", True)]
    execute(both[1], "ALTER TABLE s.parent DROP CONSTRAINT early")
    if changed:
        execute(both[0], "UPDATE s.parent SET v = 'new'")
    found.run(plan, resume=True).raise_for_failures()
    assert query(both[1], KEYS) == keys
    assert_same_rows(both, "parent", "child", "tree")


def test_a_part_takes_keys_that_are_back_once_more(pair: Pair) -> None:
    both = ends(pair)
    execute(both[1], "ALTER TABLE s.child ADD CONSTRAINT early CHECK (id < 35)")
    keys = query(both[1], KEYS)
    found = migration(both, target_foreign_keys="drop")
    plan = found.plan()
    assert not found.run(plan, jobs=1).ok
    assert query(both[1], KEYS) == keys, "a failed run leaves the target with its keys"
    execute(both[1], "ALTER TABLE s.child DROP CONSTRAINT early")
    open_rows = [task.id for task in plan if task.kind == "data" and task.name == "child"]
    found.run_tasks(plan, open_rows).raise_for_failures()
    assert ("child_parent",) not in [key[1:2] for key in query(both[1], KEYS)]
    found.run_tasks(plan, plan.ids("analyze", "constraint")).raise_for_failures()
    assert query(both[1], KEYS) == keys
    assert_same_rows(both, "parent", "child", "tree")


def test_cleanup_makes_the_keys_again(pair: Pair) -> None:
    both = ends(pair)
    keys = query(both[1], KEYS)
    found, _ = _stop_between(both)
    assert '"pgmigrate"' in found.cleanup().dropped
    assert query(both[1], KEYS) == keys
    assert query(both[1], "SELECT to_regnamespace('pgmigrate')::text") == [(None,)]


def test_cleanup_leaves_what_orphans_break_not_valid(pair: Pair) -> None:
    both = ends(pair)
    found, _ = _stop_between(both)
    execute(
        both[1], "DELETE FROM s.parent", "DELETE FROM s.child", "INSERT INTO s.child VALUES (1, 77)"
    )
    found.cleanup()
    assert [(name, valid) for _, name, _, valid, _ in query(both[1], KEYS)] == [
        ("child_parent", False), ("tree_up", True),
    ]  # fmt: skip


def test_cleanup_keeps_the_ledger_while_a_key_cannot_be_made(pair: Pair) -> None:
    both = ends(pair)
    found, plan = _stop_between(both)
    execute(both[1], "ALTER TABLE s.parent RENAME TO elsewhere")
    with pytest.raises(PgMigrateError, match="child_parent"):
        found.cleanup()
    execute(both[1], "ALTER TABLE s.elsewhere RENAME TO parent")
    found.run(plan, resume=True).raise_for_failures()
    assert len(query(both[1], KEYS)) == 2
