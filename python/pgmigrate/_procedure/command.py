"""The commands of a procedure: processes with a time limit whose output goes into the log.

A command runs without a shell unless it requests one, without a terminal, with an empty standard
input, and in its own process group. When pgmigrate ends a command, it ends the whole group. When a
command ends by itself, the processes that it started go on, as does a process that leaves the
group; this is how an application is started.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pgmigrate._procedure.output import SHELL, Output, missing_program
from pgmigrate._values.humanize import plural
from pgmigrate.errors import CommandError

_SECONDS_TO_END: Final = 5.0
_SECONDS_TO_DIE: Final = 2.0
# Seconds between two polls: while there is output, a pipe must be emptied faster than it is filled.
_SHORTEST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05


@dataclass(frozen=True)
class Command:
    """A command as the configuration has it.

    Attributes:
        words: the program and its arguments; of a command for the shell, its text.
        timeout: seconds that it may take; 0 for no limit.
        is_for_shell: whether the text goes to ``/bin/sh``.
        expect: what it does if the application is stopped; empty for a command that is no check.
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
        """The command as a user would type it."""
        return self.words[0] if self.is_for_shell else shlex.join(self.words)

    @property
    def arguments(self) -> list[str]:
        """What is executed."""
        return [SHELL, "-c", *self.words] if self.is_for_shell else list(self.words)


