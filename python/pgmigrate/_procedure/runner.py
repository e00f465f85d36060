"""Running a script of actions, blocking or awaited.

A script is a generator: it yields the next action, and receives the action's result or the
exception that ended it. It does nothing itself, so one script serves both forms. Actions run one
after another in the calling thread, which alone runs callbacks and logging.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from inspect import GEN_CLOSED, getgeneratorstate
from typing import Any, TypeAlias

from pgmigrate._bridge.job import (
    Ending,
    deliver,
    drive,
    drive_async,
    end,
    end_async,
    start,
)
from pgmigrate._bridge.signals import held_back
from pgmigrate._procedure.command import Command, CommandEnvironment, CommandResult, Process
from pgmigrate._procedure.lock import ProcedureLock
from pgmigrate.errors import InterruptedRunError
from pgmigrate.events import OnEvent


@dataclass(frozen=True)
class Verb:
    """A verb of the core; the script receives its result.

    Attributes:
        name: its name.
        settings: the settings of this call; for one that is None the configuration decides.
        is_shielded: an interruption waits for its end; a second one stops it.
        options: a configuration in place of the migration's own.
    """

    name: str
    settings: Mapping[str, Any]
    is_shielded: bool = False
    options: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Execute:
    """A command to run to its end; the script receives its `CommandResult`.

    Attributes:
        command: the command.
        is_shielded: an interruption waits for its end; a second one ends it.
    """

    command: Command
    is_shielded: bool = False


@dataclass(frozen=True)
class Pause:
    """A time to wait.

    Attributes:
        seconds: how much.
    """

    seconds: float


@dataclass(frozen=True)
class TakeLock:
    """The action that takes the lock of the procedure.

    Attributes:
        lock: the lock.
    """

    lock: ProcedureLock


Action: TypeAlias = Verb | Execute | Pause | TakeLock
Script: TypeAlias = Generator[Action, Any, None]
Watch: TypeAlias = Generator[float, None, CommandResult]
"""A running command: yields the seconds until the next poll, and returns how it ended."""


class ScriptRunner:
    """Runs scripts of one migration.

    Args:
        options: its configuration as the core takes it.
        environment: what its commands have in common.
        on_event: called with every event of the core.
    """

    def __init__(
        self, options: Mapping[str, Any], environment: CommandEnvironment, on_event: OnEvent
    ) -> None:
        self._options, self._environment, self._on_event = options, environment, on_event
        self._held: BaseException | None = None

    def run(self, script: Script, step: Callable[[], Action] | None = None) -> None:
        """Runs a script. Every failure is raised inside the script, which can undo its work.

        Args:
            script: the script.
            step: advances it to its next action; from its beginning if None.

        Raises:
            BaseException: what the script raises, or an interruption that it was shielded from.
        """
        step = step or partial(next, script)
        while True:
            try:
                action = step()
                self._release(action)
                step = partial(script.send, self._perform(action))
            except StopIteration:
                break
            except BaseException as error:
                if getgeneratorstate(script) == GEN_CLOSED:
                    raise
                step = partial(script.throw, error)
        self._release(None)

    async def run_async(self, script: Script) -> None:
        """`run` as an awaitable; cancelling it is an interruption."""
        step: Callable[[], Action] = partial(next, script)
        while True:
            try:
                action = step()
                self._release(action)
                step = partial(script.send, await self._perform_async(action))
            except StopIteration:
                break
            except GeneratorExit:
                # The coroutine is being closed and must not await any more.
                abandoned = InterruptedRunError(
                    "the procedure was abandoned", name="procedure_abandoned"
                )
                self.run(script, partial(script.throw, abandoned))
                raise
            except BaseException as error:
                if getgeneratorstate(script) == GEN_CLOSED:
                    raise
                step = partial(script.throw, error)
        self._release(None)

    def _release(self, action: Action | None) -> None:
        """Raises the interruption that was held back, unless the action is shielded from it."""
        held = self._held
        if held is not None and not (isinstance(action, Execute | Verb) and action.is_shielded):
            self._held = None
            raise held

    def _perform(self, action: Action) -> Any:
        if isinstance(action, Verb):
            job = start(action.name, action.options or self._options, action.settings)
            if not action.is_shielded:
                return drive(job, self._on_event, action.name)
            ending = Ending(job)
            while True:
                try:
                    if (events := job.next()) is None:
                        return ending.result()
                    deliver(events, self._on_event)
                except (KeyboardInterrupt, SystemExit) as error:
                    if self._held is not None:
                        end(job)
                        raise
                    self._held = error
        if isinstance(action, Pause):
            return time.sleep(action.seconds)
        if isinstance(action, TakeLock):
            return action.lock.take()
        watch = self._watch(action)
        return _slept_through(watch, partial(next, watch))

    async def _perform_async(self, action: Action) -> Any:
        # Imported here, so that a program that never awaits does not load asyncio.
        import asyncio

        if isinstance(action, Verb):
            job = start(action.name, action.options or self._options, action.settings)
            if not action.is_shielded:
                return await drive_async(job, self._on_event, action.name)
            ending = Ending(job)
            while True:
                try:
                    if (events := await job.next_async()) is None:
                        return ending.result()
                    deliver(events, self._on_event)
                except GeneratorExit:
                    # A coroutine that is being closed must not await, but the job has to end first.
                    drive(job, self._on_event, action.name)
                    raise
                except (asyncio.CancelledError, KeyboardInterrupt, SystemExit) as error:
                    if self._held is not None:
                        await end_async(job)
                        raise
                    self._held = error
        if isinstance(action, Pause):
            return await asyncio.sleep(action.seconds)
        if isinstance(action, TakeLock):
            return await action.lock.take_async()
        watch = self._watch(action)
        step: Callable[[], float] = partial(next, watch)
        while True:
            try:
                pause = step()
            except StopIteration as stop:
                return stop.value
            step = partial(next, watch)
            try:
                await asyncio.sleep(pause)
            except GeneratorExit:
                # A coroutine that is being closed must not await, but the command has to end first.
                abandoned = InterruptedRunError(
                    "the procedure was abandoned", name="procedure_abandoned"
                )
                with suppress(InterruptedRunError):
                    _slept_through(watch, partial(watch.throw, abandoned))
                self._held = None
                raise
            except BaseException as error:
                step = partial(watch.throw, error)

    def _watch(self, action: Execute) -> Watch:
        """Runs a command to its end. An exception thrown into it is an interruption."""
        process: Process | None = None
        try:
            try:
                with held_back():
                    process = Process(action.command, self._environment)
            except BaseException as error:
                if process is None:
                    raise
                self._interrupt(action, process, error)
            while True:
                try:
                    if (ended := process.poll()) is not None:
                        break
                    yield process.pause
                except GeneratorExit:
                    raise
                except BaseException as error:
                    self._interrupt(action, process, error)
        finally:
            if process is not None:
                process.close()
        if not action.is_shielded:
            self._release(None)
        return ended

    def _interrupt(self, action: Execute, process: Process, error: BaseException) -> None:
        if isinstance(error, Exception) and process.is_ending:
            # The error may be one of `poll` itself, which would raise it at every call.
            self._held = None
            raise error
        if self._held is not None or not action.is_shielded:
            process.end()
        self._held = error


def _slept_through(watch: Watch, step: Callable[[], float]) -> CommandResult:
    """Waits for a command's end, blocking; an interruption of a pause is passed to `watch`."""
    while True:
        try:
            pause = step()
        except StopIteration as stop:
            ended: CommandResult = stop.value
            return ended
        step = partial(next, watch)
        try:
            time.sleep(pause)
        except BaseException as error:
            step = partial(watch.throw, error)
