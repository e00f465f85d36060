"""Case B1: a run that is killed at any moment goes on without a lost or a doubled row."""

from __future__ import annotations

import random
import time
from pathlib import Path

import psycopg
import pytest

from conftest import Pair
from support import servers
from support.shell import Shell

SEED = 20261120

# Keyless tables, so that only the ledger distinguishes a row that is there from one that is not.
SCRIPT = """
CREATE SCHEMA k;
CREATE TABLE k.keyless (a int, b text);
INSERT INTO k.keyless SELECT i % 1000, repeat('x', i % 90) FROM generate_series(1, 120000) i;
CREATE TABLE k.twins (a int);
INSERT INTO k.twins SELECT 1 FROM generate_series(1, 60000);
CREATE TABLE k.parent (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v jsonb);
INSERT INTO k.parent (v) SELECT jsonb_build_object('i', i) FROM generate_series(1, 40000) i;
CREATE TABLE k.child (id serial PRIMARY KEY, parent bigint REFERENCES k.parent, n numeric);
INSERT INTO k.child (parent, n) SELECT 1 + i % 40000, i / 7.0 FROM generate_series(1, 80000) i;
CREATE INDEX ON k.child (parent);
CREATE INDEX ON k.keyless (a, b);
CREATE MATERIALIZED VIEW k.summary AS SELECT a, count(*) FROM k.keyless GROUP BY a;
SELECT lo_from_bytea(0, convert_to(repeat('large', i), 'UTF8')) FROM generate_series(1, 40) i;
CREATE TABLE k.small_1 (a int); CREATE TABLE k.small_2 (a int); CREATE TABLE k.small_3 (a int);
INSERT INTO k.small_1 SELECT generate_series(1, 3);
INSERT INTO k.small_2 SELECT generate_series(1, 3);
INSERT INTO k.small_3 SELECT generate_series(1, 3);
ANALYZE;
"""


@pytest.mark.case("B1")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("moments", [6, pytest.param(48, marks=pytest.mark.soak)])
def test_a_run_killed_at_any_moment_is_resumed_without_loss(
    pair: Pair, tmp_path: Path, moments: int
) -> None:
    source = pair.source()
    servers.run_script(source, SCRIPT)
    config = tmp_path / "config.json"
    chance = random.Random(SEED)
    length = _length(source, pair, tmp_path)
    print(f"seed {SEED}, an undisturbed run takes {length:.2f} s")
    in_the_middle = 0
    for moment in range(moments):
        target = pair.target(f"_{moment}")
        folder = tmp_path / str(moment)
        folder.mkdir()
        config = _config(folder, source, target)
        shell = Shell(folder)
        if moment % 4 == 0:
            # Sometimes at the very start, with nothing to go on with yet, or at the very end.
            delay = chance.uniform(0.2, 1.05) * length
            shell.killed_after(delay, "migrate", "--config", str(config), "--jobs", "3")
        else:
            _kill_within(shell, target, config, chance)
        if moment % 3 == 0:
            shell.killed_after(chance.uniform(0.3, 1.0) * length, *_go_on(target, config))
        in_the_middle += 0 < _settled(target) < _tasks(target)
        done = shell.run(*_go_on(target, config))
        assert done.code == 0, f"moment {moment}: {done.text}"
        servers.assert_equal(source, target)
    # A test that never met a half-done run would show nothing.
    assert in_the_middle >= moments // 3


def _kill_within(shell: Shell, target: str, config: Path, chance: random.Random) -> None:
    """Kills a run at some moment after some share of its tasks is done, however fast it is."""
    process = shell.start("migrate", "--config", str(config), "--jobs", "3")
    share, pause = chance.random(), chance.uniform(0, 0.05)
    while process.poll() is None and _settled(target) <= share * (_tasks(target) or 1):
        time.sleep(0.002)
    time.sleep(pause)
    process.kill()
    process.communicate()


def _length(source: str, pair: Pair, tmp_path: Path) -> float:
    """How long a run takes when nothing disturbs it."""
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    target = pair.target("_undisturbed")
    began = time.monotonic()
    config = str(_config(folder, source, target))
    done = Shell(folder).run("migrate", "--config", config, "--jobs", "3")
    length = time.monotonic() - began
    assert done.code == 0, done.text
    servers.assert_equal(source, target)
    return length


def _config(folder: Path, source: str, target: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(
        f"""
source: {{conninfo: "{source}"}}
target: {{conninfo: "{target}"}}
roles: {{mode: none}}
tables:
  mode: all
  include:
    - {{schema: k, name: parent, chunk_column: id, chunk_size: 4000}}
options:
  split_larger_than: 1MB
  large_objects: true
"""
    )
    return path


def _go_on(target: str, config: Path) -> list[str]:
    """The command that an operator gives next: to resume what the ledger has, or to begin."""
    begun = _tasks(target) > 0
    return ["migrate", "--config", str(config), "--jobs", "3", *(["--resume"] if begun else [])]


def _tasks(target: str) -> int:
    return _count(target, "true")


def _settled(target: str) -> int:
    return _count(target, "status IN ('done', 'kept', 'skipped')")


def _count(target: str, condition: str) -> int:
    with psycopg.connect(target) as connection:
        there = connection.execute("SELECT to_regclass('pgmigrate.migration_task')").fetchone()
        if there is None or there[0] is None:
            return 0
        query = f"SELECT count(*) FROM pgmigrate.migration_task WHERE {condition}"
        row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0
