"""Data moves after alembic's upgrades: a real project, alembic's commands as processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import Pair
from support import servers
from support.alembic_project import Project

SOURCE = """
CREATE SCHEMA shop;
CREATE TABLE shop.items (id int PRIMARY KEY, name text);
INSERT INTO shop.items SELECT i, 'item ' || i FROM generate_series(1, 100) AS i;
CREATE TABLE shop.prices (item int PRIMARY KEY, price int);
INSERT INTO shop.prices SELECT i, i FROM generate_series(1, 50) AS i;
"""
ITEMS = (
    "CREATE SCHEMA shop",
    "CREATE TABLE shop.items (id int PRIMARY KEY, name text)",
)
PRICES = ("CREATE TABLE shop.prices (item int PRIMARY KEY, price int CHECK (price > 0))",)

# Nothing is read from the prices while the gate is closed.
GATED_PRICES = (
    '{"schema": "shop", "name": "prices", '
    '"where": "pg_catalog.pg_advisory_xact_lock_shared(7)::text = \'\'"}'
)
# Ends the process with the first task, where the variable says so.
KILL = '(lambda e: e["event"] == "task_finished" and "KILL" in os.environ and os._exit(9))'


@contextmanager
def gate_closed(project: Project) -> Iterator[None]:
    with psycopg.connect(project.source) as connection:
        connection.execute("SELECT pg_advisory_lock(7)")
        yield


@pytest.fixture
def project(pair: Pair, tmp_path: Path) -> Project:
    """A project of two revisions, `aa01` makes the items and `bb02` the prices."""
    source = pair.source()
    servers.run_script(source, SOURCE)
    project = Project(tmp_path, source, pair.target())
    project.env('{"aa01": ["shop.items"], "head": ["shop.prices"]}')
    project.revision("aa01", None, *ITEMS, downgrade=("DROP SCHEMA shop CASCADE",))
    project.revision("bb02", "aa01", *PRICES, downgrade=("DROP TABLE shop.prices",))
    return project


def value(conninfo: str, query: str) -> Any:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(query).fetchone()
        return None if row is None else row[0]


def execute(conninfo: str, statement: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute(statement)


def count(project: Project, table: str) -> int:
    rows: int = value(project.target, f"SELECT count(*) FROM {table}")
    return rows


def due(project: Project) -> list[tuple[str, str | None]]:
    """What the target says is due, as (revision, key)."""
    if value(project.target, "SELECT to_regclass('pgmigrate.migration_due')") is None:
        return []
    with psycopg.connect(project.target) as connection:
        query = "SELECT revision, on_key FROM pgmigrate.migration_due ORDER BY number"
        return connection.execute(query).fetchall()


def test_rows_come_once_the_upgrade_has_committed(project: Project) -> None:
    project.upgrade()
    assert servers.rows(project.target, "shop", "items") == servers.rows(
        project.source, "shop", "items"
    )
    assert count(project, "shop.prices") == 50
    assert due(project) == []


def test_rows_come_without_what_else_the_source_has(project: Project) -> None:
    execute(project.source, "CREATE INDEX items_name ON shop.items (name)")
    project.env('{"aa01": ["shop.items"], "bb02": {"tables": ["shop.prices"], "data_only": False}}')
    execute(project.source, "CREATE INDEX prices_price ON shop.prices (price)")
    project.upgrade()
    assert value(project.target, "SELECT to_regclass('shop.items_name')") is None
    assert value(project.target, "SELECT to_regclass('shop.prices_price')") is not None
    assert (count(project, "shop.items"), count(project, "shop.prices")) == (100, 50)


def test_an_upgrade_by_one_moves_what_that_revision_asks_for(project: Project) -> None:
    project.upgrade("+1")
    assert count(project, "shop.items") == 100
    project.upgrade("+1")
    assert count(project, "shop.prices") == 50


def test_a_failed_move_is_done_by_the_next_upgrade(project: Project) -> None:
    execute(project.source, "UPDATE shop.prices SET price = -1 WHERE item = 7")
    done = project.alembic("upgrade", "head")
    assert done.code == 1
    assert "CopyError: the upgrade is committed, but the data move of revision bb02" in done.stderr
    assert "alembic upgrade head" in done.stderr
    assert value(project.target, "SELECT version_num FROM alembic_version") == "bb02"
    assert count(project, "shop.items") == 100
    assert count(project, "shop.prices") == 0
    assert due(project) == [("bb02", "head")]

    execute(project.source, "UPDATE shop.prices SET price = 7 WHERE item = 7")
    project.upgrade()
    assert count(project, "shop.prices") == 50
    assert due(project) == []
    execute(project.target, "DELETE FROM shop.prices")
    project.upgrade()
    assert count(project, "shop.prices") == 0, "what is done is not done again"


def test_a_process_killed_after_the_commit_has_lost_nothing(project: Project) -> None:
    project.env(
        '{"aa01": ["shop.items"], "head": ["shop.prices"]}',
        between='os.environ.get("KILL") and os._exit(9)',
    )
    assert project.alembic("upgrade", "head", KILL="1").code == 9
    assert due(project) == [("aa01", "aa01"), ("bb02", "head")]
    assert count(project, "shop.items") == 0
    project.upgrade()
    assert (count(project, "shop.items"), count(project, "shop.prices")) == (100, 50)
    assert due(project) == []


def test_a_process_killed_in_its_run_is_gone_on_with(project: Project) -> None:
    # A table without a key, for what is copied twice would show; and too large to share a
    # transaction with the prices, which do not get through as long as we hold the lock.
    servers.run_script(
        project.source,
        "ALTER TABLE shop.items DROP CONSTRAINT items_pkey; "
        "ALTER TABLE shop.items ALTER name SET STORAGE EXTERNAL; "
        "UPDATE shop.items SET name = repeat('x', 80000); ANALYZE shop.items",
    )
    project.revision(
        "aa01", None, "CREATE SCHEMA shop", "CREATE TABLE shop.items (id int, name text)"
    )
    project.env(f'{{"bb02": {{"tables": ["shop.items", {GATED_PRICES}]}}}}, on_event={KILL}')
    with gate_closed(project):
        assert project.alembic("upgrade", "head", KILL="1").code == 9
        assert value(project.target, "SELECT state FROM pgmigrate.migration_run") == "running"
    project.upgrade()
    assert value(project.target, "SELECT count(*) FROM pgmigrate.migration_run") == 1
    assert (count(project, "shop.items"), count(project, "shop.prices")) == (100, 50)
    assert due(project) == []


def test_of_two_upgrades_at_once_one_moves_the_rows(project: Project) -> None:
    keyless = "CREATE TABLE shop.prices (item int, price int)"
    servers.run_script(project.source, "ALTER TABLE shop.prices DROP CONSTRAINT prices_pkey")
    project.revision("bb02", "aa01", keyless)
    project.env(f'{{"bb02": {{"tables": [{GATED_PRICES}]}}}}')
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database "
        "= (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with ThreadPoolExecutor(2) as pool:
        with gate_closed(project):
            first = pool.submit(project.alembic, "upgrade", "head")
            until(lambda: value(project.source, waiting) == 1)
            second = pool.submit(project.alembic, "upgrade", "head")
            until(lambda: value(project.target, waiting) == 1 or second.done())
        for done in (first.result(), second.result()):
            assert done.code == 0, done.text
    assert count(project, "shop.prices") == 50
    assert value(project.target, "SELECT count(*) FROM pgmigrate.migration_run") == 1
    assert due(project) == []


def until(is_so: Callable[[], bool]) -> None:
    """Waits until something is so; the test's own time limit ends it."""
    while not is_so():
        time.sleep(0.05)


