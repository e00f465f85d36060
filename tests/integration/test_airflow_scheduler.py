"""Airflow as people run it: a scheduler, workers in processes of their own, some of them killed."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from conftest import Servers
from pgmigrate import Migration, demo_database
from pgmigrate.airflow import example_dags
from support import servers
from support.airflow_services import AirflowServices, DagRunWatch
from support.airflow_site import AirflowSite, connection

# One worker has them all: they share what takes long to start.
pytestmark = pytest.mark.xdist_group("airflow_scheduler")

EXAMPLE = Path(example_dags.__file__).with_name("pgmigrate_fan_out.py")
GATE = 4711
# No row of this table passes while somebody holds the lock.
GATED = {
    "tables": {
        "include": [
            {
                "schema": "bookings",
                "name": "flights",
                "where": f"pg_catalog.pg_advisory_xact_lock_shared({GATE})::text = ''",
            }
        ]
    },
    "options": {"large_objects": True},
}
ONE_TASK = """
from datetime import timedelta
from airflow.sdk import DAG
from pgmigrate.airflow import PgMigrate

with DAG("{dag}", schedule=None):
    PgMigrate(
        task_id="migrate",
        source_conn_id="pgmigrate_source",
        target_conn_id="pgmigrate_target_{dag}",
        config={config},
        retries=1,
        retry_delay=timedelta(seconds=1),
        log_every=1,
        {arguments},
    )
"""
FAILING = """
from datetime import timedelta
from airflow.sdk import DAG
from pgmigrate.airflow import PgMigrate, PgMigratePreflight

with DAG(
    "failing",
    schedule=None,
    default_args={
        "source_conn_id": "pgmigrate_orphans",
        "target_conn_id": "pgmigrate_target_failing",
        "retries": 1,
        "retry_delay": timedelta(seconds=0),
    },
):
    PgMigrate(task_id="orphans", retries=0)
    PgMigratePreflight(task_id="mistaken", config={"options": {"formt": "text"}})
    PgMigratePreflight(task_id="unreachable", target_conn_id="pgmigrate_nowhere")
