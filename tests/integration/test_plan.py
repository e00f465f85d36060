"""The plan as inert data: the same bytes twice, through any table and back, whole or in part."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, Plan, Report, StateError
from support import dumps, servers

SCRIPT = """
CREATE SCHEMA s;
CREATE TABLE s.big (id int PRIMARY KEY, v text);
INSERT INTO s.big SELECT i, 'value ' || i FROM generate_series(1, 100) i;
CREATE TABLE s.small (id serial PRIMARY KEY, big int REFERENCES s.big);
INSERT INTO s.small (big) SELECT i FROM generate_series(1, 10) i;
CREATE TABLE s.keyless (a int);
INSERT INTO s.keyless SELECT 1 FROM generate_series(1, 30);
ANALYZE;
"""
TABLES = {
    "mode": "all",
    "include": [{"schema": "s", "name": "big", "chunk_column": "id", "chunk_size": 25}],
}
CONTROLS = "".join(map(chr, [*range(1, 32), 127, 0x85, 0x2028]))


def _migration(pair: Pair, script: str = SCRIPT, **options: object) -> tuple[Migration, str, str]:
    source, target = pair.filled(script)
    options = {"roles": "none", "tables": TABLES, **options}
    return Migration(source=source, target=target, **options), source, target  # type: ignore[arg-type]


def _odd(pair: Pair) -> tuple[Migration, str, str]:
    """Names with everything that could break a table of tabs and lines."""
    source, target = pair.source("odd_names"), pair.target()
    names = [CONTROLS, "NULL", "NA", "\\N", "\\.", '"', "'", "a\tb", " ", "1e5", "#x"]
    with psycopg.connect(source) as connection:
        for name in names:
            column = psycopg.sql.Identifier(name)
            connection.execute(
                psycopg.sql.SQL("CREATE TABLE public.{} AS SELECT 1 AS {}").format(column, column)
            )
            connection.execute(
                psycopg.sql.SQL("COMMENT ON TABLE public.{} IS {}").format(
                    column, psycopg.sql.Literal(name)
                )
            )
    return Migration(source=source, target=target), source, target


@pytest.mark.case("D3")
def test_planning_twice_gives_the_same_bytes(pair: Pair) -> None:
    migration, _, _ = _odd(pair)
    assert migration.plan().text.encode() == migration.plan().text.encode()


@pytest.mark.case("D3")
def test_the_plan_survives_pandas(pair: Pair, tmp_path: Path) -> None:
    migration, source, target = _odd(pair)
    plan, path = migration.plan(), tmp_path / "plan.tsv"
    plan.save(path)
    frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=3)
    assert list(frame["id"][1:]) == [task.id for task in plan]
    frame.to_csv(path, sep="\t", index=False, quoting=3, lineterminator="\n")
    assert path.read_bytes() == plan.text.encode()
    migration.run(Plan.load(path)).raise_for_failures()
    servers.assert_equal(source, target)


@pytest.mark.case("D3")
def test_the_plan_survives_a_table_without_an_order(pair: Pair, tmp_path: Path) -> None:
    migration, source, target = _odd(pair)
    plan = migration.plan()
    again = Plan.parse(_through_a_table(pair.target("_scratch"), plan.text))
    assert again == plan
    migration.run(again).raise_for_failures()
    servers.assert_equal(source, target)


def _through_a_table(conninfo: str, text: str) -> str:
    columns = ", ".join(f"{name} text" for name in text.split("\n", 1)[0].split("\t"))
    with psycopg.connect(conninfo) as connection:
        connection.execute(f"CREATE TABLE plan ({columns})")
        with connection.cursor().copy("COPY plan FROM STDIN (HEADER MATCH)") as copy_in:
            copy_in.write(text.encode())
        with connection.cursor().copy(
            "COPY (SELECT * FROM plan ORDER BY md5(id)) TO STDOUT (HEADER)"
        ) as copy_out:
            return b"".join(copy_out).decode()


def test_a_saved_plan_runs_on_another_day(pair: Pair, tmp_path: Path) -> None:
    migration, source, target = _migration(pair)
    migration.plan().save(tmp_path / "plan.tsv")
    servers.run_script(
        source,
        "INSERT INTO s.big SELECT i, 'late' FROM generate_series(-50, 0) i;"
        "INSERT INTO s.big SELECT i, 'late' FROM generate_series(101, 500) i; ANALYZE",
    )
    report = migration.run(Plan.load(tmp_path / "plan.tsv"))
    report.raise_for_failures()
    assert report.consistent
    servers.assert_equal(source, target)


def test_a_plan_older_than_its_source_says_what_changed(pair: Pair) -> None:
    migration, source, target = _migration(pair)
    plan = migration.plan()
    servers.run_script(source, "ALTER TABLE s.keyless ADD COLUMN b int")
    report = migration.run(plan)
    report.raise_for_failures()
    assert any("s.keyless" in f.message for f in report.findings if f.check == "drift")
    assert len(servers.rows(target, "s", "keyless")) == 30


def test_a_broken_plan_is_refused_by_line(pair: Pair) -> None:
    migration, _, _ = _migration(pair)
    lines = migration.plan().text.splitlines(keepends=True)
    with pytest.raises(StateError, match="line 4"):
        Plan.parse("".join([*lines[:3], lines[3].replace("\t", "", 1), *lines[4:]]))
    with pytest.raises(StateError, match="the row `plan` is missing"):
        Plan.parse("".join([lines[0], *lines[2:]]))


def test_a_plan_whose_statement_was_edited_is_refused(pair: Pair) -> None:
    migration, _, _ = _migration(pair)
    text = migration.plan().text
    edited = text.replace('COPY "s"."keyless" ("a") FROM', 'COPY "s"."other" ("a") FROM')
    assert edited != text
    with pytest.raises(StateError, match=r"line [0-9]+: the statements of the task"):
        Plan.parse(edited)


def test_a_plan_of_an_older_format_is_refused_with_the_remedy(pair: Pair) -> None:
    migration, _, _ = _migration(pair)
    lines = migration.plan().text.splitlines()
    older = "\n".join(line.rsplit("\t", 1)[0] for line in lines)
    with pytest.raises(StateError, match="an older version wrote it") as refused:
        Plan.parse(older)
    assert "make it again" in str(refused.value.remedy)


def test_a_dry_run_touches_nothing(pair: Pair) -> None:
    migration, _, target = _migration(pair)
    servers.run_script(target, "CREATE SCHEMA s; CREATE TABLE s.keyless AS SELECT 9 AS a")
    before = dumps.schema(target), servers.rows(target, "s", "keyless")
    plan = migration.plan()
    report = migration.run(plan, dry_run=True)
    assert report.status == "dry_run" and report.run is None and report.ok
    assert [task.id for task in report.tasks] == [task.id for task in plan]
    assert (dumps.schema(target), servers.rows(target, "s", "keyless")) == before
    assert migration.status().state == "none"


def test_run_tasks_does_the_chosen_part_and_the_rest_can_follow(pair: Pair) -> None:
    migration, source, target = _migration(pair)
    plan = migration.plan()
    ids = [task.id for task in plan if task.phase == "pre-data"]
    report = migration.run_tasks(plan, ids)
    assert report.ok and [task.id for task in report.tasks] == ids
    assert {task.status for task in report.tasks} == {"done"}
    assert servers.rows(target, "s", "big") == []
    assert migration.status().state == "interrupted"
    migration.run_tasks(plan, [t.id for t in plan if t.phase == "data"]).raise_for_failures()
    rest = [t.id for t in plan if t.phase not in ("pre-data", "data")]
    migration.run_tasks(plan, rest).raise_for_failures()
    assert migration.status().state == "done"
    servers.assert_equal(source, target)


def test_run_tasks_names_what_the_chosen_ones_require(pair: Pair) -> None:
    migration, _, _ = _migration(pair)
    plan = migration.plan()
    task = next(task for task in plan if task.kind == "data" and task.object == "s.keyless")
    with pytest.raises(StateError) as caught:
        migration.run_tasks(plan, [task.id])
    assert task.id in str(caught.value) and task.requires[0] in str(caught.value)
    assert "s.keyless" in str(caught.value)
    with pytest.raises(StateError, match="no task t9999"):
        migration.run_tasks(plan, ["t9999"])
    assert migration.status().state == "none", "nothing was begun"


def test_run_tasks_twice_does_nothing_twice(pair: Pair) -> None:
    migration, _, target = _migration(pair)
    plan = migration.plan()
    ids = [t.id for t in plan if t.phase in ("pre-data", "data")]
    migration.run_tasks(plan, ids).raise_for_failures()
    migration.run_tasks(plan, ids).raise_for_failures()
    assert len(servers.rows(target, "s", "keyless")) == 30


@pytest.mark.case("D12")
def test_several_run_tasks_share_one_ledger(pair: Pair) -> None:
    migration, source, target = _migration(pair)
    plan = migration.plan()
    # They begin at the same time, on a target without a ledger: one of them writes the run.
    _at_once(migration, plan, [[plan[0].id], [], []])
    migration.run_tasks(plan, [t.id for t in plan if t.phase == "pre-data"]).raise_for_failures()
    data = [t.id for t in plan if t.phase == "data"]
    reports = _at_once(migration, plan, [data[0::3], data[1::3], data[2::3]])
    assert {report.run for report in reports} == {1}
    rest = [t.id for t in plan if t.phase not in ("pre-data", "data")]
    migration.run_tasks(plan, rest).raise_for_failures()
    servers.assert_equal(source, target)


def _at_once(migration: Migration, plan: Plan, parts: list[list[str]]) -> list[Report]:
    reports: list[Report] = []
    begin = threading.Barrier(len(parts))

    def work(ids: list[str]) -> None:
        begin.wait()
        reports.append(migration.run_tasks(plan, ids))

    threads = [threading.Thread(target=work, args=[part]) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == len(parts)
    for report in reports:
        report.raise_for_failures()
    return reports


def test_run_tasks_does_not_mix_states_of_the_source_in_a_table(pair: Pair) -> None:
    migration, source, _ = _migration(pair)
    plan = migration.plan()
    chunks = [t.id for t in plan if t.kind == "data" and t.object == "s.big"]
    before = [t.id for t in plan if t.phase == "pre-data"]
    migration.run_tasks(plan, [*before, chunks[0]]).raise_for_failures()
    servers.run_script(source, "UPDATE s.big SET v = 'new'")
    with pytest.raises(StateError, match=chunks[1]):
        migration.run_tasks(plan, [chunks[1]])
    report = migration.run_tasks(plan, [chunks[1]], consistent=False)
    assert report.ok and not report.consistent


def test_run_tasks_of_another_plan_are_refused(pair: Pair) -> None:
    migration, source, target = _migration(pair)
    plan = migration.plan()
    migration.run_tasks(plan, [plan[0].id]).raise_for_failures()
    other = Migration(source=source, target=target, roles="none")
    with pytest.raises(
        StateError, match=r"cannot be resumed with this plan: tables.include\[s.big\]"
    ):
        other.run_tasks(other.plan(), [plan[0].id])


def test_keep_ledger_false_leaves_nothing_behind(pair: Pair) -> None:
    migration, source, target = _migration(pair, keep_ledger=False)
    plan = migration.plan()
    migration.run_tasks(plan, [plan[0].id]).raise_for_failures()
    assert migration.status().state == "interrupted", "a part is no whole run"
    migration.run(plan, resume=True).raise_for_failures()
    assert migration.status().state == "none"
    servers.assert_equal(source, target, ignore_schemas=())


def test_what_a_killed_process_has_left_does_not_keep_another_from_planning(
    pair: Pair, tmp_path: Path
) -> None:
    _, source, target = _migration(pair)
    # In containers, process numbers come again, and with them names that are made of these.
    script = """
import os, sys
from pgmigrate import Migration
for number in range(20):
    os.mkdir(f"{os.environ['TMPDIR']}/pgmigrate-{os.getpid()}-{number}")
assert len(Migration(source=sys.argv[1], target=sys.argv[2]).plan())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, source, target],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.iterdir())) == 20, "its own is removed"


def test_cleanup_drops_the_ledger_and_nothing_else(pair: Pair) -> None:
    migration, source, target = _migration(pair)
    migration.run().raise_for_failures()
    dropped = migration.cleanup().dropped
    assert '"pgmigrate"' in dropped and len(dropped) == 7
    servers.assert_equal(source, target, ignore_schemas=())
    assert migration.cleanup().dropped == ()


def test_cleanup_keeps_a_schema_of_the_user(pair: Pair) -> None:
    migration, _, target = _migration(pair, ledger_schema="mine")
    servers.run_script(target, "CREATE SCHEMA mine")
    migration.run().raise_for_failures()
    assert '"mine"' not in migration.cleanup().dropped
    with psycopg.connect(target) as connection:
        assert connection.execute("SELECT 'mine'::regnamespace").fetchone() is not None
