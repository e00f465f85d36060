"""Live progress in a notebook's cell, from scripted events and with a clock of its own."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from IPython.display import HTML, DisplayHandle
from rich.console import Console

from pgmigrate.progress import notebook, progress
from pgmigrate.progress._notebook import NotebookProgress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the cell was made to show, one text for each time."""
    texts: list[str] = []

    def note(handle: DisplayHandle, of: HTML, **_: object) -> None:
        texts.append(str(of.data))

    monkeypatch.setattr(DisplayHandle, "display", note)
    monkeypatch.setattr(DisplayHandle, "update", note)
    return texts


def started(tasks: int = 100) -> dict[str, Any]:
    sizes = [
        {"phase": "pre-data", "tasks": 1, "rows": 0, "bytes": 0},
        {"phase": "data", "tasks": tasks - 1, "rows": 1000, "bytes": 100_000},
    ]
    return {
        "event": "run_started",
        "run": 7,
        "tasks": tasks,
        "done": 0,
        "jobs": 4,
        "phases": sizes,
    }


def task(event: str, number: int, **more: object) -> dict[str, Any]:
    about = {"task": f"t{number}", "phase": "data", "kind": "data", "object": "public.t"}
    return {
        "event": event,
        **about,
        "rows": 10,
        "bytes": 1000,
        "status": "done",
        "note": "",
        **more,
    }


def test_it_is_written_a_few_times_a_second_at_most(shown: list[str]) -> None:
    clock = Clock()
    show = NotebookProgress(clock)
    show(started())
    for number in range(99):
        show(task("task_started", number))
        clock.now += 0.01
        show(task("task_finished", number))
    assert 2 <= len(shown) <= 5, "about a second went by"
    show({"event": "run_finished", "done": 100, "failed": 0, "seconds": 1.0})
    assert "done" in shown[-1] and "99 of 99" in shown[-1]


def test_phases_have_bars_and_numbers(shown: list[str]) -> None:
    clock = Clock()
    show = NotebookProgress(clock)
    show(started())
    clock.now += 10
    for number in range(10):
        show(task("task_started", number))
        show(task("task_finished", number, rows=50, bytes=5000))
    clock.now += 10
    show(task("task_started", 50))
    assert "Run 7" in shown[-1] and "100 tasks, 4 at once" in shown[-1]
    assert "width:50.0%" in shown[-1] and "10 of 99" in shown[-1] and "500" in shown[-1]
    assert "10 s left" in shown[-1] or "left" in shown[-1]


def test_failures_are_named_and_escaped(shown: list[str]) -> None:
    with NotebookProgress(Clock()) as show:
        show(started())
        for number in range(8):
            show(task("task_finished", number, status="failed", note=f"<b>reason {number}</b>"))
    assert "&lt;b&gt;reason 7&lt;/b&gt;" in shown[-1] and "<b>reason" not in shown[-1]
    assert "reason 2" not in shown[-1] and "and 3 before" in shown[-1]


@pytest.mark.parametrize(
    ("done", "failed", "word"), [(100, 0, "done"), (99, 1, "failed"), (40, 0, "stopped")]
)
def test_the_end_is_reported(shown: list[str], done: int, failed: int, word: str) -> None:
    show = NotebookProgress(Clock())
    show(started())
    show({"event": "run_finished", "done": done, "failed": failed, "seconds": 1.0})
    assert f"</b>{word}</span>" in shown[-1]


def test_an_exception_shows_that_the_run_has_stopped(shown: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt), NotebookProgress(Clock()) as show:
        show(started())
        raise KeyboardInterrupt
    assert "</b>stopped</span>" in shown[-1]


def test_steps_and_verified_tables_are_reported(shown: list[str]) -> None:
    clock = Clock()
    show = NotebookProgress(clock)
    show({"event": "step_started", "step": "preflight"})
    assert "preflight…" in shown[-1]
    show({"event": "step_finished", "step": "preflight", "seconds": 2.0})
    assert "preflight: 2.0 s" in shown[-1]
    clock.now += 1
    show({"event": "table_verified", "object": "public.t", "status": "different", "rows": 3})
    assert "1 table compared" in shown[-1] and "public.t" in shown[-1]


def test_notebooks_get_it_by_themselves(shown: list[str]) -> None:
    assert isinstance(notebook(), NotebookProgress)
    in_jupyter = Console(file=io.StringIO(), force_jupyter=True)
    assert isinstance(progress(in_jupyter), NotebookProgress)


def test_elsewhere_the_error_says_what_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(ImportError, match="elsewhere use"):
        notebook()
