"""Cases E10 to E18: objects of the schema, and in which order they are made."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from conftest import Pair
from support import servers
from support.objects import TREE, migrate, refused, run

MakePair = Callable[[int, int], Pair]


@pytest.mark.case("E10")
def test_materialized_views_in_the_order_of_their_dependencies(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 10);
        CREATE MATERIALIZED VIEW z AS SELECT a, a * 2 AS b FROM t;
        CREATE VIEW m AS SELECT sum(b) AS b FROM z;
        CREATE MATERIALIZED VIEW a AS SELECT b FROM m;
        CREATE UNIQUE INDEX z_a ON z (a); CREATE INDEX z_ab ON z ((a + b));
        CREATE STATISTICS z_statistics ON a, b FROM z;
        CREATE UNIQUE INDEX a_b ON a (b);
        CREATE MATERIALIZED VIEW empty_one AS SELECT a FROM t WITH NO DATA;
        CREATE UNIQUE INDEX empty_one_a ON empty_one (a);
        """,
    )
    migrate(source, target)
    servers.assert_equal(source, target)
    assert servers.fetch(target, "SELECT b FROM a") == [(110,)]
    servers.fetch(target, "REFRESH MATERIALIZED VIEW CONCURRENTLY a", "SELECT 1")
    refused(target, psycopg.errors.ObjectNotInPrerequisiteState, "SELECT * FROM empty_one")


