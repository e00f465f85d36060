"""What fails, fails alone and by name; what may pass is tried again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import CopyError, Migration, Report, SchemaError
from support import servers
from support.shell import Shell

SCRIPT = """
CREATE SCHEMA s;
CREATE TABLE s.a (id int PRIMARY KEY, v text);
INSERT INTO s.a SELECT i, repeat('a', 100) FROM generate_series(1, 50) i;
CREATE TABLE s.b (id int PRIMARY KEY, a int CONSTRAINT b_a REFERENCES s.a);
INSERT INTO s.b SELECT i, i FROM generate_series(1, 50) i;
CREATE TABLE s.c (id int PRIMARY KEY, b int);
INSERT INTO s.c SELECT i, i FROM generate_series(1, 50) i;
CREATE INDEX c_b ON s.c (b);
CREATE VIEW s.seen AS SELECT * FROM s.c;
"""


def _both(pair: Pair, script: str = SCRIPT) -> tuple[str, str]:
    source = pair.source()
    servers.run_script(source, script)
    return source, pair.target()


def _migration(source: str, target: str, **options: object) -> Migration:
    return Migration(source=source, target=target, roles="none", **options)  # type: ignore[arg-type]


def _execute(conninfo: str, statement: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(statement)


def _failed(report: Report) -> set[str]:
    return {task.object for task in report.failed if task.status == "failed"}


@pytest.mark.case("B7")
def test_a_unique_violation_fails_its_table_and_nothing_else(pair: Pair) -> None:
    source, target = _both(pair)
    servers.run_script(
        target, "CREATE SCHEMA s; CREATE TABLE s.a (id int PRIMARY KEY, v text UNIQUE)"
    )
    report = _migration(source, target).run()
    assert report.status == "failed" and _failed(report) == {"s.a"}
    first = report.failed[0]
    assert first.sqlstate == "23505" and "a_v_key" in first.note
    assert "aaaa" not in report.text(), "no row value"
    blocked = {task.object for task in report.failed if task.status == "blocked"}
    assert "s.b b_a" in blocked and not any(name.startswith("s.c") for name in blocked)
    for table in ("b", "c"):
        assert servers.rows(target, "s", table) == servers.rows(source, "s", table)
    with pytest.raises(CopyError, match=r"s\.a") as caught:
        report.raise_for_failures()
    assert caught.value.sqlstate == "23505" and caught.value.task == first.id


@pytest.mark.case("B7")
def test_every_failure_is_in_the_exit_code_and_the_text(pair: Pair, tmp_path: Path) -> None:
    source, target = _both(pair)
    servers.run_script(
        target, "CREATE SCHEMA s; CREATE TABLE s.a (id int PRIMARY KEY, v text UNIQUE)"
    )
    done = Shell(tmp_path).run("migrate", "--source", source, "--target", target)
    assert done.code == 1
    for name in ("s.a", "b_a"):
        assert name in done.text
    servers.run_script(target, "ALTER TABLE s.a DROP CONSTRAINT a_v_key")
    again = Shell(tmp_path).run("migrate", "--source", source, "--target", target, "--resume")
    assert again.code == 0, again.text
    servers.assert_equal(source, target)


@pytest.mark.case("A9")
def test_a_table_dropped_after_planning_fails_by_name(pair: Pair) -> None:
    source, target = _both(pair)
    migration = _migration(source, target)
    plan = migration.plan()
    servers.run_script(source, "DROP TABLE s.b")
    report = migration.run(plan)
    assert report.status == "failed" and _failed(report) == {"s.b"}
    assert report.failed[0].sqlstate == "42P01"
    for table in ("a", "c"):
        assert servers.rows(target, "s", table) == servers.rows(source, "s", table)


@pytest.mark.case("E4")
@pytest.mark.parametrize("kind", ["fk constraint", "fk validation"])
def test_orphan_rows_leave_the_key_not_valid(pair: Pair, tmp_path: Path, kind: str) -> None:
    source, target = _both(pair)
    if kind == "fk validation":
        # A key over many rows is checked by a task of its own.
        _execute(
            source, "INSERT INTO s.a SELECT i, md5(i::text) FROM generate_series(1000, 9999) i"
        )
        _execute(source, "INSERT INTO s.b SELECT id, id FROM s.a WHERE id >= 1000")
        _execute(source, "ANALYZE")
    _execute(source, "ALTER TABLE s.a DISABLE TRIGGER ALL")
    _execute(source, "DELETE FROM s.a WHERE id <= 3")
    shell = Shell(tmp_path)
    databases = ("--source", source, "--target", target)
    assert shell.run("migrate", *databases).code == 1
    again = shell.run("migrate", *databases, "--resume", "--json")
    failed = [task for task in json.loads(again.stdout)["tasks"] if task["status"] == "failed"]
    assert [
        (task["object"], task["kind"], task["sqlstate"], task["attempts"]) for task in failed
    ] == [("s.b b_a", kind, "23503", 2)]
    note = failed[0]["note"]
    assert "3 rows" in note
    with psycopg.connect(target) as connection:
        listed = connection.execute(note.partition("list them with: ")[2]).fetchall()
    assert sorted(listed) == [(1,), (2,), (3,)]
    assert servers.invalid_objects(target, ["pgmigrate"]) == ["constraint b_a on s.b"]
    _execute(target, "INSERT INTO s.a VALUES (1, 'x'), (2, 'y'), (3, 'z')")
    mended = shell.run("migrate", *databases, "--resume")
    assert mended.code == 0, mended.text
    assert servers.invalid_objects(target, ["pgmigrate"]) == []


@pytest.mark.case("E4")
def test_another_key_of_the_name_is_not_taken_for_that_of_the_run(
    pair: Pair, tmp_path: Path
) -> None:
    source, target = _both(pair)
    _execute(source, "ALTER TABLE s.a DISABLE TRIGGER ALL")
    _execute(source, "DELETE FROM s.a WHERE id <= 3")
    shell = Shell(tmp_path)
    databases = ("--source", source, "--target", target)
    assert shell.run("migrate", *databases).code == 1
    _execute(target, "ALTER TABLE s.b DROP CONSTRAINT b_a")
    _execute(target, "ALTER TABLE s.b ADD CONSTRAINT b_a CHECK (true) NOT VALID")
    again = shell.run("migrate", *databases, "--resume")
    assert again.code == 1 and "already exists" in again.text
    assert servers.invalid_objects(target, ["pgmigrate"]) == ["constraint b_a on s.b"]


@pytest.mark.case("E4")
def test_orphans_under_odd_names_and_many_columns(pair: Pair) -> None:
    source, target = _both(
        pair,
        '''
        CREATE SCHEMA "S.q";
        CREATE TABLE "S.q"."p""." (a int, "B" int, PRIMARY KEY (a, "B"));
        CREATE TABLE "S.q"."c d" (a int, "B" int,
            CONSTRAINT """x y""" FOREIGN KEY (a, "B") REFERENCES "S.q"."p"".");
        INSERT INTO "S.q"."p""." VALUES (1, 1), (2, 2);
        INSERT INTO "S.q"."c d" VALUES (1, 1), (2, 2), (NULL, 7);
        ALTER TABLE "S.q"."p""." DISABLE TRIGGER ALL;
        DELETE FROM "S.q"."p""." WHERE a = 2;
        ''',
    )
    report = _migration(source, target).run()
    assert [t.kind for t in report.failed] == ["fk constraint"]
    assert "1 row" in report.failed[0].note
    with pytest.raises(SchemaError, match="1 row"):
        report.raise_for_failures()


@pytest.mark.case("E4")
def test_not_valid_on_the_source_stays_so(pair: Pair) -> None:
    source, target = _both(
        pair,
        f"""{SCRIPT}
        ALTER TABLE s.c ADD CONSTRAINT c_b FOREIGN KEY (b) REFERENCES s.b NOT VALID;
        ALTER TABLE s.c DISABLE TRIGGER ALL; INSERT INTO s.c VALUES (99, 99);
        ALTER TABLE s.c ENABLE TRIGGER ALL;
        """,
    )
    _migration(source, target).run().raise_for_failures()
    servers.assert_equal(source, target)


COPYING = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'COPY%"c"%' AND state = 'active'
"""


