"""A run's events as live bars on a terminal, and as plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from pgmigrate._values.humanize import duration, plural, printable
from pgmigrate.progress._notebook import NotebookProgress
from pgmigrate.progress._tally import PhaseTally, RunTally

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

_SECONDS_BETWEEN_LINES: Final = 5.0
_SECONDS_WITHOUT_LINE: Final = 60.0
_SHARE_BETWEEN_LINES: Final = 0.05
# A shorter step is not shown.
_SECONDS_WORTH_A_LINE: Final = 1.0


class LineProgress:
    """Progress as plain lines, for logs and pipes: few, whole, never overwritten.

    A phase has a line at its end, and one in between whenever five seconds and five percent, or a
    minute, have passed since the last one.

    Args:
        console: the console to write to.
        clock: seconds from any starting point.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._tally = RunTally(clock)
        self._last_line = clock()
        self._shown: dict[str, float] = {}

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(self, *raised: object) -> None:
        return None

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Takes an event."""
        phase = self._tally.take(event)
        if phase is not None and self._is_due(phase):
            self._show(phase)
        elif event["event"] == "time_left":
            # An index build reports no other event before its end.
            for at_work in self._tally.phases.values():
                if at_work.began is not None and at_work.share < 1.0 and self._is_due(at_work):
                    self._show(at_work)
        line = milestone(event)
        if line is not None:
            self._print(line)

    def _is_due(self, phase: PhaseTally) -> bool:
        if phase.over and phase.over == phase.tasks:
            return self._shown.get(phase.name) != 1.0
        waited = self._tally.clock() - self._last_line
        if waited < _SECONDS_BETWEEN_LINES:
            return False
        moved = phase.share - self._shown.get(phase.name, 0.0)
        return waited >= _SECONDS_WITHOUT_LINE or moved >= _SHARE_BETWEEN_LINES

    def _show(self, phase: PhaseTally) -> None:
        self._last_line = self._tally.clock()
        self._shown[phase.name] = phase.share
        of_run = "".join(f"; run: {left}" for left in self._tally.left())
        self._print(f"{phase.name}: {phase.share:.0%}, {phase.numbers()}{of_run}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class BarProgress:
    """Progress as live bars, one for each phase and one for the whole run.

    Args:
        console: a terminal.
        clock: seconds from any starting point.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._tally = RunTally(clock)
        self._bars: dict[str, TaskID] = {}
        self._steps: list[TaskID] = []
        self._total: TaskID | None = None
        self._display = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24 if console.width >= 100 else 10),
            TaskProgressColumn(),
            TextColumn("{task.fields[numbers]}", markup=False),
            console=console,
            refresh_per_second=5,
        )

    def __enter__(self) -> BarProgress:
        self._display.start()
        return self

    def __exit__(self, *raised: object) -> None:
        while self._steps:
            self._end_step()
        self._display.stop()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Takes an event."""
        phase = self._tally.take(event)
        kind = event["event"]
        if kind == "run_started":
            self._add_bars()
        elif kind == "step_started":
            self._steps.append(self._display.add_task(event["step"], total=None, numbers=""))
        elif kind == "step_finished" and self._steps:
            self._end_step()
        elif kind == "time_left":
            for at_work in self._tally.phases.values():
                if at_work.began is not None:
                    self._move(at_work)
        elif kind == "table_verified" and self._steps:
            self._display.update(self._steps[-1], numbers=printable(event["object"]))
        if phase is not None:
            self._move(phase)
        line = milestone(event)
        if line is not None:
            self._display.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _add_bars(self) -> None:
        self._bars = {
            name: self._display.add_task(name, total=1.0, numbers="") for name in self._tally.phases
        }
        if len(self._bars) > 1:
            self._total = self._display.add_task("total", total=1.0, numbers="")

    def _move(self, phase: PhaseTally) -> None:
        if phase.name in self._bars:
            numbers = phase.brief()
            self._display.update(self._bars[phase.name], completed=phase.share, numbers=numbers)
        if self._total is not None:
            self._display.update(
                self._total, completed=self._tally.share, numbers=self._tally.brief()
            )

    def _end_step(self) -> None:
        # Steps nest: the one that ends is the one that began last.
        self._display.remove_task(self._steps.pop())


def notebook(clock: Callable[[], float] = time.monotonic) -> NotebookProgress:
    """The progress for a notebook: a table of phases in the cell that runs the migration.

        migration.run(plan, on_event=notebook())

    It is updated at most three times a second, and needs no widgets.

    Args:
        clock: seconds from any starting point.

    Raises:
        ImportError: IPython is missing, as usual outside of notebooks.
    """
    return NotebookProgress(clock)


def progress(console: Console) -> BarProgress | LineProgress | NotebookProgress:
    """The progress that suits a console: bars on a terminal, lines elsewhere, a table in Jupyter.

    Args:
        console: the console to write to; standard error keeps standard output free for results.
    """
    if console.is_jupyter:
        return notebook()
    return BarProgress(console) if console.is_terminal else LineProgress(console)


def milestone(event: Mapping[str, Any]) -> str | None:
    """The line for an event that gets a line of its own, on a terminal and elsewhere."""
    line = _milestone(event)
    return None if line is None else printable(line)


def _milestone(event: Mapping[str, Any]) -> str | None:
    kind = event["event"]
    if kind == "run_started":
        resumed = f", {event['done']:,} done before" if event["done"] else ""
        tasks = plural(event["tasks"], "task")
        return f"run {event['run']}: {tasks}{resumed}, {event['jobs']} at once"
    if kind == "procedure_step":
        if event["state"] == "running":
            return f"{event['name']}: {event['about']}"
        took = "" if event["state"] == "skipped" else f" in {duration(event['seconds'])}"
        return f"{event['name']}: {event['state']}{took}" + (
            f": {event['note']}" if event["note"] else ""
        )
    if kind == "step_finished" and event["seconds"] >= _SECONDS_WORTH_A_LINE:
        return f"{event['step']}: done in {duration(event['seconds'])}"
    return None
