"""Planning a large source: what it asks, how large the plan is, and what of it Python makes.

Counts instead of times: a loop over loops, or a question for each table, shows in a small database.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bench import many_objects
from conftest import Pair
from pgmigrate import Migration, Plan, Report
from pgmigrate._results.plan import Task
from pgmigrate._results.report import TaskResult
from pgmigrate.embedded import EmbeddedServer
from support import servers

# One worker has them all: they share what takes long to start.
pytestmark = pytest.mark.xdist_group("scale")


@pytest.fixture(scope="module")
def talkative() -> Iterator[EmbeddedServer]:
    """A server that logs every statement behind the name of who sent it."""
    server = servers.start(16, log_statement="all", log_line_prefix="%a: ")
    yield server
    server.stop()


def _source(server: EmbeddedServer, schemas: int) -> str:
    conninfo = servers.create_database(server, f"many_{schemas}")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        made = many_objects.fill(connection, schemas * 2 * many_objects.TABLES)
    assert made == schemas * 2 * many_objects.TABLES
    return conninfo


def _plan(conninfo: str) -> Plan:
    return Migration(source=conninfo, target=conninfo.replace("dbname=", "dbname=no_")).plan()


def test_planning_asks_as_much_of_many_tables_as_of_few(talkative: EmbeddedServer) -> None:
    counts = []
    for schemas in (1, 3):
        conninfo = _source(talkative, schemas)
        before = talkative.log_path.stat().st_size
        assert len(_plan(conninfo).tasks) > 150 * schemas
        counts.append(_asked_since(talkative, before))
    assert counts[0] == counts[1] > 10


def _asked_since(server: EmbeddedServer, before: int) -> int:
    """How many statements of pgmigrate the log has behind a place."""
    with server.log_path.open("rb") as log:
        log.seek(before)
        own = [line for line in log if line.startswith(b"pgmigrate ")]
    return sum(b" LOG:  execute " in line or b"statement: " in line for line in own)


PRIVILEGES = """
    CREATE ROLE owner_{n}; CREATE ROLE reader_{n}; GRANT reader_{n} TO owner_{n};
    CREATE ROLE limited_{n} LOGIN PASSWORD 'limited' CREATEDB CREATEROLE;
    SELECT format('CREATE ROLE member_{n}_%s; GRANT reader_{n} TO member_{n}_%s', i, i)
        FROM generate_series(1, {n}) AS i \\gexec
"""
GRANTED = """
    SELECT format('CREATE TABLE t%1$s (i int); ALTER TABLE t%1$s OWNER TO owner_{n};'
        'GRANT SELECT ON t%1$s TO reader_{n}; GRANT INSERT (i) ON t%1$s TO reader_{n};'
        'CREATE SCHEMA s%1$s AUTHORIZATION owner_{n};'
        'GRANT USAGE ON SCHEMA s%1$s TO reader_{n};', i)
    FROM generate_series(1, {n}) AS i \\gexec
    GRANT SELECT ON t1, t2 TO member_{n}_1;
