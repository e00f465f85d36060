"""A task settles only where the target has stored what the source sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from conftest import Pair, Servers
from pgmigrate import Migration, Report
from support import servers

TABLES = """
CREATE SCHEMA s;
CREATE TABLE s.a (id int PRIMARY KEY, v text);
CREATE TABLE s.b (id int, v text);
CREATE TABLE s.c (id int PRIMARY KEY, v text);
INSERT INTO s.a SELECT i, 'v' || i FROM generate_series(1, 10) i;
INSERT INTO s.b SELECT i, 'v' || i FROM generate_series(1, 10) i;
INSERT INTO s.c SELECT i, 'v' || i FROM generate_series(1, 10) i;
"""

KEEP_ODD = """
CREATE FUNCTION s.keep_odd() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF NEW.id % 2 = 0 THEN RETURN NULL; END IF; RETURN NEW; END $$;
"""

DROPS_EVEN = KEEP_ODD + (
    "CREATE TRIGGER drops_even BEFORE INSERT ON s.{} FOR EACH ROW EXECUTE FUNCTION s.keep_odd();"
)

# What stands on the target in place of s.a, and what the failure must name.
LOSING = {
    "trigger": (
        "CREATE TABLE s.a (id int PRIMARY KEY, v text);" + DROPS_EVEN.format("a"),
        "trigger drops_even on s.a",
    ),
    "trigger of one partition": (
        "CREATE TABLE s.a (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
        "CREATE TABLE s.low PARTITION OF s.a FOR VALUES FROM (0) TO (6);"
        "CREATE TABLE s.high PARTITION OF s.a DEFAULT;" + DROPS_EVEN.format("low"),
        "trigger drops_even on s.low",
    ),
    "trigger of one's own rows": (
        "CREATE TABLE s.a (id int PRIMARY KEY, v text); INSERT INTO s.a VALUES (1, 'mine');"
        + DROPS_EVEN.format("a"),
        "trigger drops_even on s.a",
    ),
    "trigger on update": (
        "CREATE TABLE s.a (id int PRIMARY KEY, v text); INSERT INTO s.a VALUES (2, 'mine');"
        + KEEP_ODD
        + "CREATE TRIGGER keeps BEFORE UPDATE ON s.a FOR EACH ROW EXECUTE FUNCTION s.keep_odd();",
        "trigger keeps on s.a",
    ),
}


def _migration(source: str, target: str, **options: Any) -> Migration:
    return Migration(source=source, target=target, roles="none", **options)


def _both(pair: Pair, on_source: str, on_target: str = "") -> tuple[str, str]:
    source, target = pair.filled(on_source)
    servers.run_script(target, on_target)
    return source, target


def _failed(report: Report) -> dict[str, str]:
    return {task.object: task.note for task in report.failed if task.status == "failed"}


@pytest.mark.case("S6")
@pytest.mark.parametrize("losing", LOSING)
def test_rows_that_a_trigger_leaves_out_fail_their_table_alone(pair: Pair, losing: str) -> None:
    """Small tables share a stream: the others arrive, and the cause is named."""
    made, cause = LOSING[losing]
    source, target = _both(pair, TABLES, f"CREATE SCHEMA s; {made}")
    before = servers.rows(target, "s", "a")
    mode = "update" if losing == "trigger on update" else "auto"
    migration = _migration(source, target, on_conflict=mode)
    report = migration.run()
    failed = _failed(report)
    assert set(failed) == {"s.a"}, failed
    assert (cause in failed["s.a"] and "10 rows were sent" in failed["s.a"]) or "9 rows" in failed[
        "s.a"
    ]
    assert servers.rows(target, "s", "a") == before, "rolled back"
    for table in ("b", "c"):
        assert servers.rows(target, "s", table) == servers.rows(source, "s", table)


@pytest.mark.case("S6")
def test_a_disabled_trigger_lets_a_resume_finish(pair: Pair) -> None:
    source, target = _both(pair, TABLES, "CREATE SCHEMA s;" + LOSING["trigger"][0])
    migration = _migration(source, target)
    plan = migration.plan()
    note = _failed(migration.run(plan))["s.a"]
    remedy = "ALTER TABLE s.a DISABLE TRIGGER drops_even"
    assert remedy in note
    servers.run_script(target, remedy)
    migration.run(plan, resume=True).raise_for_failures()
    assert servers.rows(target, "s", "a") == servers.rows(source, "s", "a")


@pytest.mark.case("S6")
def test_triggers_that_are_off_in_the_transaction_lose_nothing(pair: Pair) -> None:
    made = LOSING["trigger"][0] + TABLES.split("INSERT")[0].replace("CREATE SCHEMA s;", "").replace(
        "CREATE TABLE s.a (id int PRIMARY KEY, v text);", ""
    )
    source, target = _both(pair, TABLES, f"CREATE SCHEMA s; {made}")
    options = {"data_only": True, "target_triggers": "disable", "verify": True}
    report = _migration(source, target, options=options).run()
    report.raise_for_failures()
    assert servers.rows(target, "s", "a") == servers.rows(source, "s", "a")


@pytest.mark.case("S6")
def test_copy_ignores_rules_and_loses_nothing(pair: Pair) -> None:
    rule = "CREATE RULE nothing AS ON INSERT TO s.a DO INSTEAD NOTHING;"
    made = f"CREATE SCHEMA s; CREATE TABLE s.a (id int PRIMARY KEY, v text); {rule}"
    source, target = _both(pair, TABLES, made)
    _migration(source, target).run().raise_for_failures()
    assert servers.rows(target, "s", "a") == servers.rows(source, "s", "a")


@pytest.fixture
def postgres_fdw(all_servers: Servers) -> Iterator[str]:
    """A database of 15, the one server of the tests that has postgres_fdw, with a remote table."""
    if 15 not in servers.available_majors():
        pytest.skip("PostgreSQL 15 is not installed")
    server = all_servers.of(15)
    conninfo = servers.create_database(server, "row_counts_remote")
    yield conninfo
    servers.drop_database(server, "row_counts_remote")


@pytest.mark.case("S6")
def test_rows_that_a_foreign_server_leaves_out_fail_their_table(
    make_pair: Any, postgres_fdw: str
) -> None:
    pair = make_pair(15, 15)
    remote = conninfo_to_dict(postgres_fdw)
    servers.run_script(
        postgres_fdw,
        "CREATE SCHEMA s; CREATE TABLE s.a (id int, v text); " + DROPS_EVEN.format("a"),
    )
    made = f"""
        CREATE SCHEMA s; CREATE EXTENSION postgres_fdw SCHEMA s;
        CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw
            OPTIONS (host '{remote["host"]}', port '{remote["port"]}', dbname '{remote["dbname"]}');
        CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user '{remote["user"]}'
            {", password '" + str(remote["password"]) + "'" if remote.get("password") else ""});
        CREATE FOREIGN TABLE s.a (id int, v text) SERVER far;
    """
    source, target = _both(pair, TABLES, made)
    report = _migration(source, target, tables=["s.a"], options={"data_only": True}).run()
    note = _failed(report)["s.a"]
    assert "5 stored" in note and "foreign table s.a on server far" in note


@pytest.mark.case("S6")
def test_deleted_rows_are_gone_before_a_table_counts_as_empty(pair: Pair) -> None:
    """A foreign key makes TRUNCATE a DELETE, and a trigger keeps that from deleting."""
    made = f"""
        CREATE SCHEMA s; {KEEP_ODD.replace("NEW", "OLD")}
        CREATE TABLE s.a (id int PRIMARY KEY, v text);
        CREATE TABLE s.child (a int REFERENCES s.a);
        INSERT INTO s.a VALUES (1, 'x'), (2, 'y');
        CREATE TRIGGER keeps BEFORE DELETE ON s.a FOR EACH ROW EXECUTE FUNCTION s.keep_odd();
    """
    source, target = _both(pair, TABLES, made)
    report = _migration(source, target, on_existing="truncate").run()
    note = next(iter(task.note for task in report.failed if task.kind == "truncate"))
    assert "trigger keeps on s.a" in note
    assert servers.rows(target, "s", "a") == [("1", "x"), ("2", "y")]


LARGE_OBJECTS = """
SELECT lo_from_bytea(50000 + i, convert_to('content ' || i, 'UTF8')) FROM generate_series(1, 20) i;
SELECT lo_from_bytea(60000, convert_to(repeat('x', 3000000), 'UTF8'));
COMMENT ON LARGE OBJECT 50003 IS 'a comment;
COMMENT ON LARGE OBJECT 50004 IS ''no statement'';
';
COMMENT ON LARGE OBJECT 50004 IS 'mine';
COMMENT ON LARGE OBJECT 50005 IS 'five';
"""


@pytest.mark.case("S8")
def test_a_large_object_of_other_content_fails_alone_and_a_resume_mends_it(pair: Pair) -> None:
    taken = """
        SELECT lo_from_bytea(50004, 'the target''s'); COMMENT ON LARGE OBJECT 50004 IS 'theirs';
        SELECT lo_from_bytea(50005, convert_to('content 5', 'UTF8'));
        SELECT lo_from_bytea(60000, convert_to(repeat('x', 2999999) || 'y', 'UTF8'));
    """
    source, target = _both(pair, LARGE_OBJECTS, taken)
    migration = _migration(source, target)
    plan = migration.plan()
    report = migration.run(plan)
    [(name, note)] = _failed(report).items()
    assert name.startswith("large objects") and "2 of 21" in note
    assert "50004, 60000: the target has other large objects" in note
    wanted, found = servers.large_objects(source), servers.large_objects(target)
    assert set(found) == set(wanted)
    assert {oid for oid in wanted if wanted[oid] != found[oid]} == {50004, 60000}
    assert found[50004][2:] == ("theirs", b"the target's")
    servers.run_script(target, "SELECT lo_unlink(50004), lo_unlink(60000)")
    migration.run(plan, resume=True).raise_for_failures()
    assert servers.large_objects(target) == wanted


@pytest.mark.case("S7")
def test_a_large_object_that_is_gone_since_the_plan_fails_alone(pair: Pair) -> None:
    source, target = _both(pair, LARGE_OBJECTS)
    migration = _migration(source, target)
    plan = migration.plan()
    servers.run_script(source, "SELECT lo_unlink(50005)")
    note = next(iter(_failed(migration.run(plan)).values()))
    assert "1 of 21" in note and "50005: dropped from the source" in note
    assert servers.large_objects(target) == servers.large_objects(source)
    servers.run_script(
        source,
        "SELECT lo_from_bytea(50005, 'back'); COMMENT ON LARGE OBJECT 50005 IS 'five'",
    )
    migration.run(plan, resume=True).raise_for_failures()
    assert servers.large_objects(target) == servers.large_objects(source)


KEYLESS = """
CREATE SCHEMA s;
CREATE TABLE s.keyless (a int); INSERT INTO s.keyless VALUES (1), (2);
CREATE TABLE s.keyed (a int PRIMARY KEY); INSERT INTO s.keyed VALUES (1), (2);
"""


@pytest.mark.case("S10")
def test_a_keyless_table_that_is_left_alone_is_named(pair: Pair) -> None:
    """Preflight, run, report and text say the same, and truncate is a remedy that holds."""
    source, target = _both(pair, KEYLESS)
    migration = _migration(source, target)
    migration.run().raise_for_failures()
    servers.run_script(source, "INSERT INTO s.keyless VALUES (3); INSERT INTO s.keyed VALUES (3)")

    def reported(findings: Any) -> list[str]:
        return [f.object for f in findings if f.check == "rows_not_moved"]

    checked = migration.preflight().findings
    report = migration.run()
    assert reported(checked) == reported(report.findings) == ["s.keyless"]
    assert not any("all rows are added" in f.message for f in [*checked, *report.findings])
    [finding] = [f for f in report.findings if f.check == "rows_not_moved"]
    assert finding.severity == "warning" and "on_existing to truncate" in finding.remedy
    assert finding.message in report.text()
    task = next(t for t in report.tasks if t.object == "s.keyless" and t.kind == "data")
    assert task.status == "skipped" and "are not moved" in task.note
    assert servers.rows(target, "s", "keyless") == [("1",), ("2",)]
    assert servers.rows(target, "s", "keyed") == [("1",), ("2",), ("3",)]
    _migration(source, target, on_existing="truncate").run().raise_for_failures()
    servers.assert_equal(source, target)


@pytest.mark.case("S10")
def test_rows_that_no_run_has_copied_are_not_said_to_be_copied(pair: Pair) -> None:
    """A run that skipped the table has copied nothing: the next one appends, and says so."""
    own = "CREATE SCHEMA s; CREATE TABLE s.keyless (a int); INSERT INTO s.keyless VALUES (9)"
    source, target = _both(pair, KEYLESS, own)
    _migration(source, target, on_existing="skip").run().raise_for_failures()
    report = _migration(source, target).run()
    report.raise_for_failures()
    checks = {f.check for f in report.findings if f.object == "s.keyless"}
    assert "rows_appended" in checks and "rows_not_moved" not in checks
    assert servers.rows(target, "s", "keyless") == [("1",), ("2",), ("9",)]


@pytest.mark.case("S10")
def test_with_on_conflict_error_a_copied_table_is_left_alone_and_named(pair: Pair) -> None:
    source, target = _both(pair, KEYLESS)
    migration = _migration(source, target, on_conflict="error")
    migration.run().raise_for_failures()
    report = migration.run()
    report.raise_for_failures()
    reported = {f.object for f in report.findings if f.check == "rows_not_moved"}
    assert reported == {"s.keyless", "s.keyed"}


REFUSED = """
CREATE SCHEMA s;
CREATE DOMAIN s.query AS tsquery;
CREATE TABLE s.a (id int PRIMARY KEY, q tsquery);
INSERT INTO s.a VALUES (1, ''), (2, 'x & y'), (3, NULL);
CREATE TABLE s.b (q tsquery[], d s.query, o oidvector, i int2vector);
INSERT INTO s.b VALUES (ARRAY[''::tsquery, 'x'], '', '', '');
CREATE TABLE s.c (id int PRIMARY KEY); INSERT INTO s.c VALUES (1);
"""


@pytest.mark.case("S15")
def test_types_that_refuse_their_own_binary_form_are_text(any_pair: Pair) -> None:
    source, target = _both(any_pair, REFUSED)
    migration = _migration(source, target, options={"verify": True})
    plan = migration.plan()
    formats = {t.object: t.format for t in plan if t.kind == "data"}
    assert formats == {"s.a": "text", "s.b": "text", "s.c": "binary"}
    report = migration.run(plan)
    report.raise_for_failures()
    assert report.verification is not None and report.verification.ok


@pytest.mark.case("S15")
@pytest.mark.parametrize("way", ["batch", "alone", "merge"])
def test_rows_that_are_refused_in_binary_are_copied_as_text(pair: Pair, way: str) -> None:
    """`format: binary` stands in for a type that is not known to refuse its binary form."""
    source, target = _both(pair, REFUSED)
    if way == "merge":
        servers.run_script(
            target, "CREATE SCHEMA s; CREATE TABLE s.a (id int PRIMARY KEY, q tsquery);"
            "INSERT INTO s.a VALUES (2, 'x & y')",
        )  # fmt: skip
    migration = _migration(
        source, target, tables=["s.a"] if way == "alone" else ["s.a", "s.c"],
        options={"format": "binary", "verify": True},
    )  # fmt: skip
    report = migration.run()
    report.raise_for_failures()
    task = next(t for t in report.tasks if t.object == "s.a" and t.kind == "data")
    if way != "merge":
        # A table that existed before travels as text anyway.
        assert "copied as text, because binary was refused" in task.note
    other = [t.note for t in report.tasks if t.object == "s.c" and t.kind == "data"]
    assert other in ([], [""])
    assert servers.rows(target, "s", "a") == servers.rows(source, "s", "a")
    assert report.verification is not None and report.verification.ok
    assert migration.verify().ok


@pytest.mark.case("S15")
def test_data_that_is_wrong_as_text_too_fails_with_its_reason(pair: Pair) -> None:
    source, target = _both(pair, "CREATE SCHEMA s; CREATE TABLE s.n AS SELECT 40000 AS a")
    servers.run_script(target, "CREATE SCHEMA s; CREATE TABLE s.n (a smallint)")
    report = _migration(source, target, options={"format": "binary"}).run()
    [task] = [task for task in report.failed if task.kind == "data"]
    assert task.sqlstate == "22003"
    assert servers.rows(target, "s", "n") == []
