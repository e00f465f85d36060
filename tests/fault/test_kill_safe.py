"""X7: `safe` killed, terminated or interrupted at any moment, with an application that writes.

Afterwards one or a few more `safe` lead to "migrated, verified, application up" or to "as before,
application up", no committed row is lost, and what was printed holds on the servers.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import Pair
from support import servers
from support.application import TABLES, Application
from support.safety import (
    config_file,
    ended,
    held_journal,
    is_in,
    journal,
    kill,
    migration,
    until,
)
from support.shell import Shell

SEED = 20261130
STEPS = ["stop", "check_stopped", "wait_for_writers", "backup", "migrate", "verify", "start"]
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
# At its end, the work of a step is done, and the entry of the journal that says so is not.
MOMENTS = ["at the end of", "in"]
TRIES = 4
OWN = """
CREATE TABLE own (a int PRIMARY KEY); INSERT INTO own VALUES (0);
CREATE TABLE settings (name text PRIMARY KEY, value text);
INSERT INTO settings VALUES ('own', 'own');
"""
DONE = "the migration is done, verified and kept"
BEFORE = ("the target is untouched", "restored to what it was before")


@dataclass
class Round:
    """One target with rows of its own, and the application on the source."""

    source: str
    target: str
    application: Application
    shell: Shell
    config: Path

    def rows(self, conninfo: str, table: str) -> set[Any]:
        return set(servers.fetch(conninfo, f"SELECT * FROM {table}"))

    def of_target(self) -> dict[tuple[str, str], Any]:
        """All rows of the target but those of the ledger."""
        return {
            each: self.rows(self.target, f"{each[0]}.{each[1]}")
            for each in servers.tables(self.target)
            if each[0] != "pgmigrate"
        }

    def check(self, text: str, before: dict[tuple[str, str], Any]) -> None:
        """What was printed is what the servers and the system say."""
        if any(words in text for words in BEFORE):
            assert self.of_target() == before, text
        if "the application is started" in text:
            assert self.application.process() is not None, text
        if "THE APPLICATION IS NOT RUNNING" in text:
            assert self.application.process() is None, text
        if "the application was not stopped" in text:
            assert self.application.process() is not None, text
        if DONE in text:
            self.check_moved(text)

    def check_moved(self, text: str) -> None:
        """All that was written before the application was started again is on the target."""
        running = self.application.process()
        moved = {row for row in self.rows(self.source, "written") if row[0] != running}
        assert moved <= self.rows(self.target, "written"), text
        assert self.rows(self.source, "settings") <= self.rows(self.target, "settings"), text

    def check_status(self, before: dict[tuple[str, str], Any], *, is_over: bool) -> None:
        """What `status` shows of the procedure is what the servers and the system say."""
        shown = self.shell.run("status", "--config", str(self.config), "--json")
        assert shown.code == 0, shown.text
        found = json.loads(shown.stdout)["procedure"]
        is_up = self.application.process() is not None
        if found is None:
            assert is_up, "nothing is left, and the application is not up"
            return
        assert not is_over, found
        assert not found["at_work"], found
        if found["application"] in ("untouched", "started"):
            assert is_up, found
        if found["target"] in ("untouched", "restored"):
            assert self.of_target() == before, found
        elif found["target"] == "migrated":
            self.check_moved(str(found))
        assert found["backup"] is None or Path(found["backup"]).exists(), found
        assert found["commands"][0].startswith("to go on: pgmigrate safe --config "), found

    def more(self, number: int) -> str:
        resume = ["--resume"] if number % 2 else []
        done = self.shell.run("safe", "--config", str(self.config), *resume, timeout=300)
        return done.text


@pytest.mark.case("X7")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rounds", [7, pytest.param(60, marks=pytest.mark.soak)])
def test_a_procedure_killed_at_any_moment_is_completed_or_undone(
    pair: Pair, tmp_path: Path, rounds: int
) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    for number in range(rounds):
        folder = tmp_path / str(number)
        folder.mkdir()
        source, target = pair.source(suffix=f"_{number}"), pair.target(f"_{number}")
        servers.run_script(source, TABLES)
        servers.run_script(target, OWN)
        application = Application(folder, source)
        config = config_file(
            migration((source, target), folder, application.procedure()), folder / "c.json"
        )
        one = Round(source, target, application, Shell(folder), config)
        application.do("start")
        try:
            _round(one, chance, number)
        finally:
            _end_all(one)


def _chosen(number: int) -> tuple[str, signal.Signals, str]:
    """Where a round is interrupted, and how.

    The three lengths have no common factor: 42 rounds have every step with every signal at either
    moment, and 7 have every step, and the others as evenly as they can.
    """
    # The first round is killed when it has changed the target.
    step = STEPS[(number + STEPS.index("migrate")) % len(STEPS)]
    return step, SIGNALS[number % len(SIGNALS)], MOMENTS[number % len(MOMENTS)]


def _killed(one: Round, number: int, delay: float) -> str:
    """Interrupts a procedure where the round says; what it printed."""
    step, how, moment = _chosen(number)
    folder = one.shell.folder
    process = one.shell.start_group("safe", "--config", str(one.config))

    def is_over() -> bool:
        return process.poll() is not None

    until(lambda: is_in(folder, step) or is_over())
    if moment == "in":
        time.sleep(delay)
        text = kill(process, how)
    elif step == "wait_for_writers":
        # Who holds the journal back would be waited for.
        until(lambda: not is_in(folder, step) or is_over())
        text = kill(process, how)
    else:
        with held_journal(one.target) as is_waiting:
            until(lambda: is_waiting() or is_over())
            time.sleep(delay / 10)
            if not is_over():
                process.send_signal(how)
            if how == signal.SIGKILL:
                process.wait(60)
        text = ended(process)
    if how == signal.SIGKILL:
        # Commands of the procedure outlive it.
        time.sleep(2)
    return text


def _round(one: Round, chance: random.Random, number: int) -> None:
    step, how, moment = _chosen(number)
    delay, others = chance.uniform(0, 0.4), chance.random() < 0.4
    name = f"round {number}: {how.name} {delay:.3f} s {moment} {step}, others write: {others}"
    print(name)
    before = one.of_target()
    text = _killed(one, number, delay)
    one.check(text, before)
    one.check_status(before, is_over=False)
    if (step, how, moment) == ("migrate", signal.SIGKILL, "at the end of"):
        # Rounds that never met a changed target would show nothing.
        assert journal(one.shell.folder)["target_state"] == "changed"
    if others:
        servers.run_script(one.target, "INSERT INTO own VALUES (1)")
        before[("public", "own")] |= {(1,)}
    tries = 0
    is_over = _is_over(text) and one.application.process() is not None
    while not is_over:
        assert tries < TRIES, f"{name}: {text}"
        text = one.more(tries)
        one.check(text, before)
        is_over = _is_over(text) and one.application.process() is not None
        one.check_status(before, is_over=is_over)
        tries += 1
    assert one.rows(one.target, "own") >= before[("public", "own")], name
    assert ("own", "own") in one.rows(one.target, "settings"), name
    # The application's rows are numbered: none is missing.
    gaps = servers.fetch(
        one.source, "SELECT FROM written GROUP BY process HAVING count(*) <> max(number) + 1"
    )
    assert not gaps, name


def _is_over(text: str) -> bool:
    return DONE in text or any(words in text for words in BEFORE)


def _end_all(one: Round) -> None:
    """Ends every process of the application, also one that its pid file does not name any more."""
    if one.application.process() is not None:
        one.application.do("stop")
    for (process,) in servers.fetch(one.source, "SELECT DISTINCT process FROM written"):
        words = Path(f"/proc/{process}/cmdline")
        if words.exists() and str(one.shell.folder) in shlex.join(
            words.read_bytes().decode().split("\0")
        ):
            os.kill(process, signal.SIGKILL)
