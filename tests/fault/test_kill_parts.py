"""Parts and their holder, killed at any moment and started again: no row is lost or doubled."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import pytest

from conftest import Pair
from support import parts, servers
from support.parts import Parts

SEED = 20261121
ROUNDS = 3
# Where parts are often done before they are killed, more rounds follow.
MOST_ROUNDS = 20
PARTS = 3

# Keyless rows that are all equal: only their number shows whether one is missing or doubled.
MORE = """
INSERT INTO bank.transfer SELECT 1, 2, 0 FROM generate_series(1, 250000);
ANALYZE;
"""


@pytest.mark.case("B1")
@pytest.mark.timeout(900)
def test_parts_killed_at_any_moment_and_started_again(pair: Pair, tmp_path: Path) -> None:
    source = pair.source()
    servers.run_script(source, parts.SCRIPT + MORE)
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    half_done = 0
    for number in range(MOST_ROUNDS):
        if number >= ROUNDS and half_done >= 2:
            break
        target = pair.target(f"_{number}")
        bank = Parts(tmp_path, source, target, split_larger_than="640KB")
        bank.prepare()
        groups = bank.plan.groups(PARTS)
        with parts.transfers(source), bank.migration.hold_snapshot(bank.plan) as held:
            expected = parts.in_snapshot(source, held.id)
            workers = [bank.start(group, snapshot="held", jobs=1) for group in groups]
            victim = chance.randrange(PARTS)
            _kill_within(workers[victim], bank, groups[victim], chance.random())
            left = [task for task in groups[victim] if bank.statuses()[task] != "done"]
            half_done += 0 < len(left) < len(groups[victim])
            workers[victim] = bank.start(groups[victim], snapshot="held", jobs=1)
            for worker in workers:
                assert parts.report(worker)["consistent"], f"round {number}"
            assert held.wait().ok
        bank.finish()
        assert parts.on_target(target) == expected, f"round {number}"
    # A test that never met a half-done part would show nothing.
    assert half_done >= 2


def _kill_within(
    worker: subprocess.Popen[str], bank: Parts, group: list[str], share: float
) -> None:
    """Kills a process once about that share of its tasks is done."""
    wanted = share * len(group)
    while worker.poll() is None and _done(bank, group) <= wanted:
        time.sleep(0.002)
    worker.kill()
    worker.communicate()


def _done(bank: Parts, group: list[str]) -> int:
    statuses = bank.statuses()
    return sum(statuses[task] == "done" for task in group)
