"""Which roles are made, and what is left out by choice: faults L3, L4 and their options."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Pair
from pgmigrate import Migration, Report
from support import servers
from support.config_keys import shows
from support.roles import limited

ROLES = "SELECT rolname::text FROM pg_roles WHERE starts_with(rolname, '{}') ORDER BY 1"
MEMBERSHIPS = """
    SELECT g.rolname::text, m.rolname::text FROM pg_auth_members a
    JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
    WHERE starts_with(m.rolname, '{}') ORDER BY 1, 2
"""
SCRIPT = """
CREATE ROLE {p}owner; CREATE ROLE {p}granted; CREATE ROLE {p}grantor; CREATE ROLE {p}column;
CREATE ROLE {p}policy; CREATE ROLE {p}mapped; CREATE ROLE {p}default_for; CREATE ROLE {p}default_to;
CREATE ROLE {p}login LOGIN; CREATE ROLE {p}group; CREATE ROLE {p}above; CREATE ROLE {p}large;
CREATE ROLE {p}database; CREATE ROLE {p}setting; CREATE ROLE {p}other; CREATE ROLE {p}other_group;
CREATE ROLE {p}other_table;
GRANT {p}granted TO {p}login; GRANT {p}other_group TO {p}login; GRANT {p}group TO {p}owner;
GRANT {p}above TO {p}group; GRANT pg_monitor TO {p}other; GRANT pg_read_all_stats TO {p}login;
CREATE SCHEMA app; CREATE TABLE app.t (a int, b int); CREATE TABLE app.u (a int);
ALTER TABLE app.t OWNER TO {p}owner;
GRANT SELECT ON app.t TO {p}grantor WITH GRANT OPTION;
GRANT USAGE ON SCHEMA app TO {p}grantor;
SET ROLE {p}grantor; GRANT SELECT ON app.t TO {p}granted; RESET ROLE;
GRANT UPDATE (b) ON app.t TO {p}column;
CREATE POLICY p1 ON app.t TO {p}policy USING (true);
GRANT SELECT ON app.u TO {p}other_table;
CREATE FOREIGN DATA WRAPPER plain; CREATE SERVER far FOREIGN DATA WRAPPER plain;
CREATE USER MAPPING FOR {p}mapped SERVER far;
ALTER DEFAULT PRIVILEGES FOR ROLE {p}default_for GRANT SELECT ON TABLES TO {p}default_to;
SELECT lo_create(70); ALTER LARGE OBJECT 70 OWNER TO {p}large;
SELECT format('GRANT CONNECT ON DATABASE %I TO {p}database', current_database()) \\gexec
SELECT format('ALTER ROLE {p}setting IN DATABASE %I SET work_mem = ''7MB''',
    current_database()) \\gexec
"""
OF_TABLE = ["column", "granted", "grantor", "group", "above", "login", "owner", "policy"]
WHOLE = [
    *OF_TABLE, "database", "default_for", "default_to", "large", "mapped", "other_table", "setting",
]  # fmt: skip


def _run(source: str, target: str, **options: Any) -> Report:
    report = Migration(source=source, target=target, **options).run(jobs=2)
    report.raise_for_failures()
    return report


def _made(conninfo: str, prefix: str) -> list[str]:
    return [row[0].removeprefix(prefix) for row in servers.fetch(conninfo, ROLES.format(prefix))]


@shows("roles.mode")
@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, WHOLE),
        ({"roles": "all"}, [*WHOLE, "other", "other_group"]),
        ({"tables": ["app.t"]}, OF_TABLE),
        ({"tables": ["app.t"], "owners": False}, [*OF_TABLE[:3], "login", "policy"]),
        ({"tables": ["app.t"], "privileges": False}, ["owner", "group", "above", "policy"]),
        ({"roles": "none", "owners": False, "privileges": False, "tables": ["app.u"]}, []),
    ],
    ids=["whole", "all", "table", "no_owners", "no_privileges", "none"],
)
def test_roles_that_the_scope_names_are_made(
    pair: Pair, prefix: str, chosen: dict[str, Any], expected: list[str]
) -> None:
    source, target = pair.filled(SCRIPT.format(p=prefix))
    _run(source, target, **chosen)
    assert _made(target, prefix) == sorted(expected)
    # Memberships among them arrive, and those of others do not.
    roles = {prefix + name for name in expected}
    memberships = servers.fetch(source, MEMBERSHIPS.format(prefix))
    wanted = [
        (group, member)
        for group, member in memberships
        if member in roles and (group in roles or group.startswith("pg_"))
    ]
    assert servers.fetch(target, MEMBERSHIPS.format(prefix)) == wanted


@pytest.mark.case("L3")
def test_what_exists_is_no_failure_for_a_role_that_may_not_grant(pair: Pair, prefix: str) -> None:
    source, target = pair.source(), pair.target()
    script = (
        f"CREATE ROLE {prefix}a; CREATE ROLE {prefix}b;"
        f"GRANT pg_monitor TO {prefix}a; GRANT {prefix}a TO {prefix}b;"
    )
    servers.run_script(source, f"{script} CREATE TABLE t (i int); GRANT ALL ON t TO {prefix}a")
    servers.run_script(target, script)
    # Roles of other databases are no matter of this one.
    servers.run_script(source, f"CREATE ROLE {prefix}x LOGIN; GRANT pg_monitor TO {prefix}x")
    report = _run(source, limited(pair, prefix, "CREATEROLE"))
    kept = {task.kind: task.status for task in report.tasks if task.phase == "roles"}
    assert kept == {"role": "kept", "membership": "kept"}
    # A migration of all learns before the run what the target refuses.
    migration = Migration(source=source, target=limited_again(pair, prefix), roles="all")
    found = {f.check: f.objects for f in migration.preflight().findings}
    assert f"membership pg_monitor to {prefix}x" in found["membership_refused"]


def limited_again(pair: Pair, prefix: str) -> str:
    server, database = pair.made[-1]
    return server.conninfo_for(database, user=f"{prefix}limited", password="limited")


ACLS = """
    SELECT c.relname::text, pg_get_userbyid(c.relowner)::text, c.relacl::text
    FROM pg_class c WHERE c.relname IN ('t', 'v', 's') ORDER BY 1
