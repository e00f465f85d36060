"""Data moves behind alembic's upgrades: a real project, alembic's commands as processes."""

from __future__ import annotations

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
