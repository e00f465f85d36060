"""Cases E: objects of the schema, their states, and in which order they are made."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, Plan, Report
from support import servers

MakePair = Callable[[int, int], Pair]


def _run(source: str, target: str, jobs: int = 3, **options: Any) -> tuple[Plan, Report]:
    options = {"roles": "none", **options}
    migration = Migration(source=source, target=target, **options)
    plan = migration.plan()
    return plan, migration.run(plan, jobs=jobs)


def _migrate(source: str, target: str, jobs: int = 3, **options: Any) -> tuple[Plan, Report]:
    plan, report = _run(source, target, jobs, **options)
    report.raise_for_failures()
    return plan, report


def _query(conninfo: str, *queries: str) -> list[tuple[object, ...]]:
    """The rows of the last query."""
    with psycopg.connect(conninfo) as connection:
        for query in queries:
            cursor = connection.execute(query)
        return cursor.fetchall()


def _refused(conninfo: str, error: type[psycopg.Error], *queries: str) -> None:
    with pytest.raises(error), psycopg.connect(conninfo) as connection:
        for query in queries:
            connection.execute(query)


def test_e1_deferrable_constraints_stay_deferrable(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        """
        CREATE TABLE t (
            id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED,
            code int UNIQUE,
            place int CONSTRAINT t_place_key UNIQUE DEFERRABLE,
            next int REFERENCES t (code) DEFERRABLE INITIALLY DEFERRED
        );
        BEGIN;
        -- Refers to a row that comes after it.
        INSERT INTO t SELECT i, i, i, NULLIF(i + 1, 11) FROM generate_series(1, 10) i;
        COMMIT;
        """,
    )
    _migrate(source, target)
    servers.assert_equal(source, target)
    assert _query(target, "UPDATE t SET id = 11 - id RETURNING id")[-1] == (1,)
    _refused(target, psycopg.errors.UniqueViolation, "UPDATE t SET code = 5 WHERE id = 1")


def test_e2_a_primary_key_and_an_exclusion_with_one_worker(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        """
        CREATE TABLE t (id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&));
        INSERT INTO t SELECT i, int4range(i, i + 1) FROM generate_series(1, 50) i;
        """,
    )
    _migrate(source, target, jobs=1)
    servers.assert_equal(source, target)
    _refused(target, psycopg.errors.ExclusionViolation, "INSERT INTO t VALUES (99, '[5,6]')")


def test_e3_an_invalid_index_is_not_built_and_named(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(source, "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)")
    servers.run_script(source, "CREATE INDEX t_good ON t (a)")
    failed = servers.run_script(
        source, "CREATE UNIQUE INDEX CONCURRENTLY t_bad ON t (a);", stop_on_error=False
    )
    assert "could not create unique index" in failed
    plan, report = _migrate(source, target)
    assert [(item.kind, item.object, item.reason) for item in report.absent] == [
        ("index", "public.t_bad", "it is INVALID on the source")
    ]
    assert _query(
        target, "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 't'::regclass"
    ) == [("t_good",)]
    assert plan.absent == report.absent


ORPHANS = """
CREATE TABLE parent (id int PRIMARY KEY, UNIQUE (id));
CREATE TABLE child (id int PRIMARY KEY, parent int CONSTRAINT child_parent REFERENCES parent);
CREATE INDEX child_by_parent ON child (parent);
INSERT INTO parent SELECT generate_series(1, 10);
INSERT INTO child SELECT i, i FROM generate_series(1, 10) i;
-- What a superuser can do to a valid constraint.
SET session_replication_role = replica;
INSERT INTO child VALUES (11, 99), (12, 98);
"""


def test_e4_orphan_rows_leave_the_constraint_not_valid_and_are_reported(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(source, ORPHANS)
    _, report = _run(source, target)
    failed = [task for task in report.tasks if task.status == "failed"]
    assert [(task.kind, task.object, task.sqlstate) for task in failed] == [
        ("fk constraint", "public.child child_parent", "23503")
    ]
    assert "2 rows reference nothing" in failed[0].note
    assert report.status == "failed"
    assert servers.invalid_objects(target, ["pgmigrate"]) == [
        "constraint child_parent on public.child"
    ]
    assert len(servers.rows(target, "public", "child")) == 12
    # The query that the failure names lists them.
    query = failed[0].note.partition("list them with: ")[2]
    assert len(_query(target, query)) == 2
    _refused(target, psycopg.errors.ForeignKeyViolation, "INSERT INTO child VALUES (13, 97)")


def test_e4_a_constraint_not_valid_on_the_source_stays_so(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        """
        CREATE TABLE parent (id int PRIMARY KEY);
        CREATE TABLE child (parent int, amount int);
        INSERT INTO child VALUES (1, -1);
        ALTER TABLE child ADD CONSTRAINT child_parent FOREIGN KEY (parent)
            REFERENCES parent NOT VALID,
            ADD CONSTRAINT child_amount CHECK (amount > 0) NOT VALID;
        """,
    )
    _migrate(source, target)
    servers.assert_equal(source, target)
    assert servers.invalid_objects(target, ["pgmigrate"]) == [
        "constraint child_amount on public.child",
        "constraint child_parent on public.child",
    ]


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


def test_e5_foreign_keys_to_and_from_partitioned_tables(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
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
    _migrate(source, target)
    servers.assert_equal(source, target)
    # The target is writable, and the keys hold.
    _query(
        target,
        "INSERT INTO root VALUES ('west', 1, 1)",
        "INSERT INTO refers VALUES (500, 'west', 1)",
        "INSERT INTO parts VALUES (501, 500)",
        "DELETE FROM refers WHERE id = 500",
        "SELECT 1",
    )
    assert _query(target, "SELECT count(*) FROM parts") == [(200,)]
    violation = psycopg.errors.ForeignKeyViolation
    _refused(target, violation, "INSERT INTO refers VALUES (600, 'east', 1)")
    _refused(target, violation, "INSERT INTO parts VALUES (600, 600)")
    _refused(target, violation, "DELETE FROM root WHERE a = 7")


def test_e6_partitioned_indexes_end_valid_and_attached(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(source, TREE)
    plan, _ = _migrate(source, target)
    assert servers.invalid_objects(target) == []
    attached = """
        SELECT h.inhparent::regclass::text, h.inhrelid::regclass::text FROM pg_inherits h
        JOIN pg_index i ON i.indexrelid = h.inhrelid ORDER BY 1, 2
    """
    assert len(_query(source, attached)) == 12
    assert _query(target, attached) == _query(source, attached)
    # Two attachments at a time could both miss that the root's index is complete.
    tasks = [task for task in plan if task.kind == "index attach"]
    assert all(before.id in task.after for before, task in pairwise(tasks))


def test_e7_partition_trees_and_inheritance_hold_each_row_once(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
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
    _migrate(source, target)
    servers.assert_equal(source, target)
    counts = (
        "SELECT count(*), count(*) FILTER (WHERE tableoid = 'ancestor'::regclass) FROM ancestor"
    )
    assert _query(target, counts) == [(18, 3)]
    assert _query(target, "SELECT count(*) FROM root") == [(200,)]


def test_e8_hash_partitions_of_an_enum_are_filled_through_the_root(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
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
    plan, _ = _migrate(source, target)
    assert servers.rows(target, "public", "root") == servers.rows(source, "public", "root")
    # Each row lies where this server looks for it.
    assert _query(target, "SELECT count(*) FROM root WHERE m = 'c' AND id = 1") == [(1,)]
    into = {task.name: task.target_sql for task in plan if task.kind == "data"}
    assert 'COPY "public"."root" ' in into["ones_1"]
    assert 'COPY "public"."rest" ' in into["rest"]
    assert servers.invalid_objects(target) == []


def test_e10_materialized_views_in_the_order_of_their_dependencies(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
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
    _migrate(source, target)
    servers.assert_equal(source, target)
    assert _query(target, "SELECT b FROM a") == [(110,)]
    _query(target, "REFRESH MATERIALIZED VIEW CONCURRENTLY a", "SELECT 1")
    _refused(target, psycopg.errors.ObjectNotInPrerequisiteState, "SELECT * FROM empty_one")


def test_e11_unqualified_names_inside_functions(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
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
    _migrate(source, target)
    servers.assert_equal(source, target)


def test_e11_without_a_search_path_of_its_own_a_function_fails_by_name(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        """
        CREATE FUNCTION helper(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
        CREATE FUNCTION calls_helper(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
            AS 'BEGIN RETURN helper($1) + 1; END';
        CREATE TABLE t (id int PRIMARY KEY);
        INSERT INTO t SELECT generate_series(1, 20);
        CREATE INDEX t_index ON t (calls_helper(id));
        """,
    )
    _, report = _run(source, target)
    failed = [(task.kind, task.object) for task in report.tasks if task.status == "failed"]
    assert failed == [("index", "public.t_index")]
    assert len(servers.rows(target, "public", "t")) == 20


def test_e12_sequences_are_exact(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
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
    _migrate(source, target)
    servers.assert_equal(source, target)
    found = servers.sequences(target, ["pgmigrate"])
    assert len(found) == 12
    assert found["public.never_called"] == (42, False)
    assert found["public.set_not_called"] == (500, False)
    assert found["public.descending"] == (-3, True)
    assert found["public.cyclic"] == (2, True)
    assert found["public.parts_id_seq"] == (10, True)


LARGE = """
CREATE ROLE {owner} NOLOGIN; CREATE ROLE {reader} NOLOGIN;
SELECT lo_from_bytea(1001, 'first');
SELECT lo_from_bytea(1002, '');
SELECT lo_from_bytea(1003, (SELECT string_agg(int8send(hashint8extended(i, 0)), '')
    FROM generate_series(1, 655360) i));
SELECT lo_create(1004); SELECT lo_put(1004, 1000000, 'after a hole');
SELECT lo_from_bytea(2000 + i, convert_to(repeat('small', i), 'UTF8'))
    FROM generate_series(1, 300) i;
ALTER LARGE OBJECT 1002 OWNER TO {owner};
GRANT SELECT ON LARGE OBJECT 1001 TO {reader};
GRANT SELECT, UPDATE ON LARGE OBJECT 1002 TO {reader} WITH GRANT OPTION;
GRANT SELECT ON LARGE OBJECT 1003 TO PUBLIC;
COMMENT ON LARGE OBJECT 1001 IS 'it''s a \\ comment';
"""


def test_e13_large_objects_with_owner_acl_and_comment(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    names = {"owner": f"{pair.name}_o"[-60:], "reader": f"{pair.name}_r"[-60:]}
    servers.run_script(source, LARGE.format(**names))
    try:
        _migrate(source, target, roles="all")
        expected = servers.large_objects(source)
        assert len(expected) == 304
        assert len(expected[1003][3]) == 5 * 1024 * 1024
        assert servers.large_objects(target) == expected
    finally:
        for conninfo in (source, target):
            for role in names.values():
                servers.run_script(
                    conninfo,
                    f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}",
                )


def test_e13_what_a_target_without_the_roles_refuses_is_told_and_the_rest_arrives(
    pair: Pair,
) -> None:
    source, target = pair.source(), pair.target()
    names = {"owner": f"{pair.name}_o"[-60:], "reader": f"{pair.name}_r"[-60:]}
    servers.run_script(source, LARGE.format(**names))
    try:
        _, report = _run(source, target, roles="none")
        found = servers.large_objects(target)
        expected = servers.large_objects(source)
        assert {oid: item[3] for oid, item in found.items()} == {
            oid: item[3] for oid, item in expected.items()
        }
        # What does not need the missing roles is as it was.
        assert found[1001][2] == "it's a \\ comment"
        assert found[1003][1] == expected[1003][1]
        told = " ".join(task.note for task in report.tasks)
        assert names["owner"] in told
        assert names["reader"] in told
    finally:
        for role in names.values():
            servers.run_script(
                source,
                f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}",
            )


def test_e15_unlogged_tables_stay_unlogged_with_their_rows(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE UNLOGGED TABLE t (a int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 9)",
    )
    _migrate(source, target)
    servers.assert_equal(source, target)
    assert _query(target, "SELECT relpersistence::text FROM pg_class WHERE relname = 't'") == [
        ("u",)
    ]


SETTINGS = """
    SELECT CASE WHEN setdatabase = 0 THEN '' ELSE current_database() END = '',
        setconfig FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase
    WHERE d.datname = current_database()
        OR setdatabase = 0 AND setrole = (SELECT oid FROM pg_roles WHERE rolname = '{role}')
    ORDER BY setdatabase = 0, setrole = 0
"""


def test_e16_settings_of_database_and_roles(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    role = f"{pair.name}_r"[-60:]
    servers.run_script(
        source,
        f"""
        CREATE ROLE {role};
        SELECT format('ALTER DATABASE %I SET work_mem = ''7MB''', current_database()) \\gexec
        SELECT format('ALTER DATABASE %I SET search_path = "$user", public, "Odd, one"',
            current_database()) \\gexec
        SELECT format('ALTER DATABASE %I SET my.option = ''it''''s 100%% %%I''',
            current_database()) \\gexec
        ALTER ROLE {role} SET search_path = 'a b', public;
        ALTER ROLE {role} SET statement_timeout = '5min';
        SELECT format('ALTER ROLE {role} IN DATABASE %I SET datestyle = ''ISO, DMY''',
            current_database()) \\gexec
        """,
    )
    try:
        _migrate(source, target, roles="all")
        expected = _query(source, SETTINGS.format(role=role))
        assert len(expected) == 3
        assert _query(target, SETTINGS.format(role=role)) == expected
        assert _query(target, "SHOW work_mem") == [("7MB",)]
        assert _query(target, "SHOW search_path") == [('"$user", public, "Odd, one"',)]
    finally:
        for conninfo in (source, target):
            servers.run_script(conninfo, f"DROP ROLE {role}")


def test_e16_a_filtered_migration_leaves_the_databases_settings(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE t (a int);"
        "SELECT format('ALTER DATABASE %I SET work_mem = ''7MB''', current_database()) \\gexec",
    )
    _migrate(source, target, tables=["public.t"])
    assert _query(target, "SELECT source FROM pg_settings WHERE name = 'work_mem'") == [
        ("default",)
    ]


def test_e18_statistics_are_there_right_after_the_run(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
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
    _migrate(source, target)
    known = "SELECT DISTINCT tablename::text FROM pg_stats WHERE schemaname = 'public' ORDER BY 1"
    assert [name for (name,) in _query(target, known)] == [
        "north", "north_1", "north_2", "other", "root", "t", "t_expression", "v",
    ]  # fmt: skip
    assert _query(
        target, "SELECT count(*) FROM pg_stats_ext WHERE most_common_vals IS NOT NULL"
    ) == [(1,)]


def test_e18_no_statistics_when_switched_off(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        "CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 9);"
        "CREATE MATERIALIZED VIEW v AS SELECT a FROM t",
    )
    plan, _ = _migrate(source, target, analyze_after_load=False)
    assert not [task for task in plan if task.kind == "analyze"]


RIGHTS = """
CREATE ROLE {owner} NOLOGIN; CREATE ROLE {reader} NOLOGIN;
CREATE SCHEMA s AUTHORIZATION {owner};
CREATE TABLE t (id int PRIMARY KEY, a text, b text);
INSERT INTO t VALUES (1, '{reader}', 'x');
ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON t FOR SELECT TO {reader} USING (a = CURRENT_USER);
CREATE POLICY strict ON t AS RESTRICTIVE FOR UPDATE USING (true) WITH CHECK (b <> 'root');
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
CREATE TRIGGER usual BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
CREATE TRIGGER off BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
CREATE TRIGGER replica BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
CREATE TRIGGER always BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION f();
ALTER TABLE t DISABLE TRIGGER off, ENABLE REPLICA TRIGGER replica, ENABLE ALWAYS TRIGGER always;
GRANT SELECT (id, a), UPDATE (b) ON t TO {reader};
GRANT INSERT ON t TO {owner} WITH GRANT OPTION;
REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC;
GRANT USAGE ON SCHEMA s TO {reader};
CREATE TABLE s.owned (id serial);
ALTER TABLE s.owned OWNER TO {owner};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA s GRANT SELECT ON TABLES TO {reader};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
COMMENT ON TABLE t IS 'a table'; COMMENT ON COLUMN t.a IS 'it''s a column';
COMMENT ON POLICY own ON t IS 'a policy';
COMMENT ON TRIGGER usual ON t IS 'a trigger'; COMMENT ON CONSTRAINT t_pkey ON t IS 'a key';
COMMENT ON INDEX t_pkey IS 'an index';
COMMENT ON SCHEMA s IS 'a schema'; COMMENT ON FUNCTION f() IS 'a function';
COMMENT ON SCHEMA public IS 'another comment';
GRANT CREATE ON SCHEMA public TO {reader};
REVOKE USAGE ON SCHEMA public FROM PUBLIC;
"""


def test_e19_row_security_triggers_comments_and_rights(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    names = {"owner": f"{pair.name}_o"[-60:], "reader": f"{pair.name}_r"[-60:]}
    servers.run_script(source, RIGHTS.format(**names))
    try:
        _migrate(source, target, roles="all")
        servers.assert_equal(source, target)
        states = (
            "SELECT tgname::text, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
        )
        assert _query(target, states) == [
            ("always", "A"),
            ("off", "D"),
            ("replica", "R"),
            ("usual", "O"),
        ]
        public = (
            "SELECT nspacl::text, obj_description(oid) FROM pg_namespace WHERE nspname = 'public'"
        )
        assert _query(target, public) == _query(source, public)
    finally:
        for conninfo in (source, target):
            for role in names.values():
                servers.run_script(
                    conninfo,
                    f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}",
                )


def test_a_view_that_groups_by_a_primary_key_waits_for_it(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
        """
        CREATE TABLE t (id int PRIMARY KEY, a text);
        INSERT INTO t SELECT i, 'x' FROM generate_series(1, 5) i;
        CREATE VIEW v AS SELECT id, a, count(*) FROM t GROUP BY id;
        CREATE MATERIALIZED VIEW m AS SELECT * FROM v;
        CREATE MATERIALIZED VIEW m2 AS SELECT id, a FROM t GROUP BY id;
        CREATE INDEX m2_id ON m2 (id);
        """,
    )
    _migrate(source, target)
    servers.assert_equal(source, target)


def test_objects_of_18(make_pair: MakePair) -> None:
    pair = make_pair(18, 18)
    source, target = pair.source(), pair.target()
    servers.run_script(
        source,
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
    _migrate(source, target)
    servers.assert_equal(source, target)
