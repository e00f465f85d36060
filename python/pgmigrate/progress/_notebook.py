"""A run's progress in a cell of a notebook: one display that is updated a few times a second.

It needs no widgets, and its last state stays in the notebook when the run has ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from pgmigrate._display.html.views import framed
from pgmigrate._display.markup import (
    Cell,
    Html,
    Number,
    bar,
    element,
    heading,
    joined,
    mark,
    note,
    table,
)
from pgmigrate._values.humanize import brief_count, count, duration, plural, size, titled
from pgmigrate.progress._tally import PhaseTally, RunTally

_SECONDS_BETWEEN_UPDATES: Final = 0.3
_LAST_LINES: Final = 5


class NotebookProgress:
    """Progress as a table of phases with bars, in the cell that runs the migration.

    Args:
        clock: seconds from any starting point.

    Raises:
        ImportError: IPython is missing, as usual outside of notebooks.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            shown: Any = import_module("IPython.display")
        except ImportError as error:
            raise ImportError(
                "progress in a notebook needs IPython, which every notebook has: elsewhere use "
                "pgmigrate.progress.progress",
                name="IPython",
            ) from error
        self._clock = clock
        self._tally = RunTally(clock)
        self._as_html: Callable[[str], Any] = shown.HTML
        self._handle: Any = shown.DisplayHandle()
        self._is_shown = False
        self._last_update = -_SECONDS_BETWEEN_UPDATES
        self._steps: list[str] = []
        self._last_step = ""
        self._title = "pgmigrate"
        self._state = ""
        self._jobs = ""
        self._tasks = 0
        self._verified = 0
        self._warnings: list[Html] = []

    def __enter__(self) -> NotebookProgress:
        return self

    def __exit__(self, *raised: object) -> None:
        if raised[0] is not None and self._state == "running":
            self._state = "stopped"
        self._update()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Takes an event."""
        self._tally.take(event)
        self._note(event)
        is_over = event["event"] in ("run_finished", "step_finished")
        if is_over or self._clock() - self._last_update >= _SECONDS_BETWEEN_UPDATES:
            self._update()

    def _note(self, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "step_started":
                self._steps.append(event["step"])
            case "step_finished" if self._steps:
                self._steps.pop()
                self._last_step = f"{event['step']}: {duration(event['seconds'])}"
            case "run_started":
                self._title, self._state = f"Run {event['run']}", "running"
                self._tasks = event["tasks"] + event["done"]
                before = f", {count(event['done'])} done before" if event["done"] else ""
                self._jobs = f"{plural(event['tasks'], 'task')}, {event['jobs']} at once{before}"
            case "run_finished":
                is_whole = event["done"] >= self._tasks
                self._state = "failed" if event["failed"] else "done" if is_whole else "stopped"
            case "task_finished" if event["status"] == "failed":
                self._warn("failed", f"{titled(event['kind'], event['object'])}: {event['note']}")
            case "table_verified":
                self._verified += 1
                if event["status"] != "equal":
                    self._warn(event["status"], event["object"])

    def _warn(self, status: str, text: str) -> None:
        self._warnings.append(element("p", joined([mark(status), f" {text}"])))

    def _update(self) -> None:
        self._last_update = self._clock()
        shown = self._as_html(framed(self._view()))
        if self._is_shown:
            self._handle.update(shown)
        else:
            self._handle.display(shown)
            self._is_shown = True

    def _view(self) -> Html:
        step = f"{self._steps[-1]}…" if self._steps else self._last_step
        verified = f"{plural(self._verified, 'table')} compared" if self._verified else ""
        lead = ", ".join(filter(None, [self._jobs, verified, step]))
        phases = list(self._tally.phases.values())
        more = len(self._warnings) - _LAST_LINES
        return joined(
            [
                heading(self._title, mark(self._state) if self._state else "", lead),
                table(["phase", "", "", "tasks", "rows", "bytes", ""], self._rows(phases)),
                *self._warnings[-_LAST_LINES:],
                note(f"and {count(more)} before" if more > 0 else ""),
            ]
        )

    def _rows(self, phases: list[PhaseTally]) -> list[list[Cell]]:
        rows = [self._row(phase) for phase in phases]
        if len(phases) > 1:
            over, tasks = sum(of.over for of in phases), sum(of.tasks for of in phases)
            rows.append(
                [
                    element("b", "total"),
                    bar(self._tally.share, is_long=True),
                    Number(f"{self._tally.share:.0%}"),
                    Number(f"{count(over)} of {count(tasks)}"),
                    Number(brief_count(sum(of.rows_now for of in phases))),
                    Number(size(sum(of.bytes_now for of in phases))),
                    ", ".join(self._tally.left()),
                ]
            )
        return rows

    def _row(self, phase: PhaseTally) -> list[Cell]:
        state = "failed" if phase.failed else "done" if phase.share >= 1 else "pending"
        has_rows = bool(phase.rows_now or phase.bytes_now)
        return [
            joined([mark(state, ""), phase.name]),
            bar(phase.share, is_long=True),
            Number(f"{phase.share:.0%}"),
            Number(f"{count(phase.over)} of {count(phase.tasks)}"),
            Number(brief_count(phase.rows_now) if has_rows else ""),
            Number(size(phase.bytes_now) if has_rows else ""),
            ", ".join(phase.left()),
        ]
