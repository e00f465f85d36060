"""A saved plan that is older than its source: whatever it lacks is named in the report (S7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, Plan
from support import servers

SCRIPT = """
CREATE SCHEMA s;
CREATE TYPE s.mood AS ENUM ('good');
CREATE TABLE s.old (id int PRIMARY KEY, v text);
CREATE TABLE s.tree (id int) PARTITION BY RANGE (id);
CREATE TABLE s.tree_1 PARTITION OF s.tree FOR VALUES FROM (0) TO (10);
CREATE TABLE s.child (id int PRIMARY KEY, old int REFERENCES s.old);
INSERT INTO s.old SELECT i, 'x' FROM generate_series(1, 5) i;
INSERT INTO s.child VALUES (1, 1);
CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION s.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER t BEFORE INSERT ON s.old FOR EACH ROW EXECUTE FUNCTION s.t();
CREATE VIEW s.view AS SELECT id FROM s.old;
CREATE VIEW s.dropped AS SELECT 1 AS one;
SELECT lo_from_bytea(900001, 'old');
"""
LATER = """
CREATE TABLE s.new (id serial PRIMARY KEY, old int REFERENCES s.old);
INSERT INTO s.new (old) VALUES (1), (2);
CREATE TABLE s.tree_2 PARTITION OF s.tree FOR VALUES FROM (10) TO (20);
CREATE INDEX new_index ON s.new (old);
CREATE FUNCTION s.g() RETURNS int LANGUAGE sql AS 'SELECT 2';
CREATE FUNCTION s.g(int) RETURNS int LANGUAGE sql AS 'SELECT 3';
CREATE TRIGGER u BEFORE UPDATE ON s.old FOR EACH ROW EXECUTE FUNCTION s.t();
CREATE VIEW s.new_view AS SELECT 1 AS one;
CREATE MATERIALIZED VIEW s.summary AS SELECT count(*) FROM s.old;
CREATE TYPE s.pair AS (a int, b int);
CREATE DOMAIN s.positive AS int CHECK (VALUE > 0);
CREATE SEQUENCE s.number;
CREATE STATISTICS s.facts ON id, v FROM s.old;
CREATE POLICY p ON s.old;
COMMENT ON TABLE s.old IS 'later';
GRANT SELECT ON s.old TO PUBLIC;
SELECT lo_from_bytea(900002, 'new');
CREATE OR REPLACE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 100';
CREATE OR REPLACE VIEW s.view AS SELECT id FROM s.old WHERE id > 1;
ALTER TABLE s.old DISABLE TRIGGER t;
DROP VIEW s.dropped;
"""
# Kinds of the archive, with an object of each.
ADDED = {
    ("table", "s.new"),
    ("table", "s.tree_2"),
    ("function", "s.g()"),
    ("function", "s.g(integer)"),
    ("trigger", "s.old u"),
    ("view", "s.new_view"),
    ("materialized view", "s.summary"),
    ("type", "s.pair"),
    ("domain", "s.positive"),
    ("sequence", "s.number"),
    ("statistics", "s.facts"),
    ("policy", "s.old p"),
    ("index", "s.new_index"),
    ("constraint", "s.new new_pkey"),
    ("fk constraint", "s.new new_old_fkey"),
    ("comment", "TABLE old in s"),
    ("acl", "TABLE old in s"),
    ("large object", "large object 900002"),
}


def _saved(pair: Pair, folder: Path, **options: Any) -> tuple[str, str, Migration, Plan]:
    """A plan that went through a file."""
    source, target = pair.filled(SCRIPT)
    migration = Migration(source=source, target=target, roles="none", **options)
    migration.plan().save(folder / "plan.tsv")
    return source, target, migration, Plan.load(folder / "plan.tsv")


def _drift(report: Any) -> list[str]:
    return [finding.message for finding in report.findings if finding.check == "drift"]


@pytest.mark.case("S7")
def test_what_an_older_plan_lacks_is_reported_as_not_moved(pair: Pair, tmp_path: Path) -> None:
    source, target, migration, plan = _saved(pair, tmp_path)
    servers.run_script(source, LATER)
    events: list[Any] = []
    report = migration.run(plan, on_event=events.append)
    absent = {(item.kind, item.object) for item in report.absent}
    assert absent >= ADDED, ADDED - absent
    messages = _drift(report)
    assert len([m for m in messages if m.startswith("not moved")]) >= 15
    (tables,) = [m for m in messages if "2 tables (" in m]
    assert tables.startswith("not moved") and "s.new, s.tree_2" in tables
    text = "\n".join(messages)
    for changed in ("1 function (s.f())", "1 view (s.view)", "1 trigger (s.old t)"):
        assert f"definition is used, and the source's has changed since: {changed}" in text
    assert "no longer in scope on the source: 1 view (s.dropped)" in text
    assert servers.fetch(target, "SELECT to_regclass('s.new'), s.f()") == [(None, 1)]
    # A second look names it, too.
    verification = migration.verify(plan)
    assert not verification.ok
    assert {"s.new", "s.tree_2", "s.g(integer)"} <= {item.object for item in verification.not_moved}


@pytest.mark.case("S7")
def test_a_resumed_run_and_the_first_part_report_it(pair: Pair, tmp_path: Path) -> None:
    source, _, migration, plan = _saved(pair, tmp_path)
    servers.run_script(source, "CREATE TABLE s.new (id int); INSERT INTO s.new VALUES (1)")
    first = migration.run_tasks(plan, plan.ids("pre-data"))
    assert ("table", "s.new") in {(item.kind, item.object) for item in first.absent}
    report = migration.run(plan, resume=True)
    report.raise_for_failures()
    assert ("table", "s.new") in {(item.kind, item.object) for item in report.absent}


@pytest.mark.case("S7")
def test_rows_that_come_and_go_are_no_drift(pair: Pair, tmp_path: Path) -> None:
    source, target, migration, plan = _saved(pair, tmp_path)
    # Larger tables have plans of another shape.
    servers.run_script(
        source,
        "INSERT INTO s.old SELECT i, repeat('x', 400) FROM generate_series(6, 20000) i;"
        "INSERT INTO s.child SELECT i, i FROM generate_series(6, 20000) i; ANALYZE",
    )
    report = migration.run(plan)
    report.raise_for_failures()
    assert _drift(report) == [] and report.absent == ()
    servers.assert_equal(source, target)


@pytest.mark.case("S7")
def test_a_data_only_plan_names_new_tables_and_sequences(pair: Pair, tmp_path: Path) -> None:
    source, target = pair.source(), pair.target()
    for conninfo in (source, target):
        servers.run_script(conninfo, "CREATE TABLE public.a (id int PRIMARY KEY)")
    migration = Migration(source=source, target=target, data_only=True)
    plan = migration.plan()
    for conninfo in (source, target):
        with psycopg.connect(conninfo) as connection:
            connection.execute("CREATE TABLE public.b (id serial PRIMARY KEY)")
    report = migration.run(plan)
    report.raise_for_failures()
    absent = {(item.kind, item.object) for item in report.absent}
    assert absent == {("table", "public.b"), ("sequence", "public.b_id_seq")}