"""
ORPHANS = """
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent int);
INSERT INTO child VALUES (1, 471101);
ALTER TABLE child ADD CONSTRAINT has_parent FOREIGN KEY (parent) REFERENCES parent NOT VALID;
UPDATE pg_constraint SET convalidated = true WHERE conname = 'has_parent';
"""
DAGS = {
    "killed": "jobs=2",
    "deferred": "deferrable=True, verify=True",
    "cleared": "deferrable=True, detached_log='cleared.log'",
    "backed_up": "deferrable=True, backup=True, detached_log='backed_up.log'",
    "cleared_early": "deferrable=True, backup=True, detached_log='cleared_early.log'",
}
# The gate of a backup: pg_dump waits while somebody holds a lock on the table.
OF_TARGET = "CREATE SCHEMA kept; CREATE TABLE kept.gate AS SELECT 1 AS id"


class Place:
    """The running Airflow, the source that all DAGs read, and a target for each of them."""

    def __init__(self, services: AirflowServices, all_servers: Servers) -> None:
        self.services = services
        self.source = servers.create_database(all_servers.of(16), "airflow_source")
        demo_database.fill(self.source, 0.05)
        orphans = servers.create_database(all_servers.of(16), "airflow_orphans")
        servers.run_script(orphans, ORPHANS)
        # Autovacuum would do it in mid-run: its transactions make a new state of the source, and a
        # run that goes on after them sets sequences again.
        for database in (self.source, orphans):
            with psycopg.connect(database, autocommit=True) as connected:
                connected.execute("VACUUM ANALYZE")
        self.targets = {
            name: servers.create_database(all_servers.of(18), f"airflow_{name}")
            for name in ("fan_out", "held_twice", "failing", *DAGS)
        }
        for name in ("backed_up", "cleared_early"):
            servers.run_script(self.targets[name], OF_TARGET)
        settings = services.site.settings
        settings["AIRFLOW_CONN_PGMIGRATE_SOURCE"] = connection(self.source)
        settings["AIRFLOW_CONN_PGMIGRATE_ORPHANS"] = connection(orphans)
        settings["AIRFLOW_CONN_PGMIGRATE_NOWHERE"] = connection(
            "host=127.0.0.1 port=1 dbname=a user=a"
        )
        for name, target in self.targets.items():
            settings[f"AIRFLOW_CONN_PGMIGRATE_TARGET_{name.upper()}"] = connection(target)

    def write_dags(self) -> None:
        folder = self.services.site.dags
        plan_path = f'plan_path="file://{folder.parent}/plan-{{{{ run_id }}}}.tsv", '
        self._write_example("fan_out", ("parts=4, ", f"parts=4, {plan_path}"))
        self._write_example(
            "held_twice", ("parts=4", "parts=2"), ("pgmigrate_fan_out", "held_twice")
        )
        (folder / "failing.py").write_text(FAILING)
        for dag, arguments in DAGS.items():
            text = ONE_TASK.format(dag=dag, config=GATED, arguments=arguments)
            (folder / f"{dag}.py").write_text(text)

    def _write_example(self, target: str, *others: tuple[str, str]) -> None:
        example = EXAMPLE.read_text()
        for words, new in (
            ('{"options": {"split_larger_than": "256MB"}}', repr(GATED)),
            ("minutes=1", "seconds=1"),
            ("pgmigrate_target", f"pgmigrate_target_{target}"),
            *others,
        ):
            assert words in example
            example = example.replace(words, new)
        (self.services.site.dags / f"{target}.py").write_text(example)

    @contextmanager
    def closed_gate(self) -> Iterator[None]:
        with psycopg.connect(self.source, autocommit=True) as holder:
            holder.execute("SELECT pg_advisory_lock(%s)", [GATE])
            yield

    def waits_at_gate(self) -> bool:
        waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        with psycopg.connect(self.source) as connected:
            return connected.execute(waiting).fetchone() is not None

    @contextmanager
    def closed_backup(self, name: str) -> Iterator[None]:
        with psycopg.connect(self.targets[name]) as holder:
            holder.execute("LOCK TABLE kept.gate")
            yield

    def waits_in_backup(self, name: str) -> bool:
        waiting = "SELECT FROM pg_locks WHERE relation = 'kept.gate'::regclass AND NOT granted"
        with psycopg.connect(self.targets[name]) as connected:
            return connected.execute(waiting).fetchone() is not None

    def is_far(self, name: str) -> bool:
        """Whether a run waits at the gate with most of the rest done."""
        return self.waits_at_gate() and len(self.attempts(name)) > 50

    def detached_log(self, name: str) -> str:
        """What the process of a deferred run has logged."""
        return (self.services.site.home / f"{name}.log").read_text()

    def attempts(self, name: str) -> list[tuple[str, int]]:
        """Tasks of the plan that are done, and how often each was tried."""
        done = (
            "SELECT task, attempts FROM pgmigrate.migration_task WHERE status = 'done' ORDER BY 1"
        )
        with psycopg.connect(self.targets[name]) as connected:
            return connected.execute(done).fetchall()


@pytest.fixture(scope="module")
def place(all_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    services = AirflowServices(AirflowSite(tmp_path_factory.mktemp("airflow")).prepare())
    place = Place(services, all_servers)
    place.write_dags()
    try:
        services.start()
        yield place
    finally:
        services.stop()
        for name in ("source", "orphans"):
            servers.drop_database(all_servers.of(16), f"airflow_{name}")
        for name in place.targets:
            servers.drop_database(all_servers.of(18), f"airflow_{name}")


def test_a_fan_out_whose_worker_is_killed_ends_equal(place: Place) -> None:
    with place.closed_gate():
        run = place.services.trigger("pgmigrate_fan_out")
        run.until(
            lambda: (
                sorted(str(task.state) for task in run.tasks("copy"))
                == ["running", "success", "success", "success"]
            ),
            "no part waits alone",
        )
        (killed,) = (task for task in run.tasks("copy") if task.state == "running")
        assert place.waits_at_gate() and killed.pid is not None
        os.kill(killed.pid, signal.SIGKILL)
        run.until(lambda: not is_alive(killed.pid), "the worker lives on")
        before = place.attempts("fan_out")
    run.finish()
    copies = run.tasks("copy")
    assert {task.name: task.tries for task in copies} == {
        task.name: 2 if task.name == killed.name else 1 for task in copies
    }
    assert len({task.pid for task in (*copies, *run.tasks("hold"))}) == 5, "all are processes"
    assert [task.tries for task in run.tasks("hold")] == [1]
    assert all(part["consistent"] for part in run.values("copy") + run.values("finish"))
    assert run.values("hold")[0]["status"] == "settled"
    assert set(before) <= set(place.attempts("fan_out")), "what was done is not done again"
    servers.assert_equal(place.source, place.targets["fan_out"])
    assert_no_secrets(place, run, "fan_out")


def test_a_holder_that_is_killed_is_replaced_and_the_rows_stay_of_one_snapshot(
    place: Place,
) -> None:
    held = re.compile(r"run 1: snapshot (\S+) is held")
    with place.closed_gate():
        run = place.services.trigger("held_twice")
        run.until(
            lambda: (
                sorted(str(task.state) for task in run.tasks("copy")) == ["running", "success"]
                and place.waits_at_gate()
            ),
            "no part waits alone",
        )
        (holder,) = run.tasks("hold")
        assert holder.pid is not None
        os.kill(holder.pid, signal.SIGKILL)
        run.until(lambda: len(held.findall(run.logs("hold"))) == 2, "no other holder")
    run.finish()
    assert [task.tries for task in run.tasks("hold")] == [2]
    assert [task.tries for task in run.tasks("copy")] == [1, 1], "parts at work go on"
    assert all(part["consistent"] for part in run.values("copy") + run.values("finish"))
    assert run.values("hold")[0]["status"] == "settled"
    servers.assert_equal(place.source, place.targets["held_twice"])


def test_a_task_that_is_ended_stops_in_order_and_its_retry_goes_on(place: Place) -> None:
    with place.closed_gate():
        run = place.services.trigger("killed")
        run.until(lambda: bool(run.tasks()) and place.is_far("killed"), "the run does not get on")
        (task,) = run.tasks()
        assert task.pid is not None
        os.kill(task.pid, signal.SIGTERM)
        run.until(lambda: not is_alive(task.pid), "the task does not end")
        before = place.attempts("killed")
        assert Migration(source=place.source, target=place.targets["killed"]).status().run == 1
    run.finish()
    assert [task.tries for task in run.tasks()] == [2]
    log = run.logs()
    assert "stopped by Airflow; the next try goes on from here" in log
    assert "going on with run 1, which is interrupted" in log
    assert set(before) <= set(place.attempts("killed"))
    assert run.values("migrate")[0]["run"] == 1
    servers.assert_equal(place.source, place.targets["killed"])


def test_a_deferred_run_is_watched_and_taken_up_when_its_process_dies(place: Place) -> None:
    with place.closed_gate():
        run = place.services.trigger("deferred")
        process = deferred(place, run, 1)
        run.until(lambda: "run 1 running: " in run.logs(), "the triggerer does not look")
        os.kill(process, signal.SIGKILL)
        deferred(place, run, 2)
    run.finish()
    assert "run 1 is interrupted; the next try goes on with it" in run.logs()
    assert "verification: equal" in run.logs()
    (reported,) = run.values("migrate")
    assert (reported["run"], reported["status"]) == (1, "done") and reported["rows"] > 50_000
    servers.assert_equal(place.source, place.targets["deferred"])


def test_clearing_a_deferred_task_stops_its_run_and_the_next_try_goes_on(place: Place) -> None:
    with place.closed_gate():
        run = place.services.trigger("cleared")
        process = deferred(place, run, 1)
        run.until(lambda: place.is_far("cleared"), "the run does not get on")
        done = place.services.site.run("tasks", "clear", "cleared", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        run.until(lambda: not is_alive(process), "the run goes on")
        before = place.attempts("cleared")
        deferred(place, run, 2)
    run.finish()
    assert "asked this run to stop" in place.detached_log("cleared")
    assert set(before) <= set(place.attempts("cleared"))
    servers.assert_equal(place.source, place.targets["cleared"])


def test_a_task_with_a_backup_is_deferred_before_it_and_notices_that_its_process_died(
    place: Place,
) -> None:
    target = place.targets["backed_up"]
    with place.closed_backup("backed_up"):
        run = place.services.trigger("backed_up")
        process = deferred(place, run, 1, in_backup=True)
        run.until(
            lambda: "the run has not begun; its process" in run.logs(),
            "the triggerer does not look",
        )
        assert Migration(source=place.source, target=target).status().run is None
        os.kill(process, signal.SIGKILL)
        deferred(place, run, 2, in_backup=True)
    run.finish()
    log = run.logs()
    ended = "ended before the run began, while or right after the target was backed up; its log is "
    assert f"{ended}backed_up.log on its worker; the next try begins again" in log
    assert "run 1 done: " in log and "already done by" not in log
    detached_log = place.detached_log("backed_up")
    assert detached_log.count("backing up the target before the run begins\n") == 2
    assert "backup of the target: " in detached_log
    servers.run_script(target, "DROP SCHEMA kept CASCADE")
    servers.assert_equal(place.source, target)

    done = place.services.site.run("tasks", "clear", "backed_up", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    run.until(lambda: "already done by run 1" in run.logs(), "the cleared task does not say so")
    run.finish()
    assert "no rows were moved by this task: run 1 had copied bookings." in run.logs()
    assert run.values("migrate")[0]["already_done_by"] == 1


def test_clearing_a_task_during_its_backup_stops_the_backup_and_no_run_begins(
    place: Place,
) -> None:
    target = place.targets["cleared_early"]
    migration = Migration(source=place.source, target=target)
    with place.closed_backup("cleared_early"):
        run = place.services.trigger("cleared_early")
        process = deferred(place, run, 1, in_backup=True)
        status = migration.status()
        assert (status.run, status.state, status.active) == (None, "none", True)
        done = place.services.site.run("tasks", "clear", "cleared_early", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        run.until(lambda: not is_alive(process), "the backup goes on")
        assert migration.status().run is None, "no run has begun"
        # The lock is free: the next try has it, and backs up again.
        assert deferred(place, run, 2, in_backup=True) != process
    run.finish()
    log = place.detached_log("cleared_early")
    assert "asked this run to stop" in log
    assert log.count("backing up the target before the run begins\n") == 2
    assert run.values("migrate")[0]["run"] == 1
    servers.run_script(target, "DROP SCHEMA kept CASCADE")
    servers.assert_equal(place.source, target)


def deferred(place: Place, run: DagRunWatch, number: int, *, in_backup: bool = False) -> int:
    """Waits until a try, or one behind it, has deferred and its run is at the gate.

    A task that comes back before the scheduler has seen that it had deferred is taken for one that
    was killed, and tried once more. A try that meets a run which is being stopped comes back so.

    Returns:
        The id of the run's process.
    """

    def waits() -> bool:
        return place.waits_in_backup(run.dag_id) if in_backup else place.waits_at_gate()

    run.until(
        lambda: (
            {(task.state, task.tries >= number) for task in run.tasks()} == {("deferred", True)}
            and waits()
        ),
        "the task does not defer",
    )
    (task,) = run.tasks()
    run.until(lambda: not is_alive(task.pid), "the task keeps its slot")
    seen = re.compile(rf"executor event with .*dag_id='{run.dag_id}'.*try_number={task.tries},")
    log = place.services.log("scheduler")
    run.until(lambda: seen.search(log.read_text()) is not None, "the scheduler does not see it")
    at_work = "the backup of the target" if in_backup else "run 1"
    processes: list[str] = re.findall(rf"{at_work}: process (\d+) on ", run.logs())
    assert len(processes) >= number
    return int(processes[-1])


def test_failures_name_objects_and_only_what_may_pass_is_tried_again(place: Place) -> None:
    run = place.services.trigger("failing")
    run.until(lambda: run.state == "failed", "the run does not fail", expected="failed")
    tries = {task.name: task.tries for task in run.tasks()}
    assert tries == {"orphans": 1, "mistaken": 1, "unreachable": 2}, run.logs()
    assert "1 task failed: " in run.logs("orphans") and "has_parent" in run.logs("orphans")
    assert "471101" not in run.logs("orphans"), "a row's value"
    assert "options.formt" in run.logs("mistaken")


def is_alive(pid: int | None) -> bool:
    assert pid is not None
    return Path(f"/proc/{pid}").exists()


def assert_no_secrets(place: Place, run: DagRunWatch, name: str) -> None:
    """Nothing that Airflow keeps of the run holds a password or a row."""
    stored = "\n".join(str(row) for row in place.services.query("SELECT value FROM xcom"))
    rendered = str(
        place.services.query("SELECT rendered_fields FROM rendered_task_instance_fields")
    )
    for conninfo in (place.source, place.targets[name]):
        password = psycopg.conninfo.conninfo_to_dict(conninfo)["password"]
        assert str(password) not in stored + rendered + run.logs()
