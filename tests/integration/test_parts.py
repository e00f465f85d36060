"""Runs in parts: processes that share a plan and a ledger, and fail, end and begin as they like."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from conftest import Pair
from pgmigrate import ConfigError, DriftError, StateError
from pgmigrate._bridge.pg_tools import pg_dump_candidates
from support import parts, servers
from support.parts import Parts


def _bank(pair: Pair, tmp_path: Path, more: str = "", **changes: object) -> Parts:
    source = pair.source()
    servers.run_script(source, parts.SCRIPT + more)
    return Parts(tmp_path, source, pair.target(), **changes)


def test_parts_in_several_processes_see_one_moment_of_a_busy_source(
    pair: Pair, tmp_path: Path
) -> None:
    bank = _bank(pair, tmp_path)
    source, target = bank.options["source"], bank.target
    groups = bank.plan.groups(3)
    assert len(groups) == 3
    with parts.transfers(source):
        bank.prepare()
        with bank.migration.hold_snapshot(bank.plan) as held:
            workers = [bank.start(group, snapshot="held") for group in groups]
            expected = parts.in_snapshot(source, held.id)
            reports = [parts.report(worker) for worker in workers]
            result = held.wait()
        bank.finish()
        found = parts.on_target(target)
    assert result.ok and (result.status, result.open) == ("settled", 0)
    assert expected == found
    assert sum(balance for _, balance, _ in found["account"]) == parts.ACCOUNTS * 1000
    assert all(report["consistent"] for report in reports)
    assert {snapshot for report in reports for snapshot in report["snapshots"]} == {held.snapshot}
    assert not any(parts.findings(report) for report in reports)
    assert bank.migration.status().state == "done"
    verified = bank.migration.verify(bank.plan)
    assert [item for item in verified.tables if item.status != "equal"] == []


@pytest.mark.parametrize("resumed", [True, False])
def test_a_killed_part_is_taken_up_again_while_others_are_at_work(
    pair: Pair, tmp_path: Path, resumed: bool
) -> None:
    bank = _bank(pair, tmp_path)
    bank.prepare()
    source, target = bank.options["source"], bank.target
    keyless = bank.tasks("transfer")
    others = [task for task in bank.plan.ids("data") if task not in keyless]
    with (
        bank.migration.hold_snapshot(bank.plan) as held,
        parts.in_the_way(target, "transfer") as transfer,
        parts.in_the_way(target, "account") as account,
    ):
        expected = parts.in_snapshot(source, held.id)
        worker = bank.start(others, snapshot="held", jobs=2)
        victim = bank.start(keyless, snapshot="held")
        parts.wait_for(lambda: bank.statuses()[keyless[0]] == "running", "no row task began")
        victim.kill()
        victim.wait()
        servers.run_script(source, "INSERT INTO bank.transfer VALUES (0, 0, 0)")
        assert bank.statuses()[keyless[0]] == "running", "no process was left to say otherwise"
        transfer.rollback()
        again = parts.report(bank.start(keyless, snapshot="held"))
        assert worker.poll() is None, "the other part was not at work"
        assert [task["status"] for task in again["tasks"]] == ["done"] * len(keyless)
        assert bank.migration.status().state == "running"
        account.rollback()
        parts.report(worker)
        held.wait()
    if resumed:
        bank.migration.run(bank.plan, resume=True).raise_for_failures()
    else:
        bank.finish()
    assert parts.on_target(target) == expected
    assert bank.migration.status().state == "done"


def test_two_groups_at_once_share_a_keyless_table_of_a_quiet_source(
    quiet: Pair, tmp_path: Path
) -> None:
    more = "INSERT INTO bank.transfer SELECT 1, 2, 0 FROM generate_series(1, 90000); ANALYZE;"
    bank = _bank(quiet, tmp_path, more, split_larger_than="32KB")
    bank.prepare()
    groups = bank.plan.groups(2)
    assert all(set(group) & set(bank.tasks("transfer")) for group in groups)
    workers = [bank.start(group) for group in groups]
    reports = [parts.report(worker) for worker in workers]
    for report in reports:
        assert report["consistent"]
        assert parts.findings(report) == {"own_snapshot"}
    bank.finish()
    servers.assert_equal(bank.options["source"], bank.target)
    assert bank.migration.status().state == "done"


def test_the_first_of_several_parts_begins_the_run(quiet: Pair, tmp_path: Path) -> None:
    bank = _bank(quiet, tmp_path)
    # Each of them could begin it: each makes its tables itself.
    made = bank.plan.ids("pre-data")
    workers = [bank.start([*made, *bank.tasks("audit")]) for _ in range(2)]
    for worker in workers:
        parts.report(worker)
    assert bank.migration.status().run == 1
    report = bank.migration.run(bank.plan, resume=True)
    report.raise_for_failures()
    servers.assert_equal(bank.options["source"], bank.target)


def test_without_a_holder_a_busy_source_is_reported_and_no_table_is_mixed(
    pair: Pair, tmp_path: Path
) -> None:
    bank = _bank(pair, tmp_path)
    bank.prepare()
    accounts = bank.tasks("account")
    bank.migration.run_tasks(bank.plan, accounts[:2]).raise_for_failures()
    servers.run_script(bank.options["source"], "UPDATE bank.account SET balance = 0")
    with pytest.raises(StateError, match="half-copied table") as caught:
        bank.migration.run_tasks(bank.plan, accounts[2:4])
    assert "hold one snapshot" in str(caught.value)
    whole = bank.migration.run_tasks(bank.plan, bank.tasks("transfer"))
    assert not whole.consistent and len(whole.snapshots) == 2
    (reported,) = [finding for finding in whole.findings if finding.check == "own_snapshot"]
    assert "write nothing to the source" in reported.remedy
    allowed = bank.migration.run_tasks(bank.plan, accounts[2:4], consistent=False)
    assert allowed.ok and not allowed.consistent


def test_a_part_that_has_a_table_to_itself_copies_it_again(pair: Pair, tmp_path: Path) -> None:
    bank = _bank(pair, tmp_path)
    bank.prepare()
    accounts = bank.tasks("account")
    bank.migration.run_tasks(bank.plan, accounts[:3]).raise_for_failures()
    servers.run_script(bank.options["source"], "UPDATE bank.account SET balance = id")
    bank.migration.run_tasks(bank.plan, accounts).raise_for_failures()
    found = parts.on_target(bank.target)["account"]
    assert len(found) == parts.ACCOUNTS and all(row[0] == row[1] for row in found)


@pytest.mark.case("S9")
def test_a_part_with_rows_of_a_later_moment_sets_their_sequences_itself(
    pair: Pair, tmp_path: Path
) -> None:
    bank = _bank(pair, tmp_path)
    bank.prepare()
    sequences = [task.id for task in bank.plan if task.kind == "sequence value"]
    others = [task for task in bank.plan.ids("data") if task not in bank.tasks("audit")]
    bank.migration.run_tasks(bank.plan, others).raise_for_failures()
    servers.run_script(
        bank.options["source"],
        "INSERT INTO bank.audit (account) SELECT 1 FROM generate_series(1, 100)",
    )
    last = bank.migration.run_tasks(bank.plan, bank.tasks("audit"))
    last.raise_for_failures()
    assert {task.id for task in last.tasks} == {*sequences, *bank.tasks("audit")}
    # Indexes and the like are left: the part is done and the run is not.
    assert (last.status, last.run_state) == ("done", "interrupted")
    assert "the run as a whole: interrupted" in last.text()
    statuses = bank.statuses()
    assert [statuses[task] for task in sequences] == ["done"] * len(sequences)
    finish = bank.migration.run_tasks(bank.plan, bank.plan.ids(*parts.LATER))
    assert (finish.status, finish.run_state) == ("done", "done")
    with psycopg.connect(bank.target) as connection:
        found = connection.execute("SELECT max(id), nextval('bank.audit_id_seq') FROM bank.audit")
        assert found.fetchone() == (600, 601)


@pytest.mark.parametrize("holding", [False, True])
def test_a_commit_under_way_is_waited_for(pair: Pair, tmp_path: Path, holding: bool) -> None:
    """What it settles, rows of another moment, counts for every part that joins."""
    bank = _bank(pair, tmp_path)
    bank.prepare()
    accounts = bank.tasks("account")
    looking = """
        SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
        AND application_name LIKE 'pgmigrate%' AND query LIKE '%SKIP LOCKED%'
    """
    with psycopg.connect(bank.target) as killed, psycopg.connect(bank.target) as watch:
        watch.autocommit = True
        killed.execute(
            "UPDATE pgmigrate.migration_task SET status = 'done', snapshot = '1:1:' "
            "WHERE task = %s",
            (accounts[0],),
        )
        killed.execute("INSERT INTO bank.account VALUES (1, 77)")
        if holding:
            with ThreadPoolExecutor() as pool:
                begun = pool.submit(bank.migration.hold_snapshot, bank.plan)
                parts.wait_for(
                    lambda: begun.done() or watch.execute(looking).fetchone(), "no session waited"
                )
                assert not begun.done()
                killed.commit()
                with begun.result():
                    assert bank.statuses()[accounts[0]] == "pending", "the table is copied again"
            return
        worker = bank.start(accounts[1:3])
        parts.wait_for(
            lambda: worker.poll() is not None or watch.execute(looking).fetchone(),
            "no session waited",
        )
        assert worker.poll() is None
        killed.commit()
        assert "half-copied table" in parts.error(worker)


def test_a_table_that_a_living_part_copies_from_another_moment_is_left_alone(
    pair: Pair, tmp_path: Path
) -> None:
    bank = _bank(pair, tmp_path)
    bank.prepare()
    accounts = bank.tasks("account")
    with parts.in_the_way(bank.target, "account"):
        worker = bank.start(accounts[:2], jobs=1)
        parts.wait_for(lambda: parts.blocked(bank.target), "no row task began")
        servers.run_script(bank.options["source"], "UPDATE bank.account SET balance = 0")
        for ids in (accounts, accounts[4:]):
            with pytest.raises(StateError, match="from another snapshot of the source") as caught:
                bank.migration.run_tasks(bank.plan, ids)
            assert caught.value.object == "bank.account"
    parts.report(worker)


def test_a_part_that_joins_reads_no_catalog_that_others_have_read(
    pair: Pair, tmp_path: Path
) -> None:
    pg_dump = max(pg_dump_candidates())
    calls, script = tmp_path / "calls", tmp_path / "pg_dump"
    script.write_text(f'#!/bin/sh\necho "$@" >> {calls}\nexec {pg_dump} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    bank = _bank(pair, tmp_path, pg_dump=str(script))
    bank.prepare()
    calls.write_text("")
    steps = []
    parts_of = {"own": bank.tasks("transfer"), "held": bank.tasks("audit")}
    with bank.migration.hold_snapshot(bank.plan):
        assert "schema-only" in calls.read_text(), "the script was not asked"
        calls.write_text("")
        for snapshot, ids in parts_of.items():
            bank.migration.run_tasks(
                bank.plan,
                ids,
                snapshot=snapshot,  # type: ignore[arg-type]
                on_event=lambda event: steps.append(event.get("step")),
            ).raise_for_failures()
    assert calls.read_text() == ""
    assert {step for step in steps if step} == {"connect", "plan", "ledger"}


def test_drift_is_found_by_every_part(pair: Pair, tmp_path: Path) -> None:
    bank = _bank(pair, tmp_path)
    bank.prepare()
    servers.run_script(bank.options["source"], "ALTER TABLE bank.audit ADD extra int")
    with pytest.raises(DriftError, match=r"bank\.audit has other columns"):
        bank.migration.run_tasks(bank.plan, bank.tasks("audit"))
    with pytest.raises(DriftError, match=r"bank\.audit has other columns"):
        bank.migration.hold_snapshot(bank.plan)
    other = Parts(tmp_path, bank.options["source"], bank.target, format="text")
    with pytest.raises(DriftError, match="format"):
        other.migration.run_tasks(bank.plan, bank.tasks("account"))


def test_rows_that_a_foreign_key_of_the_target_keeps_back_wait_for_the_others(
    pair: Pair, tmp_path: Path
) -> None:
    source, target = pair.source(), pair.target()
    tables = """
        CREATE SCHEMA bank;
        CREATE TABLE bank.parent (id int PRIMARY KEY);
        CREATE TABLE bank.child (id int PRIMARY KEY, parent int REFERENCES bank.parent);
    """
    for conninfo in (source, target):
        servers.run_script(conninfo, tables)
    servers.run_script(
        source, "INSERT INTO bank.parent VALUES (1); INSERT INTO bank.child VALUES (1, 1)"
    )
    bank = Parts(tmp_path, source, target, tables={"mode": "all"})
    bank.prepare()
    with pytest.raises(StateError, match="foreign key of the target") as caught:
        bank.migration.run_tasks(bank.plan, bank.tasks("child"))
    assert caught.value.object == "bank.child" and "bank.parent" in str(caught.value)
    bank.migration.run_tasks(bank.plan, bank.tasks("parent")).raise_for_failures()
    bank.migration.run_tasks(bank.plan, bank.tasks("child")).raise_for_failures()
    bank.finish()
    servers.assert_equal(source, target)


def test_tables_that_are_emptied_first_are_whole_in_a_group(quiet: Pair, tmp_path: Path) -> None:
    bank = _bank(quiet, tmp_path)
    servers.run_script(bank.target, parts.SCRIPT)
    servers.run_script(bank.target, "UPDATE bank.account SET balance = 7")
    bank = Parts(tmp_path, bank.options["source"], bank.target, on_existing="truncate")
    bank.prepare()
    groups = bank.plan.groups(3)
    for table in ("account", "transfer", "audit"):
        tasks = {task.id for task in bank.plan if task.name == table and task.phase == "data"}
        assert len(tasks) > 1 and any(tasks <= set(group) for group in groups)
    for worker in [bank.start(group) for group in groups]:
        parts.report(worker)
    bank.finish()
    expected = parts.on_target(bank.options["source"])
    assert parts.on_target(bank.target) == expected


def test_a_failed_part_says_so_in_the_ledger_and_its_retry_takes_it_back(
    pair: Pair, tmp_path: Path
) -> None:
    bank = _bank(pair, tmp_path)
    bank.prepare()
    servers.run_script(bank.target, "ALTER TABLE bank.audit ADD CHECK (account > 1)")
    failed = bank.migration.run_tasks(bank.plan, bank.tasks("audit"))
    assert failed.status == "failed" and bank.migration.status().state == "failed"
    bank.migration.run_tasks(bank.plan, bank.tasks("transfer")).raise_for_failures()
    assert bank.migration.status().state == "failed", "another's success hides no failure"
    servers.run_script(bank.target, "ALTER TABLE bank.audit DROP CONSTRAINT audit_account_check")
    bank.migration.run_tasks(bank.plan, bank.tasks("audit")).raise_for_failures()
    assert bank.migration.status().state == "interrupted"
    bank.migration.run(bank.plan, resume=True).raise_for_failures()
    assert bank.migration.status().state == "done"
    servers.assert_equal(bank.options["source"], bank.target)


def test_a_ledger_of_an_older_version_is_joined(quiet: Pair, tmp_path: Path) -> None:
    bank = _bank(quiet, tmp_path)
    bank.prepare()
    servers.run_script(bank.target, "DROP TABLE pgmigrate.migration_snapshot")
    assert not bank.migration.release_snapshot()
    with pytest.raises(StateError, match="no snapshot"):
        bank.migration.run_tasks(bank.plan, bank.plan.ids("data"), snapshot="held", wait=0)
    bank.migration.run_tasks(bank.plan, bank.plan.ids("data")).raise_for_failures()
    bank.finish()
    servers.assert_equal(bank.options["source"], bank.target)


def test_what_is_asked_of_a_part_is_checked(pair: Pair, tmp_path: Path) -> None:
    bank = _bank(pair, tmp_path)
    run = bank.migration.run_tasks
    with pytest.raises(ConfigError, match="own or held"):
        run(bank.plan, [], snapshot="mine")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="wait is -1"):
        run(bank.plan, bank.plan.ids("data"), snapshot="held", wait=-1)
    with pytest.raises(ConfigError, match="idle_timeout is -5"):
        bank.migration.hold_snapshot(bank.plan, idle_timeout=-5)
    with pytest.raises(ConfigError, match="no phase"):
        bank.plan.ids("indexes")
    with pytest.raises(ConfigError, match="count"):
        bank.plan.groups(0)
    with psycopg.connect(bank.target) as connection:
        schemas = connection.execute("SELECT to_regnamespace('pgmigrate')").fetchone()
    assert schemas == (None,), "and nothing was begun"
