"""A run's progress in the log of an Airflow task: a line at milestones and at intervals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pgmigrate import Finding
from pgmigrate._values.humanize import count, duration, plural, printable, size, titled
from pgmigrate.progress import RunTally
from pgmigrate.progress._terminal import milestone

if TYPE_CHECKING:
    from airflow.sdk.types import Logger

    from pgmigrate import Status, Task

_FINDING_WORDS: Final = {"blocking": "error", "warning": "warning"}
_FINDING: Final = ("check", "severity", "object", "message", "remedy")


class TaskLog:
    """Receives a run's events and writes a few lines about them.

    A line reports each active phase: percent, tasks, rows, bytes, MB/s, time left. There is one
    line per interval, one at a phase's end, and one for each task that fails or is tried again.

    Args:
        log: the task's log.
        every: seconds between two lines of progress.
        chosen: the tasks that are run, if it is not the whole plan.
        clock: seconds from any starting point.

    Attributes:
        log: the task's log.
        had_nothing_to_do: the run has begun, and none of its tasks needed work.
    """

    def __init__(
        self,
        log: Logger,
        every: float,
        chosen: Sequence[Task] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log = log
        self.had_nothing_to_do = False
        self._every = every
        self._chosen = chosen
        self._tally = RunTally(clock)
        self._last = clock()
        self._has_held = False
        self._found: set[str] = set()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Takes an event."""
        kind = event["event"]
        if kind == "run_started":
            event = self._begin(event)
        phase = self._tally.take(event)
        line = milestone(event)
        if line is not None:
            self.log.info(line)
        elif kind == "found":
            self.warn([Finding(**{key: event.get(key, "") for key in _FINDING})])
        elif kind == "hold_progress":
            self._show_hold(event)
        elif kind == "task_retried":
            self.log.warning("%s is tried again: %s", event["task"], printable(event["reason"]))
        elif kind == "task_finished" and event["status"] == "failed":
            about = f"{titled(event['kind'], event['object'])} failed: {event['note']}"
            self.log.error("%s", printable(about))
        if kind == "time_left" and self._tally.clock() - self._last >= self._every:
            # An index build reports no other event before its end.
            self._show()
        if phase is None:
            return
        if phase.over and phase.over == phase.tasks:
            self.log.info(f"{phase.name}: {phase.numbers()}")
        elif self._tally.clock() - self._last >= self._every:
            self._show()

    def warn(self, findings: Iterable[Finding]) -> None:
        """Logs the findings that need action, each once.

        Args:
            findings: the findings; those of severity ``info`` are left out.
        """
        for finding in findings:
            level = _FINDING_WORDS.get(finding.severity)
            remedy = f"; {finding.remedy}" if finding.remedy else ""
            line = printable(f"{finding.words()}{remedy}")
            if level is not None and line not in self._found:
                self._found.add(line)
                getattr(self.log, level)("%s", line)

    def _begin(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """The event of a run's beginning, restricted to the chosen tasks."""
        self.had_nothing_to_do = event["tasks"] == 0
        if self._chosen is None:
            return event
        tasks = min(event["tasks"], len(self._chosen))
        phases = event["phases"] or _sizes(self._chosen) * bool(tasks)
        return {**event, "phases": phases, "tasks": tasks, "done": len(self._chosen) - tasks}

    def _show_hold(self, event: Mapping[str, Any]) -> None:
        settled, running, failed = event["settled"], event["running"], event["failed"]
        open_ = running + failed + event["pending"]
        now = self._tally.clock()
        if open_ and self._has_held and now - self._last < self._every:
            return
        self._last, self._has_held = now, True
        self.log.info(
            f"snapshot held: {settled:,} of {plural(settled + open_, 'data task')} settled, "
            f"{running:,} at work, {failed:,} failed"
        )

    def _show(self) -> None:
        self._last = self._tally.clock()
        for phase in self._tally.phases.values():
            if phase.began is not None and phase.over < phase.tasks:
                self.log.info(f"{phase.name}: {phase.share:.0%}, {phase.numbers()}")


def _sizes(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    sums: dict[str, dict[str, Any]] = {}
    for task in tasks:
        zero = {"phase": task.phase, "tasks": 0, "rows": 0, "bytes": 0}
        phase = sums.setdefault(task.phase, zero)
        phase["tasks"] += 1
        phase["rows"] += task.rows
        phase["bytes"] += task.bytes
    return list(sums.values())


def status_line(status: Status) -> str:
    """The progress of the run in a ledger, on one line.

    Args:
        status: the status from the ledger.
    """
    counts = status.tasks
    settled = counts.done + counts.kept
    total = settled + counts.running + counts.failed + counts.blocked + counts.pending
    parts = [
        f"run {status.run} {status.state}: {settled:,} of {plural(total, 'task')}",
        f"{count(status.rows_done)} of about {count(status.rows_total)} rows",
        f"{size(status.bytes_done)}",
    ]
    if status.seconds > 0 and status.bytes_done:
        parts.append(f"{size(status.bytes_done / status.seconds)}/s")
    if status.seconds_left is not None:
        parts.append(f"{duration(status.seconds_left)} left")
    return ", ".join(parts)
