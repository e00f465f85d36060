"""How long a migration will take: the time of a plan at the rates of two servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from pgmigrate import _native
from pgmigrate._results.rates import Rates
from pgmigrate._results.shown import display
from pgmigrate._results.tabular import Tabular
from pgmigrate._values.humanize import columns, count, duration, plural, printed, size, titled
from pgmigrate._values.record import Record
from pgmigrate._values.sets import Phase

if TYPE_CHECKING:
    import altair

    from pgmigrate._native import PlanText

_LINKS: Final = 12
# A step that takes less than this part of a run is not significant for its length.
_WORTH_A_LINE: Final = 0.01


@dataclass(frozen=True)
class JobsEstimate(Record):
    """How long a run takes with a given number of jobs.

    Attributes:
        jobs: how many tasks run at once.
        seconds: from its beginning to its end.
        low: if all goes well.
        high: if all goes badly.
    """

    jobs: int
    seconds: float
    low: float
    high: float


@dataclass(frozen=True)
class PhaseEstimate(Record):
    """When a phase happens.

    Attributes:
        phase: its name.
        tasks: how many tasks it has.
        starts: when the first of them starts, in seconds of the run.
        seconds: from the first start to the last end.
        work: seconds of all its tasks, each done alone.
    """

    phase: Phase
    tasks: int
    starts: float
    seconds: float
    work: float


@dataclass(frozen=True)
class ChainStep(Record):
    """A link of the critical path: the chain of tasks that the end of a run waits for.

    Attributes:
        task: the id of the task that takes most of it.
        object: that task's object.
        kind: that task's kind.
        phase: its phase.
        tasks: how many tasks it stands for; short ones of a phase are put together.
        starts: when it starts, in seconds of the run.
        seconds: how long it takes.
        waits_for: ``task`` if it needs the link before it, ``worker`` if all workers were busy and
            that link's worker was free first, ``lock`` if it would have waited for a lock that the
            link before held, else ``nothing``.
    """

    task: str
    object: str
    kind: str
    phase: Phase
    tasks: int
    starts: float
    seconds: float
    waits_for: str


@dataclass(frozen=True)
class TableEstimate(Record):
    """The work for a table.

    Attributes:
        table: its name.
        bytes: its size on the source.
        work: seconds of its rows, indexes, statistics and constraints, each task done alone.
    """

    table: str
    bytes: int
    work: float


@dataclass(frozen=True, repr=False)
class Estimate(Tabular):
    """How long a run of a plan takes. ``str()`` of it is a text for people.

    Attributes:
        jobs: how many tasks run at once.
        seconds: from its beginning to its end, without verification and backup.
        low: if all goes well.
        high: if all goes badly.
        preparation: seconds before the first task.
        calibrated: whether the rates were measured on the two servers.
        by_jobs: the same for 1, 2, 4, 8 and 16 jobs, and for ``jobs``.
        phases: the phases in their order.
        chain: the tasks of the critical path, the first one first.
        tables: the tables that take most of the work.
        notes: what a reader should know.
    """

    _table: ClassVar[str] = "phases"
    _parts: ClassVar[Mapping[str, type[Record]]] = {
        "by_jobs": JobsEstimate,
        "phases": PhaseEstimate,
        "chain": ChainStep,
        "tables": TableEstimate,
    }

    jobs: int
    seconds: float
    low: float
    high: float
    preparation: float
    calibrated: bool
    by_jobs: tuple[JobsEstimate, ...]
    phases: tuple[PhaseEstimate, ...]
    chain: tuple[ChainStep, ...]
    tables: tuple[TableEstimate, ...]
    notes: tuple[str, ...]

    @printed
    def text(self) -> str:
        """A text for people: the time, the time by number of jobs, and the critical path."""
        spread = f"{duration(self.low)} to {duration(self.high)}"
        head = f"about {duration(self.seconds)} with {plural(self.jobs, 'job')} ({spread})"
        kind = "" if self.calibrated else "uncalibrated "
        parts = [
            [f"{kind}estimate: {head}"],
            _by_jobs(self.by_jobs),
            _phases(self.phases),
            _chain([step for step in self.chain if self._matters(step.seconds)], len(self.chain)),
            _tables([table for table in self.tables if self._matters(table.work)]),
            ["notes:", *(f"  {note}" for note in self.notes)] if self.notes else [],
        ]
        return "\n".join(line for part in parts for line in part)

    def chart(self) -> altair.LayerChart:
        """The time of a run by number of jobs, as bars.

        Raises:
            ImportError: altair is missing (``pip install 'pgmigrate[plots]'``).
            ValueError: there is nothing to do.
        """
        return display().chart("by_jobs", self)

    def _matters(self, seconds: float) -> bool:
        return seconds >= _WORTH_A_LINE * self.seconds

    def __str__(self) -> str:
        return self.text()


def estimate(plan: str | PlanText, jobs: int | None, rates: Rates | None) -> Estimate:
    """The estimate for a plan, as a text or as the core holds it; see `Plan.estimate`."""
    jobs = _native.default_jobs() if jobs is None else jobs
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}: at least one task runs at a time")
    rates = Rates.typical() if rates is None else rates
    return Estimate.from_mapping(_native.estimate(plan, rates.to_dict(), jobs))


def _by_jobs(found: tuple[JobsEstimate, ...]) -> list[str]:
    rows = [
        (str(one.jobs), duration(one.seconds), duration(one.low), duration(one.high))
        for one in found
    ]
    return columns(("jobs", "time", "optimistic", "pessimistic"), rows)


def _phases(found: tuple[PhaseEstimate, ...]) -> list[str]:
    rows = [
        (
            phase.phase,
            count(phase.tasks),
            duration(phase.starts),
            duration(phase.seconds),
            duration(phase.work),
        )
        for phase in found
    ]
    return columns(("phase", "tasks", "starts at", "takes", "work"), rows)


def _chain(found: Sequence[ChainStep], all_of_them: int) -> list[str]:
    longest = sorted(found, key=lambda step: -step.seconds)[:_LINKS]
    shown = [step for step in found if step in longest]
    lines = [
        f"  at {duration(step.starts)}, {duration(step.seconds)}: {titled(step.kind, step.object)}"
        + (f" and {plural(step.tasks - 1, 'small task')} more" if step.tasks > 1 else "")
        for step in shown
    ]
    left = all_of_them - len(shown)
    more = [f"  and {plural(left, 'shorter link')}"] if left else []
    return ["critical path:", *lines, *more] if lines else []


def _tables(found: Sequence[TableEstimate]) -> list[str]:
    rows = [(table.table, size(table.bytes), duration(table.work)) for table in found]
    return columns(("busiest tables", "bytes (about)", "work"), rows) if rows else []
