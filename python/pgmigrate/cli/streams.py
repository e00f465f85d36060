"""Standard output and standard error of the program; an error of them never ends its work.

A character that a stream cannot encode is replaced. Text that cannot be written at all (the disk is
full, the reader has closed the pipe) is lost: progress and messages silently, results with a
separate exit code, because a command whose output is lost did not return what was requested.
"""

from __future__ import annotations

import codecs
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TextIO, cast

from pgmigrate._values.humanize import fitted_to

# Replacements that stay distinct from each other where only ASCII can be shown.
_PLAIN: Final = {"✓": "+", "✗": "x", "·": ".", "…": "...", "→": "->"}
_HANDLER: Final = "pgmigrate.legible"


def _legible(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    shown = [
        _PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode() for char in unknown
    ]
    return "".join(shown), error.end


codecs.register_error(_HANDLER, _legible)


class SteadyStream:
    """A text stream that never raises when it is written to; it keeps the first failure.

    Args:
        stream: the stream; None if the process was started without one.

    Attributes:
        failure: why something could not be written, in words; None if everything was written.
        is_reported: whether it has been reported.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.failure: str | None = None
        self.is_reported = False

    @property
    def encoding(self) -> str:
        """The encoding of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> int:
        """Writes as much of a text as possible."""
        shown = text.encode(self.encoding, _HANDLER).decode(self.encoding)
        try:
            if self._stream is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._stream.write(shown)
        except (OSError, ValueError) as error:
            self._fail(error)
        return len(text)

    def flush(self) -> None:
        """Flushes what was written."""
        try:
            if self._stream is not None:
                self._stream.flush()
        except (OSError, ValueError) as error:
            self._fail(error)

    def __getattr__(self, name: str) -> Any:
        # Given the binary stream, click would bypass this class and choose its own encoding.
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)

    def settle(self) -> None:
        """Writes the rest, or drops it: otherwise the interpreter fails on it again at exit."""
        self.flush()
        if self.failure is None or self._stream is None:
            return
        try:
            self._stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._stream.fileno())
                os.close(null)
                self._stream.flush()

    def _fail(self, error: OSError | ValueError) -> None:
        if self.failure is None:
            self.failure = getattr(error, "strerror", None) or str(error)


@contextmanager
def steady_streams() -> Iterator[SteadyStream]:
    """Makes standard output and standard error steady while the block runs; yields the former."""
    before = sys.stdout, sys.stderr
    out, err = SteadyStream(sys.stdout), SteadyStream(sys.stderr)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield out
    finally:
        out.settle()
        err.settle()
        sys.stdout, sys.stderr = before


def untold_loss() -> str | None:
    """Why a result could not be written to standard output, for the first call; later None."""
    out = sys.stdout
    if not isinstance(out, SteadyStream):
        return None
    out.flush()
    if out.is_reported:
        return None
    out.is_reported = out.failure is not None
    return out.failure


def lost_output() -> str | None:
    """Why something could not be written to standard output; None if everything was written."""
    out = sys.stdout
    if not isinstance(out, SteadyStream):
        return None
    out.flush()
    return out.failure


def fitted(text: str) -> str:
    """A text for standard output: fitted to the width of a terminal, else unchanged."""
    if not sys.stdout.isatty():
        return text
    return fitted_to(text, shutil.get_terminal_size().columns)


def can_encode(text: str) -> bool:
    """Whether standard output can encode all characters of a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
