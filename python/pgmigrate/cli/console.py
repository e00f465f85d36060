"""The log of the command line: the console shows what was requested, the log file has everything.

Only the command line uses this. A user of the library configures the logger ``pgmigrate`` as any
other logger.
"""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from pgmigrate._bridge.job import logger
from pgmigrate._bridge.logs import LogFile
from pgmigrate._values.humanize import plural, titled
from pgmigrate.errors import DriftError, PgMigrateError
from pgmigrate.events import Event

if TYPE_CHECKING:
    from rich.console import Console

LOG_FILE: Final = Path("pgmigrate.log")
_PROBLEMS_AT_MOST: Final = 20


class ConsoleHandler(logging.Handler):
    """Log records on the console, above live bars if there are any."""

    def __init__(self, console: Console, level: int) -> None:
        super().__init__(level)
        self._console = console

    def filter(self, record: logging.LogRecord) -> bool:
        """Leaves out records about the log itself."""
        return not getattr(record, "is_of_log", False) and bool(super().filter(record))

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
    """A record on one line, with its remedy and the stable name of what it reports."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    # The name is the base class's, as its arguments'.
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """The time with its offset from UTC, so that logs of several machines can be compared."""
        return _when(record)

    # The name is the base class's.
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line of a record."""
        remedy = getattr(record, "remedy", None)
        name = getattr(record, "stable_name", None)
        line = super().formatMessage(record).replace("\n", " ")
        line = f"{line} [{name}]" if name else line
        return f"{line}; remedy: {remedy}" if remedy else line


class JsonFormatter(logging.Formatter):
    """A record as a JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        found = {"time": _when(record), "level": record.levelname, "message": record.getMessage()}
        if name := getattr(record, "stable_name", None):
            found["name"] = name
        if remedy := getattr(record, "remedy", None):
            found["remedy"] = remedy
        if record.exc_text:
            found["traceback"] = record.exc_text
        return json.dumps(found, ensure_ascii=False)


def _when(record: logging.LogRecord) -> str:
    local = datetime.fromtimestamp(record.created).astimezone()
    return local.isoformat(sep=" ", timespec="milliseconds")


LogFormat: TypeAlias = Literal["text", "json"]


@dataclass(frozen=True)
class LogSettings:
    """The settings of the log.

    Attributes:
        path: the log file.
        format: the format of its records.
        verbose: the console shows INFO and WARN, too.
        debug: the file has DEBUG.
        quiet: the console shows only errors.
    """

    path: Path = LOG_FILE
    format: LogFormat = "text"
    verbose: bool = False
    debug: bool = False
    quiet: bool = False


def log_head(command: str) -> str:
    """The first line of a log: versions and machine, and the command without secrets."""
    from pgmigrate import __version__

    versions = f"pgmigrate {__version__}, Python {platform.python_version()}"
    return f"{versions}, {platform.platform()}, process {os.getpid()}: {command}"


@contextmanager
def logging_to(console: Console, settings: LogSettings) -> Iterator[None]:
    """Logs to the console and to a file while the block runs.

    Args:
        console: the console.
        settings: the settings of the log.
    """
    path = settings.path
    handlers: list[logging.Handler] = [
        ConsoleHandler(console, logging.INFO if settings.verbose else logging.ERROR)
    ]

    def warn(words: str) -> None:
        if not settings.quiet:
            console.print(f"warning: {words}", markup=False, soft_wrap=True)

    try:
        path.touch(mode=0o600)
        file = LogFile(path, lambda reason: warn(f"{path} lacks records: {reason}"))
    except OSError as error:
        warn(f"no log file {path}: {error.strerror}")
    else:
        file.setFormatter(JsonFormatter() if settings.format == "json" else FileFormatter())
        handlers.append(file)
    log = logger.logger
    level, propagate = log.level, log.propagate
    log.setLevel(logging.DEBUG if settings.debug else logging.INFO)
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
    """Logs the results of tasks, findings and tables; the core logs failures and all else."""
    if event["event"] == "task_finished" and event["status"] != "failed":
        note = f": {event['note']}" if event["note"] else ""
        what = f"{titled(event['kind'], event['object'])} ({event['task']})"
        # Formatted once here: otherwise each handler and filter would format it again.
        logger.info(f"{event['status']} {what}{note}")
    elif event["event"] == "found" and event["severity"] != "blocking":
        # A blocking finding is reported by the error that it causes.
        level = logging.WARNING if event["severity"] == "warning" else logging.INFO
        about = f"{event['object']}: " if event["object"] else ""
        extra = {"remedy": event["remedy"], "stable_name": event["check"]}
        logger.log(level, "%s%s", about, event["message"], extra=extra)
    elif event["event"] == "table_verified":
        levels = {"equal": logging.INFO, "contains_source": logging.WARNING}
        level = levels.get(event["status"], logging.ERROR)
        logger.log(level, "%s: %s (%d rows)", event["object"], event["status"], event["rows"])


def show_error(error: PgMigrateError, debug: bool) -> None:
    """Logs an error, and so prints it; a traceback only for `debug`."""
    # The message of an error with a list of problems would only repeat that list.
    problems = list(getattr(error, "problems", ()))
    shown = problems[:_PROBLEMS_AT_MOST] if isinstance(error, DriftError) else problems
    name = error.name
    listed: list[tuple[str, str | None, str]] = [(problem, None, name) for problem in shown]
    if isinstance(error, DriftError) and problems:
        head = "the plan is not the one that would be made now"
        more = len(problems) - len(shown)
        listed = [(f"{head}: {plural(len(problems), 'difference')}", None, name), *listed]
        listed += [(f"and {more:,} more", None, name)] if more else []
    listed += [
        (finding.words(), finding.remedy, finding.check)
        for finding in getattr(error, "findings", ())
        if finding.severity == "blocking"
    ]
    for message, remedy, about in listed or [(error.message, error.remedy, name)]:
        logger.error("%s", message, extra={"remedy": remedy, "stable_name": about})
    if debug:
        logger.error("the error in full", exc_info=error)
