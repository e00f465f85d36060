"""Cases E13, E16 and E19: large objects, settings and rights, and the roles that they name."""

from __future__ import annotations

import pytest

from conftest import Pair
from support import servers
from support.objects import dropped_roles, migrate, run

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


@pytest.mark.case("E13")
def test_large_objects_with_owner_acl_and_comment(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    with dropped_roles(pair, source, target) as names:
        servers.run_script(source, LARGE.format(**names))
        migrate(source, target, roles="all")
        expected = servers.large_objects(source)
        assert len(expected) == 304
        assert len(expected[1003][3]) == 5 * 1024 * 1024
        assert servers.large_objects(target) == expected


@pytest.mark.case("E13")
def test_what_a_target_without_the_roles_refuses_is_reported_and_the_rest_arrives(
    pair: Pair,
) -> None:
    source, target = pair.source(), pair.target()
    with dropped_roles(pair, source) as names:
        servers.run_script(source, LARGE.format(**names))
        _, report = run(source, target, roles="none")
        found = servers.large_objects(target)
        expected = servers.large_objects(source)
        assert {oid: item[3] for oid, item in found.items()} == {
            oid: item[3] for oid, item in expected.items()
        }
        # What does not need the missing roles is as it was.
        assert found[1001][2] == "it's a \\ comment"
        assert found[1003][1] == expected[1003][1]
        reported = " ".join(task.note for task in report.tasks)
        assert names["owner"] in reported
        assert names["reader"] in reported


SETTINGS = """
    SELECT CASE WHEN setdatabase = 0 THEN '' ELSE current_database() END = '',
        setconfig FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase
    WHERE d.datname = current_database()
        OR setdatabase = 0 AND setrole = (SELECT oid FROM pg_roles WHERE rolname = '{role}')
    ORDER BY setdatabase = 0, setrole = 0
"""


@pytest.mark.case("E16")
def test_settings_of_database_and_roles(pair: Pair) -> None:
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
        migrate(source, target, roles="all")
        expected = servers.fetch(source, SETTINGS.format(role=role))
        assert len(expected) == 3
        assert servers.fetch(target, SETTINGS.format(role=role)) == expected
        assert servers.fetch(target, "SHOW work_mem") == [("7MB",)]
        assert servers.fetch(target, "SHOW search_path") == [('"$user", public, "Odd, one"',)]
    finally:
        for conninfo in (source, target):
            servers.run_script(conninfo, f"DROP ROLE {role}")


@pytest.mark.case("E16")
def test_a_filtered_migration_leaves_the_databases_settings(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (a int);"
        "SELECT format('ALTER DATABASE %I SET work_mem = ''7MB''', current_database()) \\gexec",
    )
    migrate(source, target, tables=["public.t"])
    assert servers.fetch(target, "SELECT source FROM pg_settings WHERE name = 'work_mem'") == [
        ("default",)
    ]


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


@pytest.mark.case("E19")
def test_row_security_triggers_comments_and_rights(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    with dropped_roles(pair, source, target) as names:
        servers.run_script(source, RIGHTS.format(**names))
        migrate(source, target, roles="all")
        servers.assert_equal(source, target)
        states = (
            "SELECT tgname::text, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
        )
        assert servers.fetch(target, states) == [
            ("always", "A"),
            ("off", "D"),
            ("replica", "R"),
            ("usual", "O"),
        ]
        public = (
            "SELECT nspacl::text, obj_description(oid) FROM pg_namespace WHERE nspname = 'public'"
        )
        assert servers.fetch(target, public) == servers.fetch(source, public)
