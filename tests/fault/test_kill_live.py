"""Data-only runs into a target in use, ended at any moment: its keys are back, or are named."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import Pair
from pgmigrate import Migration
from support import servers
from support.data_only import query
from support.live_target import KEYS, STATES, TABLES, assert_same_rows
from support.shell import Shell

SEED = 20261130
ENDS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# So often a run is ended; then it is left to come to its own end.
ENDS_OF_A_RUN = 3
ON_TARGET = """
COMMENT ON CONSTRAINT child_parent ON s.child IS 'kept';
ALTER TABLE s.child ADD CONSTRAINT unchecked FOREIGN KEY (id) REFERENCES s.parent NOT VALID;
CREATE TABLE s.fired (id int);
CREATE FUNCTION s.hear() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO s.fired VALUES (NEW.id); RETURN NEW; END';
CREATE TRIGGER ordinary BEFORE INSERT ON s.child FOR EACH ROW EXECUTE FUNCTION s.hear();
CREATE TRIGGER always BEFORE INSERT ON s.parent FOR EACH ROW EXECUTE FUNCTION s.hear();
ALTER TABLE s.parent ENABLE ALWAYS TRIGGER always;
"""
ROWS = """
INSERT INTO s.parent SELECT i, 'v' || i FROM generate_series(1, 3000) i;
INSERT INTO s.child SELECT i, 3001 - i FROM generate_series(1, 3000) i;
INSERT INTO s.tree SELECT i, CASE WHEN i < 3000 THEN i + 1 END FROM generate_series(1, 3000) i;
"""
CHUNKS = [
    {"schema": "s", "name": name, "chunk_column": "id", "chunk_size": 100}
    for name in ("parent", "child", "tree")
]
BUSY = """
SELECT FROM pg_stat_activity
WHERE application_name ~ '^pgmigrate' AND datname = current_database()
"""
OPTIONS = {"data_only": True, "target_foreign_keys": "drop", "target_triggers": "disable"}


@pytest.mark.case("X2")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rounds", [6, pytest.param(60, marks=pytest.mark.soak)])
def test_ended_at_any_moment_and_resumed(pair: Pair, tmp_path: Path, rounds: int) -> None:
    source = pair.source()
    servers.run_script(source, TABLES + ROWS)
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    seconds = _round(source, pair.target("_first"), tmp_path / "first", [])[0]
    away = 0
    for number in range(rounds):
        ends = [End(chance.random() * seconds, chance.choice(ENDS)) for _ in range(ENDS_OF_A_RUN)]
        if number % 2 == 0:
            # However fast the run is, keys are away in every other round.
            ends[0] = End(chance.random() / 20, signal.SIGKILL, once_away=True)
        folder = tmp_path / str(number)
        away += _round(source, pair.target(f"_{number}"), folder, ends)[1]
    # A test that never met keys that are away would show nothing.
    assert away >= rounds // 3


@dataclass(frozen=True)
class End:
    """How a run is ended: after so many seconds, of its start or of the first key that is away."""

    seconds: float
    how: signal.Signals
    once_away: bool = False


def _round(source: str, target: str, folder: Path, ends: list[End]) -> tuple[float, int]:
    """A run that is ended so often, and then resumed to its end.

    Returns:
        The seconds that the last part of it took, and after how many ends keys were away.
    """
    servers.run_script(target, TABLES + ON_TARGET)
    keys, states = query(target, KEYS), query(target, STATES)
    folder.mkdir()
    tables = {"mode": "all", "include": CHUNKS}
    config = {"source": source, "target": target, "tables": tables, "options": OPTIONS}
    (folder / "config.json").write_text(json.dumps(config))
    migration, shell, away = Migration(source=source, target=target), Shell(folder), 0
    for end in ends:
        if migration.status().state == "done":
            break
        _end(shell, target, _resume(migration), end, keys)
        assert query(target, STATES) == states, "a trigger is as it was after any end"
        left = _left(keys, query(target, KEYS))
        away += bool(left)
        if migration.status().state != "done":
            named = [finding.message for finding in migration.status().findings]
            assert named == ([left] if left else []), str(end)
    began = time.monotonic()
    if migration.status().state != "done":
        done = shell.run("migrate", "--config", "config.json", *_resume(migration))
        assert done.code == 0, done.text
    took = time.monotonic() - began
    assert (query(target, KEYS), query(target, STATES)) == (keys, states)
    assert_same_rows((source, target), "parent", "child", "tree")
    assert query(target, "SELECT FROM s.fired") == [], "a trigger has fired"
    return took, away


def _resume(migration: Migration) -> list[str]:
    return [] if migration.status().state == "none" else ["--resume"]


def _end(
    shell: Shell, target: str, arguments: list[str], end: End, keys: list[tuple[object, ...]]
) -> None:
    process = shell.start("migrate", "--config", "config.json", *arguments)
    while end.once_away and process.poll() is None and query(target, KEYS) == keys:
        time.sleep(0.002)
    try:
        process.communicate(timeout=end.seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(end.how)
        process.communicate()
    # The server may still be at work for a process that was killed.
    deadline = time.monotonic() + 60
    while query(target, BUSY):
        assert time.monotonic() < deadline, "sessions are left"
        time.sleep(0.02)


def _left(before: list[tuple[object, ...]], now: list[tuple[object, ...]]) -> str:
    """What a status has to say of keys, by the catalog."""
    valid = {key[:2]: key[3] for key in now}
    was_valid = {key[:2]: key[3] for key in before}
    gone = [key for key in was_valid if key not in valid]
    unchecked = [key for key in valid if was_valid[key] and not valid[key]]
    parts = [
        f"foreign keys of the target {words}: {', '.join(' '.join(map(str, key)) for key in found)}"
        for words, found in (("are missing", gone), ("are NOT VALID", unchecked))
        if found
    ]
    return "; ".join(parts)
