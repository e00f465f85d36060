"""Data-only runs that end in the middle: what they have changed on a target in use comes back."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Finding, Migration, Plan
from pgmigrate._bridge.job import do
from pgmigrate.errors import PgMigrateError
from support.data_only import migration, query
from support.live_target import KEYS, STATES, WAITING, assert_same_rows, databases, execute
from support.shell import Shell


def _config(folder: Path, both: tuple[str, str], **options: object) -> Path:
    path = folder / "config.json"
    given = {"source": both[0], "target": both[1], "options": {"data_only": True, **options}}
    path.write_text(json.dumps(given))
    return path


def _end_while_blocked(
    shell: Shell,
    config: Path,
    target: str,
    blocking: str,
    number: signal.Signals,
    then: Callable[[], object] = lambda: None,
) -> tuple[int, str]:
    """Lets a run come to what a statement of another session keeps it from, and ends it there.

    Returns:
        Its exit code, and what it wrote to standard error.
    """
    with psycopg.connect(target) as holder:
        holder.execute(blocking)
        process = shell.start("migrate", "--config", str(config), "--jobs", "2")
        deadline = time.monotonic() + 60
        while query(target, WAITING) == [(0,)]:
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.05)
        then()
        process.send_signal(number)
        _, text = process.communicate()
        holder.rollback()
    return process.returncode, text


def test_a_run_killed_with_triggers_off_leaves_them_on(pair: Pair, tmp_path: Path) -> None:
    """The target never sees the triggers off, and nothing has to be put right after the kill."""
    both = databases(
        pair,
        "INSERT INTO s.parent VALUES (1, 'v1');"
        "CREATE TABLE s.fired (id int);"
        "CREATE FUNCTION s.hear() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO s.fired VALUES (NEW.id); RETURN NEW; END';"
        "CREATE TRIGGER t BEFORE INSERT ON s.child FOR EACH ROW EXECUTE FUNCTION s.hear();"
        "ALTER TABLE s.child ENABLE ALWAYS TRIGGER t;",
    )
    shell, config = Shell(tmp_path), _config(tmp_path, both, target_triggers="disable")
    lock = "SELECT FROM s.parent WHERE id = 1 FOR UPDATE"
    _end_while_blocked(shell, config, both[1], lock, signal.SIGKILL)
    assert query(both[1], STATES) == [("t", "A")]
    done = shell.run("migrate", "--resume", "--config", str(config))
    assert done.code == 0, done.text
    assert query(both[1], STATES) == [("t", "A")]
    assert query(both[1], "SELECT * FROM s.fired") == []
    assert_same_rows(both, "parent", "child", "tree")


def _stop_between(both: tuple[str, str]) -> tuple[Migration, Plan]:
    """A run that is stopped while the keys are gone: somebody has locked one of its tables."""
    for conninfo in both:
        execute(conninfo, "CREATE TABLE s.gate (id int PRIMARY KEY)")
    found = migration(both, target_foreign_keys="drop")
    plan = found.plan()

    def leave(event: Mapping[str, Any]) -> None:
        if event["event"] == "task_finished" and event["kind"] == "fk drop":
            raise ZeroDivisionError

    with psycopg.connect(both[1]) as holder:
        holder.execute("LOCK TABLE s.gate IN SHARE MODE")
        with pytest.raises(ZeroDivisionError):
            found.run(plan, jobs=1, on_event=leave)
    return found, plan


def _kill_between(both: tuple[str, str], folder: Path) -> tuple[Migration, Plan]:
    """A run that is killed while the keys are gone."""
    for conninfo in both:
        execute(conninfo, "CREATE TABLE s.gate (id int PRIMARY KEY)")
    execute(both[0], "INSERT INTO s.gate VALUES (1)")
    config = _config(folder, both, target_foreign_keys="drop")
    lock = "LOCK TABLE s.gate IN SHARE MODE"
    _end_while_blocked(Shell(folder), config, both[1], lock, signal.SIGKILL)
    assert query(both[1], KEYS) == []
    return migration(both, target_foreign_keys="drop"), Plan.load(folder / "plan.tsv")


@pytest.fixture(params=["stopped", "killed"])
def between(
    request: pytest.FixtureRequest, pair: Pair, tmp_path: Path
) -> tuple[tuple[str, str], Migration, Plan, list[Any]]:
    """A target in use whose keys a run that has ended early had taken away, and the keys before."""
    both = databases(pair, "COMMENT ON CONSTRAINT child_parent ON s.child IS 'kept';")
    before = query(both[1], KEYS)
    found, plan = (
        _stop_between(both) if request.param == "stopped" else _kill_between(both, tmp_path)
    )
    return both, found, plan, before


def _names(findings: Iterable[Finding]) -> list[str]:
    return [finding.message for finding in findings if finding.check == "foreign_keys_left"]


@pytest.mark.case("X2")
def test_what_is_left_is_named_by_every_verb_until_it_is_back(
    between: tuple[tuple[str, str], Migration, Plan, list[Any]], tmp_path: Path
) -> None:
    both, found, plan, before = between
    missing = [
        key[:2] for key in before if key[:2] not in [now[:2] for now in query(both[1], KEYS)]
    ]
    is_gone = bool(missing)
    assert is_gone or not any(valid for *_, valid, _ in query(both[1], KEYS))
    word = "are missing" if is_gone else "are NOT VALID"
    expected = [f"foreign keys of the target {word}: s.child child_parent, s.tree tree_up"]
    assert _names(found.status().findings) == expected
    assert expected[0] in found.status().text()
    assert _names(found.preflight().findings) == expected
    kind = "missing_object" if is_gone else "invalid_constraint"
    verified = found.verify(plan)
    named = {
        (item.kind, item.object) for item in verified.differences if "foreign key" in item.message
    }
    assert named == {(kind, "s.child child_parent"), (kind, "s.tree tree_up")}
    assert verified.verdict == "different"
    found.run(plan, resume=True).raise_for_failures()
    assert query(both[1], KEYS) == before
    assert _names(found.status().findings) == _names(found.preflight().findings) == []
    assert found.verify(plan).verdict == "equal"
    assert_same_rows(both, "parent", "child", "tree")


@pytest.mark.case("X2")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_end_makes_its_keys_again(
    pair: Pair, tmp_path: Path, number: signal.Signals
) -> None:
    both = databases(pair, "CREATE TABLE s.gate (id int PRIMARY KEY);")
    execute(both[0], "CREATE TABLE s.gate (id int PRIMARY KEY)", "INSERT INTO s.gate VALUES (1)")
    before = query(both[1], KEYS)
    shell, config = Shell(tmp_path), _config(tmp_path, both, target_foreign_keys="drop")
    lock = "LOCK TABLE s.gate IN SHARE MODE"
    code, text = _end_while_blocked(shell, config, both[1], lock, number)
    assert code == 130
    assert [key[:2] for key in query(both[1], KEYS)] == [key[:2] for key in before]
    last = text.strip().splitlines()[-1]
    assert "NOT VALID: s.child child_parent, s.tree tree_up" in last and "--resume" in last
    done = shell.run("migrate", "--resume", "--config", str(config))
    assert done.code == 0, done.text
    assert query(both[1], KEYS) == before
    assert_same_rows(both, "parent", "child", "tree", "gate")


@pytest.mark.case("X2")
def test_a_key_that_cannot_be_made_again_at_the_end_is_named(pair: Pair, tmp_path: Path) -> None:
    both = databases(pair, "CREATE TABLE s.gate (id int PRIMARY KEY);")
    execute(both[0], "CREATE TABLE s.gate (id int PRIMARY KEY)", "INSERT INTO s.gate VALUES (1)")
    before = query(both[1], KEYS)
    shell, config = Shell(tmp_path), _config(tmp_path, both, target_foreign_keys="drop")
    # The key of this table waits for the lock, the others are made.
    with psycopg.connect(both[1]) as holder:
        lock = "LOCK TABLE s.gate IN SHARE MODE"
        code, text = _end_while_blocked(
            shell, config, both[1], lock, signal.SIGINT, lambda: holder.execute("LOCK TABLE s.tree")
        )
    assert code == 130
    assert [key[1] for key in query(both[1], KEYS)] == ["child_parent"]
    last = text.strip().splitlines()[-1]
    assert "are missing: s.tree tree_up" in last and "NOT VALID: s.child child_parent" in last
    done = shell.run("migrate", "--resume", "--config", str(config))
    assert done.code == 0, done.text
    assert query(both[1], KEYS) == before


def test_a_run_killed_with_keys_dropped_makes_them_again(pair: Pair, tmp_path: Path) -> None:
    """Rows of a table that another session has locked keep the run busy while the keys are gone."""
    both = databases(
        pair, "INSERT INTO s.parent VALUES (1, 'v1'); CREATE TABLE s.gate (id int PRIMARY KEY);"
    )
    execute(both[0], "CREATE TABLE s.gate (id int PRIMARY KEY)", "INSERT INTO s.gate VALUES (1)")
    keys = query(both[1], KEYS)
    shell, config = Shell(tmp_path), _config(tmp_path, both, target_foreign_keys="drop")
    lock = "INSERT INTO s.gate VALUES (1)"
    _end_while_blocked(shell, config, both[1], lock, signal.SIGKILL)
    assert query(both[1], KEYS) == []
    done = shell.run("migrate", "--resume", "--config", str(config))
    assert done.code == 0, done.text
    assert query(both[1], KEYS) == keys
    assert_same_rows(both, "parent", "child", "tree", "gate")


@pytest.mark.parametrize("changed", [False, True])
def test_keys_that_a_failed_run_made_again_are_taken_once_more(pair: Pair, changed: bool) -> None:
    both = databases(pair)
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
    both = databases(pair)
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


@pytest.mark.case("X2")
def test_safe_makes_the_keys_again_before_it_starts_the_application(
    pair: Pair, tmp_path: Path
) -> None:
    both = databases(pair, "ALTER TABLE s.child ADD CONSTRAINT early CHECK (id < 35);")
    before = query(both[1], KEYS)
    _kill_between(both, tmp_path)
    # The next procedure cannot bring the rows either, and leaves the target as it is.
    look = (
        "import psycopg, sys; print(*psycopg.connect(sys.argv[1]).execute(sys.argv[2]), sep='\\n')"
    )
    keys = "SELECT 'key ' || conname FROM pg_constraint WHERE contype = 'f'"
    procedure = {
        "stop": [["true"]],
        "start": [[sys.executable, "-c", look, both[1], keys]],
        "on_failure": "keep",
        "backup": False,
    }
    config = {
        "source": both[0],
        "target": both[1],
        "options": {"data_only": True, "target_foreign_keys": "drop"},
        "procedure": procedure,
    }
    (tmp_path / "safe.json").write_text(json.dumps(config))
    shell = Shell(tmp_path)
    done = shell.run("safe", "--config", "safe.json", "--resume")
    assert done.code == 1, done.text
    assert [key[:2] for key in query(both[1], KEYS)] == [key[:2] for key in before]
    log = (tmp_path / "pgmigrate.log").read_text()
    assert "key child_parent" in log and "key tree_up" in log, "they are there when it starts"


@pytest.mark.case("X2")
def test_what_a_run_has_taken_is_made_again_where_no_run_is_active(
    between: tuple[tuple[str, str], Migration, Plan, list[Any]],
) -> None:
    both, found, _, before = between
    (left,) = do("foreign_keys", found._options, {}, None)
    assert left["message"].startswith("foreign keys of the target are NOT VALID: s.child")
    assert [key[:2] for key in query(both[1], KEYS)] == [key[:2] for key in before]
    assert all(not valid for *_, valid, _ in query(both[1], KEYS))


def test_cleanup_makes_the_keys_again(
    between: tuple[tuple[str, str], Migration, Plan, list[Any]],
) -> None:
    both, found, _, before = between
    result = found.cleanup()
    assert '"pgmigrate"' in result.dropped and result.ok
    assert query(both[1], KEYS) == before
    assert query(both[1], "SELECT to_regnamespace('pgmigrate')::text") == [(None,)]


@pytest.mark.case("X3")
def test_cleanup_names_each_key_that_orphans_leave_not_valid(
    between: tuple[tuple[str, str], Migration, Plan, list[Any]], shell: Shell
) -> None:
    both, _, _, _ = between
    execute(
        both[1],
        "ALTER TABLE s.child DROP CONSTRAINT IF EXISTS child_parent",
        "ALTER TABLE s.tree DROP CONSTRAINT IF EXISTS tree_up",
        "DELETE FROM s.parent",
        "DELETE FROM s.child",
        "INSERT INTO s.child VALUES (1, 77), (2, 78)",
        "DELETE FROM s.tree",
        "INSERT INTO s.tree VALUES (1, 5)",
    )
    done = shell.run("cleanup", "--source", both[0], "--target", both[1], "--json")
    assert done.code == 1, done.text
    findings = {item["object"]: item for item in json.loads(done.stdout)["findings"]}
    for key, rows in (("s.child child_parent", 2), ("s.tree tree_up", 1)):
        assert f"{rows} row" in findings[key]["message"] and "NOT VALID" in findings[key]["message"]
        listed = findings[key]["remedy"].removeprefix("list them with: ")
        assert len(query(both[1], listed)) == rows
    assert [(name, valid) for _, name, _, valid, _ in query(both[1], KEYS)] == [
        ("child_parent", False), ("tree_up", False),
    ]  # fmt: skip


def test_cleanup_keeps_the_ledger_while_a_key_cannot_be_made(pair: Pair, tmp_path: Path) -> None:
    both = databases(pair)
    found, plan = _kill_between(both, tmp_path)
    execute(both[1], "ALTER TABLE s.parent RENAME TO elsewhere")
    with pytest.raises(PgMigrateError, match="child_parent"):
        found.cleanup()
    assert _names(found.status().findings) == [
        "foreign keys of the target are missing: s.child child_parent"
    ]
    execute(both[1], "ALTER TABLE s.elsewhere RENAME TO parent")
    found.run(plan, resume=True).raise_for_failures()
    assert len(query(both[1], KEYS)) == 2
