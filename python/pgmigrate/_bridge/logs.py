"""The package's loggers and its log file: a log that cannot be written never ends the work.

When a handler of the caller raises, or the disk under the log file is full, there is one warning
and the work goes on. No record has a character that a terminal interprets.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgmigrate._values.humanize import printable

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    # Python 3.10 has no parameters for it at run time.
    _Adapter = logging.LoggerAdapter


class PrintableFilter(logging.Filter):
    """Makes the records of a logger printable for every handler, tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Makes a record's texts `printable`; a record that already is stays unchanged."""
        message = record.getMessage()
        if (shown := printable(message)) != message:
            record.msg, record.args = shown, None
        if remedy := getattr(record, "remedy", None):
            record.__dict__["remedy"] = printable(remedy)
        if record.exc_info and not record.exc_text:
            # Formatters read the traceback's text from this attribute.
            record.exc_text = printable(logging.Formatter().formatException(record.exc_info))
        return True


class SteadyLogger(_Adapter):
    """A logger whose handlers' exceptions do not reach the caller; the first one is a warning.

    Args:
        name: the logger's name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name), {})
        self.logger.addFilter(PrintableFilter())
        self._is_broken = False

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Logs a record, as `logging.Logger.log` does."""
        try:
            self.logger.log(level, msg, *args, stacklevel=2, **kwargs)
        except Exception as error:
            self._report(error)

    def _report(self, error: Exception) -> None:
        if self._is_broken:
            return
        self._is_broken = True
        # A warnings filter may turn the warning into an exception, which would end the work.
        with suppress(Exception):
            warnings.warn(
                f"a handler of the logger {self.logger.name} failed, and records are lost: "
                f"{type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=2,
            )


class LogFile(logging.FileHandler):
    """A log file; where it cannot be written, that is reported once, without a traceback.

    Later records are tried again, because the disk may have free space by then.

    Args:
        path: the file.
        report: called with the reason, once.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, report: Callable[[str], object]) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self._on_failure: Callable[[str], object] | None = report

    # The name is the base class's, as its argument's.
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Takes the exception that is being handled."""
        from sys import exc_info

        report, self._on_failure = self._on_failure, None
        if report is not None:
            error = exc_info()[1]
            report(getattr(error, "strerror", None) or str(error))

    def close(self) -> None:
        """Closes the file; what could not be written by then is lost."""
        with suppress(OSError):
            super().close()
