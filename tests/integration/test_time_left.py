"""The time left of a run whose builds of indexes take most of it, in the run and from elsewhere.

The soak test is about the model, not about a disk that is fast or slow by turns: run it on a quiet
machine with `TMPDIR` in memory, such as `/dev/shm`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import Pair
from pgmigrate import Migration
from pgmigrate.events import Event
from support import servers

# A build takes its time on the target alone, and needs no large table for that.
SLOW = """
CREATE FUNCTION slow(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF current_setting('application_name') LIKE 'pgmigrate %' THEN
        PERFORM pg_catalog.pg_sleep(0.015);
    END IF;
    RETURN i;
END $$;
CREATE TABLE t (id int, filler text);
INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 400) i;
CREATE INDEX t_slow ON t (slow(id));
ANALYZE;
"""
LARGE = """
CREATE TABLE numbers (id bigint PRIMARY KEY, a int, b int, c text, d timestamptz);
INSERT INTO numbers
SELECT i, hashint8(i), i % 1000, md5(i::text), now() - i * interval '1 s'
FROM generate_series(1, {rows}) i;
CREATE INDEX ON numbers (a);
CREATE INDEX ON numbers (b, a);
CREATE INDEX ON numbers (c);
CREATE INDEX ON numbers (d);
CREATE TABLE texts AS SELECT id, c || md5(c) AS e, a FROM numbers WHERE id <= {rows} / 2;
CREATE INDEX ON texts (e);
CREATE INDEX ON texts (a);
ANALYZE;
"""
RUN = """
import json, sys, time
from pgmigrate import Migration, Rates

migration = Migration(source=sys.argv[1], target=sys.argv[2])
rates = Rates.load(sys.argv[3])

def show(event):
    if event["event"] in ("run_started", "time_left", "run_finished"):
        print(json.dumps([time.time(), event]), flush=True)

migration.run(jobs=2, rates=rates, on_event=show).raise_for_failures()
"""


def _watch(target: str, source: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pgmigrate", "status", "--watch", "0.3"]
    return subprocess.Popen(
        [*command, "--source", source, "--target", target],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_build_is_followed_in_the_run_and_by_a_watched_status(pair: Pair) -> None:
    source, target = pair.filled(SLOW)
    shares: list[float] = []
    watching: list[subprocess.Popen[str]] = []
    interrupted: list[tuple[int, str]] = []

    def on_event(event: Event) -> None:
        if event["event"] != "time_left":
            return
        shares.extend(of["share"] for of in event["phases"] if of["phase"] == "index")
        if not watching:
            watching.extend(_watch(target, source) for _ in range(2))
        elif not interrupted:
            ended = watching[1]
            assert ended.stdout is not None
            assert ended.stdout.readline().startswith("run 1: running after ")
            ended.send_signal(signal.SIGINT)
            _, errors = ended.communicate(timeout=30)
            interrupted.append((ended.returncode, errors))

    try:
        Migration(source=source, target=target).run(jobs=1, on_event=on_event).raise_for_failures()
        lines, errors = watching[0].communicate(timeout=30)
    finally:
        for process in watching:
            process.kill()
    # The oracle is the function: each of the 400 rows takes the same time.
    on_the_way = [share for share in shares if 0.0 < share < 1.0]
    assert len(set(on_the_way)) >= 2
    assert on_the_way == sorted(on_the_way)
    line = (
        r"run 1: running after .* s, \d+ of \d+ tasks, .* rows, (time left unknown|about .* left)"
    )
    looks = [look for look in lines.splitlines() if look.startswith("run 1: running")]
    assert looks
    assert all(re.fullmatch(line, look) for look in looks)
    assert "\nrun 1: done after " in lines
    assert (watching[0].returncode, errors) == (0, "")
    assert interrupted == [(130, "no longer watched; the run goes on\n")]


@dataclass
class Said:
    """What a run said of its time left, and when."""

    at: float
    seconds: float | None


@pytest.mark.soak
@pytest.mark.parametrize("pause", [0.0, 60.0])
def test_the_time_left_is_right_within_30_percent(pair: Pair, tmp_path: Path, pause: float) -> None:
    rows = int(os.environ.get("PGMIGRATE_TIME_LEFT_ROWS", "8000000"))
    source, target = pair.source(), pair.target()
    # The pages that the script has made dirty are on the disk before anything is measured.
    servers.run_script(source, LARGE.format(rows=rows) + "CHECKPOINT;")
    os.sync()
    migration = Migration(source=source, target=target)
    migration.calibrate().save(tmp_path / "rates.json")
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, source, target, str(tmp_path / "rates.json")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said: list[Said] = []
    began = ended = resumed = 0.0
    for line in process.stdout:
        at, event = _read(line)
        match event["event"]:
            case "run_started":
                began = at
            case "time_left":
                said.append(Said(at, event["seconds"]))
                if pause and not resumed and event["share"] > 0.2:
                    process.send_signal(signal.SIGSTOP)
                    time.sleep(pause)
                    process.send_signal(signal.SIGCONT)
                    resumed = time.time()
            case "run_finished":
                ended = at
    assert process.wait(60) == 0
    # What was written just before the pause was read after it.
    after = [of for of in said if of.at > resumed + 1.0]
    if pause:
        looks = {"after the pause": after[0]}
    else:
        times = {f"at {part:.0%}": began + part * (ended - began) for part in (0.1, 0.5, 0.9)}
        looks = {name: min(said, key=lambda of: abs(of.at - t)) for name, t in times.items()}
    wrong = {}
    for name, look in looks.items():
        wanted = ended - look.at
        print(f"{name}: said {look.seconds}, was {wanted:.1f} of {ended - began:.1f} s")
        if look.seconds is None or abs(look.seconds - wanted) > 0.3 * wanted:
            wrong[name] = (look.seconds, wanted)
    assert not wrong


def _read(line: str) -> tuple[float, dict[str, Any]]:
    at, event = json.loads(line)
    return at, event
