"""Resuming: what an unfinished run left is kept, repaired or done again, and never guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conftest import Pair, Servers
from pgmigrate import DriftError, Migration, Plan, PreflightError, StateError
from support import dumps, servers
from support.shell import Shell

SCRIPT = """
CREATE SCHEMA s;
CREATE TABLE s.big (id int PRIMARY KEY, v text);
INSERT INTO s.big SELECT i, 'value ' || i FROM generate_series(1, 100) i;
CREATE INDEX big_v ON s.big (v);
CREATE TABLE s.small (id serial PRIMARY KEY, big int REFERENCES s.big);
INSERT INTO s.small (big) SELECT i FROM generate_series(1, 10) i;
CREATE TABLE s.keyless (a int);
INSERT INTO s.keyless SELECT 1 FROM generate_series(1, 30);
ANALYZE;
"""
CHUNKED = {
    "mode": "all",
    "include": [{"schema": "s", "name": "big", "chunk_column": "id", "chunk_size": 25}],
}


def _migration(source: str, target: str, **changes: object) -> Migration:
    options: dict[str, object] = {"roles": "none", "tables": CHUNKED, **changes}
    return Migration(source=source, target=target, **options)  # type: ignore[arg-type]


def _script(pair: Pair, script: str = SCRIPT) -> str:
    source = pair.source()
    servers.run_script(source, script)
    return source


def _planned(pair: Pair, **changes: object) -> tuple[str, str, Migration, Plan]:
    """The databases of a migration of SCRIPT, the migration, and its plan."""
    source, target = _script(pair), pair.target()
    migration = _migration(source, target, **changes)
    return source, target, migration, migration.plan()


def _ids(plan: Plan, phase: str, table: str | None = None) -> list[str]:
    return [t.id for t in plan if t.phase == phase and (table is None or t.object == table)]


def _begin(migration: Migration, plan: Plan) -> None:
    """Leaves a run with s.keyless copied, s.big half copied, s.small not begun."""
    chosen = [*_ids(plan, "pre-data"), *_ids(plan, "data", "s.keyless")]
    half = _ids(plan, "data", "s.big")[:2]
    assert migration.run_tasks(plan, chosen + half).ok


def _query(conninfo: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(query).fetchall()


def _written_by(target: str, table: str) -> dict[object, object]:
    """Each row's place with the transaction that wrote it."""
    return dict(_query(target, f"SELECT ctid::text, xmin::text FROM {table}"))  # type: ignore[arg-type]


@pytest.mark.case("B2")
def test_finished_chunks_of_the_same_snapshot_are_kept(quiet: Pair) -> None:
    source, target, migration, plan = _planned(quiet)
    _begin(migration, plan)
    before = _written_by(target, "s.big")
    assert 0 < len(before) < 100
    report = migration.run(plan, resume=True)
    report.raise_for_failures()
    assert before.items() <= _written_by(target, "s.big").items()
    assert report.consistent and len(report.snapshots) == 1
    servers.assert_equal(source, target)


@pytest.mark.case("B3")
def test_indexes_and_constraints_left_undone_are_made(pair: Pair) -> None:
    source, target, migration, plan = _planned(pair)
    first_index = _ids(plan, "index")[:1]
    migration.run_tasks(plan, [*_ids(plan, "pre-data"), *_ids(plan, "data"), *first_index])
    migration.run(plan, resume=True).raise_for_failures()
    servers.assert_equal(source, target)


@pytest.mark.case("A5")
def test_a_changed_source_lets_half_copied_tables_be_copied_again(pair: Pair) -> None:
    source, target, migration, plan = _planned(pair)
    _begin(migration, plan)
    keyless = _written_by(target, "s.keyless")
    servers.run_script(
        source, "UPDATE s.big SET v = 'new' WHERE id < 60; INSERT INTO s.keyless VALUES (2)"
    )
    report = migration.run(plan, resume=True)
    report.raise_for_failures()
    assert servers.rows(target, "s", "big") == servers.rows(source, "s", "big")
    assert _written_by(target, "s.keyless") == keyless, "a finished table is kept"
    assert not report.consistent and len(report.snapshots) == 2
    seen = {task.object: task.snapshot for task in report.tasks if task.kind == "data"}
    assert seen["s.big"] == seen["s.small"] != seen["s.keyless"]
    assert "NOT CONSISTENT: rows come from 2 snapshots" in report.text()


