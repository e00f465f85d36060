"""When tasks ran, computed for pictures: without pauses between sessions, short tasks merged.

Times are seconds after the run's start in the ledger, by the target's clock, until `Course.of` has
cut the pauses out; from then on they are seconds of work.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pgmigrate._values.humanize import titled

if TYPE_CHECKING:
    from pgmigrate._results.report import TaskResult

# A time in which no task ran is a pause if it has at least this length and this share of the work.
_SECONDS_OF_A_PAUSE: Final = 5.0
_SHARE_OF_A_PAUSE: Final = 0.15
# More workers than this share rows; otherwise a run by many processes would not fit on a screen.
_ROWS_AT_MOST: Final = 32
_SHORTEST_STEP: Final = 0.05


@dataclass(frozen=True)
class Span:
    """What one worker did for a while: a task, or several short ones of a phase.

    Attributes:
        row: the worker's number, or the row's number if workers share rows.
        phase: the phase.
        begin: when it began.
        end: when it ended.
        tasks: how many tasks.
        bytes: bytes that they wrote.
        status: ``done``, ``failed``, or ``stopped`` before its end.
        label: the names of their objects.
    """

    row: int
    phase: str
    begin: float
    end: float
    tasks: int
    bytes: int
    status: str
    label: str

    @property
    def length(self) -> float:
        """How long it took."""
        return self.end - self.begin


@dataclass(frozen=True)
class Pause:
    """A time in which no task ran, such as the one between two sessions of a run.

    Attributes:
        at: when, in seconds of work.
        seconds: how long.
    """

    at: float
    seconds: float


@dataclass(frozen=True)
class Course:
    """The course of a run.

    Attributes:
        spans: what was done, ordered by row and beginning, in seconds of work.
        pauses: the pauses cut out.
        seconds: the end of the last span.
        workers: how many workers there were.
        rows: how many rows they have: fewer if workers share rows.
    """

    spans: tuple[Span, ...]
    pauses: tuple[Pause, ...]
    seconds: float
    workers: int
    rows: int

    @classmethod
    def of(cls, tasks: Iterable[TaskResult]) -> Course:
        """The course of the tasks that were started."""
        spans = sorted(_spans(tasks), key=lambda span: (span.begin, span.end))
        workers = len({span.row for span in spans})
        if workers > _ROWS_AT_MOST:
            spans = _sharing_rows(spans)
        spans, pauses = _without_pauses(spans)
        spans.sort(key=lambda span: (span.row, span.begin))
        seconds = max((span.end for span in spans), default=0.0)
        rows = len({span.row for span in spans})
        return cls(tuple(spans), tuple(pauses), seconds, workers, rows)

    def shortened(self, resolution: float, limit: int) -> list[Span]:
        """The spans; short ones that follow each other in a worker and phase are merged.

        Args:
            resolution: the shortest time that can be seen.
            limit: the largest number of spans: the resolution is made coarser until they fit.
        """
        found = self._together(resolution)
        while len(found) > limit and resolution < self.seconds:
            resolution *= 1.5
            found = self._together(resolution)
        # Failed spans first, then the longest ones.
        found.sort(key=lambda span: (span.status != "failed", -span.length))
        return sorted(found[:limit], key=lambda span: (span.row, span.begin))

    def _together(self, resolution: float) -> list[Span]:
        found: list[Span] = []
        for span in self.spans:
            last = found[-1] if found else None
            if last is not None and _fits(last, span, resolution):
                found[-1] = _together(last, span)
            else:
                found.append(span)
        return found

    def rate(self, steps: int) -> list[tuple[float, float, float]]:
        """Bytes per second over time: each task's bytes are spread evenly over its time.

        Args:
            steps: the largest number of steps, of the same length, that the time is cut into.

        Returns:
            Beginning and end of each step, and the bytes per second in it.
        """
        loads = [span for span in self.spans if span.phase == "data" and span.bytes]
        if not loads or self.seconds <= 0:
            return []
        count = max(1, min(steps, int(self.seconds / _SHORTEST_STEP)))
        width = self.seconds / count
        bytes_ = [0.0] * count
        for span in loads:
            _spread(span, bytes_, width)
        return [(at * width, (at + 1) * width, total / width) for at, total in enumerate(bytes_)]


def _spans(tasks: Iterable[TaskResult]) -> list[Span]:
    words = {"failed": "failed", "done": "done", "kept": "done", "pending": "stopped"}
    return [
        Span(
            row=task.worker,
            phase=task.phase,
            begin=max(task.begun, 0.0),
            end=max(task.begun, 0.0) + max(task.seconds, 0.0),
            tasks=1,
            bytes=task.bytes,
            status=words[task.status],
            label=titled(task.kind, task.object),
        )
        for task in tasks
        if task.begun is not None and task.worker is not None and task.status in words
    ]


def _without_pauses(spans: Sequence[Span]) -> tuple[list[Span], list[Pause]]:
    """The spans with the pauses between them removed; the input is ordered by beginning."""
    gaps: list[tuple[float, float]] = []
    over = 0.0
    for span in spans:
        if span.begin > over:
            gaps.append((over, span.begin))
        over = max(over, span.end)
    work = over - sum(end - begin for begin, end in gaps)
    shortest = max(_SECONDS_OF_A_PAUSE, _SHARE_OF_A_PAUSE * work)
    cut = [(begin, end) for begin, end in gaps if end - begin >= shortest]
    ends = [end for _, end in cut]
    removed = [0.0]
    for begin, end in cut:
        removed.append(removed[-1] + end - begin)

    def moved(span: Span) -> Span:
        by = removed[bisect_right(ends, span.begin)]
        return replace(span, begin=span.begin - by, end=span.end - by)

    pauses = [Pause(begin - removed[at], end - begin) for at, (begin, end) in enumerate(cut)]
    return [moved(span) for span in spans], pauses


def _sharing_rows(spans: Sequence[Span]) -> list[Span]:
    """Each span in the first row that is free at its beginning."""
    free: list[float] = []
    placed = []
    for span in spans:
        row = next((at for at, end in enumerate(free) if end <= span.begin), len(free))
        if row == len(free):
            free.append(0.0)
        free[row] = span.end
        placed.append(replace(span, row=row))
    return placed


def _fits(last: Span, span: Span, resolution: float) -> bool:
    is_same = (last.row, last.phase, last.status) == (span.row, span.phase, span.status)
    is_near = span.begin - last.end < resolution
    is_short = span.length < resolution and (last.tasks > 1 or last.length < resolution)
    return is_same and is_near and is_short


def _together(last: Span, span: Span) -> Span:
    tasks = last.tasks + span.tasks
    return replace(
        last,
        end=max(last.end, span.end),
        tasks=tasks,
        bytes=last.bytes + span.bytes,
        label=f"{tasks:,} short tasks of {span.phase}",
    )


def _spread(span: Span, bytes_: list[float], width: float) -> None:
    first = min(int(span.begin / width), len(bytes_) - 1)
    if span.length <= 0:
        bytes_[first] += span.bytes
        return
    last = min(int(span.end / width), len(bytes_) - 1)
    for at in range(first, last + 1):
        inside = min(span.end, (at + 1) * width) - max(span.begin, at * width)
        bytes_[at] += span.bytes * max(inside, 0.0) / span.length
