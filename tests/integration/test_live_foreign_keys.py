"""Data-only runs into a target that is alive: its foreign keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conftest import Pair
from pgmigrate import PreflightError, StateError
from support import servers
from support.config_keys import shows
from support.data_only import messages, migration, query, run
from support.live_target import CHUNKS, KEYS, ROWS, TABLES, assert_same_rows, databases, execute


@shows("options.target_foreign_keys")
@pytest.mark.parametrize("mode", ["order", "defer", "drop"])
@pytest.mark.parametrize("on_existing", ["append", "truncate"])
def test_referencing_rows_arrive_in_every_mode(pair: Pair, mode: str, on_existing: str) -> None:
    both = databases(
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


def cycle(deferrable: str) -> str:
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


def test_a_cycle_of_keys_has_no_order(pair: Pair) -> None:
    both = databases(pair, tables=cycle("DEFERRABLE"), rows=FILL)
    with pytest.raises(PreflightError) as caught:
        run(both)
    (finding,) = [f for f in caught.value.findings if f.severity == "blocking"]
    assert finding.check == "foreign_key_cycle" and "s.a, s.b" in finding.message
    assert "defer" in finding.remedy and "drop" in finding.remedy


@pytest.mark.parametrize("existing", [False, True])
def test_a_cycle_comes_in_one_transaction(pair: Pair, existing: bool) -> None:
    there = (
        "BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO s.a VALUES (1, 1);"
        "INSERT INTO s.b VALUES (1, 1); COMMIT;"
    )
    both = databases(pair, there if existing else "", tables=cycle("DEFERRABLE"), rows=FILL)
    keys = query(both[1], KEYS)
    report = run(both, target_foreign_keys="defer", on_conflict="update", verify=True)
    assert report.ok and query(both[1], KEYS) == keys
    assert_same_rows(both, "a", "b", "leaf")
    last = "SELECT xmin::text::bigint FROM s.{} WHERE id = 30"
    assert query(both[1], last.format("a")) == query(both[1], last.format("b"))


def test_a_cycle_of_which_a_table_is_kept_comes_in_one_transaction(pair: Pair) -> None:
    tables = """
        CREATE SCHEMA s;
        CREATE TABLE s.a (id int PRIMARY KEY, b int);
        CREATE TABLE s.b1 (id int PRIMARY KEY, a int REFERENCES s.a, b2 int NOT NULL);
        CREATE TABLE s.b2 (id int PRIMARY KEY, b1 int NOT NULL REFERENCES s.b1 DEFERRABLE);
        ALTER TABLE s.a ADD FOREIGN KEY (b) REFERENCES s.b1 DEFERRABLE;
        ALTER TABLE s.b1 ADD FOREIGN KEY (b2) REFERENCES s.b2 DEFERRABLE;
    """
    rows = """
        INSERT INTO s.a VALUES (1, NULL);
        BEGIN; SET CONSTRAINTS ALL DEFERRED;
        INSERT INTO s.b1 SELECT i, 1, 31 - i FROM generate_series(1, 30) i;
        INSERT INTO s.b2 SELECT i, i FROM generate_series(1, 30) i;
        COMMIT;
    """
    both = databases(pair, "ALTER TABLE s.b2 ADD CHECK (id < 30);", tables=tables, rows=rows)
    found = migration(both, target_foreign_keys="defer")
    plan = found.plan()
    assert not found.run(plan, jobs=2).ok
    execute(
        both[1],
        "ALTER TABLE s.b2 DROP CONSTRAINT b2_id_check",
        "INSERT INTO s.a VALUES (1, NULL)",
        "UPDATE pgmigrate.migration_task SET status = 'kept'"
        " WHERE kind = 'data' AND object = 's.a'",
    )
    found.run(plan, jobs=2, resume=True).raise_for_failures()
    last = "SELECT xmin::text::bigint FROM s.{} WHERE id = 30"
    assert query(both[1], last.format("b1")) == query(both[1], last.format("b2"))
    assert_same_rows(both, "a", "b1", "b2")


@pytest.mark.parametrize("outside", ["", "empty", "rows"])
def test_tables_of_a_cycle_are_emptied_together_and_none_besides_them(
    pair: Pair, outside: str
) -> None:
    """Without CASCADE: a table that references them and is not moved keeps its rows."""
    old = FILL.replace("30", "5").replace("31", "6")
    if outside:
        old += "CREATE TABLE s.outside (a int REFERENCES s.a ON DELETE CASCADE);"
    if outside == "rows":
        old += "INSERT INTO s.outside VALUES (1);"
    both = databases(pair, old, tables=cycle("DEFERRABLE"), rows=FILL)
    keys = query(both[1], KEYS)
    found = migration(both, target_foreign_keys="defer", on_existing="truncate", verify=True)
    report = found.run(jobs=3)
    if outside == "rows":
        assert {t.object for t in report.failed if t.status == "failed"} == {"s.a", "s.b", "s.leaf"}
        assert any("s.outside" in (t.note or "") for t in report.failed)
        assert query(both[1], "SELECT count(*) FROM s.a") == [(5,)], "all or none"
        assert query(both[1], "SELECT count(*) FROM s.outside") == [(1,)]
        execute(both[1], "DELETE FROM s.outside")
        report = found.run(resume=True)
    report.raise_for_failures()
    emptied = (
        "SELECT DISTINCT status, xmin::text FROM pgmigrate.migration_task WHERE kind = 'truncate'"
    )
    assert len(query(both[1], emptied)) == 1, "one transaction"
    assert query(both[1], KEYS) == keys
    assert_same_rows(both, "a", "b", "leaf")
    assert run(both, target_foreign_keys="drop", on_existing="truncate", verify=True).ok
    assert_same_rows(both, "a", "b", "leaf")


def test_what_was_emptied_together_is_not_emptied_again_by_a_resumed_run(pair: Pair) -> None:
    both = databases(
        pair, FILL.replace("30", "5").replace("31", "6"), tables=cycle("DEFERRABLE"), rows=FILL
    )
    execute(both[1], "ALTER TABLE s.b ADD CHECK (id < 30)")
    found = migration(both, target_foreign_keys="defer", on_existing="truncate")
    plan = found.plan()
    report = found.run(plan, jobs=2)
    assert {t.object for t in report.failed if t.status == "failed"} == {"s.a", "s.b", "s.leaf"}
    emptied = (
        "SELECT task, status, xmin::text FROM pgmigrate.migration_task WHERE kind = 'truncate'"
    )
    before = sorted(query(both[1], emptied))
    assert {status for _, status, _ in before} == {"done"}
    execute(both[1], "ALTER TABLE s.b DROP CONSTRAINT b_id_check")
    found.run(plan, resume=True).raise_for_failures()
    assert sorted(query(both[1], emptied)) == before
    assert_same_rows(both, "a", "b", "leaf")


def test_a_cycle_fails_as_one(pair: Pair) -> None:
    both = databases(pair, tables=cycle("DEFERRABLE"), rows=FILL)
    execute(both[1], "ALTER TABLE s.b ADD CHECK (id < 30)")
    report = migration(both, target_foreign_keys="defer").run(jobs=2)
    failed = {task.object: task.status for task in report.failed if task.kind == "data"}
    assert failed.keys() >= {"s.a", "s.b"}
    assert query(both[1], "SELECT count(*) FROM s.a") == [(0,)]
    execute(both[1], "ALTER TABLE s.b DROP CONSTRAINT b_id_check")
    plan = migration(both, target_foreign_keys="defer").plan()
    migration(both, target_foreign_keys="defer").run(plan, resume=True).raise_for_failures()
    assert_same_rows(both, "a", "b", "leaf")


def test_parts_of_a_cycle_are_not_torn_apart(pair: Pair) -> None:
    both = databases(pair, tables=cycle("DEFERRABLE"), rows=FILL)
    found = migration(both, target_foreign_keys="defer")
    plan = found.plan()
    ids = {task.object: task.id for task in plan if task.kind == "data"}
    with pytest.raises(StateError, match="run together"):
        found.run_tasks(plan, [ids["s.a"]])
    found.run_tasks(plan, [ids["s.a"], ids["s.b"]]).raise_for_failures()
    found.run_tasks(plan, [ids["s.leaf"]]).raise_for_failures()
    assert_same_rows(both, "a", "b", "leaf")


def test_a_cycle_that_nothing_defers_needs_drop(pair: Pair) -> None:
    fill = "INSERT INTO s.a VALUES (1, 1);"
    tables = cycle("").replace("b int NOT NULL", "b int").replace("a int NOT NULL", "a int")
    fill = "INSERT INTO s.a VALUES (1, NULL); INSERT INTO s.b VALUES (1, 1); UPDATE s.a SET b = 1;"
    both = databases(pair, tables=tables, rows=fill)
    with pytest.raises(PreflightError, match="cycle"):
        run(both, target_foreign_keys="defer")
    keys = query(both[1], KEYS)
    assert run(both, target_foreign_keys="drop", verify=True).ok
    assert query(both[1], KEYS) == keys


def test_chunks_that_reference_each_other(pair: Pair) -> None:
    both = databases(pair)
    with pytest.raises(PreflightError, match=r"chunks of s\.tree"):
        run(both, tables={"mode": "all", "include": CHUNKS})
    keys = query(both[1], KEYS)
    assert run(
        both, tables={"mode": "all", "include": CHUNKS}, target_foreign_keys="drop", verify=True
    ).ok
    assert query(both[1], KEYS) == keys
    late = both[0], pair.target("_late")
    servers.run_script(late[1], TABLES.replace("REFERENCES s.tree", "REFERENCES s.tree DEFERRABLE"))
    assert run(
        late, tables={"mode": "all", "include": CHUNKS}, target_foreign_keys="defer", verify=True
    ).ok


def test_orphans_leave_the_key_not_valid_and_are_counted(pair: Pair) -> None:
    both = databases(
        pair,
        rows=ROWS + "ALTER TABLE s.child DROP CONSTRAINT child_parent;"
        "UPDATE s.child SET parent = 99 WHERE id < 4;",
    )
    found = migration(both, target_foreign_keys="drop")
    plan = found.plan()
    report = found.run(plan, jobs=2)
    (failed,) = report.failed
    assert (failed.kind, failed.object) == ("fk check", "s.child")
    assert "3 rows reference nothing" in failed.note and "child_parent" in failed.note
    assert "NOT VALID" in failed.note
    assert "child_parent" in messages(report, "foreign_keys_left")[""]
    assert [(name, valid) for _, name, _, valid, _ in query(both[1], KEYS)] == [
        ("child_parent", False), ("tree_up", True),
    ]  # fmt: skip
    execute(both[1], "UPDATE s.child SET parent = 1 WHERE parent = 99")
    found.run(plan, resume=True).raise_for_failures()
    assert all(valid for _, _, _, valid, _ in query(both[1], KEYS))


def test_a_key_that_was_never_checked_stays_so(pair: Pair) -> None:
    both = databases(
        pair,
        "ALTER TABLE s.child DROP CONSTRAINT child_parent;"
        "ALTER TABLE s.child ADD CONSTRAINT child_parent"
        " FOREIGN KEY (parent) REFERENCES s.parent NOT VALID;",
    )
    keys = query(both[1], KEYS)
    run(both, target_foreign_keys="drop")
    assert query(both[1], KEYS) == keys


@pytest.mark.parametrize("majors", [(16, 18), (18, 16)])
def test_keys_of_partitioned_tables_are_made_again(
    make_pair: Callable[[int, int], Pair], majors: tuple[int, int]
) -> None:
    tables = (
        "CREATE SCHEMA s; CREATE TABLE s.parent (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE s.p1 PARTITION OF s.parent FOR VALUES FROM (0) TO (20);"
        "CREATE TABLE s.p2 PARTITION OF s.parent FOR VALUES FROM (20) TO (50);"
        "CREATE TABLE s.child (id int, parent int CONSTRAINT up REFERENCES s.parent)"
        " PARTITION BY RANGE (id);"
        "CREATE TABLE s.c1 PARTITION OF s.child FOR VALUES FROM (0) TO (20);"
        "CREATE TABLE s.c2 PARTITION OF s.child FOR VALUES FROM (20) TO (50);"
    )
    rows = (
        "INSERT INTO s.parent SELECT generate_series(1, 40);"
        "INSERT INTO s.child SELECT i, 41 - i FROM generate_series(1, 40) i;"
    )
    both = databases(make_pair(*majors), tables=tables, rows=rows)
    keys = query(both[1], KEYS)
    assert run(both, target_foreign_keys="drop", verify=True).ok
    assert query(both[1], KEYS) == keys
