"""A plan that was reviewed: it is run as it is, or not at all, and each difference is named."""

from __future__ import annotations

import shlex
from pathlib import Path

import psycopg
import pytest

from conftest import Pair
from pgmigrate import DriftError, Migration
from support import servers
from support.shell import Done, Shell

SCRIPT = """
CREATE SCHEMA s;
CREATE TYPE s.mood AS ENUM ('good');
CREATE TABLE s.old (id int PRIMARY KEY, v text, w text);
CREATE TABLE s.gone (id int PRIMARY KEY);
CREATE TABLE s.narrow (id int);
CREATE INDEX old_v ON s.old (v);
INSERT INTO s.old SELECT i, 'x', 'y' FROM generate_series(1, 5) i;
CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE VIEW s.view AS SELECT id FROM s.old;
CREATE SEQUENCE s.number;
SELECT lo_from_bytea(900001, 'old');
"""
# Whatever is changed, with the line that says so.
LATER = {
    "CREATE TABLE s.new (id int)": "s.new: added (table)",
    "DROP TABLE s.gone": "s.gone: removed (table)",
    "ALTER TABLE s.narrow ADD COLUMN v int": "s.narrow: changed (",
    "DROP INDEX s.old_v": "s.old_v: removed (index)",
    "CREATE INDEX old_w ON s.old (w)": "s.old_w: added (index)",
    "ALTER TABLE s.old ADD CONSTRAINT few CHECK (id < 1000000)": "s.old: changed (",
    "CREATE OR REPLACE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 2'": (
        "s.f(): changed (function)"
    ),
    "CREATE OR REPLACE VIEW s.view AS SELECT id FROM s.old WHERE id > 1": "s.view: changed (view)",
    "CREATE SEQUENCE s.another": "s.another: added (sequence)",
    "ALTER SEQUENCE s.number INCREMENT 7": "s.number: changed (sequence)",
    "ALTER TYPE s.mood ADD VALUE 'bad'": "s.mood: changed (type)",
    "COMMENT ON TABLE s.old IS 'later'": "TABLE old in s: added (comment, privileges)",
    "GRANT SELECT ON s.old TO PUBLIC": "TABLE old in s: added (comment, privileges)",
    "CREATE RULE r AS ON DELETE TO s.old DO INSTEAD NOTHING": "s.old r: added (rule)",
    "SELECT lo_from_bytea(900002, 'new')": "large object 900002: added (contents)",
}
MORE_ROWS = "INSERT INTO s.old SELECT i, 'x' FROM generate_series(6, 5000) i; ANALYZE"


def run(shell: Shell, verb: str, *arguments: str) -> Done:
    return shell.run(verb, "--config", "config.json", *arguments)


def is_untouched(target: str) -> bool:
    query = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('pgmigrate', 's')"
    with psycopg.connect(target) as connection:
        return connection.execute(query).fetchone() == (0,)


def test_every_kind_of_change_is_named_and_sizes_are_none(both: tuple[str, str]) -> None:
    source, target = both
    migration = Migration(source=source, target=target, roles="none")
    plan = migration.plan()
    servers.run_script(source, MORE_ROWS)
    found = plan.diff(migration.plan())
    assert found.same and found.resized == ("s.old",)
    for statement in LATER:
        servers.run_script(source, statement)
    found = plan.diff(migration.plan())
    lines = [change.text() for change in found.changes]
    for statement, line in LATER.items():
        assert any(one.startswith(line) for one in lines), (statement, lines)
    with pytest.raises(DriftError) as caught:
        migration.run(plan, on_drift="refuse")
    assert caught.value.problems == (*found.basis, *lines)
    assert is_untouched(target)
    # The plan of now is none.
    assert migration.plan().diff(migration.plan()).same


def test_a_reviewed_plan_is_run_and_stays_as_it_is(both: tuple[str, str], shell: Shell) -> None:
    assert run(shell, "plan", "--plan", "p.tsv").code == 0
    reviewed = (shell.folder / "p.tsv").read_bytes()
    servers.run_script(both[0], MORE_ROWS)
    assert run(shell, "plan", "--diff", "--plan", "p.tsv").code == 0
    done = run(shell, "migrate", "--plan", "p.tsv")
    assert done.code == 0, done.text
    assert (shell.folder / "p.tsv").read_bytes() == reviewed
    servers.assert_equal(*both)