@pytest.mark.case("A6")
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_backend_killed_in_mid_copy_is_retried(pair: Pair, side: str) -> None:
    source, target = _both(
        pair,
        """
        CREATE SCHEMA s; CREATE TABLE s.c (id int, v text);
        INSERT INTO s.c SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 20000) i;
        """,
    )
    servers.run_script(target, "CREATE SCHEMA s; CREATE TABLE s.c (id int, v text)")
    victim = source if side == "source" else target
    hit: list[object] = []
    with psycopg.connect(target) as in_the_way:
        # Readers pass and our rows wait, so both backends are in mid-COPY until this is let go.
        in_the_way.execute("LOCK TABLE s.c IN SHARE MODE")

        def strike(event: Mapping[str, Any]) -> None:
            if event["event"] == "task_started" and event["object"] == "s.c" and not hit:
                with psycopg.connect(victim, autocommit=True) as connection:
                    while not hit:
                        hit.extend(connection.execute(COPYING).fetchall())
                in_the_way.rollback()

        report = _migration(source, target).run(on_event=strike)
    report.raise_for_failures()
    assert max(task.attempts for task in report.tasks if task.kind == "data") == 2
    servers.assert_equal(source, target)


@pytest.mark.case("A6")
def test_what_never_succeeds_is_a_failure(pair: Pair) -> None:
    source, target = _both(pair)
    servers.run_script(
        target,
        """
        CREATE SCHEMA s; CREATE TABLE s.c (id int NOT NULL, b int);
        CREATE FUNCTION s.never() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$;
        CREATE TRIGGER never BEFORE INSERT ON s.c FOR EACH ROW EXECUTE FUNCTION s.never();
        """,
    )
    report = _migration(source, target, retries=2).run()
    assert _failed(report) == {"s.c"}
    task = next(task for task in report.failed if task.status == "failed")
    assert task.attempts == 3 and task.sqlstate == "40001"
    assert servers.rows(target, "s", "c") == []


