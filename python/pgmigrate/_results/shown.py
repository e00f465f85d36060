"""What shows results as pictures and HTML: it stands above them, and is installed by the package.

It takes longest to import of all that the package has, and is imported when a result is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from pgmigrate._values.record import Record

if TYPE_CHECKING:
    import altair

Chart: TypeAlias = Literal["treemap", "timeline", "throughput", "slowest", "by_jobs"]
"""The charts of plans, reports and estimates."""


class Display(Protocol):
    """Shows results."""

    def html(self, result: Record) -> str:
        """A result as a notebook shows it."""

    def page(self, report: Record) -> str:
        """The page of a report."""

    def chart(self, chart: Chart, result: Record) -> altair.LayerChart:
        """A chart of a result.

        Raises:
            ImportError: altair is missing.
            ValueError: there is nothing to draw.
        """


_loaders: list[Callable[[], Display]] = []


def install(load: Callable[[], Display]) -> None:
    """Installs what shows results.

    Args:
        load: imports and gives it, whenever a result is shown.
    """
    _loaders[:] = [load]


def display() -> Display:
    """What shows results."""
    return _loaders[0]()