@dataclass(frozen=True)
class CommandEnvironment:
    """What the commands of a procedure have in common.

    Attributes:
        cwd: the folder that they run in.
        env: variables in addition to those of this process.
        hide: redacts all known passwords and other secrets in a text.
        log: called with each line of output, after redaction.
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
        """The reason why a command cannot be started at all; None if it can."""
        if not self.cwd.is_dir():
            return f"there is no folder {self.cwd}"
        program = command.arguments[0]
        if os.sep in program:
            found = os.access(self.cwd / program, os.X_OK)
        else:
            found = shutil.which(program, path=self.environment.get("PATH")) is not None
        missing = missing_program() if found else self.hide(program)
        return None if missing is None else f"there is no program {missing}"


@dataclass(frozen=True)
class CommandResult:
    """How a command ended.

    Attributes:
        command: the command.
        code: its exit code; below 0 if a signal ended it.
        is_late: whether it was ended because of its time limit.
        printed: lines on its standard output.
        complained: lines on its standard error.
        unread: why its output could not be read completely; empty if it was.
        is_logged: whether everything that was read was logged.
        survivor: the process, if it could not be ended; None if it has ended.
    """

    command: Command
    code: int
    is_late: bool
    printed: int
    complained: int
    unread: str = ""
    is_logged: bool = True
    survivor: int | None = None

    @property
    def is_as_expected(self) -> bool:
        """Whether the command succeeded; for a check, whether the application is stopped."""
        if self.is_late or self.code < 0:
            return False
        if self.command.expect == "failure":
            return self.code != 0
        if self.command.expect == "no_output":
            is_silent = self.printed == 0 and not self.unread
            return is_silent and (self.code == 0 or self.complained == 0)
        return self.code == 0

    def text(self) -> str:
        """How it ended, in words."""
        if self.survivor is not None:
            late = f"did not end within {self.command.timeout:g} s, and " if self.is_late else ""
            return f"{late}could not be ended: process {self.survivor} still runs"
        if self.is_late:
            return f"did not end within {self.command.timeout:g} s and was ended"
        if self.code < 0:
            return f"was ended by signal {-self.code}"
        lines = f" and printed {plural(self.printed, 'line')}" if self.command.expect else ""
        unread = f", and its output could not be read: {self.unread}" if self.unread else ""
        return f"ended with exit code {self.code}{lines}{unread}"

    def remedy(self) -> str | None:
        """Where to look for the reason; None if there is nothing to see."""
        if not self.is_logged:
            return "its output could not be logged: run it by hand"
        return "its output is in the log" if self.printed or self.complained else None


class Process:
    """A command that runs.

    The caller calls `poll` until it returns a result, and `close` in every case.

    Args:
        command: what to run.
        environment: its folder and environment, and where its output goes.

    Raises:
        CommandError: it cannot be started.
    """

    def __init__(self, command: Command, environment: CommandEnvironment) -> None:
        self._command = command
        self._began = time.monotonic()
        self._pause = _SHORTEST_PAUSE
        self._is_late = self._is_over = False
        self._kill_at: float | None = None
        try:
            self._output = Output(environment.hide, environment.log)
            self._process = self._start(environment)
        except (OSError, ValueError) as error:
            shown = environment.hide(command.shown)
            reason = getattr(error, "strerror", None) or error
            raise CommandError(
                f"{shown} cannot be started: {reason}", name="command_not_started"
            ) from None

    def _start(self, environment: CommandEnvironment) -> subprocess.Popen[bytes]:
        output, errors = self._output.writers
        try:
            process = subprocess.Popen(
                self._command.arguments,
                cwd=environment.cwd,
                env=environment.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        except BaseException:
            self._output.close()
            raise
        self._output.begin()
        return process

    @property
    def pause(self) -> float:
        """Seconds to wait before the next `poll`."""
        return self._pause

    @property
    def is_ending(self) -> bool:
        """Whether it was asked to end."""
        return self._kill_at is not None

    def poll(self) -> CommandResult | None:
        """Reads output, and ends a command that takes too long; returns how it ended, if it has."""
        code = self._process.poll()
        now = time.monotonic()
        limit = self._command.timeout
        if code is None and not self.is_ending and limit and now - self._began >= limit:
            self._is_late = True
            self.end()
        if self._kill_at is not None and now >= self._kill_at:
            self._signal(signal.SIGKILL)
        has_ended = self._has_ended(code, now)
        # Read last: no error of the output may keep the command from being ended, and after the
        # end everything that was printed before it can be read.
        has_read = self._output.read(is_last=code is not None)
        self._pause = _SHORTEST_PAUSE if has_read else min(2 * self._pause, _LONGEST_PAUSE)
        if not has_ended:
            return None
        self._is_over = True
        self._output.close()
        return self._ended(code)

    def end(self) -> None:
        """Asks all processes of the group to end; `poll` kills them where they do not."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + _SECONDS_TO_END
            self._pause = _SHORTEST_PAUSE
            self._signal(signal.SIGTERM)

    def close(self) -> None:
        """Kills a command that was not polled to its end."""
        if self._is_over:
            return
        self._is_over = True
        # If the command has ended by itself, the processes that it started go on.
        if self._process.poll() is None or self.is_ending:
            self._kill()
        self._output.close()

    def _kill(self) -> None:
        """Kills the group and waits until it is gone, which takes a moment after the signal."""
        self._signal(signal.SIGKILL)
        deadline = time.monotonic() + _SECONDS_TO_DIE
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS_TO_DIE)
        while self._signal(0) and time.monotonic() < deadline:
            time.sleep(_SHORTEST_PAUSE)

    def _has_ended(self, code: int | None, now: float) -> bool:
        """Whether the command has ended and, if the group is ended, too, all of it is gone."""
        if self._kill_at is not None and now >= self._kill_at + _SECONDS_TO_DIE:
            # A killed process that its parent does not wait for stays in the group as a zombie. A
            # process of another user, as under sudo, may not be killed: do not wait for it forever.
            return True
        return code is not None and (self._kill_at is None or not self._signal(0))

    def _ended(self, code: int | None) -> CommandResult:
        return CommandResult(
            self._command,
            -signal.SIGKILL if code is None else code,
            self._is_late,
            *self._output.counts,
            self._output.failure,
            self._output.is_logged,
            self._process.pid if code is None else None,
        )

    def _signal(self, number: int) -> bool:
        try:
            # As the leader of its session, the command gave the group its number.
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True
