"""Extensions: rows of configuration tables, members made later, versions (S3, S4, F6, F7, B10)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conftest import Pair, Servers
from pgmigrate import Migration, PreflightError, Report
from support import extensions, servers
from support.shell import Shell

# One worker has them all: they share what takes long to start.
pytestmark = pytest.mark.xdist_group("extensions")

NAME = f"pgmigrate_test_{os.getpid()}"
# A user's rows, and what they have changed of the script's.
ROWS = f"""
CREATE EXTENSION {NAME} VERSION '1.0';
UPDATE ext.parent SET note = 'own' WHERE id = 1;
INSERT INTO ext.parent VALUES (7, 'seven');
INSERT INTO ext.child (parent) VALUES (7), (1), (7);
DELETE FROM ext.setting WHERE name = 'default';
INSERT INTO ext.setting VALUES ('mine', 'tab\tand \\backslash', false), ('null', NULL, false);
INSERT INTO ext.log VALUES ('own'), ('own');
SELECT setval('ext.number', 41);
CREATE SCHEMA app;
CREATE TABLE app.known (name text CHECK (ext.is_known(name)));
INSERT INTO app.known VALUES ('mine');
CREATE MATERIALIZED VIEW app.values AS SELECT name, ext.setting(name) AS value FROM app.known;
"""
TABLES = ("parent", "child", "setting", "log")


@pytest.fixture(scope="module", autouse=True)
def _extension(all_servers: Servers) -> Iterator[None]:
    with extensions.installed(NAME, {all_servers.of(16): "1.0", all_servers.of(18): "2.0"}):
        yield


@pytest.fixture
def source(pair: Pair) -> str:
    """A source with the extension and a user's rows in it."""
    return _filled(pair)


def _filled(pair: Pair, more: str = "") -> str:
    conninfo = pair.source()
    servers.run_script(conninfo, "CREATE SCHEMA ext;" + ROWS + more)
    return conninfo


def _migration(source: str, target: str, **options: Any) -> Migration:
    return Migration(source=source, target=target, roles="none", **options)


def _rows(conninfo: str, table: str) -> list[Any]:
    """The rows that meet the table's condition, read with psycopg."""
    columns = 'name, value, builtin, "Odd name"' if table == "setting" else "*"
    where = " WHERE NOT builtin" if table == "setting" else ""
    return sorted(servers.fetch(conninfo, f"SELECT {columns} FROM ext.{table}{where}"), key=repr)


def _assert_same(source: str, target: str) -> None:
    for table in TABLES:
        assert _rows(target, table) == _rows(source, table), table
    assert servers.fetch(target, "SELECT last_value, is_called FROM ext.number") == [(41, True)]
    # What the script of the target's version has inserted beyond the condition stays.
    own = servers.fetch(target, "SELECT name FROM ext.setting WHERE builtin")
    assert own == [("shipped",)]


def _assert_verified(report: Report) -> None:
    assert report.verification is not None
    assert report.verification.ok, report.verification.text()


def _checks(findings: Any) -> set[str]:
    return {finding.check for finding in findings}


@pytest.mark.case("S3")
def test_rows_of_configuration_tables_are_those_of_the_source(pair: Pair, source: str) -> None:
    target = pair.target()
    migration = _migration(source, target)
    plan = migration.plan()
    report = migration.run(plan, verify=True)
    report.raise_for_failures()
    _assert_verified(report)
    assert report.verification is not None
    assert {"ext.setting", "ext.log"} <= {t.object for t in report.verification.tables}
    _assert_same(source, target)
    # The view was filled, and the check's function had its rows.
    assert servers.fetch(target, 'SELECT name, value FROM app."values"') == [
        ("mine", "tab\tand \\backslash")
    ]
    # The next numbers are free.
    with psycopg.connect(target) as connection:
        connection.execute("INSERT INTO ext.child (parent) VALUES (7)")
    assert {"extension_configuration", "extension_version"} <= _checks(report.findings)
    # A row that the target lacks is found.
    servers.run_script(
        target, "DELETE FROM ext.child WHERE id > 3; DELETE FROM ext.setting WHERE name = 'null'"
    )
    assert not migration.verify(plan).ok