def test_a_failed_upgrade_asks_for_nothing(project: Project) -> None:
    project.revision("cc03", "bb02", "SELECT 1 / 0")
    assert project.alembic("upgrade", "head").code == 1
    assert value(project.target, "SELECT to_regclass('pgmigrate.migration_due')") is None
    assert value(project.target, "SELECT to_regclass('shop.items')") is None


def test_a_downgrade_moves_nothing_and_forgets_what_was_due(project: Project) -> None:
    execute(project.source, "UPDATE shop.prices SET price = -1 WHERE item = 7")
    assert project.alembic("upgrade", "head").code == 1
    assert due(project) == [("bb02", "head")]
    done = project.alembic("downgrade", "-1")
    assert done.code == 0, done.text
    assert due(project) == []
    assert count(project, "shop.items") == 100
    assert value(project.target, "SELECT count(*) FROM pgmigrate.migration_run") == 1

    execute(project.source, "UPDATE shop.prices SET price = 7 WHERE item = 7")
    project.upgrade()
    assert count(project, "shop.prices") == 50


def test_a_downgrade_leaves_a_run_that_is_alive_alone(project: Project) -> None:
    execute(project.source, "UPDATE shop.prices SET price = -1 WHERE item = 7")
    assert project.alembic("upgrade", "head").code == 1
    with psycopg.connect(project.target, autocommit=True) as other:
        # The lock that each process holds as long as it works on a run.
        other.execute("SELECT pg_advisory_lock(x'70676d69'::int, 1)")
        done = project.alembic("downgrade", "-1")
    assert done.code == 1
    assert "StateError: a run of pgmigrate is active" in done.stderr
    assert due(project) == [("bb02", "head")]
    assert value(project.target, "SELECT version_num FROM alembic_version") == "bb02"
    assert project.alembic("downgrade", "-1").code == 0


