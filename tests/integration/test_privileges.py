"""Cases S11 and S14: privileges and memberships arrive, or are named as missing."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Pair
from pgmigrate import Migration, Report
from support import servers
from support.roles import limited, prefixed


def _run(source: str, target: str, **options: Any) -> Report:
    return Migration(source=source, target=target, **options).run(jobs=3)


def _note(report: Report, kind: str, name: str) -> tuple[str, str]:
    found = [task for task in report.tasks if task.kind == kind and task.object.startswith(name)]
    assert len(found) == 1, [(task.kind, task.object) for task in report.tasks]
    return found[0].status, found[0].note


def _findings(report: Report, check: str) -> list[tuple[str, str]]:
    return [(found.object, found.message) for found in report.findings if found.check == check]


def _one(conninfo: str, query: str) -> Any:
    return servers.fetch(conninfo, query)[0][0]


ACL = "SELECT relacl::text FROM pg_class WHERE oid = '{}'::regclass"


@pytest.mark.case("S11")
def test_a_grant_without_effect_fails_by_name(pair: Pair, prefix: str) -> None:
    source, target = pair.source(), pair.target()
    app = f"{prefix}app"
    servers.run_script(
        source,
        f"CREATE ROLE {app}; REVOKE ALL ON SCHEMA public FROM PUBLIC;"
        f"GRANT USAGE ON SCHEMA public TO {app};"
        f"CREATE TABLE t (id serial PRIMARY KEY); GRANT SELECT ON t TO {app}",
    )
    conninfo = limited(pair, prefix, "CREATEROLE", owner=False)
    servers.run_script(target, f"GRANT USAGE, CREATE ON SCHEMA public TO {prefix}limited")
    report = _run(source, conninfo)
    assert report.status == "failed"
    status, note = _note(report, "acl", "SCHEMA public")
    assert status == "failed"
    assert "01006" in note and "01007" in note
    assert f"USAGE to {app}" in note and "USAGE to PUBLIC" in note
    assert _note(report, "acl", "TABLE t") == ("done", "")
    assert _one(target, f"SELECT has_table_privilege('{app}', 't', 'SELECT')") is True


@pytest.mark.case("S11")
def test_a_warning_about_what_is_so_already_is_no_failure(pair: Pair, prefix: str) -> None:
    source, target = pair.source(), pair.target()
    script = "REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO {};"
    servers.run_script(source, f"CREATE ROLE {prefix}app; {script.format(prefix + 'app')}")
    servers.run_script(source, "CREATE SCHEMA s CREATE TABLE t (id int)")
    servers.run_script(target, f"CREATE ROLE {prefix}app; {script.format(prefix + 'app')}")
    report = _run(source, limited(pair, prefix, owner=False), roles="none")
    report.raise_for_failures()
    status, note = _note(report, "acl", "SCHEMA public")
    assert status == "kept" or (status == "done" and "SQLSTATE" in note)


@pytest.mark.case("S11")
def test_one_missing_grantee_costs_no_other_statement(pair: Pair, prefix: str) -> None:
    source, target = pair.source(), pair.target()
    app, gone = f"{prefix}app", f"{prefix}gone"
    servers.run_script(
        source,
        f"""
        CREATE ROLE {app}; CREATE ROLE {gone};
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        REVOKE ALL ON FUNCTION f() FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION f() TO {gone}, {app};
        CREATE TABLE "Odd ""t" (a int, "b.c" int);
        GRANT SELECT ON "Odd ""t" TO {gone}; GRANT UPDATE ("b.c") ON "Odd ""t" TO {app};
        ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {gone}, {app};
        """,
    )
    servers.run_script(target, f"CREATE ROLE {app}")
    report = _run(source, target, roles="none")
    failed = {task.object: task.note for task in report.tasks if task.status == "failed"}
    acls = {
        "FUNCTION f() in public",
        'TABLE "Odd ""t" in public',
        "DEFAULT PRIVILEGES FOR TABLES",
    }
    assert set(failed) == acls
    assert all(gone in note and "42704" in note for note in failed.values())
    execute = "SELECT has_function_privilege('{}', 'f()', 'EXECUTE')"
    assert _one(target, execute.format("public")) is False
    assert _one(target, execute.format(app)) is True
    update = f"SELECT has_column_privilege('{app}', '\"Odd \"\"t\"', 'b.c', 'UPDATE')"
    assert _one(target, update) is True
    assert app in _one(target, "SELECT defaclacl::text FROM pg_default_acl")


GRANTORS = """
CREATE ROLE {p}owner; CREATE ROLE {p}second; CREATE ROLE {p}third; CREATE ROLE {p}last;
CREATE TABLE t (a int, b int); ALTER TABLE t OWNER TO {p}owner;
GRANT SELECT ON t TO {p}second WITH GRANT OPTION;
SET ROLE {p}second; GRANT SELECT ON t TO {p}third WITH GRANT OPTION;
SET ROLE {p}third; GRANT SELECT ON t TO {p}last;
RESET ROLE;
"""


@pytest.mark.case("S11")
def test_privileges_keep_their_grantors(pair: Pair, prefix: str) -> None:
    source, target = pair.filled(GRANTORS.format(p=prefix))
    _run(source, target).raise_for_failures()
    kept = ACL.format("t").replace(
        "relacl::text", "relacl::text[] || ARRAY[relowner::regrole::text]"
    )
    expected = [item.replace("arwdDxt/", "arwdDxtm/") for item in _one(source, kept)]
    assert _one(target, kept) == expected


@pytest.mark.case("S11")
def test_a_grantor_that_the_connecting_role_may_not_become_is_named(
    pair: Pair, prefix: str
) -> None:
    source, target = pair.filled(GRANTORS.format(p=prefix))
    for role in ("owner", "second", "third", "last"):
        servers.run_script(target, f"CREATE ROLE {prefix}{role}")
    conninfo = limited(pair, prefix)
    servers.run_script(
        target,
        f"GRANT {prefix}owner, {prefix}second TO {prefix}limited;"
        f"GRANT CREATE ON SCHEMA public TO {prefix}owner",
    )
    report = _run(source, conninfo, roles="none")
    status, note = _note(report, "acl", "TABLE t")
    assert status == "failed"
    assert f"SELECT to {prefix}last, granted by {prefix}third" in note
    may = "SELECT has_table_privilege('{}', 't', 'SELECT')"
    assert _one(target, may.format(f"{prefix}third")) is True
    assert _one(target, may.format(f"{prefix}last")) is False


def _with_grants(source: str, p: str) -> None:
    """Grants of every kind, under a prefix of the roles' names."""
    servers.run_script(
        source,
        f"""
        CREATE ROLE {p}owner; CREATE ROLE {p}a; CREATE ROLE {p}b;
        ALTER ROLE {p}a SET work_mem = '5MB'; GRANT {p}a TO {p}b;
        CREATE TABLE t (a int, b int); ALTER TABLE t OWNER TO {p}owner;
        GRANT SELECT ON t TO {p}a; GRANT UPDATE (b) ON t TO {p}a;
        CREATE VIEW v AS SELECT 1; CREATE SEQUENCE s; GRANT USAGE ON SEQUENCE s TO {p}a;
        CREATE PROCEDURE c(i int) LANGUAGE sql AS 'SELECT 1';
        CREATE DOMAIN d AS int; REVOKE USAGE ON DOMAIN d FROM PUBLIC;
        ALTER DEFAULT PRIVILEGES FOR ROLE {p}owner GRANT INSERT ON TABLES TO {p}a;
        SELECT lo_from_bytea(7001, 'x'); GRANT SELECT ON LARGE OBJECT 7001 TO {p}a;
        ALTER DATABASE :"DBNAME" SET work_mem = '7MB';
        GRANT CREATE ON DATABASE :"DBNAME" TO {p}a;
        """,
    )


