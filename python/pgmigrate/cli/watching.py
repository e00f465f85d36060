"""`pgmigrate status --watch`: the status at intervals, for as long as a run is active."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import click

from pgmigrate import Migration, Status
from pgmigrate._values.humanize import count, duration, plural, printable


def watch(
    migrations: Sequence[Migration], look: Callable[[Migration], Status], seconds: float
) -> None:
    """Shows the progress of runs until none is active: redrawn on a terminal, else as lines.

    Args:
        migrations: the migrations to watch.
        look: reads the status of one.
        seconds: the interval between two reads.
    """
    names = [f"{migration.name}: " if len(migrations) > 1 else "" for migration in migrations]
    if not sys.stdout.isatty():
        while True:
            found = [look(migration) for migration in migrations]
            if not any(status.active for status in found):
                return
            for name, status in zip(names, found, strict=True):
                click.echo(printable(f"{name}{status_line(status)}"))
            sys.stdout.flush()
            time.sleep(seconds)
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False)
    # The last output is the status as without --watch.
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            found = [look(migration) for migration in migrations]
            if not any(status.active for status in found):
                return
            texts = [f"{name}{of.text()}" for name, of in zip(names, found, strict=True)]
            live.update(Text(printable("\n\n".join(texts))), refresh=True)
            time.sleep(seconds)


def status_line(status: Status) -> str:
    """The status on one line."""
    if status.run is None or status.state != "running":
        state = "no run yet" if status.run is None else f"run {status.run}: {status.state}"
        return f"{state}, a process is active on the target"
    tasks = status.tasks
    total = tasks.done + tasks.running + tasks.failed + tasks.blocked + tasks.pending
    rows = f"{count(status.rows_done)} of about {count(status.rows_total)} rows"
    failed = [f"{tasks.failed:,} failed"] if tasks.failed else []
    seconds = status.seconds_left
    left = "time left unknown" if seconds is None else f"about {duration(seconds)} left"
    reported = [f"{tasks.done:,} of {plural(total, 'task')}", *failed, rows, left]
    return f"run {status.run}: running after {duration(status.seconds)}, {', '.join(reported)}"