@pytest.mark.case("A5")
def test_a_lost_snapshot_is_never_replaced_by_another(pair: Pair) -> None:
    source, target = _both(pair)
    migration = _migration(source, target)
    plan = migration.plan()
    hit: list[object] = []

    def strike(event: Mapping[str, Any]) -> None:
        if event["event"] == "run_started":
            with psycopg.connect(source, autocommit=True) as connection:
                query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE %s"
                own = "datname = current_database() AND application_name LIKE 'pgmigrate%leader%'"
                hit.extend(connection.execute(query % own).fetchall())

    report = migration.run(plan, on_event=strike)
    assert hit
    if not report.ok:
        assert all(
            "snapshot no longer exists" in t.note for t in report.failed if t.status == "failed"
        )
        migration.run(plan, resume=True).raise_for_failures()
    servers.assert_equal(source, target)


def test_a_lost_target_leader_does_not_end_the_run(pair: Pair) -> None:
    source, target = _both(pair)
    migration = _migration(source, target)
    plan = migration.plan()
    own = "datname = current_database() AND application_name LIKE 'pgmigrate%leader%'"

    def strike(event: Mapping[str, Any]) -> None:
        if event["event"] == "run_started":
            _execute(target, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {own}")

    migration.run(plan, on_event=strike).raise_for_failures()
    assert migration.status().state == "done"
    servers.assert_equal(source, target)