def test_a_plan_that_differs_stops_before_anything_and_each_printed_command_goes_on(
    both: tuple[str, str], shell: Shell
) -> None:
    source, target = both
    assert run(shell, "plan", "--plan", "p.tsv").code == 0
    reviewed = (shell.folder / "p.tsv").read_bytes()
    servers.run_script(source, "CREATE TABLE s.new (a int); INSERT INTO s.new VALUES (1)")
    for flags in ((), ("--dry-run",)):
        done = run(shell, "migrate", "--plan", "p.tsv", "--jobs", "1", *flags)
        assert done.code == 11, done.text
        assert "error: s.new: added (table)\n" in done.stderr
        assert is_untouched(target)
        assert (shell.folder / "p.tsv").read_bytes() == reviewed
    done = run(shell, "migrate", "--plan", "p.tsv", "--jobs", "1")
    printed = dict(
        line.split(": pgmigrate ") for line in done.stderr.splitlines() if ": pgm" in line
    )
    again = {words: shlex.split(command) for words, command in printed.items()}
    compared = shell.run(*again["to see all differences"])
    assert compared.code == 11 and "s.new: added (table)" in compared.stdout
    done = shell.run(*again["to run the plan as it is, where only objects differ"])
    assert done.code == 0, done.text
    assert ("s", "new") not in servers.tables(target)
    assert (shell.folder / "p.tsv").read_bytes() == reviewed
    done = shell.run(*again["to make a new plan and run it"])
    assert done.code == 0, done.text
    assert (shell.folder / "p.tsv").read_bytes() != reviewed
    servers.assert_equal(source, target)


def test_another_configuration_is_a_difference(both: tuple[str, str], shell: Shell) -> None:
    assert run(shell, "plan").code == 0
    shell.write_config(*both, options={"format": "text"})
    for arguments in (("migrate", "--plan", "plan.tsv"), ("plan", "--diff")):
        done = run(shell, *arguments)
        assert done.code == 11, done.text
        assert "options.format: auto in the plan, text now" in done.text
    # Nothing makes a plan of other options fit these.
    assert run(shell, "migrate", "--plan", "plan.tsv", "--accept-drift").code == 11
    assert is_untouched(both[1])


def test_the_safe_procedure_stops_nothing_for_a_plan_that_differs(
    both: tuple[str, str], shell: Shell, tmp_path: Path
) -> None:
    procedure = {"stop": "touch stopped", "start": "touch started", "cwd": str(tmp_path)}
    options = {"backup_dir": str(tmp_path / "backup")}
    shell.write_config(*both, procedure=procedure, options=options)
    assert run(shell, "plan").code == 0
    servers.run_script(both[0], "CREATE TABLE s.new (a int)")
    done = run(shell, "safe", "--plan", "plan.tsv")
    assert done.code == 11, done.text
    assert "s.new: added (table)" in done.stderr and "--accept-drift" in done.stderr
    assert not (tmp_path / "stopped").exists() and is_untouched(both[1])


OBJECTS = """
CREATE ROLE {p}a; CREATE ROLE {p}b;
SELECT lo_create(oid) FROM generate_series(900101, 900106) AS oid;
GRANT SELECT ON LARGE OBJECT 900101 TO {p}a; GRANT UPDATE ON LARGE OBJECT 900102 TO {p}a;
COMMENT ON LARGE OBJECT 900103 IS 'it;\n''s'; COMMENT ON LARGE OBJECT 900104 IS 'same';
"""
OF_OBJECTS = {
    "ALTER LARGE OBJECT 900105 OWNER TO {p}b": (900105, "owner"),
    "COMMENT ON LARGE OBJECT 900103 IS 'it;\n''s other'": (900103, "comment"),
    "COMMENT ON LARGE OBJECT 900106 IS 'new'": (900106, "comment"),
    "GRANT SELECT ON LARGE OBJECT 900101 TO {p}a WITH GRANT OPTION": (900101, "privileges"),
    "REVOKE ALL ON LARGE OBJECT 900102 FROM {p}a": (900102, "privileges"),
}


def test_owners_comments_and_privileges_of_large_objects_are_compared_one_by_one(
    pair: Pair, prefix: str
) -> None:
    source, target = pair.filled(OBJECTS.format(p=prefix))
    migration = Migration(source=source, target=target)
    plan = migration.plan()
    changed: dict[int, set[str]] = {}
    for statement, (oid, kind) in OF_OBJECTS.items():
        servers.run_script(source, statement.format(p=prefix))
        changed.setdefault(oid, set()).add(kind)
        found = plan.diff(migration.plan()).changes
        # Only the owner is one that the plan makes, too; the batches that the others are in change.
        objects = {change.object: change for change in found if "large object" in change.object}
        assert {(name, one.kind, one.change) for name, one in objects.items()} == {
            (f"large object {oid}", ", ".join(sorted(kinds)), "changed")
            for oid, kinds in changed.items()
        }
    servers.run_script(source, "SELECT lo_unlink(900104), lo_create(900107)")
    lines = [change.text() for change in plan.diff(migration.plan()).changes]
    assert "large object 900104: removed (contents)" in lines
    assert "large object 900107: added (contents)" in lines
    # A run of the plan as it is names the same objects.
    report = migration.run(plan)
    drift = [found.message for found in report.findings if found.check == "drift"]
    assert any("5 large objects (large object 900101" in message for message in drift), drift