"""
OWNED = """
CREATE ROLE {p}owner; CREATE ROLE {p}reader;
CREATE TABLE t (i int PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t; CREATE SEQUENCE s;
ALTER TABLE t OWNER TO {p}owner; ALTER VIEW v OWNER TO {p}owner; ALTER SEQUENCE s OWNER TO {p}owner;
GRANT SELECT ON t, v TO {p}reader; GRANT USAGE ON SEQUENCE s TO {p}reader;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {p}reader;
SELECT lo_create(71); ALTER LARGE OBJECT 71 OWNER TO {p}owner;
GRANT SELECT ON LARGE OBJECT 71 TO {p}reader;
SELECT format('GRANT CONNECT ON DATABASE %I TO {p}reader', current_database()) \\gexec
"""


@shows("options.owners", "options.privileges")
def test_owners_and_privileges_can_be_left_out(pair: Pair, prefix: str) -> None:
    source = pair.source()
    servers.run_script(source, OWNED.format(p=prefix))
    me = servers.fetch(source, "SELECT current_user::text")[0][0]

    def moved(suffix: str, **options: Any) -> tuple[str, list[tuple[Any, ...]]]:
        target = pair.target(suffix)
        migration = Migration(source=source, target=target, **options)
        report = migration.run(jobs=2)
        report.raise_for_failures()
        result = migration.verify()
        assert result.ok, result.text()
        left_out = {item.object for item in result.not_moved if item.kind == "option"}
        assert left_out == {name for name, on in options.items() if not on}
        for name in left_out:
            assert f"{name}: not compared: options.{name} is false" in result.text()
        return target, servers.fetch(target, ACLS)

    target, found = moved("_owners", owners=False)
    assert [owner for _, owner, _ in found] == [me] * 3
    assert all(f"{prefix}reader=" in acl for *_, acl in found)
    target, found = moved("_privileges", privileges=False)
    assert [owner for _, owner, _ in found] == [f"{prefix}owner"] * 3
    assert {acl for *_, acl in found} == {None}
    assert servers.fetch(target, "SELECT count(*) FROM pg_default_acl") == [(0,)]
    target, found = moved("_neither", owners=False, privileges=False)
    assert {(owner, acl) for _, owner, acl in found} == {(me, None)}
    large = "SELECT pg_get_userbyid(lomowner)::text, lomacl FROM pg_largeobject_metadata"
    assert servers.fetch(target, large) == [(me, None)]
    # Where they are wanted, another owner is a difference.
    everything = Migration(source=source, target=target)
    assert not everything.verify().ok


@pytest.mark.case("L4")
def test_a_missing_grantee_costs_its_own_statement(pair: Pair, prefix: str) -> None:
    source, target = pair.filled(
        f"CREATE ROLE {prefix}a; CREATE ROLE {prefix}b; CREATE TABLE t (i int);"
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';"
        f"GRANT SELECT ON t TO {prefix}a, {prefix}b, PUBLIC;"
        "REVOKE ALL ON FUNCTION f() FROM PUBLIC;"
        f"GRANT EXECUTE ON FUNCTION f() TO {prefix}a",
    )
    servers.run_script(target, f"CREATE ROLE {prefix}b")
    migration = Migration(source=source, target=target, roles="none")
    missing = [f for f in migration.preflight().findings if f.check == "role_missing"]
    assert [f.object for f in missing] == [f"{prefix}a"]
    report = migration.run()
    failed = {f"{task.kind} {task.object}" for task in report.tasks if task.status == "failed"}
    assert failed == set(missing[0].objects)
    rights = "SELECT has_table_privilege('{}', 't', 'SELECT')"
    assert servers.fetch(target, rights.format(f"{prefix}b")) == [(True,)]
    assert servers.fetch(target, "SELECT has_function_privilege('public', 'f()', 'EXECUTE')") == [
        (False,)
    ]
