"""What a command prints: read from pipes while it runs, and discarded after that.

Pipes cannot be truncated by a command that opens ``/dev/stderr``, and fill no disk. But a process
that writes into a pipe without a reader is ended by SIGPIPE, and one that writes into a full pipe
waits forever. Therefore a separate drain process holds the pipes, too. It does nothing until
pgmigrate closes them, at the command's end or its own; then it reads and discards everything for
as long as any process can write to them. So an application that was started goes on.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from pgmigrate._values.humanize import plural, size

SHELL: Final = "/bin/sh"
# Its standard input ends when pgmigrate closes it; its standard output and error are the pipes
# that it reads.
_DRAIN: Final = """
exec 3<&0
(
    read -r _ <&3
    exec 3<&-
    cat <&1 >/dev/null 2>/dev/null &
    exec cat <&2 >/dev/null 2>/dev/null
) &
"""
_BLOCK: Final = 1 << 16
# More than a pipe holds. The limit is needed, because after the command's end another process may
# go on printing.
_MOST_AFTER_END: Final = 1 << 20
# Lines between two checks of the clock, because a log may be slow; and lines after the command's
# end, before the next step.
_MOST_LINES: Final = 1000
_MOST_LINES_AFTER_END: Final = 10_000
_LONGEST_SHOWN: Final = 2000
# Each environment variable of a process is shorter than this.
_LONGEST_SECRET: Final = 1 << 17
_LONGEST_KEPT: Final = 1 << 20


def missing_program() -> str | None:
    """A program that reading a command's output needs and that is missing; None if all exist."""
    if not os.access(SHELL, os.X_OK):
        return SHELL
    return None if shutil.which("cat", path=_search_path()) else "cat"


def _search_path() -> str:
    return os.pathsep.join(filter(None, (os.environ.get("PATH"), os.defpath)))


class Output:
    """The two outputs of a command.

    Args:
        hide: redacts all known passwords and other secrets in a text.
        log: called with each line, after redaction.

    Attributes:
        failure: why it could not be read to its end; empty if it could.
        is_logged: whether every line was logged.

    Raises:
        OSError: no pipe or process can be created.
    """

    def __init__(self, hide: Callable[[str], str], log: Callable[[str], object]) -> None:
        self._hide, self._log = hide, log
        self._lines: deque[_Line] = deque()
        self.failure = ""
        self.is_logged = True
        self._open: set[int] = set()
        self._out, self._err = (_Stream(self._pipe(), self._lines) for _ in range(2))
        try:
            self._start_drain()
        except BaseException:
            self._close(*self._open)
            raise

    @property
    def writers(self) -> tuple[int, int]:
        """The file descriptors for the command's standard output and standard error."""
        return self._out.writer, self._err.writer

    @property
    def counts(self) -> tuple[int, int]:
        """Lines on standard output and on standard error so far."""
        return self._out.count, self._err.count

    def begin(self) -> None:
        """Closes the write ends in this process, once the command has them."""
        self._close(*self.writers)

    def read(self, *, is_last: bool = False) -> bool:
        """Logs the new lines. A failure to read or log is no error of the command.

        Args:
            is_last: the command has ended, so that the rest is a line, too.

        Returns:
            Whether more may be readable at once.
        """
        before = self._out.size + self._err.size
        for stream in () if self._lines and not is_last else (self._out, self._err):
            try:
                stream.read(_MOST_AFTER_END if is_last else _BLOCK)
            except TimeoutError:
                # Reading a pipe does not raise this: the handler of a signal has raised it.
                raise
            except (OSError, ValueError) as error:
                self._give_up(error)
            if is_last:
                stream.finish()
        self._log_lines(_MOST_LINES_AFTER_END if is_last else _MOST_LINES)
        return bool(self._lines) or self._out.size + self._err.size > before

    def close(self) -> None:
        """Leaves all further output to the drain."""
        if self._lines:
            self._log_one(f"({plural(len(self._lines), 'more line')} not logged)")
            self._lines.clear()
        if self._open and (self._out.is_open or self._err.is_open) and not self.failure:
            self._log_one("(processes that it has started go on: what they print is not kept)")
        self._close(*self._open)

    def _pipe(self) -> tuple[int, int]:
        try:
            ends = os.pipe()
        except OSError:
            self._close(*self._open)
            raise
        self._open.update(ends)
        return ends

    def _start_drain(self) -> None:
        control, _ = self._pipe()
        # The drain gets no environment variables, which may be secret, and its working folder is
        # not one that may be removed.
        subprocess.run(
            [SHELL, "-c", _DRAIN, "pgmigrate-drain"],
            stdin=control,
            stdout=self._out.reader,
            stderr=self._err.reader,
            cwd="/",
            env={"PATH": _search_path()},
            start_new_session=True,
            check=False,
        )
        self._close(control)

    def _give_up(self, error: Exception) -> None:
        """Stops reading; the drain goes on, so that the command does not wait for a reader."""
        self.failure = getattr(error, "strerror", None) or str(error)
        self._out.is_open = self._err.is_open = False
        self._log_one(f"(its output cannot be read any more: {self.failure})")
        self._close(*self._open)

    def _log_lines(self, most: int) -> None:
        for _ in range(min(most, len(self._lines))):
            self._log_one(self._lines.popleft().shown(self._hide))

    def _log_one(self, line: str) -> None:
        try:
            self._log(line)
        except TimeoutError:
            raise
        except (OSError, ValueError):
            # A full disk or a closed log must not affect a command.
            self.is_logged = False

    def _close(self, *numbers: int) -> None:
        for number in numbers:
            self._open.discard(number)
            with suppress(OSError):
                os.close(number)


class _Line:
    """The beginning of a line, as far as it is kept, and the line's whole length."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.length = 0

    def add(self, part: bytes) -> None:
        self.kept += part[: _LONGEST_KEPT - len(self.kept)]
        self.length += len(part)

    def shown(self, hide: Callable[[str], str]) -> str:
        # Redact first and cut afterwards: a part of a password would not be recognized.
        text = hide(self.kept.decode(errors="replace").rstrip("\r"))
        if self.length > len(self.kept):
            text = text[:-_LONGEST_SECRET]
        elif len(text) <= _LONGEST_SHOWN:
            return text
        return f"{text[:_LONGEST_SHOWN]} ... ({size(self.length)} in all)"


class _Stream:
    """One output and its pipe.

    Attributes:
        reader: pgmigrate's end of the pipe.
        writer: the command's end.
        count: lines so far.
        size: bytes so far.
        is_open: whether more may come.
    """

    def __init__(self, pipe: tuple[int, int], lines: deque[_Line]) -> None:
        self.reader, self.writer = pipe
        self.count = self.size = 0
        self.is_open = True
        self._lines, self._line = lines, _Line()
        self._ready = select.poll()
        self._ready.register(self.reader, select.POLLIN)

    def read(self, limit: int) -> None:
        """Reads what is available, up to about `limit` bytes; never waits."""
        # Not with O_NONBLOCK: the drain shares the pipe, and would get the flag, too.
        until = self.size + limit
        while self.is_open and self.size < until and self._ready.poll(0):
            block = os.read(self.reader, _BLOCK)
            self.is_open = bool(block)
            self.size += len(block)
            *whole, rest = block.split(b"\n")
            for part in whole:
                self._line.add(part)
                self._hand_over()
            self._line.add(rest)

    def finish(self) -> None:
        """Treats the text after the last end of a line as a line."""
        if self._line.length:
            self._hand_over()

    def _hand_over(self) -> None:
        self.count += 1
        self._lines.append(self._line)
        self._line = _Line()
