"""The holder of a snapshot: what ends it, what does not, and what becomes of its parts."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import ConnectError, Event, Migration, StateError
from support import parts, servers
from support.parts import Parts


@pytest.fixture
def others(bank: Parts) -> list[str]:
    """All tasks of the data phase but those of the keyless table."""
    return [task for task in bank.plan.ids("data") if task not in bank.tasks("transfer")]


def _change(bank: Parts) -> None:
    servers.run_script(
        bank.options["source"],
        "UPDATE bank.account SET balance = 5; INSERT INTO bank.transfer VALUES (9, 9, 9);"
        "INSERT INTO bank.audit (account) VALUES (9)",
    )


def _end(conninfo: str, application: str) -> None:
    (pid,) = parts.backends(conninfo, application)
    servers.run_script(conninfo, f"SELECT pg_terminate_backend({pid})")


def test_a_killed_holder_is_reported_by_name_and_another_one_is_the_way_out(
    bank: Parts, others: list[str]
) -> None:
    source, target = bank.options["source"], bank.target
    keyless = bank.tasks("transfer")
    holder, sees = bank.start_holder()
    half = bank.tasks("account")[:3]
    parts.report(bank.start(half, snapshot="held"))
    holder.kill()
    holder.wait()
    _change(bank)
    with pytest.raises(StateError, match="no snapshot is held for this plan's run") as caught:
        bank.migration.run_tasks(bank.plan, keyless, snapshot="held", wait=0.5)
    assert "hold_snapshot() again" in (caught.value.remedy or "")
    assert bank.statuses()[half[0]] == "done" and not parts.backends(source, "pgmigrate leader")
    with bank.migration.hold_snapshot(bank.plan) as held:
        assert held.snapshot != sees
        expected = parts.in_snapshot(source, held.id)
        assert bank.statuses()[half[0]] == "pending", "no table holds rows of two moments"
        assert bank.migration.status().state == "running", "the holder is there"
        workers = [bank.start(ids, snapshot="held") for ids in (others, keyless)]
        for worker in workers:
            assert parts.report(worker)["consistent"]
        assert held.wait().ok
    bank.finish()
    assert parts.on_target(target) == expected
    assert bank.migration.status().state == "done"


def test_parts_outlive_their_holder_and_hand_its_snapshot_to_the_next(
    bank: Parts, others: list[str]
) -> None:
    source, target = bank.options["source"], bank.target
    keyless = bank.tasks("transfer")
    holder, sees = bank.start_holder()
    with parts.in_the_way(target, "account"):
        worker = bank.start(others, snapshot="held", jobs=2)
        parts.wait_for(lambda: parts.blocked(target), "no row task began")
        holder.kill()
        holder.wait()
        _change(bank)
        held = bank.migration.hold_snapshot(bank.plan)
        assert held.snapshot == sees, "the part that is at work reads it still"
        expected = parts.in_snapshot(source, held.id)
    with held:
        last = parts.report(bank.start(keyless, snapshot="held"))
        assert parts.report(worker)["consistent"] and last["consistent"]
        assert held.wait().ok
    bank.finish()
    assert parts.on_target(target) == expected
    assert (9, 9, 9) not in expected["transfer"]


def test_a_lost_session_on_the_source_ends_the_hold_with_an_error(bank: Parts) -> None:
    held = bank.migration.hold_snapshot(bank.plan)
    _end(bank.options["source"], "pgmigrate leader")
    with pytest.raises(ConnectError, match="held the snapshot is lost") as caught:
        held.wait()
    assert "start the holder again" in (caught.value.remedy or "")
    with pytest.raises(StateError, match="no snapshot"):
        bank.migration.run_tasks(bank.plan, bank.tasks("audit"), snapshot="held", wait=0)
    with pytest.raises(ConnectError):
        held.wait()


def test_a_lost_session_on_the_target_is_opened_again(bank: Parts) -> None:
    target = bank.target
    with bank.migration.hold_snapshot(bank.plan) as held:
        (old,) = parts.backends(target, "pgmigrate holder")
        _end(target, "pgmigrate holder")
        ids = bank.plan.ids("data")
        assert parts.report(bank.start(ids, snapshot="held"))["snapshots"] == [held.snapshot]
        assert old not in parts.backends(target, "pgmigrate holder")
        assert held.wait().ok


@pytest.mark.case("A1", "A2")
@pytest.mark.parametrize(
    "setting", ["idle_in_transaction_session_timeout", "transaction_timeout", "statement_timeout"]
)
def test_no_timeout_of_the_source_ends_the_hold(
    make_pair: Callable[[int, int], Pair], tmp_path: Path, setting: str
) -> None:
    pair = make_pair(18, 18)
    source, target = pair.source(), pair.target()
    servers.run_script(source, parts.SCRIPT)
    for conninfo in (source, target):
        with psycopg.connect(conninfo, autocommit=True) as connection:
            name = connection.info.dbname
            connection.execute(f"ALTER DATABASE {name} SET {setting} = '1s'".encode())
    bank = Parts(tmp_path, source, target)
    bank.prepare()
    with bank.migration.hold_snapshot(bank.plan) as held:
        with psycopg.connect(source) as connection:
            connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
            connection.execute(f"SET {setting} = 0")
            connection.execute("SELECT pg_sleep(2.5)")
        report = bank.migration.run_tasks(bank.plan, bank.plan.ids("data"), snapshot="held")
        report.raise_for_failures()
        assert report.snapshots == (held.snapshot,) and held.wait().ok


def test_a_part_waits_for_its_holder(bank: Parts, others: list[str]) -> None:
    worker = bank.start(bank.plan.ids("data"), snapshot="held", wait=60)
    parts.wait_for(lambda: parts.backends(bank.target, "pgmigrate leader"), "it has not begun")
    with bank.migration.hold_snapshot(bank.plan) as held:
        assert parts.report(worker)["snapshots"] == [held.snapshot]
        assert held.wait().ok


def test_a_part_whose_rows_are_all_there_needs_no_holder(bank: Parts) -> None:
    data = bank.plan.ids("data")
    with bank.migration.hold_snapshot(bank.plan) as held:
        bank.migration.run_tasks(bank.plan, data, snapshot="held").raise_for_failures()
        assert held.wait().ok
    _change(bank)
    servers.run_script(bank.options["source"], "ALTER TABLE bank.audit ADD extra int")
    again = bank.migration.run_tasks(bank.plan, data, snapshot="held", wait=30)
    assert again.ok and again.consistent and again.snapshots == (held.snapshot,)
    assert {task.attempts for task in again.tasks} == {1}


def test_the_schema_is_made_while_a_snapshot_is_held(pair: Pair, tmp_path: Path) -> None:
    source = pair.source()
    servers.run_script(source, parts.SCRIPT)
    bank = Parts(tmp_path, source, pair.target())
    with bank.migration.hold_snapshot(bank.plan) as held:
        bank.prepare()
        rows = bank.migration.run_tasks(bank.plan, bank.plan.ids("data"), snapshot="held")
        assert rows.ok and rows.snapshots == (held.snapshot,)
        bank.finish()
        assert held.wait().ok
    servers.assert_equal(source, bank.target)


def test_tasks_that_read_no_rows_need_no_holder(bank: Parts) -> None:
    bank.migration.run_tasks(bank.plan, bank.plan.ids("data")).raise_for_failures()
    later = bank.plan.ids(*parts.LATER)
    bank.migration.run_tasks(bank.plan, later, snapshot="held", wait=0).raise_for_failures()
    assert bank.migration.status().state == "done"


def test_failed_tasks_end_no_hold_and_a_release_does(bank: Parts, others: list[str]) -> None:
    target, keyless = bank.target, bank.tasks("transfer")
    reported: list[Event] = []
    held = bank.migration.hold_snapshot(bank.plan, on_event=reported.append)
    servers.run_script(target, "ALTER TABLE bank.transfer ADD CHECK (amount > 0)")
    run = bank.migration.run_tasks
    assert run(bank.plan, keyless, snapshot="held").status == "failed"
    assert bank.migration.status().state == "failed"
    run(bank.plan, others, snapshot="held").raise_for_failures()
    servers.run_script(target, "ALTER TABLE bank.transfer DROP CONSTRAINT transfer_amount_check")
    assert parts.backends(target, "pgmigrate holder")
    assert bank.migration.release_snapshot()
    result = held.wait()
    assert (result.status, result.open, result.ok) == ("released", len(keyless), False)
    assert not bank.migration.release_snapshot()
    progress = [event for event in reported if event["event"] == "hold_progress"]
    assert progress[-1]["failed"] == len(keyless) and progress[-1]["settled"] == result.settled
    assert bank.migration.status().state == "failed"
    with pytest.raises(StateError, match="no snapshot"):
        run(bank.plan, keyless, snapshot="held", wait=0)
    # What no part is left to do, the whole run does.
    bank.migration.run(bank.plan, resume=True).raise_for_failures()
    servers.assert_equal(bank.options["source"], target)


def test_a_hold_that_no_part_uses_gives_up(bank: Parts) -> None:
    held = bank.migration.hold_snapshot(bank.plan, idle_timeout=1)
    left = len(bank.plan.ids("data"))
    with pytest.raises(StateError, match=f"{left} of its data tasks are not settled"):
        held.wait()
    assert not parts.backends(bank.options["source"], "pgmigrate leader")


def test_a_block_that_ends_ends_the_hold(bank: Parts) -> None:
    source = bank.options["source"]
    with bank.migration.hold_snapshot(bank.plan) as held:
        assert parts.backends(source, "pgmigrate leader")
        locks = """
            SELECT count(*) FROM pg_locks
            WHERE mode = 'AccessShareLock' AND relation = 'bank.account'::regclass
        """
        with psycopg.connect(source) as connection:
            assert connection.execute(locks).fetchone() == (1,)
            with pytest.raises(psycopg.errors.LockNotAvailable):
                connection.execute("SET lock_timeout = '100ms'")
                connection.execute("DROP TABLE bank.account")
    assert held.wait().status == "stopped"
    assert not parts.backends(source, "pgmigrate leader")
    with pytest.raises(ZeroDivisionError), bank.migration.hold_snapshot(bank.plan):
        raise ZeroDivisionError
    assert not parts.backends(source, "pgmigrate leader")


def test_there_is_one_holder_and_its_ledger_stays(bank: Parts) -> None:
    with bank.migration.hold_snapshot(bank.plan):
        with pytest.raises(StateError, match="another process already holds a snapshot"):
            bank.migration.hold_snapshot(bank.plan)
        with pytest.raises(StateError, match="a snapshot is held"):
            bank.migration.cleanup()
    assert bank.migration.cleanup().dropped


def test_the_whole_run_may_end_before_the_holder_has_looked(
    bank: Parts, pair: Pair, tmp_path: Path
) -> None:
    brief = Parts(tmp_path, bank.options["source"], pair.target("_2"), keep_ledger=False)
    held = brief.migration.hold_snapshot(brief.plan)
    brief.migration.run(brief.plan, resume=True).raise_for_failures()
    assert held.wait().status == "settled"
    with psycopg.connect(brief.target) as connection:
        assert connection.execute("SELECT to_regnamespace('pgmigrate')").fetchone() == (None,)


def test_ctrl_c_ends_the_hold_in_order(bank: Parts) -> None:
    holder, _ = bank.start_holder()
    holder.send_signal(signal.SIGINT)
    assert parts.error(holder) == "KeyboardInterrupt"
    with psycopg.connect(bank.target) as connection:
        left = connection.execute("SELECT count(*) FROM pgmigrate.migration_snapshot").fetchone()
    assert left == (0,)
    assert bank.migration.status().state == "interrupted"


async def test_a_hold_as_an_awaitable(bank: Parts) -> None:
    async with await bank.migration.hold_snapshot_async(bank.plan) as held:
        waiting = asyncio.create_task(held.wait_async())
        report = await bank.migration.run_tasks_async(
            bank.plan, bank.plan.ids("data"), snapshot="held"
        )
        assert report.snapshots == (held.snapshot,)
        assert (await waiting).ok
    held = await bank.migration.hold_snapshot_async(bank.plan)
    assert (await held.wait_async()).ok, "nothing is left to wait for"


async def test_a_cancelled_hold_is_let_go(bank: Parts) -> None:
    held = await bank.migration.hold_snapshot_async(bank.plan)
    waiting = asyncio.create_task(held.wait_async())
    await asyncio.sleep(0.1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not parts.backends(bank.options["source"], "pgmigrate leader")


@pytest.fixture
def standby(bank: Parts, pair: Pair) -> Iterator[str]:
    """The source's database on a hot standby."""
    server = servers.start_standby(pair.source_server)
    with psycopg.connect(bank.options["source"]) as connection:
        name = connection.info.dbname
    yield server.conninfo_for(name)
    server.stop()


