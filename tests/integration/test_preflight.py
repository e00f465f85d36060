"""What preflight finds before the target is touched, a case a test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conftest import Pair, Servers
from pgmigrate import Migration, Parallel, PreflightError
from pgmigrate.cli import main
from pgmigrate.embedded import EmbeddedServer, find_installations
from support import servers
from support.lost_answer import before_statement

_numbers = itertools.count(1)
MakeRole = Callable[..., str]
MakePair = Callable[[int, int], Pair]


@pytest.fixture
def make_role(all_servers: Servers) -> Iterator[MakeRole]:
    """Makes a role on a server of some major; gone at the end, after the databases of `pair`."""
    made: list[tuple[EmbeddedServer, str]] = []

    def make(major: int, attributes: str = "LOGIN") -> str:
        server, name = all_servers.of(major), f"preflight_{next(_numbers)}"
        _run(server.conninfo, f"CREATE ROLE {name} {attributes} PASSWORD 'preflight'")
        made.append((server, name))
        return name

    yield make
    for server, name in reversed(made):
        # A run may have made the role on other servers, too.
        for other in {server, *all_servers.running.values()}:
            _run(other.conninfo, f"DROP ROLE IF EXISTS {name}")


def _run(conninfo: str, *statements: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def _as(conninfo: str, role: str) -> str:
    return make_conninfo(conninfo, user=role, password="preflight")


@contextmanager
def _open(conninfo: str, *statements: str, **settings: str) -> Iterator[None]:
    """A session that stays in a transaction with these statements."""
    with psycopg.connect(conninfo, **settings) as connection:  # type: ignore[arg-type]
        for statement in statements:
            connection.execute(statement)
        yield
        connection.rollback()


def _found(source: str, target: str, **options: object) -> dict[tuple[str, str], tuple[str, str]]:
    """(check, object) -> (severity, message and remedy)."""
    options.setdefault("roles", "none")
    result = Migration(source=source, target=target, **options).preflight()  # type: ignore[arg-type]
    weights = [finding.severity for finding in result.findings]
    assert weights == sorted(weights, key=["blocking", "warning", "info"].index)
    return {(f.check, f.object): (f.severity, f"{f.message}; {f.remedy}") for f in result.findings}


def _blocking(found: dict[tuple[str, str], tuple[str, str]]) -> set[tuple[str, str]]:
    return {key for key, (severity, _) in found.items() if severity == "blocking"}


def test_nothing_blocks_and_nothing_warns_when_all_is_well(any_pair: Pair) -> None:
    found = _found(any_pair.source("pagila_like"), any_pair.target(), roles="all")
    majors = [server.major or 0 for server in (any_pair.source_server, any_pair.target_server)]
    expected = {("target_older", "")} if majors[1] < majors[0] else set()
    assert {key for key, (severity, _) in found.items() if severity != "info"} == expected
    assert "of tables" in found["disk", ""][1]


def test_a_blocked_run_touches_nothing(pair: Pair) -> None:
    source, target = pair.source("pagila_like"), pair.target()
    _run(target, f"ALTER DATABASE {_name(target)} SET default_transaction_read_only = on")
    with pytest.raises(PreflightError) as caught:
        Migration(source=source, target=target, roles="none").run()
    assert "target_read_only" in {finding.check for finding in caught.value.findings}
    assert servers.tables(target) == []


def test_the_same_database_on_both_ends_is_refused(pair: Pair) -> None:
    source = pair.source()
    assert ("same_database", "") in _blocking(_found(source, source))


def test_a_pg_dump_older_than_the_source_is_refused(make_pair: MakePair) -> None:
    installed = find_installations()
    older = min(installed)
    assert older < 18, "the extra `test` brings programs of 16"
    pair = make_pair(18, 18)
    found = _found(pair.source(), pair.target(), pg_dump=str(installed[older] / "pg_dump"))
    severity, words = found["pg_dump_version", ""]
    assert severity == "blocking"
    assert f"pg_dump {older}" in words and "pgmigrate[pgtools]" in words


@pytest.mark.case("F1")
def test_a_table_that_row_security_would_filter_is_refused(make_role: MakeRole, pair: Pair) -> None:
    source, role = pair.source(), make_role(16)
    _run(
        source,
        "CREATE TABLE guarded (id int)",
        "INSERT INTO guarded SELECT generate_series(1, 10)",
        "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY",
        f"GRANT SELECT ON guarded TO {role}",
    )
    found = _found(_as(source, role), pair.target())
    assert _blocking(found) == {("row_security", "public.guarded")}
    assert "BYPASSRLS" in found["row_security", "public.guarded"][1]
    assert _blocking(_found(source, pair.target("_superuser"))) == set()


@pytest.mark.case("F2")
def test_roles_without_passwords_are_reported(make_role: MakeRole, pair: Pair) -> None:
    source, reader, other = pair.source(), make_role(16), make_role(16)
    found = _found(_as(source, reader), pair.target(), roles="all")
    severity, words = found["role_passwords", ""]
    assert severity == "warning"
    assert other in words


@pytest.mark.case("F3")
def test_attributes_that_the_target_cannot_give_are_reported(
    make_role: MakeRole, pair: Pair
) -> None:
    source, target = pair.source(), pair.target()
    strong, maker = (
        make_role(16, "NOLOGIN SUPERUSER REPLICATION"),
        make_role(18, "LOGIN CREATEROLE"),
    )
    _run(target, f"GRANT CREATE ON DATABASE {_name(target)} TO {maker}")
    found = _found(source, _as(target, maker), roles="all")
    severity, words = found["role_attributes", strong]
    assert severity == "warning"
    assert f'ALTER ROLE "{strong}" SUPERUSER REPLICATION' in words
    assert not [key for key in found if key[0] == "role_creation"]


def test_roles_that_cannot_be_made_are_refused(make_role: MakeRole, pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    new, plain = make_role(16), make_role(18)
    _run(target, f"GRANT CREATE ON DATABASE {_name(target)} TO {plain}")
    found = _found(source, _as(target, plain), roles="all")
    assert ("role_creation", new) in _blocking(found)
    assert "CREATEROLE" in found["role_creation", new][1]


def test_grantees_that_the_target_lacks_are_reported(make_role: MakeRole, pair: Pair) -> None:
    source, grantee = pair.source(), make_role(16)
    _run(source, "CREATE TABLE shown (id int)", f"GRANT SELECT ON shown TO {grantee}")
    found = _found(source, pair.target())
    assert found["role_missing", grantee][0] == "warning"
    assert ("role_missing", grantee) not in _found(source, pair.target("_with_roles"), roles="all")


@pytest.mark.case("F5")
def test_owners_that_cannot_be_set_are_reported(make_role: MakeRole, pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    owner, maker = make_role(16), make_role(18)
    _run(source, "CREATE TABLE owned (id int)", f"ALTER TABLE owned OWNER TO {owner}")
    _run(target, f"GRANT CREATE ON DATABASE {_name(target)} TO {maker}")
    severity, words = _found(source, _as(target, maker))["owner", owner]
    assert severity == "warning"
    assert f"1 of its objects will belong to {maker}" in words


@pytest.mark.case("F6")
def test_extensions_are_looked_up_on_the_target(make_pair: MakePair) -> None:
    pair = make_pair(18, 16)
    installed = "SELECT count(*) FROM pg_available_extensions WHERE name IN ('citext', 'hstore')"
    with psycopg.connect(pair.source_server.conninfo) as connection:
        assert connection.execute(installed).fetchone() == (2,)
    source, target = pair.source(), pair.target()
    _run(source, "CREATE EXTENSION citext", "CREATE EXTENSION hstore")
    with psycopg.connect(target) as connection:
        there = connection.execute("SELECT name FROM pg_available_extensions").fetchall()
    missing = {"citext", "hstore"} - {name for (name,) in there}
    found = _found(source, target)
    assert _blocking(found) == {("extension_missing", name) for name in missing}


@pytest.mark.case("F6")
def test_an_extension_in_another_schema_is_reported(make_pair: MakePair) -> None:
    pair = make_pair(18, 18)
    source, target = pair.source(), pair.target()
    _run(source, "CREATE EXTENSION citext")
    _run(
        target, "CREATE SCHEMA elsewhere", "CREATE EXTENSION citext SCHEMA elsewhere VERSION '1.4'"
    )
    found = _found(source, target)
    assert found["extension_schema", "citext"][0] == "warning"
    assert 'ALTER EXTENSION "citext" SET SCHEMA "public"' in found["extension_schema", "citext"][1]
    assert found["extension_version", "citext"][0] == "warning"


@pytest.mark.case("F10")
def test_too_few_connections_are_reported(make_role: MakeRole, pair: Pair) -> None:
    source, role = pair.source(), make_role(16, "LOGIN CONNECTION LIMIT 5")
    parallel: Parallel = {"max_jobs": 60}
    migration = Migration(
        source=_as(source, role), target=pair.target(), roles="none", parallel=parallel
    )
    limited = [f for f in migration.preflight().findings if f.check == "connections"]
    # With few CPUs a run needs few connections.
    assert all("jobs=2" in finding.remedy for finding in limited)
    role = make_role(16, "LOGIN CONNECTION LIMIT 2")
    assert ("connections", "") in _blocking(_found(_as(source, role), pair.target("_two")))


@pytest.mark.case("F11")
def test_every_missing_right_is_listed_at_once(make_role: MakeRole, pair: Pair) -> None:
    source, role = pair.source(), make_role(16)
    _run(
        source,
        "CREATE TABLE open (id int)",
        f"GRANT SELECT ON open TO {role}",
        'CREATE TABLE "Closed One" (id serial)',
        "CREATE SCHEMA hidden",
        f"CREATE TABLE hidden.inner (id int); GRANT SELECT ON hidden.inner TO {role}",
        "CREATE TABLE parts (id int) PARTITION BY LIST (id)",
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1)",
        "CREATE SEQUENCE alone",
    )
    expected = {
        'public."Closed One"', 'public."Closed One_id_seq"', "hidden.inner", "public.parts",
        "public.parts_1", "public.alone",
    }  # fmt: skip
    result = Migration(source=_as(source, role), target=pair.target(), roles="none").preflight()
    blocking = [finding for finding in result.findings if finding.severity == "blocking"]
    # One line a cause: the schema, its tables, its sequences.
    assert {finding.check for finding in blocking} == {"source_right"}
    assert len(blocking) == 3
    assert {name for finding in blocking for name in finding.objects} == expected
    assert f"{role} has no SELECT on 3 tables in schema public" in result.text()
    with psycopg.connect(source, autocommit=True) as connection:
        for finding in blocking:
            connection.execute(finding.remedy.encode())
    assert _blocking(_found(_as(source, role), pair.target("_granted"))) == set()


@pytest.mark.case("L5")
def test_many_rights_are_one_line_and_one_grant(
    make_role: MakeRole, pair: Pair, capfd: pytest.CaptureFixture[str]
) -> None:
    source, target, role = pair.source(), pair.target(), make_role(16)
    _run(source, "CREATE SCHEMA bookings", f"GRANT USAGE ON SCHEMA bookings TO {role}")
    _run(source, *(f"CREATE TABLE bookings.t{i:02} (id serial)" for i in range(25)))
    code = main(["migrate", "--source", _as(source, role), "--target", target])
    printed = " ".join(capfd.readouterr().err.split())
    assert code == 3
    assert f"{role} has no SELECT on 25 tables in schema bookings (t00, t01, t02 and 22 more)" in (
        printed
    )
    for kind in ("TABLES", "SEQUENCES"):
        grant = f'GRANT SELECT ON ALL {kind} IN SCHEMA "bookings" TO "{role}"'
        assert printed.count(grant) == 1
        _run(source, grant)
    assert _blocking(_found(_as(source, role), target)) == set()


@pytest.mark.case("F11")
def test_a_large_object_that_may_not_be_read_is_listed(make_role: MakeRole, pair: Pair) -> None:
    source, role = pair.source(), make_role(16)
    _run(
        source,
        "SELECT lo_create(4711), lo_create(4712)",
        f"GRANT SELECT ON LARGE OBJECT 4712 TO {role}",
    )
    found = _found(_as(source, role), pair.target())
    assert _blocking(found) == {("source_right", "large object 4711")}


@pytest.mark.case("F13")
def test_no_create_on_the_target_names_the_grant(make_role: MakeRole, pair: Pair) -> None:
    source, target, role = pair.source(), pair.target(), make_role(18)
    _run(source, "CREATE TABLE t (id int)")
    found = _found(source, _as(target, role))
    assert _blocking(found) == {("target_create", _name(target)), ("target_create", "public")}
    database = found["target_create", _name(target)][1].split("; ", 1)[1]
    assert database == f'GRANT CREATE ON DATABASE "{_name(target)}" TO "{role}"'
    _run(target, database, found["target_create", "public"][1].split("; ", 1)[1])
    assert _blocking(_found(source, _as(target, role))) == set()


@pytest.mark.case("C5")
def test_bytes_that_a_target_may_refuse_are_reported(pair: Pair) -> None:
    name = f"{pair.name}_ascii"
    source = servers.create_database(pair.source_server, name, encoding="SQL_ASCII", locale="C")
    pair.made.append((pair.source_server, name))
    severity, words = _found(source, pair.target())["encoding", ""]
    assert severity == "warning"
    assert "SQL_ASCII" in words and "UTF8" in words


@pytest.mark.case("E17")
def test_a_collation_of_an_older_library_is_reported(make_pair: MakePair) -> None:
    # From 17 on there is a collation with a version on every machine.
    pair = make_pair(18, 18)
    source, target = pair.source(), pair.target()
    _run(source, "CREATE TABLE sorted (name text COLLATE pg_c_utf8)")
    assert ("collation_version", "") not in _found(source, target)
    _run(source, "UPDATE pg_collation SET collversion = '0' WHERE collname = 'pg_c_utf8'")
    severity, words = _found(source, target)["collation_version", ""]
    assert severity == "warning"
    assert "version 0" in words and "REFRESH VERSION" in words


def test_tables_that_differ_show_the_difference(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    _run(source, "CREATE TABLE item (id int PRIMARY KEY, price numeric(10,2), note text)")
    _run(
        target,
        "CREATE TABLE item (id int PRIMARY KEY, price float8, added date, needed int NOT NULL)",
    )
    result = Migration(source=source, target=target, roles="none").preflight()
    reported = {
        (f.check, f.severity): f.message for f in result.findings if f.object == "public.item"
    }
    assert reported["column_type", "warning"] == (
        "column price: numeric(10,2) on the source, double precision on the target"
    )
    assert "column note: text" in reported["column_missing", "blocking"]
    assert "column needed: integer NOT NULL" in reported["column_extra", "blocking"]
    assert "column added: date" in reported["column_extra", "info"]


def test_rows_on_the_target_block_where_on_existing_is_error(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    for conninfo in (source, target):
        _run(conninfo, "CREATE TABLE kept (id int PRIMARY KEY)", "INSERT INTO kept VALUES (1)")
    found = _found(source, target, on_existing="error")
    assert _blocking(found) == {("table_exists", "public.kept")}
    words = {
        "append": "rows are added whose key is not taken",
        "truncate": "emptied first",
        "skip": "left as they are",
    }
    for on_existing, fate in words.items():
        found = _found(source, target, on_existing=on_existing)
        assert _blocking(found) == set()
        assert fate in found["table_exists", ""][1]


def test_a_view_in_a_tables_place_is_refused(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    _run(source, "CREATE TABLE place (id int)")
    _run(target, "CREATE VIEW place AS SELECT 1 AS id")
    assert ("table_kind", "public.place") in _blocking(_found(source, target))


def test_tablespaces_that_the_target_lacks_are_refused(pair: Pair) -> None:
    source = pair.source()
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute("SET allow_in_place_tablespaces = on")
        connection.execute("CREATE TABLESPACE preflight_space LOCATION ''")
    try:
        _run(source, "CREATE TABLE spaced (id int) TABLESPACE preflight_space")
        assert ("tablespace", "preflight_space") in _blocking(_found(source, pair.target()))
        assert _blocking(_found(source, pair.target("_none"), tablespaces=False)) == set()
    finally:
        _run(source, "DROP TABLE IF EXISTS spaced", "DROP TABLESPACE preflight_space")


def test_other_sessions_and_writers_are_listed(make_role: MakeRole, pair: Pair) -> None:
    source, target, role = pair.source(), pair.target(), make_role(16)
    _run(source, "CREATE TABLE busy (id int)", f"GRANT SELECT ON busy TO {role}")
    with (
        _open(source, "INSERT INTO busy VALUES (1)", application_name="the writer"),
        _open(target, application_name="the visitor"),
    ):
        # A role without pg_monitor sees them, too.
        found = _found(_as(source, role), target)
    assert found["source_writers", ""][0] == "warning"
    assert "the writer" in found["source_writers", ""][1]
    assert found["target_sessions", ""][0] == "warning"
    assert "the visitor" in found["target_sessions", ""][1]


def test_locks_on_tables_in_scope_are_reported_and_not_waited_for(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    for conninfo in (source, target):
        _run(conninfo, "CREATE TABLE held (id int)")
    with _open(target, "LOCK TABLE held IN ACCESS EXCLUSIVE MODE"):
        assert "public.held" in _found(source, target)["table_locks", ""][1]


def test_prepared_transactions_are_reported(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    _run(source, "CREATE TABLE half (id int)")
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute("BEGIN; INSERT INTO half VALUES (1); PREPARE TRANSACTION 'left behind'")
        try:
            severity, words = _found(source, target)["prepared_transaction", "left behind"]
            assert severity == "warning"
            assert "ROLLBACK PREPARED 'left behind'" in words
        finally:
            connection.execute("ROLLBACK PREPARED 'left behind'")


@pytest.mark.case("B5")
def test_an_active_run_is_refused(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    # The two numbers that a run locks.
    with _open(target, "SELECT pg_advisory_lock(1885826409, 1)"):
        assert ("run_active", "") in _blocking(_found(source, target))
    assert ("run_active", "") not in _found(source, target)


@pytest.mark.case("E3")
def test_invalid_indexes_of_the_source_are_reported(pair: Pair) -> None:
    source = pair.source()
    _run(source, "CREATE TABLE twice (id int)", "INSERT INTO twice VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        _run(source, "CREATE UNIQUE INDEX CONCURRENTLY twice_id ON twice (id)")
    severity, words = _found(source, pair.target())["invalid_indexes", ""]
    assert severity == "info"
    assert "public.twice_id" in words


@pytest.mark.case("A8")
def test_a_standby_is_reported_and_its_unlogged_tables_refused() -> None:
    with servers.start(18) as primary:
        source = servers.create_database(primary, "preflight_standby")
        target = servers.create_database(primary, "preflight_target")
        _run(source, "CREATE TABLE logged (id int)", "CREATE UNLOGGED TABLE unlogged (id int)")
        standby = servers.start_standby(primary)
        try:
            found = _found(standby.conninfo_for("preflight_standby"), target)
        finally:
            standby.stop()
    assert _blocking(found) == {("unlogged", "public.unlogged")}
    assert found["source_standby", ""][0] == "info"
    assert found["standby_conflicts", ""][0] == "warning"


def test_findings_hold_no_password(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    _run(source, "CREATE TABLE t (id int)")
    with _open(target):
        result = Migration(source=source, target=target).preflight()
    password = conninfo_to_dict(source).get("password")
    assert password
    assert str(password) not in result.text() + repr(result)


def _name(conninfo: str) -> str:
    return str(conninfo_to_dict(conninfo)["dbname"])


def test_names_are_quoted_in_remedies(make_role: MakeRole, pair: Pair) -> None:
    source, role = pair.source(), make_role(16)
    odd = 'Odd."; DROP'
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE TABLE {} (id int)").format(sql.Identifier(odd)))
    ((check, _object),) = _blocking(_found(_as(source, role), pair.target()))
    assert check == "source_right"
    found = _found(_as(source, role), pair.target("_again"))
    (words,) = [words for (check, _), (_, words) in found.items() if check == "source_right"]
    assert words.endswith('GRANT SELECT ON "public"."Odd.""; DROP" TO "' + role + '"')


def test_a_table_that_is_made_meanwhile_is_found_with_its_columns(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    table = "CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY, v text)"
    servers.run_script(source, table)
    made: list[None] = []

    def make() -> None:
        _run(target, table)
        made.append(None)

    # Another part of the run makes the table just before the target's tables are listed.
    with before_statement(target, "row_security_active", make) as way:
        found = Migration(source=source, target=way).preflight()
    assert made
    assert "column_missing" not in {finding.check for finding in found.findings}
