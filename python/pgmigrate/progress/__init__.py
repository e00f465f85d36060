"""A run's events as live bars on a terminal, a table in a notebook, and plain lines elsewhere.

It needs only events, so it shows the same for every caller of the run. Use it as `on_event`:

    with progress(Console(stderr=True)) as show:
        migration.run(on_event=show)
"""

from pgmigrate.progress._notebook import NotebookProgress
from pgmigrate.progress._tally import PhaseTally, RunTally
from pgmigrate.progress._terminal import BarProgress, LineProgress, notebook, progress

__all__ = [
    "BarProgress",
    "LineProgress",
    "NotebookProgress",
    "PhaseTally",
    "RunTally",
    "notebook",
    "progress",
]
