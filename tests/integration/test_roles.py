"""Roles: attributes, passwords, memberships, and what a target may refuse of them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, Report
from support import servers
from support.roles import limited


def _migrate(source: str, target: str, **options: Any) -> Report:
    options.setdefault("roles", "all")
    report = Migration(source=source, target=target, **options).run(jobs=3)
    report.raise_for_failures()
    return report


def _query(conninfo: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(query).fetchall()


ATTRIBUTES = """
    SELECT rolname::text, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin,
        rolreplication,
        rolbypassrls, rolconnlimit, rolvaliduntil::text, shobj_description(oid, 'pg_authid'),
        (SELECT array_agg(s::text ORDER BY s) FROM unnest(rolconfig) s)
    FROM pg_roles WHERE starts_with(rolname, '{}') ORDER BY rolname
"""
MEMBERSHIPS = """
    SELECT g.rolname::text, m.rolname::text, a.admin_option, a.inherit_option, a.set_option
    FROM pg_auth_members a JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
    WHERE starts_with(m.rolname, '{}') ORDER BY 1, 2
"""


def test_every_attribute_arrives(pair: Pair, prefix: str) -> None:
    source, target = pair.filled(
        f"""
        CREATE ROLE {prefix}plain;
        CREATE ROLE {prefix}all SUPERUSER NOINHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS
            CONNECTION LIMIT 7 VALID UNTIL '2030-01-02 03:04:05+00';
        CREATE ROLE {prefix}forever VALID UNTIL 'infinity' CONNECTION LIMIT 0;
        CREATE ROLE "{prefix}Odd ""name""'s";
        COMMENT ON ROLE {prefix}plain IS 'it''s a \\ comment';
        ALTER ROLE {prefix}plain SET search_path = "$user", 'Odd, one';
        ALTER ROLE {prefix}plain SET work_mem = '5MB';
        ALTER ROLE {prefix}plain SET application_name = 'it''s';
        """,
    )
    _migrate(source, target)
    expected = _query(source, ATTRIBUTES.format(prefix))
    assert len(expected) == 4
    assert _query(target, ATTRIBUTES.format(prefix)) == expected


def test_the_old_password_opens_the_target(pair: Pair, prefix: str) -> None:
    source, target = pair.filled(f"CREATE ROLE {prefix}login LOGIN PASSWORD 'pass ''word'")
    report = _migrate(source, target)
    database = pair.made[-1][1]
    conninfo = pair.target_server.conninfo_for(
        database, user=f"{prefix}login", password="pass 'word"
    )
    assert _query(conninfo, "SELECT current_user::text") == [(f"{prefix}login",)]
    hashes = _query(target, f"SELECT rolpassword FROM pg_authid WHERE rolname = '{prefix}login'")
    assert str(hashes[0][0]).startswith("SCRAM-SHA-256$")
    assert "SCRAM-SHA-256" not in str(report.to_dict())


def test_memberships_keep_their_options(pair: Pair, prefix: str) -> None:
    source, target = pair.filled(
        f"""
        CREATE ROLE {prefix}a; CREATE ROLE {prefix}b; CREATE ROLE {prefix}c;
        CREATE ROLE {prefix}d NOINHERIT;
        GRANT {prefix}a TO {prefix}b WITH ADMIN OPTION;
        GRANT {prefix}a TO {prefix}c WITH INHERIT FALSE, SET TRUE;
        GRANT {prefix}b TO {prefix}c WITH INHERIT TRUE, SET FALSE;
        GRANT {prefix}c TO {prefix}d;
        GRANT pg_monitor TO {prefix}d;
        """,
    )
    _migrate(source, target)
    expected = _query(source, MEMBERSHIPS.format(prefix))
    assert len(expected) == 5
    assert _query(target, MEMBERSHIPS.format(prefix)) == expected


MEMBER = """
    SELECT pg_has_role('{0}', '{1}', 'USAGE'), pg_has_role('{0}', '{1}', 'SET')