@pytest.mark.case("A5")
def test_not_consistent_goes_on_where_it_stopped(pair: Pair) -> None:
    source, target, migration, plan = _planned(pair)
    _begin(migration, plan)
    before = _written_by(target, "s.big")
    servers.run_script(source, "UPDATE s.big SET v = 'new'")
    report = migration.run(plan, resume=True, consistent=False)
    report.raise_for_failures()
    assert before.items() <= _written_by(target, "s.big").items()
    assert len(servers.rows(target, "s", "big")) == 100
    assert not report.consistent and len(report.snapshots) == 2


def test_a_half_copied_hash_tree_over_an_enum_is_copied_again(pair: Pair) -> None:
    source = _script(
        pair,
        """
        CREATE SCHEMA s;
        CREATE TYPE s.colour AS ENUM ('red', 'green', 'blue');
        CREATE TABLE s.tree (c s.colour, n int) PARTITION BY HASH (c);
        CREATE TABLE s.tree_0 PARTITION OF s.tree FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE s.tree_1 PARTITION OF s.tree FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        INSERT INTO s.tree SELECT (enum_range(NULL::s.colour))[1 + i % 3], i
        FROM generate_series(1, 30) i;
        """,
    )
    target = pair.target()
    migration = Migration(source=source, target=target, roles="none")
    plan = migration.plan()
    migration.run_tasks(plan, [*_ids(plan, "pre-data"), _ids(plan, "data")[0]])
    servers.run_script(source, "UPDATE s.tree SET n = n + 1000")
    migration.run(plan, resume=True).raise_for_failures()
    assert servers.rows(target, "s", "tree") == servers.rows(source, "s", "tree")


def test_a_half_copied_table_that_others_reference_is_copied_again(pair: Pair) -> None:
    source, target = _script(pair), pair.target()
    servers.run_script(target, f"{SCRIPT} TRUNCATE s.big, s.small, s.keyless RESTART IDENTITY")
    migration = _migration(source, target)
    plan = migration.plan()
    _begin(migration, plan)
    servers.run_script(source, "UPDATE s.big SET v = 'new'")
    migration.run(plan, resume=True).raise_for_failures()
    servers.assert_equal(source, target)


def test_sequences_follow_the_rows_of_the_resumed_run(pair: Pair) -> None:
    source, target, migration, plan = _planned(pair)
    sequence = [task.id for task in plan if task.kind == "sequence value"]
    assert len(sequence) == 1
    migration.run_tasks(plan, [*_ids(plan, "pre-data"), *sequence])
    servers.run_script(source, "INSERT INTO s.small (big) SELECT 1 FROM generate_series(1, 50)")
    migration.run(plan, resume=True).raise_for_failures()
    servers.assert_equal(source, target)


@pytest.mark.case("B5")
def test_a_second_run_on_the_same_target_is_refused(pair: Pair, tmp_path: Path) -> None:
    source, target = _script(pair), pair.target()
    servers.run_script(target, "CREATE SCHEMA s; CREATE TABLE s.keyless (a int)")
    migration = _migration(source, target)
    refused: list[PreflightError] = []
    codes: list[int] = []
    with psycopg.connect(target) as in_the_way:
        # Readers pass, our rows wait: the run is under way for as long as this is held.
        in_the_way.execute("LOCK TABLE s.keyless IN SHARE MODE")

        def another(event: Mapping[str, Any]) -> None:
            if event["event"] == "task_started" and not refused:
                with pytest.raises(PreflightError) as caught:
                    migration.run()
                refused.append(caught.value)
                arguments = ["migrate", "--source", source, "--target", target]
                codes.append(Shell(tmp_path).run(*arguments).code)
                in_the_way.rollback()

        migration.run(on_event=another).raise_for_failures()
    assert [finding.check for finding in refused[0].findings] == ["run_active"]
    assert codes == [3]
    servers.assert_equal(source, target)


@pytest.mark.case("B5")
def test_a_state_file_cut_in_mid_line_is_repaired_from_the_ledger(
    pair: Pair, tmp_path: Path
) -> None:
    source, target = _script(pair), pair.target()
    migration, plan, state = _failed_once(source, target, tmp_path)
    whole = state.read_text()
    state.write_text(whole[: whole.rstrip("\n").rfind("\t") - 3])
    report = migration.run(plan, resume=True, state=state)
    report.raise_for_failures()
    last = {line.split("\t")[0]: line.split("\t")[1] for line in state.read_text().splitlines()}
    assert last == {task.id: "DONE" for task in plan}
    servers.assert_equal(source, target)