@pytest.mark.case("S11")
def test_what_changes_behind_a_grant_is_found_at_the_end(pair: Pair, prefix: str) -> None:
    source, target = pair.source(), pair.target()
    p = prefix
    _with_grants(source, p)
    migration = Migration(source=source, target=target)
    plan = migration.plan()
    ids = [task.id for task in plan if task.kind != "privilege check"]
    assert len(ids) == len(plan) - 1
    migration.run_tasks(plan, ids).raise_for_failures()
    change = f"""
        ALTER TABLE t OWNER TO {p}b; REVOKE SELECT ON t FROM {p}a; REVOKE UPDATE (b) ON t FROM {p}a;
        GRANT SELECT ON v TO PUBLIC; REVOKE USAGE ON SEQUENCE s FROM {p}a;
        REVOKE EXECUTE ON PROCEDURE c FROM PUBLIC; GRANT USAGE ON DOMAIN d TO PUBLIC;
        ALTER DEFAULT PRIVILEGES FOR ROLE {p}owner REVOKE INSERT ON TABLES FROM {p}a;
        ALTER ROLE {p}a RESET work_mem; REVOKE {p}a FROM {p}b;
        ALTER DATABASE :"DBNAME" RESET work_mem;
        REVOKE CREATE ON DATABASE :"DBNAME" FROM {p}a;
    """
    servers.run_script(target, change)
    report = migration.run(plan, resume=True)
    assert report.status == "failed"
    status, note = _note(report, "privilege check", "")
    assert status == "failed"
    for words in (
        f"table public.t: its owner is {p}owner on the source and {p}b on the target",
        f"only the source has: SELECT to {p}a",
        f"column public.t (b): only the source has: UPDATE to {p}a",
        "table public.v: only the target has: SELECT to PUBLIC",
        f"sequence public.s: only the source has: USAGE to {p}a",
        "procedure public.c(integer): only the source has: EXECUTE to PUBLIC",
        "type public.d: only the target has: USAGE to PUBLIC",
        f"INSERT to {p}a",
        f"{p}a: its attributes, its settings or its comment are not those of the source",
        f"{p}a to {p}b: the membership is not on the target",
        "DATABASE: its setting work_mem=7MB is not on the target",
        f"DATABASE: CREATE to {p}a is not on the target",
    ):
        assert words in note, (words, note)
    assert len(_findings(report, "privileges")) == 11
    servers.run_script(
        target,
        f"""
        ALTER TABLE t OWNER TO {p}owner; GRANT SELECT ON t TO {p}a; GRANT UPDATE (b) ON t TO {p}a;
        REVOKE SELECT ON v FROM PUBLIC; GRANT USAGE ON SEQUENCE s TO {p}a;
        GRANT EXECUTE ON PROCEDURE c TO PUBLIC; REVOKE USAGE ON DOMAIN d FROM PUBLIC;
        ALTER DEFAULT PRIVILEGES FOR ROLE {p}owner GRANT INSERT ON TABLES TO {p}a;
        ALTER ROLE {p}a SET work_mem = '5MB'; GRANT {p}a TO {p}b;
        ALTER DATABASE :"DBNAME" SET work_mem = '7MB';
        GRANT CREATE ON DATABASE :"DBNAME" TO {p}a;
        """,
    )
    report = migration.run(plan, resume=True)
    report.raise_for_failures()
    assert _findings(report, "privileges") == []


