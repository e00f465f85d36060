"""Cases E1 to E4: keys and constraints, their states and what does not meet them."""

from __future__ import annotations

import psycopg
import pytest

from conftest import Pair
from support import servers
from support.objects import migrate, refused, run


@pytest.mark.case("E1")
def test_deferrable_constraints_stay_deferrable(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE TABLE t (
            id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED,
            code int UNIQUE,
            place int CONSTRAINT t_place_key UNIQUE DEFERRABLE,
            next int REFERENCES t (code) DEFERRABLE INITIALLY DEFERRED
        );
        BEGIN;
        -- Refers to a row that comes after it.
        INSERT INTO t SELECT i, i, i, NULLIF(i + 1, 11) FROM generate_series(1, 10) i;
        COMMIT;
        """,
    )
    migrate(source, target)
    servers.assert_equal(source, target)
    assert servers.fetch(target, "UPDATE t SET id = 11 - id RETURNING id")[-1] == (1,)
    refused(target, psycopg.errors.UniqueViolation, "UPDATE t SET code = 5 WHERE id = 1")


@pytest.mark.case("E2")
def test_a_primary_key_and_an_exclusion_with_one_worker(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE TABLE t (id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&));
        INSERT INTO t SELECT i, int4range(i, i + 1) FROM generate_series(1, 50) i;
        """,
    )
    migrate(source, target, jobs=1)
    servers.assert_equal(source, target)
    refused(target, psycopg.errors.ExclusionViolation, "INSERT INTO t VALUES (99, '[5,6]')")


@pytest.mark.case("E3")
def test_an_invalid_index_is_not_built_and_named(pair: Pair) -> None:
    source, target = pair.filled("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)")
    servers.run_script(source, "CREATE INDEX t_good ON t (a)")
    failed = servers.run_script(
        source, "CREATE UNIQUE INDEX CONCURRENTLY t_bad ON t (a);", stop_on_error=False
    )
    assert "could not create unique index" in failed
    plan, report = migrate(source, target)
    assert [(item.kind, item.object, item.reason) for item in report.absent] == [
        ("index", "public.t_bad", "it is INVALID on the source")
    ]
    assert servers.fetch(
        target, "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 't'::regclass"
    ) == [("t_good",)]
    assert plan.absent == report.absent


ORPHANS = """
CREATE TABLE parent (id int PRIMARY KEY, UNIQUE (id));
CREATE TABLE child (id int PRIMARY KEY, parent int CONSTRAINT child_parent REFERENCES parent);
CREATE INDEX child_by_parent ON child (parent);
INSERT INTO parent SELECT generate_series(1, 10);
INSERT INTO child SELECT i, i FROM generate_series(1, 10) i;
-- What a superuser can do to a valid constraint.
SET session_replication_role = replica;
INSERT INTO child VALUES (11, 99), (12, 98);
"""


@pytest.mark.case("E4")
def test_orphan_rows_leave_the_constraint_not_valid_and_are_reported(pair: Pair) -> None:
    source, target = pair.filled(ORPHANS)
    _, report = run(source, target)
    failed = [task for task in report.tasks if task.status == "failed"]
    assert [(task.kind, task.object, task.sqlstate) for task in failed] == [
        ("fk constraint", "public.child child_parent", "23503")
    ]
    assert "2 rows reference nothing" in failed[0].note
    assert report.status == "failed"
    assert servers.invalid_objects(target, ["pgmigrate"]) == [
        "constraint child_parent on public.child"
    ]
    assert len(servers.rows(target, "public", "child")) == 12
    # The query that the failure names lists them.
    query = failed[0].note.partition("list them with: ")[2]
    assert len(servers.fetch(target, query)) == 2
    refused(target, psycopg.errors.ForeignKeyViolation, "INSERT INTO child VALUES (13, 97)")


@pytest.mark.case("E4")
def test_a_constraint_not_valid_on_the_source_stays_so(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE TABLE parent (id int PRIMARY KEY);
        CREATE TABLE child (parent int, amount int);
        INSERT INTO child VALUES (1, -1);
        ALTER TABLE child ADD CONSTRAINT child_parent FOREIGN KEY (parent)
            REFERENCES parent NOT VALID,
            ADD CONSTRAINT child_amount CHECK (amount > 0) NOT VALID;
        """,
    )
    migrate(source, target)
    servers.assert_equal(source, target)
    assert servers.invalid_objects(target, ["pgmigrate"]) == [
        "constraint child_amount on public.child",
        "constraint child_parent on public.child",
    ]