def test_a_downgrade_waits_for_foreign_keys_that_a_killed_run_has_taken(project: Project) -> None:
    project.revision(
        "bb02",
        "aa01",
        "CREATE TABLE shop.prices (item int PRIMARY KEY REFERENCES shop.items, price int)",
        downgrade=("DROP TABLE shop.prices",),
    )
    keywords = f'"tables": ["shop.items", {GATED_PRICES}], "target_foreign_keys": "drop"'
    project.env(f'{{"bb02": {{{keywords}}}}}, on_event={KILL}')
    with gate_closed(project):
        assert project.alembic("upgrade", "head", KILL="1").code == 9
    keys = "SELECT count(*) FROM pg_constraint WHERE conname = 'prices_item_fkey'"
    assert value(project.target, keys) == 0
    done = project.alembic("downgrade", "-1")
    assert "StateError: an unfinished data move has dropped foreign keys" in done.stderr
    assert value(project.target, "SELECT version_num FROM alembic_version") == "bb02"
    project.upgrade()
    assert value(project.target, keys) == 1
    assert project.alembic("downgrade", "-1").code == 0


def test_a_downgrade_keeps_what_is_due_below(project: Project) -> None:
    project.revision("dd01", None, labels="audit")
    project.revision("ee01", "bb02", depends_on="dd01")
    project.revision("ff01", "ee01")
    project.env(
        '{"aa01": ["shop.items"], "dd01": ["shop.prices"], "ff01": True}',
        between='os.environ.get("KILL") and os._exit(9)',
    )
    assert project.alembic("upgrade", "heads", KILL="1").code == 9
    assert {key for _, key in due(project)} == {"aa01", "dd01", "ff01"}
    assert project.alembic("downgrade", "ee01").code == 0
    assert {key for _, key in due(project)} == {"aa01", "dd01"}


def test_a_later_upgrade_does_it_again(project: Project) -> None:
    project.upgrade()
    for revision in ("aa01", "base"):
        assert project.alembic("downgrade", revision).code == 0
    project.upgrade()
    assert (count(project, "shop.items"), count(project, "shop.prices")) == (100, 50)


def test_a_script_says_what_would_follow_and_nothing_runs(project: Project) -> None:
    done = project.alembic("upgrade", "head", "--sql")
    assert done.code == 0, done.text
    comments = [line for line in done.stdout.splitlines() if line.startswith("-- pgmigrate")]
    assert comments == [
        "-- pgmigrate: after revision aa01 a data move is due, which this script does not make: "
        "shop.items",
        "-- pgmigrate: after revision bb02 a data move is due, which this script does not make: "
        "shop.prices",
    ]
    servers.run_script(project.target, done.stdout)
    assert value(project.target, "SELECT version_num FROM alembic_version") == "bb02"
    assert count(project, "shop.items") == 0
    done = project.alembic("downgrade", "bb02:aa01", "--sql")
    assert done.code == 0, done.text
    assert "-- pgmigrate" not in done.stdout


@pytest.mark.parametrize("command", [("stamp", "head"), ("current",), ("check",)])
def test_other_commands_move_nothing(project: Project, command: tuple[str, ...]) -> None:
    project.env(
        '{"aa01": ["shop.items"], "head": ["shop.prices"]}',
        between='os.environ.get("KILL") and os._exit(9)',
    )
    project.upgrade("head", KILL="")
    assert project.alembic("downgrade", "base").code == 0
    assert project.alembic("upgrade", "aa01", KILL="1").code == 9
    project.alembic(*command)
    assert count(project, "shop.items") == 0
    assert due(project) == [("aa01", "aa01")]


def test_a_stamp_back_forgets_what_was_due(project: Project) -> None:
    project.env('{"aa01": ["shop.items"]}', between='os.environ.get("KILL") and os._exit(9)')
    assert project.alembic("upgrade", "head", KILL="1").code == 9
    assert project.alembic("stamp", "base").code == 0
    assert due(project) == []


def test_each_revision_in_a_transaction_of_its_own(project: Project) -> None:
    project.revision("cc03", "bb02", "SELECT 1 / 0")
    project.env(
        '{"aa01": ["shop.items"], "bb02": ["shop.prices"]}',
        configure=", transaction_per_migration=True",
    )
    assert project.alembic("upgrade", "head").code == 1
    assert due(project) == [("aa01", "aa01"), ("bb02", "bb02")]
    (project.folder / "migrations" / "versions" / "cc03.py").unlink()
    project.upgrade()
    assert (count(project, "shop.items"), count(project, "shop.prices")) == (100, 50)
    assert due(project) == []


