"""Data-only runs into a target that is alive: its triggers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg.conninfo import make_conninfo

from conftest import Pair
from pgmigrate import ConfigError
from support import servers
from support.config_keys import shows
from support.data_only import messages, migration, query, run
from support.live_target import (
    CHUNKS,
    STATES,
    TABLES,
    TRIGGERS,
    assert_same_rows,
    databases,
    execute,
)


@shows("options.target_triggers")
@pytest.mark.parametrize("chunks", [False, True])
def test_triggers_fire_or_are_off_while_rows_come(pair: Pair, chunks: bool) -> None:
    tables = {"mode": "all", "include": CHUNKS[:1] if chunks else []}
    loud = databases(pair, TRIGGERS)
    report = run(loud, tables=tables)
    assert "always, ordinary" in messages(report, "triggers_fire")["s.parent"]
    fired = "SELECT trigger, count(*) FROM s.fired GROUP BY 1 ORDER BY 1"
    assert query(loud[1], fired) == [("always", 40), ("ordinary", 40)]
    quiet = loud[0], pair.target("_quiet")
    servers.run_script(quiet[1], TABLES + TRIGGERS)
    states = query(quiet[1], STATES)
    assert [state for _, state in states] == ["A", "D", "O", "R"]
    report = run(quiet, tables=tables, target_triggers="disable", verify=True)
    assert report.ok and "always" in messages(report, "triggers_disabled")["s.parent"]
    assert query(quiet[1], fired) == []
    assert query(quiet[1], STATES) == states
    assert_same_rows(quiet, "parent", "child", "tree")


def test_triggers_stay_as_they_are_when_rows_are_refused(pair: Pair) -> None:
    both = databases(pair, TRIGGERS + "ALTER TABLE s.parent ADD CHECK (id < 40);")
    states = query(both[1], STATES)
    report = migration(both, target_triggers="disable").run()
    assert {task.object for task in report.failed if task.status == "failed"} >= {"s.parent"}
    assert query(both[1], STATES) == states


def test_triggers_of_a_table_that_is_emptied_and_merged_are_off(pair: Pair) -> None:
    both = databases(
        pair,
        TRIGGERS + "CREATE FUNCTION s.gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO s.fired VALUES (TG_NAME, 0); RETURN NULL; END $$;"
        "CREATE TRIGGER gone AFTER TRUNCATE ON s.parent EXECUTE FUNCTION s.gone();",
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
    assert query(both[1], "SELECT * FROM s.fired") == []
    assert_same_rows(both, "parent", "child", "tree")


@pytest.mark.parametrize("referenced", [False, True])
def test_triggers_of_a_table_that_is_copied_again_are_off(pair: Pair, referenced: bool) -> None:
    """TRUNCATE empties it, and DELETE where a foreign key references it."""
    table = "parent" if referenced else "child"
    both = databases(
        pair,
        "CREATE TABLE s.fired (trigger text);"
        "CREATE FUNCTION s.gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO s.fired VALUES (TG_NAME); RETURN NULL; END $$;"
        f"CREATE TRIGGER emptied AFTER TRUNCATE ON s.{table} EXECUTE FUNCTION s.gone();"
        f"CREATE TRIGGER deleted AFTER DELETE ON s.{table} FOR EACH ROW EXECUTE FUNCTION s.gone();"
        f"ALTER TABLE s.{table} ADD CONSTRAINT early CHECK (id < 35)",
    )
    states = query(both[1], STATES)
    chunks = [{"schema": "s", "name": table, "chunk_column": "id", "chunk_size": 10}]
    found = migration(both, target_triggers="disable", tables={"mode": "all", "include": chunks})
    plan = found.plan()
    assert not found.run(plan, jobs=1).ok
    assert query(both[1], f"SELECT count(*) > 0 FROM s.{table}") == [(True,)]
    execute(both[1], f"ALTER TABLE s.{table} DROP CONSTRAINT early", "TRUNCATE s.child")
    execute(both[1], "TRUNCATE s.fired")
    execute(both[0], "INSERT INTO s.parent VALUES (41, 'late')")
    found.run(plan, resume=True).raise_for_failures()
    assert query(both[1], "SELECT * FROM s.fired") == []
    assert query(both[1], STATES) == states
    assert_same_rows(both, table)


def test_a_deferred_key_and_triggers_that_are_off(pair: Pair) -> None:
    """A table with checks put off to the commit cannot be altered; they are made before."""
    tables = TABLES.replace(
        "REFERENCES s.parent ON DELETE CASCADE", "REFERENCES s.parent DEFERRABLE INITIALLY DEFERRED"
    )
    both = databases(
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
    both = databases(
        pair,
        TRIGGERS,
        tables=tables,
        rows="INSERT INTO s.parent SELECT i, 'v' FROM generate_series(1, 40) i;",
    )
    states = query(both[1], STATES)
    run(both, target_triggers="disable")
    assert query(both[1], "SELECT count(*) FROM s.fired") == [(0,)]
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


@pytest.mark.case("F8")
def test_what_the_role_may_not_switch_off_stays_and_is_reported(pair: Pair) -> None:
    both = databases(pair, TRIGGERS)
    with stranger(both[1], "live_stranger") as target:
        found = both[0], target
        report = run(
            found, target_triggers="disable", target_foreign_keys="drop", analyze_after_load=False
        )
        assert "may not disable" in messages(report, "triggers_fire")["s.parent"]
        assert "child_parent" in messages(report, "foreign_keys_kept")[""]
        assert query(both[1], "SELECT count(*) FROM s.fired") == [(80,)]
        (note,) = {
            task.note for task in report.tasks if task.object == "s.parent" and task.kind == "data"
        }
        assert "its triggers fired" in note
        assert_same_rows(both, "child", "tree")


def test_the_keys_are_about_data_only_runs(pair: Pair) -> None:
    both = databases(pair)
    for key, value in [("target_triggers", "disable"), ("target_foreign_keys", "drop")]:
        with pytest.raises(ConfigError, match=f"options.{key}: is about a data-only run"):
            migration(both, data_only=False, **{key: value})
