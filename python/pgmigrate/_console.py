"""What the command line logs, and where: a console gets what was asked for, a file gets all.

Only the command line uses this. A library's user configures the logger ``pgmigrate`` as any other.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pgmigrate._job import Event, logger
from pgmigrate._logging import LogFile
from pgmigrate.errors import PgMigrateError

if TYPE_CHECKING:
    from rich.console import Console

LOG_FILE: Final = Path("pgmigrate.log")


class ConsoleHandler(logging.Handler):
    """Log records on the console, above live bars where there are some."""

    def __init__(self, console: Console, level: int) -> None:
        super().__init__(level)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Prints a record, its remedy on a line of its own."""
        name = "warning" if record.levelno == logging.WARNING else record.levelname.lower()
        lines = [f"{name}: {record.getMessage()}"]
        remedy = getattr(record, "remedy", None)
        if remedy:
            lines.append(f"remedy: {remedy}")
        if record.exc_text:
            lines.append(record.exc_text)
        for line in lines:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class FileFormatter(logging.Formatter):
    """A record on one line, with its remedy."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    # The name is the base class's.
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line of a record."""
        remedy = getattr(record, "remedy", None)
        line = super().formatMessage(record).replace("\n", " ")
        return f"{line}; remedy: {remedy}" if remedy else line


@contextmanager
def logging_to(console: Console, *, verbose: bool, debug: bool) -> Iterator[None]:
    """Logs to the console and to `LOG_FILE` while the block runs.

    Args:
        console: where people look.
        verbose: the console shows INFO and WARN, too.
        debug: the file has DEBUG.
    """
    handlers: list[logging.Handler] = [
        ConsoleHandler(console, logging.INFO if verbose else logging.ERROR)
    ]

    def warn(words: str) -> None:
        console.print(f"warning: {words}", markup=False, soft_wrap=True)

    try:
        LOG_FILE.touch(mode=0o600)
        file = LogFile(LOG_FILE, lambda reason: warn(f"{LOG_FILE} lacks records: {reason}"))
    except OSError as error:
        warn(f"no log file {LOG_FILE}: {error.strerror}")
    else:
        file.setFormatter(FileFormatter())
        handlers.append(file)
    log = logger.logger
    level, propagate = log.level, log.propagate
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    log.propagate = False
    for handler in handlers:
        log.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()
        log.setLevel(level)
        log.propagate = propagate


def log_event(event: Event) -> None:
    """Logs what tasks, findings and tables came to; failures and all else the core logs itself."""
    kind = event["event"]
    if kind == "task_finished" and event["status"] != "failed":
        note = f": {event['note']}" if event["note"] else ""
        what = f"{event['kind']} {event['object']} ({event['task']})"
        # Formatted here: every handler and filter would do it again.
        logger.info(f"{event['status']} {what}{note}")
    elif kind == "found" and event["severity"] != "blocking":
        # What blocks is told by the error that it leads to.
        level = logging.WARNING if event["severity"] == "warning" else logging.INFO
        about = f"{event['object']}: " if event["object"] else ""
        logger.log(level, "%s%s", about, event["message"], extra={"remedy": event["remedy"]})
    elif kind == "table_verified":
        levels = {"equal": logging.INFO, "contains_source": logging.WARNING}
        level = levels.get(event["status"], logging.ERROR)
        logger.log(level, "%s: %s (%d rows)", event["object"], event["status"], event["rows"])


def show_error(error: PgMigrateError, debug: bool) -> None:
    """Logs an error, and so prints it; a traceback only for `debug`."""
    # The message of an error that lists what is wrong is that list once more.
    listed: list[tuple[str, str | None]] = [
        (problem, None) for problem in getattr(error, "problems", ())
    ]
    listed += [
        (finding.message, finding.remedy)
        for finding in getattr(error, "findings", ())
        if finding.severity == "blocking"
    ]
    for message, remedy in listed or [(error.message, error.remedy)]:
        logger.error("%s", message, extra={"remedy": remedy})
    if debug:
        logger.error("the error in full", exc_info=error)
