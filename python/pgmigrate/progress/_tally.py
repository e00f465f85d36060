"""The state of a run from its events: its phases, their progress, and the time left.

The core computes the time left, by the model of the estimate, and reports it about every two
seconds with the event ``time_left``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pgmigrate._values.humanize import brief_count, count, duration, size

# Events are more frequent than this, unless this process, its machine or a server is suspended.
_LONGEST_QUIET: Final = 6.0


@dataclass
class PhaseTally:
    """What the events have reported about a phase so far.

    Attributes:
        name: the phase.
        tasks: its tasks.
        rows: its rows by the source's statistics.
        bytes: its bytes by the source's statistics.
        over: tasks that have ended, whatever their status.
        failed: tasks that failed.
        began: when its first task started, by the tally's clock.
        active: seconds in which one of its tasks was running, without pauses of the process.
        work: the share of its work that is done, by the estimate's model; None before it is known.
        seconds_left: seconds to the end of its last task, by the same model; None if not known.
        rows_now: rows written by tasks that ended, and sent so far by the others.
        bytes_now: the same for bytes.
    """

    name: str
    tasks: int = 0
    rows: int = 0
    bytes: int = 0
    over: int = 0
    failed: int = 0
    began: float | None = None
    active: float = 0.0
    work: float | None = None
    seconds_left: float | None = None
    rows_now: int = 0
    bytes_now: int = 0
    _under_way: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """The share of the phase's work that is done, from 0 to 1."""
        if self.over >= self.tasks:
            return 1.0
        if self.work is not None:
            done = self.work
        elif self.rows > 0 and self.rows_now > 0:
            done = self.rows_now / self.rows
        elif self.bytes > 0 and self.bytes_now > 0:
            done = self.bytes_now / self.bytes
        else:
            done = self.over / self.tasks
        # The totals are estimates: the share is 1 only after the end of the last task.
        return min(done, 0.99)

    def start(self, task: str, now: float) -> None:
        """A task started, or started again after a failed attempt."""
        self.advance(task, 0, 0)
        if self.began is None:
            self.began = now

    def advance(self, task: str, rows: int, size: int) -> None:
        """A task has sent these amounts in this attempt so far."""
        self._forget(task)
        self._under_way[task] = (rows, size)
        self._add(rows, size)

    def finish(self, task: str, rows: int, size: int, failed: bool) -> None:
        """A task ended."""
        self._forget(task)
        self._add(rows, size)
        self.over += 1
        self.failed += failed

    def _forget(self, task: str) -> None:
        rows, size = self._under_way.pop(task, (0, 0))
        self._add(-rows, -size)

    def _add(self, rows: int, size: int) -> None:
        # Updated at each change: a sum over all running tasks at each event would be too slow.
        self.rows_now += rows
        self.bytes_now += size

    def pass_time(self, seconds: float) -> None:
        """Counts the seconds that have passed."""
        if self.began is not None and self.over < self.tasks:
            self.active += seconds

    def numbers(self) -> str:
        """Tasks, rows, bytes, rate and time left, those that exist."""
        parts = [f"{self.over:,}/{self.tasks:,} tasks", *self._failed()]
        if self.rows_now or self.bytes_now:
            parts += [f"{count(self.rows_now)} rows", *self._flow()]
        return ", ".join([*parts, *self.left()])

    def brief(self) -> str:
        """The same in fewer characters, for the text next to a bar."""
        if self.rows_now or self.bytes_now:
            parts = [f"{brief_count(self.rows_now)} rows", *self._flow()]
        else:
            parts = [f"{self.over:,}/{self.tasks:,} tasks"]
        return ", ".join([*parts, *self.left(), *self._failed()])

    def _failed(self) -> list[str]:
        return [f"{self.failed:,} failed"] if self.failed else []

    def _flow(self) -> list[str]:
        rate = [f"{size(self.bytes_now / self.active)}/s"] if self.active > 0 else []
        return [size(self.bytes_now), *rate]

    def left(self) -> list[str]:
        """The time to its end, in words; empty before it begins, and before a time is known."""
        if self.began is None or self.work is None or self.share >= 1.0:
            return []
        return [time_left(self.seconds_left)]


class RunTally:
    """What the events have reported about a run so far.

    Args:
        clock: seconds from any starting point.

    Attributes:
        phases: the phases that have work, in their order.
        seconds_left: seconds to the end of the last task; None if not known.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.phases: dict[str, PhaseTally] = {}
        self.seconds_left: float | None = None
        self._work: float | None = None
        self._began = self._last = clock()
        self._phase_of: dict[str, str] = {}

    def take(self, event: Mapping[str, Any]) -> PhaseTally | None:
        """Adds an event; returns the phase that it changed, if any."""
        kind = event["event"]
        self._pass_time()
        if kind == "run_started":
            self._begin(event)
            return None
        if kind == "time_left":
            self._show_left(event)
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
            # Large objects are not counted as rows.
            rows = 0 if event.get("kind") == "large objects" else event["rows"]
            phase.finish(task, rows, event["bytes"], event["status"] == "failed")
        return phase

    def _begin(self, event: Mapping[str, Any]) -> None:
        self._began = self.clock()
        self.phases = {
            size["phase"]: PhaseTally(size["phase"], size["tasks"], size["rows"], size["bytes"])
            for size in event["phases"]
            if size["tasks"]
        }

    def _pass_time(self) -> None:
        before, self._last = self._last, self.clock()
        passed = self._last - before
        if 0.0 < passed <= _LONGEST_QUIET:
            for phase in self.phases.values():
                phase.pass_time(passed)

    def _show_left(self, event: Mapping[str, Any]) -> None:
        self.seconds_left, self._work = event["seconds"], event["share"]
        for given in event["phases"]:
            phase = self.phases.get(given["phase"])
            if phase is not None:
                phase.work, phase.seconds_left = given["share"], given["seconds"]

    def _restart(self, task: str) -> PhaseTally | None:
        name = self._phase_of.get(task)
        if name is None:
            return None
        self.phases[name].start(task, self.clock())
        return self.phases[name]

    @property
    def share(self) -> float:
        """The share of the run's work that is done; by tasks until the core reports it."""
        if self._work is not None and any(of.over < of.tasks for of in self.phases.values()):
            return min(self._work, 0.99)
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
        parts = [
            f"{brief_count(sum(phase.rows_now for phase in phases))} rows",
            size(sum(phase.bytes_now for phase in phases)),
            duration(self.elapsed),
        ]
        return ", ".join([*parts, *self.left()])

    def left(self) -> list[str]:
        """The time to the end of the last task, in words; empty before a time is known."""
        return [] if self._work is None or self.share >= 1.0 else [time_left(self.seconds_left)]


def time_left(seconds: float | None) -> str:
    """A time left in words."""
    return "time left unknown" if seconds is None else f"{duration(seconds)} left"
