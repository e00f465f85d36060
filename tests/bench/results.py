"""What the runs gave: medians and ratios of each dataset, as a table for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Final

from bench.tools import LOWER_BOUND, PGMIGRATE

_MB: Final = 1e6


@dataclass(frozen=True)
class Run:
    """One run of a tool.

    Attributes:
        tool: its name.
        round: in which round, from 1.
        wall: seconds.
        client_cpu: seconds of user and system time of the tool and all it started.
        peak_memory: bytes, of its largest process.
        wal: bytes of WAL that the target wrote.
    """

    tool: str
    round: int
    wall: float
    client_cpu: float
    peak_memory: float
    wal: int


@dataclass(frozen=True)
class Summary:
    """A tool on a dataset.

    Attributes:
        wall: median seconds.
        wall_min: the fastest run.
        wall_max: the slowest run.
        to_us: its wall time over pgmigrate's; None where pgmigrate did not run.
        to_bound: its wall time over the lower bound; None where that was not measured.
        client_cpu: median seconds.
        peak_memory: the highest, in bytes.
        wal: median bytes.
        runs: how many runs there were.
    """

    wall: float
    wall_min: float
    wall_max: float
    to_us: float | None
    to_bound: float | None
    client_cpu: float
    peak_memory: float
    wal: float
    runs: int


@dataclass(frozen=True)
class Prediction:
    """What `pgmigrate plan --calibrate` said before the first round.

    Attributes:
        seconds: how long a run would take.
        low: if all went well.
        high: if all went badly.
        uncalibrated: how long by typical rates.
    """

    seconds: float
    low: float
    high: float
    uncalibrated: float


@dataclass
class Result:
    """All of a dataset.

    Attributes:
        dataset: its name.
        title: what it is at scale 1.
        tables: how many tables it has.
        rows: how many rows.
        bytes: their size on the source, without indexes.
        runs: the runs that ended well.
        problems: tool -> why it did not run, or what went wrong.
        prediction: pgmigrate's own estimate; None where it was not asked.
    """

    dataset: str
    title: str
    tables: int
    rows: int
    bytes: int
    runs: list[Run] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    prediction: Prediction | None = None

    def summaries(self) -> dict[str, Summary]:
        """Tool -> its figures, in the order in which tools first ran."""
        by_tool: dict[str, list[Run]] = {}
        for run in self.runs:
            by_tool.setdefault(run.tool, []).append(run)
        walls = {tool: median(run.wall for run in runs) for tool, runs in by_tool.items()}
        return {
            tool: Summary(
                wall=walls[tool],
                wall_min=min(run.wall for run in runs),
                wall_max=max(run.wall for run in runs),
                to_us=_ratio(walls, tool, PGMIGRATE.name),
                to_bound=_ratio(walls, tool, LOWER_BOUND.name),
                client_cpu=median(run.client_cpu for run in runs),
                peak_memory=max(run.peak_memory for run in runs),
                wal=median(run.wal for run in runs),
                runs=len(runs),
            )
            for tool, runs in by_tool.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        summaries = {tool: asdict(summary) for tool, summary in self.summaries().items()}
        return {**asdict(self), "tools": summaries, "predicted_to_outcome": self._predicted()}

    def _predicted(self) -> float | None:
        """The prediction over the median of the runs."""
        outcome = self.summaries().get(PGMIGRATE.name)
        return self.prediction.seconds / outcome.wall if self.prediction and outcome else None

    def _reported(self) -> list[str]:
        ratio = self._predicted()
        if self.prediction is None or ratio is None:
            return []
        guess, wall = self.prediction, self.summaries()[PGMIGRATE.name].wall
        return [
            f"{PGMIGRATE.title}: predicted {guess.seconds:.2f} s "
            f"({guess.low:.2f}-{guess.high:.2f}), outcome {wall:.2f} s, ratio {ratio:.2f}",
            "",
        ]

    def text(self, titles: Mapping[str, str]) -> str:
        """A table in Markdown.

        Args:
            titles: tool -> what it is, in the order of the rows.
        """
        size = f"{self.bytes / _MB:,.0f} MB in {self.tables:,} tables"
        head = f"{self.dataset}: {self.rows:,} rows, {size}"
        summaries = self.summaries()
        rows = [_row(title, summaries[tool]) for tool, title in titles.items() if tool in summaries]
        notes = [
            f"{titles[tool]}: {problem.splitlines()[0]}" for tool, problem in self.problems.items()
        ]
        return "\n".join([head, "", *table(_HEAD, rows), "", *self._reported(), *notes])


_HEAD: Final = (
    "tool",
    "wall s",
    "to us",
    "to bound",
    "min-max s",
    "client CPU s",
    "memory MB",
    "WAL MB",
)


def _ratio(walls: Mapping[str, float], tool: str, reference: str) -> float | None:
    return walls[tool] / walls[reference] if reference in walls else None


def _row(title: str, summary: Summary) -> tuple[str, ...]:
    return (
        title,
        f"{summary.wall:.2f}",
        "" if summary.to_us is None else f"{summary.to_us:.2f}",
        "" if summary.to_bound is None else f"{summary.to_bound:.2f}",
        f"{summary.wall_min:.2f}-{summary.wall_max:.2f}",
        f"{summary.client_cpu:.2f}",
        f"{summary.peak_memory / _MB:,.0f}",
        f"{summary.wal / _MB:,.0f}",
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown, its first column left-aligned and the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return f"| {' | '.join(padded)} |"

    return [line(head), line(rule), *map(line, rows)]
