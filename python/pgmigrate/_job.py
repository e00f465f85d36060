"""Driving a job of the core: from its settings to its result.

The calling thread alone runs callbacks and logging; the core's threads never touch Python.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pgmigrate import _native
from pgmigrate._logging import SteadyLogger
from pgmigrate.errors import PgMigrateError

if TYPE_CHECKING:
    from pgmigrate._native import Job

Event: TypeAlias = dict[str, Any]
"""Something that happened in a run; its key ``event`` says what."""

OnEvent: TypeAlias = Callable[[Event], object]
"""What is called with every event, in the thread that called the verb."""

logger: Final = SteadyLogger("pgmigrate")
_LEVELS: Final = {
    "ERROR": logging.ERROR,
    "WARN": logging.WARNING,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
}
_OUTCOME: Final = "_pgmigrate_outcome"
_MOST_FAILURES: Final = 3


def do(
    verb: str,
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
    on_event: OnEvent | None,
) -> Any:
    """Does what a verb of the core does.

    Args:
        verb: its name.
        options: the migration's configuration.
        settings: what the call sets; None leaves it to the configuration.
        on_event: called with every event.

    Raises:
        PgMigrateError: the verb failed.
    """
    return drive(start(verb, options, settings), on_event)


async def do_async(
    verb: str,
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
    on_event: OnEvent | None,
) -> Any:
    """`do` as an awaitable; cancelling it stops the job in order."""
    return await drive_async(start(verb, options, settings), on_event)


def start(verb: str, options: Mapping[str, Any], settings: Mapping[str, Any]) -> Job:
    """Begins a verb of the core; None among the settings leaves a thing to the configuration."""
    given = {key: value for key, value in settings.items() if value is not None}
    return _native.start(verb, options, given)


def path_text(path: str | os.PathLike[str] | None) -> str | None:
    """A path as the core takes it."""
    return None if path is None else os.fspath(path)


def drive(job: Job, on_event: OnEvent | None) -> dict[str, Any]:
    """The result of a job, whose events and log records are delivered meanwhile."""
    try:
        while (events := job.next()) is not None:
            deliver(events, on_event)
    except BaseException as error:
        try:
            end(job)
        except BaseException as later:
            _keep_outcome(job, later)
            raise
        _keep_outcome(job, error)
        raise
    return job.result()


def outcome_of(interruption: BaseException) -> Mapping[str, Any] | PgMigrateError | None:
    """What a job had come to when it ended for an interruption that it was driven through.

    Args:
        interruption: what `drive` raised, be it of Ctrl-C, a signal's handler or ``on_event``.

    Returns:
        Its result or its error; None where the interruption came from elsewhere.
    """
    return getattr(interruption, _OUTCOME, None)


def _keep_outcome(job: Job, error: BaseException) -> None:
    """An interrupted job has done some work, and the caller that reports it needs its result."""
    outcome: Mapping[str, Any] | PgMigrateError
    try:
        outcome = job.result()
    except PgMigrateError as failure:
        outcome = failure
    # An exception of the caller's need not take attributes.
    with suppress(AttributeError, TypeError):
        setattr(error, _OUTCOME, outcome)


async def drive_async(job: Job, on_event: OnEvent | None) -> dict[str, Any]:
    """`drive` as an awaitable."""
    try:
        while (events := await job.next_async()) is not None:
            deliver(events, on_event)
    except GeneratorExit:
        # The coroutine is thrown away and may not await any more.
        job.stop()
        raise
    except BaseException:
        await end_async(job)
        raise
    return job.result()


def end(job: Job) -> None:
    """Stops a job in order, and waits for its end; what it logs meanwhile is delivered.

    Raises:
        BaseException: the last interruption that came meanwhile. It ends the waiting no sooner, for
            what is done next must not meet a job at work.
    """
    job.stop()
    held: BaseException | None = None
    failures = 0
    while True:
        try:
            if (events := job.next()) is None:
                break
            deliver(events, None)
        except (KeyboardInterrupt, SystemExit) as interruption:
            held = interruption
        except BaseException as error:
            # A signal's handler may raise anything; the job itself fails again and again.
            held, failures = error, failures + 1
            if failures == _MOST_FAILURES:
                break
    if held is not None:
        raise held


async def end_async(job: Job) -> None:
    """`end` as an awaitable."""
    # The package must not load it for those who never await.
    from asyncio import CancelledError

    job.stop()
    held: BaseException | None = None
    failures = 0
    while True:
        try:
            if (events := await job.next_async()) is None:
                break
            deliver(events, None)
        except (CancelledError, KeyboardInterrupt, SystemExit) as interruption:
            held = interruption
        except GeneratorExit:
            # The coroutine is thrown away and may not await any more.
            raise
        except BaseException as error:
            held, failures = error, failures + 1
            if failures == _MOST_FAILURES:
                break
    if held is not None:
        raise held


def deliver(events: Iterable[Event], on_event: OnEvent | None) -> None:
    """Hands events to the callback, and log records to ``logging``."""
    for event in events:
        if event["event"] == "log":
            logger.log(_LEVELS.get(event["level"], logging.INFO), event["message"])
        elif on_event is not None:
            on_event(event)
