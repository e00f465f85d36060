"""A run's events as live bars on a terminal, a table in a notebook, and plain lines elsewhere.

Made from events alone, so that it shows the same whoever drives the run. Use it as `on_event`:

    with progress(Console(stderr=True)) as show:
        migration.run(on_event=show)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from pgmigrate._text import brief_count, count, duration, plural, size

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from pgmigrate._pictures.live import NotebookProgress

__all__ = ["BarProgress", "LineProgress", "PhaseTally", "RunTally", "notebook", "progress"]

_SECONDS_BETWEEN_LINES: Final = 5.0
_SECONDS_WITHOUT_LINE: Final = 60.0
_SHARE_BETWEEN_LINES: Final = 0.05
# A step that takes less is over before anybody asks what goes on.
_SECONDS_WORTH_A_LINE: Final = 1.0
# Before this share of the work the rate says too little about the rest.
_SHARE_FOR_ESTIMATE: Final = 0.02


@dataclass
class PhaseTally:
    """What the events have told about a phase so far.

    Attributes:
        name: the phase.
        tasks: its tasks.
        rows: its rows by the source's statistics.
        bytes: its bytes by the source's statistics.
        over: tasks that have ended, whatever their status.
        failed: tasks that failed.
        began: when its first task started, by the tally's clock.
    """

    name: str
    tasks: int = 0
    rows: int = 0
    bytes: int = 0
    over: int = 0
    failed: int = 0
    began: float | None = None
    _rows_over: int = 0
    _bytes_over: int = 0
    _under_way: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def rows_now(self) -> int:
        """Rows written by tasks that ended, and under way in the others."""
        return self._rows_over + sum(rows for rows, _ in self._under_way.values())

    @property
    def bytes_now(self) -> int:
        """Bytes written by tasks that ended, and under way in the others."""
        return self._bytes_over + sum(size for _, size in self._under_way.values())

    @property
    def share(self) -> float:
        """The share of the phase's work that is done, from 0 to 1."""
        if self.over >= self.tasks:
            return 1.0
        if self.rows > 0 and self.rows_now > 0:
            done = self.rows_now / self.rows
        elif self.bytes > 0 and self.bytes_now > 0:
            done = self.bytes_now / self.bytes
        else:
            done = self.over / self.tasks
        # The totals are estimates: only the last task's end makes it whole.
        return min(done, 0.99)

    def start(self, task: str, now: float) -> None:
        """A task started, or starts anew after a failed attempt."""
        self._under_way[task] = (0, 0)
        if self.began is None:
            self.began = now

    def advance(self, task: str, rows: int, size: int) -> None:
        """A task has sent so much in this attempt."""
        self._under_way[task] = (rows, size)

    def finish(self, task: str, rows: int, size: int, failed: bool) -> None:
        """A task ended."""
        self._under_way.pop(task, None)
        self._rows_over += rows
        self._bytes_over += size
        self.over += 1
        self.failed += failed

    def numbers(self, now: float) -> str:
        """Tasks, rows, bytes, rate and time left, as far as there are any."""
        parts = [f"{self.over:,}/{self.tasks:,} tasks", *self._failed()]
        if self.rows_now or self.bytes_now:
            parts += [f"{count(self.rows_now)} rows", *self._flow(now)]
        return ", ".join([*parts, *self.left(now)])

    def brief(self, now: float) -> str:
        """The same in fewer characters, to stand beside a bar."""
        if self.rows_now or self.bytes_now:
            parts = [f"{brief_count(self.rows_now)} rows", *self._flow(now)]
        else:
            parts = [f"{self.over:,}/{self.tasks:,} tasks"]
        return ", ".join([*parts, *self.left(now), *self._failed()])

    def _failed(self) -> list[str]:
        return [f"{self.failed:,} failed"] if self.failed else []

    def _flow(self, now: float) -> list[str]:
        elapsed = self._elapsed(now)
        rate = [f"{size(self.bytes_now / elapsed)}/s"] if elapsed > 0 else []
        return [size(self.bytes_now), *rate]

    def left(self, now: float) -> list[str]:
        """The time that the rest takes, in words; nothing where too little is known of it."""
        return time_left(self.share, self._elapsed(now))

    def _elapsed(self, now: float) -> float:
        return 0.0 if self.began is None else now - self.began


