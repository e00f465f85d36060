"""How long a migration will take: rates of two servers, and what a plan comes to at them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from pgmigrate import _native
from pgmigrate._files import read_text, write_atomically
from pgmigrate._model import Record
from pgmigrate._tabular import Tabular
from pgmigrate._text import columns, count, duration, plural, printed, size

if TYPE_CHECKING:
    import altair

    from pgmigrate._job import OnEvent
    from pgmigrate._migration import Migration
    from pgmigrate._native import PlanText
    from pgmigrate._plan import Plan

_LINKS: Final = 12
# What takes less than this part of a run does not decide how long it is.
_WORTH_A_LINE: Final = 0.01


@dataclass(frozen=True)
class Speedup(Record):
    """What several sessions that work at once do together.

    Attributes:
        sessions: how many there are.
        speedup: what they do in the time in which one alone does 1.
    """

    sessions: int
    speedup: float


@dataclass(frozen=True)
class TableRates(Record):
    """What is known of one table; it goes before the rates of all. None where nothing is known.

    Attributes:
        table: its name, as plans and reports write it.
        copy: MB of it that one session copies in a second.
        index: as `Rates.index`.
        validation: as `Rates.validation`.
        analyze: as `Rates.analyze`.
    """

    table: str
    copy: float | None = None
    index: float | None = None
    validation: float | None = None
    analyze: float | None = None


@dataclass(frozen=True)
class Rates(Record):
    """How fast two servers do what a plan asks of them, one session at work unless said otherwise.

    `Migration.calibrate` measures them, `typical` has figures for servers that nobody measured, and
    ``dataclasses.replace(rates, copy_binary=300.0)`` puts in what is known better. They are data of
    their own beside a plan: names of tables and numbers, no secret and no value of a row. A MB is a
    million bytes; bytes of a table are those of its heap and TOAST on the source.

    Attributes:
        version: of the file's format.
        calibrated: whether they were measured on the two servers.
        copy_binary: MB of a table copied in a second, in COPY's binary format.
        copy_text: the same in its text format.
        index: MB of an index on a table of a million rows that are sorted and written in a
            second; the table is read besides.
        validation: MB of a table and of the one it references, checked in a second.
        scan: MB of a table read in a second.
        analyze: seconds for the statistics of a table that fills the sample of ANALYZE
            (https://www.postgresql.org/docs/current/sql-analyze.html).
        create_table: seconds to make an empty table.
        statement: seconds for a small statement sent together with others.
        small_copy: seconds to copy a table of a few rows.
        source_round_trip: seconds for a question to the source and its answer.
        target_round_trip: the same for the target.
        preparation: seconds before the first task: connecting, reading the catalog, preflight.
        uncertainty: how many times longer or shorter than estimated a run may take.
        copy_speedup: copying by several sessions at once; beyond the last point Amdahl's law
            goes on (https://doi.org/10.1145/1465482.1465560).
        build_speedup: the same for building indexes.
        tables: what is known of single tables.
        notes: what a reader should know of how they came about.
    """

    _parts: ClassVar[Mapping[str, type[Record]]] = {
        "copy_speedup": Speedup,
        "build_speedup": Speedup,
        "tables": TableRates,
    }

    version: int
    calibrated: bool
    copy_binary: float
    copy_text: float
    index: float
    validation: float
    scan: float
    analyze: float
    create_table: float
    statement: float
    small_copy: float
    source_round_trip: float
    target_round_trip: float
    preparation: float
    uncertainty: float
    copy_speedup: tuple[Speedup, ...]
    build_speedup: tuple[Speedup, ...]
    tables: tuple[TableRates, ...]
    notes: tuple[str, ...]

    @classmethod
    def typical(cls) -> Rates:
        """Figures of two servers of a few cores, near each other, with the database in memory."""
        return cls.from_mapping(_native.typical_rates())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Rates:
        """Reads rates that `save` wrote.

        Args:
            path: the file.

        Raises:
            StateError: it cannot be read, or a figure in it cannot be one.
        """
        remedy = "measure the rates with `pgmigrate plan --calibrate`"
        return cls.from_mapping(_native.parse_rates(read_text(path, "rates file", remedy)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the rates to a file as JSON.

        Args:
            path: the file; one that is there is replaced.

        Raises:
            OSError: the file cannot be written.
        """
        write_atomically(Path(path), [self.to_json(indent=2).encode() + b"\n"])


@dataclass(frozen=True)
class JobsEstimate(Record):
    """How long a run with some number of jobs takes.

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

    phase: str
    tasks: int
    starts: float
    seconds: float
    work: float


@dataclass(frozen=True)
class ChainStep(Record):
    """A link of the chain of tasks that the end of a run waits for.

    Attributes:
        task: the id of the task that takes most of it.
        object: that task's object.
        kind: that task's kind.
        phase: its phase.
        tasks: how many tasks it stands for; short ones of a phase are told together.
        starts: when it starts, in seconds of the run.
        seconds: how long it takes.
        waits_for: ``task`` where it needs the link before it, ``worker`` where all workers were
            busy and that link's was free first, ``lock`` where it would have waited for a lock
            that the link before held, else ``nothing``.
    """

    task: str
    object: str
    kind: str
    phase: str
    tasks: int
    starts: float
    seconds: float
    waits_for: str


@dataclass(frozen=True)
class TableEstimate(Record):
    """What a table costs.

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
        chain: the tasks that the end waits for one after another, the first one first.
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
        """The estimate for people: how long, with how many jobs, and what it waits for."""
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
        """How long a run takes with how many jobs, as bars.

        Raises:
            ImportError: altair is missing (``pip install 'pgmigrate[plots]'``).
            ValueError: there is nothing to do.
        """
        from pgmigrate._pictures.charts import by_jobs, chart_of

        return chart_of(by_jobs(self), "there is nothing to do")

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


def asked(
    migration: Migration,
    plan: Plan,
    jobs: int | None,
    rates_path: Path | None,
    calibrate_path: Path | None,
    on_event: OnEvent,
) -> Estimate:
    """What ``pgmigrate plan --estimate`` is asked for.

    Args:
        migration: whose plan it is.
        plan: the plan.
        jobs: how many tasks run at once; as the configuration says when None.
        rates_path: a file of rates; typical ones when None.
        calibrate_path: measure the rates, and write them into this file; not when None.
        on_event: called with every event.

    Raises:
        StateError: the file of rates cannot be used.
        OSError: the file of measured rates cannot be written.
    """
    rates = None if rates_path is None else Rates.load(rates_path)
    if calibrate_path is not None:
        rates = migration.calibrate(plan, on_event=on_event)
        rates.save(calibrate_path)
    if jobs is None:
        jobs = _native.default_jobs(migration.config["parallel"]["max_jobs"])
    return plan.estimate(jobs, rates=rates)


def _by_jobs(found: tuple[JobsEstimate, ...]) -> list[str]:
    rows = [
        (str(one.jobs), duration(one.seconds), duration(one.low), duration(one.high))
        for one in found
    ]
    return columns(("jobs", "time", "at best", "at worst"), rows)


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
        f"  at {duration(step.starts)}, {duration(step.seconds)}: {step.kind} {step.object}"
        + (f" and {plural(step.tasks - 1, 'small task')} more" if step.tasks > 1 else "")
        for step in shown
    ]
    left = all_of_them - len(shown)
    more = [f"  and {plural(left, 'shorter link')}"] if left else []
    return ["the end waits for:", *lines, *more] if lines else []


def _tables(found: Sequence[TableEstimate]) -> list[str]:
    rows = [(table.table, size(table.bytes), duration(table.work)) for table in found]
    return columns(("busiest tables", "bytes (about)", "work"), rows) if rows else []
