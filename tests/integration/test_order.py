"""What may run before the whole of pre-data is there, and who owns what is made meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration
from pgmigrate.errors import SchemaError
from support import servers

SCRIPT = """
CREATE TYPE color AS ENUM ('red', 'green');
CREATE TYPE point2 AS (x int, y int);
CREATE DOMAIN code AS text;
CREATE COLLATION own (provider = libc, locale = 'C');
CREATE OPERATOR CLASS own_ops FOR TYPE int USING btree
    AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
       FUNCTION 1 btint4cmp(int, int);

CREATE TABLE alone (id serial PRIMARY KEY, c color UNIQUE, v text, n int, r int4range,
                    t text COLLATE own, EXCLUDE USING gist (r WITH &&));
CREATE INDEX alone_v ON alone (v) INCLUDE (n);
CREATE INDEX alone_hash ON alone USING hash (n);
CREATE INDEX alone_expression ON alone (lower(v));
CREATE INDEX alone_partial ON alone (v) WHERE n > 0;
CREATE INDEX alone_class ON alone (n own_ops);
CREATE INDEX alone_collation ON alone (t);
CREATE INDEX alone_other_collation ON alone (v COLLATE own);

CREATE TABLE composite (v point2 CONSTRAINT composite_key PRIMARY KEY);
CREATE TABLE array_of_composite (v point2[] CONSTRAINT array_key PRIMARY KEY);
CREATE TABLE of_domain (v code CONSTRAINT domain_key PRIMARY KEY);
CREATE TABLE viewed (id int CONSTRAINT viewed_key PRIMARY KEY);
CREATE VIEW view_of_two AS SELECT v.id FROM viewed v;
CREATE TABLE typed (id int CONSTRAINT typed_key PRIMARY KEY);
CREATE FUNCTION reads(typed) RETURNS int LANGUAGE sql AS 'SELECT ($1).id';
CREATE TABLE parent (id int CONSTRAINT parent_key PRIMARY KEY);
CREATE TABLE child (CONSTRAINT child_key PRIMARY KEY (id)) INHERITS (parent);
CREATE TABLE parted (id int CONSTRAINT parted_key PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE part PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE large (id int CONSTRAINT large_key PRIMARY KEY, v text);
CREATE TABLE referring (id int CONSTRAINT referring_key PRIMARY KEY,
                        a int CONSTRAINT to_alone REFERENCES alone (id));

INSERT INTO alone (c, v, n, r, t) VALUES
    ('red', 'a', 1, '[1,2)', 'x'), ('green', 'b', 2, '[2,3)', 'y');
INSERT INTO composite VALUES ((1, 2)), ((2, 1));
INSERT INTO array_of_composite VALUES (ARRAY[(1, 2)::point2]);
INSERT INTO of_domain VALUES ('a');
INSERT INTO viewed VALUES (1);
INSERT INTO typed VALUES (1);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2);
INSERT INTO parted VALUES (1);
INSERT INTO large SELECT i, repeat('x', 500) FROM generate_series(1, 3000) i;
INSERT INTO referring VALUES (1, 1);
ANALYZE;
"""
EARLY = {
    "alone alone_pkey",
    "alone alone_c_key",
    "alone alone_r_excl",
    "alone_v",
    "alone_hash",
    "referring referring_key",
}


def test_only_a_key_that_needs_nothing_but_its_small_table_is_made_during_pre_data(
    pair: Pair,
) -> None:
    source, target = pair.filled(SCRIPT)
    migration = Migration(source=source, target=target)
    plan = migration.plan()
    made = [
        task for task in plan if task.phase in ("index", "constraint") and "fk" not in task.kind
    ]
    assert {task.name for task in made if "pre-data" not in task.after} == EARLY
    assert {task.name for task in made} > EARLY
    rows = set(plan.ids("data"))
    assert all(rows & set(task.requires) for task in made if task.name in EARLY)
    migration.run(plan, jobs=8).raise_for_failures()
    servers.assert_equal(source, target)


@pytest.fixture
def databases(pair: Pair) -> tuple[str, str]:
    """A source whose objects belong to the connecting role and to another one, and a target."""
    source, target = pair.filled(
        """
        DO $$ BEGIN CREATE ROLE another_owner; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
        CREATE SCHEMA s;
        CREATE TABLE s.own (id serial PRIMARY KEY);
        CREATE TABLE s.theirs (id serial PRIMARY KEY);
        ALTER TABLE s.theirs OWNER TO another_owner;
        CREATE TYPE s.shell;
        CREATE FUNCTION s.shell_in(cstring) RETURNS s.shell LANGUAGE internal IMMUTABLE STRICT
            AS 'int4in';
        CREATE FUNCTION s.shell_out(s.shell) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT
            AS 'int4out';
        CREATE TYPE s.shell (INPUT = s.shell_in, OUTPUT = s.shell_out, LIKE = int4);
        CREATE VIEW s.v AS SELECT id FROM s.own;
        CREATE VIEW s.v2 AS SELECT id FROM s.theirs;
        ALTER VIEW s.v2 OWNER TO another_owner;
        ALTER SCHEMA public OWNER TO CURRENT_USER;
        """,
    )
    return source, target


OWNERS = """
    SELECT c.oid::regclass::text, c.relowner::regrole::text FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 's'
    UNION ALL
    SELECT nspname, nspowner::regrole::text FROM pg_namespace WHERE nspname IN ('s', 'public')
    UNION ALL
    SELECT t.oid::regtype::text, t.typowner::regrole::text FROM pg_type t
    JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = 's' AND t.typtype = 'b'
    ORDER BY 1