def test_an_upgrade_that_is_not_committed_is_reported(project: Project) -> None:
    text = (project.folder / "migrations" / "env.py").read_text()
    begun = text.replace(
        "        context.configure(connection",
        "        connection.begin()\n        context.configure(connection",
    )
    (project.folder / "migrations" / "env.py").write_text(begun)
    done = project.alembic("upgrade", "head")
    assert "StateError: the upgrade is not committed" in done.stderr
    assert "connection.commit()" in done.stderr
    committed = begun.replace(
        "        hook.run()\n\n\ndef off",
        "        connection.commit()\n        hook.run()\n\n\ndef off",
    )
    (project.folder / "migrations" / "env.py").write_text(committed)
    project.upgrade()
    assert count(project, "shop.items") == 100


def test_a_script_of_a_revision_asks_for_a_copy(project: Project) -> None:
    project.env("{}")
    project.revision(
        "aa01", None, *ITEMS, 'op.pgmigrate_copy(["shop.items"], on_conflict="update")'
    )
    done = project.alembic("upgrade", "aa01", "--sql")
    assert "-- pgmigrate: after revision aa01" in done.stdout
    project.upgrade()
    assert count(project, "shop.items") == 100
    assert due(project) == []


def test_a_copy_without_a_hook_is_reported(project: Project) -> None:
    project.revision("aa01", None, *ITEMS, 'op.pgmigrate_copy(["shop.items"])')
    env = project.folder / "migrations" / "env.py"
    env.write_text(env.read_text().replace(", on_version_apply=hook", ""))
    done = project.alembic("upgrade", "head")
    assert "ConfigError: op.pgmigrate_copy: alembic has no pgmigrate hook" in done.stderr
    assert "on_version_apply" in done.stderr
    assert value(project.target, "SELECT to_regclass('shop.items')") is None


def test_a_copy_in_a_downgrade_is_reported(project: Project) -> None:
    project.revision("cc03", "bb02", downgrade=('op.pgmigrate_copy(["shop.items"])',))
    project.upgrade()
    done = project.alembic("downgrade", "-1")
    assert "ConfigError: op.pgmigrate_copy is in the downgrade of revision cc03" in done.stderr
    assert value(project.target, "SELECT version_num FROM alembic_version") == "cc03"


def test_a_hook_that_alembic_does_not_have_is_reported(project: Project) -> None:
    env = project.folder / "migrations" / "env.py"
    env.write_text(env.read_text().replace(", on_version_apply=hook", ""))
    done = project.alembic("upgrade", "head")
    assert "StateError: the hook is not in alembic's context" in done.stderr


def test_a_function_does_the_rest(project: Project) -> None:
    project.env(
        '{"aa01": rest}',
        before="def rest(migration):\n"
        "    databases = {'source': os.environ['SOURCE'], 'target': os.environ['TARGET']}\n"
        "    return Migration(tables=['shop.items'], roles='none', **databases).run()",
    )
    project.upgrade()
    assert count(project, "shop.items") == 100
    project.revision("cc03", "bb02")
    project.env('{"cc03": rest}', before="def rest(migration):\n    raise KeyError('row 17')")
    done = project.alembic("upgrade", "head")
    reported = done.stderr.strip().splitlines()[-1]
    assert reported.startswith("pgmigrate.errors.StateError: the upgrade is committed")
    assert "KeyError" in reported and "row 17" not in reported
    assert due(project) == [("cc03", "cc03")]


def test_the_whole_migration_leaves_alembics_own_table_alone(project: Project) -> None:
    execute(
        project.source,
        "CREATE TABLE public.alembic_version (version_num varchar(32) PRIMARY KEY)",
    )
    execute(project.source, "INSERT INTO public.alembic_version VALUES ('0000')")
    project.env('{"head": True}')
    project.upgrade()
    assert (count(project, "shop.items"), count(project, "shop.prices")) == (100, 50)
    assert value(project.target, "SELECT string_agg(version_num, ' ') FROM alembic_version") == (
        "bb02"
    )


def test_the_head_is_reached_with_the_last_of_several(project: Project) -> None:
    project.revision("dd01", None, "SELECT 1", labels="audit", depends_on="aa01")
    project.env('{"head": ["shop.items"], "audit@head": {"tables": ["shop.prices"]}}')
    project.upgrade("bb02")
    assert count(project, "shop.items") == 0
    project.upgrade("heads")
    assert (count(project, "shop.items"), count(project, "shop.prices")) == (100, 50)


def test_an_unknown_revision_is_reported_before_anything_changes(project: Project) -> None:
    project.env('{"ffff": ["shop.items"]}')
    done = project.alembic("upgrade", "head")
    assert "ConfigError: alembic's revision ffff" in done.stderr
    assert value(project.target, "SELECT to_regclass('shop.items')") is None
