"""Alembic environments of other kinds: asynchronous, several databases, several version tables."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from conftest import Pair
from pgmigrate import Migration
from support import servers
from support.alembic_project import Project, url
from support.config_keys import TESTS

ITEMS = ("CREATE SCHEMA shop", "CREATE TABLE shop.items (id int PRIMARY KEY)")

ASYNCHRONOUS = """
import asyncio
import os

from alembic import context
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import create_async_engine

from pgmigrate import Migration
from pgmigrate.alembic import PostUpgrade

migration = Migration(source=os.environ["SOURCE"], target=os.environ["TARGET"], roles="none")
hook = PostUpgrade(migration, on={on})


def upgrade(connection):
    context.configure(connection=connection, on_version_apply=hook)
    with context.begin_transaction():
        context.run_migrations()
    {between}
    hook.run()


async def online():
    engine = create_async_engine(os.environ["URL"], poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(upgrade)


asyncio.run(online())
"""

SEVERAL = """
import os

from alembic import context
from sqlalchemy import create_engine, pool

from pgmigrate import Migration
from pgmigrate.alembic import PostUpgrade


def hook(target):
    source = os.environ["SOURCE"]
    return PostUpgrade(Migration(source=source, target=target, roles="none"), on={on})


hooks = {{name: hook(os.environ[f"TARGET_{{name}}"]) for name in ("A", "B")}}
connections = {{
    name: create_engine(os.environ[f"URL_{{name}}"], poolclass=pool.NullPool).connect()
    for name in hooks
}}
transactions = [connection.begin() for connection in connections.values()]
for name, connection in connections.items():
    context.configure(connection=connection, on_version_apply=hooks[name])
    context.run_migrations()
for transaction in transactions:
    transaction.commit()
{between}
for name, connection in connections.items():
    hooks[name].run(connection)
"""

OF_A_USER = """
import os

from alembic import context
from sqlalchemy import create_engine

from pgmigrate import Migration
from user import upgrades

migration = Migration(source=os.environ["SOURCE"], target=os.environ["TARGET"], roles="none")
hook = upgrades.main(migration, "alembic.ini")
with create_engine(os.environ["URL"]).connect() as connection:
    context.configure(connection=connection, on_version_apply=hook)
    with context.begin_transaction():
        context.run_migrations()
    print("data moves:", upgrades.after(hook))
"""

KILL = 'os.environ.get("KILL") and os._exit(9)'


@pytest.fixture
def project(pair: Pair, tmp_path: Path) -> Project:
    source = pair.source()
    servers.run_script(source, f"{'; '.join(ITEMS)}; INSERT INTO shop.items VALUES (1), (2)")
    return Project(tmp_path, source, pair.target())


def count(conninfo: str) -> int:
    return len(servers.rows(conninfo, "shop", "items"))


def is_due(conninfo: str) -> bool:
    with psycopg.connect(conninfo) as connection:
        found = connection.execute("SELECT to_regclass('pgmigrate.migration_due')").fetchone()
        return found != (None,)


def test_an_asynchronous_engine(project: Project) -> None:
    project.env('{"aa01": ["shop.items"]}', between=KILL, text=ASYNCHRONOUS)
    project.revision("aa01", None, *ITEMS)
    assert project.alembic("upgrade", "head", KILL="1").code == 9
    assert is_due(project.target)
    project.upgrade()
    assert count(project.target) == 2
    assert not is_due(project.target)


def test_several_databases_have_a_hook_each(project: Project, pair: Pair) -> None:
    other = pair.target("_other")
    project.env('{"aa01": ["shop.items"]}', between=KILL, text=SEVERAL)
    project.revision("aa01", None, *ITEMS)
    databases = {"TARGET_A": project.target, "TARGET_B": other}
    urls = {f"URL_{name[-1]}": url(conninfo) for name, conninfo in databases.items()}
    assert project.alembic("upgrade", "head", KILL="1", **databases, **urls).code == 9
    assert (is_due(project.target), is_due(other)) == (True, True)
    project.upgrade("head", **databases, **urls)
    assert (count(project.target), count(other)) == (2, 2)
    assert (is_due(project.target), is_due(other)) == (False, False)


def test_environments_of_one_database_do_not_do_each_others_moves(
    project: Project, tmp_path: Path
) -> None:
    project.env('{"aa01": ["shop.items"]}', between=KILL)
    project.revision("aa01", None, *ITEMS)
    (tmp_path / "other").mkdir()
    other = Project(tmp_path / "other", project.source, project.target)
    other.env(
        '{"aa01": ["shop.items"]}',
        configure=', version_table="other_version", version_table_schema="audit"',
    )
    other.revision("aa01", None)
    with psycopg.connect(project.target) as connection:
        connection.execute("CREATE SCHEMA audit")
    assert project.alembic("upgrade", "head", KILL="1").code == 9
    with psycopg.connect(project.target) as connection:
        found = connection.execute("SELECT version_table FROM pgmigrate.migration_due").fetchall()
    assert found == [("public.alembic_version",)]
    assert other.alembic("stamp", "head").code == 0
    other.upgrade()
    assert count(project.target) == 0
    assert is_due(project.target)
    project.upgrade()
    assert count(project.target) == 2


def test_nothing_is_left_where_the_ledger_does_not_stay(project: Project) -> None:
    project.env('{"aa01": {"tables": ["shop.items"], "keep_ledger": False}}')
    project.revision("aa01", None, *ITEMS)
    project.upgrade()
    assert count(project.target) == 2
    with psycopg.connect(project.target) as connection:
        found = connection.execute("SELECT to_regnamespace('pgmigrate')").fetchone()
    assert found == (None,)


def test_a_ledger_that_is_dropped_keeps_what_is_due(project: Project) -> None:
    project.env('{"aa01": ["shop.items"]}')
    check = "CREATE TABLE shop.items (id int PRIMARY KEY CHECK (id < 2))"
    project.revision("aa01", None, ITEMS[0], check)
    assert project.alembic("upgrade", "head").code == 1
    Migration(source=project.source, target=project.target).cleanup()
    assert is_due(project.target)
    with psycopg.connect(project.target) as connection:
        connection.execute("ALTER TABLE shop.items DROP CONSTRAINT items_id_check")
    project.upgrade()
    assert count(project.target) == 2
    assert not is_due(project.target)


def test_what_is_due_is_no_data_of_a_source(project: Project, pair: Pair) -> None:
    project.env('{"aa01": ["shop.items"]}', between=KILL)
    project.revision("aa01", None, *ITEMS)
    assert project.alembic("upgrade", "head", KILL="1").code == 9
    plan = Migration(source=project.target, target=pair.target("_next"), roles="none").plan()
    assert "shop" in {task.schema for task in plan}
    assert "pgmigrate" not in {task.schema for task in plan}


def test_autogenerate_does_not_see_what_is_due(project: Project) -> None:
    project.env(
        '{"aa01": ["shop.items"]}',
        between=KILL,
        configure=", target_metadata=metadata",
        before="from sqlalchemy import MetaData\nmetadata = MetaData()",
    )
    project.revision("aa01", None, *ITEMS)
    assert project.alembic("upgrade", "head", KILL="1").code == 9
    done = project.alembic("check")
    assert "No new upgrade operations detected" in done.text, done.text
    assert is_due(project.target)
    assert count(project.target) == 0


def test_a_hook_after_the_block_that_ends_the_transaction(project: Project) -> None:
    project.env('{"aa01": ["shop.items"]}', between=KILL)
    env = project.folder / "migrations" / "env.py"
    text = env.read_text().replace("engine.connect() as", "engine.begin() as")
    env.write_text(text.replace(f"        {KILL}\n        hook", f"    {KILL}\n    hook"))
    project.revision("aa01", None, *ITEMS)
    assert project.alembic("upgrade", "head", KILL="1").code == 9
    assert is_due(project.target)
    project.upgrade()
    assert count(project.target) == 2


def test_schemas_of_their_own_in_one_database(project: Project) -> None:
    # https://alembic.sqlalchemy.org/en/latest/cookbook.html#rudimental-schema-level-multi-tenancy
    project.env('{"aa01": ["shop.items"]}', between=KILL)
    env = project.folder / "migrations" / "env.py"
    tenant = (
        "        from sqlalchemy import text\n"
        '        connection.execute(text("SET search_path TO " + os.environ["TENANT"]))\n'
        "        connection.commit()\n"
        "        context.configure(connection"
    )
    env.write_text(env.read_text().replace("        context.configure(connection", tenant))
    project.revision(
        "aa01", None, *(line.replace("shop", "IF NOT EXISTS shop", 1) for line in ITEMS)
    )
    with psycopg.connect(project.target) as connection:
        connection.execute("CREATE SCHEMA one")
        connection.execute("CREATE SCHEMA two")
    assert project.alembic("upgrade", "head", KILL="1", TENANT="one").code == 9
    project.upgrade("head", TENANT="two")
    with psycopg.connect(project.target) as connection:
        found = connection.execute("SELECT version_table FROM pgmigrate.migration_due").fetchall()
    assert found == [("one.alembic_version",)]
    project.upgrade("head", TENANT="one")
    assert not is_due(project.target)


def test_a_role_that_may_make_no_ledger_is_reported(project: Project) -> None:
    project.env('{"aa01": ["shop.items"]}')
    project.revision("aa01", None, "CREATE TABLE plain (id int)")
    with psycopg.connect(project.target, autocommit=True) as connection:
        connection.execute("CREATE ROLE alembic_only LOGIN PASSWORD 'alembic'")
    try:
        with psycopg.connect(project.target, autocommit=True) as connection:
            connection.execute("GRANT CREATE ON SCHEMA public TO alembic_only")
        role = url(make_conninfo(project.target, user="alembic_only", password="alembic"))
        done = project.alembic("upgrade", "head", URL=role)
        assert "StateError: the data move of revision aa01 cannot be recorded" in done.stderr
        assert "GRANT CREATE ON DATABASE" in done.stderr
        with psycopg.connect(project.target) as connection:
            found = connection.execute("SELECT to_regclass('public.plain')").fetchone()
        assert found == (None,)
    finally:
        with psycopg.connect(project.target, autocommit=True) as connection:
            connection.execute("DROP OWNED BY alembic_only")
            connection.execute("DROP ROLE alembic_only")


def test_the_hook_of_a_user_runs(databases: tuple[str, str], tmp_path: Path) -> None:
    project = Project(tmp_path, *databases)
    project.env("", text=OF_A_USER)
    project.revision(
        "4f2a9c81d0be",
        None,
        "CREATE SCHEMA app",
        "CREATE TABLE app.t (id int PRIMARY KEY, n int, v text)",
        "CREATE TABLE app.child (id int PRIMARY KEY, t int, u int)",
        labels="app",
    )
    done = project.alembic("upgrade", "head", PYTHONPATH=str(TESTS))
    assert "data moves: 3" in done.stdout, done.text
    for table in ("t", "child"):
        assert servers.rows(databases[1], "app", table) == servers.rows(databases[0], "app", table)
    assert len(servers.rows(databases[1], "other", "o")) == 1
