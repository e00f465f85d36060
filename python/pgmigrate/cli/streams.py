"""Standard output and standard error of the program, of which neither can end its work.

A character that a stream cannot encode is replaced. What cannot be written at all (a full disk, a
reader that has gone) is lost: progress and messages silently, results with an exit code of their
own, because a command whose output is lost did not give what it was asked for.
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

# A mark that stays distinct from the others where only ASCII can be shown.
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
        stream: the stream; None where the process was started without one.

    Attributes:
        failure: why something could not be written, in words; None where everything was.
        is_reported: whether it has been reported.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.failure: str | None = None
        self.is_reported = False

    @property
    def encoding(self) -> str:
        """How the stream encodes text."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> int:
        """Writes a text as far as that is possible."""
        shown = text.encode(self.encoding, _HANDLER).decode(self.encoding)
        try:
            if self._stream is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._stream.write(shown)
        except (OSError, ValueError) as error:
            self._fail(error)
        return len(text)

    def flush(self) -> None:
        """Hands on what was written."""
        try:
            if self._stream is not None:
                self._stream.flush()
        except (OSError, ValueError) as error:
            self._fail(error)

    def __getattr__(self, name: str) -> Any:
        # With the bytes below in hand, click would write past this in an encoding of its choice.
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)

    def settle(self) -> None:
        """Writes what is left; what cannot be is dropped, or the interpreter fails on it again."""
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
    """Makes standard output and standard error steady while the block runs; gives the former."""
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
    """Why a result could not be written to standard output, for the first who asks; else None."""
    out = sys.stdout
    if not isinstance(out, SteadyStream):
        return None
    out.flush()
    if out.is_reported:
        return None
    out.is_reported = out.failure is not None
    return out.failure


def lost_output() -> str | None:
    """Why something could not be written to standard output so far; None where everything was."""
    out = sys.stdout
    if not isinstance(out, SteadyStream):
        return None
    out.flush()
    return out.failure


def fitted(text: str) -> str:
    """A text for standard output: as wide as the terminal that it is, untouched for all else."""
    if not sys.stdout.isatty():
        return text
    return fitted_to(text, shutil.get_terminal_size().columns)


def can_encode(text: str) -> bool:
    """Whether standard output has all characters of a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