def test_a_part_on_another_server_of_the_same_database_is_refused(
    bank: Parts, standby: str
) -> None:
    elsewhere = Migration(**{**bank.options, "source": standby})
    with (
        bank.migration.hold_snapshot(bank.plan),
        pytest.raises(ConnectError, match="another server than the one that holds"),
    ):
        elsewhere.run_tasks(bank.plan, bank.tasks("audit"), snapshot="held")
    with elsewhere.hold_snapshot(bank.plan) as held:
        report = elsewhere.run_tasks(bank.plan, bank.plan.ids("data"), snapshot="held")
        report.raise_for_failures()
        assert report.consistent and held.wait().ok


def test_two_states_of_a_standby_that_are_with_one_name_are_not_one(
    bank: Parts, standby: str
) -> None:
    elsewhere = Migration(**{**bank.options, "source": standby})
    first, *others = bank.tasks("account")
    source = bank.options["source"]
    with (
        psycopg.connect(source) as oldest,
        psycopg.connect(source) as late,
        psycopg.connect(source, autocommit=True) as primary,
        psycopg.connect(standby, autocommit=True) as replica,
    ):
        oldest.execute("SELECT pg_current_xact_id()")
        late.execute(f"UPDATE bank.account SET balance = 0 WHERE id = {parts.ACCOUNTS}")
        primary.execute("INSERT INTO bank.audit (account) VALUES (1)")
        seen = _caught_up(primary, replica)
        for ids in (bank.plan.ids("roles", "pre-data"), [first]):
            elsewhere.run_tasks(bank.plan, ids).raise_for_failures()
        late.commit()
        # PostgreSQL writes the same: of what is in progress only the oldest shows.
        assert _caught_up(primary, replica) == seen
        with pytest.raises(StateError, match="another snapshot of the source"):
            elsewhere.run_tasks(bank.plan, others)


def _caught_up(primary: psycopg.Connection[Any], replica: psycopg.Connection[Any]) -> str:
    """What a snapshot of the standby is written as, once it has all that the primary has."""
    at = primary.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
    assert at is not None
    for _ in range(600):
        if replica.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", at).fetchone() == (
            True,
        ):
            (seen,) = replica.execute("SELECT pg_current_snapshot()::text").fetchone() or ("",)
            return str(seen)
        time.sleep(0.1)
    raise AssertionError("the standby does not follow")


def test_a_holder_of_a_run_that_has_begun_needs_no_room_for_a_backup(
    bank: Parts, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    folder = str(tmp_path / "file" / "backup")
    migration = Migration(**bank.options, options={"backup": True, "backup_dir": folder})
    with migration.hold_snapshot(bank.plan) as held:
        report = migration.run_tasks(bank.plan, bank.plan.ids("data"), snapshot="held")
        report.raise_for_failures()
        assert held.wait().ok
