"""The display of progress: lines, and bars on a terminal."""

from __future__ import annotations

import io
import re
from typing import Any

from rich.console import Console

from pgmigrate.progress import BarProgress, LineProgress, RunTally, progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def started() -> dict[str, Any]:
    return {
        "event": "run_started",
        "run": 3,
        "tasks": 21,
        "done": 4,
        "jobs": 2,
        "phases": [
            {"phase": "roles", "tasks": 0, "rows": 0, "bytes": 0},
            {"phase": "pre-data", "tasks": 1, "rows": 0, "bytes": 0},
            {"phase": "data", "tasks": 20, "rows": 2000, "bytes": 204800},
        ],
    }


def of_task(event: str, number: int, phase: str = "data", **changes: Any) -> dict[str, Any]:
    return {
        "event": event,
        "task": f"t{number}",
        "phase": phase,
        "kind": "data",
        "object": "public.t",
        "worker": 0,
        "rows": 0,
        "bytes": 0,
        "status": "done",
        "seconds": 1.0,
        "note": "",
        **changes,
    }


def time_left(seconds: float | None, share: float, **phases: float | None) -> dict[str, Any]:
    reported = [{"phase": name, "seconds": of, "share": share} for name, of in phases.items()]
    return {"event": "time_left", "seconds": seconds, "share": share, "phases": reported}


def test_lines_are_few_and_show_rows_bytes_rate_and_time_left() -> None:
    clock, out = Clock(), io.StringIO()
    with LineProgress(Console(file=out, width=200), clock) as show:
        show({"event": "step_finished", "step": "connect", "seconds": 0.2})
        show({"event": "step_finished", "step": "plan", "seconds": 1.5})
        show(started())
        show(of_task("task_started", 0, "pre-data"))
        show(of_task("task_finished", 0, "pre-data"))
        for number in range(1, 21):
            show(of_task("task_started", number))
            for part in range(10):
                clock.now += 0.1
                show(of_task("task_progress", number, rows=part * 10, bytes=part * 1024))
            show(of_task("task_finished", number, rows=100, bytes=10240))
            show(time_left(30.0 - number, number / 20, data=20.0 - number))
    lines = out.getvalue().splitlines()
    assert lines[:3] == [
        "plan: done in 1.5 s",
        "run 3: 21 tasks, 4 done before, 2 at once",
        "pre-data: 100%, 1/1 tasks",
    ]
    assert lines[3].startswith("data: 2")
    assert re.search(r"\d rows, .* kB, .* kB/s, \d+ s left; run: \d+ s left$", lines[3])
    assert lines[-1] == "data: 100%, 20/20 tasks, 2,000 rows, 200.0 kB, 10.0 kB/s"
    assert len(lines) == 3 + 4


def test_a_retried_task_counts_again() -> None:
    clock, out = Clock(), io.StringIO()
    show = LineProgress(Console(file=out, width=200), clock)
    show(started())
    show(of_task("task_started", 1))
    show(of_task("task_progress", 1, rows=90, bytes=900))
    show({"event": "task_retried", "task": "t1", "attempt": 1, "reason": "connection lost"})
    clock.now = 61.0
    show(of_task("task_progress", 1, rows=20, bytes=200))
    assert "20 rows, 200 B" in out.getvalue()


def test_bars_on_a_terminal_and_lines_elsewhere() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=160)
    assert isinstance(progress(terminal), BarProgress)
    assert isinstance(progress(Console(file=io.StringIO())), LineProgress)


def test_bars_show_each_phase_and_the_total() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=160)
    with BarProgress(console, Clock()) as show:
        show({"event": "step_started", "step": "preflight"})
        show({"event": "step_finished", "step": "preflight", "seconds": 2.0})
        show(started())
        show(of_task("task_started", 1))
        show(of_task("task_progress", 1, rows=50, bytes=5120))
        show(of_task("task_finished", 1, rows=100, bytes=10240, status="failed"))
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "preflight: done in 2.0 s" in shown
    assert "roles" not in shown
    last = shown.rsplit("pre-data", 1)[1]
    assert re.search(r"data +[━╺]+ +5% 100 rows, 10\.0 kB, 1 failed", last)
    assert "total" in last


def test_a_build_moves_its_phase_and_what_is_not_known_is_said() -> None:
    clock, out = Clock(), io.StringIO()
    show = LineProgress(Console(file=out, width=200), clock)
    index = {"phase": "index", "tasks": 2, "rows": 0, "bytes": 0}
    show({**started(), "phases": [index]})
    show(of_task("task_started", 1, "index"))
    for share, left in ((0.1, None), (0.2, None), (0.5, 90.0)):
        clock.now += 6.0
        show(time_left(left, share, index=left))
    assert out.getvalue().splitlines()[1:] == [
        "index: 10%, 0/2 tasks, time left unknown; run: time left unknown",
        "index: 20%, 0/2 tasks, time left unknown; run: time left unknown",
        "index: 50%, 0/2 tasks, 1 min 30 s left; run: 1 min 30 s left",
    ]


def test_a_pause_is_in_no_rate() -> None:
    clock = Clock()
    tally = RunTally(clock)
    tally.take(started())
    tally.take(of_task("task_started", 1))
    for seconds in (1.0, 1.0, 60.0, 1.0, 1.0):
        clock.now += seconds
        tally.take(of_task("task_progress", 1, rows=10, bytes=4096))
    data = tally.phases["data"]
    assert (data.active, tally.elapsed) == (4.0, 64.0)
    assert "1.0 kB/s" in data.brief()
