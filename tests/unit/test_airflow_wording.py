"""What Airflow shows of an error has Airflow's words, wherever it is raised.

Each operator, the trigger and the detached process make every call that they have; in each call a
verb of the core fails, one after another.
"""

from __future__ import annotations

import asyncio
import io
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, Final, get_args

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

import pgmigrate.airflow
from pgmigrate import Plan, _native
from pgmigrate._values.wording import WORDS, Action, action
from pgmigrate.airflow import (
    PgMigrate,
    PgMigrateHoldSnapshot,
    PgMigratePlan,
    PgMigratePostData,
    PgMigratePreflight,
    PgMigrateReleaseSnapshot,
    PgMigrateTasks,
    PgMigrateVerify,
    RunTrigger,
    detached,
    reference,
)
from pgmigrate.errors import StateError
from support.plan_text import plan_text
from support.scripted_core import SOURCE, TARGET, Job, report, task_result, verification

# Those whose words differ between the interfaces; a value is none of the words.
ACTIONS: Final = [name for name in get_args(Action) if "{}" not in WORDS[name]["airflow"]]
REMEDY: Final = "; ".join(action(name) for name in ACTIONS)
SAID: Final = "; ".join(WORDS[name]["airflow"] for name in ACTIONS)

TABLE: Final = {"schema": "public", "name": "t", "rows": 1, "bytes": 1}
PLAN: Final = Plan.parse(plan_text([{"id": "d1", "phase": "data", "kind": "data", **TABLE}]))
REFERENCE: Final = reference.refer(PLAN, path=None, snapshot="held", done_run=None)
STATUS: Final[dict[str, Any]] = {
    "run": None,
    "plan": None,
    "consistent": None,
    "state": "none",
    "active": False,
    "tasks": dict.fromkeys(("done", "kept", "running", "failed", "blocked", "pending"), 0),
    **dict.fromkeys(("rows_done", "rows_total", "bytes_done", "bytes_total", "seconds"), 0),
    "seconds_left": None,
    "running": [],
    "failed": [],
    "procedure": None,
    "findings": [],
}
HELD: Final = {"event": "snapshot_held", "run": 1, "id": "0-1", "sees": "1:1:"}
HOLD: Final = {"run": 1, "status": "settled", "snapshot": "1:1:", "settled": 1, "open": 0}
# What each verb returns, and its events, where it does not fail.
RESULTS: Final[Mapping[str, tuple[Any, list[Any]]]] = {
    "status": (STATUS, []),
    "preflight": ({"findings": [], "checks": []}, []),
    "plan": (PLAN.to_dict(), []),
    "run": (report(task_result(1)), []),
    "hold": ({**HOLD, "seconds": 1.0}, [[HELD]]),
    "release": ({"released": True}, []),
    "verify": (verification(), []),
    "stop": ({"stopped": True}, []),
}
CONFIG: Final[dict[str, Any]] = {"source": SOURCE, "target": TARGET}
CONTEXT: Final[Any] = {"ti": SimpleNamespace(xcom_push=lambda **_: None)}


class Failing:
    """A core in which one verb fails: when it starts, or where its result is taken."""

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.is_reached = False

    def start(self, verb: str, options: Mapping[str, Any], settings: Mapping[str, Any]) -> Job:
        result, batches = RESULTS[verb]
        job = Job(batches, result)
        if verb == self.verb:
            self.is_reached = True
            job.result = self._fail  # type: ignore[method-assign] # the test is about its error
        return job

    def _fail(self) -> Any:
        # As the core does, where the caller takes the result.
        raise StateError("no", remedy=REMEDY)


def _operator(of: Any, **arguments: Any) -> Callable[[], object]:
    return lambda: of(task_id="t", config=CONFIG, **arguments).execute(CONTEXT)


def _wait() -> None:
    async def first() -> None:
        async for _ in _trigger().run():
            return

    asyncio.run(first())


def _trigger() -> RunTrigger:
    return RunTrigger(run=1, target_conn_id="new", ledger_schema="l", every=0.0)


def _take_up(state: str) -> Callable[[], object]:
    def call() -> None:
        event = {**dict.fromkeys(("consistent", "tasks", "rows", "bytes", "seconds")), "run": 1}
        task = PgMigrate(task_id="t", config=CONFIG, target_conn_id="new", verify=True)
        task._take_up(CONTEXT, {**event, "state": state}, REFERENCE, True)

    return call


# Every call that Airflow makes, by the public name that it belongs to.
CALLS: Final[Mapping[str, list[tuple[Callable[[], object], set[str]]]]] = {
    "PgMigrate": [
        (_operator(PgMigrate), {"status", "plan", "run"}),
        (_operator(PgMigrate, plan=REFERENCE), {"status", "run"}),
        (_take_up("done"), {"verify"}),
    ],
    "PgMigrateHoldSnapshot": [(_operator(PgMigrateHoldSnapshot, plan=REFERENCE), {"hold"})],
    "PgMigratePlan": [(_operator(PgMigratePlan), {"status", "plan"})],
    "PgMigratePostData": [(_operator(PgMigratePostData, plan=REFERENCE), {"run"})],
    "PgMigratePreflight": [(_operator(PgMigratePreflight), {"preflight"})],
    "PgMigrateReleaseSnapshot": [(_operator(PgMigrateReleaseSnapshot), {"release"})],
    "PgMigrateTasks": [(_operator(PgMigrateTasks, plan=REFERENCE, part="1/1"), {"run"})],
    "PgMigrateVerify": [(_operator(PgMigrateVerify), {"verify"})],
    "RunTrigger": [
        (_wait, {"status"}),
        (lambda: asyncio.run(_trigger().on_kill()), {"stop"}),
    ],
}


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgmigrate.airflow.configuration, "conninfo_of", lambda _: {"host": "h"})


def _cases() -> Iterator[Any]:
    for name, calls in CALLS.items():
        for number, (call, verbs) in enumerate(calls):
            for verb in RESULTS:
                yield pytest.param(call, verb, verb in verbs, id=f"{name}-{number}-{verb}")


def test_every_public_name_is_called() -> None:
    assert set(CALLS) == set(pgmigrate.airflow.__all__)


@pytest.mark.parametrize(("call", "verb", "is_used"), _cases())
def test_whatever_fails_in_airflow_has_airflow_s_words(
    call: Callable[[], object], verb: str, is_used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = Failing(verb)
    monkeypatch.setattr(_native, "start", core.start)
    try:
        call()
    except TaskDeferred:
        pytest.fail("no call here waits")
    except Exception as error:
        assert core.is_reached and str(error) == f"no; {SAID}", error
    else:
        assert not core.is_reached
    assert core.is_reached is is_used


@pytest.mark.parametrize("where", ["run", "plan file", "configuration"])
def test_a_detached_run_has_airflow_s_words(
    where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> Any:
        raise StateError("no", remedy=REMEDY)

    core = Failing("run")
    monkeypatch.setattr(_native, "start", core.start)
    if where == "plan file":
        monkeypatch.setattr(_native, "parse_plan", fail)
    elif where == "configuration":
        monkeypatch.setattr(_native, "config", fail)
    work = {"options": CONFIG, "plan": PLAN.text, "settings": {}}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(work)))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert detached.main() == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["remedy"] == SAID