"""


def _owners(conninfo: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(OWNERS).fetchall()


def test_owners_are_those_of_the_source(databases: tuple[str, str]) -> None:
    source, target = databases
    Migration(source=source, target=target).run().raise_for_failures()
    assert _owners(target) == _owners(source)


def test_owners_are_those_of_the_source_where_an_event_trigger_gives_objects_away(
    databases: tuple[str, str], tmp_path: Path
) -> None:
    source, target = databases
    servers.run_script(
        target,
        """
        DO $$ BEGIN CREATE ROLE taker; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
        CREATE SCHEMA ops;
        CREATE FUNCTION ops.take() RETURNS event_trigger LANGUAGE plpgsql AS $$
        DECLARE made record; BEGIN
            FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE schema_name = 's' LOOP
                EXECUTE format('ALTER TABLE %s OWNER TO taker', made.object_identity);
            END LOOP;
        END $$;
        CREATE EVENT TRIGGER take ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE VIEW')
            EXECUTE FUNCTION ops.take();
        """,
    )
    Migration(source=source, target=target).run().raise_for_failures()
    assert _owners(target) == _owners(source)


# What fails among entries of pre-data that are sent together.

MADE = """
SELECT c.relname, c.xmin::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 's' AND c.relkind IN ('r', 'v')"""


def _many(source: str) -> None:
    statements = [
        f"CREATE TABLE s.n{number:02}_{name} (id int); "
        f"CREATE VIEW s.n{number:02}_{name}_seen AS SELECT id FROM s.n{number:02}_{name}"
        for number in range(40)
        for name in ("bad" if number % 7 == 3 else "good",)
    ]
    servers.run_script(source, "CREATE SCHEMA s; " + "; ".join(statements))


def test_entries_that_share_a_transaction_fail_each_by_itself(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    _many(source)
    bad = {name for name, _ in servers.fetch(source, MADE) if "bad" in name}
    tables = {name for name in bad if "seen" not in name}
    # A type of a table's name is in the table's way, which no check finds out before.
    in_the_way = "; ".join(f"CREATE TYPE s.{name} AS (x int)" for name in sorted(tables))
    servers.run_script(target, f"CREATE SCHEMA s; {in_the_way}")
    report = Migration(source=source, target=target).run()
    pre_data = [task for task in report.tasks if task.phase == "pre-data"]
    failed = {task.object for task in pre_data if task.status == "failed"}
    assert failed == {f"s.{name}" for name in tables}
    blocked = {task.object for task in pre_data if task.status == "blocked"}
    assert blocked == {f"s.{name}" for name in bad - tables}
    on_target = dict(servers.fetch(target, MADE))
    assert set(on_target) == {name for (name, _) in servers.fetch(source, MADE)} - bad
    with pytest.raises(SchemaError, match="n03_bad"):
        report.raise_for_failures()
    servers.run_script(target, in_the_way.replace("CREATE", "DROP").replace(" AS (x int)", ""))
    Migration(source=source, target=target).run(resume=True).raise_for_failures()
    servers.assert_equal(source, target)


def test_entries_of_pre_data_share_transactions(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    _many(source)
    Migration(source=source, target=target).run().raise_for_failures()
    on_target = dict(servers.fetch(target, MADE))
    assert len(set(on_target.values())) < len(on_target) // 4
    rows = servers.fetch(target, "SELECT started, seconds FROM pgmigrate.migration_task")
    assert all(seconds >= 0 for _, seconds in rows)
    servers.assert_equal(source, target)