"""


@pytest.mark.parametrize("admin", ["", " WITH ADMIN OPTION"], ids=["plain", "admin"])
def test_a_membership_that_exists_gets_the_options_of_the_source(
    pair: Pair, prefix: str, admin: str
) -> None:
    source, target = pair.source(), pair.target()
    a, b = f"{prefix}a", f"{prefix}b"
    servers.run_script(source, f"CREATE ROLE {a}; CREATE ROLE {b}; GRANT {a} TO {b}{admin}")
    servers.run_script(
        target, f"CREATE ROLE {a}; CREATE ROLE {b}; GRANT {a} TO {b} WITH INHERIT FALSE, SET FALSE"
    )
    migration = Migration(source=source, target=target, roles="all")
    assert not migration.verify().ok
    _migrate(source, target)
    expected = _query(source, MEMBERSHIPS.format(prefix))
    assert _query(target, MEMBERSHIPS.format(prefix)) == expected
    result = migration.verify()
    assert result.ok, result.text()


def test_a_membership_that_the_target_refuses_to_change_is_a_difference(
    pair: Pair, prefix: str
) -> None:
    source, target = pair.source(), pair.target()
    a, b = f"{prefix}a", f"{prefix}b"
    servers.run_script(source, f"CREATE ROLE {a}; CREATE ROLE {b}; GRANT {a} TO {b}")
    servers.run_script(
        target, f"CREATE ROLE {a}; CREATE ROLE {b}; GRANT {a} TO {b} WITH INHERIT FALSE, SET FALSE"
    )
    me = limited(pair, prefix, "CREATEROLE")
    migration = Migration(source=source, target=me, roles="all")
    report = migration.run(jobs=2)
    of_this_test = [
        one for one in report.tasks if one.kind == "membership" and prefix in one.object
    ]
    assert [task.status for task in of_this_test] == ["kept"]
    assert "membership" in {finding.check for finding in report.findings}
    objects = {difference.object for difference in migration.verify().differences}
    assert f"membership {a} to {b}" in objects


def test_who_makes_a_role_becomes_the_member_that_it_is_on_the_source(
    pair: Pair, prefix: str
) -> None:
    source, target = pair.source(), pair.target()
    app, admin = f"{prefix}app", f"{prefix}limited"
    servers.run_script(source, f"CREATE ROLE {app}; CREATE ROLE {admin}; GRANT {app} TO {admin}")
    me = limited(pair, prefix, "CREATEROLE")
    _migrate(source, me)
    assert _query(target, MEMBER.format(admin, app)) == [(True, True)]


def test_roles_that_exist_are_no_failure_and_stay_as_they_are(pair: Pair, prefix: str) -> None:
    source, target = pair.filled(
        f"CREATE ROLE {prefix}a LOGIN; CREATE ROLE {prefix}b; GRANT {prefix}a TO {prefix}b"
    )
    servers.run_script(source, f"ALTER ROLE {prefix}a SET work_mem = '9MB'")
    servers.run_script(
        target,
        f"CREATE ROLE {prefix}a NOLOGIN CONNECTION LIMIT 3;"
        f"ALTER ROLE {prefix}a SET work_mem = '5MB'",
    )
    report = _migrate(source, target)
    status = {task.object: task.status for task in report.tasks if task.kind == "role"}
    assert (status[f"{prefix}a"], status[f"{prefix}b"]) == ("kept", "done")
    assert _query(
        target,
        f"SELECT rolcanlogin, rolconnlimit, rolconfig FROM pg_roles WHERE rolname = '{prefix}a'",
    ) == [(False, 3, ["work_mem=5MB"])]


def test_roles_none_makes_no_role(pair: Pair, prefix: str) -> None:
    source, target = pair.filled(f"CREATE ROLE {prefix}a")
    _migrate(source, target, roles="none")
    assert _query(target, ATTRIBUTES.format(prefix)) == []


@pytest.mark.case("F3")
def test_provider_roles_are_skipped(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    names = ["rdsadmin", "rds_superuser", "cloudsqladmin", "azure_pg_admin", "alloydbadmin"]
    for name in names:
        servers.run_script(source, f"CREATE ROLE {name}")
    servers.run_script(source, "CREATE ROLE f3_member; GRANT rds_superuser TO f3_member")
    try:
        plan = Migration(source=source, target=target, roles="all").plan()
        roles = {task.name for task in plan if task.phase == "roles"}
        assert "f3_member" in roles
        assert not any(name in role for name in names for role in roles)
        # A role of a person may begin with the same letters.
        servers.run_script(source, "CREATE ROLE rdsmith")
        plan = Migration(source=source, target=target, roles="all").plan()
        assert "rdsmith" in {task.name for task in plan if task.kind == "role"}
    finally:
        for name in [*names, "f3_member", "rdsmith"]:
            servers.run_script(source, f"DROP ROLE IF EXISTS {name}")


@pytest.mark.case("F3")
def test_attributes_that_the_target_role_cannot_give_are_reported(pair: Pair, prefix: str) -> None:
    source, target = pair.filled(
        f"CREATE ROLE {prefix}mighty SUPERUSER LOGIN; CREATE ROLE {prefix}builder CREATEDB"
    )
    report = Migration(source=source, target=limited(pair, prefix, "CREATEROLE"), roles="all").run()
    # Roles of other tests' schemas belong to the servers, too, and this role may not grant them.
    others = ("odd_reader", "odd_writer")
    failed = [task.object for task in report.tasks if task.status == "failed"]
    assert not [name for name in failed if not name.startswith(others)]
    assert _query(target, ATTRIBUTES.format(f"{prefix}mighty"))[0][:6] == (
        f"{prefix}mighty", False, True, False, False, True,
    )  # fmt: skip
    notes = {task.object: task.note for task in report.tasks if task.kind == "role"}
    assert "42501" in notes[f"{prefix}mighty"]
    assert "42501" in notes[f"{prefix}builder"]


@pytest.mark.case("F5")
def test_an_owner_that_cannot_be_set_is_reported_and_the_object_arrives(
    pair: Pair, prefix: str
) -> None:
    source, target = pair.filled(
        f"CREATE ROLE {prefix}owner; CREATE TABLE t (id int PRIMARY KEY);"
        f"ALTER TABLE t OWNER TO {prefix}owner;"
        "INSERT INTO t VALUES (1), (2)",
    )
    report = _migrate(source, limited(pair, prefix, ""), roles="none")
    assert _query(
        target,
        "SELECT tableowner::text, (SELECT count(*) FROM t) FROM pg_tables WHERE tablename = 't'",
    ) == [(f"{prefix}limited", 2)]
    notes = [
        task.note for task in report.tasks if task.kind == "table" and task.object == "public.t"
    ]
    assert f'role "{prefix}owner" does not exist' in notes[0]


@pytest.mark.case("F2")
def test_without_the_right_to_read_passwords_roles_come_without(pair: Pair, prefix: str) -> None:
    _, target = pair.filled(
        f"CREATE ROLE {prefix}reader LOGIN PASSWORD 'reader';"
        f"CREATE ROLE {prefix}other LOGIN PASSWORD 'x';"
        f"CREATE TABLE t (a int); GRANT SELECT ON t TO {prefix}reader",
    )
    reader = pair.source_server.conninfo_for(
        pair.made[0][1], user=f"{prefix}reader", password="reader"
    )
    _migrate(reader, target)
    hashes = _query(target, f"SELECT rolpassword FROM pg_authid WHERE rolname = '{prefix}other'")
    assert hashes == [(None,)]
