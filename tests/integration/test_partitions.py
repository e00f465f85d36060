"""Cases E5 to E8: partition trees and inheritance."""

from __future__ import annotations

from itertools import pairwise

import psycopg
import pytest

from conftest import Pair
from support import servers
from support.objects import TREE, migrate, refused


@pytest.mark.case("E5")
def test_foreign_keys_to_and_from_partitioned_tables(pair: Pair) -> None:
    source, target = pair.filled(
        TREE
        + """
        CREATE TABLE refers (id int PRIMARY KEY, region text, k int, FOREIGN KEY (region, k)
            REFERENCES root);
        INSERT INTO refers SELECT a, region, k FROM root;
        CREATE TABLE parts (id int, refers int REFERENCES refers ON DELETE CASCADE)
            PARTITION BY HASH (id);
        CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        INSERT INTO parts SELECT i, i FROM generate_series(0, 199) i;
        """,
    )
    migrate(source, target)
    servers.assert_equal(source, target)
    # The target is writable, and the keys hold.
    servers.fetch(
        target,
        "INSERT INTO root VALUES ('west', 1, 1)",
        "INSERT INTO refers VALUES (500, 'west', 1)",
        "INSERT INTO parts VALUES (501, 500)",
        "DELETE FROM refers WHERE id = 500",
        "SELECT 1",
    )
    assert servers.fetch(target, "SELECT count(*) FROM parts") == [(200,)]
    violation = psycopg.errors.ForeignKeyViolation
    refused(target, violation, "INSERT INTO refers VALUES (600, 'east', 1)")
    refused(target, violation, "INSERT INTO parts VALUES (600, 600)")
    refused(target, violation, "DELETE FROM root WHERE a = 7")


@pytest.mark.case("E6")
def test_partitioned_indexes_end_valid_and_attached(pair: Pair) -> None:
    source, target = pair.filled(TREE)
    plan, _ = migrate(source, target)
    assert servers.invalid_objects(target) == []
    attached = """
        SELECT h.inhparent::regclass::text, h.inhrelid::regclass::text FROM pg_inherits h
        JOIN pg_index i ON i.indexrelid = h.inhrelid ORDER BY 1, 2
    """
    assert len(servers.fetch(source, attached)) == 12
    assert servers.fetch(target, attached) == servers.fetch(source, attached)
    # Two attachments at a time could both miss that the root's index is complete.
    tasks = [task for task in plan if task.kind == "index attach"]
    assert all(before.id in task.after for before, task in pairwise(tasks))


@pytest.mark.case("E7")
def test_partition_trees_and_inheritance_hold_each_row_once(pair: Pair) -> None:
    source, target = pair.filled(
        TREE
        + """
        CREATE TABLE ancestor (id int, name text);
        CREATE TABLE descendant (extra int) INHERITS (ancestor);
        CREATE TABLE grandchild () INHERITS (descendant);
        CREATE TABLE second (other bool);
        CREATE TABLE two () INHERITS (ancestor, second);
        INSERT INTO ancestor SELECT i, 'a' FROM generate_series(1, 3) i;
        INSERT INTO descendant SELECT i, 'd', i FROM generate_series(1, 4) i;
        INSERT INTO grandchild SELECT i, 'g', i FROM generate_series(1, 5) i;
        INSERT INTO two SELECT i, 't', true FROM generate_series(1, 6) i;
        """,
    )
    migrate(source, target)
    servers.assert_equal(source, target)
    counts = (
        "SELECT count(*), count(*) FILTER (WHERE tableoid = 'ancestor'::regclass) FROM ancestor"
    )
    assert servers.fetch(target, counts) == [(18, 3)]
    assert servers.fetch(target, "SELECT count(*) FROM root") == [(200,)]


@pytest.mark.case("E8")
def test_hash_partitions_of_an_enum_are_filled_through_the_root(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE TYPE mood AS ENUM ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
        CREATE TABLE root (m mood, id int, PRIMARY KEY (m, id)) PARTITION BY LIST (id);
        CREATE TABLE ones PARTITION OF root FOR VALUES IN (1) PARTITION BY HASH (m);
        CREATE TABLE ones_0 PARTITION OF ones FOR VALUES WITH (MODULUS 3, REMAINDER 0);
        CREATE TABLE ones_1 PARTITION OF ones FOR VALUES WITH (MODULUS 3, REMAINDER 1);
        CREATE TABLE ones_2 PARTITION OF ones FOR VALUES WITH (MODULUS 3, REMAINDER 2);
        CREATE TABLE rest PARTITION OF root DEFAULT;
        INSERT INTO root SELECT m, i FROM unnest(enum_range(NULL::mood)) m, generate_series(1, 2) i;
        """,
    )
    # Other OIDs of the enum's values than the source's.
    servers.run_script(target, "CREATE TABLE a (); CREATE TABLE b (); DROP TABLE a, b")
    plan, _ = migrate(source, target)
    assert servers.rows(target, "public", "root") == servers.rows(source, "public", "root")
    # Each row lies where this server looks for it.
    assert servers.fetch(target, "SELECT count(*) FROM root WHERE m = 'c' AND id = 1") == [(1,)]
    into = {task.name: task.target_sql for task in plan if task.kind == "data"}
    assert 'COPY "public"."root" ' in into["ones_1"]
    assert 'COPY "public"."rest" ' in into["rest"]
    assert servers.invalid_objects(target) == []
