"""The commands of a procedure: processes with a time limit whose output goes into the log.

A command gets no shell unless it asks for one, no terminal and nothing to read, and a process group
of its own, which is ended as a whole. A process that leaves the group by itself, as daemons do,
lives on; that is how an application is started.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from pgmigrate._text import plural
from pgmigrate.errors import CommandError

SHELL: Final = "/bin/sh"
_SECONDS_TO_END: Final = 5.0
_SECONDS_TO_DIE: Final = 2.0
_LONGEST_LINE: Final = 2000


@dataclass(frozen=True)
class Command:
    """A command as the configuration has it.

    Attributes:
        words: the program and its arguments; of a command for the shell, its text.
        timeout: seconds that it may take; 0 without end.
        is_for_shell: whether the text goes to ``/bin/sh``.
        expect: what it does where the application is stopped; empty where it checks nothing.
    """

    words: tuple[str, ...]
    timeout: float
    is_for_shell: bool = False
    expect: str = ""

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Command:
        """The command for a mapping of the core."""
        run, shell = mapping["run"], mapping["shell"]
        words = (run,) if shell else tuple(run)
        return cls(words, mapping["timeout"], shell, mapping.get("expect", ""))

    @property
    def shown(self) -> str:
        """The command as one would type it."""
        return self.words[0] if self.is_for_shell else shlex.join(self.words)

    @property
    def arguments(self) -> list[str]:
        """What is executed."""
        return [SHELL, "-c", *self.words] if self.is_for_shell else list(self.words)


@dataclass(frozen=True)
class Surroundings:
    """What the commands of a procedure have in common.

    Attributes:
        cwd: the folder that they run in.
        env: variables beside those of this process.
        hide: takes the passwords and other secrets that we know out of a text.
        log: takes a line of output, passwords taken out.
    """

    cwd: Path
    env: Mapping[str, str]
    hide: Callable[[str], str]
    log: Callable[[str], object]

    @property
    def environment(self) -> dict[str, str]:
        """All variables of a command."""
        return {**os.environ, **self.env}

    def problem(self, command: Command) -> str | None:
        """Why a command cannot be started at all; None where it can."""
        if not self.cwd.is_dir():
            return f"there is no folder {self.cwd}"
        program = command.arguments[0]
        if os.sep in program:
            found = os.access(self.cwd / program, os.X_OK)
        else:
            found = shutil.which(program, path=self.environment.get("PATH")) is not None
        return None if found else f"there is no program {self.hide(program)}"


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        command: the command.
        code: its exit code; that of a signal is below 0.
        is_late: whether it was ended for its time limit.
        printed: lines on its standard output.
        complained: lines on its standard error.
    """

    command: Command
    code: int
    is_late: bool
    printed: int
    complained: int

    @property
    def is_as_expected(self) -> bool:
        """Whether the command succeeded or, of a check, did what it does where all is stopped."""
        if self.is_late or self.code < 0:
            return False
        if self.command.expect == "failure":
            return self.code != 0
        if self.command.expect == "no_output":
            return self.printed == 0 and (self.code == 0 or self.complained == 0)
        return self.code == 0

    def text(self) -> str:
        """How it ended, in words."""
        if self.is_late:
            return f"did not end within {self.command.timeout:g} s and was ended"
        if self.code < 0:
            return f"was ended by signal {-self.code}"
        lines = f" and printed {plural(self.printed, 'line')}" if self.command.expect else ""
        return f"ended with exit code {self.code}{lines}"


@dataclass
class _Stream:
    """One output of a command, as a file: a pipe would end the application when we are gone."""

    hide: Callable[[str], str]
    log: Callable[[str], object]
    file: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    lines: int = 0
    _at: int = 0
    _rest: bytes = b""

    def read(self, *, last: bool = False) -> None:
        """Hands over the lines that are new."""
        # The position in the file is the command's own.
        number = self.file.fileno()
        new = os.pread(number, os.fstat(number).st_size - self._at, self._at)
        self._at += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        if last and self._rest:
            whole.append(self._rest)
            self._rest = b""
        for line in whole:
            self.lines += 1
            # A part of a password would not be found any more.
            shown = self.hide(line.decode(errors="replace").rstrip("\r"))
            self.log(shown[:_LONGEST_LINE])


class Process:
    """A command that runs.

    Args:
        command: what to run.
        around: where, and where its output goes.

    Raises:
        CommandError: it cannot be started.
    """

    def __init__(self, command: Command, around: Surroundings) -> None:
        self._command = command
        self._out, self._err = (_Stream(around.hide, around.log) for _ in range(2))
        self._began = time.monotonic()
        self._is_late = False
        self._kill_at: float | None = None
        try:
            self._process = subprocess.Popen(
                command.arguments,
                cwd=around.cwd,
                env=around.environment,
                stdin=subprocess.DEVNULL,
                stdout=self._out.file,
                stderr=self._err.file,
                start_new_session=True,
            )
        except OSError as error:
            self._close()
            shown = around.hide(command.shown)
            raise CommandError(f"{shown} cannot be started: {error.strerror}") from None

    def poll(self) -> Ended | None:
        """Reads on, and ends what takes too long; how it ended, once it has."""
        code = self._process.poll()
        self._out.read(last=code is not None)
        self._err.read(last=code is not None)
        now = time.monotonic()
        limit = self._command.timeout
        if self._kill_at is None and code is None and limit and now - self._began >= limit:
            self._is_late = True
            self.end()
        if self._kill_at is not None and now >= self._kill_at:
            self._signal(signal.SIGKILL)
        if code is None or not self._is_gone(now):
            return None
        self._close()
        return Ended(self._command, code, self._is_late, self._out.lines, self._err.lines)

    def end(self) -> None:
        """Asks all processes of the group to end; `poll` kills them where they do not."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + _SECONDS_TO_END
            self._signal(signal.SIGTERM)

    def _is_gone(self, now: float) -> bool:
        """Whether the whole group is gone, where it is to be."""
        if self._kill_at is None or not self._signal(0):
            return True
        # What was killed and is waited for by nobody stays in the group as a name only.
        return now >= self._kill_at + _SECONDS_TO_DIE

    def _signal(self, number: int) -> bool:
        try:
            # As the leader of its session, the command gave the group its number.
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def _close(self) -> None:
        self._out.file.close()
        self._err.file.close()