@pytest.mark.case("S3")
def test_a_rerun_neither_doubles_nor_loses_rows(pair: Pair, source: str) -> None:
    target = pair.target()
    _migration(source, target).run().raise_for_failures()
    servers.run_script(
        source,
        "UPDATE ext.setting SET value = 'new' WHERE name = 'mine';"
        "INSERT INTO ext.parent VALUES (8, 'eight'); UPDATE ext.parent SET note = 'x' WHERE id = 1",
    )
    report = _migration(source, target).run(verify=True)
    report.raise_for_failures()
    _assert_same(source, target)
    _assert_verified(report)


@pytest.mark.case("B10")
def test_a_killed_run_copies_configuration_rows_once(
    pair: Pair, source: str, tmp_path: Path
) -> None:
    target = pair.target()
    shell = Shell(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"source": source, "target": target, "roles": "none"}))
    databases = ["--config", str(config)]
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [extensions.LOCK])
        # The script of CREATE EXTENSION inserts into the table before it has the trigger.
        process = shell.start("migrate", *databases)
        _wait_for_trigger(connection)
        process.kill()
        process.communicate()
    done = shell.run("migrate", *databases, "--resume", "--verify")
    assert done.code == 0, done.text
    _assert_same(source, target)


def _wait_for_trigger(connection: psycopg.Connection[Any]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = connection.execute(
            "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s",
            [extensions.LOCK],
        )
        if found.fetchone() is not None:
            return
        time.sleep(0.05)
    raise AssertionError("no session waits in the trigger")


@pytest.mark.case("S3")
@pytest.mark.parametrize(
    ("options", "tables"),
    [
        ({"tables": ["ext.setting"]}, set(TABLES)),
        ({"schemas": {"mode": "exclude", "exclude": ["app"]}}, set(TABLES)),
        ({"schemas": {"mode": "include", "include": ["app"]}}, set(TABLES)),
        ({"tables": {"exclude": ["ext.child", "ext.log"]}}, {"parent", "setting"}),
    ],
    ids=["chosen", "other schema excluded", "needed", "excluded"],
)
def test_filters_choose_configuration_tables_as_pg_dump_does(
    pair: Pair, source: str, options: dict[str, Any], tables: set[str]
) -> None:
    plan = _migration(source, pair.target(), **options).plan()
    copied = {task.name for task in plan if task.kind == "data" and task.schema == "ext"}
    assert copied == tables
    assert [task.name for task in plan if task.kind == "extension"] == [NAME]


@pytest.mark.case("S3")
def test_a_chosen_table_is_copied_as_its_rule_says(pair: Pair, source: str) -> None:
    target = pair.target()
    rule = {"schema": "ext", "name": "setting", "where": "setting.name <> 'null'"}
    report = _migration(source, target, tables={"mode": "include", "include": [rule]}).run(
        verify=True
    )
    report.raise_for_failures()
    assert [row[0] for row in _rows(target, "setting")] == ["mine"]
    _assert_verified(report)


@pytest.mark.case("F6")
def test_an_extension_that_is_there_keeps_its_own_rows(pair: Pair, source: str) -> None:
    target = pair.target()
    servers.run_script(
        target,
        f"CREATE SCHEMA ext; CREATE EXTENSION {NAME} VERSION '1.0';"
        "INSERT INTO ext.setting VALUES ('theirs', 'x', false), ('mine', 'theirs', false);"
        "DELETE FROM ext.log",
    )
    report = _migration(source, target).run()
    report.raise_for_failures()
    names = servers.fetch(target, 'SELECT name, value FROM ext.setting ORDER BY name COLLATE "C"')
    assert names == [
        ("default", "old"),
        ("mine", "tab\tand \\backslash"),
        ("null", None),
        ("shipped", "by the script"),
        ("theirs", "x"),
    ]
    for table in ("parent", "child", "log"):
        assert _rows(target, table) == _rows(source, table), table


@pytest.mark.case("F6")
def test_a_version_without_the_table_or_a_column_is_named(pair: Pair, source: str) -> None:
    target = pair.target()
    servers.run_script(
        target,
        f"CREATE SCHEMA ext; CREATE EXTENSION {NAME} VERSION '1.0';"
        f"ALTER EXTENSION {NAME} DROP TABLE ext.child;"
        f"ALTER EXTENSION {NAME} DROP SEQUENCE ext.child_id_seq;"
        "DROP TABLE ext.child; ALTER TABLE ext.log RENAME line TO text",
    )
    with pytest.raises(PreflightError) as refused:
        _migration(source, target).run()
    named = {finding.object for finding in refused.value.findings if finding.severity == "blocking"}
    assert {"ext.child", "ext.log"} <= named
    chosen = {"tables": {"exclude": ["ext.child", "ext.log"]}}
    _migration(source, target, **chosen).run().raise_for_failures()
    assert _rows(target, "parent") == _rows(source, "parent")


@pytest.mark.case("F6")
def test_what_the_version_that_is_made_lacks_fails_by_name(pair: Pair) -> None:
    name = f"{NAME}_lacking"
    lacking = "DROP TABLE ext.child; ALTER TABLE ext.log RENAME line TO text;"
    versions = {pair.source_server: "1.0", pair.target_server: "2.0"}
    with extensions.installed(name, versions, second=lacking):
        source, target = pair.filled("CREATE SCHEMA ext;" + ROWS.replace(NAME, name))
        report = _migration(source, target).run()
    assert {task.object for task in report.failed if task.kind == "data"} == {
        "ext.child",
        "ext.log",
    }
    assert all(
        "version of the extension" in task.note for task in report.failed if task.kind == "data"
    )
    assert _rows(target, "parent") == _rows(source, "parent")


@pytest.mark.case("S3")
def test_data_only_runs_copy_chosen_configuration_tables(pair: Pair, source: str) -> None:
    target = pair.target()
    servers.run_script(target, f"CREATE SCHEMA ext; CREATE EXTENSION {NAME} VERSION '1.0'")
    report = _migration(source, target, data_only=True, tables=["ext.setting"]).run(verify=True)
    report.raise_for_failures()
    names = {row[0] for row in _rows(target, "setting")}
    assert names == {"default", "mine", "null"}
    assert _rows(target, "log") == [("by the script",)]


QUEUES = f"""
SELECT ext.make_queue('mail'), ext.make_queue('empty');
INSERT INTO ext.q_mail (message) VALUES ('one'), ('two');
INSERT INTO ext.static VALUES (2, 'own');
CREATE INDEX on_setting ON ext.setting (value);
CREATE TABLE app.tree (id int) PARTITION BY RANGE (id);
CREATE TABLE app.tree_1 PARTITION OF app.tree FOR VALUES FROM (0) TO (10);
INSERT INTO app.tree VALUES (1);
ALTER EXTENSION {NAME} ADD TABLE app.tree_1;
REVOKE ALL ON FUNCTION ext.is_known FROM PUBLIC;
GRANT SELECT ON ext.static TO PUBLIC;
"""


@pytest.mark.case("S4")
def test_members_that_were_added_later_are_named_as_not_moved(pair: Pair) -> None:
    source, target = _filled(pair, QUEUES), pair.target()
    # With the source's version, whatever differs was added.
    servers.run_script(target, f"CREATE SCHEMA ext; CREATE EXTENSION {NAME} VERSION '1.0'")
    migration = _migration(source, target)
    plan = migration.plan()
    assert "ext.q_mail" in "".join(
        f.message for f in plan.findings if f.check == "extension_members"
    )
    report = migration.run(plan, verify=True)
    report.raise_for_failures()
    absent = {item.object for item in report.absent}
    left = {"ext.q_mail", "ext.q_mail_id_seq", "ext.q_empty", "ext.static", "app.tree_1"}
    assert left | {"ext.on_setting"} <= absent
    assert not absent & {"ext.setting", "ext.log", "ext.parent"}
    (finding,) = [f for f in report.findings if f.check == "extension_members" and f.remedy]
    assert finding.object == NAME and str(len(absent)) in finding.message
    assert report.verification is not None and not report.verification.ok
    assert left <= {item.object for item in report.verification.not_moved}
    # Privileges of members are those of the source.
    (rights,) = servers.fetch(
        target,
        "SELECT has_function_privilege('public', 'ext.is_known(text)', 'EXECUTE'),"
        " has_table_privilege('public', 'ext.static', 'SELECT')",
    )
    assert rights == (False, True)
    # The remedy: the extension's own function, then a data-only run that names the table.
    servers.run_script(target, "SELECT ext.make_queue('mail'), ext.make_queue('empty')")
    chosen = _migration(source, target, data_only=True, tables=["ext.q_mail"])
    chosen.run().raise_for_failures()
    assert _rows(target, "q_mail") == _rows(source, "q_mail")
    assert servers.fetch(target, "SELECT nextval('ext.q_mail_id_seq')") == [(3,)]


@pytest.mark.case("S4")
def test_a_chosen_table_that_is_no_configuration_table_is_said_to_be_left_out(
    pair: Pair, source: str
) -> None:
    plan = _migration(source, pair.target(), tables=["ext.static", "app.known"]).plan()
    assert "ext.static" in {item.object for item in plan.absent}


@pytest.mark.case("S4")
def test_rows_of_the_script_are_no_loss(pair: Pair, source: str) -> None:
    """With a newer version on the target, what only that version has is no difference."""
    report = _migration(source, pair.target()).run()
    assert report.absent == ()
    assert not [f for f in report.findings if f.check == "extension_members" and f.remedy]


@pytest.mark.case("F6")
def test_an_extension_of_a_superuser_needs_no_rights_where_the_source_has_no_rows(
    pair: Pair,
) -> None:
    source, target = pair.source(), pair.target()
    made = f"CREATE SCHEMA ext; CREATE EXTENSION {NAME} VERSION '1.0';"
    servers.run_script(
        source,
        made + "DELETE FROM ext.setting WHERE NOT builtin;"
        "CREATE TABLE public.own AS SELECT 1 AS id",
    )
    role = f"plain_{os.getpid()}"
    servers.run_script(
        target,
        made
        + f"CREATE ROLE {role} LOGIN PASSWORD 'secret'; GRANT CREATE ON SCHEMA public TO {role};"
        f"GRANT USAGE ON SCHEMA ext TO {role}; GRANT SELECT ON ext.setting TO {role};"
        f'GRANT CREATE ON DATABASE "{conninfo_to_dict(target)["dbname"]}" TO {role}',
    )
    try:
        # What the tables without a condition hold, the role would have to write.
        others = ["ext.parent", "ext.child", "ext.child_id_seq", "ext.log", "ext.number"]
        plain = make_conninfo(target, user=role, password="secret")
        migration = _migration(source, plain, tables={"mode": "exclude", "exclude": others})
        report = migration.run()
        (finding,) = [f for f in report.findings if f.object == "ext.setting" and f.remedy]
        assert finding.check == "target_right" and finding.severity == "warning"
        settled = {task.object: task.status for task in report.tasks if task.kind == "data"}
        assert settled == {"ext.setting": "done", "public.own": "done"}
        assert servers.fetch(target, "SELECT name FROM ext.setting WHERE NOT builtin") == [
            ("default",)
        ]
    finally:
        servers.run_script(target, f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize("by", ["extension", "event trigger"])
def test_what_runs_during_an_entry_of_pre_data_sets_nothing_for_the_next(
    pair: Pair, by: str
) -> None:
    space = f"{NAME}_space"
    setting = f"default_tablespace = '{space}'"
    source, target = pair.source(), pair.target()
    leaking = extensions.installed(
        f"{NAME}_leaking",
        {pair.source_server: "1.0", pair.target_server: "2.0"},
        second=f"SET LOCAL {setting};",
    )
    with psycopg.connect(target, autocommit=True) as admin, leaking as extension:
        admin.execute("SET allow_in_place_tablespaces = on")
        admin.execute(f"CREATE TABLESPACE {space} LOCATION ''")
        try:
            servers.run_script(source, "CREATE TABLE a (id int); CREATE TABLE b (id int);")
            if by == "extension":
                made = f"CREATE SCHEMA ext; CREATE EXTENSION {extension} VERSION '1.0'"
                servers.run_script(source, made)
            else:
                servers.run_script(
                    target,
                    f"""
                    CREATE SCHEMA own;
                    CREATE FUNCTION own.sets() RETURNS event_trigger LANGUAGE plpgsql AS
                        $$BEGIN SET LOCAL {setting}; END$$;
                    CREATE EVENT TRIGGER sets ON ddl_command_end EXECUTE FUNCTION own.sets();
                    """,
                )
            _migration(source, target).run().raise_for_failures()
            places = "SELECT relname, reltablespace FROM pg_class WHERE relname IN ('a', 'b')"
            assert sorted(servers.fetch(target, places)) == [("a", 0), ("b", 0)]
        finally:
            admin.execute("DROP EVENT TRIGGER IF EXISTS sets")
            admin.execute("DROP TABLE IF EXISTS a, b")
            admin.execute(f"DROP TABLESPACE {space}")