"""


def test_preflight_of_a_plain_role_asks_as_much_of_many_privileges_as_of_few(
    talkative: EmbeddedServer,
) -> None:
    counts = []
    for number in (3, 60):
        source = servers.create_database(talkative, f"granted_{number}")
        target = servers.create_database(talkative, f"granted_there_{number}")
        servers.run_script(source, PRIVILEGES.format(n=number))
        servers.run_script(source, GRANTED.format(n=number))
        servers.run_script(target, GRANTED.format(n=number))
        servers.run_script(target, f"REVOKE SELECT ON t2 FROM member_{number}_1")
        limited = talkative.conninfo_for(
            f"granted_there_{number}", user=f"limited_{number}", password="limited"
        )
        before = talkative.log_path.stat().st_size
        migration = Migration(source=source, target=limited, roles="all")
        found = migration.preflight().findings
        counts.append(_asked_since(talkative, before))
        # The columns' privileges are compared with the table's, and not known to be the same.
        named = [set(one.objects) for one in found if one.check == "privileges_owner"]
        columns = {f"acl COLUMN t{i}.i in public" for i in range(1, number + 1)}
        assert named == [{"acl TABLE t2 in public"} | columns]
        assert [one for one in found if one.check.startswith("membership")] == []
    assert counts[0] == counts[1] > 10


def test_a_plan_grows_as_the_source_does(talkative: EmbeddedServer) -> None:
    plans = [_plan(_source(talkative, schemas)) for schemas in (2, 4, 8)]
    links = [sum(len(task.requires) + len(task.after) for task in plan) for plan in plans]
    assert links[2] - links[1] == 2 * (links[1] - links[0])
    sizes = [len(plan.text) for plan in plans]
    assert sizes[2] - sizes[1] == pytest.approx(2 * (sizes[1] - sizes[0]), rel=0.002)


def _refuse(mapping: object) -> None:
    raise AssertionError("this one is not to be read")


def test_tasks_are_made_when_they_are_looked_at(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pair.source("pagila_like")
    migration = Migration(source=source, target=pair.target())
    path = tmp_path / "plan.tsv"
    with monkeypatch.context() as patch:
        patch.setattr(Task, "from_mapping", _refuse)
        patch.setattr(TaskResult, "from_mapping", _refuse)
        plan = migration.plan()
        plan.save(path)
        report = migration.run(plan)
        assert plan.is_in(path) and len(plan) == len(report.tasks)
        assert "pre-data" in plan.summary() and "pre-data" in repr(plan) + report.text()
        with pytest.raises(AssertionError, match="not to be read"):
            plan[0]
    assert report.ok and not report.failed
    assert [task.id for task in plan] == [task.id for task in report.tasks]


def test_what_the_core_holds_equals_what_python_holds(pair: Pair, tmp_path: Path) -> None:
    plan = _plan(pair.source("odd_names"))
    path = tmp_path / "plan.tsv"
    path.write_bytes(plan.text.encode())
    assert plan.is_in(path)
    path.write_bytes(plan.text.encode() + b"\n")
    assert not plan.is_in(path)
    path.write_bytes(plan.text.encode()[:-1])
    assert not plan.is_in(path)
    copies = [Plan.load(_saved(plan, path)), pickle.loads(pickle.dumps(plan))]
    copies.append(Plan.from_mapping(plan.to_dict()))
    for copy in copies:
        assert copy == plan and hash(copy) == hash(plan)
        assert copy.tasks == plan.tasks and tuple(plan) == copy.tasks
        assert copy[-1] == plan[-1] and plan[3:1:-1] == (plan[3], plan[2])
        assert (copy.summary(), copy.to_dict()) == (plan.summary(), plan.to_dict())
    with pytest.raises(IndexError):
        plan[len(plan)]
    with pytest.raises(IndexError):
        plan[-len(plan) - 1]


def _saved(plan: Plan, path: Path) -> Path:
    plan.save(path)
    return path


def test_a_report_is_the_same_by_its_mapping(pair: Pair) -> None:
    report = Migration(source=pair.source("pagila_like"), target=pair.target()).run()
    for copy in (Report.from_mapping(report.to_dict()), pickle.loads(pickle.dumps(report))):
        assert copy == report and hash(copy.tasks) == hash(report.tasks)
        assert copy.text() == report.text() and copy.to_json() == report.to_json()


def test_failed_tasks_come_before_those_that_they_blocked(pair: Pair) -> None:
    source, target = pair.filled("CREATE TABLE a (i int PRIMARY KEY); INSERT INTO a VALUES (1)")
    servers.run_script(source, "CREATE TABLE b (i int REFERENCES a)")
    servers.run_script(target, "CREATE TABLE a (i int PRIMARY KEY CHECK (i > 5))")
    report = Migration(source=source, target=target).run()
    states = [task.status for task in report.failed]
    assert states == sorted(states, key=["failed", "blocked"].index)
    assert set(states) == {"failed", "blocked"}
    bad = [task for task in report.tasks if task.status in ("failed", "blocked")]
    assert sorted(task.id for task in bad) == sorted(task.id for task in report.failed)