class RunTally:
    """What the events have told about a run so far.

    Args:
        clock: seconds from any starting point.

    Attributes:
        phases: the phases that have work, in their order.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.phases: dict[str, PhaseTally] = {}
        self._began = clock()
        self._phase_of: dict[str, str] = {}

    def take(self, event: Mapping[str, Any]) -> PhaseTally | None:
        """Counts an event in; the phase that it changed, if any."""
        kind = event["event"]
        if kind == "run_started":
            self._begin(event)
            return None
        if kind == "task_retried":
            return self._restart(event["task"])
        if kind not in ("task_started", "task_progress", "task_finished"):
            return None
        task, name = event["task"], event["phase"]
        phase = self.phases.setdefault(name, PhaseTally(name))
        if kind == "task_started":
            self._phase_of[task] = name
            phase.start(task, self.clock())
        elif kind == "task_progress":
            phase.advance(task, event["rows"], event["bytes"])
        else:
            self._phase_of.pop(task, None)
            phase.finish(task, event["rows"], event["bytes"], event["status"] == "failed")
        return phase

    def _begin(self, event: Mapping[str, Any]) -> None:
        self._began = self.clock()
        self.phases = {
            size["phase"]: PhaseTally(size["phase"], size["tasks"], size["rows"], size["bytes"])
            for size in event["phases"]
            if size["tasks"]
        }

    def _restart(self, task: str) -> PhaseTally | None:
        name = self._phase_of.get(task)
        if name is None:
            return None
        self.phases[name].start(task, self.clock())
        return self.phases[name]

    @property
    def share(self) -> float:
        """The share of the whole run's work that is done, each phase weighing as its tasks do."""
        tasks = sum(phase.tasks for phase in self.phases.values())
        if not tasks:
            return 0.0
        return sum(phase.share * phase.tasks for phase in self.phases.values()) / tasks

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.clock() - self._began

    def brief(self) -> str:
        """Rows, bytes, time taken and time left of the whole run."""
        phases = self.phases.values()
        elapsed = self.elapsed
        parts = [
            f"{brief_count(sum(phase.rows_now for phase in phases))} rows",
            size(sum(phase.bytes_now for phase in phases)),
            duration(elapsed),
        ]
        return ", ".join([*parts, *time_left(self.share, elapsed)])


def time_left(share: float, elapsed: float) -> list[str]:
    """What the rest takes at the rate so far, in words; nothing where that says too little."""
    if share < _SHARE_FOR_ESTIMATE or share >= 1.0 or elapsed < 1.0:
        return []
    return [f"{duration(elapsed * (1.0 - share) / share)} left"]


class LineProgress:
    """Progress as plain lines, for logs and pipes: few, whole, never overwritten.

    A phase has a line at its end, and one on its way whenever five seconds and five percent, or a
    minute, have passed since the last one.

    Args:
        console: where to.
        clock: seconds from any starting point.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._tally = RunTally(clock)
        self._last_line = clock()
        self._shown: dict[str, float] = {}

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Takes an event."""
        phase = self._tally.take(event)
        if phase is not None and self._is_due(phase):
            self._show(phase)
        line = milestone(event)
        if line is not None:
            self._print(line)

    def _is_due(self, phase: PhaseTally) -> bool:
        if phase.over and phase.over == phase.tasks:
            return self._shown.get(phase.name) != 1.0
        waited = self._tally.clock() - self._last_line
        moved = phase.share - self._shown.get(phase.name, 0.0)
        return waited >= _SECONDS_WITHOUT_LINE or (
            waited >= _SECONDS_BETWEEN_LINES and moved >= _SHARE_BETWEEN_LINES
        )

    def _show(self, phase: PhaseTally) -> None:
        now = self._tally.clock()
        self._last_line = now
        self._shown[phase.name] = phase.share
        self._print(f"{phase.name}: {phase.share:.0%}, {phase.numbers(now)}")

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
        elif kind == "table_verified" and self._steps:
            self._display.update(self._steps[-1], numbers=event["object"])
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
            numbers = phase.brief(self._tally.clock())
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

    It is written anew three times a second at most, and needs no widgets.

    Args:
        clock: seconds from any starting point.

    Raises:
        ImportError: IPython is missing, as it is outside of notebooks.
    """
    from pgmigrate._pictures.live import NotebookProgress

    return NotebookProgress(clock)


def progress(console: Console) -> BarProgress | LineProgress | NotebookProgress:
    """The progress that suits a console: bars on a terminal, lines elsewhere, a table in Jupyter.

    Args:
        console: where to; standard error leaves standard output to results.
    """
    if console.is_jupyter:
        return notebook()
    return BarProgress(console) if console.is_terminal else LineProgress(console)


def milestone(event: Mapping[str, Any]) -> str | None:
    """The line that an event is worth by itself, on a terminal and elsewhere."""
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
