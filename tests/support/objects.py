"""What tests of the objects of a schema share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, Plan, Report
from support import servers

TREE = """
CREATE TABLE root (region text, k int, a int, PRIMARY KEY (region, k)) PARTITION BY LIST (region);
CREATE TABLE north PARTITION OF root FOR VALUES IN ('north') PARTITION BY RANGE (k);
CREATE TABLE north_1 PARTITION OF north FOR VALUES FROM (0) TO (50);
CREATE TABLE north_2 (a int, gone text, k int NOT NULL, region text NOT NULL);
ALTER TABLE north_2 DROP COLUMN gone;
ALTER TABLE north ATTACH PARTITION north_2 FOR VALUES FROM (50) TO (100);
CREATE TABLE other PARTITION OF root DEFAULT;
CREATE INDEX root_a ON root (a);
CREATE UNIQUE INDEX root_unique ON root (k, region);
INSERT INTO root SELECT (ARRAY['north', 'south'])[1 + i % 2], i / 2, i
    FROM generate_series(0, 199) i;
"""


def run(source: str, target: str, jobs: int = 3, **options: Any) -> tuple[Plan, Report]:
    options = {"roles": "none", **options}
    migration = Migration(source=source, target=target, **options)
    plan = migration.plan()
    return plan, migration.run(plan, jobs=jobs)


def migrate(source: str, target: str, jobs: int = 3, **options: Any) -> tuple[Plan, Report]:
    plan, report = run(source, target, jobs, **options)
    report.raise_for_failures()
    return plan, report


def refused(conninfo: str, error: type[psycopg.Error], *queries: str) -> None:
    with pytest.raises(error), psycopg.connect(conninfo) as connection:
        for query in queries:
            connection.execute(query)


@contextmanager
def dropped_roles(pair: Pair, *conninfos: str) -> Iterator[dict[str, str]]:
    """Names of an owner and a reader for a script to make; both are gone from there afterwards."""
    names = {"owner": f"{pair.name}_o"[-60:], "reader": f"{pair.name}_r"[-60:]}
    try:
        yield names
    finally:
        for conninfo in conninfos:
            for role in names.values():
                servers.run_script(
                    conninfo,
                    f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}",
                )
