"""Parts of a run and held snapshots, with a scripted core in the place of servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from pgmigrate import HeldSnapshot, HoldResult, InternalError, Migration, StateError
from pgmigrate.events import SnapshotHeldEvent
from support.scripted_core import SOURCE, TARGET, Core, report, some_plan

HELD = {"event": "snapshot_held", "run": 7, "id": "00000003-00000002-1", "sees": "9:9:"}
PROGRESS = {"event": "hold_progress", "settled": 1, "running": 0, "failed": 0, "pending": 1}
RESULT: dict[str, Any] = {
    "run": 7,
    "status": "settled",
    "snapshot": "9:9:",
    "settled": 2,
    "open": 0,
    "seconds": 3.0,
}


@pytest.fixture
def migration() -> Migration:
    return Migration(source=SOURCE, target=TARGET, jobs=2)


def test_a_part_says_which_snapshot_it_reads(core: Core, migration: Migration) -> None:
    core.will(report())
    migration.run_tasks(some_plan(), ["d1"], snapshot="held", wait=5)
    core.will(report())
    migration.run_tasks(some_plan(), ["d1"])
    (_, _, held), (_, _, own) = core.calls
    assert (held["snapshot"], held["wait"], held["jobs"]) == ("held", 5, 2)
    assert own["snapshot"] == "own" and "wait" not in own


def test_a_hold_is_there_as_soon_as_its_snapshot_is(core: Core, migration: Migration) -> None:
    job = core.will(RESULT, [[{"event": "step_started", "step": "connect"}, HELD], [PROGRESS]])
    seen: list[str] = []
    held = migration.hold_snapshot(
        some_plan(), idle_timeout=9, on_event=lambda event: seen.append(event["event"])
    )
    assert (held.run, held.id, held.snapshot) == (7, HELD["id"], "9:9:")
    assert repr(held) == "HeldSnapshot(run=7, id='00000003-00000002-1', snapshot='9:9:')"
    assert seen == ["step_started", "snapshot_held"]
    result = held.wait()
    assert seen[2:] == ["hold_progress"]
    assert result == HoldResult(**RESULT) and result.ok and held.wait() is result
    assert result.text() == "snapshot of run 7 settled after 3.0 s"
    assert job.stopped == 0
    verb, _, settings = core.calls[0]
    assert (verb, settings["idle_timeout"]) == ("hold", 9)


def test_a_block_stops_its_hold(core: Core, migration: Migration) -> None:
    job = core.will({**RESULT, "status": "stopped", "open": 2}, [[HELD]])
    with migration.hold_snapshot(some_plan()) as held:
        assert job.stopped == 0
    assert job.stopped == 1
    assert held.wait().text() == "snapshot of run 7 stopped after 3.0 s, 2 data tasks left"


def test_a_hold_that_failed_by_itself_is_reported_at_the_end_of_the_block(
    core: Core, migration: Migration
) -> None:
    for _ in range(2):
        core.will(StateError("lost"), [[HELD]])
    with pytest.raises(StateError, match="lost"), migration.hold_snapshot(some_plan()):
        pass
    with pytest.raises(LookupError), migration.hold_snapshot(some_plan()):
        raise LookupError


def test_a_hold_that_never_has_a_snapshot(core: Core, migration: Migration) -> None:
    core.will(StateError("held already"), [[{"event": "step_started", "step": "connect"}]])
    with pytest.raises(StateError, match="held already"):
        migration.hold_snapshot(some_plan())
    core.will(RESULT, [])
    with pytest.raises(InternalError, match="without having exported"):
        migration.hold_snapshot(some_plan())
    job = core.will(RESULT, [KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        migration.hold_snapshot(some_plan())
    assert job.stopped == 1 and job.batches == []


def test_an_exception_in_the_callback_ends_the_hold(core: Core, migration: Migration) -> None:
    def refuse(event: Mapping[str, Any]) -> None:
        raise LookupError

    job = core.will(RESULT, [[HELD], [PROGRESS]])
    held = HeldSnapshot(
        migration.hold_snapshot(some_plan())._job, cast("SnapshotHeldEvent", HELD), refuse
    )
    with pytest.raises(LookupError):
        held.wait()
    assert job.stopped == 1
    with pytest.raises(LookupError):
        held.wait()


async def test_a_hold_can_be_awaited(core: Core, migration: Migration) -> None:
    core.will(RESULT, [[HELD], [PROGRESS]])
    async with await migration.hold_snapshot_async(some_plan()) as held:
        assert (await held.wait_async()).ok
    job = core.will({**RESULT, "status": "stopped"}, [[HELD]])
    async with await migration.hold_snapshot_async(some_plan()):
        pass
    assert job.stopped == 1
    core.will(StateError("held already"), [])
    with pytest.raises(StateError):
        await migration.hold_snapshot_async(some_plan())


def test_a_release_says_whether_there_is_a_holder(core: Core, migration: Migration) -> None:
    core.will({"released": True})
    assert migration.release_snapshot() is True
    core.will({"released": False})
    assert migration.release_snapshot() is False
