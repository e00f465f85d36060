"""Data-only runs into a target that is alive: its triggers and its foreign keys."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from conftest import Pair
from pgmigrate import ConfigError, Migration, Plan, PreflightError, Report, StateError
from support import servers
from support.config_keys import shows
from support.shell import Shell

TABLES = """
CREATE SCHEMA s;
CREATE TABLE s.parent (id int PRIMARY KEY, v text);
CREATE TABLE s.child (id int PRIMARY KEY, parent int CONSTRAINT child_parent REFERENCES s.parent ON DELETE CASCADE);
CREATE TABLE s.tree (id int PRIMARY KEY, up int CONSTRAINT tree_up REFERENCES s.tree);
"""
ROWS = """
INSERT INTO s.parent SELECT i, 'v' || i FROM generate_series(1, 40) i;
INSERT INTO s.child SELECT i, 41 - i FROM generate_series(1, 40) i;
INSERT INTO s.tree SELECT i, CASE WHEN i < 40 THEN i + 1 END FROM generate_series(1, 40) i;
"""
TRIGGERS = """
CREATE TABLE s.heard (trigger text, id int);
CREATE FUNCTION s.hear() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO s.heard VALUES (TG_NAME, NEW.id); NEW.v := 'changed'; RETURN NEW; END $$;
CREATE TRIGGER ordinary BEFORE INSERT ON s.parent FOR EACH ROW EXECUTE FUNCTION s.hear();
CREATE TRIGGER always BEFORE INSERT ON s.parent FOR EACH ROW EXECUTE FUNCTION s.hear();
CREATE TRIGGER replica BEFORE INSERT ON s.parent FOR EACH ROW EXECUTE FUNCTION s.hear();
CREATE TRIGGER off BEFORE INSERT ON s.parent FOR EACH ROW EXECUTE FUNCTION s.hear();
ALTER TABLE s.parent ENABLE ALWAYS TRIGGER always;
ALTER TABLE s.parent ENABLE REPLICA TRIGGER replica;
ALTER TABLE s.parent DISABLE TRIGGER off;
"""
STATES = "SELECT tgname::text, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
KEYS = """
SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid), convalidated, obj_description(oid, 'pg_constraint')
FROM pg_constraint WHERE contype = 'f' AND connamespace IS DISTINCT FROM to_regnamespace('pgmigrate') ORDER BY 1, 2
"""
IN_CHUNKS = {"mode": "all", "include": [
    {"schema": "s", "name": name, "chunk_column": "id", "chunk_size": 10} for name in ("parent", "tree")
]}  # fmt: skip


def query(conninfo: str, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(text).fetchall()


def execute(conninfo: str, *statements: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def ends(pair: Pair, more: str = "", *, tables: str = TABLES, rows: str = ROWS) -> tuple[str, str]:
    """A source with rows, and a target with the same tables and something more."""
    made = pair.source(), pair.target()
    servers.run_script(made[0], tables + rows)
    servers.run_script(made[1], tables + more)
    return made


def migration(found: tuple[str, str], **keys: object) -> Migration:
    return Migration(source=found[0], target=found[1], **{"data_only": True, **keys})  # type: ignore[arg-type]


def run(found: tuple[str, str], **keys: object) -> Report:
    report = migration(found, **keys).run(jobs=3)
    report.raise_for_failures()
    return report


def assert_same_rows(found: tuple[str, str], *names: str) -> None:
    for name in names:
        assert servers.rows(found[1], "s", name) == servers.rows(found[0], "s", name), name


def told(report: Report, check: str) -> dict[str, str]:
    return {f.object: f.message for f in report.findings if f.check == check}


# Triggers.


@shows("options.target_triggers")
@pytest.mark.parametrize("chunks", [False, True])
def test_triggers_fire_or_are_off_while_rows_come(pair: Pair, chunks: bool) -> None:
    tables = {"mode": "all", "include": IN_CHUNKS["include"][:1]} if chunks else {"mode": "all"}
    loud = ends(pair, TRIGGERS)
    report = run(loud, tables=tables)
    assert "always, ordinary" in told(report, "triggers_fire")["s.parent"]
    heard = "SELECT trigger, count(*) FROM s.heard GROUP BY 1 ORDER BY 1"
    assert query(loud[1], heard) == [("always", 40), ("ordinary", 40)]
    quiet = loud[0], pair.target("_quiet")
    servers.run_script(quiet[1], TABLES + TRIGGERS)
    states = query(quiet[1], STATES)
    assert [state for _, state in states] == ["A", "D", "O", "R"]
    report = run(quiet, tables=tables, target_triggers="disable", verify=True)
    assert report.ok and "always" in told(report, "triggers_disabled")["s.parent"]
    assert query(quiet[1], heard) == []
    assert query(quiet[1], STATES) == states
    assert_same_rows(quiet, "parent", "child", "tree")


def test_triggers_stay_as_they_are_when_rows_are_refused(pair: Pair) -> None:
    both = ends(pair, TRIGGERS + "ALTER TABLE s.parent ADD CHECK (id < 40);")
    states = query(both[1], STATES)
    report = migration(both, target_triggers="disable").run()
    assert {task.object for task in report.failed if task.status == "failed"} >= {"s.parent"}
    assert query(both[1], STATES) == states


def test_triggers_of_a_table_that_is_emptied_and_merged_are_off(pair: Pair) -> None:
    both = ends(
        pair,
        TRIGGERS + "CREATE FUNCTION s.gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO s.heard VALUES (TG_NAME, 0); RETURN NULL; END $$;"
        "CREATE TRIGGER gone AFTER TRUNCATE ON s.parent FOR EACH STATEMENT EXECUTE FUNCTION s.gone();",
    )
    execute(
        both[1],
        "ALTER TABLE s.parent DISABLE TRIGGER USER",
        "INSERT INTO s.parent VALUES (1, 'mine')",
    )
    execute(both[1], "ALTER TABLE s.parent ENABLE TRIGGER USER")
    run(both, target_triggers="disable")
    assert query(both[1], "SELECT v FROM s.parent WHERE id = 1") == [("mine",)]
    run(both, target_triggers="disable", on_existing="truncate")
    assert query(both[1], "SELECT * FROM s.heard") == []
    assert_same_rows(both, "parent", "child", "tree")


def test_a_deferred_key_and_triggers_that_are_off(pair: Pair) -> None:
    """A table with checks put off to the commit cannot be altered; they are made before."""
    tables = TABLES.replace(
        "REFERENCES s.parent ON DELETE CASCADE", "REFERENCES s.parent DEFERRABLE INITIALLY DEFERRED"
    )
    both = ends(
        pair,
        "CREATE FUNCTION s.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON s.child DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION s.f();",
        tables=tables,
    )
    assert run(both, target_triggers="disable", verify=True).ok


def test_triggers_of_partitions_are_off(pair: Pair) -> None:
    tables = (
        "CREATE SCHEMA s; CREATE TABLE s.parent (id int, v text) PARTITION BY RANGE (id);"
        "CREATE TABLE s.p1 PARTITION OF s.parent FOR VALUES FROM (0) TO (20);"
        "CREATE TABLE s.p2 PARTITION OF s.parent FOR VALUES FROM (20) TO (50);"
    )
    both = ends(
        pair,
        TRIGGERS,
        tables=tables,
        rows="INSERT INTO s.parent SELECT i, 'v' FROM generate_series(1, 40) i;",
    )
    states = query(both[1], STATES)
    run(both, target_triggers="disable")
    assert query(both[1], "SELECT count(*) FROM s.heard") == [(0,)]
    assert query(both[1], STATES) == states and len(states) == 12
    assert_same_rows(both, "p1", "p2")


@contextmanager
def stranger(conninfo: str, name: str) -> Iterator[str]:
    """A role that may use schema s but owns nothing in it; its conninfo."""
    execute(
        conninfo,
        f"CREATE ROLE {name} LOGIN PASSWORD 'x' NOSUPERUSER",
        f"GRANT USAGE ON SCHEMA s TO {name}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA s TO {name}",
        f"GRANT CREATE ON DATABASE {query(conninfo, 'SELECT current_database()')[0][0]} TO {name}",
    )
    try:
        yield make_conninfo(conninfo, user=name, password="x")
    finally:
        execute(conninfo, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_f8_what_the_role_may_not_switch_off_stays_and_is_told(pair: Pair) -> None:
    both = ends(pair, TRIGGERS)
    with stranger(both[1], "live_stranger") as target:
        found = both[0], target
        report = run(
            found, target_triggers="disable", target_foreign_keys="drop", analyze_after_load=False
        )
        assert "may not disable" in told(report, "triggers_fire")["s.parent"]
        assert "child_parent" in told(report, "foreign_keys_kept")[""]
        assert query(both[1], "SELECT count(*) FROM s.heard") == [(80,)]
        (note,) = {
            task.note for task in report.tasks if task.object == "s.parent" and task.kind == "data"
        }
        assert "its triggers fired" in note
        assert_same_rows(both, "child", "tree")


def test_the_keys_are_about_data_only_runs(pair: Pair) -> None:
    both = ends(pair)
    for key, value in [("target_triggers", "disable"), ("target_foreign_keys", "drop")]:
        with pytest.raises(ConfigError, match=f"options.{key}: is about a data-only run"):
            migration(both, data_only=False, **{key: value})


# Foreign keys.


@shows("options.target_foreign_keys")
@pytest.mark.parametrize("mode", ["order", "defer", "drop"])
@pytest.mark.parametrize("on_existing", ["append", "truncate"])
def test_referencing_rows_arrive_in_every_mode(pair: Pair, mode: str, on_existing: str) -> None:
    both = ends(
        pair,
        "COMMENT ON CONSTRAINT child_parent ON s.child IS 'mine';" + ROWS.replace("'v'", "'old'"),
    )
    execute(both[1], "DELETE FROM s.child WHERE id < 20", "DELETE FROM s.parent WHERE id < 10")
    keys = query(both[1], KEYS)
    report = run(
        both, target_foreign_keys=mode, on_existing=on_existing, on_conflict="update", verify=True
    )
    assert report.ok
    assert query(both[1], KEYS) == keys and keys[0][4] == "mine"
    assert_same_rows(both, "parent", "child", "tree")
    assert query(both[1], "SELECT count(*) FROM pgmigrate.migration_foreign_key") == [(0,)]
    words = {kind for task in report.tasks if (kind := task.kind).startswith("fk")}
    assert words == ({"fk drop", "fk restore", "fk check"} if mode == "drop" else set())
    assert {
        f.message
        for f in migration(both, target_foreign_keys=mode).plan().findings
        if f.check == "target_foreign_keys"
    }


def circle(deferrable: str) -> str:
    return f"""
        CREATE SCHEMA s;
        CREATE TABLE s.a (id int PRIMARY KEY, b int NOT NULL);
        CREATE TABLE s.b (id int PRIMARY KEY, a int NOT NULL CONSTRAINT b_a REFERENCES s.a);
        ALTER TABLE s.a ADD CONSTRAINT a_b FOREIGN KEY (b) REFERENCES s.b {deferrable};
        CREATE TABLE s.leaf (id int PRIMARY KEY, a int REFERENCES s.a);
    """


FILL = """
BEGIN; SET CONSTRAINTS ALL DEFERRED;
INSERT INTO s.a SELECT i, i FROM generate_series(1, 30) i;
INSERT INTO s.b SELECT i, 31 - i FROM generate_series(1, 30) i;
COMMIT; INSERT INTO s.leaf SELECT i, i FROM generate_series(1, 30) i;
"""


def test_a_circle_of_keys_has_no_order(pair: Pair) -> None:
    both = ends(pair, tables=circle("DEFERRABLE"), rows=FILL)
    with pytest.raises(PreflightError) as caught:
        run(both)
    (finding,) = [f for f in caught.value.findings if f.severity == "blocking"]
    assert finding.check == "foreign_key_circle" and "s.a, s.b" in finding.message
    assert "defer" in finding.remedy and "drop" in finding.remedy


@pytest.mark.parametrize("existing", [False, True])
def test_a_circle_comes_in_one_transaction(pair: Pair, existing: bool) -> None:
    there = (
        "BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO s.a VALUES (1, 1);"
        "INSERT INTO s.b VALUES (1, 1); COMMIT;"
    )
    both = ends(pair, there if existing else "", tables=circle("DEFERRABLE"), rows=FILL)
    keys = query(both[1], KEYS)
    report = run(both, target_foreign_keys="defer", on_conflict="update", verify=True)
    assert report.ok and query(both[1], KEYS) == keys
    assert_same_rows(both, "a", "b", "leaf")
    last = "SELECT xmin::text::bigint FROM s.{} WHERE id = 30"
    assert query(both[1], last.format("a")) == query(both[1], last.format("b"))


def test_a_circle_is_not_emptied_table_by_table(pair: Pair) -> None:
    both = ends(
        pair, FILL.replace("30", "5").replace("31", "6"), tables=circle("DEFERRABLE"), rows=FILL
    )
    with pytest.raises(PreflightError, match="cannot be emptied one by one"):
        run(both, target_foreign_keys="defer", on_existing="truncate")
    keys = query(both[1], KEYS)
    assert run(both, target_foreign_keys="drop", on_existing="truncate", verify=True).ok
    assert query(both[1], KEYS) == keys
    assert_same_rows(both, "a", "b", "leaf")


def test_a_circle_fails_as_one(pair: Pair) -> None:
    both = ends(pair, tables=circle("DEFERRABLE"), rows=FILL)
    execute(both[1], "ALTER TABLE s.b ADD CHECK (id < 30)")
    report = migration(both, target_foreign_keys="defer").run(jobs=2)
    failed = {task.object: task.status for task in report.failed if task.kind == "data"}
    assert failed.keys() >= {"s.a", "s.b"}
    assert query(both[1], "SELECT count(*) FROM s.a") == [(0,)]
    execute(both[1], "ALTER TABLE s.b DROP CONSTRAINT b_id_check")
    plan = migration(both, target_foreign_keys="defer").plan()
    migration(both, target_foreign_keys="defer").run(plan, resume=True).raise_for_failures()
    assert_same_rows(both, "a", "b", "leaf")


def test_parts_of_a_circle_are_not_torn_apart(pair: Pair) -> None:
    both = ends(pair, tables=circle("DEFERRABLE"), rows=FILL)
    found = migration(both, target_foreign_keys="defer")
    plan = found.plan()
    ids = {task.object: task.id for task in plan if task.kind == "data"}
    with pytest.raises(StateError, match="go together"):
        found.run_tasks(plan, [ids["s.a"]])
    found.run_tasks(plan, [ids["s.a"], ids["s.b"]]).raise_for_failures()
    found.run_tasks(plan, [ids["s.leaf"]]).raise_for_failures()
    assert_same_rows(both, "a", "b", "leaf")


def test_a_circle_that_nothing_defers_needs_drop(pair: Pair) -> None:
    fill = "INSERT INTO s.a VALUES (1, 1);"
    tables = circle("").replace("b int NOT NULL", "b int").replace("a int NOT NULL", "a int")
    fill = "INSERT INTO s.a VALUES (1, NULL); INSERT INTO s.b VALUES (1, 1); UPDATE s.a SET b = 1;"
    both = ends(pair, tables=tables, rows=fill)
    with pytest.raises(PreflightError, match="circle"):
        run(both, target_foreign_keys="defer")
    keys = query(both[1], KEYS)
    assert run(both, target_foreign_keys="drop", verify=True).ok
    assert query(both[1], KEYS) == keys


def test_chunks_that_reference_each_other(pair: Pair) -> None:
    both = ends(pair)
    with pytest.raises(PreflightError, match=r"chunks of s\.tree"):
        run(both, tables=IN_CHUNKS)
    keys = query(both[1], KEYS)
    assert run(both, tables=IN_CHUNKS, target_foreign_keys="drop", verify=True).ok
    assert query(both[1], KEYS) == keys
    late = both[0], pair.target("_late")
    servers.run_script(late[1], TABLES.replace("REFERENCES s.tree", "REFERENCES s.tree DEFERRABLE"))
    assert run(late, tables=IN_CHUNKS, target_foreign_keys="defer", verify=True).ok


def test_orphans_leave_the_key_not_valid_and_are_counted(pair: Pair) -> None:
    both = ends(
        pair,
        rows=ROWS
        + "ALTER TABLE s.child DROP CONSTRAINT child_parent; UPDATE s.child SET parent = 99 WHERE id < 4;",
    )
    found = migration(both, target_foreign_keys="drop")
    plan = found.plan()
    report = found.run(plan, jobs=2)
    (failed,) = [task for task in report.failed]
    assert (failed.kind, failed.object) == ("fk check", "s.child")
    assert "3 rows reference nothing" in failed.note and "child_parent" in failed.note
    assert "NOT VALID" in failed.note
    assert "child_parent" in told(report, "foreign_keys_left")[""]
    assert [(name, valid) for _, name, _, valid, _ in query(both[1], KEYS)] == [
        ("child_parent", False), ("tree_up", True),
    ]  # fmt: skip
    execute(both[1], "UPDATE s.child SET parent = 1 WHERE parent = 99")
    found.run(plan, resume=True).raise_for_failures()
    assert all(valid for _, _, _, valid, _ in query(both[1], KEYS))


def test_a_key_that_was_never_checked_stays_so(pair: Pair) -> None:
    both = ends(pair, "ALTER TABLE s.child DROP CONSTRAINT child_parent;"
                "ALTER TABLE s.child ADD CONSTRAINT child_parent FOREIGN KEY (parent) REFERENCES s.parent NOT VALID;")  # fmt: skip
    keys = query(both[1], KEYS)
    run(both, target_foreign_keys="drop")
    assert query(both[1], KEYS) == keys


@pytest.mark.parametrize("majors", [(16, 18), (18, 16)])
def test_keys_of_partitioned_tables(
    make_pair: Callable[[int, int], Pair], majors: tuple[int, int]
) -> None:
    tables = (
        "CREATE SCHEMA s; CREATE TABLE s.parent (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE s.p1 PARTITION OF s.parent FOR VALUES FROM (0) TO (20);"
        "CREATE TABLE s.p2 PARTITION OF s.parent FOR VALUES FROM (20) TO (50);"
        "CREATE TABLE s.child (id int, parent int CONSTRAINT up REFERENCES s.parent) PARTITION BY RANGE (id);"
        "CREATE TABLE s.c1 PARTITION OF s.child FOR VALUES FROM (0) TO (20);"
        "CREATE TABLE s.c2 PARTITION OF s.child FOR VALUES FROM (20) TO (50);"
    )
    rows = "INSERT INTO s.parent SELECT generate_series(1, 40); INSERT INTO s.child SELECT i, 41 - i FROM generate_series(1, 40) i;"
    both = ends(make_pair(*majors), tables=tables, rows=rows)
    keys = query(both[1], KEYS)
    assert run(both, target_foreign_keys="drop", verify=True).ok
    assert query(both[1], KEYS) == keys


# Killed in the middle.


def _config(folder: Path, both: tuple[str, str], **options: object) -> Path:
    path = folder / "config.json"
    given = {"source": both[0], "target": both[1], "options": {"data_only": True, **options}}
    path.write_text(json.dumps(given))
    return path


def _kill_while_blocked(shell: Shell, config: Path, target: str) -> None:
    """Lets a run come to rows that reference a locked row, and kills it there."""
    with psycopg.connect(target) as holder:
        holder.execute("SELECT FROM s.parent WHERE id = 1 FOR UPDATE")
        process = shell.start("migrate", "--config", str(config), "--jobs", "2")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^pgmigrate t' AND wait_event_type = 'Lock'"
        deadline = time.monotonic() + 60
        while query(target, waiting) == [(0,)]:
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()


def test_killed_with_triggers_off(pair: Pair, tmp_path: Path) -> None:
    """The target never sees the triggers off, and nothing has to be put right after the kill."""
    both = ends(
        pair,
        "INSERT INTO s.parent VALUES (1, 'v1');"
        "CREATE TABLE s.heard (id int); CREATE FUNCTION s.hear() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO s.heard VALUES (NEW.id); RETURN NEW; END';"
        "CREATE TRIGGER t BEFORE INSERT ON s.child FOR EACH ROW EXECUTE FUNCTION s.hear();"
        "ALTER TABLE s.child ENABLE ALWAYS TRIGGER t;",
    )
    shell, config = Shell(tmp_path), _config(tmp_path, both, target_triggers="disable")
    _kill_while_blocked(shell, config, both[1])
    assert query(both[1], STATES) == [("t", "A")]
    done = shell.run("migrate", "--resume", "--config", str(config))
    assert done.code == 0, done.text
    assert query(both[1], STATES) == [("t", "A")]
    assert query(both[1], "SELECT * FROM s.heard") == []
    assert_same_rows(both, "parent", "child", "tree")


def _stop_between(both: tuple[str, str]) -> tuple[Migration, Plan]:
    """A run that is stopped while the keys are gone."""
    found = migration(both, target_foreign_keys="drop")
    plan = found.plan()

    def leave(event: dict[str, object]) -> None:
        if event["event"] == "task_finished" and event["kind"] == "data":
            raise ZeroDivisionError

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
    with psycopg.connect(both[1]) as holder:
        holder.execute("INSERT INTO s.gate VALUES (1)")
        process = shell.start("migrate", "--config", str(config), "--jobs", "2")
        deadline = time.monotonic() + 60
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^pgmigrate t' AND wait_event_type = 'Lock'"
        while query(both[1], waiting) == [(0,)]:
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        holder.rollback()
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
    with pytest.raises(Exception, match="child_parent"):
        found.cleanup()
    execute(both[1], "ALTER TABLE s.elsewhere RENAME TO parent")
    found.run(plan, resume=True).raise_for_failures()
    assert len(query(both[1], KEYS)) == 2
