"""The interface through which results are shown as pictures and HTML.

Its implementation is in a higher layer, and the package installs it here. It takes longer to
import than any other part of the package, so it is imported only when a result is shown.
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
    """Installs the implementation that shows results.

    Args:
        load: imports and returns it; called whenever a result is shown.
    """
    _loaders[:] = [load]


def display() -> Display:
    """The implementation that shows results."""
    return _loaders[0]()
