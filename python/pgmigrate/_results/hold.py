"""How the hold of a snapshot ended."""

from __future__ import annotations

from dataclasses import dataclass

from pgmigrate._results.tabular import Tabular
from pgmigrate._values.humanize import duration, plural, printed
from pgmigrate._values.sets import HoldStatus


@dataclass(frozen=True, repr=False)
class HoldResult(Tabular):
    """How a hold ended.

    Attributes:
        run: the run's number in the ledger.
        status: ``settled`` (all rows are on the target), ``released`` or ``stopped``.
        snapshot: the state of the source that was held, as ``pg_current_snapshot()`` writes it, and
            after ``@`` the timeline and the start time of the server.
        settled: tasks of the data phase that need no more work.
        open: the others of that phase.
        seconds: how long it was held.
    """

    run: int
    status: HoldStatus
    snapshot: str
    settled: int
    open: int
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether all rows are on the target."""
        return self.status == "settled"

    @printed
    def text(self) -> str:
        """A text for people."""
        left = f", {plural(self.open, 'data task')} left" if self.open else ""
        return f"snapshot of run {self.run} {self.status} after {duration(self.seconds)}{left}"