@pytest.mark.case("S11")
def test_default_privileges_of_the_target_that_give_more_are_named(pair: Pair, prefix: str) -> None:
    source, target = pair.filled("CREATE TABLE t (a int); CREATE TABLE u (a int)")
    servers.run_script(
        target,
        f"CREATE ROLE {prefix}watch; "
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {prefix}watch",
    )
    report = _run(source, target, roles="none")
    report.raise_for_failures()
    words = f"only the target has: SELECT to {prefix}watch"
    expected = [("table public.t", words), ("table public.u", words)]
    assert _findings(report, "default_privileges") == expected


@pytest.mark.case("S11")
def test_other_warnings_of_a_statement_are_noted(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    assert _one(target, "SHOW wal_level") != "logical", "the warning would not come"
    servers.run_script(source, "CREATE TABLE t (a int); CREATE PUBLICATION p FOR TABLE t")
    report = _run(source, target, roles="none", publications=True)
    report.raise_for_failures()
    assert "wal_level" in _note(report, "publication", "p")[1]
    assert [name for name, _ in _findings(report, "warned")] == ["p"]


MEMBERS = """
    SELECT g.rolname::text, m.rolname::text, a.admin_option, a.inherit_option, a.set_option,
        nullif(a.grantor, 10)::regrole::text
    FROM pg_auth_members a JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
    WHERE starts_with(m.rolname, '{}') AND m.rolname !~ 'limited$' ORDER BY 1, 2, 6
"""
OPTIONLESS = """
    SELECT g.rolname::text, m.rolname::text, a.admin_option
    FROM pg_auth_members a JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
    WHERE starts_with(m.rolname, '{}') AND m.rolname !~ 'limited$' ORDER BY 1, 2
"""


def _chain(prefix: str) -> str:
    # Names run against the order in which the roles grant.
    script = "".join(f"CREATE ROLE {prefix}{at};" for at in range(1, 8))
    script += f"GRANT {prefix}1 TO {prefix}7 WITH ADMIN OPTION;"
    for at in range(7, 2, -1):
        option = "WITH ADMIN OPTION" if at > 3 else ""
        script += f"SET ROLE {prefix}{at}; GRANT {prefix}1 TO {prefix}{at - 1} {option};"
        script += "RESET ROLE;"
    return script


def _described(conninfo: str, prefix: str) -> list[tuple[Any, ...]]:
    return servers.fetch(
        conninfo,
        f"""
        SELECT coalesce(r.rolname::text, 'PUBLIC'), x.privilege_type, x.is_grantable,
            x.grantor = d.datdba, shobj_description(d.oid, 'pg_database')
        FROM pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) x
        LEFT JOIN pg_roles r ON r.oid = x.grantee
        WHERE d.datname = current_database()
            AND (x.grantee = 0 OR starts_with(r.rolname, '{prefix}'))
        ORDER BY 1, 2
        """,
    )


@pytest.mark.case("S14")
def test_memberships_and_the_database_itself_arrive(any_pair: Pair) -> None:
    source, target = any_pair.source(), any_pair.target()
    majors = any_pair.majors
    with prefixed(any_pair) as p:
        servers.run_script(source, _chain(p))
        if majors[0] >= 16:
            servers.run_script(
                source,
                f"GRANT {p}2 TO {p}3 WITH INHERIT FALSE, SET TRUE, ADMIN TRUE;"
                f"GRANT {p}2 TO {p}4 WITH SET FALSE; GRANT {p}1 TO {p}6",
            )
        servers.run_script(source, f"GRANT SET ON PARAMETER log_statement TO {p}5")
        servers.run_script(
            source,
            f"""
            REVOKE CONNECT, TEMPORARY ON DATABASE :"DBNAME" FROM PUBLIC;
            GRANT CONNECT ON DATABASE :"DBNAME" TO {p}5;
            GRANT CREATE ON DATABASE :"DBNAME" TO {p}6 WITH GRANT OPTION;
            SET ROLE {p}6;
            GRANT CREATE ON DATABASE :"DBNAME" TO {p}7;
            RESET ROLE;
            COMMENT ON DATABASE :"DBNAME" IS 'it''s 100% \\ %I';
            ALTER ROLE ALL SET "{p}x.all" = 'x'; COMMENT ON ROLE {p}3 IS 'it''s';
            CREATE TABLE t (id int); INSERT INTO t VALUES (1);
            """,
        )
        try:
            report = _run(source, target, verify=True, roles="all")
            report.raise_for_failures()
        finally:
            servers.run_script(source, f'ALTER ROLE ALL RESET "{p}x.all"')
        if min(majors) >= 16:
            expected = servers.fetch(source, MEMBERS.format(p))
            assert len(expected) >= 9
            assert servers.fetch(target, MEMBERS.format(p)) == expected
        else:
            members = set(servers.fetch(source, OPTIONLESS.format(p)))
            assert set(servers.fetch(target, OPTIONLESS.format(p))) >= members - {
                (f"{p}1", f"{p}6", False)
            }
        expected = _described(source, p)
        assert len(expected) == 3
        assert _described(target, p) == expected
        assert any(f"{p}x.all" in message for _, message in _findings(report, "setting_left_out"))
        if min(majors) >= 15:
            parameter = f"SELECT has_parameter_privilege('{p}5', 'log_statement', 'SET')"
            assert _one(target, parameter) is True
            _revoke_parameter(source, p)
            _revoke_parameter(target, p)


def _revoke_parameter(conninfo: str, prefix: str) -> None:
    servers.run_script(conninfo, f"REVOKE ALL ON PARAMETER log_statement FROM {prefix}5")


@pytest.mark.case("S14")
def test_a_target_role_without_the_right_names_what_it_lacks(pair: Pair, prefix: str) -> None:
    source, target = pair.filled(_chain(prefix))
    servers.run_script(
        source,
        f"""
        GRANT CREATE ON DATABASE :"DBNAME" TO {prefix}5;
        COMMENT ON DATABASE :"DBNAME" IS 'text';
        """,
    )
    report = _run(source, limited(pair, prefix, "CREATEROLE", owner=False), roles="all")
    # Each membership is there, granted by the connecting role, and its grantor is named.
    members = servers.fetch(target, OPTIONLESS.format(prefix))
    assert members == servers.fetch(source, OPTIONLESS.format(prefix))
    assert len(_findings(report, "membership")) == 5
    status, note = _note(report, "database acl", "DATABASE")
    assert status == "failed" and ("01007" in note or "42501" in note)
    assert "refused" in _note(report, "database comment", "DATABASE")[1]
    # Roles of other tests' schemas belong to the servers, too, and this role may not grant them.
    others = ("odd_reader", "odd_writer")
    failed = [
        (task.kind, task.note)
        for task in report.tasks
        if task.status == "failed" and not task.object.startswith(others)
    ]
    assert [kind for kind, _ in failed] == ["database acl"], failed


@pytest.mark.case("S14")
def test_the_connecting_role_does_not_lock_itself_out(pair: Pair, prefix: str) -> None:
    source, target = pair.filled(
        'REVOKE CONNECT ON DATABASE :"DBNAME" FROM PUBLIC',
    )
    conninfo = limited(pair, prefix)
    database = pair.made[-1][1]
    servers.run_script(target, f'REVOKE CONNECT ON DATABASE "{database}" FROM {prefix}limited')
    report = _run(source, conninfo, roles="none")
    status, note = _note(report, "database acl", "DATABASE")
    assert status == "failed" and "lose CONNECT" in note
    assert servers.fetch(conninfo, "SELECT 1") == [(1,)]


@pytest.mark.case("S14")
def test_filters_leave_the_database_itself_and_say_so_once(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE TABLE t (a int);
        REVOKE TEMPORARY ON DATABASE :"DBNAME" FROM PUBLIC;
        COMMENT ON DATABASE :"DBNAME" IS 'text';
        """,
    )
    report = _run(source, target, roles="none", tables=["public.t"])
    report.raise_for_failures()
    found = _findings(report, "database_left_out")
    assert len(found) == 1
    assert "privileges, comment" in found[0][1]
    assert (
        servers.fetch(
            target,
            "SELECT FROM pg_database WHERE datname = current_database() AND datacl IS NOT NULL",
        )
        == []
    )


@pytest.mark.case("S14")
def test_plans_are_the_same_each_time(pair: Pair, prefix: str) -> None:
    source, target = pair.filled(_chain(prefix))
    migration = Migration(source=source, target=target)
    assert migration.plan().text == migration.plan().text


@pytest.mark.case("S14")
def test_the_owner_of_the_database_is_named(pair: Pair, prefix: str) -> None:
    source, target = pair.source(), pair.target()
    database = pair.made[0][1]
    servers.run_script(
        source, f'CREATE ROLE {prefix}a; ALTER DATABASE "{database}" OWNER TO {prefix}a'
    )
    report = _run(source, target)
    report.raise_for_failures()
    assert [name for name, _ in _findings(report, "database_owner")] == ["DATABASE"]