@pytest.mark.case("D2")
def test_done_in_the_file_and_not_in_the_ledger_is_refused(pair: Pair, tmp_path: Path) -> None:
    source, target = _script(pair), pair.target()
    migration, plan, state = _failed_once(source, target, tmp_path)
    undone = next(t.id for t in plan if t.kind == "constraint" and t.name == "big big_pkey")
    with state.open("a") as file:
        file.write(f"{undone}\tDONE\tindex\n")
    with pytest.raises(StateError, match=undone) as caught:
        migration.run(plan, resume=True, state=state)
    assert "restored" in (caught.value.remedy or "")


@pytest.mark.case("D2")
def test_a_state_file_of_a_lost_target_is_refused(pair: Pair, tmp_path: Path) -> None:
    source, target = _script(pair), pair.target()
    _, plan, state = _failed_once(source, target, tmp_path)
    with pytest.raises(StateError, match="DONE"):
        _migration(source, pair.target("_new")).run(plan, resume=True, state=state)


def _failed_once(source: str, target: str, folder: Path) -> tuple[Migration, Plan, Path]:
    """A run in which the rows of s.big could not be copied; the cause is gone."""
    servers.run_script(
        target, "CREATE SCHEMA s; CREATE TABLE s.big (id int, v text CHECK (v <> 'value 7'))"
    )
    migration, state = _migration(source, target), folder / "state.tsv"
    plan = migration.plan()
    report = migration.run(plan, state=state)
    assert report.status == "failed"
    assert "\tFAILED\t" in state.read_text()
    servers.run_script(
        target, "ALTER TABLE s.big DROP CONSTRAINT big_v_check, ALTER id SET NOT NULL"
    )
    return migration, plan, state


@pytest.mark.case("B6")
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"on_conflict": "update"}, "on_conflict"),
        ({"format": "text"}, "options.format"),
        ({"schemas": {"mode": "include", "include": ["s"]}}, "schemas"),
        ({"tables": {**CHUNKED, "exclude": ["s.keyless"]}}, "tables.exclude"),
        (
            {"tables": {"include": [{**CHUNKED["include"][0], "chunk_size": 10}]}},  # type: ignore[dict-item]
            "chunk_size: 25 in the plan, 10 now",
        ),
        (
            {"tables": {"include": [{**CHUNKED["include"][0], "where": "id > 3"}]}},  # type: ignore[dict-item]
            "where",
        ),
    ],
    ids=["conflict", "format", "schemas", "exclude", "chunk_size", "where"],
)
def test_resume_with_another_configuration_is_refused(
    pair: Pair, changes: dict[str, object], named: str
) -> None:
    source, target, migration, plan = _planned(pair)
    _begin(migration, plan)
    before = dumps.schema(target)
    with pytest.raises(DriftError, match=re.escape(named)):
        _migration(source, target, **changes).run(plan, resume=True)
    assert dumps.schema(target) == before


@pytest.mark.case("B6")
def test_resume_with_another_plan_is_refused(pair: Pair) -> None:
    source, target, migration, plan = _planned(pair)
    _begin(migration, plan)
    other = _migration(source, target, format="text")
    with pytest.raises(DriftError, match=r"options\.format"):
        other.run(other.plan(), resume=True)


@pytest.mark.case("B6")
def test_resume_from_another_source_is_refused(pair: Pair) -> None:
    source, target, migration, plan = _planned(pair)
    _begin(migration, plan)
    other = pair.source(suffix="_other")
    servers.run_script(other, SCRIPT)
    with pytest.raises(DriftError) as caught:
        _migration(other, target).run(plan, resume=True)
    for conninfo in (source, other):
        assert str(conninfo_to_dict(conninfo)["dbname"]) in str(caught.value), "both sides named"


@pytest.mark.case("B6")
def test_resume_on_another_target_is_refused(pair: Pair) -> None:
    source, target, migration, plan = _planned(pair)
    _begin(migration, plan)
    clone = _clone(pair, target)
    with pytest.raises(DriftError, match=str(conninfo_to_dict(clone)["dbname"])):
        _migration(source, clone).run(plan, resume=True)