@pytest.mark.case("E11")
def test_unqualified_names_inside_functions_are_resolved(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE TABLE rates (code text PRIMARY KEY, rate numeric);
        INSERT INTO rates VALUES ('a', 1.5);
        CREATE FUNCTION helper(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
        CREATE FUNCTION calls_helper(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
            SET search_path = public
            AS 'BEGIN RETURN helper($1) + 1; END';
        CREATE FUNCTION looks_up(text) RETURNS numeric LANGUAGE plpgsql STABLE
            SET search_path = public
            AS 'BEGIN RETURN (SELECT rate FROM rates WHERE code = $1); END';
        CREATE TABLE t (
            id int PRIMARY KEY CHECK (calls_helper(id) > 0),
            doubled int GENERATED ALWAYS AS (calls_helper(id)) STORED,
            code text CHECK (looks_up(code) > 1)
        );
        INSERT INTO t (id, code) SELECT i, 'a' FROM generate_series(1, 20) i;
        CREATE INDEX t_index ON t (calls_helper(id));
        """,
    )
    migrate(source, target)
    servers.assert_equal(source, target)


@pytest.mark.case("E11")
def test_without_a_search_path_of_its_own_a_function_fails_by_name(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE FUNCTION helper(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
        CREATE FUNCTION calls_helper(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
            AS 'BEGIN RETURN helper($1) + 1; END';
        CREATE TABLE t (id int PRIMARY KEY);
        INSERT INTO t SELECT generate_series(1, 20);
        CREATE INDEX t_index ON t (calls_helper(id));
        """,
    )
    _, report = run(source, target)
    failed = [(task.kind, task.object) for task in report.tasks if task.status == "failed"]
    assert failed == [("index", "public.t_index")]
    assert len(servers.rows(target, "public", "t")) == 20


@pytest.mark.case("E12")
def test_sequences_are_exact(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE SEQUENCE never_called START 42;
        CREATE SEQUENCE set_not_called; SELECT setval('set_not_called', 500, false);
        CREATE SEQUENCE standalone START 100 INCREMENT 7;
        SELECT nextval('standalone'), nextval('standalone');
        CREATE SEQUENCE descending INCREMENT -2 MINVALUE -100 MAXVALUE -1 START -1;
        SELECT nextval('descending'), nextval('descending');
        CREATE SEQUENCE cyclic AS smallint MAXVALUE 3 CYCLE;
        SELECT nextval('cyclic') FROM generate_series(1, 5);
        CREATE SEQUENCE at_its_end AS smallint; SELECT setval('at_its_end', 32767);
        CREATE SEQUENCE shared CACHE 10;
        CREATE TABLE one (id bigint DEFAULT nextval('shared'));
        INSERT INTO one SELECT FROM generate_series(1, 3);
        CREATE TABLE two (id bigint DEFAULT nextval('shared'));
        INSERT INTO two SELECT FROM generate_series(1, 3);
        CREATE TABLE serials (a serial, b bigserial, c int GENERATED ALWAYS
            AS IDENTITY (INCREMENT 5));
        INSERT INTO serials SELECT FROM generate_series(1, 5);
        CREATE TABLE parts (id serial, k int) PARTITION BY RANGE (k);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
        INSERT INTO parts (k) SELECT i FROM generate_series(0, 9) i;
        CREATE UNLOGGED SEQUENCE unlogged_one; SELECT nextval('unlogged_one');
        """,
    )
    migrate(source, target)
    servers.assert_equal(source, target)
    found = servers.sequences(target, ["pgmigrate"])
    assert len(found) == 12
    assert found["public.never_called"] == (42, False)
    assert found["public.set_not_called"] == (500, False)
    assert found["public.descending"] == (-3, True)
    assert found["public.cyclic"] == (2, True)
    assert found["public.parts_id_seq"] == (10, True)


@pytest.mark.case("E15")
def test_unlogged_tables_stay_unlogged_with_their_rows(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE UNLOGGED TABLE t (a int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 9)",
    )
    migrate(source, target)
    servers.assert_equal(source, target)
    persistence = "SELECT relpersistence::text FROM pg_class WHERE relname = 't'"
    assert servers.fetch(target, persistence) == [("u",)]


@pytest.mark.case("E18")
def test_statistics_are_there_right_after_the_run(pair: Pair) -> None:
    source, target = pair.filled(
        TREE
        + """
        CREATE TABLE t (a int, b int);
        INSERT INTO t SELECT i % 10, i % 10 FROM generate_series(1, 500) i;
        CREATE INDEX t_expression ON t ((a + b));
        CREATE STATISTICS t_statistics (mcv) ON a, b FROM t;
        CREATE MATERIALIZED VIEW v AS SELECT a, count(*) FROM t GROUP BY a;
        CREATE UNIQUE INDEX v_a ON v (a);
        """,
    )
    migrate(source, target)
    known = "SELECT DISTINCT tablename::text FROM pg_stats WHERE schemaname = 'public' ORDER BY 1"
    assert [name for (name,) in servers.fetch(target, known)] == [
        "north", "north_1", "north_2", "other", "root", "t", "t_expression", "v",
    ]  # fmt: skip
    assert servers.fetch(
        target, "SELECT count(*) FROM pg_stats_ext WHERE most_common_vals IS NOT NULL"
    ) == [(1,)]


@pytest.mark.case("E18")
def test_no_statistics_when_switched_off(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 9);"
        "CREATE MATERIALIZED VIEW v AS SELECT a FROM t",
    )
    plan, _ = migrate(source, target, analyze_after_load=False)
    assert not [task for task in plan if task.kind == "analyze"]


def test_a_view_that_groups_by_a_primary_key_waits_for_it(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE TABLE t (id int PRIMARY KEY, a text);
        INSERT INTO t SELECT i, 'x' FROM generate_series(1, 5) i;
        CREATE VIEW v AS SELECT id, a, count(*) FROM t GROUP BY id;
        CREATE MATERIALIZED VIEW m AS SELECT * FROM v;
        CREATE MATERIALIZED VIEW m2 AS SELECT id, a FROM t GROUP BY id;
        CREATE INDEX m2_id ON m2 (id);
        """,
    )
    migrate(source, target)
    servers.assert_equal(source, target)


def test_objects_that_18_introduced_arrive(make_pair: MakePair) -> None:
    pair = make_pair(18, 18)
    source, target = pair.filled(
        """
        CREATE EXTENSION btree_gist;
        CREATE TABLE parent (id int, during daterange, PRIMARY KEY (id, during WITHOUT OVERLAPS));
        CREATE TABLE child (
            id int, parent int, during daterange,
            FOREIGN KEY (parent, PERIOD during) REFERENCES parent (id, PERIOD during)
        );
        CREATE TABLE lax (id int PRIMARY KEY, next int
            REFERENCES lax NOT ENFORCED, CHECK (id > 0) NOT ENFORCED);
        CREATE TABLE nn (a int, b int); INSERT INTO nn VALUES (NULL, 1);
        ALTER TABLE nn ADD CONSTRAINT a_there NOT NULL a NOT VALID;
        CREATE TABLE nulls (a int, UNIQUE NULLS NOT DISTINCT (a));
        INSERT INTO parent VALUES (1, '[2026-01-01,2026-12-31]');
        INSERT INTO child VALUES (1, 1, '[2026-02-01,2026-03-01]');
        INSERT INTO lax VALUES (1, 99);
        CREATE TABLE p (a int PRIMARY KEY) PARTITION BY RANGE (a);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);
        CREATE TABLE refers (a int); INSERT INTO refers VALUES (77);
        ALTER TABLE refers ADD CONSTRAINT refers_p FOREIGN KEY (a) REFERENCES p NOT VALID;
        """,
    )
    migrate(source, target)
    servers.assert_equal(source, target)
