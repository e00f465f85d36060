"""Many callers at once: threads, one loop, the GIL, forks; and a source that cannot be written."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import InternalError, Migration, PreflightError, errors
from support import servers

SCRIPT = """
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 2000) AS i;
CREATE TABLE u (a int);
INSERT INTO u SELECT 1 FROM generate_series(1, 500);
CREATE INDEX ON t (v);
ANALYZE;
"""
SEVERAL = 4


@pytest.fixture
def source(pair: Pair) -> str:
    conninfo = pair.source()
    servers.run_script(conninfo, SCRIPT)
    return conninfo


def migration(source: str, target: str, **keys: Any) -> Migration:
    return Migration(source=source, target=target, roles="none", **keys)


def test_calls_from_several_threads_at_once(pair: Pair, source: str) -> None:
    targets = [pair.target(f"_{number}") for number in range(SEVERAL)]
    together = threading.Barrier(SEVERAL)

    def work(target: str) -> tuple[str, set[int]]:
        chosen = migration(source, target)
        callers: set[int] = set()

        def on_event(event: Mapping[str, Any]) -> None:
            callers.add(threading.get_ident())

        together.wait(30)
        plan = chosen.plan(on_event=on_event)
        chosen.run(plan, jobs=2, on_event=on_event).raise_for_failures()
        assert callers == {threading.get_ident()}, "events arrive in the thread that called"
        assert chosen.status().state == "done"
        return plan.text, callers

    with ThreadPoolExecutor(SEVERAL) as threads:
        done = list(threads.map(work, targets))
    assert len({text for text, _ in done}) == 1
    for target in targets:
        servers.assert_equal(source, target)


async def test_calls_in_one_loop_at_once(pair: Pair, source: str) -> None:
    targets = [pair.target(f"_{number}") for number in range(SEVERAL)]
    running: set[str] = set()
    most = 0

    async def work(target: str) -> None:
        def on_event(event: Mapping[str, Any]) -> None:
            nonlocal most
            if event["event"] == "run_started":
                running.add(target)
                most = max(most, len(running))

        chosen = migration(source, target)
        report = await chosen.run_async(await chosen.plan_async(), jobs=2, on_event=on_event)
        running.discard(target)
        report.raise_for_failures()
        result = await chosen.verify_async()
        result.raise_for_differences()

    await asyncio.gather(*map(work, targets))
    assert most > 1
    for target in targets:
        servers.assert_equal(source, target)


async def test_a_loop_goes_on_meanwhile(pair: Pair, source: str) -> None:
    chosen = migration(source, pair.target(), tables=[{"name": "t", "where": GATED}])
    with closed_gate(source) as gate:
        running = asyncio.create_task(chosen.run_async())
        while not is_waiting(gate):
            await asyncio.sleep(0.01)
        assert not running.done()
        gate.execute("SELECT pg_advisory_unlock_all()")
        (await running).raise_for_failures()


GATED = "pg_catalog.pg_advisory_xact_lock_shared(5151)::text = ''"


@contextmanager
def closed_gate(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(5151)")
        yield connection


def is_waiting(gate: psycopg.Connection[Any]) -> bool:
    query = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 5151"
    return gate.execute(query).fetchone() is not None


def test_the_gil_is_free_meanwhile(pair: Pair, source: str) -> None:
    """The run waits for a lock that only another Python thread gives up, after it has worked."""
    chosen = migration(source, pair.target(), tables=[{"name": "t", "where": GATED}])
    counted = 0
    with closed_gate(source) as gate:

        def count() -> None:
            nonlocal counted
            while not is_waiting(gate):
                time.sleep(0.01)
            # Were the GIL held by the waiting call, this would not come to its end.
            for _ in range(100_000):
                counted += 1
            gate.execute("SELECT pg_advisory_unlock_all()")

        thread = threading.Thread(target=count)
        thread.start()
        chosen.run().raise_for_failures()
        thread.join()
    assert counted == 100_000


def test_a_second_run_on_the_same_target_is_refused(pair: Pair, source: str) -> None:
    target = pair.target()
    chosen = migration(source, target, tables=[{"name": "t", "where": GATED}])
    with closed_gate(source) as gate:
        thread = threading.Thread(target=chosen.run)
        thread.start()
        while not is_waiting(gate):
            time.sleep(0.01)
        with pytest.raises(PreflightError, match="another run"):
            migration(source, target).run()
        assert chosen.status().state == "running"
        gate.execute("SELECT pg_advisory_unlock_all()")
        thread.join()
    assert chosen.status().state == "done"


# The source.


def test_the_source_refuses_writes_of_our_own(pair: Pair, source: str) -> None:
    servers.run_script(
        source,
        "CREATE TABLE written (a int);"
        "CREATE FUNCTION write() RETURNS boolean LANGUAGE sql AS "
        "'INSERT INTO public.written VALUES (1) RETURNING true';",
    )
    target = pair.target()
    chosen = migration(
        source, target, tables={"include": [{"name": "t", "where": "public.write()"}]}
    )
    report = chosen.run()
    failed = [task for task in report.tasks if task.status == "failed"]
    assert [(task.object, task.phase, task.sqlstate) for task in failed] == [
        ("public.t", "data", "25006")
    ]
    assert servers.rows(source, "public", "written") == []
    # What does not need it has arrived.
    assert len(servers.rows(target, "public", "u")) == 500
    with pytest.raises(errors.CopyError, match=r"public\.t") as caught:
        report.raise_for_failures()
    assert caught.value.sqlstate == "25006"


@pytest.mark.parametrize(
    "where",
    [
        "set_config('default_transaction_read_only', 'off', false) = '' OR public.write()",
        "set_config('transaction_read_only', 'off', true) = '' OR public.write()",
    ],
)
def test_the_source_cannot_be_talked_into_writes(pair: Pair, source: str, where: str) -> None:
    servers.run_script(
        source,
        "CREATE TABLE written (a int);"
        "CREATE FUNCTION write() RETURNS boolean LANGUAGE sql AS "
        "'INSERT INTO public.written VALUES (1) RETURNING true';",
    )
    rule = {"name": "t", "where": where}
    report = migration(source, pair.target(), tables={"include": [rule]}).run()
    assert [task.object for task in report.tasks if task.status == "failed"] == ["public.t"]
    assert servers.rows(source, "public", "written") == []


# Errors and processes.


def every_error() -> list[errors.PgMigrateError]:
    attributes = {"phase": "data", "task": "t0001", "object": "a.t", "side": "target"}
    common: dict[str, Any] = {**attributes, "sqlstate": "23505", "remedy": "do"}
    classes = [getattr(errors, name) for name in errors.__all__]
    return [made("what failed", **common) for made in classes]


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_crosses_processes(error: errors.PgMigrateError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert again.to_dict() == error.to_dict()
    assert str(again) == str(error)


def test_an_error_of_a_real_call_crosses_processes(pair: Pair, source: str) -> None:
    with pytest.raises(PreflightError) as caught:
        migration(source, source).run()
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.findings == caught.value.findings
    assert again.findings
    assert again.to_dict() == caught.value.to_dict()


def test_a_forked_child_is_refused_with_a_remedy(pair: Pair, source: str) -> None:
    chosen = migration(source, pair.target())
    chosen.status()
    with warnings.catch_warnings():
        # Python warns of forking with threads; that is what this is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            chosen.status()
        except InternalError as error:
            code = 0 if "spawn" in (error.remedy or "") else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    # The parent is none the worse.
    assert chosen.status().state == "none"


def test_a_child_may_use_it_first(pair: Pair, source: str) -> None:
    """A process that has only imported the package may fork, as task queues do."""
    script = (
        "import os, sys, pgmigrate\n"
        "chosen = pgmigrate.Migration(source=sys.argv[1], target=sys.argv[2], roles='none')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if chosen.run().ok else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    target = pair.target()
    done = subprocess.run([sys.executable, "-c", script, source, target], check=False, timeout=60)
    assert done.returncode == 0
    servers.assert_equal(source, target)