def _clone(pair: Pair, target: str) -> str:
    """A copy of the target with its ledger in it."""
    template, name = str(conninfo_to_dict(target)["dbname"]), f"{pair.name}_clone"
    pair.made.append((pair.target_server, name))
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    with psycopg.connect(pair.target_server.conninfo, autocommit=True) as connection:
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
    return make_conninfo(target, dbname=name)


@pytest.mark.case("B6")
def test_resume_after_a_table_changed_on_the_source_is_refused(pair: Pair) -> None:
    source, _target, migration, plan = _planned(pair)
    _begin(migration, plan)
    servers.run_script(source, "ALTER TABLE s.big ADD COLUMN more int")
    with pytest.raises(DriftError, match=r"s\.big"):
        migration.run(plan, resume=True)


def test_a_begun_run_is_not_overrun_by_a_fresh_one(pair: Pair) -> None:
    _source, _target, migration, plan = _planned(pair)
    _begin(migration, plan)
    with pytest.raises(StateError, match="not finished") as caught:
        migration.run(plan)
    assert "resume=True" in (caught.value.remedy or "")


def test_resuming_a_finished_run_does_nothing(pair: Pair) -> None:
    _source, target, migration, plan = _planned(pair)
    migration.run(plan).raise_for_failures()
    before = _written_by(target, "s.big")
    started: list[object] = []
    report = migration.run(
        plan, resume=True, on_event=lambda e: started.append(e["event"] == "task_started")
    )
    assert report.ok and report.status == "done" and not any(started)
    assert _written_by(target, "s.big") == before


@pytest.mark.case("X12")
def test_a_run_is_resumed_by_the_plan_that_its_ledger_keeps(pair: Pair, tmp_path: Path) -> None:
    source, target = _script(pair), pair.target()
    config = {"source": source, "target": target, "tables": CHUNKED, "roles": "none"}
    entries = [{**config, "name": name} for name in ("a b", "a/b")]
    entries[1]["target"] = pair.target("_other")
    shell = Shell(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"migrations": entries}))
    servers.run_script(
        target, "CREATE SCHEMA s; CREATE TABLE s.big (id int, v text CHECK (v <> 'value 7'))"
    )
    done = shell.run("migrate", "--config", "config.json")
    assert done.code == 1, done.text
    assert len(list(tmp_path.glob("plan-a_b-*.tsv"))) == 2, "no two names share a file"
    servers.run_script(
        target, "ALTER TABLE s.big DROP CONSTRAINT big_v_check, ALTER id SET NOT NULL"
    )
    # A run into another target takes the file's place, and no file is left in the end.
    third = pair.target("_third")
    alone = ["--source", source, "--target", third, "--plan", "plan.tsv"]
    assert shell.run("migrate", *alone).code == 0
    for file in tmp_path.glob("*.tsv"):
        file.unlink()
    done = shell.run("migrate", "--config", "config.json", "--only", "a b", "--resume")
    assert done.code == 0, done.text
    assert "is read from the target's ledger" in (tmp_path / "pgmigrate.log").read_text()
    for arrived in (target, str(entries[1]["target"])):
        assert servers.rows(arrived, "s", "big") == servers.rows(source, "s", "big")
    again = shell.run("migrate", "--config", "config.json", "--only", "a b", "--resume")
    assert again.code == 0, "nothing is left to do"


@pytest.mark.case("X12")
def test_what_no_encoding_of_the_target_has_is_in_the_plan(all_servers: Servers) -> None:
    source = servers.create_database(all_servers.of(16), "plan_source")
    latin = all_servers.of(18)
    with psycopg.connect(latin.conninfo, autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE plan_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
        )
    target = latin.conninfo_for("plan_latin")
    try:
        servers.run_script(
            source,
            "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);"
            "COMMENT ON TABLE t IS 'snow \u2603'",
        )
        migration = Migration(source=source, target=target)
        report = migration.run()
        assert [task.kind for task in report.failed] == ["comment"]
        again = migration.run(resume=True)
        assert (again.run, [task.kind for task in again.failed]) == (report.run, ["comment"])
        assert servers.rows(target, "public", "t") == [("1",)]
    finally:
        servers.drop_database(all_servers.of(16), "plan_source")
        servers.drop_database(latin, "plan_latin")
